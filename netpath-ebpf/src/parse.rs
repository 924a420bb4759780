//! From a frame to a packet: TCP and UDP over plain IP headers, in line and with direct packet
//! access. Everything else is `headers`'.

use core::{arch::asm, mem::MaybeUninit};

use aya_ebpf::programs::{TcContext, XdpContext};
use netpath_common::{Address, Kind, Packet, mac::MacWord};

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
    let linear = Linear::of_xdp(ctx);
    if linear.parse(linear.length(), packet).is_none() {
        headers::xdp(ctx, packet);
    }
    // SAFETY: one of the two has written it.
    unsafe { packet.assume_init_ref() }
}

/// The part of a packet that can be read directly.
pub(crate) struct Linear {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// One load instruction from a constant offset into the packet.
///
/// Headers lie at odd offsets behind the 14 bytes of Ethernet. The machine loads words from there
/// (kernels with `CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS`, as on x86-64 and arm64), but LLVM makes
/// byte loads and shifts of every unaligned read.
macro_rules! load {
    ($name:ident, $type:ty, $size:literal) => {
        #[inline(always)]
        fn $name<const OFFSET: usize>(&self) -> $type {
            let value: u64;
            // SAFETY: callers check the bounds first, and the verifier checks the callers.
            unsafe {
                asm!(
                    concat!("{value} = *(", $size, " *)({start} + {offset})"),
                    value = out(reg) value,
                    start = in(reg) self.start,
                    offset = const OFFSET,
                    options(pure, readonly, nostack),
                );
            }
            // SAFETY: as many bytes were loaded. LLVM would cut off the others.
            unsafe { <$type>::try_from(value).unwrap_unchecked() }
        }
    };
}

impl Linear {
    /// The whole frame, which XDP sees in one piece.
    ///
    /// Loaded by hand: for LLVM both ends are 32-bit numbers, which it extends by shifts when it
    /// hands them on, and the verifier allows no shift of a pointer.
    #[inline(always)]
    pub(crate) fn of_xdp(ctx: &XdpContext) -> Self {
        let (start, end);
        // SAFETY: `data` and `data_end` are the first two words of `struct xdp_md`.
        unsafe {
            asm!(
                "{start} = *(u32 *)({ctx} + 0)",
                "{end} = *(u32 *)({ctx} + 4)",
                ctx = in(reg) ctx.ctx,
                start = out(reg) start,
                end = lateout(reg) end,
                options(readonly, nostack),
            );
        }
        Self { start, end }
    }

    /// Bytes from start to end. By hand as well: the verifier allows this subtraction only.
    #[inline(always)]
    pub(crate) fn length(&self) -> usize {
        let mut length = self.end;
        // SAFETY: two registers.
        unsafe {
            asm!(
                "{length} -= {start}",
                length = inout(reg) length,
                start = in(reg) self.start,
                options(pure, nomem, nostack),
            );
        }
        length
    }

    load!(byte, u8, "u8");
    load!(half, u16, "u16");
    load!(word, u32, "u32");
    load!(double, u64, "u64");

    /// Parses the frequent packets; `None` is for `headers`.
    #[inline(always)]
    fn parse(&self, length: usize, packet: &mut MaybeUninit<Packet>) -> Option<()> {
        // What both families need is shorter in IPv4.
        if self.start + ETH + IPV4 + PORTS > self.end {
            return None;
        }
        match self.half::<12>() {
            ETHERTYPE_IPV4 => self.ipv4(length, packet),
            ETHERTYPE_IPV6 => self.ipv6(length, packet),
            _ => None,
        }
    }

    #[inline(always)]
    fn ipv4(&self, length: usize, packet: &mut MaybeUninit<Packet>) -> Option<()> {
        // Version 4, five words: no options. No more fragments, no offset.
        if self.byte::<ETH>() != 0x45 || self.half::<{ ETH + 6 }>() & 0x3fff_u16.to_be() != 0 {
            return None;
        }
        let total = usize::from(u16::from_be(self.half::<{ ETH + 2 }>()));
        if total < IPV4 + PORTS || ETH + total > length {
            return None;
        }
        let protocol = self.byte::<{ ETH + 9 }>();
        let source = Address::v4_from_word(self.word::<{ ETH + 12 }>());
        let destination = Address::v4_from_word(self.word::<{ ETH + 16 }>());
        self.finish::<{ ETH + IPV4 }, { ETH + IPV4 + 2 }>(source, destination, protocol, packet)
    }

    #[inline(always)]
    fn ipv6(&self, length: usize, packet: &mut MaybeUninit<Packet>) -> Option<()> {
        if self.start + ETH + IPV6 + PORTS > self.end || self.byte::<ETH>() >> 4 != 6 {
            return None;
        }
        let payload = usize::from(u16::from_be(self.half::<{ ETH + 4 }>()));
        if payload < PORTS || ETH + IPV6 + payload > length {
            return None;
        }
        let protocol = self.byte::<{ ETH + 6 }>();
        let source =
            Address::from_halves([self.double::<{ ETH + 8 }>(), self.double::<{ ETH + 16 }>()]);
        let destination =
            Address::from_halves([self.double::<{ ETH + 24 }>(), self.double::<{ ETH + 32 }>()]);
        self.finish::<{ ETH + IPV6 }, { ETH + IPV6 + 2 }>(source, destination, protocol, packet)
    }

    #[inline(always)]
    fn finish<const SOURCE_PORT: usize, const DESTINATION_PORT: usize>(
        &self,
        source: Address,
        destination: Address,
        protocol: u8,
        packet: &mut MaybeUninit<Packet>,
    ) -> Option<()> {
        if protocol != TCP && protocol != UDP {
            return None;
        }
        let source_mac = MacWord::from_word(self.double::<6>());
        packet.write(Packet {
            source,
            destination,
            speaks_for: source,
            source_mac,
            destination_mac: MacWord::from_word(self.double::<0>()),
            claimed_mac: source_mac,
            source_port: self.half::<SOURCE_PORT>(),
            destination_port: self.half::<DESTINATION_PORT>(),
            transport: SOURCE_PORT as u16,
            protocol,
            fragment: false,
            kind: Kind::Ip,
            error: false,
        });
        Some(())
    }
}
