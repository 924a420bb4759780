//! How an endpoint is wired to its parent, as people choose it.

use std::net::IpAddr;

use clap::ValueEnum;
use netpath_common::Mac;
use serde::{Deserialize, Serialize};

use crate::{hash::fnv1a, netlink::LinkKind};

/// How an endpoint is wired to its parent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Attachment {
    /// An ipvlan child in L2 mode: it shares the parent's Ethernet address.
    #[default]
    IpvlanL2,
    /// An ipvlan child in L3 mode: it asks for no neighbours, the node's routes lead on.
    IpvlanL3,
    /// The same in L3S mode: the node's netfilter sees what it sends and what it receives.
    IpvlanL3s,
    /// A macvlan child: it has an Ethernet address of its own.
    Macvlan,
    /// A veth pair, with routes on both ends.
    PolicyRoute,
    /// The parent itself, as long as the pod lives; a veth pair beside it leads to the node.
    Exclusive,
}

impl Attachment {
    /// The name that people write and read.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.number().name()
    }

    /// What the maps have of it.
    #[must_use]
    pub const fn number(self) -> netpath_common::Attachment {
        match self {
            Self::IpvlanL2 => netpath_common::Attachment::IpvlanL2,
            Self::IpvlanL3 => netpath_common::Attachment::IpvlanL3,
            Self::IpvlanL3s => netpath_common::Attachment::IpvlanL3s,
            Self::Macvlan => netpath_common::Attachment::Macvlan,
            Self::PolicyRoute => netpath_common::Attachment::PolicyRoute,
            Self::Exclusive => netpath_common::Attachment::Exclusive,
        }
    }

    /// The kind of interface that netpath makes in the pod.
    #[must_use]
    pub const fn kind(self) -> LinkKind {
        match self {
            Self::IpvlanL2 | Self::IpvlanL3 | Self::IpvlanL3s => LinkKind::Ipvlan,
            Self::Macvlan => LinkKind::Macvlan,
            Self::PolicyRoute | Self::Exclusive => LinkKind::Veth,
        }
    }

    /// Whether the node reaches it by one end of a veth pair.
    #[must_use]
    pub fn has_device(self) -> bool {
        matches!(self, Self::PolicyRoute | Self::Exclusive)
    }

    /// Whether both can be on one parent. A parent's children are all of one kind and mode: the last
    /// one decides what the parent does with the packets that it receives.
    #[must_use]
    pub fn goes_with(self, other: Self) -> bool {
        let is_child = |it: Self| it != Self::PolicyRoute;
        !is_child(self) || !is_child(other) || self == other
    }

    /// Whether the host stack sends what the endpoint's sockets sent: the source may be one that
    /// netfilter put there, and the socket does not tell forgeries.
    #[must_use]
    pub fn is_sent_by_host(self) -> bool {
        matches!(self, Self::IpvlanL3 | Self::IpvlanL3s)
    }

    /// Whether the endpoint is on its parent's network with an Ethernet address of its own.
    #[must_use]
    pub fn is_on_the_wire(self) -> bool {
        self == Self::Macvlan
    }

    /// The Ethernet address that netpath gives to the endpoint with this primary address, unless it
    /// has its parent's.
    ///
    /// It follows from the address, which is unique in the network: a pod that is made anew, here or
    /// on another node, is found where it was. Locally administered, with 40 bits of a hash.
    #[must_use]
    pub fn mac(self, primary: IpAddr) -> Option<Mac> {
        match self {
            Self::IpvlanL2 | Self::IpvlanL3 | Self::IpvlanL3s => None,
            Self::Macvlan | Self::PolicyRoute | Self::Exclusive => {
                let [_, _, _, a, b, c, d, e] = match primary {
                    IpAddr::V4(v4) => fnv1a(&v4.octets()),
                    IpAddr::V6(v6) => fnv1a(&v6.octets()),
                }
                .to_be_bytes();
                Some(Mac::new([0x02, a, b, c, d, e]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_its_own_are_stable_and_differ() {
        let mac = |text: &str| Attachment::Macvlan.mac(text.parse().expect("address"));
        assert_eq!(mac("10.0.0.1"), mac("10.0.0.1"));
        assert_ne!(mac("10.0.0.1"), mac("10.0.0.2"));
        assert_ne!(mac("fd00:1::1"), mac("fd00:2::1"));
        assert_eq!(mac("10.0.0.1").expect("own").octets[0], 2);
        assert_eq!(Attachment::IpvlanL2.mac("10.0.0.1".parse().expect("address")), None);
    }

    #[test]
    fn the_name_is_what_is_written() {
        for attachment in Attachment::value_variants() {
            let written = serde_json::to_value(attachment).expect("text");
            assert_eq!(written, attachment.name());
            let choice = attachment.to_possible_value().expect("choice");
            assert_eq!(choice.get_name(), attachment.name());
        }
    }
}
