//! Writes tlog.

use std::io::Write;

use hansard_core::{Body, Event, Session, SessionId, Stream, Value};

use super::chunk::{Chunk, Direction};
use super::latency::Latency;
use super::side::{Piece, char_len, escape, push_number};
use super::{FOREIGN_EVENT, NS_PER_MS, REC, SESSION, Writer};
use crate::codec::{EncodeError, Encoder};
use crate::limits::{TLOG_PAYLOAD_BYTES, TLOG_PAYLOAD_BYTES_MIN};

/// The audit session of what was in none: what the kernel says then.
const NO_AUDIT_SESSION: u64 = 4_294_967_295;

/// Writes messages of tlog 2.3.
///
/// What was typed or piped in becomes input, all that was shown becomes output: standard error
/// is one with standard output there. Facts, marks, gaps, clock readings and the end are left out.
pub struct TlogEncoder<W> {
    out: W,
    chunk: Chunk,
    latency: Latency,
    input: Unfinished,
    output: Unfinished,
    /// A message up to the number of it.
    head: Vec<u8>,
    /// UTC of moment zero.
    start_utc_ns: u64,
    last_id: u64,
    message: Vec<u8>,
}

/// Bytes of a character that is not complete yet.
#[derive(Debug, Default, Clone, Copy)]
struct Unfinished {
    bytes: [u8; 3],
    len: usize,
    /// Moment of the last of them.
    at_ns: u64,
}

impl Unfinished {
    fn held(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    fn hold(&mut self, bytes: &[u8], at_ns: u64) {
        self.len = bytes.len().min(3);
        self.at_ns = at_ns;
        for (slot, byte) in self.bytes.iter_mut().zip(bytes) {
            *slot = *byte;
        }
    }
}

impl<W: Write> TlogEncoder<W> {
    /// An encoder that writes here, in messages of tlog's default size.
    pub fn new(out: W) -> Self {
        Self::with_payload(out, TLOG_PAYLOAD_BYTES)
    }

    /// An encoder whose messages hold at most this much encoded payload (tlog's option
    /// `payload`). Less than [`TLOG_PAYLOAD_BYTES_MIN`] is taken for that.
    pub fn with_payload(out: W, payload_bytes_max: usize) -> Self {
        Self {
            out,
            chunk: Chunk::new(payload_bytes_max.max(TLOG_PAYLOAD_BYTES_MIN)),
            latency: Latency::default(),
            input: Unfinished::default(),
            output: Unfinished::default(),
            head: Vec::new(),
            start_utc_ns: 0,
            last_id: 0,
            message: Vec::new(),
        }
    }

    /// The same encoder with another `latency` than tlog's default of ten seconds: how long, by the
    /// recording's own time, what was logged may wait for a message to be full.
    #[must_use]
    pub fn with_latency(mut self, latency_ns: u64) -> Self {
        self.latency = Latency::of(latency_ns);
        self
    }

    /// Where it writes.
    pub fn out_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Since when, in nanoseconds of the recording, something waits for a message to be full;
    /// `None` where nothing does, or not since the last message that was due.
    #[must_use]
    pub fn waits_since_ns(&self) -> Option<u64> {
        self.latency.since_ns().filter(|_| !self.chunk.is_empty())
    }

    /// Writes what waits as a message, as if it had waited long enough: for who encodes while the
    /// recording is made, and knows that nothing came for so long. Half a character goes on waiting.
    ///
    /// # Errors
    /// When the output fails.
    pub fn end_waiting(&mut self) -> Result<(), EncodeError> {
        self.end_message()
    }

    /// Before something is logged: a message that waited long enough is written.
    fn log_at(&mut self, at_ns: u64) -> Result<(), EncodeError> {
        if self.latency.is_due(at_ns) {
            self.end_message()?;
        }
        self.latency.start(at_ns);
        Ok(())
    }

    fn end_message(&mut self) -> Result<(), EncodeError> {
        self.latency.stop();
        self.write_message()
    }

