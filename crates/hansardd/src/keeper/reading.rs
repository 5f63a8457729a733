//! Reading on in the spool: each part once, its events to the taps and to the live rows.

use std::io;
use std::sync::Arc;

use hansard_core::event::{Body, Event};
use hansard_core::frame::{Part, Place};
use hansard_core::{Session, SessionId};
use hansard_record::order::Spot;
use hansard_record::spool::Pending;
use hansard_store::chain::{Tip, Turn, turn};
use hansard_store::segment::Unfit;
use hansard_store::{Alarm, GrowingSegment, SealedSegment};

use super::repeats::REPEATS_MAX;
use super::work::{Stands, State, Work, before, opening};
use super::{Keeper, Matter, READY_MAX, Raised, Told};
use crate::tee::Source;

/// Parts that are looked at in one step.
const BATCH_PARTS: usize = 256;

/// Events that wait for a tap.
pub(super) struct Held {
    session: SessionId,
    segment: u32,
    stored_bytes: u64,
    header: Option<Arc<Session>>,
    source: Source,
    events: Vec<Event>,
}

/// Why reading stops for now: it is tried again after a pause.
pub(super) struct Pause(pub(super) String);

impl Keeper {
    /// Looks at the next parts. Answers whether there were any.
    pub(super) fn read_on(&mut self, now_ns: u64) -> bool {
        let is_full = self.ready.is_full()
            || self.repeats_len >= REPEATS_MAX
            || self.unforgotten.len() >= READY_MAX;
        if is_full || !self.reading.may_try(now_ns) {
            return false;
        }
        match self.read_batch() {
            Ok(took) => {
                self.reading.succeeded();
                took
            }
            Err(Pause(why)) => {
                self.reading.failed(now_ns);
                self.figures.trouble = Some(why);
                false
            }
        }
    }

    fn read_batch(&mut self) -> Result<bool, Pause> {
        self.tell_held()?;
        self.note_beginnings();
        self.read_filled()?;
        let arrived = self.live.arrived_so_far();
        let batch = self.stores.spool.pending(self.after.as_ref(), BATCH_PARTS);
        self.learn(&batch)?;
        for pending in &batch {
            if !self.sessions.contains_key(&pending.session) {
                return Err(Pause("the catalog does not answer".to_owned()));
            }
            self.look_at(pending)?;
            self.after = Some(*pending);
            self.tell_held()?;
            self.read_filled()?;
        }
        if batch.len() < BATCH_PARTS {
            self.live.read_up_to(arrived);
        }
        Ok(!batch.is_empty())
    }

    /// Does with a part what is to be done with it.
    fn look_at(&mut self, pending: &Pending) -> Result<(), Pause> {
        let Some(work) = self.sessions.get_mut(&pending.session) else {
            return Ok(());
        };
        match work.stands(pending.spot) {
            Stands::Next => self.read_next(pending),
            Stands::Repeat => {
                let segment = (pending.session, pending.spot.segment);
                self.repeats.entry(segment).or_default().push(*pending);
                self.repeats_len = self.repeats_len.saturating_add(1);
                Ok(())
            }
            Stands::Aside => {
                self.condemn_further(pending.session, pending.spot.segment);
                Ok(())
            }
            Stands::TooEarly => {
                self.too_early(pending.session, pending.spot);
                Ok(())
            }
            Stands::Done | Stands::Lame => Ok(()),
        }
    }

    /// A part whose predecessor is not there. A hole is waited for, unless its sender has nothing
    /// before this part: then what follows is read on.
    fn too_early(&mut self, session: SessionId, spot: Spot) {
        if !self.goes_on_behind(session, spot) {
            self.note_hole(session, spot);
        }
    }

    fn note_hole(&mut self, session: SessionId, spot: Spot) {
        let Some(work) = self.sessions.get_mut(&session) else {
            return;
        };
        if work.state != State::Fine {
            return;
        }
        work.state = State::Holed;
        self.figures.sessions_holed = self.figures.sessions_holed.saturating_add(1);
        let what = format!(
            "{spot} is in the spool, but {} is not; it waits until its sender offers that again",
            work.expect
        );
        self.raise(&Raised {
            matter: Matter::Hole,
            session: Some(session),
            segment: Some(spot.segment),
            what,
            kept: None,
        });
    }

