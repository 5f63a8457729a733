//! The files of a session, gzip or plain.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Cursor, ErrorKind, Read};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use super::{STREAMS, TIMING};
use crate::codec::DecodeError;
use crate::fill::fill;
use crate::limits::{SUDO_VERSION_LINES, TIMING_LINE_BYTES_MAX};
use crate::lines::Lines;
use crate::parts::{Inputs, Part};
use crate::seconds::{number, word};

/// What gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What is wrong with a file's compression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Whoever wrote it was ended before.
    Unfinished,
    /// It is not what was written.
    Damaged(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfinished => f.write_str("its compression was never finished"),
            Self::Damaged(why) => write!(f, "its compression is damaged ({why})"),
        }
    }
}

/// A file that is open.
pub(super) struct File {
    pub(super) src: Box<dyn Read>,
    /// What is wrong with its compression, once that was met; the file ends there.
    pub(super) fault: Rc<RefCell<Option<Fault>>>,
    pub(super) compressed: bool,
}

/// Opens a file of this name as what it is; nothing if it is not there.
pub(super) fn open(inputs: &dyn Inputs, name: &str) -> Result<Option<File>, DecodeError> {
    open_as(inputs, name, None)
}

/// Opens a file of bytes. What gzip begins with may also be the beginning of what a program
/// printed: beside plain timing, a file exactly as long as the timing says is plain.
pub(super) fn open_stream(
    inputs: &dyn Inputs,
    index: usize,
    name: &str,
    timing: Timing,
) -> Result<Option<File>, DecodeError> {
    let file = open_as(inputs, name, None)?;
    let doubtful = !timing.compressed && file.as_ref().is_some_and(|file| file.compressed);
    if !doubtful {
        return Ok(file);
    }
    let told = told(inputs, index, timing.shifted)?;
    if length(inputs, name)? == told {
        return open_as(inputs, name, Some(false));
    }
    Ok(file)
}

fn open_as(
    inputs: &dyn Inputs,
    name: &str,
    compressed: Option<bool>,
) -> Result<Option<File>, DecodeError> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{name}: {e}"));
    let Some(mut src) = inputs.open(Part::Inside(name))? else {
        return Ok(None);
    };
    let beginning = fill(&mut src, GZIP.len()).map_err(named)?;
    let compressed = compressed.unwrap_or(beginning == GZIP);
    let whole = Cursor::new(beginning).chain(src);
    let fault = Rc::new(RefCell::new(None));
    let src: Box<dyn Read> = match compressed {
        false => Box::new(whole),
        true => Box::new(Unzipped {
            src: MultiGzDecoder::new(whole),
            fault: Rc::clone(&fault),
        }),
    };
    Ok(Some(File {
        src,
        fault,
        compressed,
    }))
}

/// Unpacks until the end or the first damage, which is an end too: what was unpacked is sound.
struct Unzipped<R> {
    src: MultiGzDecoder<R>,
    fault: Rc<RefCell<Option<Fault>>>,
}

impl<R: Read> Read for Unzipped<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.fault.borrow().is_some() {
            return Ok(0);
        }
        match self.src.read(room) {
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                *self.fault.borrow_mut() = Some(Fault::Unfinished);
                Ok(0)
            }
            Err(e) if matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
                *self.fault.borrow_mut() = Some(Fault::Damaged(e.to_string()));
                Ok(0)
            }
            read => read,
        }
    }
}

/// What must be known of the timing to read the rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) compressed: bool,
    /// Whether sudo 1.8.7 wrote it, which added two to the number of each stream: then there is a
    /// 6, which no other version writes.
    pub(super) shifted: bool,
}

/// Looks at the timing.
pub(super) fn timing(inputs: &dyn Inputs) -> Result<Timing, DecodeError> {
    let mut known = Timing {
        compressed: false,
        shifted: false,
    };
    if let Some(file) = open(inputs, TIMING)? {
        known.compressed = file.compressed;
        let mut lines = Lines::new(file.src);
        for _ in 0..SUDO_VERSION_LINES {
            // What is wrong with a line is told when it is read for good.
            if known.shifted || !lines.advance(TIMING_LINE_BYTES_MAX).unwrap_or(false) {
                break;
            }
            known.shifted = word(lines.line()).0 == b"6";
        }
    }
    Ok(known)
}

/// How many bytes of a stream the timing tells of.
fn told(inputs: &dyn Inputs, index: usize, shifted: bool) -> Result<u64, DecodeError> {
    let Some(file) = open(inputs, TIMING)? else {
        return Ok(0);
    };
    let mut lines = Lines::new(file.src);
    let mut told = 0u64;
    while lines.advance(TIMING_LINE_BYTES_MAX).unwrap_or(false) {
        let (kind, rest) = word(lines.line());
        if number(kind).and_then(|kind| stream(kind, shifted)) == Some(index) {
            let count = number(word(rest).1.trim_ascii_end());
            told = told.saturating_add(count.unwrap_or(0));
        }
    }
    Ok(told)
}

/// Bytes of a file as it stands.
fn length(inputs: &dyn Inputs, name: &str) -> Result<u64, DecodeError> {
    match inputs.open(Part::Inside(name))? {
        Some(mut src) => Ok(io::copy(&mut src, &mut io::sink())?),
        None => Ok(0),
    }
}

/// Which file of bytes a kind of line speaks of.
pub(super) fn stream(kind: u64, shifted: bool) -> Option<usize> {
    let index = usize::try_from(kind).ok()?;
    let index = if shifted {
        index.checked_sub(2)?
    } else {
        index
    };
    (index < STREAMS.len()).then_some(index)
}
