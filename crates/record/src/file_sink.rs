//! A recording as one `.hansard` file: frames and seals one after another, and nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hansard_core::frame::Part;
use hansard_core::{Class, Receipt, SessionId, Sink, SinkError};

use crate::disk::{Disk, DiskFile, may_pass, parent, read_full_at, write_all_at};
use crate::order::{Spot, Turn};

/// The sink of `hansard rec`: one session into one file of its own.
///
/// Memory: eight bytes for each segment, and the bytes of the largest `put` so far.
pub struct FileSink {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Bytes that are durable; what lies behind them is what a failed write left.
    len: u64,
    session: Option<SessionId>,
    last: Option<Spot>,
    /// Where each segment begins. The last one is open-ended.
    segments: Vec<u64>,
    /// Set once and for ever when what is on the disk is no longer known.
    poisoned: Option<String>,
    buffer: Vec<u8>,
}

impl FileSink {
    /// Makes the file, which must not exist, and its name durable.
    ///
    /// # Errors
    /// `AlreadyExists` when something has that name: a recording is never written over. Otherwise
    /// what the system says.
    pub fn create(path: &Path, disk: &dyn Disk) -> io::Result<Self> {
        let file = disk.create_new(path)?;
        // A crash before this line may leave no file or an empty one: nothing was promised yet.
        if let Err(e) = disk.sync_dir(parent(path)) {
            // The file is empty and ours; leaving it would only stand in the next attempt's way.
            let _ = disk.remove(path);
            return Err(e);
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            len: 0,
            session: None,
            last: None,
            segments: Vec::new(),
            poisoned: None,
            buffer: Vec::new(),
        })
    }

    /// Bytes of the recording that are durable.
    #[must_use]
    pub fn durable_bytes(&self) -> u64 {
        self.len
    }

    /// Sorts the parts into those that are there already (checked byte for byte) and new ones,
    /// which are gathered in the buffer. Answers the last new spot and the beginnings of segments.
    fn gather(&mut self, parts: &[Part]) -> Result<(Option<Spot>, Vec<u64>), SinkError> {
        self.buffer.clear();
        let (mut last, mut begins) = (self.last, Vec::new());
        let session = self.session.or(parts.first().map(Part::session));
        for part in parts {
            let spot = Spot::of(part);
            if session != Some(part.session()) {
                return Err(self.refused(&format!("another session, {}", part.session())));
            }
            match Spot::turn(last, spot) {
                Turn::Next => {
                    if last.is_none_or(|last| last.segment != spot.segment) {
                        begins.push(self.len.saturating_add(self.buffer.len() as u64));
                    }
                    self.buffer.extend_from_slice(part.bytes());
                    last = Some(spot);
                }
                Turn::Earlier if self.holds(spot, part.bytes(), &begins)? => {}
                Turn::Earlier => {
                    return Err(SinkError::Conflict(format!(
                        "{}: {spot} is there with other bytes",
                        self.path.display()
                    )));
                }
                Turn::TooEarly => {
                    return Err(self.refused(&format!("{spot} came before what precedes it")));
                }
            }
        }
        Ok((last, begins))
    }

    /// Whether these bytes stand in the segment of this spot. A part's checksum covers its place,
    /// so the same bytes can stand in no other.
    fn holds(&self, spot: Spot, bytes: &[u8], begins: &[u64]) -> Result<bool, SinkError> {
        let number = usize::try_from(spot.segment).unwrap_or(usize::MAX);
        let mut starts = self.segments.iter().chain(begins).copied().skip(number);
        let Some(start) = starts.next() else {
            return Ok(false);
        };
        let end = starts
            .next()
            .unwrap_or(self.len.saturating_add(self.buffer.len() as u64));
        let on_disk = usize::try_from(end.min(self.len).saturating_sub(start)).unwrap_or(0);
        let mut segment = vec![0u8; on_disk];
        let read = read_full_at(&*self.file, start, &mut segment)
            .map_err(|e| SinkError::Retry(self.say("read", &e)))?;
        segment.truncate(read);
        segment.extend_from_slice(&self.buffer);
        Ok(segment
            .windows(bytes.len().max(1))
            .any(|window| window == bytes))
    }

    /// Writes the buffer behind the durable bytes and makes it durable.
    fn append(&mut self) -> Result<(), SinkError> {
        if let Err(e) = write_all_at(&*self.file, self.len, &self.buffer) {
            let why = self.say("write", &e);
            // A crash before the cut leaves a torn tail, which a reader shows as such.
            return match self.file.truncate(self.len) {
                Ok(()) if may_pass(&e) => Err(SinkError::Retry(why)),
                _ => Err(self.poison(why)),
            };
        }
        if let Err(e) = self.file.sync_data() {
            // The kernel may have thrown the pages away and call them clean; a later sync that
            // succeeds would say nothing about them. So this file is never written again.
            return Err(self.poison(self.say("sync", &e)));
        }
        Ok(())
    }

    fn poison(&mut self, why: String) -> SinkError {
        self.poisoned = Some(why.clone());
        SinkError::Refused(why)
    }

    fn refused(&self, what: &str) -> SinkError {
        SinkError::Refused(format!("{}: {what}", self.path.display()))
    }

    fn say(&self, verb: &str, error: &io::Error) -> String {
        format!("{}: cannot {verb}: {error}", self.path.display())
    }
}

impl Sink for FileSink {
    fn put(&mut self, parts: &[Part]) -> Result<Receipt, SinkError> {
        if let Some(why) = &self.poisoned {
            return Err(SinkError::Refused(why.clone()));
        }
        let (last, begins) = self.gather(parts)?;
        if !self.buffer.is_empty() {
            self.append()?;
            self.len = self.len.saturating_add(self.buffer.len() as u64);
            self.last = last;
            self.segments.extend(begins);
            self.session = self.session.or(parts.first().map(Part::session));
        }
        Ok(Receipt { class: Class::L })
    }
}
