//! NICs that come and go, and change their names; NICs on NICs.

use std::{net::IpAddr, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use super::{
    Bench, Outcome, Scenario,
    attachments::{Port, ask, questions},
};
use crate::sandbox::{
    address::Family,
    command,
    fabric::{FOREIGN_VLAN, Fabric, Plan, Pod, nic, subnet},
    kernel,
    namespace::Namespace,
    probe::{Patience, Proto, probe},
    recovery::all_answer,
    traffic::Traffic,
    wait,
};

/// Within which everybody on a NIC is to be reached again.
const RECOVERY: Duration = Duration::from_secs(5);
/// Pings that prove that traffic flows.
const STEPS: u64 = 100;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::once("parents::replugged", |bench| replugged(bench, Plan::default())),
        Scenario::once("parents::replugged::swapped", |bench| {
            replugged(bench, Plan { attach: "netlink", swapped: true, ..Plan::default() })
        }),
        Scenario::once("parents::renamed", renamed),
        Scenario::once("parents::stacked", stacked),
    ]
}

/// A NIC is unplugged and plugged in again: its pods are reached as before, and nobody else notices.
/// While the last one is out, the agent starts anew.
fn replugged(bench: &Bench, plan: Plan) -> Result<Outcome> {
    let mut fabric = Fabric::build(&bench.programs, plan)?;
    let _servers = fabric.start_servers()?;
    let before = policy(&fabric)?;
    for segment in [1, 2] {
        let (name, old) = (nic(segment), index(&fabric, segment)?);
        let traffic = bystanders(&fabric, segment)?;
        traffic.moves_on(STEPS, "with the NIC")?;
        fabric.unplug(0, segment)?;
        wait::until("the agent misses it", RECOVERY, || {
            Ok(index(&fabric, segment)?.is_none().then_some(()))
        })?;
        if segment == 2 {
            fabric.agents.remove(0).end(Signal::SIGTERM)?;
            fabric.start_agent(0)?;
        }
        unplugged(&fabric, segment)?;
        traffic.moves_on(STEPS, "without the NIC")?;
        fabric.plug_in(0, segment)?;
        recovers(&fabric, &[segment], &format!("{name} replugged"))?;
        traffic.moves_on(STEPS, "with the NIC again")?;
        traffic.finish()?;
        let hooks = parent(&fabric, segment)?["hooks"].as_array().map(Vec::len);
        ensure!(hooks == Some(2), "{name} has {hooks:?} hooks");
        let new = index(&fabric, segment)?;
        ensure!(new.is_some() && new != old, "{name} has index {new:?}, and had {old:?}");
    }
    let after = policy(&fabric)?;
    ensure!(before == after, "rules and routes were\n{before}and are\n{after}");
    Ok(Outcome::Passed)
}

/// What goes on beside an unplugged NIC: the wire's pings to a pod on another one, and those between a
/// pod by policy routing on it and one elsewhere.
fn bystanders(fabric: &Fabric, segment: usize) -> Result<Traffic> {
    let mut traffic = Traffic::default();
    let own = || fabric.pods.iter().filter(|pod| pod.node == 0 && !pod.sort.stack);
    let veth = |here: bool| {
        own().find(|pod| {
            pod.sort.attachment == "policy-route" && (pod.sort.segment == segment) == here
        })
    };
    let other = own().find(|pod| pod.sort.segment != segment).context("no pod on another NIC")?;
    for family in Family::BOTH {
        traffic.ping(&fabric.remote.namespace, other.address.of(family))?;
        if let (Some(here), Some(there)) = (veth(true), veth(false)) {
            traffic.ping(&there.namespace, here.address.of(family))?;
        }
    }
    Ok(traffic)
}

