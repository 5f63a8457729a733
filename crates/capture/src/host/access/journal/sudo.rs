//! What `sudo` writes: one line of fields, of which some are words of whoever calls it, and which it cuts
//! into several entries where it is long.
//!
//! `anna : TTY=pts/1 ; PWD=/home/anna ; USER=root ; COMMAND=/usr/bin/id`, and before the first field, where
//! it was refused, why. A directory may be called like any of that, and so may an argument: `sudo` escapes
//! neither blanks nor `;`. What is told of such a line is that line.

use std::collections::BTreeMap;

use super::{ENTRY_BYTES_MAX, Entry, Said, field};

/// The fields of a line in the order in which they stand in it; each is there once, or not at all.
const FIELDS: [&str; 9] = [
    "HOST=", "TTY=", "CHROOT=", "PWD=", "USER=", "GROUP=", "TSID=", "ENV=", "COMMAND=",
];

/// What stands before each field but the first.
const BETWEEN: &str = " ; ";

/// How a further part of a line begins, behind the name.
const CONTINUED: &str = "(command continued) ";

/// How long a line waits for its further parts, nanoseconds. `sudo` writes them one right after the
/// other, and at once; what its PAM modules write next says earlier that there is none.
pub(super) const WAIT_NS: u64 = 1_000_000_000;

/// Most lines that wait. Beyond that the oldest is told as one that may go on.
const WAITING_MAX: usize = 64;

/// What a line says; `None` where nothing was to be run. One that is not whole has fields that nobody saw.
///
/// Whether it was refused is known of every line: nothing stands before the reason that a user chose.
pub(super) fn said(message: &str, is_whole: bool) -> Option<Said<'_>> {
    let (user, rest) = message.trim_start().split_once(" : ")?;
    if rest.starts_with(CONTINUED) {
        // Its beginning was told already, or never seen.
        return Some(Said {
            user,
            message: rest,
            is_known: false,
            ..Said::default()
        });
    }
    let found = fields(rest);
    let (_, first, _) = *found.first()?;
    let error = rest.get(..first)?;
    let error = error.strip_suffix(BETWEEN).unwrap_or(error);
    if is_whole && !found.iter().any(|(name, ..)| *name == "COMMAND=") {
        return None;
    }
    let mut said = Said {
        user,
        error,
        ..Said::default()
    };
    if !is_whole || !is_in_order(&found) {
        said.message = rest;
        return Some(said);
    }
    let ends = found.iter().skip(1).map(|(_, start, _)| {
        // What stands between them is no part of either.
        start.saturating_sub(BETWEEN.len())
    });
    let ends = ends.chain(std::iter::once(rest.len()));
    for ((name, _, value), end) in found.iter().zip(ends) {
        let value = rest.get(*value..end).unwrap_or_default();
        match *name {
            "TTY=" => said.terminal = value,
            "PWD=" => said.cwd = value,
            "USER=" => said.login = value,
            "COMMAND=" => said.command = value,
            _ => {}
        }
    }
    Some(said)
}

/// Whatever looks like a field: its name, where that begins, and where its value does.
fn fields(rest: &str) -> Vec<(&'static str, usize, usize)> {
    let starts = rest
        .match_indices(BETWEEN)
        .map(|(at, between)| at + between.len());
    let of = |start: usize| {
        let text = rest.get(start..)?;
        let name = FIELDS.into_iter().find(|name| text.starts_with(name))?;
        Some((name, start, start + name.len()))
    };
    std::iter::once(0).chain(starts).filter_map(of).collect()
}

/// Whether these can be what `sudo` meant: a field that comes twice, or too early, is part of another's
/// value.
fn is_in_order(found: &[(&str, usize, usize)]) -> bool {
    let place = |name: &str| FIELDS.iter().position(|known| *known == name);
    found.is_sorted_by(|(one, ..), (next, ..)| place(one) < place(next))
}

/// Puts lines together again that came in several entries.
#[derive(Default)]
pub(super) struct Lines(BTreeMap<String, Waiting>);

/// A line that may go on.
struct Waiting {
    line: Line,
    since_ns: u64,
}

/// An entry, and whether nothing of its line is missing.
pub(super) struct Line {
    pub(super) entry: Entry,
    pub(super) is_whole: bool,
}

impl Lines {
    /// Takes the next entry, at this moment of the monotonic clock, and answers what is complete now.
    pub(super) fn take(&mut self, entry: Entry, now_ns: u64) -> Vec<Line> {
        let mut complete = self.due(now_ns);
        let whole = |entry| Line {
            entry,
            is_whole: true,
        };
        if field(&entry, "_COMM") != "sudo" {
            complete.push(whole(entry));
            return complete;
        }
        let pid = field(&entry, "_PID").to_owned();
        match (continued(field(&entry, "MESSAGE")), self.0.get_mut(&pid)) {
            (Some(more), Some(waiting)) => waiting.line.add(more),
            (Some(_), None) => complete.push(whole(entry)),
            (None, _) => {
                let waiting = Waiting {
                    line: whole(entry),
                    since_ns: now_ns,
                };
                complete.extend(self.0.insert(pid, waiting).map(|before| before.line));
                complete.extend(self.one_too_many());
            }
        }
        complete
    }

    /// Those that have waited long enough.
    pub(super) fn due(&mut self, now_ns: u64) -> Vec<Line> {
        let is_due = |w: &Waiting| now_ns.saturating_sub(w.since_ns) >= WAIT_NS;
        let due = self.0.iter().filter(|(_, waiting)| is_due(waiting));
        let due: Vec<String> = due.map(|(pid, _)| pid.clone()).collect();
        let taken = due.iter().filter_map(|pid| self.0.remove(pid));
        taken.map(|waiting| waiting.line).collect()
    }

    /// All that still wait: nothing more is heard.
    pub(super) fn rest(&mut self) -> Vec<Line> {
        let rest = std::mem::take(&mut self.0);
        rest.into_values().map(|waiting| waiting.line).collect()
    }

    /// Whether one waits.
    pub(super) fn are_waiting(&self) -> bool {
        !self.0.is_empty()
    }

    fn one_too_many(&mut self) -> Option<Line> {
        if self.0.len() <= WAITING_MAX {
            return None;
        }
        let oldest = self.0.iter().min_by_key(|(_, waiting)| waiting.since_ns);
        let oldest = oldest.map(|(pid, _)| pid.clone())?;
        let mut line = self.0.remove(&oldest)?.line;
        line.is_whole = false;
        Some(line)
    }
}

impl Line {
    /// Adds its next part.
    fn add(&mut self, more: &str) {
        let message = self.entry.iter_mut().find(|(name, _)| name == "MESSAGE");
        let Some((_, message)) = message else {
            return;
        };
        if !self.is_whole || message.len().saturating_add(more.len()) > ENTRY_BYTES_MAX {
            self.is_whole = false;
            return;
        }
        // It is cut at a blank, which is left out; in a word longer than an entry it is not, and then
        // one too many stands there.
        message.push(' ');
        message.push_str(more);
    }
}

/// What a further part of a line says.
fn continued(message: &str) -> Option<&str> {
    let (_, rest) = message.trim_start().split_once(" : ")?;
    rest.strip_prefix(CONTINUED)
}
