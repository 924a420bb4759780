//! One thing after the other is lost, and comes back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{
    Bench, Outcome,
    loss::{self, Addresses, Loss},
};
use crate::sandbox::{
    address::Family,
    agent::Settings,
    host::{self, Host, pools},
    namespace::Namespace,
    probe::{Patience, Proto, probe},
    wait,
};

/// Within which a loss is to be repaired.
const REPAIR: Duration = Duration::from_secs(2);
/// How long it is waited for, so that the figure of what falls short is known.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn everything(bench: &Bench, attach: &str) -> Result<Outcome> {
    let settings = Settings {
        attach: attach.into(),
        xdp: "generic".into(),
        more: format!("[announce]\nprobe = false\n{}", pools(50, 59)),
        ..Settings::default()
    };
    let host = Host::start(&bench.programs, &settings)?;
    let pod = host.sandbox("pod")?;
    let mut config = host.ground.config("1.1.0");
    config["routes"] = json!([{ "dst": "198.51.100.0/24" }, { "dst": "2001:db8::/32" }]);
    let answer = host.call("ADD", pod.name(), &pod.path(), &config)?.answer()?;
    reachable(&host, &pod, &answer)?;
    ensure!(host.repairs()? == 0, "something was repaired before anything was lost");

    let addresses = Addresses::of(&pod)?;
    let mut problems = Vec::new();
    for loss in loss::all(&host, &pod, attach)? {
        match lose(&host, &loss, &addresses) {
            Ok(time) => {
                eprintln!("  {:>5} ms {}", time.as_millis(), loss.what);
                if time > REPAIR {
                    problems.push(format!("{}: only after {} ms", loss.what, time.as_millis()));
                }
            }
            Err(error) => problems.push(format!("{error:#}")),
        }
    }
    config["prevResult"] = answer.clone();
    wait::until("CHECK finds nothing", PATIENCE, || {
        Ok(host.call("CHECK", pod.name(), &pod.path(), &config)?.silence().ok())
    })?;
    reachable(&host, &pod, &answer)?;
    host.no_panic()?;
    host.del(&pod)?;
    ensure!(problems.is_empty(), "{}", problems.join("\n  "));
    Ok(Outcome::Passed)
}

/// Loses something, and tells after which time it was back. It must have been counted.
fn lose(host: &Host, loss: &Loss, addresses: &Addresses) -> Result<Duration> {
    let what = &loss.what;
    ensure!(loss.is_there(host, addresses)?, "{what}: is not there");
    let repairs = host.repairs()?;
    loss.lose(host, addresses).with_context(|| what.clone())?;
    let start = Instant::now();
    wait::until(what, PATIENCE, || Ok(loss.is_there(host, addresses)?.then_some(())))?;
    let time = start.elapsed();
    wait::until(&format!("{what} is counted"), PATIENCE, || {
        Ok((host.repairs()? > repairs).then_some(()))
    })?;
    Ok(time)
}

/// The router reaches the pod.
fn reachable(host: &Host, pod: &Namespace, answer: &serde_json::Value) -> Result<()> {
    let router = &host.lab.topology.router;
    router.sysctl(&[("ipv4/ping_group_range", "0 0")])?;
    for address in host::addresses(answer)? {
        let family = if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let answered = probe(router, address, Proto::Icmp, Patience::EXPECTED)?;
        ensure!(answered, "{}: no answer by {family:?} from {address}", pod.name());
    }
    Ok(())
}