/// What the agent says of a missing NIC.
fn unplugged(fabric: &Fabric, segment: usize) -> Result<()> {
    let (agent, name) = (&fabric.agents[0], nic(segment));
    let warnings = agent.netpath_json(&["status"])?["warnings"].to_string();
    let warning = format!("parent {name}: no interface has the Ethernet address");
    ensure!(warnings.contains(&warning), "{warnings} does not say {warning:?}");
    // The remote host's namespace stands in for a new pod's.
    let netns = fabric.remote.namespace.path();
    let netns = netns.to_string_lossy();
    let address = format!("{}/24", subnet(segment).host(99).v4);
    let mut words = vec!["endpoint", "add", "extra", "--netns", &netns, "--interface", "extra0"];
    words.extend(["--parent", &name, "--address", &address]);
    let refused = agent.netpath_output(&words)?;
    let said = String::from_utf8_lossy(&refused.stderr);
    let expected = format!("the device of {name} is not there");
    ensure!(!refused.status.success() && said.contains(&expected), "a pod on it: {said}");
    Ok(())
}

/// Two NICs change names while no agent runs: each one's pods still leave by it.
fn renamed(bench: &Bench) -> Result<Outcome> {
    let mut fabric = Fabric::build(&bench.programs, Plan::default())?;
    let _servers = fabric.start_servers()?;
    let before = policy(&fabric)?;
    let mut ports = Port::all(&fabric)?;
    for (signal, devices) in [(Signal::SIGTERM, [2, 1]), (Signal::SIGKILL, [1, 2])] {
        fabric.agents.remove(0).end(signal)?;
        fabric.swap_names(0, [1, 2])?;
        for (segment, device) in [1, 2].into_iter().zip(devices) {
            fabric.number_again(0, segment, &nic(device))?;
        }
        fabric.start_agent(0)?;
        recovers(&fabric, &[1, 2], &format!("renamed and {signal}"))?;
        for (segment, device) in [1, 2].into_iter().zip(devices) {
            let found = parent(&fabric, segment)?["device"].clone();
            ensure!(found == nic(device), "{} is {found}, not {}", nic(segment), nic(device));
        }
        // A pod that is made now sits on the right one as well.
        let macvlan = |pod: &&Pod| pod.name == "m1";
        let pod = fabric.pods.iter().find(macvlan).context("no pod m1")?;
        fabric.agents[0].netpath(&["endpoint", "del", &pod.name])?;
        fabric.add(pod)?;
        for port in &mut ports {
            port.heard = 0;
            let strangers = port.strangers(&fabric)?;
            ensure!(strangers.is_empty(), "before: {strangers:?}");
        }
        outward(&fabric)?;
        for port in &mut ports {
            port.heard = 0;
            let strangers = port.strangers(&fabric)?;
            ensure!(strangers.is_empty(), "{strangers:?}");
            ensure!(!port.is_silent(&fabric), "nothing was heard on a wire");
        }
    }
    let after = policy(&fabric)?;
    ensure!(before == after, "rules and routes were\n{before}and are\n{after}");
    Ok(Outcome::Passed)
}

/// Every pod of the first node asks the host behind the router.
fn outward(fabric: &Fabric) -> Result<()> {
    for pod in fabric.pods.iter().filter(|pod| pod.node == 0) {
        for family in Family::BOTH {
            let to = fabric.remote.address.of(family);
            let answered = probe(&pod.namespace, to, Proto::Icmp, Patience::EXPECTED)?;
            ensure!(answered, "{} to {to}: no answer", pod.name);
        }
    }
    Ok(())
}

