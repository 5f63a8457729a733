//! Reads a classic recording.

use std::collections::VecDeque;

use hansard_core::event::Gap;
use hansard_core::{Body, Event, Fields};
use serde_json::Value as Json;

use super::super::CLASSIC_NAME;
use super::super::time::{self, Clock};
use super::super::timeline::{INDEX_OUTSIDE, Timeline};
use super::chunks::{Chunks, Unread};
use super::lines::{Entry, Events, Printed};
use super::names::{self, Role};
use super::prints::{Print, Prints};
use super::{KERNEL_EVENTS, PRINT_EVENT};
use crate::codec::{DecodeError, Decoder};
use crate::import::Import;
use crate::limits::TELEPORT_FILES_MAX;
use crate::lines::Lines;
use crate::parts::{Inputs, Part};

/// A print of more bytes becomes several events.
const PRINT_BYTES_MAX: u64 = 512 * 1024;

/// Longest line of an index.
const INDEX_LINE_BYTES_MAX: usize = 4096;

/// Reads a classic recording: events of all its files in the order of their moments.
pub struct ClassicDecoder {
    /// All but the kernel's, then those of commands, disk and network.
    events: [Events; 4],
    chunks: Chunks,
    prints: Prints,
    timeline: Timeline,
    /// Bytes of the last print that are still to come.
    pending: u64,
    clock: Clock,
    missing: u64,
    notices: Vec<String>,
    failed: Option<DecodeError>,
    done: bool,
}

impl ClassicDecoder {
    /// A decoder of the recording in these files; `import` says which, if there are several.
    pub fn new(inputs: &dyn Inputs, import: Import) -> Self {
        let mut timeline = Timeline::new(import, CLASSIC_NAME);
        let mut notices = Vec::new();
        let (files, failed) = match open(inputs, timeline.rec(), &mut notices) {
            Ok(files) => (files, None),
            Err(e) => (Files::default(), Some(e)),
        };
        timeline.named(files.sid);
        Self {
            events: files.events.map(Events::new),
            chunks: Chunks::new(files.chunks),
            prints: Prints::default(),
            timeline,
            pending: 0,
            clock: Clock::default(),
            missing: 0,
            notices,
            done: failed.is_some(),
            failed,
        }
    }

    /// Reads until there is something to hand out.
    fn step(&mut self) {
        if self.pending > 0 {
            self.print_more();
            return;
        }
        let mut first: Option<(u64, usize)> = None;
        for (i, events) in self.events.iter_mut().enumerate() {
            if let Some((utc_ns, _)) = events.head()
                && first.is_none_or(|(earliest, _)| *utc_ns < earliest)
            {
                first = Some((*utc_ns, i));
            }
        }
        let Some((_, chosen)) = first else {
            self.end();
            return;
        };
        self.begin(chosen);
        let Some(entry) = self.events.get_mut(chosen).and_then(Events::take_head) else {
            return;
        };
        match entry {
            Entry::Print(print) => self.print(*print),
            Entry::Fact {
                event,
                fields,
                utc_ns,
            } => {
                let from_ns = self.timeline.at_ns();
                self.timeline.advance(utc_ns);
                if !KERNEL_EVENTS.contains(&event.as_str()) {
                    let index = fields.get("ei").and_then(hansard_core::Value::as_uint);
                    self.note_missing(index, from_ns);
                    if let Some(index) = index {
                        self.prints.counted(index);
                    }
                }
                self.timeline.fact(event, fields);
            }
        }
    }

    /// The header comes from `session.start` where the recording begins with it, though the
    /// kernel may have seen something before.
    fn begin(&mut self, chosen: usize) {
        if self.timeline.has_begun() {
            return;
        }
        let is_start =
            |entry: &Entry| matches!(entry, Entry::Fact { event, .. } if event == "session.start");
        let main = self
            .events
            .get_mut(0)
            .and_then(Events::head)
            .is_some_and(|(_, e)| is_start(e));
        let from = if main { 0 } else { chosen };
        match self.events.get_mut(from).and_then(Events::head) {
            Some((
                _,
                Entry::Fact {
                    event,
                    fields,
                    utc_ns,
                },
            )) => {
                self.timeline.begin(event, fields, *utc_ns);
            }
            Some((_, entry)) => {
                let utc_ns = entry.utc_ns();
                self.timeline.begin("print", &Fields::new(), utc_ns);
            }
            None => {}
        }
    }

    /// Where events before this one are missing by their numbers, a gap says so.
    fn note_missing(&mut self, index: Option<u64>, from_ns: u64) {
        let expected = self.prints.next_index();
        let missing = index.filter(|index| *index < INDEX_OUTSIDE);
        let missing = missing
            .and_then(|index| index.checked_sub(expected))
            .unwrap_or(0);
        if missing > 0 {
            self.missing += missing;
            self.timeline.missing(missing, from_ns);
        }
    }

