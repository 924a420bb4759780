//! Bytes that a receiver can check without having been told: a function of the offset.

/// Length of the repeated block: a prime, so that no packet size divides it and a segment that
/// is lost, doubled or moved never fits.
const PERIOD: usize = 65_521;

/// A repeating block of pseudo-random bytes, long enough to slice a whole period from any phase.
#[derive(Debug)]
pub struct Pattern {
    twice: Vec<u8>,
}

impl Pattern {
    /// The pattern; every one is the same.
    #[must_use]
    pub fn new() -> Self {
        // xorshift32 (Marsaglia 2003): enough to make neighbouring blocks differ.
        let mut state = 0x9e37_79b9_u32;
        let once: Vec<u8> = (0..PERIOD)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                state.to_le_bytes()[0]
            })
            .collect();
        Self { twice: [once.as_slice(), once.as_slice()].concat() }
    }

    /// The bytes from `offset` on, at most `length` and at most one period.
    #[must_use]
    pub fn at(&self, offset: u64, length: usize) -> &[u8] {
        let phase = phase(offset);
        &self.twice[phase..phase + length.min(PERIOD)]
    }

    /// Whether `bytes` are what the pattern has from `offset` on.
    #[must_use]
    pub fn matches(&self, offset: u64, bytes: &[u8]) -> bool {
        let mut offset = offset;
        bytes.chunks(PERIOD).all(|chunk| {
            let same = self.at(offset, chunk.len()) == chunk;
            offset += chunk.len() as u64;
            same
        })
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::new()
    }
}

fn phase(offset: u64) -> usize {
    usize::try_from(offset % PERIOD as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_itself_at_any_offset_and_length() {
        let pattern = Pattern::new();
        let mut bytes = Vec::new();
        while bytes.len() < 300_000 {
            bytes.extend_from_slice(pattern.at(1_000 + bytes.len() as u64, 1_449));
        }
        assert!(pattern.matches(1_000, &bytes));
        assert!(!pattern.matches(1_001, &bytes));
    }

    #[test]
    fn one_wrong_byte_is_seen() {
        let pattern = Pattern::new();
        let mut bytes = pattern.at(7, 1_448).to_vec();
        bytes[1_000] ^= 1;
        assert!(!pattern.matches(7, &bytes));
    }
}
