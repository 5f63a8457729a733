//! Hansard's own format behind the two traits: frames and sealed segments.

use std::io::{Read, Write};

use hansard_core::event::Gap;
use hansard_core::reader::{Item, ReadError, Reader, Tail};
use hansard_core::seal::SigningKey;
use hansard_core::writer::{Bounds, SegmentWriter, WriteError};
use hansard_core::{Body, Event, Session};

use crate::codec::{DecodeError, Decoder, EncodeError, Encoder};
use crate::limits::NOTICES_MAX;

/// Writes a recording, signed with a key of the converter: its public half replaces the
/// recorder's in the header, because who signs answers for the content.
pub struct SegmentEncoder<W> {
    out: W,
    key: Option<SigningKey>,
    writer: Option<SegmentWriter>,
}

impl<W: Write> SegmentEncoder<W> {
    /// An encoder that writes here and signs with this key.
    pub fn new(out: W, key: SigningKey) -> Self {
        Self {
            out,
            key: Some(key),
            writer: None,
        }
    }

    fn write_parts(&mut self) -> Result<(), EncodeError> {
        if let Some(writer) = &mut self.writer {
            for part in writer.parts() {
                self.out.write_all(part.bytes())?;
            }
        }
        Ok(())
    }
}

impl From<WriteError> for EncodeError {
    fn from(e: WriteError) -> Self {
        Self::Refused(e.to_string())
    }
}

impl<W: Write> Encoder for SegmentEncoder<W> {
    fn begin(&mut self, session: &Session) -> Result<(), EncodeError> {
        let Some(key) = self.key.take() else {
            return Err(EncodeError::Refused("a recording starts once".to_owned()));
        };
        let session = Session {
            recorder_key: key.public(),
            ..session.clone()
        };
        self.writer = Some(SegmentWriter::new(session, key, Bounds::default())?);
        self.write_parts()
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        let Some(writer) = &mut self.writer else {
            return Err(EncodeError::Refused(
                "an event before the session".to_owned(),
            ));
        };
        // The clock of a conversion is the recording's own: what a recorder would have closed
        // and sealed by now is closed and sealed.
        writer.tick(event.at_ns)?;
        writer.push(event.at_ns, &event.body)?;
        self.write_parts()
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        if let Some(writer) = &mut self.writer {
            writer.cut()?;
        }
        self.write_parts()?;
        Ok(self.out.flush()?)
    }
}

/// Reads a recording. Damage is passed over, with a notice, up to the next sound segment.
pub struct SegmentDecoder<R> {
    reader: Reader<R>,
    events: std::vec::IntoIter<Event>,
    notices: Vec<String>,
    /// Number and time of the last event that was handed out.
    last: Option<(u64, u64)>,
    /// What was damaged since then; a `Gap` will say so where the recording goes on.
    hole: Option<String>,
    /// Gaps for which the recording has no number, because what was damaged held no event (bytes
    /// put in between): everything after is numbered later by so many.
    put_in: u64,
    damaged: bool,
    done: bool,
}

impl<R: Read> SegmentDecoder<R> {
    /// A decoder that reads a recording from its beginning.
    pub fn new(src: R) -> Self {
        Self {
            reader: Reader::new(src),
            events: Vec::new().into_iter(),
            notices: Vec::new(),
            last: None,
            hole: None,
            put_in: 0,
            damaged: false,
            done: false,
        }
    }

    fn notice(&mut self, text: String) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(text);
        }
    }

    /// The event that stands for what was damaged before the next sound event (its number and
    /// time), or before the end. A conversion must not look whole where the original is not.
    fn gap(&mut self, next: Option<(u64, u64)>) -> Option<Event> {
        let (last_seq, last_ns) = self.last?;
        let cause = self.hole.take()?;
        let seq = last_seq.saturating_add(1);
        let events = next.map(|(next_seq, _)| next_seq.saturating_sub(seq));
        if events == Some(0) {
            self.put_in = self.put_in.saturating_add(1);
        }
        let at_ns = next.map_or(last_ns, |(_, at_ns)| at_ns.max(last_ns));
        let body = Body::Gap(Gap {
            cause,
            from_ns: last_ns,
            events,
            ..Gap::default()
        });
        Some(Event { seq, at_ns, body })
    }

    fn tail(&mut self, tail: Tail) {
        match tail {
            Tail::Complete => {}
            Tail::NoEnd => self.notice("the recording has no end: it was not finished".to_owned()),
            Tail::Unsealed => self.notice(
                "the recording has no end; its last frames are whole but not sealed".to_owned(),
            ),
            Tail::Torn { offset } => self.notice(format!(
                "the recording has no end: it was cut off inside the record at byte {offset}"
            )),
        }
    }
}

impl<R: Read> Decoder for SegmentDecoder<R> {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        loop {
            let next = self.events.as_slice().first();
            if next.is_some() || self.done {
                let numbered = |event: &Event| event.seq.saturating_add(self.put_in);
                let next = next.map(|event| (numbered(event), event.at_ns));
                if let Some(gap) = self.gap(next) {
                    return Ok(Some(gap));
                }
            }
            if let Some(mut event) = self.events.next() {
                event.seq = event.seq.saturating_add(self.put_in);
                // Without its beginning a recording can be salvaged, but not converted: there is
                // no session that the rest belongs to.
                if self.last.is_none() && !matches!(event.body, Body::Start(_)) {
                    self.done = true;
                    self.events = Vec::new().into_iter();
                    return Err(DecodeError::Malformed {
                        line: None,
                        offset: 0,
                        what: "the recording's header is damaged".to_owned(),
                    });
                }
                self.last = Some((event.seq, event.at_ns));
                return Ok(Some(event));
            }
            if self.done {
                return Ok(None);
            }
            match self.reader.next_item() {
                Ok(Item::Frame(frame)) => self.events = frame.events.into_iter(),
                Ok(Item::Seal(_)) => {}
                Ok(Item::Damage(damage)) => {
                    self.damaged = true;
                    self.hole.get_or_insert_with(|| damage.to_string());
                    self.notice(damage.to_string());
                }
                Ok(Item::End(tail)) => {
                    self.done = true;
                    self.tail(tail);
                }
                Err(e) => {
                    self.done = true;
                    return Err(unreadable(e));
                }
            }
        }
    }

    fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    fn is_damaged(&self) -> bool {
        self.damaged
    }
}

fn unreadable(e: ReadError) -> DecodeError {
    match e {
        ReadError::Io(e) => DecodeError::Io(e),
        other => DecodeError::Malformed {
            line: None,
            offset: 0,
            what: other.to_string(),
        },
    }
}
