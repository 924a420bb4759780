//! Verdicts: a path and the reason for it.

use core::fmt;

use crate::{Hook, Mac, endpoint::NO_SLOT, mac::MacWord};

/// Where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Path {
    /// Nowhere.
    Drop = 0,
    /// An endpoint on this node.
    Local = 1,
    /// The node itself.
    Host = 2,
    /// The wire: a neighbour or the VPC router of the parent.
    Router = 3,
    /// The host stack: netfilter, ip rules, routes.
    Kernel = 4,
}

impl Path {
    /// All paths.
    pub const ALL: [Self; 5] = [Self::Drop, Self::Local, Self::Host, Self::Router, Self::Kernel];

    /// The path of a number in a map. The programs drop what they can not read.
    #[inline(always)]
    #[must_use]
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Drop),
            1 => Some(Self::Local),
            2 => Some(Self::Host),
            3 => Some(Self::Router),
            4 => Some(Self::Kernel),
            _ => None,
        }
    }

    /// The name that configuration, tables and JSON use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Local => "local",
            Self::Host => "host",
            Self::Router => "router",
            Self::Kernel => "kernel",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $value:literal, $name:literal;)+) => {
        /// Why a packet took its path. Drops are 64 and up.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Reason {
            $($(#[$doc])* $variant = $value,)+
        }

        impl Reason {
            /// All reasons.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reason of a number in a map.
            #[must_use]
            pub const fn from_u16(value: u16) -> Option<Self> {
                match value {
                    $($value => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The name that tables and JSON show.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

reasons! {
    /// The destination is an endpoint of this node.
    Endpoint = 0, "endpoint";
    /// The destination is one of the node's own addresses.
    HostAddress = 1, "host-address";
    /// A prefix of a route table.
    Route = 2, "route";
    /// No prefix of any table: on towards the parent's network.
    NoRoute = 3, "no-route";
    /// The host stack sent it, to no endpoint of this node.
    StackRouted = 4, "stack-routed";
    /// From the wire, neither to an endpoint nor to the node: the host stack's to forward.
    Transit = 5, "transit";
    /// It answers a flow that the host stack forwarded.
    Flow = 6, "flow";
    /// To a group address.
    Multicast = 7, "multicast";
    /// Neither IP nor ARP.
    NotIp = 8, "not-ip";
    /// VLAN-tagged: endpoints live on the untagged parent.
    Tagged = 9, "tagged";
    /// An ARP request or neighbour solicitation that netpath answered.
    NeighbourAnswered = 10, "neighbour-answered";
    /// ARP or neighbour discovery for the wire.
    Neighbour = 11, "neighbour";
    /// Without a source: DHCP, address probes, duplicate address detection.
    NoSource = 12, "no-source";
    /// A pod's packet for the node that the ipvlan driver switched.
    SwitchedInDriver = 13, "switched-in-driver";
    /// The endpoint's packets are left to the host stack: policy-route without acceleration.
    NotAccelerated = 14, "not-accelerated";

    /// To a Service, or from one: translated.
    Service = 15, "service";

    /// Truncated, or headers that contradict each other.
    Malformed = 64, "malformed";
    /// Too many IPv6 extension headers to find what they hide.
    DeepHeaders = 65, "deep-headers";
    /// The source belongs neither to the sender nor to this node.
    SourceNotOwned = 66, "source-not-owned";
    /// The Ethernet source is not the endpoint's.
    SourceMac = 67, "source-mac";
    /// The source is an endpoint on another parent.
    SourceParent = 68, "source-parent";
    /// The source can not be one: a group address, or none where one is needed.
    SourceInvalid = 69, "source-invalid";
    /// ARP or neighbour discovery that speaks for someone else.
    NeighbourForged = 70, "neighbour-forged";
    /// A router advertisement or redirect from an endpoint, or a redirect of the stack's to one.
    RouterForged = 71, "router-forged";
    /// A VLAN-tagged frame from an endpoint.
    TaggedEndpoint = 72, "tagged-endpoint";
    /// From the wire, with a source that is this node's.
    ClaimsLocalAddress = 73, "claims-local-address";
    /// A prefix whose path is drop holds the destination.
    Blackhole = 74, "blackhole";
    /// A prefix whose path is drop holds the source.
    BlackholeSource = 75, "blackhole-source";
    /// A prefix whose path is local, and no endpoint has the address.
    NoEndpoint = 76, "no-endpoint";
    /// The kernel path, while the node has no kernel entry.
    NoKernelEntry = 77, "no-kernel-entry";
    /// A program could not rewrite the packet.
    RewriteFailed = 78, "rewrite-failed";
    /// A pod's socket sent it, and the source is another pod's or the node's.
    SourceNamespace = 79, "source-namespace";
    /// It came by another device than the source's.
    SourceDevice = 80, "source-device";
    /// To an address of a Service, at a port that it does not have.
    NoService = 81, "no-service";
    /// To a Service that nobody answers for.
    NoBackend = 82, "no-backend";
    /// To a Service, from a prefix of the wire that it does not admit.
    ServiceSource = 83, "service-source";
    /// To a Service, and `connections` is full.
    ConnectionsFull = 84, "connections-full";
    /// To a Service, and no port is left to send from in the place of the client.
    NoPort = 85, "no-port";
    /// A later fragment of a packet to a Service, and the first one has not come by.
    ServiceFragment = 86, "service-fragment";
}

/// What the programs do with the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Leave it as it is, to the next program or to the stack.
    Pass,
    /// Drop it.
    Drop,
    /// Let a parent receive it: its rx_handler finds the child, or the stack takes it.
    Receive,
    /// Let the kernel entry receive it, so that no rx_handler takes it.
    Enter,
    /// Turn the question into its answer and let the parent receive it.
    Answer,
    /// The same, and send the answer by the parent.
    Reply,
    /// Let the other end of an endpoint's veth pair receive it, past the host's queues. Only at TC
    /// ingress (`bpf_redirect_peer`, Linux 5.10).
    Peer,
    /// Send it by an endpoint's device.
    Send,
    /// Send it by a parent, to the neighbour that [its own table](crate::Parent::next_hop) says, else the
    /// host's routes.
    Forward,
    /// Send it to the route's next hop on a parent: [`decide::next_hop`](crate::decide::next_hop).
    NextHop,
    /// It is to a Service, or comes from one: [`decide::translate`](crate::decide::translate) goes on.
    Translate,
}

/// Bits where hook, path and reason begin in the half of a [`CounterKey`](crate::CounterKey) that has
/// them.
const HOOK_AT: u32 = if cfg!(target_endian = "little") { 0 } else { 24 };
const PATH_AT: u32 = if cfg!(target_endian = "little") { 8 } else { 16 };
const REASON_AT: u32 = if cfg!(target_endian = "little") { 16 } else { 0 };

#[inline(always)]
const fn outcome(path: Path, reason: Reason) -> u32 {
    (path as u32) << PATH_AT | (reason as u32) << REASON_AT
}

/// What happens to a packet, why, and who is counted.
///
/// A flat structure: LLVM keeps its fields in registers, where it would copy the payloads of an
/// enum byte by byte. Path and reason are one number from the beginning, as they are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// See [`Verdict::path`] and [`Verdict::reason`].
    outcome: u32,
    /// What the programs do.
    pub action: Action,
    /// The host stack forwarded it for an endpoint: the answers take the kernel path.
    pub record: bool,
    /// Interface index of the device that receives or sends it; unused for [`Action::Pass`] and
    /// [`Action::Drop`].
    pub ifindex: u32,
    /// Slot of the endpoint that sent it, or [`NO_SLOT`].
    pub sender: u32,
    /// Slot of the endpoint that receives it, or [`NO_SLOT`].
    pub receiver: u32,
    /// Ethernet address of who receives it; the one to answer with for [`Action::Answer`] and
    /// [`Action::Reply`].
    pub mac: MacWord,
}

impl Verdict {
    /// A verdict that counts no endpoint.
    #[inline(always)]
    #[must_use]
    pub const fn new(path: Path, reason: Reason, action: Action) -> Self {
        Self {
            outcome: outcome(path, reason),
            action,
            record: false,
            ifindex: 0,
            sender: NO_SLOT,
            receiver: NO_SLOT,
            mac: MacWord::ZERO,
        }
    }

    /// Where the packet goes.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the part of a number")]
    pub const fn path(&self) -> Path {
        match Path::from_u8((self.outcome >> PATH_AT) as u8) {
            Some(path) => path,
            None => unreachable!(),
        }
    }

    /// Why it goes there.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match Reason::from_u16((self.outcome >> REASON_AT) as u16) {
            Some(reason) => reason,
            None => unreachable!(),
        }
    }

    /// What it is counted under, at a hook of a parent: the word of a
    /// [`CounterKey`](crate::CounterKey).
    #[inline(always)]
    #[must_use]
    pub const fn word(&self, parent: u32, hook: Hook) -> u64 {
        let half = self.outcome | (hook as u32) << HOOK_AT;
        if cfg!(target_endian = "little") {
            (half as u64) << 32 | parent as u64
        } else {
            (parent as u64) << 32 | half as u64
        }
    }

    /// Leave the packet as it is.
    #[inline(always)]
    #[must_use]
    pub const fn pass(path: Path, reason: Reason) -> Self {
        Self::new(path, reason, Action::Pass)
    }

    /// Drop the packet.
    #[inline(always)]
    #[must_use]
    pub const fn drop(reason: Reason) -> Self {
        Self::new(Path::Drop, reason, Action::Drop)
    }

    /// Go on with [`decide::translate`](crate::decide::translate), which comes to a verdict of its own.
    #[inline(always)]
    #[must_use]
    pub const fn translate() -> Self {
        Self::new(Path::Kernel, Reason::Service, Action::Translate)
    }

    /// The same verdict, with the device that receives the packet.
    #[inline(always)]
    #[must_use]
    pub const fn at(self, ifindex: u32, mac: Mac) -> Self {
        Self { ifindex, mac: mac.word(), ..self }
    }

    /// The same verdict, with the endpoint that sent the packet.
    #[inline(always)]
    #[must_use]
    pub const fn from(self, slot: u32) -> Self {
        Self { sender: slot, ..self }
    }

    /// The same verdict, with the endpoint that receives the packet.
    #[inline(always)]
    #[must_use]
    pub const fn to(self, slot: u32) -> Self {
        Self { receiver: slot, ..self }
    }

    /// The same verdict, for another reason.
    #[inline(always)]
    #[must_use]
    pub const fn because(self, reason: Reason) -> Self {
        let path = self.outcome & 0xff << PATH_AT;
        Self { outcome: path | (reason as u32) << REASON_AT, ..self }
    }

    /// The same verdict, carried out in another way.
    #[inline(always)]
    #[must_use]
    pub const fn acting(self, action: Action) -> Self {
        Self { action, ..self }
    }

    /// The same verdict, with the answers noted as a flow or not.
    #[inline(always)]
    #[must_use]
    pub const fn recorded(self, record: bool) -> Self {
        Self { record, ..self }
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outcome: _, action, record, ifindex, sender, receiver, mac } = self;
        f.debug_struct("Verdict")
            .field("path", &self.path())
            .field("reason", &self.reason())
            .field("action", action)
            .field("record", record)
            .field("ifindex", ifindex)
            .field("sender", sender)
            .field("receiver", receiver)
            .field("mac", mac)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CounterKey;

    #[test]
    fn what_is_counted_is_the_verdict() {
        let verdict = Verdict::drop(Reason::NoEndpoint).because(Reason::Blackhole);
        assert_eq!((verdict.path(), verdict.reason()), (Path::Drop, Reason::Blackhole));
        let verdict = Verdict::pass(Path::Router, Reason::Multicast);
        let (path, reason) = (Path::Router as u8, Reason::Multicast as u16);
        let key = CounterKey { parent: 7, hook: Hook::ToEndpoint as u8, path, reason };
        assert_eq!(verdict.word(7, Hook::ToEndpoint), key.word());
    }
}
