//! What wakes the agent: classic BPF that leaves out, in the kernel, all that is not about certain
//! addresses.

use std::net::IpAddr;

use nix::libc;
use socket2::SockFilter;

use super::frame::ICMPV6;

/// Where the kernel's classification of a packet is read (`SKF_AD_PKTTYPE`).
const PACKET_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();

/// Passes frames that may be about one of `addresses`, all of one family, on a socket of its
/// protocol.
pub(super) fn about(addresses: &[IpAddr]) -> Vec<SockFilter> {
    // A frame of a VLAN that has no device comes without its tag, marked as for another host
    // (`__netif_receive_skb_core`): who sent it is on another network.
    let other_host = u32::from(libc::PACKET_OTHERHOST);
    let mut filter = vec![load(libc::BPF_W, PACKET_TYPE), equal(other_host, 0, 1), verdict(0)];
    if addresses.iter().any(IpAddr::is_ipv6) {
        // Next header.
        filter.extend([load(libc::BPF_B, 20), equal(u32::from(ICMPV6), 1, 0), verdict(0)]);
    }
    for address in addresses {
        match address {
            // Sender or target of an ARP packet.
            IpAddr::V4(address) => filter.extend([
                load(libc::BPF_W, 28),
                equal(address.to_bits(), 2, 0),
                load(libc::BPF_W, 38),
                equal(address.to_bits(), 0, 1),
            ]),
            // The target of a message of neighbour discovery; one word that differs leads behind
            // the verdict.
            IpAddr::V6(address) => {
                let words = [96, 64, 32, 0].map(|shift| low_word(address.to_bits() >> shift));
                for ((at, word), behind) in (62..).step_by(4).zip(words).zip([7, 5, 3, 1]) {
                    filter.extend([load(libc::BPF_W, at), equal(word, 0, behind)]);
                }
            }
        }
        filter.push(verdict(u32::MAX));
    }
    filter.push(verdict(0));
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