/// A bond, and a VLAN on it that the agent makes, or finds: all reach all; a cable of the bond and the
/// VLAN may go.
fn stacked(bench: &Bench) -> Result<Outcome> {
    let scratch = format!("npf{}-scratch", std::process::id());
    if !kernel::has_bonds_and_vlans(&scratch)? {
        return Ok(Outcome::Ignored("the kernel has no bonds or no VLANs".to_owned()));
    }
    let mut fabric = Fabric::build_stacked(&bench.programs, Plan::default())?;
    let servers = fabric.start_servers()?;
    let mut wrong = Vec::new();
    for same in questions(&fabric).chunk_by(|a, b| a.from.0 == b.from.0) {
        wrong.extend(ask(&fabric, same)?);
    }
    ensure!(wrong.is_empty(), "{} not as expected: {}", wrong.len(), wrong.join("; "));
    for (segment, kind) in [(0, "bond"), (1, "vlan")] {
        let found = parent(&fabric, segment)?["kind"].clone();
        ensure!(found == kind, "{} is a {found}", nic(segment));
    }
    fabric.router.ip(&["link set node1-0 down".to_owned()])?;
    recovers(&fabric, &[0, 1], "a cable of the bond less")?;
    fabric.nodes[0].namespace.ip(&["link del eth1".to_owned()])?;
    wait::until("the VLAN is made again", RECOVERY, || {
        Ok(index(&fabric, 1)?.is_some().then_some(()))
    })?;
    fabric.number(0, 1)?;
    recovers(&fabric, &[1], "the VLAN deleted")?;
    drop(servers);

    // The first node's VLAN is the agent's, the second one's is not.
    for (node, ours) in [(0, true), (1, false)] {
        fabric.agents.remove(0).end(Signal::SIGTERM)?;
        let removed = fabric.cleanup(node)?;
        ensure!(removed.contains("VLAN eth1") == ours, "{removed}");
        let left = show(&fabric.nodes[node].namespace, &["link", "show", "type", "vlan"])?;
        ensure!(left.is_empty() == ours && left.contains(FOREIGN_VLAN) != ours, "{left}");
    }
    Ok(Outcome::Passed)
}

/// Waits until all pods on these NICs of the first node answer the host behind the router, and the
/// node.
fn recovers(fabric: &Fabric, segments: &[usize], what: &str) -> Result<()> {
    let own = fabric.pods.iter().filter(|pod| pod.node == 0);
    let addresses: Vec<IpAddr> = own
        .filter(|pod| segments.contains(&pod.sort.segment))
        .flat_map(|pod| Family::BOTH.map(|family| pod.address.of(family)))
        .collect();
    for place in [&fabric.remote, &fabric.nodes[0]] {
        let time = all_answer(&place.namespace, &addresses).with_context(|| what.to_owned())?;
        let (milliseconds, name) = (time.as_millis(), place.name);
        eprintln!("  {milliseconds:>5} ms {what}, asked by {name}");
        ensure!(time <= RECOVERY, "{what}: only after {milliseconds} ms, asked by {name}");
    }
    Ok(())
}

/// What the first node's agent says of a parent; null while it is missing.
fn parent(fabric: &Fabric, segment: usize) -> Result<serde_json::Value> {
    let status = fabric.agents[0].netpath_json(&["status"])?;
    let parents = status["parents"].as_array().context("the status has no parents")?;
    let found = parents.iter().find(|parent| parent["name"] == nic(segment));
    Ok(found.cloned().unwrap_or_default())
}

fn index(fabric: &Fabric, segment: usize) -> Result<Option<u64>> {
    Ok(parent(fabric, segment)?["ifindex"].as_u64())
}

/// The first node's rules, and the routes of netpath's tables.
fn policy(fabric: &Fabric) -> Result<String> {
    let node = &fabric.nodes[0].namespace;
    let looks: [&[&str]; 4] = [
        &["rule", "show", "proto", "110"],
        &["-6", "rule", "show", "proto", "110"],
        &["route", "show", "table", "all", "proto", "110"],
        &["-6", "route", "show", "table", "all", "proto", "110"],
    ];
    let mut text = String::new();
    for look in looks {
        let shown = show(node, look)?;
        let mut lines: Vec<&str> = shown.lines().collect();
        lines.sort_unstable();
        text.extend(lines.into_iter().flat_map(|line| [line.trim_end(), "\n"]));
    }
    Ok(text)
}

fn show(namespace: &Namespace, arguments: &[&str]) -> Result<String> {
    command::run(Command::new("ip").args(["-n", namespace.name()]).args(arguments))
}
