//! A NIC that a pod has to itself: moved, used, and back as it was, whatever becomes of the pod.
//!
//! Only a real NIC outlives its namespace, and only the machine's first one gets it: this runs there.

use std::{
    fs,
    net::IpAddr,
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    address::{Dual, Family, Subnet},
    agent::{self, Agent, Files, Programs, Settings},
    command, kernel,
    namespace::Namespace,
    probe::{Patience, Proto, probe},
    server::Server,
    topology::{EVERYWHERE, INTERFACE, NODE, POD, Place},
    wait,
};

/// With both generations of hooks, where there are two.
pub(super) fn scenarios() -> Vec<Scenario> {
    let comes_back = |attach: &'static str| {
        Scenario::own(format!("exclusive::comes_back::attach_{attach}"), move |bench| {
            let missing = match bench.nics.as_slice() {
                [_, _] => kernel::without_hooks(attach)?,
                _ => Some("there are no NICs to take".to_owned()),
            };
            missing.map_or_else(|| comes_back(bench, attach), |why| Ok(Outcome::Ignored(why)))
        })
    };
    vec![comes_back("tcx"), comes_back("netlink")]
}

/// What the NIC is called on the node, and in the kernel's words what it has.
const NIC: &str = "whole0";
const MTU: u64 = 1450;
const ALIAS: &str = "uplink 7";
/// Within which the kernel takes a namespace apart and the agent acts.
const BACK: Duration = Duration::from_secs(20);

/// A node with a NIC to give away, and the wire that it is on.
struct Node {
    agent: Option<Agent>,
    files: Files,
    programs: Programs,
    place: Place,
    wire: Namespace,
    _folder: TempDir,
}

fn comes_back(bench: &Bench, attach: &str) -> Result<Outcome> {
    let mut node = Node::build(bench, attach)?;
    let before = node.nic()?;
    ensure!(before["mtu"] == MTU && before["ifalias"] == ALIAS, "{before}");

    let pod = node.add()?;
    node.serves(&pod).context("moved")?;
    node.agent()?.netpath(&["endpoint", "del", "x"])?;
    ensure!(node.nic()? == before, "after removal: {}, was {before}", node.nic()?);
    drop(pod);

    let pod = node.add()?;
    drop(pod);
    node.is_back(&before).context("the namespace is gone")?;
    node.agent()?.netpath(&["endpoint", "del", "x"])?;
    ensure!(node.nic()? == before, "after the removal of what was gone");

    let pod = node.add()?;
    node.kill()?;
    node.serves(&pod).context("without an agent")?;
    node.start()?;
    node.serves(&pod).context("with the next agent")?;
    node.agent()?.netpath(&["endpoint", "del", "x"])?;
    ensure!(node.nic()? == before, "after the removal by the next agent: {}", node.nic()?);
    drop(pod);

    let pod = node.add()?;
    node.kill()?;
    drop(pod);
    node.start()?;
    node.is_back(&before).context("the namespace went while there was no agent")?;
    Ok(Outcome::Passed)
}

