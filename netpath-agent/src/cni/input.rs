//! Standard input, which may be anything.

use std::io::{self, Read};

use super::Error;

/// Bytes of the largest configuration. Real ones have a few thousand; what is cut off here would
/// only be memory for whoever sends it.
const LIMIT: u64 = 1 << 20;

/// Reads all of it.
pub(super) fn read(input: impl Read) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let failed = |source: io::Error| Error::Io { action: "read standard input".to_owned(), source };
    let length = input.take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if length as u64 > LIMIT { Err(Error::TooLong { limit: LIMIT }) } else { Ok(bytes) }
}
