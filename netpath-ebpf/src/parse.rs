//! From a frame to a packet: TCP and UDP over plain IP headers, in line and with direct packet
//! access. Everything else is `headers`'.

use core::mem::MaybeUninit;

use aya_ebpf::programs::{TcContext, XdpContext};
use netpath_common::{Address, Kind, Mac, Packet};

use crate::headers;

/// Bytes of an Ethernet header.
pub(crate) const ETH: usize = 14;
/// Bytes of an IPv4 header without options.
const IPV4: usize = 20;
/// Bytes of an IPv6 header.
const IPV6: usize = 40;
/// Bytes of both ports.
const PORTS: usize = 4;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Ethertypes as a little-endian load of the two bytes reads them.
const ETHERTYPE_IPV4: u16 = 0x0800_u16.to_be();
const ETHERTYPE_IPV6: u16 = 0x86dd_u16.to_be();

/// Parses the frame of an skb.
#[inline(always)]
pub(crate) fn tc<'a>(ctx: &TcContext, packet: &'a mut MaybeUninit<Packet>) -> &'a Packet {
    // SAFETY: the kernel hands every program a valid context.
    let tagged = unsafe { (*ctx.skb.skb).vlan_present } != 0;
    let linear = Linear { start: ctx.data(), end: ctx.data_end() };
    if tagged || linear.parse(ctx.len() as usize, packet).is_none() {
        headers::tc(ctx, tagged, packet);
    }
    // SAFETY: one of the two has written it.
    unsafe { packet.assume_init_ref() }
}

/// Parses a frame before it is an skb.
#[inline(always)]
pub(crate) fn xdp<'a>(ctx: &XdpContext, packet: &'a mut MaybeUninit<Packet>) -> &'a Packet {
    let linear = Linear { start: ctx.data(), end: ctx.data_end() };
    if linear.parse(linear.end - linear.start, packet).is_none() {
        headers::xdp(ctx, packet);
    }
    // SAFETY: one of the two has written it.
    unsafe { packet.assume_init_ref() }
}

/// The part of a packet that can be read directly.
struct Linear {
    start: usize,
    end: usize,
}

impl Linear {
    /// The value at `offset`, if it lies in the packet.
    #[inline(always)]
    fn at<T: Copy>(&self, offset: usize) -> Option<T> {
        if self.start + offset + size_of::<T>() > self.end {
            return None;
        }
        let at = (self.start + offset) as *const T;
        // SAFETY: the bounds were checked; T is made of bytes, and need not be aligned.
        Some(unsafe { at.read_unaligned() })
    }

    /// Four words from `offset`.
    #[inline(always)]
    fn address(&self, offset: usize) -> Option<Address> {
        Some(Address::from_words([
            self.at(offset)?,
            self.at(offset + 4)?,
            self.at(offset + 8)?,
            self.at(offset + 12)?,
        ]))
    }

    /// Three half-words from `offset`.
    #[inline(always)]
    fn mac(&self, offset: usize) -> Option<Mac> {
        Some(Mac::from_words([self.at(offset)?, self.at(offset + 2)?, self.at(offset + 4)?]))
    }

    /// Parses the frequent packets; `None` is for `headers`.
    #[inline(always)]
    fn parse(&self, length: usize, packet: &mut MaybeUninit<Packet>) -> Option<()> {
        match self.at::<u16>(12)? {
            ETHERTYPE_IPV4 => self.ipv4(length, packet),
            ETHERTYPE_IPV6 => self.ipv6(length, packet),
            _ => None,
        }
    }

    #[inline(always)]
    fn ipv4(&self, length: usize, packet: &mut MaybeUninit<Packet>) -> Option<()> {
        // One bounds check for all that is read here.
        if self.start + ETH + IPV4 + PORTS > self.end {
            return None;
        }
        // Version 4, five words: no options.
        if self.at::<u8>(ETH)? != 0x45 {
            return None;
        }
        let total = usize::from(u16::from_be(self.at(ETH + 2)?));
        if total < IPV4 + PORTS || ETH + total > length {
            return None;
        }
        // More fragments, or an offset.
        if self.at::<u16>(ETH + 6)? & 0x3fff_u16.to_be() != 0 {
            return None;
        }
        let source = Address::v4_from_word(self.at(ETH + 12)?);
        let destination = Address::v4_from_word(self.at(ETH + 16)?);
        self.finish(source, destination, self.at(ETH + 9)?, ETH + IPV4, packet)
    }

    #[inline(always)]
    fn ipv6(&self, length: usize, packet: &mut MaybeUninit<Packet>) -> Option<()> {
        if self.start + ETH + IPV6 + PORTS > self.end {
            return None;
        }
        if self.at::<u8>(ETH)? >> 4 != 6 {
            return None;
        }
        let payload = usize::from(u16::from_be(self.at(ETH + 4)?));
        if payload < PORTS || ETH + IPV6 + payload > length {
            return None;
        }
        let source = self.address(ETH + 8)?;
        let destination = self.address(ETH + 24)?;
        self.finish(source, destination, self.at(ETH + 6)?, ETH + IPV6, packet)
    }

    #[inline(always)]
    fn finish(
        &self,
        source: Address,
        destination: Address,
        protocol: u8,
        ports: usize,
        packet: &mut MaybeUninit<Packet>,
    ) -> Option<()> {
        if protocol != TCP && protocol != UDP {
            return None;
        }
        let source_mac = self.mac(6)?;
        packet.write(Packet {
            source,
            destination,
            // No advertisement: never read. Zeroing would be a call.
            target: destination,
            source_mac,
            destination_mac: self.mac(0)?,
            claimed_mac: source_mac,
            source_port: self.at(ports)?,
            destination_port: self.at(ports + 2)?,
            protocol,
            kind: Kind::Ip,
        });
        Some(())
    }
}
