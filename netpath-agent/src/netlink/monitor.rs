//! Changes of this namespace, and of the namespaces that have a number here (`Netlink::number`).
//!
//! One socket hears them all (`NETLINK_LISTEN_ALL_NSID`, Linux 4.2): beside every message of another
//! namespace the kernel tells its number. rtnetlink's sockets hide that, so this one is read here.

use std::{collections::BTreeSet, io, mem::MaybeUninit};

use nix::libc;
use rtnetlink::{
    MulticastGroup,
    packet_route::route::RouteProtocol,
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};
use socket2::{MaybeUninitSlice, MsgHdrMut, SockRef};
use tokio::io::unix::AsyncFd;

use super::{Error, route::PROTOCOL};

const GROUPS: [MulticastGroup; 11] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
    MulticastGroup::Ipv4Netconf,
    MulticastGroup::Ipv6Netconf,
    MulticastGroup::Tc,
    MulticastGroup::Nsid,
];

/// `linux/rtnetlink.h`; the library has no name for it.
const RTM_NEWNETCONF: u16 = 80;

/// What changed. Nothing finer is told: whoever listens compares everything anyway, and a message
/// that the kernel had to drop then costs nothing but a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, none a state")]
pub struct Change {
    /// Links or addresses.
    pub links: bool,
    /// A qdisc or a filter was removed.
    pub hooks: bool,
    /// A rule, or a route of ours, was removed.
    pub policy: bool,
    /// A device's forwarding or source check was set.
    pub settings: bool,
    /// Links, addresses or routes of the namespaces with these numbers.
    pub elsewhere: BTreeSet<i32>,
    /// Messages were lost: anything may have changed.
    pub lost: bool,
}

/// Tells when something has changed.
#[derive(Debug)]
pub struct Monitor {
    socket: AsyncFd<Socket>,
    buffer: Vec<MaybeUninit<u8>>,
}

impl Monitor {
    /// Starts to listen in the namespace of the calling thread.
    pub fn start() -> Result<Self, Error> {
        let open = || -> io::Result<_> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind(&SocketAddr::new(0, 0))?;
            socket.set_listen_all_namespaces(true)?;
            for group in GROUPS {
                socket.add_membership(group as u32)?;
            }
            socket.set_non_blocking(true)?;
            // SAFETY: the socket keeps its descriptor for life, and nobody else can replace it.
            Ok(unsafe { AsyncFd::register(socket) }?)
        };
        let socket = open().map_err(Error::Connect)?;
        Ok(Self { socket, buffer: vec![MaybeUninit::uninit(); 32 << 10] })
    }

    /// Waits for the next change and takes all that are there with it.
    pub async fn changed(&mut self) -> Result<Change, Error> {
        let Self { socket, buffer } = self;
        let mut change = Change::default();
        while change == Change::default() {
            let mut ready = socket.readable().await.map_err(Error::Connect)?;
            loop {
                match ready.try_io(|socket| receive(socket.get_ref(), buffer)) {
                    Ok(Ok((bytes, number))) => change.add(&bytes, number),
                    Ok(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                        change.lost = true;
                    }
                    Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(Err(error)) => return Err(Error::Connect(error)),
                    Err(_would_block) => break,
                }
            }
        }
        Ok(change)
    }
}

impl Change {
    /// Takes in the messages of a datagram from the namespace with this number, or the own one.
    fn add(&mut self, datagram: &[u8], number: Option<i32>) {
        for (kind, body) in messages(datagram) {
            match (kind, number) {
                (
                    libc::RTM_NEWLINK
                    | libc::RTM_DELLINK
                    | libc::RTM_DELADDR
                    | libc::RTM_NEWROUTE
                    | libc::RTM_DELROUTE,
                    Some(number),
                ) => {
                    self.elsewhere.insert(number);
                }
                (
                    libc::RTM_NEWLINK | libc::RTM_DELLINK | libc::RTM_NEWADDR | libc::RTM_DELADDR,
                    None,
                ) => self.links = true,
                // Additions are our own doing, or nobody's business here.
                (libc::RTM_DELQDISC | libc::RTM_DELTFILTER, None) => self.hooks = true,
                (libc::RTM_DELRULE, None) => self.policy = true,
                // A node may learn and forget routes all the time.
                (libc::RTM_DELROUTE, None) if is_ours(body) => self.policy = true,
                (RTM_NEWNETCONF, None) => self.settings = true,
                _ => {}
            }
        }
    }
}

