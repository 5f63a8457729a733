//! One message: its envelope, and what happened in it, read from where it stands in its line.

use std::ops::Range;

use hansard_core::Stream;

use super::scan::{Place, Places};
use super::text::{Text, unescape};
use super::timing::{Moment, Record, record};
use crate::limits::{TLOG_DATA_BYTES_MAX, TLOG_MS_MAX, TLOG_NAME_BYTES_MAX};

/// What a message says besides what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    /// Major and minor version.
    pub(super) ver: (u32, u32),
    pub(super) host: Option<String>,
    pub(super) rec: Option<String>,
    pub(super) user: Option<String>,
    pub(super) term: Option<String>,
    pub(super) session: Option<u64>,
    pub(super) id: u64,
    pub(super) pos_ms: u64,
    /// UTC, in milliseconds.
    pub(super) time_ms: Option<u64>,
}

/// Something that happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Data { stream: Stream, bytes: Vec<u8> },
    Window { cols: u16, rows: u16 },
}

/// A run that was announced and is not taken whole yet.
#[derive(Debug, Clone, Copy)]
struct Run {
    output: bool,
    is_text: bool,
    left: u64,
}

/// What happened in a message, read piece by piece.
#[derive(Debug)]
pub(super) struct Message {
    timing: Timing,
    input: Side,
    output: Side,
    run: Option<Run>,
    data: Vec<u8>,
    data_is_output: bool,
    /// Milliseconds since the beginning of the message.
    after_ms: u64,
    payload_bytes: usize,
}

#[derive(Debug)]
struct Side {
    text: Text,
    bytes: Bytes,
}

/// The timing, where it stands or, if it has escapes, without them.
#[derive(Debug)]
struct Timing {
    place: Range<usize>,
    unescaped: Option<Vec<u8>>,
    moment: Moment,
}

/// What is left of an array of bytes.
#[derive(Debug)]
pub(super) struct Bytes {
    at: usize,
    end: usize,
}

impl Message {
    /// A message that stands in this line at these places.
    pub(super) fn new(line: &[u8], places: &Places) -> Result<Self, String> {
        let timing = text_place("timing", places.timing.as_ref())?;
        let timing = timing.ok_or("no \"timing\": not a message of tlog")?;
        let side = |text: &Option<Place>, bytes: &Option<Place>, names: [&str; 2]| {
            let [text_name, bytes_name] = names;
            let text = text_place(text_name, text.as_ref())?.unwrap_or_default();
            let bytes = match bytes {
                None | Some(Place::Word) => 0..0,
                Some(Place::Array(place)) => place.clone(),
                Some(_) => return Err(format!("\"{bytes_name}\" is no array")),
            };
            Ok((text.len() + bytes.len(), Side::new(text, &bytes)))
        };
        let (in_len, input) = side(&places.in_txt, &places.in_bin, ["in_txt", "in_bin"])?;
        let (out_len, output) = side(&places.out_txt, &places.out_bin, ["out_txt", "out_bin"])?;
        Ok(Self {
            payload_bytes: timing.len() + in_len + out_len,
            timing: Timing::new(line, timing)?,
            input,
            output,
            run: None,
            data: Vec::new(),
            data_is_output: false,
            after_ms: 0,
        })
    }

    /// Bytes of encoded payload, which tlog limits.
    pub(super) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// What happened next, with its milliseconds since the beginning of the message.
    pub(super) fn next(&mut self, line: &[u8]) -> Result<Option<(u64, Item)>, String> {
        loop {
            if let Some(run) = self.run {
                if !self.data.is_empty() && self.data_is_output != run.output {
                    return Ok(Some(self.take_data()));
                }
                self.take_run(line, run)?;
                if self.data.len() >= TLOG_DATA_BYTES_MAX {
                    return Ok(Some(self.take_data()));
                }
                continue;
            }
            if let Some(record) = self.timing.next_run(line).map_err(bad_timing)? {
                self.begin(line, record)?;
                continue;
            }
            if !self.data.is_empty() {
                return Ok(Some(self.take_data()));
            }
            match self.timing.next_change(line).map_err(bad_timing)? {
                Some(Record::Delay(ms)) => self.delay(ms)?,
                Some(Record::Window(cols, rows)) => {
                    return Ok(Some((self.after_ms, Item::Window { cols, rows })));
                }
                _ => return Ok(None),
            }
        }
    }

    /// Whether the timing has ended and left something of the text or of the bytes.
    pub(super) fn has_rest(&self, line: &[u8]) -> bool {
        let rest = |side: &Side| !side.text.is_empty() || side.bytes.has_more(line);
        rest(&self.input) || rest(&self.output)
    }

    fn delay(&mut self, ms: u64) -> Result<(), String> {
        self.after_ms = self.after_ms.saturating_add(ms);
        match self.after_ms > TLOG_MS_MAX {
            true => Err(bad_timing(format!(
                "the delays add up to more than {TLOG_MS_MAX} ms, the limit of this reader"
            ))),
            false => Ok(()),
        }
    }

