//! One direction of a message that is being written: its text, its bytes, and the run of
//! characters that the timing does not name yet.

/// Bytes of U+FFFD, which stands in the text for every invalid sequence.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// A character or what stands for one, as it goes into a message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Piece<'a> {
    /// The bytes of one character.
    Valid(&'a [u8]),
    /// One sequence of bytes that is no character: at most three.
    Invalid(&'a [u8]),
}

impl Piece<'_> {
    pub(super) fn is_valid(self) -> bool {
        matches!(self, Self::Valid(_))
    }
}

/// A count that is written in decimal, and the value at which it takes one digit more.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    count: usize,
    longer_at: usize,
}

impl Run {
    /// Bytes that one more takes in the timing: marker and digit for the first.
    fn cost(self) -> usize {
        match self.count {
            0 => 2,
            _ => usize::from(self.count + 1 >= self.longer_at),
        }
    }

    fn add(&mut self) {
        self.count += 1;
        match self.count {
            1 => self.longer_at = 10,
            _ if self.count >= self.longer_at => self.longer_at *= 10,
            _ => {}
        }
    }
}

/// One direction.
#[derive(Debug)]
pub(super) struct Side {
    /// Markers of text and of bytes in the timing.
    marks: (u8, u8),
    /// Text as it stands in JSON.
    pub(super) text: Vec<u8>,
    /// Bytes as they stand in JSON.
    pub(super) bin: Vec<u8>,
    chars: Run,
    bytes: Run,
}

impl Side {
    pub(super) fn new(marks: (u8, u8)) -> Self {
        Self {
            marks,
            text: Vec::new(),
            bin: Vec::new(),
            chars: Run::default(),
            bytes: Run::default(),
        }
    }

    /// Forgets what was written.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.bin.clear();
    }

    /// Whether this piece cannot be part of the current run, since the one is text and the other
    /// is not.
    pub(super) fn is_cut_by(&self, piece: Piece) -> bool {
        self.chars.count > 0 && piece.is_valid() == (self.bytes.count > 0)
    }

    /// Bytes of payload that this piece takes, in a run of its own or in the current one.
    pub(super) fn cost(&self, piece: Piece, own_run: bool) -> usize {
        let (chars, mut bytes) = match own_run {
            true => (Run::default(), Run::default()),
            false => (self.chars, self.bytes),
        };
        match piece {
            Piece::Valid(char) => chars.cost() + escaped_len(char),
            Piece::Invalid(raw) => {
                let mut cost = chars.cost() + REPLACEMENT.len();
                let mut first = self.bin.is_empty();
                for byte in raw {
                    cost += bytes.cost() + usize::from(!first) + digits(u64::from(*byte));
                    bytes.add();
                    first = false;
                }
                cost
            }
        }
    }

    /// Adds a piece to the current run.
    pub(super) fn add(&mut self, piece: Piece) {
        self.chars.add();
        match piece {
            Piece::Valid(char) => escape_char(char, &mut self.text),
            Piece::Invalid(raw) => {
                self.text.extend_from_slice(REPLACEMENT);
                for byte in raw {
                    self.bytes.add();
                    if !self.bin.is_empty() {
                        self.bin.push(b',');
                    }
                    push_number(&mut self.bin, u64::from(*byte));
                }
            }
        }
    }

    /// Adds as many characters as there is room for to the current run of text, all of them of
    /// one byte that needs no escape. Answers how many.
    pub(super) fn add_plain(&mut self, plain: &[u8], room: &mut usize) -> usize {
        let mut added = 0;
        while added < plain.len() {
            let until_longer = self.chars.longer_at.saturating_sub(self.chars.count + 1);
            let step = until_longer.min(plain.len() - added).min(*room);
            if step > 0 {
                self.chars.count += step;
                *room -= step;
                added += step;
            } else if until_longer == 0 && *room >= 2 {
                self.chars.add();
                *room -= 2;
                added += 1;
            } else {
                break;
            }
        }
        self.text
            .extend_from_slice(plain.get(..added).unwrap_or(plain));
        added
    }

    /// The same for characters of several bytes each. Answers how many bytes.
    pub(super) fn add_wide(&mut self, wide: &[u8], room: &mut usize) -> usize {
        let mut added = 0;
        while let Some(first) = wide.get(added) {
            let len = char_len(*first);
            let cost = len + self.chars.cost();
            if cost > *room || added + len > wide.len() {
                break;
            }
            self.chars.add();
            *room -= cost;
            added += len;
        }
        self.text
            .extend_from_slice(wide.get(..added).unwrap_or(wide));
        added
    }

    /// Whether characters were added that the timing does not name yet.
    pub(super) fn has_run(&self) -> bool {
        self.chars.count > 0
    }

    /// Writes the timing record of the current run, which ends.
    pub(super) fn end_run(&mut self, timing: &mut Vec<u8>) {
        let (chars, bytes) = (self.chars.count, self.bytes.count);
        self.chars = Run::default();
        self.bytes = Run::default();
        timing.push(match bytes {
            0 => self.marks.0,
            _ => self.marks.1,
        });
        push_usize(timing, chars);
        if bytes > 0 {
            timing.push(b'/');
            push_usize(timing, bytes);
        }
    }
}

