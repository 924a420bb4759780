//! What must be refused, with the specification's code, and leaves nothing behind.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use netpath_agent::store::{Lock, Store};
use serde_json::json;

use crate::{
    cni,
    sandbox::{
        address::{Dual, Subnet},
        host::{Host, addresses, interfaces},
        topology::INTERFACE,
        wait,
    },
};

/// The issue wants at least as many.
const INPUTS: usize = 60;
/// Within which an agent that is not there is told.
const TOLD: Duration = Duration::from_secs(1);
/// One of the pool's addresses.
const HELD: u8 = 55;
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn bad_inputs(host: &mut Host) -> Result<()> {
    let inputs = cni::bad_inputs(&host.ground);
    ensure!(inputs.len() >= INPUTS, "only {} bad inputs", inputs.len());
    let mut problems = Vec::new();
    for cni::BadInput { name, invocation, code, about } in &inputs {
        if let Err(error) = host.run(invocation)?.refusal(*code, about) {
            problems.push(format!("{name}: {error:#}"));
        }
    }
    let pod = &host.lab.topology.place("a1").namespace;
    ensure!(interfaces(pod)? == ["lo"], "left: {:?}", interfaces(pod)?);
    eprintln!("{} bad inputs", inputs.len());
    ensure!(problems.is_empty(), "{}", problems.join("\n  "));
    Ok(())
}

/// ipvlan lets one child of a parent have an address, whoever made it: a pod's whose namespace was
/// deleted has it until the kernel has taken that apart.
pub(super) fn held_address(host: &mut Host) -> Result<()> {
    let (pod, other) = (host.sandbox("wanting")?, host.sandbox("holding")?);
    let add = |name: &str| format!("link add link {INTERFACE} name held netns {name}");
    let Dual { v4, .. } = Subnet::A.host(HELD);
    host.node().namespace.ip(&[format!("{} type ipvlan mode l2 vepa", add(other.name()))])?;
    other.ip(&[format!("addr add {v4}/24 dev held")])?;
    let mut config = host.ground.config("1.1.0");
    config["runtimeConfig"] = json!({ "ips": [format!("{v4}/24")] });
    let call = |verb| host.call(verb, pod.name(), &pod.path(), &config);
    call("ADD")?.refusal(11, &format!("still has {v4}"))?;
    drop(other);
    let answer = call("ADD")?.answer()?;
    ensure!(addresses(&answer)?.contains(&v4.into()), "not the one that was asked for: {answer}");
    call("DEL")?.silence()
}

/// "Try again later" at once; what is gone already is no failure.
pub(super) fn without_agent(host: &mut Host) -> Result<()> {
    let (pod, fresh) = (host.sandbox("orphan")?, host.sandbox("fresh")?);
    let answer = host.add(&pod)?.answer()?;
    host.end_agent()?;
    let outcome = host.add(&fresh)?;
    outcome.refusal(11, "agent")?;
    ensure!(outcome.elapsed < TOLD, "told after {:?}", outcome.elapsed);
    host.del(&fresh).context("DEL of what is not there")?;
    let config = host.ground.config("1.1.0");
    host.call("DEL", pod.name(), &pod.path(), &config)?.refusal(11, "agent")?;
    let status = host.ground.call("STATUS", "", &config).without("CNI_CONTAINERID");
    host.run(&status.without("CNI_NETNS").without("CNI_IFNAME"))?.refusal(50, "agent")?;
    host.start_agent()?;
    host.check(&pod, &answer)?.silence()?;
    host.del(&pod)
}

/// To be asked last: the parent's routes do not come back by themselves.
pub(super) fn status(host: &Host) -> Result<()> {
    let ask = || {
        let call = host.ground.call("STATUS", "", &host.ground.config("1.1.0"));
        host.run(&call.without("CNI_CONTAINERID").without("CNI_NETNS").without("CNI_IFNAME"))
    };
    ask()?.silence()?;
    for (state, code) in [("down", Some(50)), ("up", None)] {
        host.node().namespace.ip(&[format!("link set {INTERFACE} {state}")])?;
        wait::until(&format!("STATUS with the parent {state}"), PATIENCE, || {
            let outcome = ask()?;
            let told = code.map_or_else(|| outcome.silence(), |code| outcome.refusal(code, "down"));
            Ok(told.ok())
        })?;
    }
    Ok(())
}

/// Ends the agent and looks into its store.
pub(super) fn nothing_stored(host: &mut Host) -> Result<()> {
    let state = host.lab.files[0].state.clone();
    host.end_agent()?;
    let lock = Lock::take(&state)?;
    let store = Store::open(&lock)?;
    let (endpoints, allocations) = (store.endpoints()?, store.allocations()?);
    ensure!(endpoints.is_empty(), "endpoints: {endpoints:?}");
    ensure!(allocations.is_empty(), "allocations: {allocations:?}");
    Ok(())
}
