//! Events as JSON lines, from one compressed file or several.

use std::collections::VecDeque;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use hansard_core::{Fields, Value};
use serde_json::{Map, Value as Json};

use super::super::{json, time};
use super::chunks::Unread;
use crate::codec::DecodeError;
use crate::limits::{TELEPORT_LINE_BYTES_MAX, TELEPORT_VALUES_MAX};
use crate::lines::{Lines, check_json_size};

/// One line.
#[derive(Debug)]
pub(super) enum Entry {
    /// Bytes of the terminal, which stand elsewhere.
    Print(Box<Printed>),
    /// Any other event.
    Fact {
        event: String,
        fields: Fields,
        utc_ns: Option<u64>,
    },
}

/// What a `print` line says.
#[derive(Debug, Default)]
pub(super) struct Printed {
    pub(super) bytes: u64,
    pub(super) time: Option<String>,
    pub(super) ms: Option<u64>,
    pub(super) offset: Option<u64>,
    pub(super) index: Option<u64>,
    pub(super) chunk: Option<u64>,
    /// Anything else.
    pub(super) more: Fields,
}

impl Entry {
    pub(super) fn utc_ns(&self) -> Option<u64> {
        match self {
            Self::Print(print) => print.time.as_deref().and_then(time::parse),
            Self::Fact { utc_ns, .. } => *utc_ns,
        }
    }
}

type Inflated = Lines<MultiGzDecoder<Box<dyn Read>>>;

/// The events of one kind.
pub(super) struct Events {
    waiting: VecDeque<Unread>,
    current: Option<(String, Inflated)>,
    /// The next one, and when it is from.
    head: Option<(u64, Entry)>,
    last_ns: u64,
    notices: Vec<String>,
    /// Whether a file's compressed data did not go on as it must.
    damaged: bool,
    failed: Option<DecodeError>,
}

impl Events {
    pub(super) fn new(files: VecDeque<Unread>) -> Self {
        Self {
            waiting: files,
            current: None,
            head: None,
            last_ns: 0,
            notices: Vec::new(),
            damaged: false,
            failed: None,
        }
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.damaged
    }

    pub(super) fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// What stopped the reading, once everything before it was taken.
    pub(super) fn take_failed(&mut self) -> Option<DecodeError> {
        self.failed.take()
    }

    /// The next event and its moment, or that of the one before where it says none.
    pub(super) fn head(&mut self) -> Option<&(u64, Entry)> {
        while self.head.is_none() && self.failed.is_none() {
            match self.line() {
                Ok(Some(entry)) => {
                    self.last_ns = entry.utc_ns().unwrap_or(self.last_ns);
                    self.head = Some((self.last_ns, entry));
                }
                Ok(None) => break,
                Err(e) => self.failed = Some(e),
            }
        }
        self.head.as_ref()
    }

    pub(super) fn take_head(&mut self) -> Option<Entry> {
        self.head.take().map(|(_, entry)| entry)
    }

    fn line(&mut self) -> Result<Option<Entry>, DecodeError> {
        loop {
            let Some((name, lines)) = &mut self.current else {
                match self.waiting.pop_front() {
                    Some((_, name, src)) => {
                        self.current = Some((name, Lines::new(MultiGzDecoder::new(src))))
                    }
                    None => return Ok(None),
                }
                continue;
            };
            match lines.advance(TELEPORT_LINE_BYTES_MAX) {
                Ok(true) if lines.line().iter().all(u8::is_ascii_whitespace) => {}
                Ok(true) => {
                    let entry = entry(lines.line());
                    return entry
                        .map(Some)
                        .map_err(|what| lines.malformed(format!("{name}: {what}")));
                }
                Ok(false) => self.current = None,
                Err(DecodeError::Io(e)) if is_damage(&e) => {
                    // A recorder that died leaves such files; what it wrote before is sound.
                    let end = lines.malformed(format!(
                        "{name}: the compressed data is cut or damaged here ({e}); what follows in this file is lost"
                    ));
                    self.notices.push(end.to_string());
                    self.damaged = true;
                    self.current = None;
                }
                Err(e) => return Err(e),
            }
        }
    }
}

