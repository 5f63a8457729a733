//! What becomes of the parts of one connection: checked, allowed, put. Synchronous, on a thread that
//! may wait for a disk.

use std::collections::HashMap;
use std::sync::Arc;

use hansard_core::frame::{Part, Place, Sound};
use hansard_core::seal::Digest;
use hansard_core::{SessionId, Sink, SinkError};
use hansard_identity::Peer;
use hansard_record::forward::wire::{Problem, ProblemKind, Stored};
use hansard_record::order::Spot;

use crate::ingest::depot::Depot;
use crate::ingest::gate::{Gate, Ruling};
use crate::ingest::limits::SESSIONS_MAX;
use crate::ingest::note::Cause;

/// Something that was offered.
pub(super) enum Offer {
    Part(Part),
    /// A part that was too long to be read.
    TooLong {
        session: SessionId,
        spot: Spot,
        bytes: u32,
    },
}

/// A session that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) problem: Problem,
    pub(super) cause: Cause,
}

/// What became of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) troubles: Vec<Trouble>,
    /// Segments that the archive has already.
    pub(super) stored: Vec<Stored>,
    /// Segments that are complete here now, and not known to be in the archive.
    pub(super) sealed: Vec<(SessionId, u32, Digest)>,
    /// Sessions that were forgotten to make room.
    pub(super) forgotten: Vec<SessionId>,
    /// Why the rest of the batch has to be put again; it is kept.
    pub(super) again: Option<String>,
}

/// How a session stands on this connection.
enum Standing {
    Open,
    /// Nothing of it is taken before it is offered from here, or from before.
    Waits(Spot),
    /// Nothing of it is taken.
    Closed,
}

struct Known {
    standing: Standing,
    /// The newest segment in the archive when it was last asked.
    archived: Option<u32>,
    /// When it was last used, in batches.
    used: u64,
}

/// Answers whether what is for a session now comes to this connection.
pub(super) type Route = Arc<dyn Fn(SessionId) -> bool + Send + Sync>;

/// Takes the parts of one connection.
pub(super) struct Taker {
    peer: Peer,
    gate: Arc<dyn Gate>,
    depot: Arc<dyn Depot>,
    sink: Box<dyn Sink + Send>,
    route: Route,
    sessions: HashMap<SessionId, Known>,
    /// Sessions were forgotten on this connection: the first part of one that is not known may not be
    /// the first that the host has.
    has_forgotten: bool,
    batches: u64,
    /// What is still to be put.
    owed: Vec<Part>,
    /// Seals among what is still to be put.
    owed_seals: Vec<(SessionId, u32, Digest)>,
}

impl Taker {
    pub(super) fn new(
        peer: Peer,
        gate: Arc<dyn Gate>,
        depot: Arc<dyn Depot>,
        route: Route,
    ) -> Self {
        Self {
            sink: depot.sink(&peer),
            peer,
            gate,
            depot,
            route,
            sessions: HashMap::new(),
            has_forgotten: false,
            batches: 0,
            owed: Vec::new(),
            owed_seals: Vec::new(),
        }
    }

    /// Takes a batch. When `again` is set in the answer, [`Taker::again`] MUST be called before the
    /// next one.
    pub(super) fn take(&mut self, offers: Vec<Offer>) -> Taken {
        self.batches = self.batches.saturating_add(1);
        let mut taken = Taken::default();
        for offer in offers {
            match offer {
                Offer::Part(part) => self.sort(part, &mut taken),
                Offer::TooLong {
                    session,
                    spot,
                    bytes,
                } => {
                    if self.is_expected(session, spot) {
                        let why = format!("a part of {bytes} bytes is longer than any may be");
                        self.close(
                            session,
                            spot,
                            ProblemKind::Refused,
                            why,
                            Cause::Foreign,
                            &mut taken,
                        );
                    }
                }
            }
        }
        self.again(taken)
    }

    /// Puts what is still owed.
    pub(super) fn again(&mut self, mut taken: Taken) -> Taken {
        taken.again = None;
        if !self.owed.is_empty() {
            match self.sink.put(&self.owed) {
                Ok(_) => self.owed.clear(),
                Err(SinkError::Retry(why)) => {
                    taken.again = Some(why);
                    return taken;
                }
                // Somebody's fault, but not everybody's: one session after the other.
                Err(SinkError::Conflict(_) | SinkError::Refused(_)) => self.put_each(&mut taken),
            }
        }
        if taken.again.is_none() {
            // Asked behind the put, so that nothing is stored between the two and never told.
            for (session, segment, digest) in std::mem::take(&mut self.owed_seals) {
                match self.depot.holds(session, segment, &digest) {
                    Ok(true) => taken.stored.push(Stored::new(session, segment, digest)),
                    // If it cannot be known, it is asked again later.
                    Ok(false) | Err(_) => taken.sealed.push((session, segment, digest)),
                }
            }
        }
        taken
    }

