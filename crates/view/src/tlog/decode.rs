//! Reads tlog.

use std::io::Read;

use hansard_core::event::{Fact, Gap};
use hansard_core::{Body, Event, Fields};

use super::message::{Bytes, Envelope, Item, Message};
use super::recording::{Boundary, Recording};
use super::scan::{Place, Places};
use super::text::unescape;
use super::{FOREIGN_EVENT, NS_PER_MS, Writer};
use crate::codec::{DecodeError, Decoder};
use crate::import::Import;
use crate::limits::{LINE_BYTES_MAX, NOTICES_MAX, TLOG_OTHERS_MAX, TLOG_PAYLOAD_BYTES};
use crate::lines::Lines;
use crate::steps::{Ready, Steps};

/// Reads one recording out of messages of tlog: the one that the import names, or the first.
///
/// Output becomes output and input keystrokes, whether or not there was a terminal: tlog does not
/// say. A size that a message only repeats is left out.
pub struct TlogDecoder<R> {
    lines: Lines<R>,
    import: Import,
    /// A message that the journal wrapped, without its wrapping.
    unwrapped: Vec<u8>,
    message: Option<Current>,
    /// The recording that is read, as its first message describes it.
    recording: Option<Recording>,
    others: Vec<String>,
    more_others: bool,
    /// Entries of the journal that are no messages of tlog, or whose text the export left out.
    entries: u64,
    emptied: u64,
    ready: Ready,
    notices: Vec<String>,
    at_ns: u64,
}

/// The message that is being read.
struct Current {
    message: Message,
    is_wrapped: bool,
    begin_ns: u64,
}

impl<R: Read> TlogDecoder<R> {
    /// A decoder that reads here.
    pub fn new(src: R, import: Import) -> Self {
        Self {
            lines: Lines::new(src),
            import,
            unwrapped: Vec::new(),
            message: None,
            recording: None,
            others: Vec::new(),
            more_others: false,
            entries: 0,
            emptied: 0,
            ready: Ready::default(),
            notices: Vec::new(),
            at_ns: 0,
        }
    }

    /// Goes on in the message, or to the next.
    fn step(&mut self) -> Result<(), DecodeError> {
        let Some(current) = &mut self.message else {
            return self.read_line();
        };
        let line = match current.is_wrapped {
            true => &self.unwrapped,
            false => self.lines.line(),
        };
        let item = current.message.next(line);
        match item.map_err(|what| self.lines.malformed(what))? {
            Some((after_ms, item)) => {
                let at_ns = current.begin_ns.saturating_add(after_ms * NS_PER_MS);
                self.item(at_ns, item);
            }
            None => {
                let has_rest = current.message.has_rest(line);
                self.message = None;
                if has_rest {
                    self.notice_here("text or bytes are left that the timing does not place");
                }
            }
        }
        Ok(())
    }

    fn read_line(&mut self) -> Result<(), DecodeError> {
        if !self.lines.advance(LINE_BYTES_MAX)? {
            return self.end();
        }
        let line = self.lines.line();
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let read = std::str::from_utf8(line)
            .map_err(|_| "not UTF-8, so no JSON".to_owned())
            .and_then(|_| Places::read(line));
        let places = read.map_err(|what| {
            let cut = match self.lines.is_terminated() {
                true => "",
                false => "; the file seems to end inside this line",
            };
            self.lines.malformed(format!("{what}{cut}"))
        })?;
        match (&places.timing, &places.wrapped) {
            (None, Some(wrapped)) => self.unwrap(wrapped),
            _ => self.envelope(&places, false),
        }
    }

    /// An entry of the journal.
    fn unwrap(&mut self, wrapped: &Place) -> Result<(), DecodeError> {
        let line = self.lines.line();
        let message = match wrapped {
            Place::Text(place) => unescape(line, place.clone(), LINE_BYTES_MAX),
            // What the journal takes for binary, it exports as numbers.
            Place::Array(place) => {
                let mut bytes = Vec::new();
                let mut array = Bytes::new(place);
                let count = if array.has_more(line) { u64::MAX } else { 0 };
                let _ = array.take(line, count, &mut bytes, LINE_BYTES_MAX);
                Ok(bytes)
            }
            Place::Word => {
                self.emptied += 1;
                return Ok(());
            }
            _ => Ok(Vec::new()),
        };
        self.unwrapped = message.map_err(|what| self.lines.malformed(what))?;
        let is_utf8 = std::str::from_utf8(&self.unwrapped).is_ok();
        match Places::read(&self.unwrapped) {
            Ok(places) if is_utf8 && places.timing.is_some() => self.envelope(&places, true),
            _ => {
                self.entries += 1;
                Ok(())
            }
        }
    }

    /// A message: of the recording that is read, or of another.
    fn envelope(&mut self, places: &Places, is_wrapped: bool) -> Result<(), DecodeError> {
        let line = match is_wrapped {
            true => &self.unwrapped,
            false => self.lines.line(),
        };
        let read = Message::new(line, places)
            .and_then(|message| Ok((Envelope::read(line, places)?, message)));
        let (envelope, message) = read.map_err(|what| self.lines.malformed(what))?;
        let is_read = match (&self.recording, &self.import.rec) {
            (Some(recording), _) => {
                !recording.is_over && recording.first.is_of_one_recording_with(&envelope)
            }
            (None, Some(wanted)) => envelope.rec.as_ref() == Some(wanted),
            (None, None) => true,
        };
        if !is_read {
            self.other(&envelope);
        } else if let Some(begin_ns) = self.begin_message(envelope) {
            if let Some(recording) = &mut self.recording {
                recording.room = TLOG_PAYLOAD_BYTES.saturating_sub(message.payload_bytes());
            }
            self.message = Some(Current {
                message,
                is_wrapped,
                begin_ns,
            });
        }
        Ok(())
    }

