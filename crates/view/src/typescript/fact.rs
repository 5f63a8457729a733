//! What a recording says besides bytes and sizes, as entries of advanced timing: script passes
//! over facts that it does not know, so that its player still plays what holds them.

use hansard_core::event::{Fact, Gap};
use hansard_core::{Body, Fields, Value};

use super::{ENTRY, FOREIGN_EVENT, LINE, timing};
use crate::limits::TIMING_LINE_BYTES_MAX;
use crate::seconds::{self, word};

/// Name of the fact that is a mark.
const MARK: &str = "MARK";
/// Name of the fact that says that something is missing here.
const GAP: &str = "GAP";

/// Longest text of an entry; what is longer is cut.
const TEXT_BYTES_MAX: usize = TIMING_LINE_BYTES_MAX - 1024;

/// The event of a named fact in the midst of the timing.
pub(super) fn read(text: &[u8]) -> Body {
    let (name, value) = timing::name_and_value(text);
    let said = std::str::from_utf8(value).ok().and_then(|text| match name {
        b"MARK" => Some(Body::Mark {
            label: text.to_owned(),
        }),
        b"GAP" => read_gap(text).map(Body::Gap),
        _ => None,
    });
    said.unwrap_or_else(|| foreign(ENTRY, &[b"H ", text].concat()))
}

/// The event that keeps what only a typescript says.
pub(super) fn foreign(field: &str, text: &[u8]) -> Body {
    Body::Channel(Fact {
        event: FOREIGN_EVENT.to_owned(),
        fields: Fields::new().with(field, Value::from_os_bytes(text)),
    })
}

/// The letter and text of the entry for this event, if it is one for an entry.
pub(super) fn write(body: &Body) -> Option<(u8, Vec<u8>)> {
    match body {
        Body::Resize { cols, rows } => Some((
            b'S',
            format!("SIGWINCH ROWS={rows} COLS={cols}").into_bytes(),
        )),
        Body::Mark { label } if label.is_empty() => Some((b'H', MARK.into())),
        Body::Mark { label } => Some((b'H', one_line(format!("{MARK} {label}").as_bytes()))),
        Body::Gap(gap) => Some((b'H', one_line(write_gap(gap).as_bytes()))),
        Body::Channel(fact) if fact.event == FOREIGN_EVENT => {
            let entry = text_of(fact.fields.get(ENTRY)?)?;
            match entry {
                [b'H', b' ', text @ ..] => write_fact(one_line(text)),
                [b'S', b' ', text @ ..] => Some(write_signal(one_line(text))),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A fact's entry. On its line a break is a blank, so it may be read as more than it was before: it
/// is written as what it will be read as.
fn write_fact(text: Vec<u8>) -> Option<(u8, Vec<u8>)> {
    match timing::name_and_value(&text) {
        // What the end says is written there.
        (b"DURATION" | b"EXIT_CODE", _) => None,
        _ => match read(&text) {
            Body::Channel(_) => Some((b'H', text)),
            said => write(&said),
        },
    }
}

/// A signal's entry, likewise.
fn write_signal(text: Vec<u8>) -> (u8, Vec<u8>) {
    let size = timing::size(&text).map(|(cols, rows)| Body::Resize { cols, rows });
    let written = size.and_then(|size| write(&size));
    written.unwrap_or((b'S', text))
}

/// The line of an unknown kind that this event keeps, if it is one.
pub(super) fn line(fact: &Fact) -> Option<Vec<u8>> {
    let line = one_line(text_of(fact.fields.get(LINE)?)?);
    let (letter, _) = word(&line);
    let known = matches!(letter, b"O" | b"I" | b"S" | b"H");
    let unknown = !known && timing::is_letter(letter);
    unknown.then_some(line)
}

/// The bytes of a value that is text.
pub(super) fn text_of(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Text(text) => Some(text.as_bytes()),
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

/// The text on one line, as script puts a command of several lines.
pub(super) fn one_line(text: &[u8]) -> Vec<u8> {
    let text = match text.get(..TEXT_BYTES_MAX) {
        // Text stays text: not cut inside a character.
        Some(cut) => match std::str::from_utf8(cut) {
            Err(e) if e.error_len().is_none() => cut.get(..e.valid_up_to()).unwrap_or(cut),
            _ => cut,
        },
        None => text,
    };
    let breaks = |byte: &u8| {
        if matches!(byte, b'\n' | b'\r') {
            b' '
        } else {
            *byte
        }
    };
    text.iter().map(breaks).collect()
}

fn write_gap(gap: &Gap) -> String {
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    format!(
        "{GAP} {} {} {} {} {}",
        gap.from_ns,
        number(gap.events),
        number(gap.bytes),
        number(gap.bytes_max),
        gap.cause
    )
}

fn read_gap(text: &str) -> Option<Gap> {
    let mut parts = text.splitn(5, ' ');
    let from_ns = seconds::number(parts.next()?.as_bytes())?;
    let mut number = || match parts.next()? {
        "-" => Some(None),
        digits => seconds::number(digits.as_bytes()).map(Some),
    };
    let (events, bytes, bytes_max) = (number()?, number()?, number()?);
    Some(Gap {
        cause: parts.next()?.to_owned(),
        from_ns,
        events,
        bytes,
        bytes_max,
    })
}