    fn print(&mut self, print: Printed) {
        let from_ns = self.timeline.at_ns();
        self.note_missing(print.index, from_ns);
        let said_ns = print.time.as_deref().and_then(time::parse);
        let utc_ns = match said_ns {
            Some(utc_ns) => self.prints.moment(utc_ns, print.ms),
            None => self.prints.moment(self.timeline.now_utc_ns(), None),
        };
        self.timeline.advance(Some(utc_ns));
        let expected = self.prints.expect(self.timeline.now_utc_ns());
        let said = Print {
            ms: print.ms.unwrap_or(expected.ms),
            index: print.index.unwrap_or(expected.index),
            chunk: print.chunk.unwrap_or(expected.chunk),
            ..expected
        };
        let mut odd = odd(&print, said, expected, &mut self.clock);
        if print.bytes == 0 {
            odd.push("bytes", 0);
        }
        if !odd.is_empty() {
            self.timeline.fact(PRINT_EVENT.to_owned(), odd);
        }
        self.prints.printed(said, print.bytes);
        let found = print.offset.is_none_or(|offset| self.chunks.seek(offset));
        match (found, print.bytes) {
            (_, 0) => {}
            (true, bytes) => {
                self.pending = bytes;
                self.print_more();
            }
            (false, bytes) => self.lost(bytes),
        }
    }

    /// The next bytes of a print.
    fn print_more(&mut self) {
        let bytes = self.chunks.bytes(self.pending.min(PRINT_BYTES_MAX));
        let read = u64::try_from(bytes.len()).unwrap_or(0);
        let short = read < self.pending.min(PRINT_BYTES_MAX);
        self.pending = self.pending.saturating_sub(read);
        self.timeline.data(bytes);
        if short {
            let lost = std::mem::take(&mut self.pending);
            self.lost(lost);
        }
    }

    fn lost(&mut self, bytes: u64) {
        self.timeline.push(Body::Gap(Gap {
            cause: "bytes of the terminal are missing from the recording's files".to_owned(),
            from_ns: self.timeline.at_ns(),
            bytes: Some(bytes),
            ..Gap::default()
        }));
    }

    fn end(&mut self) {
        self.done = true;
        self.chunks.end();
        self.failed = self.events.iter_mut().find_map(Events::take_failed);
        if self.failed.is_some() {
            return;
        }
        if !self.timeline.has_begun() {
            let what = "the recording holds no event".to_owned();
            self.failed = Some(DecodeError::Malformed {
                line: None,
                offset: 0,
                what,
            });
        } else if !self.timeline.finish() {
            let what = "there is no session.end: the session was going on, or its recorder died";
            self.notices.push(what.to_owned());
        }
    }
}

/// What a print says that cannot be told from its bytes and moment.
fn odd(print: &Printed, said: Print, expected: Print, clock: &mut Clock) -> Fields {
    let mut odd = Fields::new();
    match &print.time {
        Some(text) if *text != clock.text_ms(expected.utc_ns) => odd.push("time", text.as_str()),
        _ => {}
    }
    for (name, said, expected) in [
        ("ms", said.ms, expected.ms),
        ("ei", said.index, expected.index),
        ("ci", said.chunk, expected.chunk),
    ] {
        if said != expected {
            odd.push(name, said);
        }
    }
    for (name, value) in print.more.iter() {
        odd.push(name, value.clone());
    }
    odd
}

/// The files of one recording, in order.
#[derive(Default)]
struct Files {
    sid: String,
    events: [VecDeque<Unread>; 4],
    chunks: VecDeque<Unread>,
}

/// Finds and opens the files of the recording that is meant.
fn open(
    inputs: &dyn Inputs,
    rec: Option<&str>,
    notices: &mut Vec<String>,
) -> Result<Files, DecodeError> {
    let names = inputs.names().unwrap_or_default();
    let sid = choose(names, rec, notices)?;
    let mut found: Vec<(Role, &str)> = names
        .iter()
        .filter_map(|name| Some((names::parse(name)?, name.as_str())))
        .filter(|((of, _), _)| *of == sid)
        .map(|((_, role), name)| (role, name))
        .collect();
    if found.len() > TELEPORT_FILES_MAX {
        return Err(malformed(
            0,
            format!(
                "the recording {sid} has {} files; this reader takes {TELEPORT_FILES_MAX}",
                found.len()
            ),
        ));
    }
    check_index(inputs, &sid, &found, notices)?;
    found.sort_by_key(|(role, _)| match role {
        Role::Chunks(first) | Role::Events(_, first) => *first,
        Role::Index | Role::Completed => 0,
    });
    let mut files = Files::default();
    for (role, name) in found {
        let (first, into) = match role {
            Role::Chunks(first) => (first, Some(&mut files.chunks)),
            Role::Events(kind, first) => (first, files.events.get_mut(kind)),
            Role::Index | Role::Completed => continue,
        };
        if let (Some(into), Some(src)) = (into, inputs.open(Part::Inside(name))?) {
            into.push_back((first, name.to_owned(), src));
        }
    }
    files.sid = sid;
    Ok(files)
}

