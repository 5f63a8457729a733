//! One session that is not finished, or not listed yet.

use std::collections::VecDeque;

use hansard_core::event::{Body, Event};
use hansard_core::{Lockable, Session, SessionId};
use hansard_store::catalog::{Cursor, EndFacts, EventRow, Query, SessionRow, StartFacts};
use hansard_store::project::{end_facts, event_row};
use hansard_store::segment::SegmentFacts;
use hansard_view::document::{Counted, Documents, Place};

use super::{LIVE_BYTES_MAX, LIVE_SESSION_BYTES_MAX};
use crate::tee::Source;

/// What a segment adds to its session, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SegmentCounts {
    /// The segment's number.
    pub segment: u32,
    /// Events.
    pub events: u64,
    /// Bytes of streams.
    pub data_bytes: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Gaps.
    pub gaps: u64,
    /// Time of its last event, nanoseconds since the session's start.
    pub last_ns: u64,
    /// Number of the first event after it; `None` until it is sealed.
    pub next_seq: Option<u64>,
}

/// A session as far as it is not listed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRow {
    /// The session.
    pub session: SessionId,
    /// Who offers it.
    pub source: Source,
    /// What its header says.
    pub start: StartFacts,
    /// Segments that the projector has not counted, as far as they have come, in order.
    pub segments: Vec<SegmentCounts>,
    /// How it ended, once it did.
    pub end: Option<EndFacts>,
}

impl LiveRow {
    /// Where it stands in a listing.
    #[must_use]
    pub fn place(&self) -> Cursor {
        Cursor {
            time_ns: self.start.start_utc_ns,
            session: self.session,
            seq: 0,
            ordinal: 0,
        }
    }

    /// The row that this alone makes. Its `counted` is the projector's own, and empty here.
    #[must_use]
    pub fn row(&self) -> SessionRow {
        let mut row = SessionRow {
            session: self.session,
            start: self.start.clone(),
            last_ns: 0,
            end: None,
            segments: 0,
            events: 0,
            data_bytes: 0,
            stored_bytes: 0,
            gaps: 0,
            counted: Counted::default(),
        };
        self.add_to(&mut row);
        row
    }

    /// Adds what a row of the catalog does not count yet.
    pub fn add_to(&self, row: &mut SessionRow) {
        let counted = row.segments;
        let new = self
            .segments
            .iter()
            .filter(|s| u64::from(s.segment) >= counted);
        for counts in new {
            row.segments = row.segments.saturating_add(1);
            row.events = row.events.saturating_add(counts.events);
            row.data_bytes = row.data_bytes.saturating_add(counts.data_bytes);
            row.stored_bytes = row.stored_bytes.saturating_add(counts.stored_bytes);
            row.gaps = row.gaps.saturating_add(counts.gaps);
            row.last_ns = row.last_ns.max(counts.last_ns);
        }
        if row.end.is_none() {
            row.end.clone_from(&self.end);
        }
    }
}

/// How a session stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Who offers it.
    pub source: Source,
    /// What its header says.
    pub start: StartFacts,
    /// When parts last came, on the clock that the registry was given.
    pub touched_ns: u64,
    /// Whether its end was seen.
    pub has_ended: bool,
    /// How many follow it.
    pub followers: usize,
}

/// What is kept of a session.
pub(super) struct LiveSession {
    pub(super) start: Box<StartFacts>,
    /// What locks are held against.
    pub(super) who: Box<Lockable>,
    pub(super) source: Source,
    pub(super) touched_ns: u64,
    /// Segments that the projector has not counted; the last may be open.
    segments: VecDeque<SegmentCounts>,
    /// Rows of their events.
    rows: VecDeque<EventRow>,
    /// What was counted of what its end will say. After a start it is counted from the first segment
    /// that is not archived; the row that the projector makes has all.
    counted: Counted,
    bytes: usize,
    /// Events below this number were dropped, and are not listed yet.
    dropped_below: Option<u64>,
    /// Number of the next event that is new here.
    next_seq: u64,
    end: Option<Box<EndFacts>>,
    /// Its final segment is sealed.
    is_final: bool,
    /// The keeper has read of it; before that it is only known who records it.
    is_told: bool,
}

