//! What wakes the agent: classic BPF that leaves out, in the kernel, all that is not about one
//! address.

use std::net::IpAddr;

use nix::libc;
use socket2::SockFilter;

use super::frame::ICMPV6;

/// Where the kernel's classification of a packet is read (`SKF_AD_PKTTYPE`).
const PACKET_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();

/// Passes frames that may be about `address`, on a socket of its family's protocol.
pub(super) fn about(address: IpAddr) -> Vec<SockFilter> {
    // A frame of a VLAN that has no device comes without its tag, marked as for another host
    // (`__netif_receive_skb_core`): who sent it is on another network.
    let other_host = u32::from(libc::PACKET_OTHERHOST);
    let mut filter = vec![load(libc::BPF_W, PACKET_TYPE), equal(other_host, 0, 1), verdict(0)];
    match address {
        // Sender or target of an ARP packet.
        IpAddr::V4(address) => filter.extend([
            load(libc::BPF_W, 28),
            equal(address.to_bits(), 3, 0),
            load(libc::BPF_W, 38),
            equal(address.to_bits(), 1, 0),
            verdict(0),
        ]),
        // Next header, and the target of a message of neighbour discovery.
        IpAddr::V6(address) => {
            let words = [96, 64, 32, 0].map(|shift| low_word(address.to_bits() >> shift));
            let target = (62..).step_by(4).zip(words).map(|(at, word)| (libc::BPF_W, at, word));
            let next = (libc::BPF_B, 20, u32::from(ICMPV6));
            for (size, at, value) in [next].into_iter().chain(target) {
                filter.extend([load(size, at), equal(value, 1, 0), verdict(0)]);
            }
        }
    }
    filter.push(verdict(u32::MAX));
    filter
}

/// Loads a number from the frame; the end of the frame refuses it.
fn load(size: u32, at: u32) -> SockFilter {
    instruction(libc::BPF_LD | size | libc::BPF_ABS, 0, 0, at)
}

/// Skips so many instructions if what was loaded is `value`, and so many if it is not.
fn equal(value: u32, then: u8, otherwise: u8) -> SockFilter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, then, otherwise, value)
}

/// Ends with so many bytes of the frame passed.
fn verdict(bytes: u32) -> SockFilter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, bytes)
}

#[expect(clippy::cast_possible_truncation, reason = "codes are of 16 bits")]
const fn instruction(code: u32, then: u8, otherwise: u8, value: u32) -> SockFilter {
    SockFilter::new(code as u16, then, otherwise, value)
}

#[expect(clippy::cast_possible_truncation, reason = "the word that is asked for")]
const fn low_word(bits: u128) -> u32 {
    bits as u32
}