    fn put_each(&mut self, taken: &mut Taken) {
        let mut sessions: Vec<(SessionId, Vec<Part>)> = Vec::new();
        for part in std::mem::take(&mut self.owed) {
            let session = part.session();
            match sessions.iter_mut().find(|(other, _)| *other == session) {
                Some((_, parts)) => parts.push(part),
                None => sessions.push((session, vec![part])),
            }
        }
        for (session, parts) in sessions {
            let Some(spot) = parts.first().map(Spot::of) else {
                continue;
            };
            let (kind, why) = match self.sink.put(&parts) {
                Ok(_) => continue,
                Err(SinkError::Retry(why)) => {
                    taken.again = Some(why);
                    self.owed.extend(parts);
                    continue;
                }
                Err(SinkError::Conflict(why)) => (ProblemKind::Conflict, why),
                Err(SinkError::Refused(why)) => (ProblemKind::Refused, why),
            };
            self.owed_seals.retain(|(other, ..)| *other != session);
            // The spool no longer knows what it had, but the archive does: there it is compared.
            if kind == ProblemKind::Refused && self.is_archived_by_now(session, spot) {
                self.wait(
                    session,
                    spot,
                    "it is in the archive already".to_owned(),
                    taken,
                );
                continue;
            }
            self.close(session, spot, kind, why, Cause::Foreign, taken);
        }
    }

    /// Whether the archive has got further than was known when the session was first seen.
    fn is_archived_by_now(&mut self, session: SessionId, spot: Spot) -> bool {
        let before = self.sessions.get(&session).and_then(|known| known.archived);
        let now = self.depot.archived(session).ok().flatten();
        now > before && now.is_some_and(|newest| spot.segment <= newest)
    }

    /// Whether anything of a session is taken at this spot.
    fn is_expected(&self, session: SessionId, spot: Spot) -> bool {
        match self.sessions.get(&session).map(|known| &known.standing) {
            Some(Standing::Closed) => false,
            Some(Standing::Waits(at)) => spot <= *at,
            Some(Standing::Open) | None => true,
        }
    }

    /// Notes one part to be put, unless it is not to be.
    fn sort(&mut self, part: Part, taken: &mut Taken) {
        let (session, spot) = (part.session(), Spot::of(&part));
        if !self.is_expected(session, spot) {
            return;
        }
        let sound = match part.check() {
            Ok(sound) => sound,
            Err(why) => {
                let why = format!("not a sound part: {why}");
                let kind = ProblemKind::Refused;
                return self.close(session, spot, kind, why, Cause::Foreign, taken);
            }
        };
        let is_open = self
            .sessions
            .get(&session)
            .is_some_and(|known| matches!(known.standing, Standing::Open));
        if !is_open && !self.open(&part, taken) {
            return;
        }
        let batches = self.batches;
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        known.used = batches;
        let is_archived = known.archived.is_some_and(|newest| spot.segment <= newest);
        match (sound, is_archived) {
            (Sound::Seal(seal), false) => {
                self.owed_seals.push((session, spot.segment, seal.digest));
                self.owed.push(part);
            }
            (_, false) => self.owed.push(part),
            (Sound::Seal(seal), true) => self.compare(session, spot, &seal.digest, taken),
            // Kept by its sender until its seal has been compared.
            (_, true) => {}
        }
    }

    /// A seal in the place of an archived one: the same, or a conflict.
    fn compare(&mut self, session: SessionId, spot: Spot, digest: &Digest, taken: &mut Taken) {
        match self.depot.holds(session, spot.segment, digest) {
            Ok(true) => {
                let stored = Stored::new(session, spot.segment, *digest);
                taken.stored.push(stored);
            }
            Ok(false) => {
                let why = "the archive has another segment in this place".to_owned();
                let kind = ProblemKind::Conflict;
                self.close(session, spot, kind, why, Cause::Foreign, taken);
            }
            Err(why) => {
                let at = Spot {
                    segment: spot.segment,
                    place: Place::Frame(0),
                };
                self.wait(session, at, why, taken);
            }
        }
    }

