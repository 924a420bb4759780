//! How a node is, and the status that says it.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use super::ready::Ready;
use crate::kube::types::{NodeNetworkStatus, ParentStatus};

/// Warnings that an object bears; the agent has them all.
const WARNINGS: usize = 32;

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The agent's version.
    pub version: String,
    /// The parents that are configured, there or not.
    pub parents: Vec<ParentStatus>,
    /// How many pods are attached.
    pub pods: usize,
    /// How many addresses and ports of Services are translated.
    pub services: usize,
    /// The names of its blocks.
    pub blocks: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// Whether pods can be attached.
    pub ready: Ready,
}

impl Look {
    /// The status that follows one. `now` is when this was seen.
    pub(super) fn status(self, before: &NodeNetworkStatus, now: Timestamp) -> NodeNetworkStatus {
        let Self { version, parents, pods, services, blocks, warnings, ready } = self;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        NodeNetworkStatus {
            agent_version: version,
            parents,
            pods: count(pods),
            services: count(services),
            blocks,
            warnings: shorten(warnings),
            conditions: ready.tell(before.conditions.clone(), None, now),
            observed_at: Some(Time(now)),
        }
    }
}

fn shorten(mut warnings: Vec<String>) -> Vec<String> {
    if let Some(rest) = warnings.len().checked_sub(WARNINGS).filter(|rest| *rest > 0) {
        warnings.truncate(WARNINGS);
        warnings.push(format!("{rest} more; netpath status on the node tells them all"));
    }
    warnings
}

/// Whether two say the same of the node, whenever that was.
pub(super) fn same(one: &NodeNetworkStatus, other: &NodeNetworkStatus) -> bool {
    let timeless =
        |status: &NodeNetworkStatus| NodeNetworkStatus { observed_at: None, ..status.clone() };
    timeless(one) == timeless(other)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look(warnings: usize) -> Look {
        Look {
            version: "0.1.0".to_owned(),
            parents: vec![ParentStatus { name: "eth0".to_owned(), ..ParentStatus::default() }],
            pods: 3,
            services: 5,
            blocks: vec!["pods-10-0-0-0".to_owned()],
            warnings: (0..warnings).map(|number| number.to_string()).collect(),
            ready: Ready::yes("Ready", "pods can be attached"),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_status_says_what_was_seen() {
        let status = look(1).status(&NodeNetworkStatus::default(), at(1));
        let expected = json!({
            "agentVersion": "0.1.0", "pods": 3, "services": 5, "blocks": ["pods-10-0-0-0"],
            "parents": [{"name": "eth0", "attachment": "", "up": false, "endpoints": 0}],
            "warnings": ["0"], "observedAt": "1970-01-01T00:00:01Z",
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Ready",
                "message": "pods can be attached", "lastTransitionTime": "1970-01-01T00:00:01Z",
            }],
        });
        assert_eq!(serde_json::to_value(&status).expect("JSON"), expected);

        let later = look(1).status(&status, at(2));
        assert!(same(&status, &later) && status != later);
        let fewer = Look { pods: 2, ..look(1) }.status(&later, at(3));
        assert!(!same(&later, &fewer));
    }

    #[test]
    fn many_warnings_are_counted() {
        let status = |count| look(count).status(&NodeNetworkStatus::default(), at(1)).warnings;
        assert_eq!(status(WARNINGS).len(), WARNINGS);
        let many = status(WARNINGS + 8);
        assert_eq!(many.len(), WARNINGS + 1);
        assert_eq!(many[WARNINGS], "8 more; netpath status on the node tells them all");
    }
}
