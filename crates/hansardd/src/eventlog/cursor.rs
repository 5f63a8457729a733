//! The cursor: how far each session was logged, and where the file was then, beside the files.
//!
//! A journal of checksummed lines: every sync of the log appends what changed, so that 4,000 sessions
//! in which nothing happens cost nothing. It is written anew, beside and then moved into place, when
//! it has grown to several times what it says, and after any failure. What is lost of it at its end
//! was never promised: the events come again.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Crc;
use hansard_core::SessionId;
use hansard_record::disk::{Disk, DiskFile, read_full_at, write_all_at};
use hansard_view::document::Counted;
use serde_json::{Value as Json, json};

use super::file::named;
use super::recover::Ahead;
use super::sessions::{Sessions, State};

/// The cursor's name.
pub const CURSOR: &str = "cursor";

/// The name it is written under before it is moved.
const NEW: &str = "cursor.new";

/// Length below which the journal is never written anew, in bytes.
const JOURNAL_BYTES: u64 = 1024 * 1024;

/// Longest cursor that is read; a longer one counts as lost, and the catalog is asked instead.
const CURSOR_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Sessions of one line.
const LINE_SESSIONS: usize = 1000;

/// A place in the log: which file, and how many bytes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) offset: u64,
}

/// The journal while it is written.
pub(super) struct Cursor {
    path: PathBuf,
    /// The open journal and its length; `None` where it must be written anew.
    file: Option<(Arc<dyn DiskFile>, u64)>,
    /// Its length when it was written anew.
    anew: u64,
}

impl Cursor {
    /// The journal in this directory. The first write makes it anew.
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            path: dir.join(CURSOR),
            file: None,
            anew: 0,
        }
    }

    /// Makes durable what changed, and this place. On an error nothing of it counts, and the next
    /// call says it again.
    pub(super) fn save(
        &mut self,
        disk: &dyn Disk,
        (sessions, ahead): (&mut Sessions, &Ahead),
        place: &Place,
    ) -> io::Result<()> {
        let grown = JOURNAL_BYTES.max(self.anew.saturating_mul(4));
        let open = self.file.take().filter(|(_, length)| *length < grown);
        let (file, length) = match open {
            Some((file, length)) => {
                let text = lines(sessions.changed(), sessions.gone(), place);
                append(&*file, length, &text).map_err(|e| named(&self.path, "write", &e))?;
                (file, length.saturating_add(text.len() as u64))
            }
            None => self.write_anew(disk, (sessions, ahead), place)?,
        };
        sessions.written();
        self.file = Some((file, length));
        Ok(())
    }

    fn write_anew(
        &mut self,
        disk: &dyn Disk,
        (sessions, ahead): (&Sessions, &Ahead),
        place: &Place,
    ) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let new = dir.join(NEW);
        match disk.remove(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(named(&new, "remove", &e)),
            _ => {}
        }
        let mut text = ahead_lines(ahead);
        text.push_str(&lines(sessions.all(), std::iter::empty(), place));
        let file = disk.create_new(&new).map_err(|e| named(&new, "make", &e))?;
        append(&*file, 0, &text).map_err(|e| named(&new, "write", &e))?;
        // A crash before this leaves the old cursor, and after it the new one: both are true.
        disk.rename(&new, &self.path)?;
        disk.sync_dir(dir)?;
        self.anew = text.len() as u64;
        Ok((file, self.anew))
    }
}

fn append(file: &dyn DiskFile, at: u64, text: &str) -> io::Result<()> {
    write_all_at(file, at, text.as_bytes())?;
    file.sync_data()
}

/// The lines that say what is in the log ahead of the sessions' states. That comes from a start
/// alone, and the first write after it is one anew.
fn ahead_lines(ahead: &Ahead) -> String {
    let mut text = String::new();
    let all: Vec<Json> = ahead
        .iter()
        .map(|(session, (seq, documents))| json!([session.to_string(), seq, documents]))
        .collect();
    for some in all.chunks(LINE_SESSIONS) {
        push_line(&mut text, &json!({ "ahead": some }));
    }
    text
}

/// The lines that say this. The last one has the place, and so counts only if all are there.
fn lines<'a>(
    states: impl Iterator<Item = (SessionId, &'a State)>,
    gone: impl Iterator<Item = SessionId>,
    place: &Place,
) -> String {
    let mut text = String::new();
    let mut open: Vec<Json> = Vec::new();
    for (session, state) in states {
        let c = &state.counted;
        open.push(json!([
            session.to_string(),
            state.next_seq,
            c.rx,
            c.tx,
            c.terminal,
            c.enhanced,
            c.participants,
            state.has_ended
        ]));
        if open.len() == LINE_SESSIONS {
            push_line(&mut text, &json!({ "open": std::mem::take(&mut open) }));
        }
    }
    let gone: Vec<String> = gone.map(|session| session.to_string()).collect();
    let last = json!({ "open": open, "gone": gone, "at": [place.file, place.offset] });
    push_line(&mut text, &last);
    text
}

