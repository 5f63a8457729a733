//! Reads asciicast.

use std::io::Read;

use hansard_core::event::{End, Fact};
use hansard_core::limits::BODY_BYTES_MAX;
use hansard_core::{Body, Event, Fields, Stream};
use serde_json::Value as Json;

use super::header::{self, foreign_fields};
use super::{COMMENT, CastVersion, FOREIGN_EVENT};
use crate::codec::{DecodeError, Decoder};
use crate::import::Import;
use crate::limits::{HEADER_FIELDS_MAX, HEADER_LINE_BYTES_MAX, LINE_BYTES_MAX, SECONDS_MAX};
use crate::lines::{Lines, check_json_size};
use crate::steps::{Ready, Steps};

/// Longest text of an event that becomes one event: with its names it fits the limit of ours.
const EVENT_BYTES_MAX: usize = BODY_BYTES_MAX - 1024;

/// Most that comments behind an exit hold until it is known whether that is the end, each with what
/// it costs to keep one, in bytes.
const HELD_BYTES_MAX: usize = 1024 * 1024;
const HELD_COST: usize = 64;

/// Reads a cast as a recording: its header becomes the session and the first size, its events
/// become events of the same kinds, an unknown code becomes a `channel` event that keeps it.
pub struct CastDecoder<R> {
    lines: Lines<R>,
    version: CastVersion,
    import: Import,
    ready: Ready,
    /// An exit status that was read: the recording's end, unless something follows it.
    exit: Option<u8>,
    /// Comments behind that exit, and what they hold.
    held: Vec<String>,
    held_bytes: usize,
    at_ns: u64,
    /// The moment of the event before that of `at_ns`.
    before_ns: u64,
}

impl<R: Read> CastDecoder<R> {
    /// A decoder that reads a cast of this version.
    pub fn new(src: R, version: CastVersion, import: Import) -> Self {
        Self {
            lines: Lines::new(src),
            version,
            import,
            ready: Ready::default(),
            exit: None,
            held: Vec::new(),
            held_bytes: 0,
            at_ns: 0,
            before_ns: 0,
        }
    }

    fn read_header(&mut self) -> Result<(), DecodeError> {
        if !self.lines.advance(HEADER_LINE_BYTES_MAX)? {
            return Err(self
                .lines
                .malformed("the file is empty, so not an asciicast"));
        }
        check_json_size(self.lines.line(), HEADER_FIELDS_MAX * 16)
            .map_err(|what| self.lines.malformed(what))?;
        let json = serde_json::from_slice(self.lines.line())
            .map_err(|e| self.lines.not_json("an asciicast header", &e))?;
        let header = header::read(&json, self.version, &self.import)
            .map_err(|what| self.lines.malformed(what))?;
        self.ready
            .push_back((0, Body::Start(Box::new(header.session))));
        self.ready.push_back((
            0,
            Body::Resize {
                cols: header.cols,
                rows: header.rows,
            },
        ));
        Ok(())
    }

    /// Reads lines until there is something to hand out.
    fn read_line(&mut self) -> Result<(), DecodeError> {
        if !self.lines.advance(LINE_BYTES_MAX)? {
            self.ready.finish();
            self.give_held(self.before_ns);
            let end = self.end();
            self.ready.push_back((self.at_ns, Body::End(end)));
            return Ok(());
        }
        let line = self.lines.line();
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        if let (CastVersion::V3, Some(comment)) = (self.version, line.strip_prefix(b"#")) {
            let text = String::from_utf8_lossy(comment).into_owned();
            return self.comment(text.trim_end_matches('\r'));
        }
        let (time, code, data) = match serde_json::from_slice::<(f64, String, String)>(line) {
            Ok(event) => event,
            Err(e) => return self.unknown(&e),
        };
        // An event that cannot be read leaves an exit before it the last that was.
        let at_ns = self.moment(time)?;
        match (code.as_str(), data.len()) {
            ("o" | "i", EVENT_BYTES_MAX..) => {
                self.go_to(at_ns);
                self.long_data(&code, &data);
            }
            (_, EVENT_BYTES_MAX..) => {
                return Err(self.too_long("an event", data.len()));
            }
            _ => match self.exit_of(&code, &data) {
                Some(status) => {
                    self.go_to(at_ns);
                    self.exit = Some(status);
                }
                None => {
                    let body = self.body(code, data)?;
                    self.go_to(at_ns);
                    self.ready.push_back((at_ns, body));
                }
            },
        }
        Ok(())
    }

    /// A line for people. It is no event of the cast's, so an exit before it is still the end if no
    /// event follows; then it stands before that, where it will be written again.
    fn comment(&mut self, text: &str) -> Result<(), DecodeError> {
        if text.len() >= EVENT_BYTES_MAX {
            return Err(self.too_long("a comment", text.len()));
        }
        if self.exit.is_none() {
            self.ready.push_back((self.at_ns, said(text.to_owned())));
            return Ok(());
        }
        self.held_bytes += text.len() + HELD_COST;
        self.held.push(text.to_owned());
        if self.held_bytes > HELD_BYTES_MAX {
            self.give_held(self.before_ns);
        }
        Ok(())
    }

    fn give_held(&mut self, at_ns: u64) {
        self.held_bytes = 0;
        for text in self.held.drain(..) {
            self.ready.push_back((at_ns, said(text)));
        }
    }

    fn too_long(&self, what: &str, bytes: usize) -> DecodeError {
        self.lines.malformed(format!(
            "{what} of {bytes} bytes; at most {EVENT_BYTES_MAX} fit"
        ))
    }

