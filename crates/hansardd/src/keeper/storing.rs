//! Into the archive, and out of the spool.

use std::io;

use hansard_core::{Class, Receipt, SessionId};
use hansard_record::spool::Pending;
use hansard_store::archive::{Flushed, SegmentId, Settled};
use hansard_store::segment::Unfit;
use hansard_store::{Alarm, ArchiveError, SealedSegment};

use super::ready::Ready;
use super::work::{before, receipt};
use super::{Keeper, Matter};

/// Parts that are asked from the spool at once.
const PARTS: usize = 1024;

impl Keeper {
    /// Gives segments to the archive that are sealed.
    pub(super) fn offer(&mut self, now_ns: u64) {
        if self.ready.is_empty() || !self.storing.may_try(now_ns) {
            return;
        }
        for tap in &mut self.taps {
            if let Err(why) = tap.sync() {
                // Nothing is archived that a tap could lose.
                self.figures.trouble = Some(why.to_string());
                self.storing.failed(now_ns);
                return;
            }
        }
        let mut segments = Vec::new();
        let mut waiting = self.ready.take_offer().into_iter();
        while let Some(ready) = waiting.next() {
            let id = ready.id();
            match self.whole(ready) {
                Ok(Some(segment)) => segments.push(segment),
                Ok(None) => {}
                Err(why) => {
                    let mut back = vec![Ready::Later(id)];
                    back.extend(waiting);
                    self.ready.put_back(back);
                    self.figures.trouble = Some(why);
                    self.storing.failed(now_ns);
                    break;
                }
            }
        }
        if segments.is_empty() {
            return;
        }
        self.put(segments, now_ns);
    }