fn push_line(text: &mut String, json: &Json) {
    let line = json.to_string();
    let _ = writeln!(text, "{:08x} {line}", checksum(&line));
}

fn checksum(line: &str) -> u32 {
    let mut crc = Crc::new();
    crc.update(line.as_bytes());
    crc.sum()
}

/// What a cursor says.
#[derive(Default)]
pub(super) struct Said {
    pub(super) sessions: Sessions,
    pub(super) ahead: Ahead,
    pub(super) place: Option<Place>,
}

/// What the cursor says: nothing where it is not there, or nothing of it can be read.
pub(super) fn load(disk: &dyn Disk, dir: &Path) -> io::Result<Said> {
    let path = dir.join(CURSOR);
    let file = match disk.open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Said::default()),
        Err(e) => return Err(named(&path, "open", &e)),
    };
    let size = file.size()?;
    if size > CURSOR_BYTES_MAX {
        return Ok(Said::default());
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let read = read_full_at(&*file, 0, &mut bytes).map_err(|e| named(&path, "read", &e))?;
    bytes.truncate(read);
    let mut said = Said::default();
    // What lines say whose place has not come yet.
    let mut pending = Vec::new();
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        match parse(line, &mut pending) {
            None => break,
            Some(None) => {}
            Some(Some(place)) => {
                pending.drain(..).for_each(|change| said.take(change));
                said.place = Some(place);
            }
        }
    }
    said.sessions.written();
    Ok(said)
}

enum Change {
    Open(SessionId, State),
    Gone(SessionId),
    Ahead(SessionId, (u64, u32)),
}

impl Said {
    fn take(&mut self, change: Change) {
        match change {
            Change::Open(session, state) => {
                if self
                    .ahead
                    .get(&session)
                    .is_some_and(|(seq, _)| *seq < state.next_seq)
                {
                    self.ahead.remove(&session);
                }
                self.sessions.put(session, state);
            }
            Change::Gone(session) => {
                self.sessions.forget(session);
                self.ahead.remove(&session);
            }
            Change::Ahead(session, last) => {
                self.ahead.insert(session, last);
            }
        }
    }
}

/// Reads a line; `None` where it is none. Answers the place, if it has one.
fn parse(line: &[u8], changes: &mut Vec<Change>) -> Option<Option<Place>> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (crc, text) = line.split_once(' ')?;
    if u32::from_str_radix(crc, 16).ok()? != checksum(text) {
        return None;
    }
    let json: Json = serde_json::from_str(text).ok()?;
    let list = |name| {
        json.get(name)
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
    };
    for ahead in list("ahead") {
        let documents = u32::try_from(ahead.get(2)?.as_u64()?).ok()?;
        changes.push(Change::Ahead(
            id(ahead.get(0)?)?,
            (ahead.get(1)?.as_u64()?, documents),
        ));
    }
    for open in list("open") {
        let (session, state) = state(open)?;
        changes.push(Change::Open(session, state));
    }
    for gone in list("gone") {
        changes.push(Change::Gone(id(gone)?));
    }
    let Some(at) = json.get("at") else {
        return Some(None);
    };
    Some(Some(Place {
        file: at.get(0)?.as_str()?.to_owned(),
        offset: at.get(1)?.as_u64()?,
    }))
}

fn id(json: &Json) -> Option<SessionId> {
    json.as_str()?.parse().ok()
}

fn state(json: &Json) -> Option<(SessionId, State)> {
    let people = json.get(6)?.as_array()?.iter();
    let counted = Counted {
        rx: json.get(2)?.as_u64()?,
        tx: json.get(3)?.as_u64()?,
        terminal: json.get(4)?.as_bool()?,
        enhanced: json.get(5)?.as_bool()?,
        participants: people
            .map(|user| user.as_str().map(str::to_owned))
            .collect::<Option<_>>()?,
    };
    let next_seq = json.get(1)?.as_u64()?;
    let has_ended = json.get(7)?.as_bool()?;
    Some((
        id(json.get(0)?)?,
        State {
            next_seq,
            counted,
            has_ended,
        },
    ))
}
