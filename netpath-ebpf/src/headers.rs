//! From a frame to a packet: ARP, ICMP, neighbour discovery, VLAN tags, fragments, IPv4 options,
//! IPv6 extension headers, and what is broken.
//!
//! By global functions: the verifier looks at them once, on their own, and not at all that comes
//! after them once for every way through the headers. Before 5.13 such functions take the context and
//! numbers only, so that the packet comes by a map.

mod extension;
mod frame;

use core::{
    arch::asm,
    mem::{self, MaybeUninit},
};

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    programs::{TcContext, XdpContext},
};
use netpath_common::{Address, Kind, Mac, Packet, mac::MacWord};

use self::{
    extension::{BEHIND_AT, FRAGMENT, LATER_FRAGMENT, NOTHING, SHORT},
    frame::{Frame, Raw, Skb},
};
use crate::{
    maps::PARSED,
    parse::{ETH, Linear},
};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Extension headers that are followed before the rest counts as hidden.
const MAX_EXTENSIONS: usize = 8;

/// Parses the frame of an skb; `tagged` tells of a VLAN tag that is not in the frame any more.
#[inline(always)]
pub(crate) fn tc(ctx: &TcContext, tagged: bool, packet: &mut MaybeUninit<Packet>) {
    netpath_headers(ctx.skb.skb, u32::from(tagged));
    take(packet);
}

/// Parses a frame before it is an skb.
#[inline(always)]
pub(crate) fn xdp(ctx: &XdpContext, packet: &mut MaybeUninit<Packet>) {
    netpath_headers_xdp(ctx.ctx);
    take(packet);
}

