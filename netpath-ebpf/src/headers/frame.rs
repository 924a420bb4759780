//! Bytes of a frame, as an skb and before it is one.

use core::mem::MaybeUninit;

use aya_ebpf::{
    helpers::bpf_skb_load_bytes,
    programs::{TcContext, XdpContext},
};

use super::extension::{netpath_behind, netpath_behind_xdp};
use crate::parse::Linear;

/// Reads bytes of a frame.
pub(super) trait Frame {
    /// Bytes from `offset`; `None` if the frame ends before.
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Bytes of the whole frame.
    fn length(&self) -> usize;

    /// [`behind`](super::extension::behind) as a global function.
    fn behind(&self, at: usize, header: u8) -> u64;

    /// Whether the decision asks of which flow a packet is. Where it does not, quoted packets are not
    /// read: the verifier would follow every way there behind every extension header.
    fn has_flows(&self) -> bool;
}

/// An skb, linear or not.
pub(super) struct Skb<'a>(pub(super) &'a TcContext);

impl Frame for Skb<'_> {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: the helper writes `N` bytes, zeroes if it fails.
        let result = unsafe {
            bpf_skb_load_bytes(
                self.0.skb.skb.cast(),
                offset as u32,
                bytes.as_mut_ptr().cast(),
                N as u32,
            )
        };
        // SAFETY: the helper has written them.
        (result == 0).then(|| unsafe { bytes.assume_init() })
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.0.len() as usize
    }

    #[inline(always)]
    fn behind(&self, at: usize, header: u8) -> u64 {
        netpath_behind(self.0.skb.skb, at as u64, header.into())
    }

    #[inline(always)]
    fn has_flows(&self) -> bool {
        true
    }
}

/// A frame before it is an skb. `bpf_xdp_load_bytes` is of 5.18: direct access instead.
pub(super) struct Raw<'a>(pub(super) &'a XdpContext, pub(super) Linear);

/// The verifier wants a bound for variable offsets into a packet.
const REACH: usize = 0x3ff;

impl Frame for Raw<'_> {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let Self(_, Linear { start, end }) = self;
        if offset > REACH {
            return None;
        }
        let at = start + (offset & REACH);
        if at + N > *end {
            return None;
        }
        // SAFETY: the bounds were checked; bytes need no alignment.
        Some(unsafe { (at as *const [u8; N]).read() })
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.1.length()
    }

    #[inline(always)]
    fn behind(&self, at: usize, header: u8) -> u64 {
        netpath_behind_xdp(self.0.ctx, at as u64, header.into())
    }

    #[inline(always)]
    fn has_flows(&self) -> bool {
        false
    }
}