    /// Begins with a session on this connection. Answers whether it is taken.
    fn open(&mut self, part: &Part, taken: &mut Taken) -> bool {
        let (session, spot) = (part.session(), Spot::of(part));
        if !self.sessions.contains_key(&session) && !self.has_room(taken) {
            let why = "too many sessions at once on this connection".to_owned();
            taken
                .troubles
                .push(trouble(session, spot, ProblemKind::Retry, why));
            return false;
        }
        let (kind, why, cause) = match self.gate.owner(&self.peer, session, part) {
            Ruling::Allowed => match self.depot.archived(session) {
                Ok(archived) => {
                    let known = Known {
                        standing: Standing::Open,
                        archived,
                        used: self.batches,
                    };
                    self.sessions.insert(session, known);
                    self.note_beginning(session, spot, archived);
                    // Before the put, so that what is said of it from then on comes here. Without
                    // room for that it is looked for now and then.
                    (self.route)(session);
                    return true;
                }
                Err(why) => (ProblemKind::Retry, why, Cause::Nobody),
            },
            Ruling::Retry(why) => (ProblemKind::Retry, why, Cause::Nobody),
            Ruling::Refused(why) => (ProblemKind::Refused, why, Cause::Nobody),
            Ruling::Alarm(why) => (ProblemKind::Refused, why, Cause::Foreign),
            Ruling::Lost(why) => (ProblemKind::Refused, why, Cause::Lost),
        };
        match kind {
            ProblemKind::Retry => self.wait(session, spot, why, taken),
            _ => self.close(session, spot, kind, why, cause, taken),
        }
        false
    }

    /// On each connection a host offers a session from the first part it has: where the archive has not
    /// what comes before that, only this spool may have it.
    fn note_beginning(&self, session: SessionId, spot: Spot, archived: Option<u32>) {
        let next = archived.map_or(0, |newest| newest.saturating_add(1));
        let is_first = spot.place == Place::Frame(0) && spot.segment > next;
        if is_first && !self.has_forgotten {
            self.depot.begins_at(session, spot);
        }
    }

    /// Makes room for one more session.
    fn has_room(&mut self, taken: &mut Taken) -> bool {
        if self.sessions.len() < SESSIONS_MAX {
            return true;
        }
        let batches = self.batches;
        let oldest = self
            .sessions
            .iter()
            .filter(|(_, known)| {
                known.used < batches && !matches!(known.standing, Standing::Closed)
            })
            .min_by_key(|(_, known)| known.used)
            .map(|(session, _)| *session);
        let Some(oldest) = oldest else { return false };
        self.sessions.remove(&oldest);
        self.has_forgotten = true;
        taken.forgotten.push(oldest);
        true
    }

    /// Takes nothing of a session until it is offered again.
    fn wait(&mut self, session: SessionId, spot: Spot, why: String, taken: &mut Taken) {
        self.set(session, Standing::Waits(spot));
        taken
            .troubles
            .push(trouble(session, spot, ProblemKind::Retry, why));
    }

    /// Takes nothing of a session any more.
    fn close(
        &mut self,
        session: SessionId,
        spot: Spot,
        kind: ProblemKind,
        why: String,
        cause: Cause,
        taken: &mut Taken,
    ) {
        // What was sound before it in this batch stands: it was sent by who may send it.
        self.set(session, Standing::Closed);
        taken.troubles.push(Trouble {
            cause,
            ..trouble(session, spot, kind, why)
        });
    }

    /// The keeper found a session in conflict after it was put.
    pub(super) fn shut(&mut self, session: SessionId) {
        self.set(session, Standing::Closed);
    }

    fn set(&mut self, session: SessionId, standing: Standing) {
        let used = self.batches;
        if self.sessions.len() >= SESSIONS_MAX && !self.sessions.contains_key(&session) {
            return;
        }
        let known = Known {
            standing,
            archived: None,
            used,
        };
        self.sessions.insert(session, known);
    }
}

fn trouble(session: SessionId, at: Spot, kind: ProblemKind, why: String) -> Trouble {
    Trouble {
        problem: Problem {
            session,
            kind,
            at,
            why,
        },
        cause: Cause::Nobody,
    }
}

#[cfg(test)]
mod tests;
