//! Reads a session of sudo.

use std::cell::RefCell;
use std::io::Read;
use std::rc::Rc;

use hansard_core::event::{End, Fact, Gap};
use hansard_core::{Body, Event, Fields, Stream, Value};

use super::file::{self, Fault, File};
use super::{FOREIGN_EVENT, STREAMS, TIMING, log, missing};
use crate::codec::{DecodeError, Decoder};
use crate::fill::fill;
use crate::import::Import;
use crate::limits::{RAW_CHUNK_BYTES, SUDO_LEFT_OVER_BYTES_MAX, TIMING_LINE_BYTES_MAX};
use crate::lines::Lines;
use crate::parts::Inputs;
use crate::seconds::{self, NS_MAX, number, word};
use crate::steps::{Ready, Steps};

/// Reads the directory of a session of sudo as a recording.
pub struct SudoDecoder {
    timing: Option<Timing>,
    /// Whether the numbers of the streams are those of sudo 1.8.7.
    shifted: bool,
    streams: Vec<Source>,
    /// The stream whose bytes are being read, and how many of them are left.
    entry: Option<(usize, u64)>,
    /// The stream whose bytes behind the timing are being read.
    rest: Option<usize>,
    end: End,
    unfinished: bool,
    ready: Ready,
    at_ns: u64,
    notices: Vec<String>,
    damaged: bool,
}

struct Timing {
    lines: Lines<Box<dyn Read>>,
    fault: Rc<RefCell<Option<Fault>>>,
}

/// One of the files of bytes.
struct Source {
    name: &'static str,
    stream: Stream,
    file: Option<File>,
    /// Bytes that the timing tells of and the file does not hold.
    missing: u64,
    missing_from_ns: u64,
    /// Bytes that the timing does not tell of.
    left_over: u64,
}

impl Source {
    /// The next bytes of the file: this many, or fewer at its end.
    fn read(&mut self, bytes_max: usize) -> Result<Vec<u8>, DecodeError> {
        match &mut self.file {
            Some(file) => Ok(fill(&mut file.src, bytes_max)?),
            None => Ok(Vec::new()),
        }
    }

    fn is_damaged(&self) -> bool {
        let fault = self.file.as_ref().map(|file| file.fault.borrow());
        fault.is_some_and(|fault| matches!(*fault, Some(Fault::Damaged(_))))
    }

    /// Why bytes are missing.
    fn why(&self) -> String {
        match &self.file {
            None => format!("there is no file {}", self.name),
            Some(file) => match &*file.fault.borrow() {
                Some(fault) => format!("{} is cut: {fault}", self.name),
                None => format!("{} is cut", self.name),
            },
        }
    }
}

impl SudoDecoder {
    /// A decoder that reads this directory. What is wrong with it is told by the first event.
    #[must_use]
    pub fn new(inputs: &dyn Inputs, import: Import) -> Self {
        let mut decoder = Self {
            timing: None,
            shifted: false,
            streams: Vec::new(),
            entry: None,
            rest: None,
            end: import.end(),
            unfinished: false,
            ready: Ready::default(),
            at_ns: 0,
            notices: Vec::new(),
            damaged: false,
        };
        if let Err(e) = decoder.open(inputs, &import) {
            decoder.ready.fail(e);
        }
        decoder
    }

    fn open(&mut self, inputs: &dyn Inputs, import: &Import) -> Result<(), DecodeError> {
        let malformed = |what: String| DecodeError::Malformed {
            line: None,
            offset: 0,
            what,
        };
        let Some(names) = inputs.names() else {
            return Err(malformed(
                "a session of sudo is a directory, not a file".to_owned(),
            ));
        };
        let missing = missing(names);
        if !missing.is_empty() {
            return Err(malformed(format!(
                "no session of sudo: {} is not in this directory (below sudo's own directory, \
                 sessions are three levels down: 00/00/01)",
                missing.join(" and ")
            )));
        }
        let described = log::read(inputs, import)?;
        self.notices = described.notices;
        self.end = described.end.unwrap_or_else(|| self.end.clone());
        self.ready
            .push_back((0, Body::Start(Box::new(described.session))));
        self.ready.extend(described.size.map(|size| (0, size)));
        let timing =
            file::open(inputs, TIMING)?.ok_or_else(|| malformed(format!("{TIMING} is gone")))?;
        let known = file::timing(inputs)?;
        self.shifted = known.shifted;
        for ((name, stream), index) in STREAMS.into_iter().zip(0..) {
            self.streams.push(Source {
                name,
                stream,
                file: file::open_stream(inputs, index, name, known)?,
                missing: 0,
                missing_from_ns: 0,
                left_over: 0,
            });
        }
        self.timing = Some(Timing {
            lines: Lines::new(timing.src),
            fault: timing.fault,
        });
        Ok(())
    }

    fn step(&mut self) -> Result<(), DecodeError> {
        match (self.entry, self.rest) {
            (Some((index, left)), _) => self.read_bytes(index, left),
            (None, Some(index)) => self.read_rest(index),
            (None, None) => self.read_line(),
        }
    }