/// Decimal digits of a number.
pub(super) fn digits(n: u64) -> usize {
    n.checked_ilog10()
        .and_then(|log| usize::try_from(log).ok())
        .map_or(1, |log| log + 1)
}

/// A number in decimal.
pub(super) fn push_number(out: &mut Vec<u8>, n: u64) {
    let mut buffer = [0u8; 20];
    let (mut left, mut len) = (n, 0);
    for slot in buffer.iter_mut().rev() {
        *slot = b'0' + u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
        len += 1;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(buffer.get(buffer.len() - len..).unwrap_or(&[]));
}

fn push_usize(out: &mut Vec<u8>, n: usize) {
    push_number(out, u64::try_from(n).unwrap_or(u64::MAX));
}

/// Whether this byte is a character that stands in JSON as it is.
pub(super) fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

/// Bytes of the character that begins with this one, in valid UTF-8.
pub(super) fn char_len(first: u8) -> usize {
    match first {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

fn escaped_len(char: &[u8]) -> usize {
    match char {
        [byte] if is_plain(*byte) => 1,
        [b'"' | b'\\' | 0x08 | 0x0c | b'\n' | b'\r' | b'\t'] => 2,
        [_] => 6,
        _ => char.len(),
    }
}

/// Least payload that the first character of these bytes takes, or what stands for it.
pub(super) fn least_len(bytes: &[u8]) -> usize {
    let chunk = bytes.get(..4).unwrap_or(bytes).utf8_chunks().next();
    match chunk.and_then(|chunk| chunk.valid().chars().next()) {
        Some(char) => escaped_len(char.encode_utf8(&mut [0; 4]).as_bytes()),
        None => REPLACEMENT.len() + 1,
    }
}

/// A character as tlog writes it in JSON.
fn escape_char(char: &[u8], out: &mut Vec<u8>) {
    match char {
        [byte] if is_plain(*byte) => out.push(*byte),
        [byte @ (b'"' | b'\\')] => out.extend_from_slice(&[b'\\', *byte]),
        [0x08] => out.extend_from_slice(b"\\b"),
        [0x0c] => out.extend_from_slice(b"\\f"),
        [b'\n'] => out.extend_from_slice(b"\\n"),
        [b'\r'] => out.extend_from_slice(b"\\r"),
        [b'\t'] => out.extend_from_slice(b"\\t"),
        [byte] => {
            let hex = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[hex(byte >> 4), hex(byte & 15)]);
        }
        _ => out.extend_from_slice(char),
    }
}

/// Text as tlog writes it in JSON.
pub(super) fn escape(text: &str, out: &mut Vec<u8>) {
    let mut buffer = [0u8; 4];
    for char in text.chars() {
        escape_char(char.encode_utf8(&mut buffer).as_bytes(), out);
    }
}
