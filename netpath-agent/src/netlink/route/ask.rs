//! Asking the host stack where it would send a packet (`RTM_GETROUTE`).

use std::net::IpAddr;

use futures::TryStreamExt as _;
use rtnetlink::packet_route::{
    AddressFamily,
    route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteType},
};

use super::list;
use crate::netlink::{Error, Netlink};

/// A packet that the host stack has to find a way for.
#[derive(Clone, Copy, Debug)]
pub struct Inquiry {
    /// Who sent it.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// Interface index of the device that it came by; `None` for what the node itself sends.
    pub input: Option<u32>,
    /// IP protocol number.
    pub protocol: u8,
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// Its mark (`skb->mark`).
    pub mark: u32,
}

/// What the host stack would do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Send it by an interface.
    Sent {
        /// Its index.
        index: u32,
        /// The next hop; `None`: the destination itself.
        gateway: Option<IpAddr>,
        /// The table that says so.
        table: u32,
    },
    /// Take it for the node's own.
    Received,
    /// Neither: the kernel's word for why.
    Refused(String),
}

/// The protocols whose ports the kernel lets one ask with (Linux 5.0).
const WITH_PORTS: [u8; 2] = [6, 17];

impl Netlink {
    /// Asks where a packet would go, source check (`rp_filter`) included. That the kernel refuses to
    /// route it is an answer as well, such as EINVAL from a `blackhole`.
    pub async fn way_of(&self, inquiry: &Inquiry) -> Result<Answer, Error> {
        let question = self.handle.route().get(message(inquiry));
        let action = || format!("ask for the way to {}", inquiry.destination);
        let answers: Result<Vec<_>, _> =
            question.execute().try_collect().await.map_err(Error::request(action));
        match answers {
            Ok(answers) => Ok(answers.first().map_or(Answer::Received, read)),
            Err(Error::Request { source, .. }) => Ok(Answer::Refused(source.to_string())),
            Err(error) => Err(error),
        }
    }
}

fn message(inquiry: &Inquiry) -> RouteMessage {
    let Inquiry { source, destination, input, protocol, source_port, destination_port, mark } =
        *inquiry;
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    let (family, length) = match destination {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    header.address_family = family;
    (header.source_prefix_length, header.destination_prefix_length) = (length, length);
    // Else IPv4 answers that it was the main table, whichever it was; IPv6 tells anyway, and refuses
    // the flag.
    if destination.is_ipv4() {
        header.flags = RouteFlags::LookupTable;
    }
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Source(RouteAddress::from(source)));
    attributes.push(RouteAttribute::Destination(RouteAddress::from(destination)));
    attributes.extend(input.map(RouteAttribute::Iif));
    if WITH_PORTS.contains(&protocol) {
        attributes.push(RouteAttribute::IpProto(protocol));
        attributes.push(RouteAttribute::Sport(source_port));
        attributes.push(RouteAttribute::Dport(destination_port));
    }
    if mark != 0 {
        attributes.push(RouteAttribute::Mark(mark));
    }
    message
}

fn read(message: &RouteMessage) -> Answer {
    let header = &message.header;
    let (mut sent, mut by, mut from) = (None, None, u32::from(header.table));
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => sent = Some(*index),
            RouteAttribute::Gateway(address) => by = list::plain(address),
            RouteAttribute::Table(table) => from = *table,
            _ => {}
        }
    }
    match (&header.kind, sent) {
        (RouteType::Unicast, Some(index)) => Answer::Sent { index, gateway: by, table: from },
        (RouteType::Local | RouteType::Broadcast | RouteType::Anycast, _) => Answer::Received,
        (kind, _) => Answer::Refused(format!("{kind:?}").to_lowercase()),
    }
}