impl LiveSession {
    pub(super) fn new(start: StartFacts, source: Source, now_ns: u64) -> Self {
        Self {
            start: Box::new(start),
            who: Box::default(),
            source,
            touched_ns: now_ns,
            segments: VecDeque::new(),
            rows: VecDeque::new(),
            counted: Counted::default(),
            bytes: 0,
            dropped_below: None,
            next_seq: 0,
            end: None,
            is_final: false,
            is_told: false,
        }
    }

    /// With what locks are held against.
    pub(super) fn of(mut self, who: Lockable) -> Self {
        *self.who = who;
        self
    }

    /// About how much memory what is kept of its header takes. Never changes.
    pub(super) fn header_bytes(&self) -> usize {
        let StartFacts {
            kind,
            user,
            login,
            host,
            title,
            labels,
            ..
        } = &*self.start;
        let texts = [kind, user, login, host, title].into_iter().chain(labels);
        let texts = texts.map(|text| text.len().saturating_add(std::mem::size_of::<String>()));
        let own = self.who.memory_bytes();
        texts.fold(own, usize::saturating_add)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether its end was seen.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    pub(super) fn is_told(&self) -> bool {
        self.is_told
    }

    pub(super) fn has_dropped(&self) -> bool {
        self.dropped_below.is_some()
    }

    /// Whether nothing of it waits to be listed.
    pub(super) fn has_nothing(&self) -> bool {
        self.segments.is_empty() && self.rows.is_empty()
    }

    /// Whether it is finished and listed.
    pub(super) fn is_over(&self) -> bool {
        self.is_final && self.has_nothing()
    }

    pub(super) fn key_is_known(&self) -> bool {
        self.start.recorder_key != [0; 32]
    }

    pub(super) fn standing(&self, followers: usize) -> Standing {
        Standing {
            source: self.source.clone(),
            start: (*self.start).clone(),
            touched_ns: self.touched_ns,
            has_ended: self.end.is_some(),
            followers,
        }
    }

    /// What must be known to read on.
    pub(super) fn so_far(&self) -> (u64, Counted) {
        (self.next_seq, self.counted.clone())
    }

    /// Takes what a frame's events came to.
    pub(super) fn told(&mut self, frame: Frame, all_bytes: &mut usize) {
        self.is_told = true;
        let number = frame.counts.segment;
        if self
            .segments
            .back()
            .is_none_or(|counts| counts.segment < number)
        {
            self.segments.push_back(SegmentCounts {
                segment: number,
                ..SegmentCounts::default()
            });
        }
        if frame.counts.events == 0 {
            return;
        }
        if let Some(counts) = self.segments.back_mut() {
            counts.add(&frame.counts);
        }
        self.next_seq = frame.next_seq;
        self.counted = frame.counted;
        if frame.end.is_some() {
            self.end = frame.end.map(Box::new);
        }
        for row in frame.rows {
            self.keep(row, all_bytes);
        }
    }

    /// Keeps a row, at the cost of older ones of this session.
    fn keep(&mut self, row: EventRow, all_bytes: &mut usize) {
        let bytes = size_of(&row);
        while self.bytes.saturating_add(bytes) > LIVE_SESSION_BYTES_MAX
            || all_bytes.saturating_add(bytes) > LIVE_BYTES_MAX
        {
            let Some(oldest) = self.rows.pop_front() else {
                self.dropped_below = Some(row.seq.saturating_add(1));
                return;
            };
            self.dropped_below = Some(oldest.seq.saturating_add(1));
            self.release(&oldest, all_bytes);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        *all_bytes = all_bytes.saturating_add(bytes);
        self.rows.push_back(row);
    }

    fn release(&mut self, row: &EventRow, all_bytes: &mut usize) {
        let bytes = size_of(row);
        self.bytes = self.bytes.saturating_sub(bytes);
        *all_bytes = all_bytes.saturating_sub(bytes);
    }

    pub(super) fn sealed(&mut self, facts: &SegmentFacts, seal_bytes: u64) {
        if let Some(counts) = self.segments.back_mut()
            && counts.segment == facts.number
        {
            counts.next_seq = Some(facts.next_seq);
            counts.stored_bytes = counts.stored_bytes.saturating_add(seal_bytes);
        }
        self.is_final |= facts.is_final;
    }

    /// The catalog has everything up to the end of this segment.
    pub(super) fn projected(&mut self, segment: u32, all_bytes: &mut usize) {
        let mut listed_below = 0;
        while let Some(counts) = self.segments.front() {
            match counts.next_seq {
                Some(next_seq) if counts.segment <= segment => listed_below = next_seq,
                _ => break,
            }
            self.segments.pop_front();
        }
        while self.rows.front().is_some_and(|row| row.seq < listed_below) {
            if let Some(row) = self.rows.pop_front() {
                self.release(&row, all_bytes);
            }
        }
        if self
            .dropped_below
            .is_some_and(|below| below <= listed_below)
        {
            self.dropped_below = None;
        }
        // An idle session keeps no room for what it once had.
        if self.rows.is_empty() {
            self.rows = VecDeque::new();
        }
        if self.segments.is_empty() {
            self.segments = VecDeque::new();
        }
    }

    pub(super) fn row(&self, session: SessionId) -> LiveRow {
        LiveRow {
            session,
            source: self.source.clone(),
            start: (*self.start).clone(),
            segments: self.segments.iter().cloned().collect(),
            end: self.end.as_deref().cloned(),
        }
    }

    /// Adds the rows of its events that the query wants.
    pub(super) fn event_rows(&self, query: &Query, rows: &mut Vec<EventRow>) {
        let most = query.rows_max().saturating_add(1);
        let wanted = |row: &&EventRow| query.admits_event(row);
        let found = self.rows.iter();
        match query.newest_first {
            true => rows.extend(found.rev().filter(wanted).take(most).cloned()),
            false => rows.extend(found.filter(wanted).take(most).cloned()),
        }
    }
}

/// What a frame's events come to. Made without holding anybody up.
pub(super) struct Frame {
    counts: SegmentCounts,
    rows: Vec<EventRow>,
    counted: Counted,
    next_seq: u64,
    end: Option<EndFacts>,
}

impl Frame {
    /// Reads a frame's events; those that were told before are left out.
    pub(super) fn of(
        header: &Session,
        (segment, stored_bytes): (u32, u64),
        events: &[Event],
        (next_seq, counted): (u64, Counted),
    ) -> Self {
        let mut documents = Documents::resume(Place::default(), header, counted);
        let mut counts = SegmentCounts {
            segment,
            ..SegmentCounts::default()
        };
        let (mut rows, mut end) = (Vec::new(), None);
        let new = events.iter().filter(|event| event.seq >= next_seq);
        for event in new {
            counts.events = counts.events.saturating_add(1);
            counts.stored_bytes = stored_bytes;
            counts.last_ns = event.at_ns;
            match &event.body {
                Body::Data { bytes, .. } => {
                    counts.data_bytes = counts.data_bytes.saturating_add(bytes.len() as u64);
                }
                Body::Gap(_) => counts.gaps = counts.gaps.saturating_add(1),
                Body::End(said) => end = Some(end_facts(said)),
                _ => {}
            }
            let made = documents.turn(event).into_iter();
            rows.extend(made.map(|document| event_row(header.id, document)));
        }
        Self {
            counts,
            rows,
            counted: documents.into_counted(),
            next_seq: events
                .last()
                .map_or(next_seq, |event| next_seq.max(event.seq.saturating_add(1))),
            end,
        }
    }
}

impl SegmentCounts {
    fn add(&mut self, frame: &Self) {
        self.events = self.events.saturating_add(frame.events);
        self.data_bytes = self.data_bytes.saturating_add(frame.data_bytes);
        self.stored_bytes = self.stored_bytes.saturating_add(frame.stored_bytes);
        self.gaps = self.gaps.saturating_add(frame.gaps);
        self.last_ns = frame.last_ns;
    }
}

/// Room that a row takes besides its texts.
const ROW_BYTES: usize = 240;

/// About how much memory a row takes.
fn size_of(row: &EventRow) -> usize {
    ROW_BYTES + row.name.len() + row.user.len() + row.host.len() + row.kind.len() + row.facts.len()
}
