//! Where the running kernel keeps what the programs read of it, from its own type information.
//!
//! The kernel's BTF has some 150,000 types, of which three matter: they are looked for in one pass
//! over the file, where a parser that keeps them all would need many times the agent's memory.
//! The format is that of `Documentation/bpf/btf.rst`.

use std::{fs, io};

use netpath_common::namespace::SOCKET_NAMESPACE;

/// The kernel's types.
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// The mode in which the kernel keeps programs from reading its memory, in brackets if it is on.
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
const CONFIDENTIALITY: &str = "[confidentiality]";

/// The programs can not tell whose socket sent a packet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No types.
    #[error("the kernel tells nothing of its types (CONFIG_DEBUG_INFO_BTF): {BTF}")]
    Missing(#[source] io::Error),
    /// Types that are not understood.
    #[error("the kernel's types are not understood: {0}")]
    Format(&'static str),
    /// A part of the kernel is not where the programs look for it.
    #[error(
        "struct sock_common has skc_net at byte {0}, the programs read byte {SOCKET_NAMESPACE}"
    )]
    Moved(u32),
    /// The kernel is locked down.
    #[error("the kernel is locked down (confidentiality): programs may not read its memory")]
    Lockdown,
}

/// Offset of `ns.inum` in `struct net`, in bytes: the number of a network namespace.
pub(super) fn namespace_number() -> Result<u32, Error> {
    if fs::read_to_string(LOCKDOWN).is_ok_and(|modes| modes.contains(CONFIDENTIALITY)) {
        return Err(Error::Lockdown);
    }
    let bytes = fs::read(BTF).map_err(Error::Missing)?;
    let types = Types::parse(&bytes)?;
    let socket = types.member("sock_common", "skc_net")?;
    if usize::try_from(socket) != Ok(SOCKET_NAMESPACE) {
        return Err(Error::Moved(socket));
    }
    Ok(types.member("net", "ns")? + types.member("ns_common", "inum")?)
}

/// `BTF_KIND_STRUCT`.
const STRUCT: u32 = 4;
/// Size of `struct btf_type`, and of `struct btf_member`.
const TYPE: usize = 12;

/// The two parts of a BTF blob.
struct Types<'a> {
    types: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Types<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        const SHORT: Error = Error::Format("shorter than its header says");
        let field = |at| word(bytes, at).ok_or(SHORT);
        if field(0)? & 0xffff != 0xeb9f {
            return Err(Error::Format("no BTF of this machine's byte order"));
        }
        let header = field(4)?;
        let part = |offset: u32, length: u32| {
            let start = header as usize + offset as usize;
            bytes.get(start..start + length as usize).ok_or(SHORT)
        };
        Ok(Self { types: part(field(8)?, field(12)?)?, strings: part(field(16)?, field(20)?)? })
    }

    /// The offset of a structure's member, in bytes.
    fn member(&self, structure: &str, member: &str) -> Result<u32, Error> {
        const ABSENT: Error = Error::Format("a structure or its member is absent");
        let (structure, member) =
            (self.string(structure).ok_or(ABSENT)?, self.string(member).ok_or(ABSENT)?);
        let mut rest = self.types;
        while let Some([name, info]) = words(rest) {
            let (kind, length) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
            let size = TYPE + tail(kind, length).ok_or(Error::Format("a type of unknown kind"))?;
            let (this, after) = rest.split_at_checked(size).ok_or(Error::Format("cut off"))?;
            if kind == STRUCT && name == structure {
                // With the kind flag, the upper 8 bits of an offset are a bit field's width.
                let mask = if info >> 31 == 1 { 0x00ff_ffff } else { u32::MAX };
                return this[TYPE..]
                    .chunks_exact(TYPE)
                    .find(|one| word(one, 0) == Some(member))
                    .and_then(|one| word(one, 8))
                    .map(|bits| (bits & mask) / 8)
                    .ok_or(ABSENT);
            }
            rest = after;
        }
        Err(ABSENT)
    }

    /// The offset of a string: the kernel's build keeps one copy of each.
    fn string(&self, text: &str) -> Option<u32> {
        let wanted = [b"\0", text.as_bytes(), b"\0"].concat();
        let at = self.strings.windows(wanted.len()).position(|window| window == wanted)?;
        u32::try_from(at + 1).ok()
    }
}

/// Bytes that follow a `struct btf_type`, by its kind (`BTF_KIND_*` of `linux/btf.h`).
const fn tail(kind: u32, length: usize) -> Option<usize> {
    Some(match kind {
        // A pointer, forward, typedef, volatile, const, restrict, function, float, type tag.
        2 | 7..=12 | 16 | 18 => 0,
        // An integer, a variable, a declaration tag.
        1 | 14 | 17 => 4,
        // An array.
        3 => 12,
        // A structure, a union, a data section, a 64-bit enumeration.
        4 | 5 | 15 | 19 => 12 * length,
        // An enumeration, a function's prototype.
        6 | 13 => 8 * length,
        _ => return None,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn words(bytes: &[u8]) -> Option<[u32; 2]> {
    Some([word(bytes, 0)?, word(bytes, 4)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A blob with these types (words) and strings.
    fn blob(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let length = |bytes: usize| u32::try_from(bytes).expect("short");
        let header = [
            0x0001_eb9f,
            24,
            0,
            length(types.len() * 4),
            length(types.len() * 4),
            length(strings.len()),
        ];
        let words = header.iter().chain(types).flat_map(|word| word.to_ne_bytes());
        words.chain(strings.iter().copied()).collect()
    }

    const STRINGS: &[u8] = b"\0net\0ns\0flags\0";
    /// An integer, then `struct net { .. flags: 3 bits at bit 5; ns at bit 960 }`.
    const TYPES: [u32; 13] =
        [0, 1 << 24, 4, 32, 1, 4 << 24 | 1 << 31 | 2, 200, 8, 1, 3 << 24 | 5, 5, 1, 960];

    #[test]
    fn a_member_is_found_behind_other_types() {
        let blob = blob(&TYPES, STRINGS);
        let types = Types::parse(&blob).expect("parse");
        assert_eq!(types.member("net", "ns").expect("found"), 120);
        assert_eq!(types.member("net", "flags").expect("found"), 0);
        assert!(types.member("net", "other").is_err());
        assert!(types.member("ns", "net").is_err());
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_an_error() {
        let whole = blob(&TYPES, STRINGS);
        for length in 0..whole.len() {
            assert!(Types::parse(&whole[..length]).is_err(), "{length}");
        }
        let cut = blob(&TYPES[..10], STRINGS);
        assert!(Types::parse(&cut).expect("parse").member("net", "ns").is_err());
        let unknown = blob(&[0, 31 << 24, 0], STRINGS);
        assert!(Types::parse(&unknown).expect("parse").member("net", "ns").is_err());
    }
}