/// The session whose recording is read.
fn choose(
    names: &[String],
    rec: Option<&str>,
    notices: &mut Vec<String>,
) -> Result<String, DecodeError> {
    let mut sids: Vec<&str> = names
        .iter()
        .filter_map(|name| names::parse(name))
        .filter(|(_, role)| matches!(role, Role::Chunks(_) | Role::Events(..)))
        .map(|(sid, _)| sid)
        .collect();
    sids.sort_unstable();
    sids.dedup();
    match (rec, sids.as_slice()) {
        (Some(rec), _) if sids.contains(&rec) => Ok(rec.to_owned()),
        (_, []) => Err(malformed(
            0,
            "no file here is of a classic Teleport recording \
            (SID-0.events.gz, SID-0.chunks.gz)"
                .to_owned(),
        )),
        (Some(_), _) => Err(malformed(
            0,
            format!(
                "there is no recording of that session here; there are {}",
                list(&sids)
            ),
        )),
        (None, [sid]) => Ok((*sid).to_owned()),
        (None, [sid, ..]) => {
            notices.push(format!(
                "there are {} recordings here, {}; the first is read",
                sids.len(),
                list(&sids)
            ));
            Ok((*sid).to_owned())
        }
    }
}

/// A few of them.
fn list(sids: &[&str]) -> String {
    let some: Vec<&str> = sids.iter().take(5).copied().collect();
    let more = if sids.len() > 5 { " and more" } else { "" };
    format!("{}{more}", some.join(", "))
}

/// The files say themselves what they are; the index must agree, and lead nowhere else.
fn check_index(
    inputs: &dyn Inputs,
    sid: &str,
    found: &[(Role, &str)],
    notices: &mut Vec<String>,
) -> Result<(), DecodeError> {
    let index = names::name(sid, Role::Index);
    let Some(src) = inputs.open(Part::Inside(&index))? else {
        notices.push("the recording has no index; its files were found by their names".to_owned());
        return Ok(());
    };
    let mut lines = Lines::new(src);
    let mut listed = 0;
    while lines.advance(INDEX_LINE_BYTES_MAX)? {
        if lines.line().iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        listed += 1;
        if listed > TELEPORT_FILES_MAX {
            return Err(lines.malformed(format!("{index}: more than {TELEPORT_FILES_MAX} files")));
        }
        let json: Json = serde_json::from_slice(lines.line())
            .map_err(|e| lines.malformed(format!("{index}: not a line of an index: {e}")))?;
        let Some(name) = json.get("file_name").and_then(Json::as_str) else {
            return Err(lines.malformed(format!(
                "{index}: a line of an index has a text \"file_name\""
            )));
        };
        if names::parse(name).is_none_or(|(of, _)| of != sid) {
            let what = format!("{index}: names a file that is no part of this recording; refused");
            return Err(lines.malformed(what));
        }
        if found.iter().all(|(_, file)| *file != name) {
            notices.push(format!(
                "{name}: the index names this file, and it is missing"
            ));
        }
    }
    Ok(())
}

fn malformed(offset: u64, what: String) -> DecodeError {
    DecodeError::Malformed {
        line: None,
        offset,
        what,
    }
}

impl Decoder for ClassicDecoder {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        loop {
            if let Some(event) = self.timeline.pop() {
                return Ok(Some(event));
            }
            if let Some(e) = self.failed.take() {
                return Err(e);
            }
            if self.done {
                return Ok(None);
            }
            self.step();
        }
    }

    fn take_notices(&mut self) -> Vec<String> {
        let mut notices = std::mem::take(&mut self.notices);
        notices.extend(self.events.iter_mut().flat_map(Events::take_notices));
        notices.extend(self.chunks.take_notices());
        let missing = std::mem::take(&mut self.missing);
        if missing > 0 {
            notices.push(format!(
                "{missing} events are missing by their numbers; see the gaps"
            ));
        }
        notices
    }

    fn is_damaged(&self) -> bool {
        self.events.iter().any(Events::is_damaged)
    }
}