fn is_damage(e: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(e.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

fn entry(line: &[u8]) -> Result<Entry, String> {
    if let Some(print) = plain_print(line) {
        return Ok(Entry::Print(Box::new(print)));
    }
    check_json_size(line, TELEPORT_VALUES_MAX)?;
    let object: Map<String, Json> =
        serde_json::from_slice(line).map_err(|e| format!("not an event as a JSON object: {e}"))?;
    let (event, fields) = json::read(object)?;
    if event == "print" {
        return print(fields).map(|print| Entry::Print(Box::new(print)));
    }
    let utc_ns = fields.text("time").and_then(time::parse);
    Ok(Entry::Fact {
        event,
        fields,
        utc_ns,
    })
}

/// A print line of any shape.
fn print(fields: Fields) -> Result<Printed, String> {
    let mut print = Printed::default();
    let mut bytes = None;
    for (name, value) in fields.iter() {
        match (name, value) {
            ("bytes", Value::Uint(n)) => bytes = Some(*n),
            ("ms", Value::Uint(n)) => print.ms = Some(*n),
            ("offset", Value::Uint(n)) => print.offset = Some(*n),
            ("ei", Value::Uint(n)) => print.index = Some(*n),
            ("ci", Value::Uint(n)) => print.chunk = Some(*n),
            ("time", Value::Text(text)) => print.time = Some(text.clone()),
            _ => print.more.push(name, value.clone()),
        }
    }
    match bytes {
        Some(bytes) => Ok(Printed { bytes, ..print }),
        None => Err("a print event says \"bytes\": how many; this one does not".to_owned()),
    }
}

/// A print line as Teleport writes it: most lines are, and reading them so is many times faster.
fn plain_print(line: &[u8]) -> Option<Printed> {
    let text = std::str::from_utf8(line).ok()?;
    let mut rest = text.strip_prefix('{')?;
    let (mut print, mut bytes, mut named) = (Printed::default(), None, false);
    loop {
        let (key, after) = rest.strip_prefix('"')?.split_once("\":")?;
        let (number, text, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (text, after) = quoted.split_once('"')?;
                let plain = text.bytes().all(|b| b >= 0x20 && b != b'\\');
                (None, plain.then_some(text), after)
            }
            None => {
                let digits = after.bytes().take_while(u8::is_ascii_digit).count();
                let (number, after) = after.split_at_checked(digits)?;
                let canonical = number == "0" || !number.starts_with('0');
                (number.parse().ok().filter(|_| canonical), None, after)
            }
        };
        let into = match (key, number, text) {
            ("event", None, Some("print")) if !named => {
                named = true;
                None
            }
            ("time", None, Some(text)) if print.time.is_none() => {
                print.time = Some(text.to_owned());
                None
            }
            ("bytes", ..) => Some(&mut bytes),
            ("ms", ..) => Some(&mut print.ms),
            ("offset", ..) => Some(&mut print.offset),
            ("ei", ..) => Some(&mut print.index),
            ("ci", ..) => Some(&mut print.chunk),
            _ => return None,
        };
        if let Some(into) = into
            && into.replace(number?).is_some()
        {
            return None;
        }
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None if after == "}" && named => break,
            None => return None,
        }
    }
    Some(Printed {
        bytes: bytes?,
        ..print
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(line: &str) -> Option<String> {
        plain_print(line.as_bytes()).map(|print| format!("{print:?}"))
    }

    fn slowly(line: &str) -> Option<String> {
        let object = serde_json::from_str(line).ok()?;
        let (event, fields) = json::read(object).ok()?;
        (event == "print")
            .then(|| print(fields).ok())
            .flatten()
            .map(|print| format!("{print:?}"))
    }

    const LINE: &str = r#"{"time":"2018-01-04T02:12:40.245Z","event":"print","bytes":936,"ms":40962,"offset":16842,"ei":31,"ci":29}"#;

    #[test]
    fn a_line_as_teleport_writes_it_is_read_fast() {
        assert!(said(LINE).is_some());
        assert_eq!(said(LINE), slowly(LINE));
        for other in [
            r#"{"event":"print","bytes":-1}"#,
            r#"{"event":"print","bytes":1.5}"#,
            r#"{"event":"print","bytes":01}"#,
            r#"{"event":"print","bytes":1,"x":2}"#,
            r#"{"event":"print","bytes":1,"bytes":2}"#,
            r#"{"event":"print","bytes":"1"}"#,
            r#"{"event":"print","ms":"1","bytes":2}"#,
            r#"{"event":"pr\u0069nt","bytes":1}"#,
            r#"{"event":"print","bytes":99999999999999999999}"#,
            r#"{"event":"resize","bytes":1}"#,
        ] {
            assert_eq!(said(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn fast_reading_reads_the_same(cut in 0usize..108, byte in any::<u8>(), insert in any::<bool>()) {
            let mut line = LINE.as_bytes().to_vec();
            match insert {
                true => line.insert(cut.min(line.len()), byte & 0x7f),
                false => line[cut.min(LINE.len() - 1)] = byte & 0x7f,
            }
            let line = String::from_utf8(line).unwrap();
            if let Some(fast) = said(&line) {
                prop_assert_eq!(Some(fast), slowly(&line));
            }
        }
    }
}