impl Node {
    fn build(bench: &Bench, attach: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("npx{}-{}-", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let namespace = Namespace::first(&format!("{prefix}node"))?;
        let wire = Namespace::create(&format!("{prefix}wire"))?;
        wire.sysctl(&EVERYWHERE)?;
        namespace.sysctl(&EVERYWHERE)?;
        namespace.sysctl(&NODE)?;
        let [nic, peer] = [&bench.nics[0], &bench.nics[1]].map(|mac| {
            // A scenario before this one may just have given them back.
            wait::until("the NIC is there", BACK, || named(&namespace, mac))
        });
        let Dual { v4, v6 } = Subnet::PODS4.gateway();
        let own = Subnet::NODES.host(11);
        namespace.ip(&[
            format!("link set {} down", nic.as_deref().unwrap_or_default()),
            format!("link set {} name {NIC} mtu {MTU} alias \"{ALIAS}\"", nic?),
            format!("link set {NIC} up"),
            format!("addr add 10.0.99.5/24 dev {NIC}"),
            format!("addr add fd00:99::5/64 dev {NIC} nodad"),
            format!("link set {} netns {} name nic", peer?, wire.name()),
            format!("link add {INTERFACE} type veth peer name node netns {}", wire.name()),
            format!("link set {INTERFACE} up"),
            format!("addr add {}/24 dev {INTERFACE}", own.v4),
            format!("addr add {}/64 dev {INTERFACE} nodad", own.v6),
        ])?;
        wire.ip(&[
            "link set lo up".to_owned(),
            "link set node up".to_owned(),
            "link set nic up".to_owned(),
            format!("addr add {v4}/24 dev nic"),
            format!("addr add {v6}/64 dev nic nodad"),
        ])?;
        let folder = tempfile::Builder::new().prefix("netpath-exclusive-").tempdir()?;
        let more = format!("[[parent]]\nname = {NIC:?}\nattachment = \"exclusive\"\n");
        let settings = Settings { attach: attach.to_owned(), more, ..Settings::default() };
        let files = Files::write(folder.path(), &prefix, &settings)?;
        let place = Place { name: "node", namespace, address: own };
        let programs = bench.programs.clone();
        let mut node = Self { agent: None, files, programs, place, wire, _folder: folder };
        node.start()?;
        Ok(node)
    }

    fn agent(&self) -> Result<&Agent> {
        self.agent.as_ref().context("no agent runs")
    }

    fn start(&mut self) -> Result<()> {
        self.agent = Some(Agent::start(&self.programs, &self.place, &self.files)?);
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        let agent = self.agent.take().context("no agent runs")?;
        agent.end(Signal::SIGKILL).map(drop)
    }

    /// A pod with the NIC.
    fn add(&self) -> Result<Namespace> {
        let pod = Namespace::create(&format!("{}-pod", self.place.namespace.name()))?;
        pod.sysctl(&EVERYWHERE)?;
        pod.sysctl(&POD)?;
        pod.ip(&["link set lo up".to_owned()])?;
        let path = pod.path();
        let Dual { v4, v6 } = address();
        let gateway = Subnet::PODS4.gateway();
        let (v4, v6) = (format!("{v4}/24"), format!("{v6}/64"));
        let (gateway4, gateway6) = (gateway.v4.to_string(), gateway.v6.to_string());
        let netns = path.to_string_lossy();
        let mut words = vec!["endpoint", "add", "x", "--netns", &netns, "--parent", NIC];
        words.extend(["--address", &v4, "--address", &v6]);
        words.extend(["--gateway", &gateway4, "--gateway", &gateway6]);
        self.agent()?.netpath(&words)?;
        Ok(pod)
    }

    /// The pod reaches the wire by its NIC and the node by the pair beside it, and is reached.
    fn serves(&self, pod: &Namespace) -> Result<()> {
        let duals = [address(), Subnet::PODS4.gateway(), self.place.address];
        let [own, wire, node] = duals.map(|dual| Family::BOTH.map(|family| dual.of(family)));
        let _servers = [
            Server::start(pod, &own)?,
            Server::start(&self.wire, &wire)?,
            Server::start(&self.place.namespace, &node)?,
        ];
        let talks: [(&str, &Namespace, [IpAddr; 2]); 4] = [
            ("pod to wire", pod, wire),
            ("wire to pod", &self.wire, own),
            ("pod to node", pod, node),
            ("node to pod", &self.place.namespace, own),
        ];
        for (who, from, to) in talks {
            for (address, proto) in to.into_iter().flat_map(|to| Proto::ALL.map(|it| (to, it))) {
                let answered = probe(from, address, proto, Patience::EXPECTED)?;
                ensure!(answered, "{who}: no answer from {address} by {}", proto.name());
            }
        }
        let heard = json(pod, &["-j", "-s", "link", "show", INTERFACE])?;
        ensure!(heard["stats64"]["rx"]["packets"].as_u64() > Some(0), "nothing by the NIC");
        Ok(())
    }

    /// What the node has of the NIC.
    fn nic(&self) -> Result<Value> {
        let mut link = json(&self.place.namespace, &["-d", "-j", "address", "show", NIC])?;
        let mut plain = serde_json::json!({});
        for key in ["ifname", "address", "mtu", "ifalias", "operstate"] {
            plain[key] = link[key].take();
        }
        let all = link["addr_info"].as_array().into_iter().flatten();
        let own = all.filter(|one| one["scope"] == "global").map(|one| one["local"].clone());
        plain["addresses"] = own.collect();
        Ok(plain)
    }

    fn is_back(&self, before: &Value) -> Result<()> {
        let same = || Ok(self.nic().ok().filter(|nic| nic == before).map(drop));
        let back = wait::until("the NIC is back as it was", BACK, same);
        back.with_context(|| format!("expected {before}, found {:?}", self.nic()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.agent.take());
        if let Err(error) = agent::cleanup(&self.programs, &self.place, &self.files) {
            eprintln!("netpath-sandbox: cleanup: {error:#}");
        }
        let lines = [format!("link del {INTERFACE}"), format!("addr flush dev {NIC}")];
        if let Err(error) = self.place.namespace.ip(&lines) {
            eprintln!("netpath-sandbox: {error:#}");
        }
    }
}

/// The pod's.
fn address() -> Dual {
    Subnet::PODS4.host(37)
}

/// The name of the device with an Ethernet address.
fn named(namespace: &Namespace, mac: &str) -> Result<Option<String>> {
    namespace.enter(|| {
        for entry in fs::read_dir("/sys/class/net").context("list the devices")? {
            let path = entry?.path();
            let found = fs::read_to_string(path.join("address")).unwrap_or_default();
            if found.trim() == mac {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                return Ok(Some(name.into_owned()));
            }
        }
        Ok(None)
    })
}

fn json(namespace: &Namespace, words: &[&str]) -> Result<Value> {
    let text = command::run(namespace.command("ip").args(words))?;
    let mut all: Vec<Value> =
        serde_json::from_str(&text).with_context(|| format!("ip {words:?}: {text}"))?;
    Ok(all.pop().unwrap_or_default())
}
