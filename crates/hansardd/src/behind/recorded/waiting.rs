//! What waits in the spool to be archived, and whether it goes on from what is: where a part is missing or cannot
//! be read, what is behind it is not archived and not shown, and whoever checks must hear of it.

use std::io;

use hansard_core::SessionId;
use hansard_core::frame::{Part, Place};
use hansard_record::order::Spot;
use hansard_store::archive::Problem as Difference;

use crate::api::problem::Trouble;
use crate::follow::{Followed, opening};

/// Parts that are asked for at once.
const PARTS: usize = 256;

/// How often it is looked again because something was archived meanwhile.
const LOOKS_MAX: usize = 4;

/// Why a look found nothing that can be said.
enum Stop {
    Trouble(Trouble),
    /// What was looked at is gone: it is archived by now.
    Moved,
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Where what waits of a session breaks off though more of it is there; `None` where it does not.
pub(super) fn broken(from: &Followed, session: SessionId) -> Result<Option<Difference>, Trouble> {
    for _ in 0..LOOKS_MAX {
        let begins = archived(from, session)?;
        let found = match look(from, session, begins) {
            Ok(None) => return Ok(None),
            Ok(found) => found,
            Err(Stop::Moved) => continue,
            Err(Stop::Trouble(trouble)) => return Err(trouble),
        };
        // A part is archived before it leaves the spool: what looks like a hole may be that.
        if archived(from, session)? == begins {
            return Ok(found);
        }
    }
    // It is archived faster than it is looked at, so that nothing keeps it.
    Ok(None)
}

/// The first segment that is not archived.
fn archived(from: &Followed, session: SessionId) -> Result<u32, Trouble> {
    let head = from.archive.head(session);
    let head = head.map_err(|e| Trouble::Retry(e.to_string()))?;
    Ok(head.map_or(0, |head| head.number.saturating_add(1)))
}

fn look(from: &Followed, session: SessionId, begins: u32) -> Result<Option<Difference>, Stop> {
    let mut expect = opening(begins);
    let mut after = begins.checked_sub(1).map(|segment| Spot {
        segment,
        place: Place::Seal,
    });
    loop {
        let parts = from.spool.pending_of(session, after, PARTS);
        let Some(last) = parts.last() else {
            return Ok(None);
        };
        after = Some(last.spot);
        for pending in &parts {
            let part = match from.spool.read(pending) {
                Ok(part) => part,
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Stop::Moved),
                Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                    let what = format!(
                        "{} waits to be archived and cannot be read: {e}",
                        pending.spot
                    );
                    return Ok(Some(difference(pending.spot, what)));
                }
                Err(e) => return Err(Trouble::Retry(format!("the spool: {e}")).into()),
            };
            match next(expect, &part) {
                Some(next) => expect = next,
                None => {
                    let spot = pending.spot;
                    let what =
                        format!("{spot} waits to be archived, and {expect} before it is missing");
                    return Ok(Some(difference(expect, what)));
                }
            }
        }
    }
}

fn difference(spot: Spot, what: String) -> Difference {
    Difference {
        segment: spot.segment,
        what,
    }
}

/// What comes behind this part; `None` where it is not the one that was expected.
fn next(expect: Spot, part: &Part) -> Option<Spot> {
    let spot = Spot::of(part);
    match part {
        Part::Frame(frame) => (spot == expect).then_some(Spot {
            place: Place::Frame(frame.index.saturating_add(1)),
            ..spot
        }),
        Part::Seal(seal) => {
            let frames = seal.statement().ok()?.frames;
            let is_next = (spot.segment, Place::Frame(frames)) == (expect.segment, expect.place);
            is_next.then_some(opening(spot.segment.saturating_add(1)))
        }
    }
}
