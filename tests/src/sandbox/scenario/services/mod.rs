//! Services that netpath translates, while they change.

mod answerer;
mod churn;
mod dns;
mod ledger;
mod rules;

use super::Scenario;

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
    vec![
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
