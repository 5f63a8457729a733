//! Where the values of a JSON object stand in their line, for the keys that tlog has and for the
//! one in which the journal wraps a message. Nothing is copied; other keys are passed over.

use std::ops::Range;

/// Deepest nesting of what is passed over. Deeper: an error.
const DEPTH_MAX: u32 = 64;

/// Where a value stands, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Between the quotation marks of a string.
    Text(Range<usize>),
    /// The characters of a number.
    Number(Range<usize>),
    /// Between the brackets of an array.
    Array(Range<usize>),
    /// An object.
    Object,
    /// `null`, `true` or `false`.
    Word,
}

/// The values that matter. Of a key that stands twice, the later one.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) ver: Option<Place>,
    pub(super) host: Option<Place>,
    pub(super) rec: Option<Place>,
    pub(super) user: Option<Place>,
    pub(super) term: Option<Place>,
    pub(super) session: Option<Place>,
    pub(super) id: Option<Place>,
    pub(super) pos: Option<Place>,
    pub(super) time: Option<Place>,
    pub(super) timing: Option<Place>,
    pub(super) in_txt: Option<Place>,
    pub(super) in_bin: Option<Place>,
    pub(super) out_txt: Option<Place>,
    pub(super) out_bin: Option<Place>,
    /// The journal's.
    pub(super) wrapped: Option<Place>,
}

impl Places {
    /// Reads a line that is one JSON object.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        let mut scan = Scan { line, at: 0 };
        let mut places = Self::default();
        scan.expect(b'{', "a JSON object")?;
        if scan.peek() == Some(b'}') {
            scan.at += 1;
        } else {
            loop {
                scan.blanks();
                let Some(Place::Text(key)) = scan.value()? else {
                    return Err(scan.wrong("a key"));
                };
                scan.expect(b':', "a colon after a key")?;
                scan.blanks();
                let Some(value) = scan.value()? else {
                    return Err(scan.wrong("a value"));
                };
                if let Some(slot) = places.slot(line.get(key).unwrap_or(&[])) {
                    *slot = Some(value);
                }
                match scan.peek() {
                    Some(b',') => scan.at += 1,
                    Some(b'}') => break scan.at += 1,
                    _ => return Err(scan.wrong("a comma or the end of the object")),
                }
            }
        }
        match scan.peek() {
            None => Ok(places),
            Some(_) => Err(scan.wrong("the end of the line")),
        }
    }

    fn slot(&mut self, key: &[u8]) -> Option<&mut Option<Place>> {
        Some(match key {
            b"ver" => &mut self.ver,
            b"host" => &mut self.host,
            b"rec" => &mut self.rec,
            b"user" => &mut self.user,
            b"term" => &mut self.term,
            b"session" => &mut self.session,
            b"id" => &mut self.id,
            b"pos" => &mut self.pos,
            b"time" => &mut self.time,
            b"timing" => &mut self.timing,
            b"in_txt" => &mut self.in_txt,
            b"in_bin" => &mut self.in_bin,
            b"out_txt" => &mut self.out_txt,
            b"out_bin" => &mut self.out_bin,
            b"MESSAGE" => &mut self.wrapped,
            _ => return None,
        })
    }
}

struct Scan<'a> {
    line: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn rest(&self) -> &[u8] {
        self.line.get(self.at..).unwrap_or(&[])
    }

    fn blanks(&mut self) {
        let blank = |byte: &&u8| matches!(**byte, b' ' | b'\t' | b'\r' | b'\n');
        self.at += self.rest().iter().take_while(blank).count();
    }

    /// The next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        self.blanks();
        self.rest().first().copied()
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), String> {
        if self.peek() != Some(byte) {
            return Err(self.wrong(what));
        }
        self.at += 1;
        Ok(())
    }

    fn wrong(&self, expected: &str) -> String {
        match self.line.get(self.at) {
            None => format!("the line ends where {expected} should be"),
            Some(_) => format!("no JSON: byte {} of the line is not {expected}", self.at),
        }
    }

    /// Passes over the value that begins here, if one does.
    fn value(&mut self) -> Result<Option<Place>, String> {
        let start = self.at;
        Ok(Some(match self.rest().first() {
            Some(b'"') => Place::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => {
                let part = |b: &&u8| matches!(**b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                self.at += self.rest().iter().take_while(part).count();
                Place::Number(start..self.at)
            }
            Some(b'[') => {
                self.nested()?;
                Place::Array(start + 1..self.at.saturating_sub(1))
            }
            Some(b'{') => {
                self.nested()?;
                Place::Object
            }
            Some(_) => {
                let words = [&b"null"[..], b"true", b"false"];
                match words.iter().find(|word| self.rest().starts_with(word)) {
                    Some(word) => self.at += word.len(),
                    None => return Ok(None),
                }
                Place::Word
            }
            None => return Ok(None),
        }))
    }

    /// Passes over a string and answers where its characters stand.
    fn string(&mut self) -> Result<Range<usize>, String> {
        let start = self.at + 1;
        self.at = start;
        loop {
            let end = self.rest().iter().position(|b| matches!(b, b'"' | b'\\'));
            self.at += end.unwrap_or(self.rest().len());
            match self.rest().first() {
                Some(b'"') => break,
                Some(_) => self.at += 2,
                None => {
                    self.at = self.line.len();
                    return Err(self.wrong("the end of a string"));
                }
            }
        }
        self.at += 1;
        Ok(start..self.at - 1)
    }

    /// Passes over an array or object and what is in it, without a look at its grammar but that
    /// its brackets match.
    fn nested(&mut self) -> Result<(), String> {
        let (mut braces, mut depth) = (0u64, 0u32);
        loop {
            match self.rest().first() {
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                Some(byte @ (b'[' | b'{')) => {
                    braces = (braces << 1) | u64::from(*byte == b'{');
                    depth += 1;
                    if depth > DEPTH_MAX {
                        return Err(format!("nested deeper than {DEPTH_MAX}"));
                    }
                }
                Some(byte @ (b']' | b'}')) => {
                    if (braces & 1 == 1) != (*byte == b'}') {
                        return Err(self.wrong("the bracket that was opened"));
                    }
                    braces >>= 1;
                    depth -= 1;
                }
                Some(_) => {}
                None => return Err(self.wrong("a closing bracket")),
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }
}
