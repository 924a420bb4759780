//! A parsed packet: what the decision needs to know of a frame.

use crate::{Address, mac::MacWord};

/// What the parser found in a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Packet {
    /// IP source; the sender's protocol address of ARP.
    pub source: Address,
    /// IP destination; the address asked for of [`Kind::ArpRequest`] and [`Kind::Solicitation`].
    pub destination: Address,
    /// Whom a [`Kind::Ip`] or [`Kind::Advertisement`] speaks for: its source; the target of an
    /// advertisement; the receiver of the packet that an ICMP error is about.
    pub speaks_for: Address,
    /// Ethernet source.
    pub source_mac: MacWord,
    /// Ethernet destination.
    pub destination_mac: MacWord,
    /// The Ethernet address that ARP or a neighbour discovery option claims for the sender; the
    /// Ethernet source where none is given.
    pub claimed_mac: MacWord,
    /// Source port in network order, an echo's identifier; 0 without one, or in a later fragment.
    /// An ICMP error has the ports and the protocol of an answer to the packet that it is about.
    pub source_port: u16,
    /// Destination port in network order, an echo's identifier.
    pub destination_port: u16,
    /// Bytes in front of the transport header; 0 in a later fragment.
    pub transport: u16,
    /// IP protocol number behind all extension headers.
    pub protocol: u8,
    /// A fragment, the first or another.
    pub fragment: bool,
    /// What it is.
    pub kind: Kind,
    /// An ICMP error, whose ports and protocol are those of an answer to the packet that it quotes.
    pub error: bool,
}

/// What a frame is to the decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// An IP packet that none of the other kinds names: nearly all of them.
    #[default]
    Ip,
    /// An ARP request.
    ArpRequest,
    /// An ARP reply.
    ArpReply,
    /// A neighbour solicitation.
    Solicitation,
    /// A neighbour advertisement.
    Advertisement,
    /// A router advertisement or a redirect: only routers send them.
    RouterMessage,
    /// A frame with a VLAN tag. Addresses are those of the IP or ARP packet inside, if any.
    Tagged,
    /// Neither IP nor ARP.
    Other,
    /// Shorter than its headers say, or headers that contradict each other.
    Malformed,
    /// More IPv6 extension headers than the parser follows.
    DeepHeaders,
}