    fn other(&mut self, envelope: &Envelope) {
        let name = envelope.rec.clone().unwrap_or_else(|| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let (user, host) = (text(&envelope.user), text(&envelope.host));
            format!("one without a name of {user} on {host}")
        });
        if self.others.contains(&name) {
            return;
        }
        match self.others.len() < TLOG_OTHERS_MAX {
            true => self.others.push(name),
            false => self.more_others = true,
        }
    }

    /// The next message of the recording. Answers when it begins, or nothing if it is passed over.
    fn begin_message(&mut self, envelope: Envelope) -> Option<u64> {
        let Some(recording) = &mut self.recording else {
            return Some(self.begin_recording(envelope));
        };
        let (id, last_id) = (envelope.id, recording.last_id);
        if id <= last_id {
            if id == 1 && envelope.rec.is_none() {
                recording.is_over = true;
                self.other(&envelope);
            } else {
                let what = format!("message {id} stands after message {last_id}");
                self.gap(
                    self.at_ns,
                    format!("{what}: it is passed over; sort the messages by \"id\" to read it"),
                );
            }
            return None;
        }
        recording.last_id = id;
        recording.boundary = match id == last_id + 1 {
            true => Boundary::After {
                room: recording.room,
            },
            false => Boundary::Apart,
        };
        let begin_ns = recording.begin_ns(&envelope);
        if id > last_id + 1 {
            self.missing(begin_ns, last_id + 1, id - 1);
        }
        if begin_ns < self.at_ns {
            self.notice_here("the message begins before the one before it ended");
        }
        Some(begin_ns)
    }

    fn begin_recording(&mut self, envelope: Envelope) -> u64 {
        let id = envelope.id;
        let recording = Recording::new(envelope);
        let begin_ns = recording.begin_ns(&recording.first);
        let session = recording.session(&self.import);
        self.ready.push_back((0, Body::Start(Box::new(session))));
        self.recording = Some(recording);
        if id > 1 {
            self.missing(begin_ns, 1, id - 1);
        }
        begin_ns
    }

    fn missing(&mut self, at_ns: u64, first: u64, last: u64) {
        let cause = match first == last {
            true => format!("message {first} of the tlog is missing"),
            false => format!("messages {first} to {last} of the tlog are missing"),
        };
        self.gap(at_ns, cause);
    }

    fn gap(&mut self, at_ns: u64, cause: String) {
        self.notice_here(&cause);
        let gap = Gap {
            cause,
            from_ns: self.at_ns,
            ..Gap::default()
        };
        self.push(at_ns, Body::Gap(gap));
    }

    /// An event, not earlier than the one before.
    fn push(&mut self, at_ns: u64, body: Body) {
        self.at_ns = self.at_ns.max(at_ns);
        self.ready.push_back((self.at_ns, body));
    }

    fn item(&mut self, at_ns: u64, item: Item) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        let body = match item {
            Item::Data { stream, bytes } => Body::Data { stream, bytes },
            Item::Window { cols, rows } => {
                if recording.size.replace((cols, rows)) == Some((cols, rows)) {
                    return;
                }
                Body::Resize { cols, rows }
            }
        };
        let at_ns = at_ns.max(self.at_ns);
        let given_up = recording.given_up(at_ns, &body);
        let ended = recording.unexpected_end(self.at_ns, at_ns, &body);
        for did in given_up.into_iter().flatten() {
            self.push(self.at_ns, writer(did));
        }
        if let Some(did) = ended {
            self.push(at_ns, writer(did));
        }
        self.push(at_ns, body);
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        self.ready.finish();
        let mut others = self.others.join(", ");
        if self.more_others {
            others.push_str(" and more");
        }
        if self.recording.is_none() {
            return Err(self.lines.malformed(match &self.import.rec {
                Some(rec) if others.is_empty() => format!("no recording {rec} in this file"),
                Some(rec) => format!("no recording {rec} in this file; there are {others}"),
                None if self.entries + self.emptied > 0 => {
                    "no entry of the journal is a message of tlog".to_owned()
                }
                None => "the file is empty, so no tlog".to_owned(),
            }));
        }
        if self.import.rec.is_none() && !others.is_empty() {
            self.notice(format!("other recordings of the file are left: {others}"));
        }
        if self.entries > 0 {
            let entries = self.entries;
            self.notice(format!(
                "{entries} entries of the journal are no messages of tlog"
            ));
        }
        if self.emptied > 0 {
            let emptied = self.emptied;
            self.notice(format!(
                "{emptied} entries were exported without their text (journalctl --all keeps it)"
            ));
        }
        let end = Body::End(self.import.end());
        self.push(self.at_ns, end);
        Ok(())
    }

    fn notice(&mut self, text: String) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(text);
        }
    }

    /// A notice that names the line.
    fn notice_here(&mut self, what: &str) {
        let text = self.lines.malformed(what).to_string();
        self.notice(text);
    }
}

fn writer(did: Writer) -> Body {
    Body::Channel(Fact {
        event: FOREIGN_EVENT.to_owned(),
        fields: Fields::new().with("writer", did.as_str()),
    })
}

impl<R: Read> Steps for TlogDecoder<R> {
    fn ready(&mut self) -> &mut Ready {
        &mut self.ready
    }

    fn take_step(&mut self) -> Result<(), DecodeError> {
        self.step()
    }
}

impl<R: Read> Decoder for TlogDecoder<R> {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        self.next_of_steps()
    }

    fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }
}
