//! One session from its beginning, while it is being recorded: what is archived, then what waits in
//! the spool, then what becomes durable, without a hole or a repeat wherever one passes into the
//! other.
//!
//! Nothing is queued for a follower. It knows which part it wants next, looks for it where it may
//! be, and sleeps until it is woken; so a slow one costs nobody memory, and reads from the stores
//! what it was too slow for. A part is first in the spool and is archived before it leaves that, so
//! whoever looks in the spool first and then in the archive finds it.
//!
//! - [`events`]: the events of what is followed; [`screens`]: for those who come late, the screen
//!   first

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hansard_core::SessionId;
use hansard_core::frame::{Part, Place};
use hansard_record::Spool;
use hansard_record::order::Spot;
use hansard_record::spool::Pending;
use hansard_store::archive::Wrong;
use hansard_store::{Archive, ArchiveError};

use crate::keeper::split;
use crate::live::{Live, Watching};

pub mod events;
pub mod screens;

pub use events::{Events, Told};
pub use screens::{Screens, Watch};

/// Parts that a follower reads ahead at most. It is a bound on memory only with [`AHEAD_BYTES`].
const AHEAD_PARTS: usize = 64;

/// Bytes of parts at which a follower reads no further ahead; an archived segment is read as one.
const AHEAD_BYTES: usize = 1024 * 1024;

/// Why following goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowError {
    /// Not now: the stores fail. Ask for the next part again.
    Retry(String),
    /// As many follow as may; come again later.
    Busy,
    /// The session was put aside, so that nothing more of it is kept as it should be.
    Aside(String),
}

impl std::fmt::Display for FollowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Retry(why) => f.write_str(why),
            Self::Busy => f.write_str("too many follow sessions; try again later"),
            Self::Aside(why) => write!(f, "the session was put aside: {why}"),
        }
    }
}

impl std::error::Error for FollowError {}

impl From<ArchiveError> for FollowError {
    fn from(e: ArchiveError) -> Self {
        Self::Retry(e.to_string())
    }
}

/// What comes next of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The next part.
    Part(Part),
    /// These parts are lost or damaged; the next one is the beginning of a later segment.
    Lost {
        /// Number of the segment, from 0.
        segment: u32,
        /// What is wrong.
        what: String,
        /// What is there in place of the whole segment, as it is. Empty where nothing is, or where
        /// its first parts were given before.
        bytes: Vec<u8>,
    },
    /// Nothing within the time that was given.
    Waiting,
    /// The session ended with the last part.
    End,
}

/// Where sessions are followed.
#[derive(Clone)]
pub struct Followed {
    /// What is not archived yet.
    pub spool: Spool,
    /// What is.
    pub archive: Arc<Archive>,
    /// Who wakes followers.
    pub live: Live,
}

impl Followed {
    /// Follows a session from the beginning of a segment that it has or will have; 0 is its first.
    /// While somebody does, its recorder is asked to close frames after 100 ms.
    ///
    /// # Errors
    /// `Busy`.
    pub fn follow(&self, session: SessionId, segment: u32) -> Result<Follow, FollowError> {
        let watching = self.live.watch(session).ok_or(FollowError::Busy)?;
        Ok(Follow {
            watching: Some(watching),
            ..self.look_through(session, segment)
        })
    }

    /// The same for who is told elsewhere when to look again: it never waits, asks no recorder for
    /// anything, and does not hear that a session was put aside.
    #[must_use]
    pub fn look_through(&self, session: SessionId, segment: u32) -> Follow {
        Follow {
            from: self.clone(),
            session,
            watching: None,
            next: Spot {
                segment,
                place: Place::Frame(0),
            },
            ahead: VecDeque::new(),
            has_ended: false,
        }
    }
}

/// One follower.
pub struct Follow {
    from: Followed,
    session: SessionId,
    /// `None` for who does not wait.
    watching: Option<Watching>,
    /// The part that comes behind those that were read ahead.
    next: Spot,
    ahead: VecDeque<Part>,
    has_ended: bool,
}

impl Follow {
    /// Which session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The next part; waits for it at most so long.
    ///
    /// # Errors
    /// See [`FollowError`]. After `Retry` the same part is looked for again.
    pub fn next(&mut self, at_most: Duration) -> Result<Next, FollowError> {
        let began = Instant::now();
        loop {
            // Read before looking: what becomes durable after the look rings since then.
            let rung = self
                .watching
                .as_ref()
                .map(|watching| watching.bell().rung());
            if let Some(part) = self.ahead.pop_front() {
                return Ok(Next::Part(part));
            }
            if self.has_ended {
                return Ok(Next::End);
            }
            if let Some(lost) = self.look()? {
                return Ok(lost);
            }
            if !self.ahead.is_empty() || self.has_ended {
                continue;
            }
            let (Some(watching), Some(rung)) = (&self.watching, rung) else {
                return Ok(Next::Waiting);
            };
            if let Some(why) = watching.is_aside() {
                return Err(FollowError::Aside(why));
            }
            let Some(rest) = at_most.checked_sub(began.elapsed()) else {
                return Ok(Next::Waiting);
            };
            watching.bell().wait(rung, rest);
        }
    }

