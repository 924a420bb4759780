//! Where sockets of the node's own network namespace are bound, as `/proc/net` tells.
//!
//! The kernel's socket diagnosis would be asked in fewer steps, but is a module that not every node has,
//! and tells its absence and a socket's by the same error.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::Protocol;

/// `TCP_LISTEN` of `net/tcp_states.h`.
const LISTENING: &str = "0A";

/// `TCP_CLOSE`: what the kernel says of a UDP socket that is connected to nobody.
const UNCONNECTED: &str = "07";

/// Sockets that take what comes from anybody: TCP's that listen, UDP's that are not connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound(HashSet<(Protocol, u16, IpAddr)>);

impl Bound {
    /// All of them, now.
    pub fn read() -> Result<Self, io::Error> {
        let mut bound = Self::default();
        for (file, protocol) in [
            ("/proc/net/tcp", Protocol::Tcp),
            ("/proc/net/tcp6", Protocol::Tcp),
            ("/proc/net/udp", Protocol::Udp),
            ("/proc/net/udp6", Protocol::Udp),
        ] {
            match File::open(file) {
                Ok(file) => bound.take(protocol, BufReader::new(file))?,
                // A kernel without the family.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(bound)
    }

    fn take(&mut self, protocol: Protocol, lines: impl io::BufRead) -> Result<(), io::Error> {
        for line in lines.lines().skip(1) {
            let line = line?;
            let mut words = line.split_ascii_whitespace().skip(1);
            let (Some(local), Some(state)) = (words.next(), words.nth(1)) else { continue };
            match (protocol, state) {
                (Protocol::Tcp, LISTENING) | (Protocol::Udp, UNCONNECTED) => {
                    self.0.extend(socket(local).map(|(address, port)| (protocol, port, address)));
                }
                // Those that listen come first, and there may be very many others.
                (Protocol::Tcp, _) => break,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether somebody takes what is sent to an address of the node and a port. A socket of any IPv6
    /// address is taken for one that IPv4 reaches as well, as it is unless its process says otherwise.
    #[must_use]
    pub fn reaches(&self, protocol: Protocol, address: IpAddr, port: u16) -> bool {
        let has = |address| self.0.contains(&(protocol, port, address));
        let any_v6 = IpAddr::from(Ipv6Addr::UNSPECIFIED);
        match address {
            IpAddr::V4(v4) => {
                has(address)
                    || has(Ipv4Addr::UNSPECIFIED.into())
                    || has(v4.to_ipv6_mapped().into())
                    || has(any_v6)
            }
            IpAddr::V6(_) => has(address) || has(any_v6),
        }
    }

    /// The ports that somebody is bound to, at whatever address.
    #[must_use]
    pub fn ports(&self) -> HashSet<(Protocol, u16)> {
        self.0.iter().map(|(protocol, port, _)| (*protocol, *port)).collect()
    }
}

/// An address and a port as the kernel writes them: words of the address in its own order of bytes.
fn socket(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let address = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            IpAddr::from(<[u8; 16]>::try_from(words.as_flattened()).ok()?)
        }
        _ => return None,
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn sockets_are_seen_while_they_are_bound() {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("listener");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("socket");
        let connected = TcpStream::connect(tcp.local_addr().expect("address")).expect("connected");
        let address = IpAddr::from([127, 0, 0, 1]);
        let port = |address: io::Result<std::net::SocketAddr>| address.expect("address").port();
        let (listens, receives) = (port(tcp.local_addr()), port(udp.local_addr()));
        let other = port(connected.local_addr());
        let bound = Bound::read().expect("sockets");
        assert!(bound.reaches(Protocol::Tcp, address, listens));
        assert!(bound.ports().contains(&(Protocol::Tcp, listens)));
        assert!(bound.reaches(Protocol::Udp, address, receives));
        assert!(!bound.reaches(Protocol::Tcp, [127, 0, 0, 2].into(), listens));
        assert!(!bound.ports().contains(&(Protocol::Tcp, other)));
        drop((tcp, udp));
        let bound = Bound::read().expect("sockets");
        assert!(!bound.reaches(Protocol::Tcp, address, listens));
        assert!(!bound.reaches(Protocol::Udp, address, receives));
    }

    #[test]
    fn any_address_is_every_address() {
        let any: IpAddr = "::".parse().expect("address");
        let bound = Bound([(Protocol::Udp, 53, any)].into());
        assert!(bound.reaches(Protocol::Udp, [10, 0, 0, 1].into(), 53));
        assert!(bound.reaches(Protocol::Udp, "fd00::1".parse().expect("address"), 53));
        let bound = Bound([(Protocol::Udp, 53, IpAddr::from([0; 4]))].into());
        assert!(bound.reaches(Protocol::Udp, [10, 0, 0, 1].into(), 53));
        assert!(!bound.reaches(Protocol::Udp, "fd00::1".parse().expect("address"), 53));
    }

    #[test]
    fn only_the_first_lines_of_tcp_are_read() {
        let text = "head\n\
            0: 0A14FEA9:0035 00000000:0000 0A x\n\
            1: 00000000000000000000000001000000:0050 0000:0000 0A x\n\
            2: 0100007F:0051 0100007F:0035 01 x\n\
            3: 0100007F:0052 00000000:0000 0A x\n";
        let mut bound = Bound::default();
        bound.take(Protocol::Tcp, text.as_bytes()).expect("lines");
        assert_eq!(bound.0.len(), 2);
        if cfg!(target_endian = "little") {
            assert!(bound.reaches(Protocol::Tcp, [169, 254, 20, 10].into(), 53));
            assert!(bound.reaches(Protocol::Tcp, "::1".parse().expect("address"), 80));
        }
    }
}
