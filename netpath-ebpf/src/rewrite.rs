//! Other addresses and ports in a packet's headers, and the checksums that cover them.
//!
//! By helpers, which know of checksums that the NIC is still to complete and of cloned packets.

use core::ptr;

use aya_ebpf::{
    bindings::{BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR},
    helpers::{bpf_csum_diff, bpf_csum_update},
    programs::TcContext,
};
use netpath_common::{Address, Packet, decide::Work};

use crate::parse::ETH;

/// A helper refused to change the packet.
pub(crate) struct Failed;

impl From<i64> for Failed {
    fn from(_: i64) -> Self {
        Self
    }
}

/// Offsets in IP headers.
const V4_CHECKSUM: usize = 10;
const V4_SOURCE: usize = 12;
const V6_SOURCE: usize = 8;

/// Bytes of both addresses, in the form of [`Address`].
const ENDS: u32 = 32;
/// Both ports, by the flags of the checksum helpers.
const PORTS: u64 = 4;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Makes a packet's headers what it has become.
#[inline(never)]
pub(crate) fn packet(ctx: &TcContext, work: &Work) -> Result<(), Failed> {
    let Work { packet, ends, key, .. } = work;
    // A packet begins with its addresses.
    let difference = difference(ends, ptr::from_ref(packet).cast());
    let ports = (
        pair(key.source_port, key.destination_port),
        pair(packet.source_port, packet.destination_port),
    );
    let transport = usize::from(packet.transport);
    if packet.error {
        quoted(ctx, work, difference, ports)?;
    } else if transport != 0 {
        let checksum = match packet.protocol {
            TCP => Some((transport + 16, 0)),
            // 0 stands for none.
            UDP => Some((transport + 6, u64::from(BPF_F_MARK_MANGLED_0))),
            _ => None,
        };
        if let Some((at, flags)) = checksum {
            addresses_changed(ctx, packet, at, difference, flags)?;
            if ports.0 != ports.1 {
                ctx.l4_csum_replace(at, ports.0.into(), ports.1.into(), flags | PORTS)
                    .map_err(|_| Failed)?;
            }
        }
        if ports.0 != ports.1 {
            ctx.store(transport, &ports.1, 0)?;
        }
    }
    addresses(ctx, ETH, &packet.source, &packet.destination, difference)
}

/// Writes the addresses of an IP header, and its checksum.
#[inline(always)]
fn addresses(
    ctx: &TcContext,
    header: usize,
    source: &Address,
    destination: &Address,
    difference: u64,
) -> Result<(), Failed> {
    if !source.is_v4() {
        ctx.store(header + V6_SOURCE, source, 0)?;
        return Ok(ctx.store(header + V6_SOURCE + 16, destination, 0)?);
    }
    ctx.l3_csum_replace(header + V4_CHECKSUM, 0, difference, 0).map_err(|_| Failed)?;
    let both = [source.to_words()[3], destination.to_words()[3]];
    Ok(ctx.store(header + V4_SOURCE, &both, 0)?)
}

/// Adds to a checksum that covers a pseudo header what its addresses changed by.
#[inline(always)]
fn addresses_changed(
    ctx: &TcContext,
    packet: &Packet,
    at: usize,
    difference: u64,
    flags: u64,
) -> Result<(), Failed> {
    let flags = flags | u64::from(BPF_F_PSEUDO_HDR);
    ctx.l4_csum_replace(at, 0, difference, flags).map_err(|_| Failed)?;
    if !packet.source.is_v4() {
        // The helper takes the sum that a NIC has made of the packet for changed, as IPv4's header
        // checksum would change it back. IPv6 has none: the transport's changes with its addresses, and
        // the sum of all stays (Linux 6.16 has a flag for it).
        // SAFETY: the helper takes any number.
        unsafe { bpf_csum_update(ctx.skb.skb, difference as u32) };
    }
    Ok(())
}

/// Makes the packet that an ICMP error quotes what its sender sent: it was translated on its way, so it is
/// the answers' tuple turned around.
#[inline(never)]
fn quoted(
    ctx: &TcContext,
    work: &Work,
    outer: u64,
    (before, after): (u32, u32),
) -> Result<(), Failed> {
    let Work { packet, key, .. } = work;
    let (checksum, header) = (usize::from(packet.transport) + 2, usize::from(packet.transport) + 8);
    let is_v4 = packet.source.is_v4();
    // So does a tuple, and a connection.
    let inner = difference(&[key.source, key.destination], ptr::from_ref(&work.connection).cast());
    if !is_v4 {
        addresses_changed(ctx, packet, checksum, outer, 0)?;
        ctx.l4_csum_replace(checksum, 0, inner, 0).map_err(|_| Failed)?;
    }
    addresses(ctx, header, &packet.destination, &work.connection.source, inner)?;
    let ports = if is_v4 {
        let first: u8 = ctx.load(header)?;
        header + usize::from(first & 0xf) * 4
    } else {
        header + 40
    };
    if before != after {
        ctx.l4_csum_replace(checksum, before.into(), after.into(), PORTS).map_err(|_| Failed)?;
        ctx.store(ports, &after.rotate_left(16), 0)?;
    }
    Ok(())
}

/// What a checksum changes by when `before` becomes the two addresses that begin with `after`.
#[inline(always)]
fn difference(before: &[Address; 2], after: *const Address) -> u64 {
    let before = before.as_ptr().cast::<u32>().cast_mut();
    // SAFETY: the helper reads as many bytes of both: two addresses stand behind each other there.
    unsafe { bpf_csum_diff(before, ENDS, after.cast::<u32>().cast_mut(), ENDS, 0).cast_unsigned() }
}

/// Both ports as they stand in a header.
#[inline(always)]
const fn pair(source: u16, destination: u16) -> u32 {
    if cfg!(target_endian = "little") {
        source as u32 | (destination as u32) << 16
    } else {
        (source as u32) << 16 | destination as u32
    }
}