    fn read_line(&mut self) -> Result<(), DecodeError> {
        let Some(Timing { lines, fault }) = &mut self.timing else {
            self.ready.finish();
            return Ok(());
        };
        if !lines.advance(TIMING_LINE_BYTES_MAX)? {
            if let Some(fault) = &*fault.borrow() {
                self.damaged |= matches!(fault, Fault::Damaged(_));
                self.notices.push(format!("the timing is cut: {fault}"));
                self.unfinished = true;
            }
            self.rest = Some(0);
            return Ok(());
        }
        if lines.line().trim_ascii().is_empty() {
            return Ok(());
        }
        match parse(lines.line(), self.shifted) {
            Ok((delta, what)) => {
                let at_ns = self.at_ns.saturating_add(delta);
                if at_ns > NS_MAX {
                    let seconds = NS_MAX / 1_000_000_000;
                    let what = format!("the times add up to more than {seconds} seconds");
                    return Err(lines.malformed(what));
                }
                self.at_ns = at_ns;
                match what {
                    What::Bytes(index, count) => self.entry = Some((index, count)),
                    What::Body(body) => self.ready.push_back((at_ns, body)),
                }
                Ok(())
            }
            // What was not written whole says nothing, and nothing follows it.
            Err(_) if !lines.is_terminated() => {
                let cut = "the last line of the timing is not whole: its bytes come at the end";
                self.notices.push(cut.to_owned());
                self.unfinished = true;
                Ok(())
            }
            Err(what) => Err(lines.malformed(what)),
        }
    }

    fn read_bytes(&mut self, index: usize, left: u64) -> Result<(), DecodeError> {
        self.entry = None;
        let Some(source) = self.streams.get_mut(index) else {
            return Ok(());
        };
        let wanted = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(RAW_CHUNK_BYTES);
        let bytes = source.read(wanted)?;
        let left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(0));
        if bytes.len() < wanted {
            if source.missing == 0 {
                source.missing_from_ns = self.at_ns;
            }
            source.missing = source.missing.saturating_add(left);
        } else if left > 0 {
            self.entry = Some((index, left));
        }
        if !bytes.is_empty() {
            let stream = source.stream;
            self.ready
                .push_back((self.at_ns, Body::Data { stream, bytes }));
        }
        Ok(())
    }

    /// Reads what the timing does not tell of: sudo keeps both in memory for a while, and what is
    /// killed writes one and not the other.
    fn read_rest(&mut self, index: usize) -> Result<(), DecodeError> {
        let Some(source) = self.streams.get_mut(index) else {
            self.close();
            return Ok(());
        };
        let bytes = source.read(RAW_CHUNK_BYTES)?;
        if bytes.is_empty() || source.left_over >= SUDO_LEFT_OVER_BYTES_MAX {
            if source.left_over > 0 {
                let more = if bytes.is_empty() {
                    ""
                } else {
                    "; there are more, left out"
                };
                self.notices.push(format!(
                    "{} bytes of {} are not in the timing, and come where it ends{more}",
                    source.left_over, source.name
                ));
            }
            self.rest = Some(index + 1);
            return Ok(());
        }
        source.left_over += u64::try_from(bytes.len()).unwrap_or(0);
        let stream = source.stream;
        self.ready
            .push_back((self.at_ns, Body::Data { stream, bytes }));
        Ok(())
    }

    fn close(&mut self) {
        self.ready.finish();
        self.damaged |= self.streams.iter().any(Source::is_damaged);
        for source in self.streams.iter().filter(|source| source.missing == 0) {
            let fault = source
                .file
                .as_ref()
                .and_then(|file| file.fault.borrow().clone());
            self.notices
                .extend(fault.map(|fault| format!("{}: {fault}", source.name)));
        }
        for source in self.streams.iter().filter(|source| source.missing > 0) {
            let why = source.why();
            self.notices.push(format!(
                "{} bytes that the timing tells of are not there: {why}",
                source.missing
            ));
            let gap = Gap {
                cause: why,
                from_ns: source.missing_from_ns,
                bytes: Some(source.missing),
                ..Gap::default()
            };
            self.ready.push_back((self.at_ns, Body::Gap(gap)));
        }
        if !self.unfinished {
            self.ready
                .push_back((self.at_ns, Body::End(self.end.clone())));
        }
    }
}

/// What a line of timing says happened.
enum What {
    Bytes(usize, u64),
    Body(Body),
}

/// The nanoseconds since the line before, and what happened.
fn parse(line: &[u8], shifted: bool) -> Result<(u64, What), String> {
    let (kind, rest) = word(line);
    let kind = number(kind).ok_or("in timing: no kind of event (a number) where one is due")?;
    let (delta, data) = word(rest);
    let delta =
        seconds::parse(delta).ok_or("in timing: no interval in seconds where one is due")?;
    let data = data.trim_ascii_end();
    if let Some(index) = file::stream(kind, shifted) {
        let count = number(data).ok_or("in timing: no number of bytes where one is due")?;
        return Ok((delta, What::Bytes(index, count)));
    }
    let foreign = |name: &str, text: &[u8]| {
        Body::Channel(Fact {
            event: FOREIGN_EVENT.to_owned(),
            fields: Fields::new().with(name, Value::from_os_bytes(text)),
        })
    };
    let body = match kind {
        5 => {
            let (rows, cols) = word(data);
            let size = |text| number(text).and_then(|n| u16::try_from(n).ok());
            match (size(cols), size(rows)) {
                (Some(cols), Some(rows)) => Body::Resize { cols, rows },
                _ => return Err("in timing: no lines and columns where they are due".to_owned()),
            }
        }
        // `TSTP` and the like when the session was suspended, `CONT` when it went on.
        7 => foreign("suspend", data),
        _ => foreign("line", line),
    };
    Ok((delta, What::Body(body)))
}

impl Steps for SudoDecoder {
    fn ready(&mut self) -> &mut Ready {
        &mut self.ready
    }

    fn take_step(&mut self) -> Result<(), DecodeError> {
        self.step()
    }
}

impl Decoder for SudoDecoder {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        self.next_of_steps()
    }

    fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    fn is_damaged(&self) -> bool {
        self.damaged
    }
}
