//! Telling neighbours where addresses are now.

use std::{net::IpAddr, time::Duration};

use tokio::time;

use super::{Error, Interface, frame, wire::Wire};

/// How often an address is announced unless configured otherwise
/// (`MAX_NEIGHBOR_ADVERTISEMENT` of RFC 4861; RFC 5227 has 2).
pub const ANNOUNCEMENTS: u32 = 3;

/// The time between two announcements of an address (`ANNOUNCE_INTERVAL` of RFC 5227).
pub const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);

/// Announces addresses: gratuitous ARP (RFC 5227, 3) and unsolicited neighbour advertisements (RFC
/// 4861, 7.2.6), so that neighbours replace the Ethernet address that they have cached.
///
/// The first round goes out at once, the others [`ANNOUNCE_INTERVAL`] apart: to be spawned if
/// nobody wants to wait for them. It ends with an error when the interface goes away. An
/// announcement that a full queue or a hook drops is an error too, but the rest goes out first.
/// The interface must be up.
pub async fn announce(
    interface: &Interface,
    addresses: &[IpAddr],
    times: u32,
) -> Result<(), Error> {
    let wire = Wire::open(interface, None).await?;
    let frames = addresses.iter().map(|address| frame::announcement(interface.mac, *address));
    let frames: Vec<_> = frames.collect();
    let mut rounds = time::interval(ANNOUNCE_INTERVAL);
    let mut result = Ok(());
    for _ in 0..times {
        rounds.tick().await;
        for frame in &frames {
            match wire.send(frame).await {
                Err(error) if error.is_drop() => result = Err(error),
                sent => sent?,
            }
        }
    }
    result
}
