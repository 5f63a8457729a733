//! Recordings as bytes: what is archived, then what waits in the spool.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use hansard_core::SessionId;
use hansard_core::reader::ReadError;
use hansard_core::verify::verify;
use hansard_view::source::Source;

use crate::api::problem::Trouble;
use crate::api::seams::{Recordings, Verified};
use crate::follow::{Follow, FollowError, Followed, Next};

mod waiting;

/// Recordings of a service.
pub struct Recorded {
    /// Where they are.
    pub from: Followed,
}

impl Recorded {
    /// Whether anything of this session is known here.
    fn knows(&self, session: SessionId) -> Result<bool, Trouble> {
        knows(&self.from, session)
    }
}

/// Whether anything of a session is archived or in the spool. The spool is looked into first: what
/// leaves it after that is archived before the archive is asked.
pub(super) fn knows(from: &Followed, session: SessionId) -> Result<bool, Trouble> {
    if !from.spool.pending_of(session, None, 1).is_empty() {
        return Ok(true);
    }
    let archived = from.archive.open_session(session);
    Ok(archived
        .map_err(|e| Trouble::Retry(e.to_string()))?
        .is_some())
}

impl Recordings for Recorded {
    fn open(&self, session: SessionId) -> Result<Option<Box<dyn Read + Send>>, Trouble> {
        if !self.knows(session)? {
            return Ok(None);
        }
        let follow = self.from.follow(session, 0).map_err(|e| trouble(&e))?;
        Ok(Some(Box::new(Parts {
            follow,
            bytes: io::Cursor::default(),
        })))
    }

    fn whole(&self, session: SessionId) -> Result<Option<Source>, Trouble> {
        let source = self.from.archive.source(session);
        let source = source.map_err(|e| Trouble::Retry(e.to_string()))?;
        Ok(source.map(|source| Arc::new(source) as Source))
    }

    fn verify(&self, session: SessionId) -> Result<Option<Verified>, Trouble> {
        let archived = self.from.archive.verify_session(session);
        let found = match archived.map_err(|e| Trouble::Retry(e.to_string()))? {
            Some(found) => Some(found.into()),
            None => self.verify_waiting(session)?,
        };
        let Some(mut found) = found else {
            return Ok(None);
        };
        found
            .differences
            .extend(waiting::broken(&self.from, session)?);
        Ok(Some(found))
    }
}

impl Recorded {
    /// Checks a session of which nothing is archived yet.
    fn verify_waiting(&self, session: SessionId) -> Result<Option<Verified>, Trouble> {
        let Some(bytes) = self.open(session)? else {
            return Ok(None);
        };
        match verify(bytes) {
            Ok(report) => Ok(Some(Verified {
                report,
                newest: None,
                differences: Vec::new(),
            })),
            Err(ReadError::Io(e)) => Err(Trouble::Retry(e.to_string())),
            Err(other) => Err(Trouble::Refused(other.to_string())),
        }
    }
}

pub(super) fn trouble(e: &FollowError) -> Trouble {
    match e {
        FollowError::Retry(why) => Trouble::Retry(why.clone()),
        FollowError::Busy => Trouble::Busy(e.to_string()),
        FollowError::Aside(_) => Trouble::Refused(e.to_string()),
    }
}

/// The parts that there are, one after another, as a `.hansard` file has them. A segment that is
/// lost is left out, and one that is damaged is given as it is: whoever reads says which one it is,
/// and what is sound in it.
struct Parts {
    follow: Follow,
    bytes: io::Cursor<Vec<u8>>,
}

impl Read for Parts {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.bytes.read(buf)? {
                0 if buf.is_empty() => return Ok(0),
                0 => {}
                n => return Ok(n),
            }
            match self.follow.next(Duration::ZERO) {
                Ok(Next::Part(part)) => self.bytes = io::Cursor::new(part.bytes().to_vec()),
                Ok(Next::Lost { bytes, .. }) => self.bytes = io::Cursor::new(bytes),
                Ok(Next::Waiting | Next::End) => return Ok(0),
                Err(e) => return Err(io::Error::other(e.to_string())),
            }
        }
    }
}
