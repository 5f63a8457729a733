//! The closed query that every database can answer: filters that are equalities, one range of
//! time, one order, and a cursor.

use std::fmt;
use std::str::FromStr;

use hansard_core::SessionId;

use crate::catalog::{CatalogError, EventRow, SessionRow};
use crate::limits::QUERY_ROWS_MAX;

/// What to look for. Everything that is said must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Not before this UTC time, nanoseconds since 1970: a session's start, an event's time.
    pub from_ns: Option<u64>,
    /// Before this time.
    pub until_ns: Option<u64>,
    /// Of this user, letter by letter.
    pub user: Option<String>,
    /// On this host.
    pub host: Option<String>,
    /// Of this kind of session.
    pub kind: Option<String>,
    /// Events of this name.
    pub name: Option<String>,
    /// Of this session.
    pub session: Option<SessionId>,
    /// Events that are about the recording of this session, wherever they happened: looks at it, and
    /// what was done with it.
    pub recording: Option<SessionId>,
    /// The last first.
    pub newest_first: bool,
    /// Behind this place, in the order asked for.
    pub after: Option<Cursor>,
    /// Rows of the answer; 0 or too many mean [`QUERY_ROWS_MAX`].
    pub limit: usize,
}

impl Query {
    /// Rows that one answer holds at most.
    #[must_use]
    pub fn rows_max(&self) -> usize {
        match self.limit {
            0 => QUERY_ROWS_MAX,
            n => n.min(QUERY_ROWS_MAX),
        }
    }

    /// Whether a row at this place is in the range and behind the cursor.
    fn admits(&self, place: Cursor) -> bool {
        let behind = |after: Cursor| match self.newest_first {
            true => place < after,
            false => place > after,
        };
        self.from_ns.is_none_or(|from| place.time_ns >= from)
            && self.until_ns.is_none_or(|until| place.time_ns < until)
            && self.session.is_none_or(|session| place.session == session)
            && self.after.is_none_or(behind)
    }

    fn admits_words(&self, user: &str, host: &str, kind: &str) -> bool {
        let same =
            |wanted: &Option<String>, word: &str| wanted.as_deref().is_none_or(|w| w == word);
        same(&self.user, user) && same(&self.host, host) && same(&self.kind, kind)
    }

    /// Whether this session is an answer.
    ///
    /// # Errors
    /// `Refused` when the query asks for what only events have.
    pub fn admits_session(&self, row: &SessionRow) -> Result<bool, CatalogError> {
        self.is_of_sessions()?;
        let start = &row.start;
        Ok(self.admits(Cursor::of_session(row))
            && self.admits_words(&start.user, &start.host, &start.kind))
    }

    /// Whether sessions can be answers at all.
    pub(super) fn is_of_sessions(&self) -> Result<(), CatalogError> {
        let why = match (&self.name, self.recording) {
            (None, None) => return Ok(()),
            (Some(_), _) => "sessions have no event's name to be found by",
            (None, Some(_)) => "sessions have no recording of another to be found by",
        };
        Err(CatalogError::Refused(why.to_owned()))
    }

    /// What stands in the documents of events that are about the recording asked for: a field as the
    /// document has it, which no other field's text can be.
    pub(super) fn recording_in_facts(&self) -> Option<String> {
        self.recording.map(|id| format!("\"recording\":\"{id}\""))
    }

    /// Whether this event is an answer.
    #[must_use]
    pub fn admits_event(&self, row: &EventRow) -> bool {
        self.admits(Cursor::of_event(row))
            && self.admits_words(&row.user, &row.host, &row.kind)
            && self.name.as_ref().is_none_or(|name| *name == row.name)
            && self
                .recording_in_facts()
                .is_none_or(|field| row.facts.contains(&field))
    }

    /// The page that these rows make, which are one more than fit if there are more.
    #[must_use]
    pub fn page<T>(&self, mut rows: Vec<T>, place: impl Fn(&T) -> Cursor) -> Page<T> {
        let more = rows.len() > self.rows_max();
        rows.truncate(self.rows_max());
        let next = rows.last().filter(|_| more).map(place);
        Page { rows, next }
    }
}

/// Rows, and whether they are all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where to go on: the same query after this place. `None`: these were the last.
    pub next: Option<Cursor>,
}

/// A segment's place in the order of arrival. A number, for programs to give back; larger is later.
/// A catalog that is built anew counts anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct ArrivalCursor(pub u64);

/// A row's place in the order of a listing. As text it is for programs to give back, not to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The row's time.
    pub time_ns: u64,
    /// Its session.
    pub session: SessionId,
    /// Its event's number.
    pub seq: u64,
    /// Its ordinal.
    pub ordinal: u32,
}

impl Cursor {
    /// Where a session stands among sessions.
    #[must_use]
    pub fn of_session(row: &SessionRow) -> Self {
        Self {
            time_ns: row.start.start_utc_ns,
            session: row.session,
            seq: 0,
            ordinal: 0,
        }
    }

    /// Where an event stands among events.
    #[must_use]
    pub fn of_event(row: &EventRow) -> Self {
        Self {
            time_ns: row.time_ns,
            session: row.session,
            seq: row.seq,
            ordinal: row.ordinal,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            time_ns,
            session,
            seq,
            ordinal,
        } = self;
        write!(f, "{time_ns:x}.{session}.{seq:x}.{ordinal:x}")
    }
}

impl FromStr for Cursor {
    type Err = CatalogError;

    fn from_str(text: &str) -> Result<Self, CatalogError> {
        let read = || -> Option<Self> {
            let mut parts = text.split('.');
            let cursor = Self {
                time_ns: u64::from_str_radix(parts.next()?, 16).ok()?,
                session: parts.next()?.parse().ok()?,
                seq: u64::from_str_radix(parts.next()?, 16).ok()?,
                ordinal: u32::from_str_radix(parts.next()?, 16).ok()?,
            };
            parts.next().is_none().then_some(cursor)
        };
        read().ok_or_else(|| CatalogError::Refused("not a cursor of a listing".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_as_text() {
        let cursor = Cursor {
            time_ns: u64::MAX,
            session: SessionId::from_bytes([7; 16]),
            seq: 12,
            ordinal: 1,
        };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for bad in ["", "1", "1.2.3.4", &format!("{cursor}.0"), "' OR 1=1 --"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
