//! The flows that take the kernel path: they outlive the agent, and end when the host stack forgets
//! them.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde::Deserialize;

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    address::{Dual, Family},
    agent::Agent,
    command,
    fabric::{Fabric, Plan},
    kernel,
    namespace::Namespace,
    probe::{Patience, Proto, probe},
    server::ECHO_PORT,
    wait,
};

/// Once: the oldest kernel answers as the others do.
pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |bench: &Bench| {
        if kernel::is(6, 1)? || kernel::is(6, 12)? || kernel::is(7, 3)? {
            return Ok(Outcome::Ignored("it runs on Linux 5.10".to_owned()));
        }
        age(bench)
    };
    vec![Scenario::own("flows::age", scenario)]
}

/// Only netfilter knows it; the remote host is behind it.
const SERVICE: Dual =
    Dual { v4: Ipv4Addr::new(10, 96, 0, 10), v6: Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 0xa) };

/// Connections that are over are forgotten at once, as far as netfilter lets us: it counts seconds.
const TIMEOUTS: [(&str, &str); 4] = [
    ("netfilter/nf_conntrack_udp_timeout", "1"),
    ("netfilter/nf_conntrack_udp_timeout_stream", "1"),
    ("netfilter/nf_conntrack_tcp_timeout_time_wait", "1"),
    ("netfilter/nf_conntrack_tcp_timeout_last_ack", "1"),
];

/// For the agent to look, and to find a flow old enough.
const SOON: Duration = Duration::from_mins(1);

/// A row of `netpath flow list`.
#[derive(Debug, Deserialize)]
struct Flow {
    protocol: String,
    state: Option<String>,
    expires_seconds: Option<u64>,
}

fn age(bench: &Bench) -> Result<Outcome> {
    let plan = Plan { nodes: 1, ..Plan::default() };
    let mut fabric = Fabric::build(&bench.programs, plan)?;
    let _servers = fabric.start_servers()?;
    translate(&fabric)?;
    fabric.nodes[0].namespace.sysctl(&TIMEOUTS)?;
    let pod = &fabric.pods.iter().find(|pod| pod.node == 0).context("no pod")?.namespace;
    let mut open = Vec::new();
    for family in Family::BOTH {
        let service = SERVICE.of(family);
        ensure!(probe(pod, service, Proto::Udp, Patience::EXPECTED)?, "{service}: no answer");
        open.push(connect(pod, SocketAddr::new(service, ECHO_PORT))?);
    }
    let list = flows(&fabric.agents[0])?;
    let of = |list: &[Flow], protocol| list.iter().filter(|it| it.protocol == protocol).count();
    ensure!(of(&list, "udp") > 0 && is_established(&list), "{list:?}");

    let files = fabric.agents.remove(0).end(Signal::SIGTERM)?;
    let config = fs::read_to_string(&files.config)?;
    let often = config.replace("[datapath]\n", "[datapath]\nreconcile_seconds = 1\n");
    fs::write(&files.config, often)?;
    let agent = Agent::start(&bench.programs, &fabric.nodes[0], &files)?;
    fabric.agents.insert(0, agent);
    let agent = &fabric.agents[0];
    ensure!(is_established(&flows(agent)?), "the agent forgot flows: {:?}", flows(agent)?);

    wait::until("the flows of UDP end", SOON, || {
        Ok((of(&flows(agent)?, "udp") == 0).then_some(()))
    })?;
    ensure!(is_established(&flows(agent)?), "open connections were forgotten");
    open.iter_mut().try_for_each(echo)?;
    drop(open);
    wait::until("the flows of TCP end", SOON, || Ok(flows(agent)?.is_empty().then_some(())))?;
    Ok(Outcome::Passed)
}

fn flows(agent: &Agent) -> Result<Vec<Flow>> {
    serde_json::from_value(agent.netpath_json(&["flow", "list"])?).context("read the flows")
}

/// Four of them, two a family: what the backend answers, and what the pod does.
fn is_established(list: &[Flow]) -> bool {
    let long = |flow: &&Flow| {
        flow.state.as_deref() == Some("established")
            && flow.expires_seconds.is_some_and(|seconds| seconds > 600)
    };
    list.iter().filter(long).count() == 4
}

fn connect(from: &Namespace, to: SocketAddr) -> Result<TcpStream> {
    let connect = || Ok(TcpStream::connect_timeout(&to, SOON)?);
    let mut connection = from.enter(connect).with_context(|| format!("connect to {to}"))?;
    connection.set_read_timeout(Some(SOON))?;
    echo(&mut connection)?;
    Ok(connection)
}

fn echo(connection: &mut TcpStream) -> Result<()> {
    connection.write_all(b"netpath")?;
    let mut answer = [0; 7];
    connection.read_exact(&mut answer).context("no echo")?;
    Ok(())
}

/// The Service, on the first node.
fn translate(fabric: &Fabric) -> Result<()> {
    let Dual { v4, v6 } = fabric.remote.address;
    let rules = format!(
        "table inet flows {{
            chain prerouting {{
                type nat hook prerouting priority dstnat;
                ip daddr {} dnat ip to {v4}
                ip6 daddr {} dnat ip6 to {v6}
            }}
        }}\n",
        SERVICE.v4, SERVICE.v6
    );
    let mut nft = fabric.nodes[0].namespace.command("nft");
    command::run_with_input(nft.args(["-f", "-"]), &rules).context("set up a Service")?;
    Ok(())
}