    /// An event whose data is no text: kept as it is if its code is none of those we know.
    fn unknown(&mut self, e: &serde_json::Error) -> Result<(), DecodeError> {
        let line = self.lines.line();
        let wanted = "an event [time, \"code\", \"data\"]";
        check_json_size(line, HEADER_FIELDS_MAX * 16).map_err(|what| self.lines.malformed(what))?;
        let (time, code, data) = match serde_json::from_slice::<(f64, String, Json)>(line) {
            Ok(event) if !matches!(event.1.as_str(), "o" | "i" | "m" | "r" | "x") => event,
            _ => return Err(self.lines.not_json(wanted, e)),
        };
        let json = data.to_string();
        if json.len() >= EVENT_BYTES_MAX {
            return Err(self.too_long("an event", json.len()));
        }
        let at_ns = self.moment(time)?;
        self.go_to(at_ns);
        let fields = Fields::new().with("code", code).with("json", json);
        self.ready.push_back((at_ns, kept(fields)));
        Ok(())
    }

    /// An exit that was read was not the end after all: it is kept like an unknown code, at its
    /// time.
    fn no_exit_yet(&mut self) {
        if let Some(exit) = self.exit.take() {
            self.ready
                .push_back((self.at_ns, foreign("x".to_owned(), exit.to_string())));
        }
        self.give_held(self.at_ns);
    }

    /// Goes on to an event's moment: what was before it is done.
    fn go_to(&mut self, at_ns: u64) {
        self.no_exit_yet();
        (self.before_ns, self.at_ns) = (self.at_ns, at_ns);
    }

    /// More text than one event of ours holds: several at the same moment, cut between characters.
    fn long_data(&mut self, code: &str, data: &str) {
        let stream = if code == "o" {
            Stream::Output
        } else {
            Stream::Keystrokes
        };
        let mut rest = data;
        while !rest.is_empty() {
            let mut end = rest.len().min(EVENT_BYTES_MAX);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (piece, more) = rest.split_at(end);
            let bytes = piece.as_bytes().to_vec();
            self.ready
                .push_back((self.at_ns, Body::Data { stream, bytes }));
            rest = more;
        }
    }

    /// The moment of an event. A cast whose time runs backwards is read as standing still.
    fn moment(&self, time: f64) -> Result<u64, DecodeError> {
        if !(0.0..=SECONDS_MAX).contains(&time) {
            return Err(self.lines.malformed(format!(
                "the time {time} is not from 0 to {SECONDS_MAX} seconds"
            )));
        }
        let time = ns(time);
        let at_ns = match self.version {
            CastVersion::V2 => time.max(self.at_ns),
            CastVersion::V3 => self.at_ns.saturating_add(time),
        };
        if at_ns > ns(SECONDS_MAX) {
            return Err(self.lines.malformed(format!(
                "the times add up to more than {SECONDS_MAX} seconds"
            )));
        }
        Ok(at_ns)
    }

    /// The status of an exit that may be the end.
    fn exit_of(&self, code: &str, data: &str) -> Option<u8> {
        (code == "x" && self.version == CastVersion::V3)
            .then(|| canonical_status(data))
            .flatten()
    }

    fn body(&self, code: String, data: String) -> Result<Body, DecodeError> {
        Ok(match code.as_str() {
            "o" => Body::Data {
                stream: Stream::Output,
                bytes: data.into_bytes(),
            },
            "i" => Body::Data {
                stream: Stream::Keystrokes,
                bytes: data.into_bytes(),
            },
            "m" => Body::Mark { label: data },
            "r" => self.resize(&data)?,
            _ => foreign(code, data),
        })
    }

    fn resize(&self, data: &str) -> Result<Body, DecodeError> {
        let size = data.split_once('x');
        let size = size.and_then(|(cols, rows)| Some((cols.parse().ok()?, rows.parse().ok()?)));
        let (cols, rows) = size.ok_or_else(|| {
            self.lines
                .malformed("a resize must say COLSxROWS, each from 0 to 65535")
        })?;
        Ok(Body::Resize { cols, rows })
    }

    fn end(&mut self) -> End {
        match self.exit.take() {
            Some(exit) => End {
                reason: "exited".to_owned(),
                exit_status: Some(exit),
                signal: None,
            },
            None => self.import.end(),
        }
    }
}

/// The status, if writing it again gives the same text.
fn canonical_status(data: &str) -> Option<u8> {
    data.parse::<u8>()
        .ok()
        .filter(|status| status.to_string() == data)
}

fn said(comment: String) -> Body {
    kept(Fields::new().with(COMMENT, comment))
}

fn foreign(code: String, data: String) -> Body {
    kept(foreign_fields(code, data))
}

/// The event that keeps what only a cast says.
fn kept(fields: Fields) -> Body {
    let event = FOREIGN_EVENT.to_owned();
    Body::Channel(Fact { event, fields })
}

/// Seconds to nanoseconds; the caller has checked the range.
pub(super) fn ns(seconds: f64) -> u64 {
    // Whole seconds and the rest apart: a double holds microseconds exactly enough that way.
    let whole = seconds.trunc();
    let rest = ((seconds - whole) * 1e9).round();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 1.8e10 and 1e9
    let (whole, rest) = (whole as u64, rest as u64);
    whole.saturating_mul(1_000_000_000).saturating_add(rest)
}

impl<R: Read> Steps for CastDecoder<R> {
    fn ready(&mut self) -> &mut Ready {
        &mut self.ready
    }

    fn take_step(&mut self) -> Result<(), DecodeError> {
        let step = match self.ready.taken() {
            0 => self.read_header(),
            _ => self.read_line(),
        };
        if step.is_err() {
            // An exit was sound, even if what follows it is not; comments stand where a cast that
            // ends here has them.
            self.give_held(self.before_ns);
            self.no_exit_yet();
        }
        step
    }
}

impl<R: Read> Decoder for CastDecoder<R> {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        self.next_of_steps()
    }
}
