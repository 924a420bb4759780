//! The image and the DaemonSet, as a kubelet and containerd would have them on the first node: the agent
//! serves from its container, and containers are attached by the conflist that it put in place.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{NODE, Outcome, ask, containers};
use crate::{
    apiserver::{ApiServer, Options},
    cni::{Ground, Plugin},
    sandbox::{
        address::{Family, Subnet},
        agent::{Agent, Settings},
        command,
        lab::Lab,
        runtime::{PATIENCE, Runtime as _, containerd::Containerd, daemonset::Manifest},
        scenario::{Bench, table::surprises_or_passed},
        table,
        topology::Pod,
        wait,
    },
};

/// Where the guest has them.
const IMAGE: &str = "/usr/share/netpath/image.tar";
const MANIFEST: &str = "/usr/share/netpath/netpath.yaml";

/// Where the manifest has them put.
const CONFLIST: &str = "/etc/cni/net.d/10-netpath.conflist";
const PLUGINS: &str = "/opt/cni/bin";
const SOCKET: &str = "/run/netpath/agent.sock";
const PINS: &str = "/sys/fs/bpf/netpath";

/// Bytes that the image may have.
const LIMIT: u64 = 25 << 20;

pub(super) fn serves(bench: &Bench) -> Result<Outcome> {
    if !Path::new(IMAGE).exists() {
        return Ok(Outcome::Ignored("there is no image here".to_owned()));
    }
    let size = fs::metadata(IMAGE)?.len();
    ensure!(size <= LIMIT, "the image has {size} bytes");
    let lab = Lab::build(&bench.programs, &Settings::default(), 1500)?;
    let node = &lab.topology.nodes[NODE];
    let other = Agent::start(&lab.programs, &lab.topology.nodes[1 - NODE], &lab.files[1 - NODE])?;
    for pod in lab.topology.pods.iter().filter(|pod| pod.node != NODE) {
        other.add_endpoint(pod).with_context(|| pod.place.name)?;
    }
    let mut manifest = Manifest::load(Path::new(MANIFEST))?;
    overlay(manifest.file("netpath.toml")?, &lab)?;
    let (_api, kubeconfig) = api(&lab)?;
    manifest.add_file("kubeconfig", kubeconfig);

    let folder = lab.folder.path().join("runtime");
    let mut containerd = Containerd::start(&node.namespace, &folder)?;
    containerd.import(Path::new(IMAGE))?;
    let volumes = lab.folder.path().join("volumes");
    let pod = manifest.containers(&volumes, node.name)?;
    for container in &pod {
        containerd.run(container).with_context(|| container.name.clone())?;
    }
    wait::until("the conflist is in place", PATIENCE, || {
        Ok(Path::new(CONFLIST).exists().then_some(()))
    })
    .with_context(|| containerd.logs(&pod))?;
    for container in pod.iter().filter(|container| !container.ready.is_empty()) {
        containerd.exec_in(&container.name, &container.ready).context("the readiness probe")?;
    }

    let network = Network::installed()?;
    for pod in containers(&lab.topology) {
        let name = pod.place.name;
        network.call("ADD", pod).with_context(|| format!("attach {name}"))?;
        containerd.start_in(name, &pod.place.namespace.path())?;
    }
    let rows = ask(&lab.topology, &containerd, |_| true, |_, _, _| Ok(None))?;
    let surprises = table::surprises(&rows);
    for pod in containers(&lab.topology) {
        containerd.remove(pod.place.name)?;
        network.call("DEL", pod)?;
    }
    containerd.stop(&pod)?;
    drop(containerd);
    gone(&lab, &volumes.join("config/netpath.toml"))?;
    eprintln!("an image of {} KiB; {} questions", size >> 10, rows.len());
    surprises_or_passed(&surprises)
}

/// The cluster's API server, on the remote host, and the file by which the agent finds it.
fn api(lab: &Lab) -> Result<(ApiServer, String)> {
    let remote = &lab.topology.remote;
    let at = SocketAddr::new(remote.address.v4.into(), 6443);
    let api = remote.namespace.enter(|| TcpListener::bind(at).context("listen"))?;
    let api = ApiServer::start(api, Options::default())?;
    let file = lab.folder.path().join("kubeconfig");
    api.kubeconfig(&file)?;
    Ok((api, fs::read_to_string(file)?))
}

/// What an operator would add to the configuration for this network: Services of both families, and pools
/// that give the containers, one after the other, the addresses that the table has for them.
fn overlay(config: &mut String, lab: &Lab) -> Result<()> {
    for (found, overlaid) in [
        ("cidrs = [\"10.96.0.0/12\"]", "cidrs = [\"10.96.0.0/12\", \"fd00:96::/64\"]"),
        ("enabled = true", "enabled = true\nkubeconfig = \"/etc/netpath/kubeconfig\""),
    ] {
        ensure!(config.contains(found), "the configuration has no {found}: {config}");
        *config = config.replace(found, overlaid);
    }
    for subnet in [Subnet::A, Subnet::B] {
        let own = containers(&lab.topology).filter(|pod| pod.subnet == subnet);
        let own: Vec<_> = own.map(|pod| pod.place.address).collect();
        for family in Family::BOTH {
            let ranges: Vec<_> = own.iter().map(|dual| dual.of(family).to_string()).collect();
            let (prefix, gateway) = (subnet.prefix(family), subnet.gateway().of(family));
            let name = prefix.replace(['/', ':'], "-");
            let pool = format!(
                "\n[[pool]]\nname = 'p{name}'\nsubnet = '{prefix}'\ngateway = '{gateway}'\nranges = {ranges:?}\n"
            );
            config.push_str(&pool);
        }
    }
    Ok(())
}

/// The network that is configured.
struct Network {
    plugin: Plugin,
    config: Value,
}

impl Network {
    fn installed() -> Result<Self> {
        let text = fs::read_to_string(CONFLIST)?;
        let list: Value = serde_json::from_str(&text).context("parse the conflist")?;
        let mut config = list["plugins"][0].clone();
        for key in ["name", "cniVersion"] {
            config[key] = list[key].clone();
        }
        let program = config["type"].as_str().context("a plugin without a type")?;
        let plugin = Plugin::new(PathBuf::from(PLUGINS).join(program));
        Ok(Self { plugin, config })
    }

    /// As a runtime calls it for a container.
    fn call(&self, verb: &str, pod: &Pod) -> Result<()> {
        let ground = Ground {
            socket: SOCKET.into(),
            netns: pod.place.namespace.path(),
            plugins: PLUGINS.into(),
        };
        let outcome = self.plugin.run(&ground.call(verb, pod.place.name, &self.config))?;
        if verb == "ADD" { outcome.answer().map(drop) } else { outcome.silence() }
    }
}

/// Takes everything away, as the documentation says, and looks for what is left.
fn gone(lab: &Lab, config: &Path) -> Result<()> {
    ensure!(Path::new(PINS).exists(), "the dataplane went with its container");
    let node = &lab.topology.nodes[NODE].namespace;
    command::run(node.command("netpath-agent").arg("uninstall"))?;
    command::run(node.command("netpath-agent").args(["cleanup", "--config"]).arg(config))?;
    for place in [CONFLIST, PINS, "/opt/cni/bin/netpath-cni"] {
        ensure!(!Path::new(place).exists(), "{place} is left");
    }
    Ok(())
}
