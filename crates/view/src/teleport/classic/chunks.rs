//! The bytes of the terminal: one file or several, each beginning at an offset.

use std::collections::VecDeque;
use std::io::Read;

use flate2::read::MultiGzDecoder;

/// A file of a recording that nobody has read from.
pub(super) type Unread = (u64, String, Box<dyn Read>);

/// Reads them in order.
pub(super) struct Chunks {
    waiting: VecDeque<Unread>,
    current: Option<(String, MultiGzDecoder<Box<dyn Read>>)>,
    position: u64,
    /// Bytes passed over, since no event names them.
    unnamed: u64,
    notices: Vec<String>,
}

impl Chunks {
    pub(super) fn new(files: VecDeque<Unread>) -> Self {
        Self {
            waiting: files,
            current: None,
            position: 0,
            unnamed: 0,
            notices: Vec::new(),
        }
    }

    pub(super) fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// Goes to an offset, forwards only. Answers whether it is there.
    pub(super) fn seek(&mut self, offset: u64) -> bool {
        while self.position < offset
            && self
                .waiting
                .front()
                .is_some_and(|(first, ..)| *first <= offset)
        {
            self.pass_current();
            self.open();
        }
        if self.position < offset && self.current.is_some() {
            self.unnamed += self.read(offset - self.position, &mut std::io::sink());
        }
        self.position == offset
    }

    /// There are no more events: what is left belongs to none of them.
    pub(super) fn end(&mut self) {
        self.pass_current();
        while !self.waiting.is_empty() {
            self.open();
            self.pass_current();
        }
        if self.unnamed > 0 {
            let unnamed = self.unnamed;
            self.notices.push(format!(
                "{unnamed} bytes of the terminal belong to no event, and were passed over"
            ));
        }
    }

    /// Reads the file that is open to its end, for nobody.
    fn pass_current(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        if self.current.is_some() {
            self.unnamed += self.read(u64::MAX, &mut std::io::sink());
        }
        self.waiting = waiting;
    }

    /// The next bytes, up to so many; fewer where they end.
    pub(super) fn bytes(&mut self, wanted: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.read(wanted, &mut bytes);
        bytes
    }

    fn open(&mut self) {
        if let Some((first, name, src)) = self.waiting.pop_front() {
            self.position = first;
            self.current = Some((name, MultiGzDecoder::new(src)));
        }
    }

    fn read(&mut self, wanted: u64, to: &mut impl std::io::Write) -> u64 {
        let mut done = 0;
        while done < wanted {
            let Some((name, src)) = &mut self.current else {
                match self.waiting.front() {
                    // Where a file begins later, the bytes before it are missing.
                    Some((first, ..)) if *first == self.position => self.open(),
                    _ => break,
                }
                continue;
            };
            // A copy that failed half-way has written what it answers nothing of: it is counted.
            let mut counted = Counting { to, bytes: 0 };
            let copied = std::io::copy(&mut src.take(wanted - done), &mut counted);
            let read = counted.bytes;
            done += read;
            self.position = self.position.saturating_add(read);
            if let Err(e) = &copied {
                self.notices.push(format!(
                    "{name}: offset {} of what it holds: {e}; the rest of its bytes is lost",
                    self.position
                ));
            }
            if copied.is_err() || done < wanted {
                self.current = None;
            }
        }
        done
    }
}

struct Counting<'a, W> {
    to: &'a mut W,
    bytes: u64,
}

impl<W: std::io::Write> std::io::Write for Counting<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.to.write_all(bytes)?;
        self.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}
