//! Messages: `struct nlmsghdr`, `struct nfgenmsg`, attributes.

use std::{io, iter};

use super::{FAMILY, HEADER};

pub(super) const REQUEST: u16 = 1;
pub(super) const DUMP: u16 = 0x300;
pub(super) const CREATE: u16 = 0x400;
pub(super) const APPEND: u16 = 0x800;

pub(super) const ERROR: u16 = 2;
pub(super) const DONE: u16 = 3;
/// The list changed while it was being told (`NLM_F_DUMP_INTR`).
const INTERRUPTED: u16 = 0x10;

/// Writes one.
pub(super) fn message(kind: u16, flags: u16, family: u8, attributes: &[u8]) -> Vec<u8> {
    with_resource(kind, flags, [family, 0, 0, 0], attributes)
}

/// One whose `struct nfgenmsg` says more than a family.
pub(super) fn with_resource(kind: u16, flags: u16, own: [u8; FAMILY], rest: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + FAMILY + rest.len()).unwrap_or_default();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(own);
    message.extend(rest);
    message
}

/// A message of an answer.
pub(super) struct Message<'a> {
    /// Its type.
    pub(super) kind: u16,
    interrupted: bool,
    /// What is behind its header.
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Its attributes, or the error that it is.
    pub(super) fn attributes(&self) -> io::Result<&'a [u8]> {
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.kind != ERROR {
            return Ok(self.body.get(FAMILY..).unwrap_or_default());
        }
        match self.body.first_chunk().map_or(0, |error| -i32::from_ne_bytes(*error)) {
            0 => Ok(&[]),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// The messages of a datagram, up to the first that is broken.
pub(super) fn messages(mut rest: &[u8]) -> impl Iterator<Item = Message<'_>> {
    iter::from_fn(move || {
        let [a, b, c, d, e, f, g, h] = *rest.first_chunk()?;
        let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?;
        let body = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        let interrupted = u16::from_ne_bytes([g, h]) & INTERRUPTED != 0;
        Some(Message { kind: u16::from_ne_bytes([e, f]), interrupted, body })
    })
}
