//! Services that netpath translates, while they change.

mod answerer;
mod churn;
mod dns;
mod ledger;
mod probes;
mod rules;

use std::{
    io::Read as _,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::Scenario;

/// How long a question waits; what is refused is refused at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// In the running kernel: emulated, a guest has no time for so many connections.
pub(super) fn scenarios() -> Vec<Scenario> {
    let churn = |name: &str, translate, restart| {
        Scenario::own(format!("native::services::churn_{name}"), move |bench| {
            churn::churn(bench, translate, restart)
        })
    };
    let dns = |name: &str, translate| {
        Scenario::own(format!("native::services::local_dns_{name}"), move |bench| {
            dns::local(bench, translate)
        })
    };
    let rules = |name: &str, translate| {
        Scenario::own(format!("native::services::rules_{name}"), move |bench| {
            rules::rules(bench, translate)
        })
    };
    let probes = |name: &str, translate| {
        Scenario::own(format!("native::services::probes_{name}"), move |bench| {
            probes::probes(bench, translate)
        })
    };
    vec![
        probes("by_packets", "packet"),
        probes("by_sockets", "auto"),
        rules("by_packets", "packet"),
        rules("by_sockets", "auto"),
        dns("by_packets", "packet"),
        dns("by_sockets", "auto"),
        churn("by_packets", "packet", false),
        churn("by_sockets", "auto", false),
        churn("by_packets_agent_killed", "packet", true),
        churn("by_sockets_agent_killed", "auto", true),
    ]
}

/// Which answerer answers a connection.
fn once(address: SocketAddr) -> Result<u8, String> {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut id = [0];
        stream.read_exact(&mut id)?;
        std::io::Result::Ok(id[0])
    };
    ask().map_err(|error| format!("{address}: {error}"))
}
