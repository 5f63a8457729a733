//! Hansard's own format behind the two traits: frames and sealed segments.

use std::io::{Read, Write};

use hansard_core::event::Gap;
use hansard_core::reader::{Item, ReadError, Reader, Tail};
use hansard_core::seal::SigningKey;
use hansard_core::session::ClockQuality;
use hansard_core::writer::{Bounds, SegmentWriter, WriteError};
use hansard_core::{Body, Event, Fields, Policy, Session, SessionId};

use crate::codec::{DecodeError, Decoder, EncodeError, Encoder};
use crate::limits::{HEADERLESS_BYTES, NOTICES_MAX};

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
            writer.seal_unfinished()?;
        }
        self.write_parts()?;
        Ok(self.out.flush()?)
    }
}

/// What a made-up header has instead of what is lost with the recording's own.
pub const LOST: &str = "lost with the recording's header";

/// Reads a recording. Damage is passed over, with a notice, up to the next sound segment; one whose
/// header is damaged gets one that says so.
pub struct SegmentDecoder<R> {
    reader: Reader<R>,
    /// What was read already, to be looked at next.
    ahead: Option<Result<Item, ReadError>>,
    events: std::vec::IntoIter<Event>,
    notices: Vec<String>,
    /// Number and time of the last event that was handed out.
    last: Option<(u64, u64)>,
    /// What was damaged since then; a `Gap` will say so where the recording goes on.
    hole: Option<String>,
    /// Gaps for which the recording has no number, because what was damaged held no event (bytes
    /// put in between): everything after is numbered later by so many.
    put_in: u64,
    damages: u64,
    /// How the bytes end, once that is reached.
    tail: Option<Tail>,
    done: bool,
}

impl<R: Read> SegmentDecoder<R> {
    /// A decoder that reads a recording from its beginning.
    pub fn new(src: R) -> Self {
        Self {
            reader: Reader::new(src),
            ahead: None,
            events: Vec::new().into_iter(),
            notices: Vec::new(),
            last: None,
            hole: None,
            put_in: 0,
            damages: 0,
            tail: None,
            done: false,
        }
    }

    /// How many damaged places were passed over so far.
    #[must_use]
    pub fn damages_count(&self) -> u64 {
        self.damages
    }

    /// Whether the recording has its end; `None` while that is not reached.
    #[must_use]
    pub fn has_end(&self) -> Option<bool> {
        self.tail.map(|tail| tail == Tail::Complete)
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

    /// The rest of a recording whose beginning is damaged, from this event on, after a header that says
    /// what every segment says: whose session it is, and who signed.
    fn begin_without_header(&mut self, first: Event) -> Event {
        let mut events = vec![first];
        events.extend(&mut self.events);
        let recorder_key = self.read_to_seal(&mut events);
        self.events = events.into_iter();
        self.last = Some((0, 0));
        let why = self.hole.as_deref().unwrap_or("it is not there").to_owned();
        self.notice(format!(
            "the recording's header is lost ({why}): whose session this was, and what on, is not known; \
             it is shown from its first sound segment on"
        ));
        let id = self.reader.session();
        let session = headerless(id.unwrap_or(SessionId::from_bytes([0; 16])), recorder_key);
        Event {
            seq: 0,
            at_ns: 0,
            body: Body::Start(Box::new(session)),
        }
    }

    /// Reads on to the segment's seal, and answers the key that signed it; zeros where none is near.
    fn read_to_seal(&mut self, events: &mut Vec<Event>) -> [u8; 32] {
        let mut bytes = 0_u64;
        while bytes < HEADERLESS_BYTES {
            match self.reader.next_item() {
                Ok(Item::Frame(frame)) => {
                    bytes = bytes.saturating_add(frame.raw_bytes);
                    events.extend(frame.events);
                }
                Ok(Item::Seal(seal)) => return seal.key,
                other => {
                    self.ahead = Some(other);
                    break;
                }
            }
        }
        [0; 32]
    }

    fn tail(&mut self, tail: Tail) {
        self.tail = Some(tail);
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
                if self.last.is_none() && !matches!(event.body, Body::Start(_)) {
                    return Ok(Some(self.begin_without_header(event)));
                }
                event.seq = event.seq.saturating_add(self.put_in);
                self.last = Some((event.seq, event.at_ns));
                return Ok(Some(event));
            }
            if self.done {
                return Ok(None);
            }
            let next = self.ahead.take();
            match next.unwrap_or_else(|| self.reader.next_item()) {
                Ok(Item::Frame(frame)) => self.events = frame.events.into_iter(),
                Ok(Item::Seal(_)) => {}
                Ok(Item::Damage(damage)) => {
                    self.damages = self.damages.saturating_add(1);
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
        self.damages > 0
    }
}

/// A header of what is known without one. An identifier begins with the time at which it was made, which
/// is when the session began.
fn headerless(id: SessionId, recorder_key: [u8; 32]) -> Session {
    let is_v7 = id.as_bytes().get(6).is_some_and(|byte| byte >> 4 == 7);
    let time = id.as_bytes().iter().take(if is_v7 { 6 } else { 0 });
    let unix_ms = time.fold(0_u64, |ms, byte| ms << 8 | u64::from(*byte));
    Session {
        id,
        parent: None,
        kind: "unknown".to_owned(),
        subject: Fields::new().with("header", "lost"),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: unix_ms.saturating_mul(1_000_000),
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key,
        recorder: LOST.to_owned(),
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

#[cfg(test)]
mod tests {
    use hansard_core::Stream;
    use hansard_core::verify::{Verdict, verify};

    use super::*;

    #[test]
    fn what_has_no_end_is_sealed_to_its_last_event() {
        let mut out = Vec::new();
        let mut encoder = SegmentEncoder::new(&mut out, SigningKey::from_seed([7; 32]));
        let session = headerless(SessionId::from_bytes([1; 16]), [0; 32]);
        encoder.begin(&session).unwrap();
        let body = Body::Data {
            stream: Stream::Output,
            bytes: b"the last that is there".to_vec(),
        };
        let (seq, at_ns) = (1, 5);
        encoder.event(&Event { seq, at_ns, body }).unwrap();
        encoder.end().unwrap();
        drop(encoder);
        let report = verify(out.as_slice()).unwrap();
        assert_eq!(report.verdict, Verdict::Unfinished);
        assert_eq!((report.segments, report.events_sealed), (1, report.events));
    }
}
