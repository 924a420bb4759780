//! What the host stack's connection tracking knows of a flow (`NETLINK_NETFILTER`).

use std::{io, time::Duration};

use netpath_common::{Address, FlowKey};
use nix::libc;
use rtnetlink::sys::Socket;

use super::{
    attribute::{NESTED, attribute, attributes, be32, inside},
    message::{REQUEST, message, messages},
};

/// `IPCTNL_MSG_CT_GET` of `NFNL_SUBSYS_CTNETLINK` (`linux/netfilter/nfnetlink_conntrack.h`).
const GET: u16 = 1 << 8 | 1;

const TUPLE: u16 = 1;
const STATUS: u16 = 3;
const PROTOCOL_INFO: u16 = 4;
const TIMEOUT: u16 = 7;

const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const INFO_TCP: u16 = 1;
const TCP_STATE: u16 = 1;

/// A socket of netfilter's.
#[derive(Debug)]
pub struct Conntrack {
    socket: Socket,
    answer: Vec<u8>,
}

/// A connection, as the host stack tracks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// A word for how far it has come.
    pub state: &'static str,
    /// When it is forgotten unless a packet comes by.
    pub expires: Duration,
}

impl Conntrack {
    /// Opens a socket in the namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// The kernel has no nfnetlink.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: super::socket()?, answer: Vec::with_capacity(4096) })
    }

    /// The connection that packets with this tuple belong to, in either direction.
    ///
    /// # Errors
    ///
    /// The kernel tracks nothing, or can not be asked (`nf_conntrack_netlink`).
    pub fn find(&mut self, key: &FlowKey) -> io::Result<Option<Connection>> {
        for kind in kinds(key) {
            if let Some(found) = self.ask(key, *kind)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn ask(&mut self, key: &FlowKey, kind: u8) -> io::Result<Option<Connection>> {
        self.socket.send(&question(key, kind), 0)?;
        self.answer.clear();
        // The kernel answers before `send` returns.
        self.socket.recv(&mut self.answer, libc::MSG_DONTWAIT)?;
        let answer = messages(&self.answer).next().ok_or(io::ErrorKind::UnexpectedEof)?;
        match answer.attributes() {
            Ok(attributes) => Ok(Some(connection(attributes))),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The ICMP types that an echo's tuple may have; of other protocols one that nobody reads.
fn kinds(key: &FlowKey) -> &'static [u8] {
    match key.protocol {
        1 => &[8, 0],
        58 => &[128, 129],
        _ => &[0],
    }
}

fn question(key: &FlowKey, kind: u8) -> Vec<u8> {
    let FlowKey { source, destination, source_port, destination_port, protocol } = key;
    let v4 = source.is_v4();
    let place = |address: &Address| {
        let octets = address.octets;
        if v4 { octets[12..].to_vec() } else { octets.to_vec() }
    };
    // CTA_IP_V4_SRC and so on, CTA_PROTO_NUM and so on.
    let (from, to) = if v4 { (1, 2) } else { (3, 4) };
    let ends = [attribute(from, &place(source)), attribute(to, &place(destination))].concat();
    let mut ports = attribute(1, &[protocol.to_le_bytes()[0]]);
    let numbers: &[(u16, &[u8])] = match protocol {
        1 => &[(4, &source_port.to_ne_bytes()), (5, &[kind]), (6, &[0])],
        58 => &[(7, &source_port.to_ne_bytes()), (8, &[kind]), (9, &[0])],
        _ => &[(2, &source_port.to_ne_bytes()), (3, &destination_port.to_ne_bytes())],
    };
    ports.extend(numbers.iter().flat_map(|(kind, value)| attribute(*kind, value)));
    let tuple = [attribute(TUPLE_IP | NESTED, &ends), attribute(TUPLE_PROTOCOL | NESTED, &ports)];
    let tuple = attribute(TUPLE | NESTED, &tuple.concat());
    let family = if v4 { libc::AF_INET } else { libc::AF_INET6 };
    message(GET, REQUEST, family.to_le_bytes()[0], &tuple)
}

fn connection(bytes: &[u8]) -> Connection {
    let mut found = Connection { state: "unreplied", expires: Duration::ZERO };
    let mut tcp = None;
    for (kind, value) in attributes(bytes) {
        match kind {
            TIMEOUT => found.expires = Duration::from_secs(be32(value).into()),
            STATUS => found.state = status(be32(value)),
            PROTOCOL_INFO => tcp = inside(value, INFO_TCP).and_then(tcp_state),
            _ => {}
        }
    }
    found.state = tcp.unwrap_or(found.state);
    found
}

/// `IPS_SEEN_REPLY` and `IPS_ASSURED` of `linux/netfilter/nf_conntrack_common.h`.
const fn status(bits: u32) -> &'static str {
    match bits {
        bits if bits & 4 != 0 => "assured",
        bits if bits & 2 != 0 => "replied",
        _ => "unreplied",
    }
}

/// `enum tcp_conntrack` of `linux/netfilter/nf_conntrack_tcp.h`.
fn tcp_state(info: &[u8]) -> Option<&'static str> {
    let names = [
        "none",
        "syn-sent",
        "syn-recv",
        "established",
        "fin-wait",
        "close-wait",
        "last-ack",
        "time-wait",
        "close",
        "syn-sent",
    ];
    names.get(usize::from(*inside(info, TCP_STATE)?.first()?)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let tcp = attribute(INFO_TCP | NESTED, &attribute(TCP_STATE, &[7]));
        let bytes = [
            attribute(TUPLE | NESTED, &attribute(9, &[1, 2, 3])),
            attribute(STATUS, &[0, 0, 1, 0x0e]),
            attribute(TIMEOUT, &[0, 0, 0, 119]),
        ]
        .concat();
        let expires = Duration::from_secs(119);
        assert_eq!(connection(&bytes), Connection { state: "assured", expires });
        let bytes = [bytes, attribute(PROTOCOL_INFO | NESTED, &tcp)].concat();
        assert_eq!(connection(&bytes), Connection { state: "time-wait", expires });
        // Cut anywhere: no panic.
        for end in 0..bytes.len() {
            connection(&bytes[..end]);
        }
    }

    #[test]
    fn a_question_is_as_long_as_it_says() {
        for (protocol, length) in [(6, 20 + 4 + 20 + 28), (1, 20 + 4 + 20 + 36)] {
            let address = Address::v4([10, 0, 0, 1]);
            let key =
                FlowKey { source: address, destination: address, protocol, ..FlowKey::default() };
            let message = question(&key, 8);
            assert_eq!(message.len(), length);
            assert_eq!(message[..4], u32::try_from(length).unwrap().to_ne_bytes());
        }
    }
}
