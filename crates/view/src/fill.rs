//! Reading as many bytes as there are, up to a bound.

use std::io::{self, Read};

/// The next bytes: this many, or fewer at the end of the input.
pub(crate) fn fill(src: &mut impl Read, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; bytes_max];
    let filled = fill_into(src, &mut bytes)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// Reads until the buffer is full or there is no more; answers how many bytes that were.
pub(crate) fn fill_into(src: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match src.read(room) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