    /// A run of text, or of bytes behind the characters that stand for them.
    fn begin(&mut self, line: &[u8], record: Record) -> Result<(), String> {
        let (output, is_text, left) = match record {
            Record::Text { output, chars } => (output, true, chars),
            Record::Bytes {
                output,
                chars,
                bytes,
            } => {
                let side = self.side(output);
                side.text.skip(line, chars).map_err(|e| short(output, &e))?;
                (output, false, bytes)
            }
            Record::Delay(_) | Record::Window(..) => return Ok(()),
        };
        self.run = (left > 0).then_some(Run {
            output,
            is_text,
            left,
        });
        Ok(())
    }

    fn side(&mut self, output: bool) -> &mut Side {
        match output {
            true => &mut self.output,
            false => &mut self.input,
        }
    }

    /// Takes as much of a run as one event may hold.
    fn take_run(&mut self, line: &[u8], run: Run) -> Result<(), String> {
        let mut data = std::mem::take(&mut self.data);
        let side = self.side(run.output);
        let taken = match run.is_text {
            true => side
                .text
                .take(line, run.left, &mut data, TLOG_DATA_BYTES_MAX)
                .map_err(|e| short(run.output, &e)),
            false => side
                .bytes
                .take(line, run.left, &mut data, TLOG_DATA_BYTES_MAX)
                .map_err(|e| bad_bytes(run.output, &e)),
        };
        self.data = data;
        self.data_is_output = run.output;
        let left = run.left.saturating_sub(taken?);
        self.run = (left > 0).then_some(Run { left, ..run });
        Ok(())
    }

    fn take_data(&mut self) -> (u64, Item) {
        let stream = match self.data_is_output {
            true => Stream::Output,
            false => Stream::Keystrokes,
        };
        let bytes = std::mem::take(&mut self.data);
        (self.after_ms, Item::Data { stream, bytes })
    }
}

fn bad_timing(what: String) -> String {
    format!("\"timing\": {what}")
}

fn short(output: bool, what: &str) -> String {
    let name = if output { "out_txt" } else { "in_txt" };
    format!("\"{name}\" does not have what the timing says: {what}")
}

fn bad_bytes(output: bool, what: &str) -> String {
    let name = if output { "out_bin" } else { "in_bin" };
    format!("\"{name}\" does not have what the timing says: {what}")
}

impl Side {
    fn new(text: Range<usize>, bytes: &Range<usize>) -> Self {
        Self {
            text: Text::new(text),
            bytes: Bytes::new(bytes),
        }
    }
}

impl Timing {
    fn new(line: &[u8], place: Range<usize>) -> Result<Self, String> {
        let escaped = line.get(place.clone()).unwrap_or(&[]).contains(&b'\\');
        // Some programs that pass messages on escape more than they must: `\u003e` for `>`.
        let unescaped = match escaped {
            true => Some(unescape(line, place.clone(), place.len()).map_err(bad_timing)?),
            false => None,
        };
        let place = match &unescaped {
            Some(text) => 0..text.len(),
            None => place,
        };
        let text = unescaped.as_deref().unwrap_or(line);
        Ok(Self {
            moment: Moment::first(text.get(place.clone()).unwrap_or(&[])),
            place,
            unescaped,
        })
    }

    fn next_run(&mut self, line: &[u8]) -> Result<Option<Record>, String> {
        let text = self.unescaped.as_deref().unwrap_or(line);
        self.moment
            .next(text.get(self.place.clone()).unwrap_or(&[]))
    }

    /// What ends the moment: a delay, a size, or nothing at the end.
    fn next_change(&mut self, line: &[u8]) -> Result<Option<Record>, String> {
        let text = self.unescaped.as_deref().unwrap_or(line);
        let text = text.get(self.place.clone()).unwrap_or(&[]);
        let mut at = self.moment.end();
        let change = loop {
            match record(text.get(at..).unwrap_or(&[]))? {
                Some((Record::Delay(0), used)) => at += used,
                Some((record, used)) => {
                    at += used;
                    break Some(record);
                }
                None => break None,
            }
        };
        self.moment = self.moment.following(at);
        Ok(change)
    }
}

impl Bytes {
    /// The array at this place of its line, between the brackets.
    pub(super) fn new(place: &Range<usize>) -> Self {
        Self {
            at: place.start,
            end: place.end,
        }
    }

    fn rest<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        line.get(self.at..self.end).unwrap_or(&[])
    }

    pub(super) fn has_more(&self, line: &[u8]) -> bool {
        self.rest(line).iter().any(u8::is_ascii_digit)
    }

    /// Takes up to `count` bytes, and no more once there are `bytes_max` in `out`.
    pub(super) fn take(
        &mut self,
        line: &[u8],
        count: u64,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<u64, String> {
        let mut taken = 0;
        while taken < count && out.len() < bytes_max {
            let rest = self.rest(line);
            let between = |byte: &&u8| byte.is_ascii_whitespace() || **byte == b',';
            let before = rest.iter().take_while(between).count();
            let (mut byte, mut digits) = (0u16, 0);
            for digit in rest.iter().skip(before) {
                if !digit.is_ascii_digit() || digits == 4 {
                    break;
                }
                byte = byte * 10 + u16::from(digit - b'0');
                digits += 1;
            }
            if before == rest.len() {
                return Err(format!("{} bytes too few", count - taken));
            }
            match u8::try_from(byte) {
                Ok(byte) if digits > 0 => out.push(byte),
                _ => return Err("something that is no number from 0 to 255".to_owned()),
            }
            self.at += before + digits;
            taken += 1;
        }
        Ok(taken)
    }
}

