//! Masquerading: who is outside the VPC sees the node, who is inside sees the pod, and the host stack's
//! table is kept as it should be.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sys::signal::Signal;

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    address::{Dual, Family},
    command,
    fabric::{Fabric, Plan, Pod, SEGMENTS},
    kernel,
    probe::{Patience, Proto, probe, who},
    server::ECHO_PORT,
    wait,
};

/// On the oldest kernel and the newest.
pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |bench: &Bench| {
        if kernel::is(6, 1)? || kernel::is(6, 12)? {
            return Ok(Outcome::Ignored("it runs on Linux 5.10 and 7.3".to_owned()));
        }
        masquerade(bench)
    };
    vec![Scenario::own("masquerade::attachments", scenario)]
}

/// The remote host is in no prefix of the VPC; all pods are in the rules'.
const CONFIG: &str = r#"
[[rule]]
from = "10.0.0.0/16"
table = 100
[[rule]]
from = "fd00::/16"
table = 100
[[masquerade]]
table = 100
vpc = ["10.0.0.0/16", "fd00::/32", "fd00:1::/32", "fd00:10::/31", "fd00:20::/31", "fd00:30::/31"]
"#;

/// For a repair of what sends no event.
const SOON: Duration = Duration::from_secs(20);

fn masquerade(bench: &Bench) -> Result<Outcome> {
    let plan = Plan { all: true, more: CONFIG, ..Plan::default() };
    let mut fabric = Fabric::build(&bench.programs, plan)?;
    let _servers = fabric.start_servers()?;
    outside(&fabric, true).context("at first")?;
    inside(&fabric).context("at first")?;
    told(&fabric)?;
    by_next_hop(&fabric).context("by the other node")?;

    for harm in [
        "delete table inet netpath",
        "flush chain inet netpath postrouting",
        "flush set inet netpath from-100-ipv4",
    ] {
        let whole = list(&fabric)?;
        nft(&fabric, harm)?;
        let repaired = || Ok((list(&fabric).ok().as_ref() == Some(&whole)).then_some(()));
        wait::until("the table is what it was", SOON, repaired).context(harm)?;
    }
    outside(&fabric, true).context("after its table was repaired")?;

    let files = fabric.agents.remove(0).end(Signal::SIGTERM)?;
    let with = fs::read_to_string(&files.config)?;
    let (without, _) = with.split_once("[[masquerade]]").context("no option to take away")?;
    fs::write(&files.config, without)?;
    fabric.start_agent(0)?;
    ensure!(nft(&fabric, "list tables")?.is_empty(), "the table outlives the option");
    outside(&fabric, false).context("without the option")?;

    fabric.agents.remove(0).end(Signal::SIGTERM)?;
    fs::write(&files.config, &with)?;
    fabric.start_agent(0)?;
    list(&fabric).context("with the option again")?;
    fabric.agents.remove(0).end(Signal::SIGTERM)?;
    let said = fabric.cleanup(0)?;
    ensure!(nft(&fabric, "list tables")?.is_empty(), "cleanup leaves the table: {said}");
    Ok(Outcome::Passed)
}

/// A question: who asks, whom, and as whom the asker should be seen.
struct Ask<'a> {
    from: &'a Pod,
    to: (&'a str, Dual),
    as_node: bool,
}

/// Every pod of the first node asks somebody outside the VPC. What has a NIC of its own sends by that.
fn outside(fabric: &Fabric, masqueraded: bool) -> Result<()> {
    outside_from(fabric, own_pods(fabric), masqueraded)
}

fn outside_from<'a>(
    fabric: &'a Fabric,
    pods: impl Iterator<Item = &'a Pod>,
    masqueraded: bool,
) -> Result<()> {
    let to = (fabric.remote.name, fabric.remote.address);
    let as_node = |pod: &Pod| masqueraded && !pod.sort.is_exclusive();
    let asks = pods.map(|from| Ask { from, to, as_node: as_node(from) });
    answered(fabric, &asks.collect::<Vec<_>>())
}

/// Every pod of the first node asks the other node, a pod there and a sibling.
fn inside(fabric: &Fabric) -> Result<()> {
    let mut asks = Vec::new();
    for from in own_pods(fabric) {
        let mut ask = |to| asks.push(Ask { from, to, as_node: false });
        ask((fabric.nodes[1].name, fabric.nodes[1].address));
        for node in [0, 1] {
            let other = |pod: &&Pod| pod.node == node && pod.name != from.name;
            let other = fabric.pods.iter().find(other).context("no other pod")?;
            ask((&other.name, other.address));
        }
    }
    answered(fabric, &asks)
}

fn own_pods(fabric: &Fabric) -> impl Iterator<Item = &Pod> {
    fabric.pods.iter().filter(|pod| pod.node == 0)
}

