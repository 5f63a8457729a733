//! What is lost: a sender has nothing of a session before some part, and here it is not either. So it
//! is after an older copy of the service's disk was put back, or where the sender's spool is damaged.

use std::collections::HashMap;

use hansard_core::SessionId;
use hansard_core::frame::Place;
use hansard_record::order::Spot;
use hansard_store::archive::SegmentId;

use super::setting_aside::Put;
use super::work::{State, before};
use super::{Keeper, Matter, Raised, WORKS_MAX};

/// Parts that are put aside at once.
const PARTS: usize = 256;

/// Where sessions begin that their senders have no more of.
#[derive(Default)]
pub(super) struct Losses {
    /// Kept until the segment that begins there is archived: a session that is learned anew before
    /// that must go on there again.
    beginnings: HashMap<SessionId, Spot>,
}

impl Losses {
    /// A segment is archived: what is missing before it is asked for no more.
    pub(super) fn archived(&mut self, (session, number): SegmentId) {
        let at = self.beginnings.get(&session);
        if at.is_some_and(|at| at.segment <= number) {
            self.beginnings.remove(&session);
        }
    }
}

impl Keeper {
    /// Takes up what was said of beginnings, also of sessions whose hole is waited for already.
    pub(super) fn note_beginnings(&mut self) {
        for (session, at) in self.live.take_beginnings() {
            if self.losses.beginnings.len() >= WORKS_MAX {
                break;
            }
            self.losses.beginnings.insert(session, at);
            let is_holed = |work: &super::Work| work.state == State::Holed;
            if self.sessions.get(&session).is_some_and(is_holed) {
                self.goes_on_behind(session, at);
            }
        }
    }

    /// Whether a session is read on at this part though what precedes it is missing, for its sender
    /// has that no more. Somebody is told, and what is here of a segment in between is put aside.
    ///
    /// A crash in here leaves the hole as it was: the sender says again where it begins.
    pub(super) fn goes_on_behind(&mut self, session: SessionId, spot: Spot) -> bool {
        let is_beginning = self.losses.beginnings.get(&session) == Some(&spot);
        let Some(work) = self.sessions.get(&session) else {
            return false;
        };
        let (expect, newest) = (work.expect, work.tip.map(|tip| tip.number));
        let may_go_on = matches!(work.state, State::Fine | State::Holed) && newest.is_some();
        let is_behind = spot.place == Place::Frame(0) && spot.segment > expect.segment;
        if !is_beginning || !may_go_on || !is_behind || !self.is_in_spool(session, spot) {
            return false;
        }
        if let Err(why) = self.put_between_aside(session, expect.segment, spot) {
            // It stays a hole, until the next connection says the same.
            self.figures.trouble = Some(why);
            return false;
        }
        self.growing.take(session);
        let missing = format!("segments {} to {}", expect.segment, spot.segment - 1);
        self.raise(&Raised {
            matter: Matter::Lost,
            session: Some(session),
            segment: Some(expect.segment),
            what: format!(
                "{missing} are not here, and its host has nothing of that any more: lost here, if an older copy of this service's disk was put back, or there; what follows is archived behind the gap"
            ),
            kept: None,
        });
        if let Some(work) = self.sessions.get_mut(&session) {
            work.state = State::Fine;
            work.expect = spot;
            work.lost_before = Some(spot.segment);
        }
        self.filled.push_back(session);
        true
    }

    fn is_in_spool(&self, session: SessionId, spot: Spot) -> bool {
        let first = self
            .stores
            .spool
            .pending_of(session, before(spot.segment), 1);
        first.first().is_some_and(|pending| pending.spot == spot)
    }

    /// What is in the spool of segments that will never be whole.
    fn put_between_aside(&mut self, session: SessionId, from: u32, to: Spot) -> Result<(), String> {
        let mut after = before(from);
        loop {
            let found = self.stores.spool.pending_of(session, after, PARTS);
            let between: Vec<_> = found.into_iter().take_while(|p| p.spot < to).collect();
            let Some(last) = between.last() else {
                return Ok(());
            };
            after = Some(last.spot);
            match self.put_files(&between) {
                Put::Done => {}
                Put::Full(why) | Put::Failed(why) => return Err(why),
            }
            let spots: Vec<_> = between.iter().map(|p| (p.session, p.spot)).collect();
            self.stores.spool.forget(&spots);
        }
    }
}
