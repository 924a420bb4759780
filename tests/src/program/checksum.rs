//! The Internet checksum (RFC 1071).

/// The sum of the Internet checksum (RFC 1071), not yet turned around.
pub(super) fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    fold(words.sum())
}

const fn fold(mut sum: u32) -> u32 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

/// A checksum after a part of what it covers has changed (RFC 1624).
pub(super) fn adjust(frame: &mut [u8], at: usize, before: u32, after: u32) {
    let Some(field) = frame.get_mut(at..at + 2) else { return };
    let old = u32::from(u16::from_be_bytes([field[0], field[1]]));
    let new = !fold((!old & 0xffff) + (!before & 0xffff) + after) & 0xffff;
    field.copy_from_slice(&u16::try_from(new).unwrap_or(0).to_be_bytes());
}

/// The checksum of bytes whose own field is 0.
pub(super) fn of(bytes: &[u8]) -> u16 {
    u16::try_from(!sum(bytes) & 0xffff).unwrap_or(0)
}

/// Where a protocol has its checksum, behind the start of its header.
pub(super) const fn field(protocol: u8) -> Option<usize> {
    match protocol {
        1 | 58 => Some(2),
        6 => Some(16),
        17 => Some(6),
        _ => None,
    }
}
