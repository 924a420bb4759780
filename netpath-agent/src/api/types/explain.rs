//! Questions to the decision, and its answers.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::Protocol;
use crate::{name::InterfaceName, route::Table};

/// A question to the decision.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Who sends: an address, or the name of an endpoint.
    pub source: String,
    /// To whom: an address, or the name of an endpoint.
    pub destination: String,
    /// icmp, tcp, udp or a number.
    #[serde(default)]
    pub protocol: Protocol,
    /// The sender's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// The receiver's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<u16>,
    /// The parent that the packet crosses; where only one can be meant, it is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<InterfaceName>,
    /// The mark that the host stack is asked with, as netfilter may have set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
}

/// The decision's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The hook that decides: egress for what this node sends, ingress for what comes to it.
    pub hook: String,
    /// What was asked, and answered on the way, in order.
    pub steps: Vec<Step>,
    /// What the packet becomes on its way, if it is to a Service, or of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translation: Option<Translation>,
    /// The answer.
    pub verdict: Verdict,
    /// The host stack's answer for the same packet; none to what never comes to the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelAnswer>,
    /// Both disagree on the device or the next hop.
    pub drift: bool,
}

/// What the host stack would do with a packet that reached it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum KernelAnswer {
    /// Send it.
    Sent {
        /// By this interface.
        interface: String,
        /// To this next hop; the destination itself, if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gateway: Option<IpAddr>,
        /// The table that says so.
        table: Table,
        /// With the address of the interface for its source, if the sender began.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        masqueraded: bool,
    },
    /// Take it for the node's own.
    Received,
    /// Neither.
    Refused {
        /// The kernel's word for it.
        reason: String,
    },
}

/// A question that the decision asked of a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// What was asked.
    pub question: String,
    /// What the table said.
    pub answer: String,
}

/// What becomes of a packet to a Service, or of one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Translation {
    /// Whom the receiver sees.
    pub source: SocketAddr,
    /// Who receives it.
    pub destination: SocketAddr,
    /// It belongs to a connection; else a backend would be chosen, of several perhaps another one.
    pub known: bool,
}

/// What happens to the packet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// Where it goes.
    pub path: String,
    /// Why.
    pub reason: String,
    /// What the program does with it.
    pub action: String,
    /// The next hop, where a route chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<IpAddr>,
}