fn answered(fabric: &Fabric, asks: &[Ask<'_>]) -> Result<()> {
    let mut wrong = Vec::new();
    for some in asks.chunks(8) {
        wrong.extend(ask_all(fabric, some)?);
    }
    eprintln!("masquerade: {} questions, 2 families, 3 protocols", asks.len());
    ensure!(wrong.is_empty(), "{} not as expected: {}", wrong.len(), wrong.join("; "));
    Ok(())
}

/// Asks in both families by both protocols, twice: the second time on flows that the dataplane knows.
fn ask_all(fabric: &Fabric, asks: &[Ask<'_>]) -> Result<Vec<String>> {
    thread::scope(|scope| {
        let mut running = Vec::new();
        for Ask { from, to: (name, to), as_node } in asks {
            for (family, proto) in
                Family::BOTH.into_iter().flat_map(|it| [(it, Proto::Tcp), (it, Proto::Udp)])
            {
                running.push(scope.spawn(move || -> Result<_> {
                    let to = SocketAddr::new(to.of(family), ECHO_PORT);
                    for round in ["first", "again"] {
                        let found = who(&from.namespace, to, proto, Patience::EXPECTED)?;
                        let right = found.is_some_and(|found| {
                            let own = found == from.address.of(family);
                            if *as_node { is_node(fabric, found) } else { own }
                        });
                        if !right {
                            let (from, proto) = (&from.name, proto.name());
                            return Ok(Some(format!(
                                "{from} to {name}, {to} {proto}, {round}: seen as {found:?}"
                            )));
                        }
                    }
                    Ok(None)
                }));
            }
        }
        for (Ask { from, to: (name, to), .. }, family) in
            asks.iter().flat_map(|ask| Family::BOTH.map(|family| (ask, family)))
        {
            running.push(scope.spawn(move || {
                let to = to.of(family);
                let answered = probe(&from.namespace, to, Proto::Icmp, Patience::EXPECTED)?;
                Ok((!answered).then(|| format!("{} to {name}, {to} icmp: no answer", from.name)))
            }));
        }
        let mut wrong = Vec::new();
        for one in running {
            wrong.extend(one.join().map_err(|_| anyhow!("a probe panicked"))??);
        }
        Ok(wrong)
    })
}

fn is_node(fabric: &Fabric, address: IpAddr) -> bool {
    let own = (0..SEGMENTS).map(|segment| fabric.address_of(0, segment));
    own.into_iter().any(|own| Family::BOTH.iter().any(|family| own.of(*family) == address))
}

/// The operator's commands tell it.
fn told(fabric: &Fabric) -> Result<()> {
    let agent = &fabric.agents[0];
    let status = agent.netpath_json(&["status"])?;
    let shown = &status["masquerade"][0];
    let pods = own_pods(fabric).filter(|pod| !pod.sort.is_exclusive());
    ensure!(shown["table"] == 100 && shown["addresses"] == 2 * pods.count(), "status: {shown}");
    let pod = &fabric.pods[0];
    for (to, path) in [(fabric.remote.address, "kernel"), (fabric.nodes[1].address, "router")] {
        for family in Family::BOTH {
            let (from, to) = (pod.address.of(family), to.of(family));
            let found = agent.path(from, to)?;
            ensure!(found == path, "explain {from} {to}: {found}");
            let text = agent.netpath(&["explain", &from.to_string(), &to.to_string()])?;
            ensure!(text.contains(", masqueraded") == (path == "kernel"), "{text}");
        }
    }
    Ok(())
}

/// The table's own way out holds for the host stack as well, and by one parent for the pods of all; but for
/// those by L3 modes, which are given what comes by their own parent.
fn by_next_hop(fabric: &Fabric) -> Result<()> {
    let agent = &fabric.agents[0];
    for (family, all) in Family::BOTH.into_iter().zip(["0.0.0.0/0", "::/0"]) {
        let via = fabric.nodes[1].address.of(family);
        agent.netpath(&[
            "route",
            "add",
            all,
            "router",
            "--via",
            &via.to_string(),
            "--table",
            "100",
        ])?;
        let (from, to) = (&fabric.pods[0], fabric.remote.address.of(family));
        let from = from.address.of(family).to_string();
        let text = agent.netpath(&["explain", &from, &to.to_string()])?;
        let expected = format!("by eth0 via {via}, table 100, masqueraded");
        ensure!(text.contains(&expected), "{text}");
    }
    let pods = own_pods(fabric).filter(|pod| !pod.sort.attachment.starts_with("ipvlan-l3"));
    outside_from(fabric, pods, true)?;
    let mut gone = ["0.0.0.0/0", "::/0"].into_iter();
    gone.try_for_each(|all| agent.netpath(&["route", "del", all, "--table", "100"]).map(drop))
}

/// Our table as `nft` has it.
fn list(fabric: &Fabric) -> Result<String> {
    nft(fabric, "list table inet netpath")
}

fn nft(fabric: &Fabric, words: &str) -> Result<String> {
    command::run(fabric.nodes[0].namespace.command("nft").args(words.split(' ')))
}
