//! Extension headers of IPv6 (RFC 8200), one at a time: a global function for each way to read a frame.

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    programs::{TcContext, XdpContext},
};

use super::frame::{Frame, Raw, Skb};
use crate::parse::Linear;

/// Answers of [`behind`], beside the next header in the lowest byte and its offset from bit
/// [`BEHIND_AT`] on.
pub(super) const NOTHING: u64 = 1 << 8;
pub(super) const SHORT: u64 = 1 << 9;
pub(super) const FRAGMENT: u64 = 1 << 10;
pub(super) const LATER_FRAGMENT: u64 = 1 << 11;
pub(super) const BEHIND_AT: u32 = 16;

/// What follows an extension header of IPv6: [`NOTHING`] if `header` is none, [`SHORT`] if the frame ends
/// in it.
#[inline(always)]
pub(super) fn behind(frame: &impl Frame, at: usize, header: u8) -> u64 {
    // All begin with the next header and a length, but that of fragments.
    let units = match header {
        // Hop-by-hop options, routing, destination options, mobility, HIP, shim6: eight bytes and a
        // multiple of eight more.
        0 | 43 | 60 | 135 | 139 | 140 => 8,
        // Authentication: in units of four bytes, less two.
        51 => 4,
        // Fragment.
        44 => 0,
        _ => return NOTHING,
    };
    let Some([next, length, high, low]) = frame.load(at) else { return SHORT };
    let mut behind = u64::from(next) | (at as u64 + 8 + u64::from(length) * units) << BEHIND_AT;
    if header == 44 {
        if high != 0 || low & 0xf8 != 0 {
            behind |= FRAGMENT | LATER_FRAGMENT;
        } else if low & 1 != 0 {
            behind |= FRAGMENT;
        }
    }
    behind
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn netpath_behind(skb: *mut __sk_buff, at: u64, header: u32) -> u64 {
    behind(&Skb(&TcContext::new(skb)), at as usize, header as u8)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn netpath_behind_xdp(xdp: *mut xdp_md, at: u64, header: u32) -> u64 {
    let ctx = XdpContext::new(xdp);
    behind(&Raw(&ctx, Linear::of_xdp(&ctx)), at as usize, header as u8)
}
