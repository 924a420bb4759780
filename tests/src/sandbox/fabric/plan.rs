//! What a fabric is made of: subnets, nodes, kinds of pods.

use super::Translate;
use crate::sandbox::address::Subnet;

/// Segments, and NICs of a node.
pub const SEGMENTS: usize = 4;

/// The nodes' subnet on a segment, and the pods'.
pub(super) const SUBNETS: [(Subnet, Subnet); SEGMENTS] = [
    (Subnet::NODES, Subnet::A),
    (Subnet::NODES2, Subnet::PODS2),
    (Subnet::NODES3, Subnet::PODS3),
    (Subnet::NODES4, Subnet::PODS4),
];

pub(super) const NODES: [(&str, u8); 2] = [("node1", 11), ("node2", 12)];

/// A kind of pod: the first letters of its names, its segment, its attachment, and whether the host
/// stack carries its packets.
#[derive(Clone, Copy, Debug)]
pub struct Sort {
    /// What its pods are called, before the number of their node.
    pub letter: &'static str,
    /// Its NIC and segment.
    pub segment: usize,
    /// As in the configuration.
    pub attachment: &'static str,
    /// Not accelerated.
    pub stack: bool,
}

const SORTS: [Sort; 8] = [
    Sort { letter: "i", segment: 0, attachment: "ipvlan-l2", stack: false },
    Sort { letter: "p", segment: 0, attachment: "policy-route", stack: false },
    Sort { letter: "m", segment: 1, attachment: "macvlan", stack: false },
    Sort { letter: "q", segment: 1, attachment: "policy-route", stack: false },
    Sort { letter: "s", segment: 2, attachment: "policy-route", stack: true },
    Sort { letter: "l", segment: 2, attachment: "ipvlan-l3", stack: false },
    Sort { letter: "t", segment: 3, attachment: "ipvlan-l3s", stack: false },
    Sort { letter: "x", segment: 3, attachment: "exclusive", stack: true },
];

impl Sort {
    /// Whether it takes its parent away.
    #[must_use]
    pub fn is_exclusive(self) -> bool {
        self.attachment == "exclusive"
    }

    pub(super) fn parent(self) -> String {
        nic(if self.is_exclusive() { SEGMENTS } else { self.segment })
    }
}

/// How the nodes are set up.
#[expect(clippy::struct_excessive_bools, reason = "what a fabric has, and has not by itself")]
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The generation of TC hooks, as in the configuration.
    pub attach: &'static str,
    /// ipvlan in L2 mode and macvlan change their places.
    pub swapped: bool,
    /// There are pods by the other modes of ipvlan, and with a NIC of their own, as well.
    pub all: bool,
    /// How many nodes: one, or two.
    pub nodes: usize,
    /// netpath translates what is sent to Services; else the host stack gets it.
    pub services: Option<Translate>,
    /// The nodes are in a Kubernetes cluster.
    pub cluster: bool,
    /// Where pods are is announced.
    pub announce: bool,
    /// The nodes' tables are as large as without a word in the configuration.
    pub large: bool,
    /// What else stands in the nodes' configuration.
    pub more: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            attach: "auto",
            swapped: false,
            all: false,
            nodes: NODES.len(),
            services: None,
            cluster: false,
            announce: false,
            large: false,
            more: "",
        }
    }
}

impl Plan {
    pub(super) fn sorts(self) -> impl Iterator<Item = Sort> {
        let wanted = move |sort: &Sort| self.all || !matches!(sort.letter, "l" | "t" | "x");
        SORTS.into_iter().filter(wanted).map(move |sort| match sort.letter {
            "i" | "m" if self.swapped => Sort { segment: 1 - sort.segment, ..sort },
            _ => sort,
        })
    }
}

/// The pods' subnet on a segment.
#[must_use]
pub const fn subnet(segment: usize) -> Subnet {
    SUBNETS[segment].1
}

/// What the NIC on a segment is called.
#[must_use]
pub fn nic(segment: usize) -> String {
    format!("eth{segment}")
}