    /// Reads ahead from where the next part is, if it is anywhere.
    fn look(&mut self) -> Result<Option<Next>, FollowError> {
        self.look_in_spool()?;
        if !self.ahead.is_empty() {
            return Ok(None);
        }
        self.look_in_archive()
    }

    fn look_in_spool(&mut self) -> Result<(), FollowError> {
        let spool = &self.from.spool;
        let pending = spool.pending_of(self.session, before(self.next), AHEAD_PARTS);
        let mut bytes = 0usize;
        for pending in pending {
            if !self.is_next(pending.spot) || bytes > AHEAD_BYTES {
                break;
            }
            let Some(part) = self.read(&pending)? else {
                break;
            };
            bytes = bytes.saturating_add(part.bytes().len());
            if !self.take(part) {
                break;
            }
        }
        Ok(())
    }

    /// `None` where it is not in the spool any more, or cannot be read there: the archive is asked.
    fn read(&self, pending: &Pending) -> Result<Option<Part>, FollowError> {
        match self.from.spool.read(pending) {
            Ok(part) => Ok(Some(part)),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::InvalidData
                ) =>
            {
                Ok(None)
            }
            Err(e) => Err(FollowError::Retry(format!("the spool: {e}"))),
        }
    }

    fn look_in_archive(&mut self) -> Result<Option<Next>, FollowError> {
        let wanted = self.next.segment;
        let Some((row, bytes)) = self.from.archive.segment(self.session, wanted)? else {
            return Ok(None);
        };
        if row.number > wanted {
            self.next = opening(row.number);
            let what = "it was given up when the catalog was built anew".to_owned();
            return Ok(Some(Next::Lost {
                segment: wanted,
                what,
                bytes: Vec::new(),
            }));
        }
        let (parts, wrong) = match bytes {
            Ok(bytes) => {
                let (parts, wrong) = split(self.session, &bytes);
                (parts, wrong.map(Wrong::from))
            }
            Err(wrong) => (Vec::new(), Some(wrong)),
        };
        let is_whole = self.next == opening(wanted);
        for part in parts {
            let spot = Spot::of(&part);
            if spot >= self.next && self.is_next(spot) {
                self.take(part);
            }
        }
        match wrong {
            None => Ok(None),
            Some(Wrong { what, mut bytes }) => {
                if !is_whole {
                    bytes.clear();
                }
                // The rest of the segment cannot be had any more, wherever one looks.
                self.ahead.clear();
                self.has_ended = row.is_final;
                self.next = opening(wanted.saturating_add(1));
                Ok(Some(Next::Lost {
                    segment: wanted,
                    what,
                    bytes,
                }))
            }
        }
    }

    /// Whether a part that stands here is the next one; a segment may be sealed after any frame.
    fn is_next(&self, spot: Spot) -> bool {
        let may_end = !matches!(self.next.place, Place::Frame(0));
        let is_seal = spot.place == Place::Seal && spot.segment == self.next.segment;
        spot == self.next || (is_seal && may_end)
    }

    /// Puts the next part behind those read ahead. A seal counts its frames, so none is left out;
    /// answers whether the part was taken.
    fn take(&mut self, part: Part) -> bool {
        match &part {
            Part::Frame(frame) => {
                self.next.place = Place::Frame(frame.index.saturating_add(1));
            }
            Part::Seal(seal) => {
                let Ok(stated) = seal.statement() else {
                    return false;
                };
                if Place::Frame(stated.frames) != self.next.place {
                    return false;
                }
                self.has_ended = stated.is_final;
                self.next = opening(seal.segment.saturating_add(1));
            }
        }
        self.ahead.push_back(part);
        true
    }
}

pub(crate) fn opening(segment: u32) -> Spot {
    Spot {
        segment,
        place: Place::Frame(0),
    }
}

/// The last spot before this one that can have a part; `None` is the beginning.
fn before(spot: Spot) -> Option<Spot> {
    match spot.place {
        Place::Frame(index) if index > 0 => Some(Spot {
            segment: spot.segment,
            place: Place::Frame(index - 1),
        }),
        _ => spot.segment.checked_sub(1).map(|segment| Spot {
            segment,
            place: Place::Seal,
        }),
    }
}
