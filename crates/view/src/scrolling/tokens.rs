//! The bytes that a terminal is sent, as far as it matters for where they scroll.

/// A character or a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// A character of so many columns.
    Print(usize),
    /// The last one again, so often.
    Repeat(usize),
    /// A line down.
    Feed,
    /// A line down and to the first column.
    NextLine,
    /// To this column.
    Column(usize),
    /// So many to the right.
    Right(usize),
    /// So many to the left.
    Left(usize),
    /// To the next stop.
    Tab,
    /// So many rows are moved.
    Scroll(usize),
    /// The alternate screen.
    Alternate,
    /// What scrolls is from this row to that, from 1; 0 for the first and the last.
    Region(usize, usize),
    /// Everything else.
    Other,
}

impl Token {
    /// How many lines it scrolls at most, from this column, which it moves.
    pub(super) fn scrolls(self, col: &mut usize, cols: usize) -> usize {
        match self {
            Self::Print(width) => {
                *col = col.saturating_add(width);
                if *col <= cols {
                    return 0;
                }
                *col = width;
                1
            }
            Self::Repeat(times) => {
                let end = col.saturating_add(times);
                let lines = end.saturating_sub(1) / cols;
                *col = end - lines * cols;
                lines
            }
            Self::Feed => 1,
            Self::NextLine => {
                *col = 0;
                1
            }
            Self::Column(at) => {
                *col = at.min(cols - 1);
                0
            }
            Self::Right(by) => {
                *col = col.saturating_add(by).min(cols - 1);
                0
            }
            Self::Left(by) => {
                *col = col.saturating_sub(by);
                0
            }
            Self::Tab => {
                *col = (*col / 8 * 8 + 8).min(cols - 1);
                0
            }
            Self::Scroll(rows) => rows,
            Self::Region(..) => {
                *col = 0;
                0
            }
            Self::Alternate | Self::Other => 0,
        }
    }
}

/// Goes through bytes.
pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Behind the last one.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Where the next one begins, and what it is.
    pub(super) fn next(&mut self) -> Option<(usize, Token)> {
        let begin = self.at;
        let byte = self.byte()?;
        let token = match byte {
            0x08 => Token::Left(1),
            b'\t' => Token::Tab,
            0x0a..=0x0c => Token::Feed,
            b'\r' => Token::Column(0),
            0x1b => self.escape(),
            0x00..=0x1f | 0x7f => Token::Other,
            0x20..=0x7e => Token::Print(1),
            0xc2 => match self.byte() {
                Some(c1 @ 0x80..=0x9f) => self.c1(c1),
                _ => Token::Print(1),
            },
            _ => self.character(byte),
        };
        Some((begin, token))
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        byte
    }

    /// A character of several bytes. How wide it is is told by where it begins: of those that are mostly wide
    /// all are taken for it.
    fn character(&mut self, lead: u8) -> Token {
        let (more, width) = match lead {
            0xc3..=0xdf => (1, 1),
            0xe0..=0xe2 | 0xee => (2, 1),
            0xe3..=0xef => (2, 2),
            0xf0..=0xf4 => (3, 2),
            _ => (0, 1),
        };
        for _ in 0..more {
            if !matches!(self.bytes.get(self.at), Some(0x80..=0xbf)) {
                break;
            }
            self.at += 1;
        }
        Token::Print(width)
    }

    fn c1(&mut self, second: u8) -> Token {
        match second {
            0x84 => Token::Feed,
            0x85 => Token::NextLine,
            0x8d => Token::Scroll(1),
            0x9b => self.csi(),
            0x90 | 0x98 | 0x9d..=0x9f => self.string(),
            _ => Token::Other,
        }
    }

    fn escape(&mut self) -> Token {
        match self.byte() {
            Some(b'[') => self.csi(),
            Some(b']' | b'P' | b'X' | b'^' | b'_') => self.string(),
            Some(b'D') => Token::Feed,
            Some(b'E') => Token::NextLine,
            Some(b'M') => Token::Scroll(1),
            // Where the cursor was saved is not known: at the end, where it wraps soonest.
            Some(b'8') => Token::Column(usize::MAX),
            Some(b'c') => Token::Column(0),
            Some(0x20..=0x2f) => {
                while matches!(self.bytes.get(self.at), Some(0x20..=0x2f)) {
                    self.at += 1;
                }
                self.byte();
                Token::Other
            }
            // What is no part of a sequence is looked at by itself.
            Some(0x00..=0x1f | 0x7f..) => {
                self.at -= 1;
                Token::Other
            }
            _ => Token::Other,
        }
    }

    /// Up to what ends a title and the like.
    fn string(&mut self) -> Token {
        while let Some(byte) = self.byte() {
            match byte {
                0x07 | 0x18 | 0x1a => break,
                0x1b => {
                    self.at -= 1;
                    break;
                }
                0xc2 if self.bytes.get(self.at) == Some(&0x9c) => {
                    self.at += 1;
                    break;
                }
                _ => {}
            }
        }
        Token::Other
    }

    fn csi(&mut self) -> Token {
        let begin = self.at;
        while matches!(self.bytes.get(self.at), Some(0x20..=0x3f)) {
            self.at += 1;
        }
        let given = self.bytes.get(begin..self.at).unwrap_or_default();
        let Some(last @ 0x40..=0x7e) = self.bytes.get(self.at).copied() else {
            return Token::Other;
        };
        self.at += 1;
        if let Some((b'?', modes)) = given.split_first() {
            let mut modes = modes.split(|byte| *byte == b';').map(number);
            let switches = last == b'h' && modes.any(|mode| matches!(mode, 47 | 1047 | 1049));
            return if switches {
                Token::Alternate
            } else {
                Token::Other
            };
        }
        let mut numbers = given.split(|byte| *byte == b';').map(number);
        let first = numbers.next().unwrap_or(0);
        let second = numbers.next().unwrap_or(0);
        match last {
            b'S' | b'T' | b'L' | b'M' => Token::Scroll(first.max(1)),
            b'b' => Token::Repeat(first.max(1)),
            b'H' | b'f' => Token::Column(second.max(1) - 1),
            b'G' | b'`' => Token::Column(first.max(1) - 1),
            b'C' | b'a' => Token::Right(first.max(1)),
            b'D' => Token::Left(first.max(1)),
            b'E' | b'F' => Token::Column(0),
            b'I' => Token::Right(first.max(1).saturating_mul(8)),
            b'u' => Token::Column(usize::MAX),
            b'r' => Token::Region(first, second),
            _ => Token::Other,
        }
    }
}

/// A parameter; what is none is 0.
fn number(digits: &[u8]) -> usize {
    let add = |sum: usize, digit: &u8| match digit {
        b'0'..=b'9' => sum
            .saturating_mul(10)
            .saturating_add(usize::from(digit - b'0')),
        _ => sum,
    };
    digits.iter().fold(0, add).min(usize::from(u16::MAX))
}
