//! The messages of a log, one after another.

use std::io::Read;

use super::cbor::{self, BREAK, Scan};
use super::inflate::{Source, Trailer, malformed};
use super::message::{self, Message};
use crate::codec::DecodeError;
use crate::limits::CONTAINERSSH_MESSAGE_BYTES_MAX;

/// Reads messages.
pub(super) struct Log<R> {
    source: Source<R>,
    scan: Scan,
    version: u64,
    list: List,
    notices: Vec<String>,
    /// Whether a checksum said that something is not what was written.
    damaged: bool,
}

/// How far the list is that version 1 puts around its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    NotBegun,
    /// Until a break, or so many messages.
    Inside(Option<u64>),
    Ended,
}

impl<R: Read> Log<R> {
    pub(super) fn new(src: R) -> Self {
        Self {
            source: Source::new(src),
            scan: Scan::default(),
            version: 0,
            list: List::NotBegun,
            notices: Vec::new(),
            damaged: false,
        }
    }

    /// Reads the header and answers the version.
    pub(super) fn open(&mut self) -> Result<u64, DecodeError> {
        self.version = self.source.open()?;
        if self.version > 1 {
            self.list = List::Inside(None);
        }
        Ok(self.version)
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.source.held_bytes()
    }

    /// The trailer that was found behind the messages, if one was.
    pub(super) fn trailer(&self) -> Option<Trailer> {
        self.source.trailer
    }

    pub(super) fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// The next message; nothing at the end, and what there is to say about the end is noticed.
    pub(super) fn next_message(&mut self) -> Result<Option<Message>, DecodeError> {
        loop {
            if self.scan.is_new() && !self.source.data().is_empty() {
                if self.list == List::NotBegun && self.begin_list()? {
                    continue;
                }
                match self.list {
                    List::NotBegun => {}
                    List::Inside(_) if self.is_list_end() => {
                        self.end_list();
                        continue;
                    }
                    List::Inside(_) => self.check_map()?,
                    List::Ended => return self.after_list(),
                }
            }
            if self.list != List::NotBegun {
                let data = self.source.data();
                let found = self.scan.go_on(data, CONTAINERSSH_MESSAGE_BYTES_MAX);
                match found.map_err(|(at, what)| self.wrong(at, &what))? {
                    Some(length) => return Ok(Some(self.take(length))),
                    None if self.source.data().len() > CONTAINERSSH_MESSAGE_BYTES_MAX => {
                        return Err(self.wrong(0, "longer than the limit of this reader"));
                    }
                    None => {}
                }
            }
            if !self.source.fill()? {
                self.ended();
                return Ok(None);
            }
        }
    }

    fn take(&mut self, length: usize) -> Message {
        let raw = self.source.data().get(..length).unwrap_or(&[]);
        let message = message::read(raw);
        self.source.consume(length);
        self.scan = Scan::default();
        if let List::Inside(Some(left)) = &mut self.list {
            *left = left.saturating_sub(1);
        }
        message
    }

    /// Reads the beginning of version 1's list; false if it has not arrived.
    fn begin_list(&mut self) -> Result<bool, DecodeError> {
        let head = cbor::head(self.source.data()).map_err(|what| self.wrong(0, what))?;
        let Some(head) = head else {
            return Ok(false);
        };
        if head.major != cbor::LIST {
            return Err(self.wrong(0, "no list of messages, as version 1 has it"));
        }
        self.list = List::Inside((!head.indefinite).then_some(head.argument));
        self.source.consume(head.bytes);
        Ok(true)
    }

    fn is_list_end(&self) -> bool {
        match self.list {
            List::Inside(Some(left)) => left == 0,
            _ => self.version == 1 && self.source.data().first() == Some(&BREAK),
        }
    }

    fn end_list(&mut self) {
        if self.list == List::Inside(None) {
            self.source.consume(1);
        }
        self.list = List::Ended;
    }

    /// A message is a map. Anything else means that the place in the stream is lost.
    fn check_map(&self) -> Result<(), DecodeError> {
        match self.source.data().first() {
            Some(first) if first >> 5 != cbor::MAP => Err(self.wrong(
                0,
                "a message was to begin here, which would be a map of CBOR",
            )),
            _ => Ok(()),
        }
    }

    /// There is more behind the end of the list, which nobody reads.
    fn after_list(&mut self) -> Result<Option<Message>, DecodeError> {
        let (inflated, _) = self.source.place();
        self.notices.push(format!(
            "there is more behind the end of the list of messages (byte {inflated} of the \
             inflated log), which is passed over"
        ));
        Ok(None)
    }

    fn ended(&mut self) {
        let (inflated, _) = self.source.place();
        let end = self.source.offset();
        if !self.source.data().is_empty() {
            self.notices.push(format!(
                "the log is cut off at byte {end}, inside the message that begins at byte \
                 {inflated} of the inflated log"
            ));
        } else if self.version == 1 && !matches!(self.list, List::Ended | List::Inside(Some(0))) {
            self.notices
                .push("the list of messages is not closed: the log was not finished".to_owned());
        }
        match self.source.trailer {
            Some(Trailer::Wrong) => {
                self.damaged = true;
                self.notices.push(format!(
                    "the gzip checksum before byte {end} is not that of the messages: something \
                     in the log is damaged"
                ));
            }
            Some(Trailer::Cut) => self.notices.push(format!(
                "the file ends at byte {end}, inside the gzip trailer"
            )),
            _ => {}
        }
        if self.source.more {
            self.notices.push(format!(
                "there is more behind the end of the compressed data (byte {end}), which is \
                 passed over"
            ));
        }
    }

    /// Damage in the CBOR, `at` bytes into the message.
    fn wrong(&self, at: usize, what: &str) -> DecodeError {
        let (inflated, offset) = self.source.place();
        let at = inflated.saturating_add(u64::try_from(at).unwrap_or(u64::MAX));
        malformed(
            offset,
            format!(
                "the message at byte {inflated} of the inflated log is damaged at byte {at} of \
                 it: {what}; what follows cannot be read"
            ),
        )
    }
}
