//! A system call on a socket, and the address that it names.

use core::{ffi::c_void, mem::offset_of};

use aya_ebpf::{
    Global,
    bindings::{bpf_sock, bpf_sock_addr},
    helpers::bpf_set_retval,
    programs::SockAddrContext,
};
use netpath_common::Address;

/// Families that programs are made for. A socket of the other one may call those of IPv4.
pub(crate) const V4: u8 = 4;
pub(crate) const V6: u8 = 6;

const TCP: u32 = 6;
const UDP: u32 = 17;

/// Lets the call go on.
pub(crate) const ALLOW: i32 = 1;

/// Makes the call fail, with EPERM unless something else was said.
const REFUSE: i32 = 0;

/// What a call fails with, of `errno.h`.
pub(crate) const CONNECTION_REFUSED: i32 = 111;
pub(crate) const ADDRESS_IN_USE: i32 = 98;

/// Whether programs may say what a call fails with (`bpf_set_retval`, here since Linux 6.1), set at
/// load.
#[unsafe(no_mangle)]
static SOCKET_ERRORS: Global<u32> = Global::new(0);

/// Makes the call fail, with this error if the kernel can.
#[inline(always)]
pub(crate) fn refuse(error: i32) -> i32 {
    // A constant to the verifier: an unknown helper does not matter in dead code.
    if SOCKET_ERRORS.load() != 0 {
        // SAFETY: the helper only notes what the call returns.
        unsafe { bpf_set_retval(-error) };
    }
    REFUSE
}

/// Where a call names the words of an address.
const WORDS: [usize; 4] = {
    let first = offset_of!(bpf_sock_addr, user_ip6);
    [first, first + 4, first + 8, first + 12]
};

/// A call on a socket.
pub(crate) struct Call<const FAMILY: u8> {
    context: *mut bpf_sock_addr,
}

impl<const FAMILY: u8> Call<FAMILY> {
    #[inline(always)]
    pub(crate) fn new(ctx: &SockAddrContext) -> Self {
        Self { context: ctx.sock_addr }
    }

    /// What helpers take.
    #[inline(always)]
    pub(crate) fn context(&self) -> *mut c_void {
        self.context.cast()
    }

    /// The protocol, if it is one that Services have.
    #[inline(always)]
    pub(crate) fn protocol(&self) -> Option<u8> {
        match self.load(offset_of!(bpf_sock_addr, protocol)) {
            protocol @ (TCP | UDP) => Some(protocol as u8),
            _ => None,
        }
    }

    /// The socket.
    #[inline(always)]
    pub(crate) fn socket(&self) -> *mut bpf_sock {
        // SAFETY: the kernel hands every program a valid context.
        let field = unsafe { &(*self.context).__bindgen_anon_1 };
        // SAFETY: its only field is a pointer.
        unsafe { field.sk }
    }

    /// The address that is named.
    #[inline(always)]
    pub(crate) fn address(&self) -> Address {
        if FAMILY == V4 {
            Address::v4_from_word(self.load(offset_of!(bpf_sock_addr, user_ip4)))
        } else {
            Address::from_words(WORDS.map(|offset| self.load(offset)))
        }
    }

    /// The port that is named, in network order.
    #[inline(always)]
    pub(crate) fn port(&self) -> u16 {
        self.load(offset_of!(bpf_sock_addr, user_port)) as u16
    }

    /// Names another address of the same family, and another port.
    #[inline(always)]
    pub(crate) fn set(&self, address: &Address, port: u16) {
        let words = address.to_words();
        if FAMILY == V4 {
            self.store(offset_of!(bpf_sock_addr, user_ip4), words[3]);
        } else {
            for (offset, word) in WORDS.into_iter().zip(words) {
                self.store(offset, word);
            }
        }
        self.store(offset_of!(bpf_sock_addr, user_port), port.into());
    }

    /// Volatile, as `store`: the kernel allows loads and stores of whole words, and LLVM would make
    /// others of them.
    #[inline(always)]
    fn load(&self, offset: usize) -> u32 {
        // SAFETY: the kernel hands every program a valid context; the offset is that of a word.
        unsafe { self.context.wrapping_byte_add(offset).cast::<u32>().read_volatile() }
    }

    #[inline(always)]
    fn store(&self, offset: usize, word: u32) {
        // SAFETY: as in `load`.
        unsafe { self.context.wrapping_byte_add(offset).cast::<u32>().write_volatile(word) }
    }
}
