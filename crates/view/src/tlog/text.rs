//! The strings of a message, read where they stand: characters are taken from them one run after
//! another, so a message takes no more memory than its line.

use std::ops::Range;

/// What is left of a string in JSON. The line it stands in is valid UTF-8.
#[derive(Debug, Default, Clone)]
pub(super) struct Text {
    at: usize,
    end: usize,
}

impl Text {
    /// The string at this place of its line, between the quotation marks.
    pub(super) fn new(place: Range<usize>) -> Self {
        Self {
            at: place.start,
            end: place.end,
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    /// Takes up to `chars` characters, and no more once there are `bytes_max` bytes in `out`.
    /// Answers how many were taken.
    pub(super) fn take(
        &mut self,
        line: &[u8],
        chars: u64,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<u64, String> {
        let mut taken = 0;
        while taken < chars && out.len() < bytes_max {
            let rest = line.get(self.at..self.end).unwrap_or(&[]);
            // Characters are not more than bytes: so far one can look for their ends.
            let wanted = usize::try_from(chars - taken).unwrap_or(usize::MAX);
            let wanted = wanted.min(bytes_max - out.len());
            let (used, count) = match rest.first() {
                None => return Err(format!("{} characters too few", chars - taken)),
                Some(b'\\') => {
                    let (char, used) = escaped(rest)?;
                    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                    (used, 1)
                }
                Some(0..0x80) => {
                    let run = rest.get(..wanted).unwrap_or(rest);
                    let end = run.iter().position(|b| *b == b'\\' || *b >= 0x80);
                    let run = run.get(..end.unwrap_or(run.len())).unwrap_or(run);
                    out.extend_from_slice(run);
                    (run.len(), run.len())
                }
                Some(_) => {
                    let (used, count) = wide_run(rest, (wanted / 4).max(1));
                    out.extend_from_slice(rest.get(..used).unwrap_or(rest));
                    (used, count)
                }
            };
            self.at += used;
            taken += u64::try_from(count).unwrap_or(u64::MAX);
        }
        Ok(taken)
    }

    /// Passes over `chars` characters.
    pub(super) fn skip(&mut self, line: &[u8], chars: u64) -> Result<(), String> {
        let mut left = chars;
        let mut dropped = Vec::new();
        while left > 0 {
            left -= self.take(line, left, &mut dropped, 4096)?;
            dropped.clear();
        }
        Ok(())
    }
}

/// Bytes and characters of a run of at most `chars_max` characters of several bytes each.
fn wide_run(rest: &[u8], chars_max: usize) -> (usize, usize) {
    let (mut used, mut count) = (0, 0);
    while count < chars_max {
        used += match rest.get(used) {
            Some(0xc0..0xe0) => 2,
            Some(0xe0..0xf0) => 3,
            Some(0xf0..) => 4,
            _ => break,
        };
        count += 1;
    }
    // A line of valid UTF-8 has whole characters; nothing else is taken as progress.
    match count {
        0 => (rest.len().min(1), 1),
        _ => (used.min(rest.len()), count),
    }
}

/// The character that an escape at the beginning says, and the bytes of the escape. Half a
/// surrogate pair says U+FFFD.
fn escaped(rest: &[u8]) -> Result<(char, usize), String> {
    let simple = match rest.get(1) {
        Some(b'u') => return escaped_unicode(rest),
        Some(byte @ (b'"' | b'\\' | b'/')) => char::from(*byte),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        _ => return Err("an escape that JSON does not have".to_owned()),
    };
    Ok((simple, 2))
}

fn escaped_unicode(rest: &[u8]) -> Result<(char, usize), String> {
    let first = hex(rest, 2).ok_or("an escape \\u without four hexadecimal digits")?;
    let second = match rest.get(6..8) {
        Some(b"\\u") if (0xd800..0xdc00).contains(&first) => hex(rest, 8),
        _ => None,
    };
    if let Some(second @ 0xdc00..0xe000) = second {
        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return Ok((char::from_u32(code).unwrap_or('\u{fffd}'), 12));
    }
    Ok((char::from_u32(first).unwrap_or('\u{fffd}'), 6))
}

fn hex(rest: &[u8], at: usize) -> Option<u32> {
    rest.get(at..at + 4)?.iter().try_fold(0, |code, byte| {
        Some(code * 16 + char::from(*byte).to_digit(16)?)
    })
}

/// The whole of a string, which may have at most this many bytes.
pub(super) fn unescape(
    line: &[u8],
    place: Range<usize>,
    bytes_max: usize,
) -> Result<Vec<u8>, String> {
    let mut rest = line.get(place).unwrap_or(&[]);
    let mut out = Vec::with_capacity(rest.len().min(bytes_max));
    loop {
        let plain = rest.iter().position(|byte| *byte == b'\\');
        let (run, tail) = rest.split_at(plain.unwrap_or(rest.len()));
        if out.len() + run.len() > bytes_max {
            return Err(format!("more than {bytes_max} bytes"));
        }
        out.extend_from_slice(run);
        if tail.is_empty() {
            return Ok(out);
        }
        let (char, used) = escaped(tail)?;
        out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        rest = tail.get(used..).unwrap_or(&[]);
    }
}
