//! Telling neighbours where addresses are now.

use std::{net::IpAddr, time::Duration};

use netpath_common::Mac;
use socket2::{Domain, Socket, Type};

use super::{Error, frame, wire};
use crate::name::InterfaceName;

/// How often an address is announced unless configured otherwise
/// (`MAX_NEIGHBOR_ADVERTISEMENT` of RFC 4861; RFC 5227 has 2).
pub const ANNOUNCEMENTS: u32 = 3;

/// The time between two announcements of an address (`ANNOUNCE_INTERVAL` of RFC 5227).
pub const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);

/// Announces addresses on the interfaces of one namespace.
///
/// Its frames go straight to the device (`PACKET_QDISC_BYPASS`, Linux 3.14): netpath's own hooks
/// let nobody else speak for a pod.
#[derive(Debug)]
pub struct Announcer {
    socket: Socket,
}

impl Announcer {
    /// Opens a socket in the namespace of the calling thread.
    pub fn open() -> Result<Self, Error> {
        let open = || {
            // Without a protocol it receives nothing.
            let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
            socket.set_nonblocking(true)?;
            wire::bypass_qdisc(&socket)?;
            Ok(socket)
        };
        Ok(Self { socket: open().map_err(Error::Open)? })
    }

    /// Announces addresses: gratuitous ARP (RFC 5227, 3) and unsolicited neighbour advertisements
    /// (RFC 4861, 7.2.6), so that neighbours replace the Ethernet address that they have cached.
    /// To be repeated [`ANNOUNCEMENTS`] times, [`ANNOUNCE_INTERVAL`] apart.
    ///
    /// What the device has no place for is an error, but the rest goes out first. The interface
    /// must be up.
    pub fn announce(
        &self,
        (name, index): (&InterfaceName, u32),
        mac: Mac,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<(), Error> {
        let mut result = Ok(());
        for address in addresses {
            let frame = frame::announcement(mac, address);
            let to = wire::link_address(index, frame.protocol);
            if let Err(source) = wire::patient(|| self.socket.send_to(&frame.bytes, &to)) {
                let error = Error::socket("announce an address", name, source);
                if !error.is_drop() {
                    return Err(error);
                }
                result = Err(error);
            }
        }
        result
    }
}
