//! One line of timing.

use crate::seconds::{self, word};

/// What a line of timing says happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// So many bytes were shown.
    Output(u64),
    /// So many bytes were typed.
    Input(u64),
    /// A signal, with what it carries: `SIGWINCH ROWS=30 COLS=100`.
    Signal(&'a [u8]),
    /// A named fact: see [`name_and_value`].
    Header(&'a [u8]),
    /// A letter that script does not write.
    Unknown,
}

/// Whether timing that begins with this line is of the advanced kind.
pub(super) fn is_advanced(line: &[u8]) -> bool {
    is_letter(word(line).0)
}

/// Whether a word is a letter, as entries of the advanced kind begin with one.
pub(super) fn is_letter(word: &[u8]) -> bool {
    matches!(word, [letter] if letter.is_ascii_alphabetic())
}

/// The nanoseconds since the entry before, and the entry.
pub(super) fn parse(line: &[u8], advanced: bool) -> Result<(u64, Entry<'_>), String> {
    if !advanced {
        let (delta, rest) = word(line);
        return Ok((interval(delta)?, Entry::Output(count(rest)?)));
    }
    let (letter, rest) = word(line);
    if !matches!(letter, b"O" | b"I" | b"S" | b"H") {
        return match is_letter(letter) {
            true => Ok((0, Entry::Unknown)),
            false => Err("in the timing: no entry of the kind the others are".to_owned()),
        };
    }
    let (delta, text) = word(rest);
    let delta = interval(delta)?;
    let entry = match letter {
        b"O" => Entry::Output(count(text)?),
        b"I" => Entry::Input(count(text)?),
        b"S" => Entry::Signal(text),
        _ => Entry::Header(text),
    };
    Ok((delta, entry))
}

/// The name of a fact, and its value.
pub(super) fn name_and_value(text: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = text.splitn(2, |b| *b == b' ');
    let name = parts.next().unwrap_or_default();
    (name, parts.next().unwrap_or_default())
}

fn interval(text: &[u8]) -> Result<u64, String> {
    seconds::parse(text)
        .ok_or_else(|| "in the timing: no interval in seconds where one is due".to_owned())
}

fn count(text: &[u8]) -> Result<u64, String> {
    seconds::number(text.trim_ascii_end())
        .ok_or_else(|| "in the timing: no number of bytes where one is due".to_owned())
}

/// The size that a signal carries: columns and rows.
pub(super) fn size(signal: &[u8]) -> Option<(u16, u16)> {
    let rest = std::str::from_utf8(signal)
        .ok()?
        .strip_prefix("SIGWINCH ROWS=")?;
    let (rows, cols) = rest.split_once(" COLS=")?;
    let number = |text: &str| Some(u16::try_from(seconds::number(text.as_bytes())?).ok());
    Some((number(cols)??, number(rows)??))
}