/// The types and bodies of a datagram's messages: `nlmsghdr` is length and type, and messages lie on
/// multiples of four bytes.
fn messages(datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let (header, behind) = rest.split_first_chunk::<16>()?;
        let [a, b, c, d, e, f, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?.max(16);
        let body = behind.get(..length - 16).unwrap_or(behind);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([e, f]), body))
    })
}

/// Whether a route bears our mark: `rtm_protocol` is the sixth byte of `struct rtmsg`.
fn is_ours(route: &[u8]) -> bool {
    route.get(5).is_some_and(|protocol| RouteProtocol::from(*protocol) == PROTOCOL)
}

/// One datagram, and the number of the namespace that it tells of, if it is not the own one.
fn receive(socket: &Socket, buffer: &mut [MaybeUninit<u8>]) -> io::Result<(Vec<u8>, Option<i32>)> {
    let mut control = [MaybeUninit::<u8>::uninit(); 64];
    let mut buffers = [MaybeUninitSlice::new(buffer)];
    let mut message = MsgHdrMut::new().with_buffers(&mut buffers).with_control(&mut control);
    let length = SockRef::from(socket).recvmsg(&mut message, 0)?;
    let controls = message.control_len();
    Ok((filled(buffer, length), number(&filled(&control, controls))))
}

fn filled(buffer: &[MaybeUninit<u8>], length: usize) -> Vec<u8> {
    let filled = &buffer[..length.min(buffer.len())];
    // SAFETY: the kernel has written `length` bytes from the start.
    filled.iter().map(|byte| unsafe { byte.assume_init() }).collect()
}

/// The number in the control messages: `cmsghdr` is length, level and type, and the first one is
/// the only one that was asked for.
fn number(control: &[u8]) -> Option<i32> {
    const WORD: usize = size_of::<usize>();
    let int = |at: usize| {
        let bytes = control.get(at..at + 4)?.try_into().ok()?;
        Some(i32::from_ne_bytes(bytes))
    };
    let ours = int(WORD)? == libc::SOL_NETLINK && int(WORD + 4)? == libc::NETLINK_LISTEN_ALL_NSID;
    if ours { int(WORD + 8) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(kinds: &[u16]) -> Vec<u8> {
        let message = |kind: &u16| {
            let mut bytes = 18_u32.to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.resize(20, 0);
            bytes
        };
        kinds.iter().flat_map(message).collect()
    }

    #[test]
    fn every_message_of_a_datagram_counts() {
        let mut change = Change::default();
        change.add(&datagram(&[libc::RTM_NEWROUTE, libc::RTM_DELTFILTER, RTM_NEWNETCONF]), None);
        assert_eq!(change, Change { hooks: true, settings: true, ..Change::default() });
        change.add(&datagram(&[libc::RTM_NEWADDR, libc::RTM_DELROUTE]), Some(7));
        assert_eq!(change.elsewhere, BTreeSet::from([7]));
        assert!(!change.links);
    }

    #[test]
    fn only_routes_of_ours_matter() {
        let deleted = |protocol: u8| {
            let mut bytes = 28_u32.to_ne_bytes().to_vec();
            bytes.extend(libc::RTM_DELROUTE.to_ne_bytes());
            bytes.resize(16 + 5, 0);
            bytes.push(protocol);
            bytes.resize(28, 0);
            let mut change = Change::default();
            change.add(&bytes, None);
            change.policy
        };
        assert!(deleted(PROTOCOL.into()));
        assert!(!deleted(u8::from(RouteProtocol::Kernel)));
    }

    #[test]
    fn broken_messages_end_the_datagram() {
        assert_eq!(messages(&[]).count(), 0);
        assert_eq!(messages(&[1; 15]).count(), 0);
        assert_eq!(messages(&[0; 16]).count(), 1);
        assert_eq!(messages(&[255; 40]).count(), 1);
    }

    #[test]
    fn the_number_stands_beside_the_message() {
        let mut control = 20_usize.to_ne_bytes().to_vec();
        control.extend(libc::SOL_NETLINK.to_ne_bytes());
        control.extend(libc::NETLINK_LISTEN_ALL_NSID.to_ne_bytes());
        control.extend(5_i32.to_ne_bytes());
        assert_eq!(number(&control), Some(5));
        assert_eq!(number(&control[..10]), None);
        assert_eq!(number(&[]), None);
        control[WORD_OF_LEVEL] ^= 1;
        assert_eq!(number(&control), None);
    }

    const WORD_OF_LEVEL: usize = size_of::<usize>();
}