impl Envelope {
    /// What stands at these places of a line.
    pub(super) fn read(line: &[u8], places: &Places) -> Result<Self, String> {
        let name = |key: &str, place: &Option<Place>| {
            let place = text_place(key, place.as_ref())?;
            let text = place.map(|place| unescape(line, place, TLOG_NAME_BYTES_MAX));
            let text = text.transpose().map_err(|e| format!("\"{key}\": {e}"))?;
            Ok::<_, String>(text.map(|text| String::from_utf8_lossy(&text).into_owned()))
        };
        let number = |key: &str, place: &Option<Place>| match place {
            None | Some(Place::Word) => Ok(None),
            Some(Place::Number(place)) => match text_at(line, place).parse::<u64>() {
                Ok(n) => Ok(Some(n)),
                Err(_) => Err(format!("\"{key}\" is no whole number from 0 up")),
            },
            Some(_) => Err(format!("\"{key}\" is no number")),
        };
        let pos_ms = number("pos", &places.pos)?.ok_or("no \"pos\"")?;
        if pos_ms > TLOG_MS_MAX {
            return Err(format!(
                "\"pos\" is more than {TLOG_MS_MAX} ms, the limit of this reader"
            ));
        }
        Ok(Self {
            ver: version(line, places.ver.as_ref())?,
            host: name("host", &places.host)?,
            rec: name("rec", &places.rec)?,
            user: name("user", &places.user)?,
            term: name("term", &places.term)?,
            session: number("session", &places.session)?,
            id: number("id", &places.id)?.ok_or("no \"id\"")?,
            pos_ms,
            time_ms: match &places.time {
                None | Some(Place::Word) => None,
                Some(Place::Number(place)) => Some(time(text_at(line, place))?),
                Some(_) => return Err("\"time\" is no number".to_owned()),
            },
        })
    }

    /// Whether the two are messages of one recording. Before version 2.1 recordings had no name.
    pub(super) fn is_of_one_recording_with(&self, other: &Self) -> bool {
        match (&self.rec, &other.rec) {
            (None, None) => {
                (&self.host, &self.user, self.session) == (&other.host, &other.user, other.session)
            }
            (a, b) => a == b,
        }
    }
}

/// Where a string stands, if the value is there. `null` is not.
fn text_place(key: &str, place: Option<&Place>) -> Result<Option<Range<usize>>, String> {
    match place {
        None | Some(Place::Word) => Ok(None),
        Some(Place::Text(place)) => Ok(Some(place.clone())),
        Some(_) => Err(format!("\"{key}\" is no string")),
    }
}

fn text_at<'a>(line: &'a [u8], place: &Range<usize>) -> &'a str {
    let bytes = line.get(place.clone()).unwrap_or(&[]);
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn version(line: &[u8], place: Option<&Place>) -> Result<(u32, u32), String> {
    let Some(Place::Text(place) | Place::Number(place)) = place else {
        return Err("no \"ver\": not a message of tlog".to_owned());
    };
    let text = text_at(line, place);
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    match (major.parse(), minor.parse()) {
        (Ok(0), Ok(_)) => Err("version 0 of tlog's format was never in use".to_owned()),
        (Ok(major @ 1..=2), Ok(minor)) => Ok((major, minor)),
        (Ok(3..), Ok(_)) => Err(format!(
            "version {} of tlog's format; this program reads 1 to 2",
            text.escape_default()
        )),
        _ => Err("\"ver\" is no version".to_owned()),
    }
}

/// Seconds with a fraction, to whole milliseconds.
fn time(text: &str) -> Result<u64, String> {
    let exact = || {
        let (seconds, part) = text.split_once('.').unwrap_or((text, "0"));
        let part = part.get(..3).unwrap_or(part);
        let width = u32::try_from(part.len()).ok()?;
        let part = part.parse::<u64>().ok()? * 10u64.checked_pow(3u32.checked_sub(width)?)?;
        let seconds = seconds.parse::<u64>().ok()?;
        seconds.checked_mul(1000)?.checked_add(part)
    };
    // Another writer may have put it another way, such as 1.6e9.
    let ms = exact().or_else(|| {
        let ms = text.parse::<f64>().ok()? * 1000.0;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked here
        (0.0..1e13).contains(&ms).then_some(ms as u64)
    });
    match ms {
        Some(ms) if ms < 10_000_000_000_000 => Ok(ms),
        _ => Err("\"time\" is no time from 1970 up to the year 2286".to_owned()),
    }
}