/// Copies the packet that was just parsed.
#[inline(always)]
fn take(packet: &mut MaybeUninit<Packet>) {
    match PARSED.get(0) {
        Some(parsed) => packet.write(*parsed),
        None => packet.write(blank()),
    };
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn netpath_headers(skb: *mut __sk_buff, tagged: u32) -> u32 {
    parse(&Skb(&TcContext::new(skb)), tagged != 0)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn netpath_headers_xdp(xdp: *mut xdp_md) -> u32 {
    let ctx = XdpContext::new(xdp);
    parse(&Raw(&ctx, Linear::of_xdp(&ctx)), false)
}

/// Leaves the packet in `parsed`. The number says nothing: global functions return one.
#[inline(always)]
fn parse(of: &impl Frame, tagged: bool) -> u32 {
    let Some(parsed) = PARSED.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's own value of a per-CPU array, read as soon as it is written; programs do not
    // interrupt each other on a CPU.
    let packet = unsafe { &mut *parsed };
    *packet = blank();
    packet.kind = frame(of, tagged, packet).unwrap_or(Kind::Malformed);
    1
}

/// A packet without anything. LLVM makes a call of zeroes that it can see, and its `memset` is a
/// loop over bytes.
#[inline(always)]
fn blank() -> Packet {
    let zero: u64;
    // SAFETY: a register.
    unsafe { asm!("{zero} = 0", zero = out(reg) zero, options(pure, nomem, nostack)) };
    let address = Address::from_halves([zero, zero]);
    let mac = MacWord::from_word(zero);
    Packet {
        source: address,
        destination: address,
        speaks_for: address,
        source_mac: mac,
        destination_mac: mac,
        claimed_mac: mac,
        source_port: 0,
        destination_port: 0,
        transport: 0,
        protocol: 0,
        fragment: false,
        kind: Kind::Malformed,
        error: false,
    }
}

#[inline(always)]
fn load_u16(frame: &impl Frame, offset: usize) -> Option<u16> {
    Some(u16::from_be_bytes(frame.load(offset)?))
}

/// The kind of the frame; `None` if it is shorter than its headers say.
#[inline(always)]
fn frame(frame: &impl Frame, tagged: bool, packet: &mut Packet) -> Option<Kind> {
    packet.destination_mac = Mac::new(frame.load(0)?).word();
    packet.source_mac = Mac::new(frame.load(6)?).word();
    packet.claimed_mac = packet.source_mac;
    let mut offset = ETH;
    let mut ethertype = load_u16(frame, 12)?;
    let mut tagged = tagged;
    for _ in 0..2 {
        if ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ {
            tagged = true;
            ethertype = load_u16(frame, offset + 2)?;
            offset += 4;
        }
    }
    let kind = match ethertype {
        ETHERTYPE_IPV4 => ipv4(frame, offset, packet)?,
        ETHERTYPE_IPV6 => ipv6(frame, offset, packet)?,
        ETHERTYPE_ARP => arp(frame, offset, packet)?,
        _ => Kind::Other,
    };
    Some(match kind {
        Kind::Malformed => Kind::Malformed,
        _ if tagged => Kind::Tagged,
        kind => kind,
    })
}

/// ARP for IPv4 over Ethernet (RFC 826).
#[inline(always)]
fn arp(frame: &impl Frame, offset: usize, packet: &mut Packet) -> Option<Kind> {
    // Hardware and protocol type with their address lengths, then the operation. Another kind of
    // ARP resolves nothing that endpoints use.
    let [0, 1, 8, 0, 6, 4, 0, operation @ (1 | 2)] = frame.load(offset)? else {
        return Some(Kind::Other);
    };
    packet.claimed_mac = Mac::new(frame.load(offset + 8)?).word();
    packet.source = Address::v4(frame.load(offset + 14)?);
    packet.destination = Address::v4(frame.load(offset + 24)?);
    Some(if operation == 1 { Kind::ArpRequest } else { Kind::ArpReply })
}

#[inline(always)]
fn ipv4(frame: &impl Frame, offset: usize, packet: &mut Packet) -> Option<Kind> {
    let header: [u8; 20] = frame.load(offset)?;
    let words = usize::from(header[0] & 0xf);
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[0] >> 4 != 4 || words < 5 || !fits(frame, offset, total, words * 4) {
        return Some(Kind::Malformed);
    }
    packet.source = Address::v4([header[12], header[13], header[14], header[15]]);
    packet.speaks_for = packet.source;
    packet.destination = Address::v4([header[16], header[17], header[18], header[19]]);
    packet.protocol = header[9];
    let later_fragment = header[6] & 0x1f != 0 || header[7] != 0;
    packet.fragment = later_fragment || header[6] & 0x20 != 0;
    if later_fragment {
        return Some(Kind::Ip);
    }
    transport(frame, offset + words * 4, (ICMP, true), packet)
}

/// Whether a packet of `total` bytes, headers of `least` bytes included, lies in the frame. The
/// stack leaves the field 0 in GSO packets above 64 KiB (BIG TCP, 6.3).
#[inline(always)]
fn fits(frame: &impl Frame, offset: usize, total: usize, least: usize) -> bool {
    if total == 0 {
        return frame.length() > 0xffff;
    }
    total >= least && offset + total <= frame.length()
}

#[inline(always)]
fn ipv6(frame: &impl Frame, offset: usize, packet: &mut Packet) -> Option<Kind> {
    let start: [u8; 8] = frame.load(offset)?;
    packet.source = Address::v6(frame.load(offset + 8)?);
    packet.speaks_for = packet.source;
    packet.destination = Address::v6(frame.load(offset + 24)?);
    let payload = usize::from(u16::from_be_bytes([start[4], start[5]]));
    if start[0] >> 4 != 6
        || (payload == 0 && start[6] != 59 && frame.length() <= 0xffff)
        || offset + 40 + payload > frame.length()
    {
        return Some(Kind::Malformed);
    }
    let mut next = start[6];
    let (mut at, mut found) = (offset + 40, false);
    for _ in 0..MAX_EXTENSIONS {
        let behind = frame.behind(at, next);
        if behind == NOTHING {
            found = true;
            break;
        }
        if behind == SHORT {
            return None;
        }
        next = behind as u8;
        at = (behind >> BEHIND_AT) as usize;
        if behind & FRAGMENT != 0 {
            packet.fragment = true;
        }
        if behind & LATER_FRAGMENT != 0 {
            packet.protocol = next;
            return Some(Kind::Ip);
        }
    }
    // Behind the loop: in it, the verifier would follow all that comes for each of its rounds.
    if !found {
        return Some(Kind::DeepHeaders);
    }
    // An extension header that reaches beyond the frame.
    if at > frame.length() {
        return None;
    }
    packet.protocol = next;
    // Errors come without extension headers: the verifier is spared the ways through them.
    let quotes = at == offset + 40;
    transport(frame, at, (ICMPV6, quotes), packet)
}

/// What is behind the headers of an IP whose control messages have the number `control`, and may be
/// errors that quote a packet.
#[inline(always)]
fn transport(
    frame: &impl Frame,
    offset: usize,
    (control, quotes): (u8, bool),
    packet: &mut Packet,
) -> Option<Kind> {
    packet.transport = offset as u16;
    if packet.protocol == control {
        return icmp(frame, offset, quotes, packet);
    }
    ports(frame, offset, packet)?;
    Some(Kind::Ip)
}

/// ICMP and ICMPv6, and the neighbour discovery in it (RFC 4861).
#[inline(always)]
fn icmp(frame: &impl Frame, offset: usize, quotes: bool, packet: &mut Packet) -> Option<Kind> {
    let [kind, ..]: [u8; 8] = frame.load(offset)?;
    match (packet.protocol, kind) {
        // Unreachable, too big, time exceeded, parameter problem.
        (ICMP, 3 | 11 | 12) | (ICMPV6, 1..=4) if quotes && frame.has_flows() => {
            // Routers quote as much as they like.
            packet.error = error(frame, offset + 8, packet).is_some();
        }
        (ICMPV6, 134 | 137) => return Some(Kind::RouterMessage),
        (ICMPV6, 135) => {
            packet.destination = Address::v6(frame.load(offset + 8)?);
            claim(frame, offset + 24, 1, packet);
            return Some(Kind::Solicitation);
        }
        (ICMPV6, 136) => {
            packet.speaks_for = Address::v6(frame.load(offset + 8)?);
            claim(frame, offset + 24, 2, packet);
            return Some(Kind::Advertisement);
        }
        _ => ports(frame, offset, packet)?,
    }
    Some(Kind::Ip)
}

/// Ports, or the identifier of an echo in place of both.
#[inline(always)]
fn ports(frame: &impl Frame, offset: usize, packet: &mut Packet) -> Option<()> {
    match packet.protocol {
        // TCP, UDP, DCCP, SCTP, UDP-Lite.
        6 | 17 | 33 | 132 | 136 => {
            let [a, b, c, d]: [u8; 4] = frame.load(offset)?;
            packet.source_port = u16::from_ne_bytes([a, b]);
            packet.destination_port = u16::from_ne_bytes([c, d]);
        }
        protocol @ (ICMP | ICMPV6) => {
            let [kind, _, _, _, a, b]: [u8; 6] = frame.load(offset)?;
            if let (ICMP, 0 | 8) | (ICMPV6, 128 | 129) = (protocol, kind) {
                packet.source_port = u16::from_ne_bytes([a, b]);
                packet.destination_port = packet.source_port;
            }
        }
        _ => {}
    }
    Some(())
}

/// The flow of an ICMP error: what an answer to the packet that it quotes would be like.
#[inline(always)]
fn error(frame: &impl Frame, offset: usize, packet: &mut Packet) -> Option<()> {
    let (mut at, later_fragment);
    if packet.protocol == ICMP {
        let header: [u8; 20] = frame.load(offset)?;
        packet.speaks_for = Address::v4([header[16], header[17], header[18], header[19]]);
        packet.protocol = header[9];
        later_fragment = header[6] & 0x1f != 0 || header[7] != 0;
        at = offset + usize::from(header[0] & 0xf) * 4;
    } else {
        packet.speaks_for = Address::v6(frame.load(offset + 24)?);
        [packet.protocol] = frame.load(offset + 6)?;
        at = offset + 40;
        // Of extension headers a sender's own fragments matter.
        if packet.protocol == 44 {
            let [following, _, high, low]: [u8; 4] = frame.load(at)?;
            packet.protocol = following;
            later_fragment = high != 0 || low & 0xf8 != 0;
            at += 8;
        } else {
            later_fragment = false;
        }
    }
    if later_fragment {
        return None;
    }
    ports(frame, at, packet)?;
    mem::swap(&mut packet.source_port, &mut packet.destination_port);
    Some(())
}

/// The Ethernet address of the first option, if it is the link-layer address option `option`.
#[inline(always)]
fn claim(frame: &impl Frame, offset: usize, option: u8, packet: &mut Packet) {
    if let Some([kind, 1, a, b, c, d, e, f]) = frame.load::<8>(offset)
        && kind == option
    {
        packet.claimed_mac = Mac::new([a, b, c, d, e, f]).word();
    }
}
