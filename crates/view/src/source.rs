//! A recording (or its index) that can be read at any place by several readers at once.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes that can be read at any offset without moving anything that others use.
pub trait ReadAt: Send + Sync {
    /// Reads some bytes at this offset; 0 at or behind the end.
    ///
    /// # Errors
    /// When the bytes cannot be read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// How many bytes there are now.
    ///
    /// # Errors
    /// When that cannot be told.
    fn len(&self) -> io::Result<u64>;

    /// Whether there are none now.
    ///
    /// # Errors
    /// As [`Self::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.get(offset..).unwrap_or(&[]);
        let len = rest.len().min(buffer.len());
        for (slot, byte) in buffer.iter_mut().zip(rest) {
            *slot = *byte;
        }
        Ok(len)
    }

    fn len(&self) -> io::Result<u64> {
        u64::try_from(Vec::len(self)).map_err(io::Error::other)
    }
}

/// A shared source.
pub type Source = Arc<dyn ReadAt>;

/// Reads exactly these many bytes at an offset.
pub(crate) fn read_exact_at(source: &dyn ReadAt, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(done).map_err(io::Error::other)?);
        match source.read_at(rest, at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => done += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(bytes)
}

/// Reads a source from an offset on.
pub struct Cursor {
    source: Source,
    offset: u64,
}

impl Cursor {
    /// A reader that begins at this offset.
    #[must_use]
    pub fn new(source: Source, offset: u64) -> Self {
        Self { source, offset }
    }
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read_at(buffer, self.offset)?;
        self.offset = self
            .offset
            .saturating_add(u64::try_from(read).map_err(io::Error::other)?);
        Ok(read)
    }
}
