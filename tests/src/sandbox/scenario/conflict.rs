//! An address that somebody on the wire has already, and what the wire is told of one that is new.

use std::{net::IpAddr, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    address::{Family, Subnet},
    agent::Settings,
    command,
    host::{Host, addresses, interfaces, pools},
    namespace::Namespace,
    probe::{Patience, Proto, probe},
    topology::INTERFACE,
    wait,
};

/// The host on the wire is the lab's other node.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::once("conflict::refused", refused),
        Scenario::once("conflict::next", next),
        Scenario::once("conflict::announced", announced),
    ]
}

/// The specification leaves the numbers from 100 on to plugins.
const CONFLICT: u64 = 101;
/// Nobody's.
const STALE: &str = "02:00:00:00:00:99";
/// Within which a neighbour is to know better: an announcement and the next one.
const TOLD: Duration = Duration::from_secs(3);

fn start(bench: &Bench, more: &str, (first, last): (u8, u8)) -> Result<Host> {
    let more = format!("{more}\n{}", pools(first, last));
    Host::start(&bench.programs, &Settings { more, ..Settings::default() })
}

fn refused(bench: &Bench) -> Result<Outcome> {
    let host = start(bench, "[ipam]\ncooldown_seconds = 0", (50, 51))?;
    let squatter = mac(&host.lab.topology.nodes[1].namespace)?;
    let pod = host.sandbox("pod")?;
    for family in Family::BOTH {
        let before = host.traces()?;
        let all: Vec<_> = (50..=51).map(|number| Subnet::A.host(number).of(family)).collect();
        squat(&host, "add", &all)?;
        let outcome = host.add(&pod)?;
        squat(&host, "del", &all)?;
        outcome.refusal(CONFLICT, &squatter)?;
        let (_, message) = outcome.error()?;
        ensure!(all.iter().any(|one| message.contains(&one.to_string())), "{message}");
        eprintln!("{family:?}: {message} ({} ms)", outcome.elapsed.as_millis());
        ensure!(interfaces(&pod)? == ["lo"], "left: {:?}", interfaces(&pod)?);
        // The conflict is remembered for the cool-down, which is none here.
        let left = before.differences(&host.traces()?);
        ensure!(left.is_empty(), "left behind: {}", left.join("\n  "));
    }
    host.add(&pod)?.answer().context("when nobody has the addresses")?;
    host.del(&pod)?;
    Ok(Outcome::Passed)
}

fn next(bench: &Bench) -> Result<Outcome> {
    let host = start(bench, "[announce]\non_conflict = 'next'", (50, 59))?;
    let taken =
        [Subnet::A.host(50).v4.into(), Subnet::A.host(51).v4.into(), Subnet::A.host(52).v6.into()];
    squat(&host, "add", &taken)?;
    let pod = host.sandbox("pod")?;
    let outcome = host.add(&pod)?;
    let got = addresses(&outcome.answer()?)?;
    eprintln!("{got:?} after {} ms", outcome.elapsed.as_millis());
    ensure!(got.iter().all(|address| !taken.contains(address)), "{got:?} are taken");
    let shown = host.agent().netpath(&["ipam", "show"])?;
    let squatter = mac(&host.lab.topology.nodes[1].namespace)?;
    ensure!(shown.contains(&squatter), "who has the others is not shown: {shown}");
    let router = &host.lab.topology.router;
    router.sysctl(&[("ipv4/ping_group_range", "0 0")])?;
    for address in got {
        ensure!(
            probe(router, address, Proto::Icmp, Patience::EXPECTED)?,
            "no answer from {address}"
        );
    }
    host.del(&pod)?;
    Ok(Outcome::Passed)
}

fn announced(bench: &Bench) -> Result<Outcome> {
    let host = start(bench, "", (60, 60))?;
    let both = Family::BOTH.map(|family| Subnet::A.host(60).of(family));
    let router = &host.lab.topology.router;
    router.sysctl(&[("ipv4/ping_group_range", "0 0")])?;
    let other = mac(&host.lab.topology.nodes[1].namespace)?;
    squat(&host, "add", &both)?;
    for address in both {
        ensure!(
            probe(router, address, Proto::Icmp, Patience::EXPECTED)?,
            "no answer from {address}"
        );
        let known = neighbour(router, address)?;
        ensure!(known.as_deref() == Some(&*other), "{address} is at {known:?}, not {other}");
    }
    squat(&host, "del", &both)?;
    let pod = host.sandbox("pod")?;
    host.add(&pod)?.answer()?;
    let own = mac(&host.node().namespace)?;
    let learnt = |address: IpAddr| {
        // Nobody sends to it meanwhile: only the announcement can tell.
        wait::until(&format!("the router has {address} at {own}"), TOLD, || {
            Ok((neighbour(router, address)?.as_deref() == Some(&*own)).then_some(()))
        })
    };
    both.into_iter().try_for_each(learnt)?;
    // And it is repeated.
    let forget = |address| format!("neigh replace {address} lladdr {STALE} dev vpc nud reachable");
    router.ip(&both.map(forget))?;
    both.into_iter().try_for_each(learnt)?;
    host.del(&pod)?;
    Ok(Outcome::Passed)
}

/// Gives addresses to the other node, or takes them away.
fn squat(host: &Host, verb: &str, addresses: &[IpAddr]) -> Result<()> {
    let line = |address: &IpAddr| match address {
        IpAddr::V4(v4) => format!("addr {verb} {v4}/32 dev {INTERFACE}"),
        IpAddr::V6(v6) if verb == "add" => format!("addr add {v6}/128 dev {INTERFACE} nodad"),
        IpAddr::V6(v6) => format!("addr {verb} {v6}/128 dev {INTERFACE}"),
    };
    let lines: Vec<_> = addresses.iter().map(line).collect();
    host.lab.topology.nodes[1].namespace.ip(&lines)
}

/// The Ethernet address of a node.
fn mac(node: &Namespace) -> Result<String> {
    let links = ip(node, &["link", "show", "dev", INTERFACE])?;
    links[0]["address"].as_str().map(str::to_owned).context("no Ethernet address")
}

/// Where the router believes an address to be.
fn neighbour(router: &Namespace, address: IpAddr) -> Result<Option<String>> {
    let entries = ip(router, &["neighbour", "show", &address.to_string(), "dev", "vpc"])?;
    Ok(entries[0]["lladdr"].as_str().map(str::to_owned))
}

fn ip(namespace: &Namespace, words: &[&str]) -> Result<Value> {
    let mut ip = Command::new("ip");
    let text = command::run(ip.args(["-json", "-n", namespace.name()]).args(words))?;
    serde_json::from_str(&text).with_context(|| format!("ip {words:?}: {text}"))
}