    fn write_message(&mut self) -> Result<(), EncodeError> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        self.chunk.end_runs();
        self.last_id += 1;
        let first_ns = self.chunk.first_ns();
        let time_ms = self.start_utc_ns.saturating_add(first_ns) / NS_PER_MS;
        let out = &mut self.message;
        out.clear();
        out.extend_from_slice(&self.head);
        push_number(out, self.last_id);
        out.extend_from_slice(b",\"pos\":");
        push_number(out, first_ns / NS_PER_MS);
        out.extend_from_slice(b",\"time\":");
        // Writing to memory does not fail.
        let _ = write!(out, "{}.{:03}", time_ms / 1000, time_ms % 1000);
        let chunk = &self.chunk;
        for (before, value) in [
            (&b",\"timing\":\""[..], &chunk.timing),
            (b"\",\"in_txt\":\"", &chunk.input.text),
            (b"\",\"in_bin\":[", &chunk.input.bin),
            (b"],\"out_txt\":\"", &chunk.output.text),
            (b"\",\"out_bin\":[", &chunk.output.bin),
        ] {
            out.extend_from_slice(before);
            out.extend_from_slice(value);
        }
        out.extend_from_slice(b"]}\n");
        self.out.write_all(out)?;
        self.chunk.clear();
        Ok(())
    }

    fn resize(&mut self, at_ns: u64, cols: u16, rows: u16) -> Result<(), EncodeError> {
        self.log_at(at_ns)?;
        if !self.chunk.resize(at_ns, cols, rows) {
            self.write_message()?;
            self.chunk.resize(at_ns, cols, rows);
        }
        Ok(())
    }

    fn unfinished(&mut self, to: Direction) -> &mut Unfinished {
        match to {
            Direction::Input => &mut self.input,
            Direction::Output => &mut self.output,
        }
    }

    fn data(&mut self, to: Direction, at_ns: u64, bytes: &[u8]) -> Result<(), EncodeError> {
        self.log_at(at_ns)?;
        let mut rest = bytes;
        while self.unfinished(to).len > 0 {
            let Some((&byte, tail)) = rest.split_first() else {
                return Ok(());
            };
            if self.complete(to, at_ns, byte)? {
                rest = tail;
            }
        }
        let mut chunks = rest.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.text(to, at_ns, chunk.valid())?;
            let bad = chunk.invalid();
            // Only the very end of the bytes can be unfinished rather than wrong.
            let unfinished = std::str::from_utf8(bad).is_err_and(|e| e.error_len().is_none());
            if chunks.peek().is_none() && unfinished {
                self.unfinished(to).hold(bad, at_ns);
            } else if !bad.is_empty() {
                self.piece(to, at_ns, Piece::Invalid(bad))?;
            }
        }
        Ok(())
    }

    /// Adds one byte to an unfinished character. Answers whether it was used up.
    fn complete(&mut self, to: Direction, at_ns: u64, byte: u8) -> Result<bool, EncodeError> {
        let held = *self.unfinished(to);
        let mut whole = [0u8; 4];
        for (slot, byte) in whole.iter_mut().zip(held.held().iter().chain([&byte])) {
            *slot = *byte;
        }
        let whole = whole.get(..=held.len).unwrap_or(&[]);
        match std::str::from_utf8(whole) {
            Ok(char) => {
                self.unfinished(to).len = 0;
                self.piece(to, at_ns, Piece::Valid(char.as_bytes()))?;
                Ok(true)
            }
            Err(e) if e.error_len().is_none() => {
                self.unfinished(to).hold(whole, at_ns);
                Ok(true)
            }
            // The new byte does not continue the character: it begins something of its own.
            Err(_) => {
                self.cut(to)?;
                Ok(false)
            }
        }
    }

    /// What is unfinished will not be finished: it happened when its last byte did.
    fn cut(&mut self, to: Direction) -> Result<(), EncodeError> {
        let held = std::mem::take(self.unfinished(to));
        match held.held() {
            [] => Ok(()),
            bytes => self.piece(to, held.at_ns, Piece::Invalid(bytes)),
        }
    }

    /// Does what the writer of an imported tlog did.
    fn repeat(&mut self, did: Writer) -> Result<(), EncodeError> {
        match did {
            Writer::Full => self.write_message(),
            Writer::Latency => self.end_message(),
            Writer::Later => {
                self.latency.stop();
                Ok(())
            }
            Writer::CutInput => self.cut(Direction::Input),
            Writer::CutOutput => self.cut(Direction::Output),
        }
    }

    fn text(&mut self, to: Direction, at_ns: u64, text: &str) -> Result<(), EncodeError> {
        let mut rest = text.as_bytes();
        while let Some(&first) = rest.first() {
            let len = char_len(first);
            let (char, tail) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            self.piece(to, at_ns, Piece::Valid(char))?;
            // Most of a text needs no escapes, and runs of that go in at once.
            let added = self.chunk.add_more(to, tail);
            rest = tail.get(added..).unwrap_or(&[]);
        }
        Ok(())
    }

    fn piece(&mut self, to: Direction, at_ns: u64, piece: Piece) -> Result<(), EncodeError> {
        if !self.chunk.add(to, at_ns, piece) {
            self.write_message()?;
            self.chunk.add(to, at_ns, piece);
        }
        Ok(())
    }
}

