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

/// What a disk loses at a time, at least.
const SECTOR_BYTES: u64 = 512;

/// What stands where bytes are lost. Not zero: zeros at the end of a recording are what a loss of power leaves, and
/// say that nothing was there.
pub const LOST_BYTE: u8 = 0xee;

/// A file on a disk that may have bad sectors: there it reads as [`LOST_BYTE`]s, which whoever reads finds to be
/// damaged, and goes on behind. An error would cost all that comes after it.
impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match FileExt::read_at(self, buffer, offset) {
            Err(e) if is_lost(&e) => {}
            read => return read,
        }
        // In small steps, so that no more is taken for lost than cannot be read.
        let rest = SECTOR_BYTES - offset % SECTOR_BYTES;
        let rest = rest.min(ReadAt::len(self)?.saturating_sub(offset));
        let rest = usize::try_from(rest).unwrap_or(usize::MAX);
        let rest = rest.min(buffer.len());
        let piece = buffer.get_mut(..rest).unwrap_or_default();
        match FileExt::read_at(self, piece, offset) {
            Err(e) if is_lost(&e) => {
                piece.fill(LOST_BYTE);
                Ok(rest)
            }
            read => read,
        }
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

/// Whether what could not be read is lost there, whoever asks again: a bad sector, or a file system that is
/// damaged at this place.
fn is_lost(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let lost = [Errno::IO, Errno::UCLEAN, Errno::BADMSG];
    Errno::from_io_error(error).is_some_and(|errno| lost.contains(&errno))
}

/// A reader over a file that was opened just now, from its beginning. Of a regular file, bad sectors cost what
/// stood in them; anything else is read as it comes.
///
/// # Errors
/// When the system does not say what it is.
pub fn reading(file: File) -> io::Result<Box<dyn Read>> {
    match file.metadata()?.is_file() {
        true => Ok(Box::new(Cursor::new(Arc::new(file), 0))),
        false => Ok(Box::new(file)),
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