    /// A segment's bytes, read again from the spool if need be. `None` where it is none any more:
    /// its session is put aside.
    fn whole(&mut self, ready: Ready) -> Result<Option<SealedSegment>, String> {
        let (session, number) = match ready {
            Ready::Whole(segment) => return Ok(Some(segment)),
            Ready::Later(id) => id,
        };
        let mut parts = Vec::new();
        for pending in self.parts_of((session, number)) {
            match self.stores.spool.read(&pending) {
                Ok(part) => parts.push(part),
                Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                    self.unsettled.remove(&(session, number));
                    self.lame(&pending, &e);
                    return Ok(None);
                }
                Err(e) => return Err(format!("the spool: {e}")),
            }
        }
        match SealedSegment::from_parts(&parts) {
            Ok(segment) => Ok(Some(segment)),
            Err(Unfit::Malformed(why)) => {
                self.condemn(session, number, Matter::Unsound, &why);
                Ok(None)
            }
            Err(Unfit::Alarm(Alarm { kind, what, .. })) => {
                self.condemn(session, number, Matter::Chain(kind), &what);
                Ok(None)
            }
        }
    }

    fn put(&mut self, mut segments: Vec<SealedSegment>, now_ns: u64) {
        for segment in &mut segments {
            let (session, number) = (segment.facts().session, segment.facts().number);
            let work = self.sessions.get(&session);
            if work.is_some_and(|work| work.lost_before == Some(number)) {
                segment.set_after_loss();
            }
        }
        let put = self.stores.archive.put(&segments, now_ns);
        let settled: Vec<SegmentId> = put.flushed.settled.iter().map(|s| s.segment).collect();
        let (mut taken, mut again) = (0usize, Vec::new());
        let mut trouble = None;
        for (segment, receipt) in segments.into_iter().zip(put.receipts) {
            let id = (segment.facts().session, segment.facts().number);
            match receipt {
                Ok(Receipt { class: Class::S }) if !settled.contains(&id) => {
                    // It was archived before we knew; so its rows are, or will be, without us.
                    taken = taken.saturating_add(1);
                    self.live.projected(id.0, id.1);
                    self.archived(id);
                }
                Ok(_) => taken = taken.saturating_add(1),
                Err(ArchiveError::Retry(why)) => {
                    trouble = Some(why);
                    again.push(Ready::Whole(segment));
                }
                Err(ArchiveError::Refused(why)) => {
                    self.condemn(id.0, id.1, Matter::Unsound, &why);
                }
                Err(ArchiveError::Conflict(alarm)) => self.conflict(id, &alarm),
            }
        }
        // What was condemned meanwhile goes no further.
        again.retain(|ready| self.unsettled.contains_key(&ready.id()));
        if taken == 0 {
            self.ready.put_back(again);
        } else {
            // Others go on meanwhile; those of one session stay in their order, because all that
            // follow one that waits must wait, too.
            again.into_iter().for_each(|ready| self.ready.put(ready));
        }
        let failed = trouble.is_some() && taken == 0;
        self.settle(put.flushed, now_ns);
        if failed {
            self.figures.trouble = trouble;
            self.storing.failed(now_ns);
        }
    }

    fn conflict(&mut self, id: SegmentId, alarm: &Alarm) {
        self.unsettled.remove(&id);
        self.condemn(id.0, id.1, Matter::Chain(alarm.kind), &alarm.what);
    }

    /// Writes packs that are due, or that could not be written before.
    pub(super) fn write_packs(&mut self, now_ns: u64) {
        let archive = &self.stores.archive;
        let is_due = archive.due_ns().is_some_and(|due_ns| now_ns >= due_ns);
        let again = self.storing.is_failing() && archive.waits().1 > 0;
        if (is_due || again) && self.storing.may_try(now_ns) {
            let flushed = archive.tick(now_ns);
            self.settle(flushed, now_ns);
        }
    }

    /// What the archive has done with its packs.
    pub(super) fn settle(&mut self, flushed: Flushed, now_ns: u64) {
        let Flushed { settled, trouble } = flushed;
        let rings = !settled.is_empty();
        for Settled { segment, outcome } in settled {
            match outcome {
                Ok(()) => self.archived(segment),
                Err(alarm) => self.conflict(segment, &alarm),
            }
        }
        if rings {
            self.settled_bell.ring();
        }
        let Some(error) = trouble else {
            self.storing.succeeded();
            if !self.reading.is_failing() {
                self.figures.trouble = None;
            }
            return;
        };
        self.storing.failed(now_ns);
        self.figures.trouble = Some(error.to_string());
        // The archive says "retry" of a damaged catalog as well; whoever mends it must hear it.
        if let Err(e) = self.stores.catalog.unprojected(1) {
            self.note_damage(&e);
        }
    }

    fn archived(&mut self, segment: SegmentId) {
        let tip = self.unsettled.remove(&segment).map(|(tip, _)| tip);
        if let Some(work) = self.sessions.get_mut(&segment.0) {
            work.unsettled = work.unsettled.saturating_sub(1);
        }
        self.losses.archived(segment);
        self.figures.segments = self.figures.segments.saturating_add(1);
        (self.hooks.settled)(receipt(segment, tip.as_ref()));
        self.live.ring(segment.0);
        self.unforgotten.push_back((segment, tip));
    }

    /// Takes out of the spool what is archived.
    pub(super) fn forget_settled(&mut self, now_ns: u64) {
        if !self.forgetting.may_try(now_ns) {
            return;
        }
        self.forgetting.succeeded();
        let mut spots = Vec::new();
        while let Some((segment, tip)) = self.unforgotten.pop_front() {
            let is_final = tip.is_some_and(|tip| tip.is_final);
            if let Some(tip) = tip
                && let Err(why) = (self.hooks.before_forget)(segment.0, &tip)
            {
                self.unforgotten.push_front((segment, Some(tip)));
                self.figures.trouble = Some(why);
                self.forgetting.failed(now_ns);
                break;
            }
            let parts = self.parts_of(segment);
            spots.extend(parts.iter().map(|p| (p.session, p.spot)));
            if is_final {
                self.headers.remove(segment.0);
                if self
                    .sessions
                    .get(&segment.0)
                    .is_some_and(super::work::Work::is_idle)
                {
                    self.sessions.remove(&segment.0);
                }
            }
        }
        // A crash before this, or a loss of power shortly after, leaves parts that are archived: they
        // are compared with the archive at the next start.
        self.stores.spool.forget(&spots);
    }

    /// The parts of a segment that are in the spool, in order.
    fn parts_of(&self, (session, number): SegmentId) -> Vec<Pending> {
        let mut after = before(number);
        let mut all = Vec::new();
        loop {
            let batch = self.stores.spool.pending_of(session, after, PARTS);
            let of_it = batch.iter().filter(|p| p.spot.segment == number);
            let had = all.len();
            all.extend(of_it.copied());
            match batch.last() {
                Some(last) if all.len() - had == PARTS => after = Some(last.spot),
                _ => return all,
            }
        }
    }

    /// Numbers of a session's segments that are on their way into the archive, in order.
    pub(super) fn given(&self, session: SessionId) -> Vec<u32> {
        let of_it = (session, 0)..=(session, u32::MAX);
        let numbers = self.unsettled.range(of_it).map(|((_, number), _)| *number);
        numbers.collect()
    }
}
