//! A pod is made anew on another node, and keeps its addresses.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{PATIENCE, api, pod::Pod, publish, ready};
use crate::sandbox::{
    fabric::{Fabric, Plan},
    probe::{Patience, Proto, probe},
    scenario::{Bench, Outcome},
    wait,
    wire::Wire,
};

const FIXED: &str = "fixedips.netpath.io";

pub(super) fn moves(bench: &Bench, attach: &'static str, attachment: &str) -> Result<Outcome> {
    let plan = Plan { cluster: true, announce: true, attach, ..Plan::default() };
    let mut fabric = Fabric::build(&bench.programs, plan)?;
    publish(api(&fabric)?)?;
    for node in 0..fabric.nodes.len() {
        ready(&fabric, node, 2)?;
    }
    let annotations = json!({"netpath.io/fixed": "true"});
    let pod = |fabric: &Fabric, node| -> Result<Pod> {
        let mut pod = Pod::of_cluster(fabric, node, "db-0", &annotations)?;
        pod.config["attachment"] = attachment.into();
        Ok(pod)
    };
    let old = pod(&fabric, 0)?.added(&fabric)?;
    ensure!(old.addresses.len() == 2, "not both families: {:?}", old.addresses);
    reached(&fabric, &old)?;
    ensure!(holder(&fabric)? == "node1", "held by {}", holder(&fabric)?);

    // The cluster has it on the other node before this one has let go.
    let mut wire = Wire::open(&fabric.router, "seg0")?;
    api(&fabric)?.delete("pods", "default", "db-0")?;
    let new = pod(&fabric, 1)?;
    let ended = AtomicBool::new(false);
    let (new, mut frames) = thread::scope(|scope| -> Result<_> {
        let pings = scope.spawn(|| ping(&fabric, &old.addresses, &mut wire, &ended));
        let adding = scope.spawn(|| new.added(&fabric));
        let moved = || {
            wait::until("it is asked for", PATIENCE, || {
                Ok((api(&fabric)?.requests("get", FIXED) > 3).then_some(()))
            })?;
            ensure!(!adding.is_finished(), "added while the other node has its addresses");
            old.remove(&fabric)?;
            adding.join().map_err(|_| anyhow!("the addition panicked"))?
        };
        let moved = moved();
        ended.store(true, Ordering::Relaxed);
        let frames = pings.join().map_err(|_| anyhow!("pings panicked"))??;
        Ok((moved?, frames))
    })?;
    ensure!(new.addresses == old.addresses, "{:?}, before {:?}", new.addresses, old.addresses);
    reached(&fabric, &new)?;
    frames.extend(wire.seen()?);
    for address in &old.addresses {
        let claims = claims(&frames, *address);
        let shown = || claims.iter().map(ToString::to_string).collect::<String>();
        ensure!(claims.first() == Some(&1) && claims.last() == Some(&2), "{address}: {}", shown());
        ensure!(claims.is_sorted(), "{address} was in two places: {}", shown());
    }

    // An agent that starts without the API server knows what its node has.
    api(&fabric)?.go_down()?;
    fabric.agents.remove(1).end(Signal::SIGKILL)?;
    fabric.start_agent(1)?;
    new.remove(&fabric)?;
    let again = new.added(&fabric)?;
    ensure!(again.addresses == old.addresses, "{:?}", again.addresses);
    api(&fabric)?.come_up()?;
    reached(&fabric, &again)?;

    // Gone for good.
    again.remove(&fabric)?;
    api(&fabric)?.delete("pods", "default", "db-0")?;
    wait::until("it is let go", PATIENCE, || {
        let status = api(&fabric)?.get(FIXED, "default", "db-0")?.context("no FixedIP")?;
        Ok(status["status"].get("node").is_none().then_some(()))
    })?;
    api(&fabric)?.delete(FIXED, "default", "db-0")?;
    wait::until("its addresses are back", PATIENCE, || {
        let blocks = api(&fabric)?.list("ipblocks.netpath.io", None)?;
        let is_fixed = |block: &Value| block["spec"].get("fixed").is_some();
        Ok((!blocks.iter().any(is_fixed)).then_some(()))
    })?;
    Ok(Outcome::Passed)
}

/// The numbers of the nodes that said to have an address, in their order on the wire.
fn claims(frames: &[Vec<u8>], address: IpAddr) -> Vec<u8> {
    let of_node =
        |frame: &&Vec<u8>| frame.len() > 14 && frame[6..10] == [2, 0, 0, 0] && frame[11] == 0;
    let claims = frames.iter().filter(of_node).filter(|frame| is_claim(frame, address));
    claims.map(|frame| frame[10] - 10).collect()
}

/// Whether a frame says that its sender has an address: it comes from there, or is an answer about it.
fn is_claim(frame: &[u8], address: IpAddr) -> bool {
    let at = |offset: usize, length: usize| frame.get(offset..offset + length);
    let kind = u16::from_be_bytes([frame[12], frame[13]]);
    match (address, kind) {
        // ARP: the sender's address. IPv4: the source.
        (IpAddr::V4(v4), 0x0806) => at(28, 4) == Some(&v4.octets()),
        (IpAddr::V4(v4), 0x0800) => at(26, 4) == Some(&v4.octets()),
        // IPv6: the source, or the target of a neighbour advertisement.
        (IpAddr::V6(v6), 0x86dd) => {
            let advertises = at(20, 1) == Some(&[58]) && at(54, 1) == Some(&[136]);
            at(22, 16) == Some(&v6.octets()) || advertises && at(62, 16) == Some(&v6.octets())
        }
        _ => false,
    }
}

fn holder(fabric: &Fabric) -> Result<String> {
    let object = api(fabric)?.get(FIXED, "default", "db-0")?.context("no FixedIP")?;
    Ok(object["status"]["node"].as_str().context("no node")?.to_owned())
}

fn reached(fabric: &Fabric, pod: &Pod) -> Result<()> {
    pod.namespace.sysctl(&[("ipv4/ping_group_range", "0 0")])?;
    fabric.router.sysctl(&[("ipv4/ping_group_range", "0 0")])?;
    for address in &pod.addresses {
        let answered = probe(&fabric.router, *address, Proto::Icmp, Patience::EXPECTED)?;
        ensure!(answered, "{address} does not answer on {}", fabric.nodes[pod.node].name);
    }
    Ok(())
}

/// Asks for the addresses all the time, so that whoever has them is heard. Returns what was heard.
fn ping(
    fabric: &Fabric,
    addresses: &[IpAddr],
    wire: &mut Wire,
    ended: &AtomicBool,
) -> Result<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        for address in addresses {
            probe(&fabric.router, *address, Proto::Icmp, Patience::UNEXPECTED)?;
        }
        frames.extend(wire.seen()?);
    }
    Ok(frames)
}
