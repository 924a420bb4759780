//! The ways to wire pods that are compared, and what each may cost.

use Exchange::{ExternalPod, HostPod, PodExternal, PodPod};
use Proto::{Tcp, Udp};

use super::{Exchange, network};
use crate::sandbox::{agent::Settings, probe::Proto};

/// How pods are wired.
#[derive(Debug)]
pub struct Wiring {
    /// The name in tables.
    pub name: &'static str,
    /// The wiring that it is compared with; its own name if it is one to compare with.
    pub reference: &'static str,
    /// What may cost how much at most.
    pub limits: &'static [Limit],
    pub(super) kind: Kind,
}

/// The most that an exchange by a protocol may cost, in hundredths of what it costs by the reference.
pub type Limit = (Exchange, Proto, u32);

/// How it is made.
#[derive(Debug)]
pub(super) enum Kind {
    /// Children of the node's NIC, in the words of `ip`, and one more for the node: the shim.
    Children(&'static str),
    /// veth pairs that the host stack routes between.
    Routed,
    /// What an agent with these settings makes.
    Netpath(Netpath),
}

/// Words as in the configuration file.
#[derive(Debug)]
pub(super) struct Netpath {
    attachment: &'static str,
    attach: &'static str,
    switching: &'static str,
    accelerate: bool,
    /// The agent is told what the wire is like, so that the programs know to whom to send.
    wire: bool,
}

const IPVLAN: &str = "ipvlan, shim";
const MACVLAN: &str = "macvlan, shim";
const ROUTED: &str = "veth, routed";

const NETPATH: Netpath = Netpath {
    attachment: "ipvlan-l2",
    attach: "auto",
    switching: "parent",
    accelerate: true,
    wire: false,
};

const BY_VETH: Netpath = Netpath { attachment: "policy-route", wire: true, ..NETPATH };

/// What the programs may add to what the kernel does anyway. These are floors, the aim is 103.
const BESIDE: &[Limit] = &[
    (ExternalPod, Tcp, 106),
    (PodExternal, Tcp, 106),
    (HostPod, Tcp, 106),
    (ExternalPod, Udp, 106),
    (PodExternal, Udp, 106),
    (HostPod, Udp, 106),
];

/// What the host stack does not do any more must be worth more than what the programs do.
const INSTEAD: &[Limit] = &[
    (ExternalPod, Tcp, 95),
    (PodExternal, Tcp, 95),
    (PodPod, Tcp, 95),
    (ExternalPod, Udp, 95),
    (PodExternal, Udp, 95),
    (PodPod, Udp, 95),
];

/// All of them. A reference stands before what is compared with it.
pub const WIRINGS: [Wiring; 11] = [
    reference(IPVLAN, Kind::Children("ipvlan mode l2")),
    compared("netpath ipvlan-l2", IPVLAN, BESIDE, NETPATH),
    compared("netpath ipvlan-l2, clsact", IPVLAN, &[], Netpath { attach: "netlink", ..NETPATH }),
    compared("netpath ipvlan-l2, driver", IPVLAN, &[], Netpath { switching: "driver", ..NETPATH }),
    reference(MACVLAN, Kind::Children("macvlan mode bridge")),
    compared("netpath macvlan", MACVLAN, &[], Netpath { attachment: "macvlan", ..NETPATH }),
    reference(ROUTED, Kind::Routed),
    compared("netpath policy-route", ROUTED, INSTEAD, BY_VETH),
    compared("netpath policy-route, clsact", ROUTED, &[], Netpath { attach: "netlink", ..BY_VETH }),
    compared(
        "netpath policy-route, host's routes",
        ROUTED,
        &[],
        Netpath { wire: false, ..BY_VETH },
    ),
    compared("netpath policy-route, stack", ROUTED, &[], Netpath { accelerate: false, ..BY_VETH }),
];

const fn reference(name: &'static str, kind: Kind) -> Wiring {
    Wiring { name, reference: name, limits: &[], kind }
}

const fn compared(
    name: &'static str,
    reference: &'static str,
    limits: &'static [Limit],
    netpath: Netpath,
) -> Wiring {
    Wiring { name, reference, limits, kind: Kind::Netpath(netpath) }
}

impl Netpath {
    /// The settings of the agent.
    pub(super) fn settings(&self) -> Settings {
        let Self { attachment, attach, switching, accelerate, wire } = *self;
        Settings {
            attachment: attachment.into(),
            attach: attach.into(),
            switching: switching.into(),
            accelerate,
            parent: if wire { network::of_the_wire() } else { String::new() },
            // Nobody else is here to be asked, or to be told later.
            more: "[announce]\nprobe = false\nannouncements = 0\n".into(),
            ..Settings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stand_before_what_is_compared_with_them() {
        for (at, wiring) in WIRINGS.iter().enumerate() {
            let before = WIRINGS[..=at].iter().map(|earlier| earlier.name);
            assert_eq!(before.filter(|name| *name == wiring.name).count(), 1, "{}", wiring.name);
            let mut before = WIRINGS[..=at].iter();
            assert!(before.any(|earlier| earlier.name == wiring.reference), "{}", wiring.name);
        }
    }
}