impl<W: Write> Encoder for TlogEncoder<W> {
    fn begin(&mut self, session: &Session) -> Result<(), EncodeError> {
        self.head = head(session);
        // A recording that came from tlog holds, as a part of a millisecond, how tlog rounded.
        // Any other's is dropped, so that `time` and `pos` always say the same.
        let part = match session.target.get(REC) {
            Some(_) => 0,
            None => session.start_utc_ns % NS_PER_MS,
        };
        self.start_utc_ns = session.start_utc_ns - part;
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        match &event.body {
            Body::Data { bytes, .. } if bytes.is_empty() => Ok(()),
            Body::Data { stream, bytes } => {
                let to = match stream {
                    Stream::Output | Stream::Stdout | Stream::Stderr => Direction::Output,
                    Stream::Stdin | Stream::Keystrokes => Direction::Input,
                };
                self.data(to, event.at_ns, bytes)
            }
            Body::Resize { cols, rows } => self.resize(event.at_ns, *cols, *rows),
            Body::Channel(fact) if fact.event == FOREIGN_EVENT => {
                match fact.fields.text("writer").and_then(Writer::parse) {
                    Some(did) => self.repeat(did),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        self.cut(Direction::Input)?;
        self.cut(Direction::Output)?;
        self.write_message()?;
        Ok(self.out.flush()?)
    }
}

/// What every message of this session begins with.
fn head(session: &Session) -> Vec<u8> {
    let (subject, target) = (&session.subject, &session.target);
    let host = target.text("server_hostname").unwrap_or_default();
    let user = subject.text("user").or(subject.text("login"));
    let term = session.origin.text("term").or(target.text("env.TERM"));
    let own = own_rec(session.id);
    let rec = target.text(REC).unwrap_or(&own);
    let mut head = b"{\"ver\":\"2.3\"".to_vec();
    for (key, text) in [
        ("host", host),
        ("rec", rec),
        ("user", user.unwrap_or_default()),
        ("term", term.unwrap_or_default()),
    ] {
        let _ = write!(head, ",\"{key}\":\"");
        escape(text, &mut head);
        head.push(b'"');
    }
    let audit = target.get(SESSION).and_then(Value::as_uint);
    let audit = audit.filter(|n| (1..=NO_AUDIT_SESSION).contains(n));
    let _ = write!(
        head,
        ",\"session\":{},\"id\":",
        audit.unwrap_or(NO_AUDIT_SESSION)
    );
    head
}

/// A name in tlog's form (boot, process, its start) that is the session's own.
fn own_rec(id: SessionId) -> String {
    let hex: String = id.to_string().chars().filter(|c| *c != '-').collect();
    format!("{hex}-0-0")
}