    /// Reads on in sessions that had a hole: the parts behind it were put before what fills it.
    fn read_filled(&mut self) -> Result<(), Pause> {
        while let Some(session) = self.filled.front().copied() {
            let read_last = |work: &Work| match (work.expect.segment, work.expect.place) {
                (segment, Place::Frame(index)) if index > 0 => Some(Spot {
                    segment,
                    place: Place::Frame(index - 1),
                }),
                (segment, _) => before(segment),
            };
            let Some(work) = self.sessions.get(&session) else {
                self.filled.pop_front();
                continue;
            };
            let next = self.stores.spool.pending_of(session, read_last(work), 1);
            match next.first() {
                Some(pending) if work.stands(pending.spot) == Stands::Next => {
                    let pending = *pending;
                    self.read_next(&pending)?;
                    self.tell_held()?;
                }
                still => {
                    let holed = still.map(|pending| pending.spot);
                    self.filled.pop_front();
                    if let Some(spot) = holed {
                        self.too_early(session, spot);
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads the part that comes next in its session.
    fn read_next(&mut self, pending: &Pending) -> Result<(), Pause> {
        let Some(part) = self.fetch(pending)? else {
            return Ok(());
        };
        self.figures.parts = self.figures.parts.saturating_add(1);
        let outcome = match pending.spot.place {
            Place::Frame(0) => self.open_segment(&part),
            _ => match self.growing_at(pending) {
                Ok(Some(segment)) => self.grow(&part, segment).map_err(GrowError::Unfit),
                Ok(None) => Ok(()),
                Err(e) => Err(e),
            },
        };
        let (session, segment) = (pending.session, pending.spot.segment);
        match outcome {
            Ok(()) => {}
            Err(GrowError::Pause(pause)) => return Err(pause),
            Err(GrowError::Unfit(Unfit::Malformed(why))) => {
                self.condemn(session, segment, Matter::Unsound, &why);
            }
            Err(GrowError::Unfit(Unfit::Alarm(Alarm { kind, what, .. }))) => {
                self.condemn(session, segment, Matter::Chain(kind), &what);
            }
        }
        Ok(())
    }

    /// A part's bytes. `None` where it was forgotten meanwhile, or cannot be read in this life.
    fn fetch(&mut self, pending: &Pending) -> Result<Option<Part>, Pause> {
        match self.stores.spool.read(pending) {
            Ok(part) => Ok(Some(part)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                self.lame(pending, &e);
                Ok(None)
            }
            Err(e) => Err(Pause(format!("the spool: {e}"))),
        }
    }

    /// A part that was durable cannot be read. Its session goes no further in this life.
    pub(super) fn lame(&mut self, pending: &Pending, error: &io::Error) {
        let Some(work) = self.sessions.get_mut(&pending.session) else {
            return;
        };
        if work.state == State::Lame {
            return;
        }
        work.state = State::Lame;
        self.growing.take(pending.session);
        self.raise(&Raised {
            matter: Matter::SpoolDamaged,
            session: Some(pending.session),
            segment: Some(pending.spot.segment),
            what: format!(
                "{}: {error}; nothing more of it is archived until a restart, when its sender offers again what it still has",
                pending.spot
            ),
            kept: None,
        });
    }

    fn open_segment(&mut self, part: &Part) -> Result<(), GrowError> {
        let (segment, events) = GrowingSegment::open(part).map_err(GrowError::Unfit)?;
        if let Some(work) = self.sessions.get(&part.session()) {
            work.check_opening(segment.header())
                .map_err(|alarm| GrowError::Unfit(Unfit::Alarm(alarm)))?;
        }
        self.grown(part, segment, events);
        Ok(())
    }

    /// The segment up to the part before this one: remembered, or read again from the spool.
    fn growing_at(&mut self, pending: &Pending) -> Result<Option<GrowingSegment>, GrowError> {
        if let Some(segment) = self.growing.take(pending.session) {
            return Ok(Some(segment));
        }
        self.figures.rereads = self.figures.rereads.saturating_add(1);
        let number = pending.spot.segment;
        let mut segment: Option<GrowingSegment> = None;
        let mut after = before(number);
        loop {
            let spool = &self.stores.spool;
            let batch = spool.pending_of(pending.session, after, BATCH_PARTS);
            let earlier = batch.iter().take_while(|p| p.spot < pending.spot);
            let earlier: Vec<Pending> = earlier.copied().collect();
            let Some(last) = earlier.last() else {
                return Ok(segment);
            };
            after = Some(last.spot);
            for pending in &earlier {
                let Some(part) = self.fetch(pending).map_err(GrowError::Pause)? else {
                    return Ok(None);
                };
                match &mut segment {
                    Some(segment) => {
                        segment.frame(&part).map_err(GrowError::Unfit)?;
                    }
                    None => {
                        segment = Some(GrowingSegment::open(&part).map_err(GrowError::Unfit)?.0);
                    }
                }
            }
        }
    }

    fn grow(&mut self, part: &Part, mut segment: GrowingSegment) -> Result<(), Unfit> {
        let Part::Seal(seal) = part else {
            let events = segment.frame(part)?;
            self.grown(part, segment, events);
            return Ok(());
        };
        let stated = seal.statement().map_err(|why| Unfit::Malformed(why.0))?;
        if stated.frames > segment.frames() {
            // Frames before the seal are missing, and may come again.
            let spot = Spot::of(part);
            let bytes_max = self.growing_bytes_max;
            self.growing.put(part.session(), segment, bytes_max);
            self.note_hole(part.session(), spot);
            return Ok(());
        }
        self.sealed(segment.seal(part)?, part)
    }

    /// A frame was read: its events are to be told.
    fn grown(&mut self, part: &Part, segment: GrowingSegment, events: Vec<Event>) {
        let session = part.session();
        if let Some(Body::Start(start)) = events.first().map(|event| &event.body) {
            let header = Some(Arc::new((**start).clone()));
            self.headers.put(session, header);
            if let Some(source) = (self.hooks.source_of)(start)
                && let Some(work) = self.sessions.get_mut(&session)
            {
                work.source = source;
            }
        }
        let index = segment.frames();
        let bytes_max = self.growing_bytes_max;
        self.growing.put(session, segment, bytes_max);
        let mut source = Source::default();
        if let Some(work) = self.sessions.get_mut(&session) {
            work.expect = Spot {
                segment: part.segment(),
                place: Place::Frame(index),
            };
            source = work.source.clone();
            if work.state == State::Holed {
                work.state = State::Fine;
                self.filled.push_back(session);
            }
        }
        self.held = Some(Held {
            session,
            segment: part.segment(),
            stored_bytes: part.bytes().len() as u64,
            header: None,
            source,
            events,
        });
    }

    /// Whose events wait for a tap.
    pub(super) fn held_session(&self) -> Option<SessionId> {
        self.held.as_ref().map(|held| held.session)
    }

    /// Tells what was read last, if it was not told yet.
    fn tell_held(&mut self) -> Result<(), Pause> {
        let Some(mut held) = self.held.take() else {
            return Ok(());
        };
        let told = self.tell(&mut held);
        if told.is_err() {
            self.held = Some(held);
            return told;
        }
        self.figures.events = self.figures.events.saturating_add(held.events.len() as u64);
        for event in &held.events {
            if let Body::Data { bytes, .. } = &event.body {
                self.figures.data_bytes =
                    self.figures.data_bytes.saturating_add(bytes.len() as u64);
            }
        }
        let place = (held.segment, held.stored_bytes);
        let header = held.header.as_deref();
        self.live
            .told(held.session, header, &held.source, place, &held.events);
        Ok(())
    }

    fn tell(&mut self, held: &mut Held) -> Result<(), Pause> {
        if held.header.is_none() {
            held.header = self.header_of(held.session)?;
        }
        let told = Told {
            session: held.session,
            header: held.header.as_deref(),
            source: &held.source,
            segment: held.segment,
        };
        for tap in &mut self.taps {
            tap.events(&told, &held.events)
                .map_err(|why| Pause(why.to_string()))?;
        }
        Ok(())
    }

    /// A segment is whole: it waits for the archive from now on.
    fn sealed(&mut self, segment: SealedSegment, part: &Part) -> Result<(), Unfit> {
        let facts = segment.facts();
        let Some(work) = self.sessions.get_mut(&facts.session) else {
            return Ok(());
        };
        if let Turn::Wrong(alarm) = turn(work.tip.as_ref(), facts) {
            return Err(Unfit::Alarm(alarm));
        }
        let tip = Tip::from(facts);
        work.tip = Some(tip);
        work.expect = opening(facts.number.saturating_add(1));
        work.unsettled = work.unsettled.saturating_add(1);
        if work.state == State::Holed {
            work.state = State::Fine;
            self.filled.push_back(facts.session);
        }
        let now_ns = self.clock.monotonic_ns();
        let id = (facts.session, facts.number);
        self.unsettled.insert(id, (tip, now_ns));
        self.sealed.push_back((now_ns, id));
        self.live.sealed(facts, part.bytes().len() as u64);
        self.ready.push(segment, now_ns);
        Ok(())
    }
}

/// Why a segment could not be gone on with.
enum GrowError {
    Pause(Pause),
    Unfit(Unfit),
}
