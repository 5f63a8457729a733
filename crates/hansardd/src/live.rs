//! What is known of sessions before the catalog knows it: who records, what has been counted since,
//! the events that are not listed yet, and who looks on.
//!
//! All of it is memory and may be lost: the keeper tells it again from the spool after a start.
//!
//! - [`listing`]: pages of the catalog and of this, merged; `session`: one session;
//!   `watching`: who follows which; `reading`: how far the keeper has come

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hansard_core::frame::{Part, Place};
use hansard_core::{Event, Lockable, Session, SessionId};
use hansard_record::clock::Clock;
use hansard_record::order::Spot;
use hansard_store::catalog::{CatalogError, EventRow, Query, StartFacts};
use hansard_store::project::{start_facts, unknown_header};
use hansard_store::segment::SegmentFacts;
use hansard_view::document::Counted;

use crate::bell::Bell;
use crate::tee::{Source, header_of};

pub mod listing;
mod reading;
mod session;
mod watching;

pub use reading::READ_WITHIN;
use reading::Reading;
use session::{Frame, LiveSession};
pub use session::{LiveRow, SegmentCounts, Standing};
use watching::Watchers;
pub use watching::{Control, FOLLOWERS_MAX, Watching};

/// Sessions that are known here; beyond them the eighth that was silent for longest is forgotten,
/// which costs only that it is listed late.
pub const LIVE_SESSIONS_MAX: usize = 65_536;

/// Bytes of one session's events that are not listed yet; beyond them its oldest are dropped, and
/// listings say that they are not complete.
pub const LIVE_SESSION_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of all such events together; beyond them the same happens to the session that comes next.
pub const LIVE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Memory of what the headers of those sessions say, bytes; beyond them the same happens as beyond
/// [`LIVE_SESSIONS_MAX`].
pub const LIVE_HEADERS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The registry. Clones are the same registry.
#[derive(Clone)]
pub struct Live(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    /// Rung when parts have come.
    keeper: Bell,
    registry: Mutex<Registry>,
    reading: Reading,
    watchers: Watchers,
    /// Whether any session is refused, so that nobody asks for nothing.
    refuses_any: AtomicBool,
    /// See [`Live::begins_at`].
    beginnings: Mutex<HashMap<SessionId, Spot>>,
}

#[derive(Default)]
struct Registry {
    sessions: HashMap<SessionId, LiveSession>,
    /// Bytes of events that are kept.
    bytes: usize,
    /// Memory of what is kept of headers.
    headers_bytes: usize,
    refused: HashMap<SessionId, String>,
    /// Events of sessions were dropped that are not known here any more.
    forgot: bool,
}

impl Live {
    /// An empty registry. `control` is told when a session gets its first follower (`true`) and
    /// when it loses its last (`false`).
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, control: Control) -> Self {
        Self(Arc::new(Shared {
            clock,
            keeper: Bell::default(),
            registry: Mutex::default(),
            reading: Reading::default(),
            watchers: Watchers::new(control),
            refuses_any: AtomicBool::new(false),
            beginnings: Mutex::default(),
        }))
    }

    /// Rung whenever parts have become durable.
    #[must_use]
    pub fn bell(&self) -> &Bell {
        &self.0.keeper
    }

    /// Why none of these parts must be taken, if so.
    pub(crate) fn refuses(&self, parts: &[Part]) -> Option<String> {
        if !self.0.refuses_any.load(Ordering::Acquire) {
            return None;
        }
        let registry = self.registry();
        let mut found = parts
            .iter()
            .map(|part| registry.refused.get(&part.session()));
        found.find_map(|why| why.cloned())
    }

    /// From now on parts of this session are refused at the door.
    pub(crate) fn refuse(&self, session: SessionId, why: String) {
        let mut registry = self.registry();
        if registry.refused.len() < LIVE_SESSIONS_MAX {
            registry.refused.insert(session, why);
        }
        self.0.refuses_any.store(true, Ordering::Release);
    }

    /// Who sends a session has nothing of it before this part, though that is not archived. Beyond
    /// [`LIVE_SESSIONS_MAX`] of them it is not noted: the next connection says it again.
    pub fn begins_at(&self, session: SessionId, spot: Spot) {
        let mut beginnings = self.beginnings();
        if beginnings.len() < LIVE_SESSIONS_MAX {
            beginnings.insert(session, spot);
        }
    }

    /// What was said so since this was asked last.
    pub(crate) fn take_beginnings(&self) -> HashMap<SessionId, Spot> {
        std::mem::take(&mut *self.beginnings())
    }

    fn beginnings(&self) -> MutexGuard<'_, HashMap<SessionId, Spot>> {
        let beginnings = self.0.beginnings.lock();
        beginnings.unwrap_or_else(PoisonError::into_inner)
    }

    /// Parts have become durable.
    pub(crate) fn arrived(&self, parts: &[Part], source: &Source) {
        let now_ns = self.0.clock.monotonic_ns();
        let mut registry = self.registry();
        for part in parts {
            if let Some(known) = registry.sessions.get_mut(&part.session()) {
                known.touched_ns = now_ns;
            } else if (part.segment(), part.place()) == (0, Place::Frame(0)) {
                // Its key is known from now on, so the host it comes from may go on with it.
                if let Some(header) = header_of(part) {
                    registry.begin(&header, source.clone(), now_ns);
                }
            }
        }
        drop(registry);
        let mut last = None;
        for session in parts.iter().map(Part::session) {
            if last.replace(session) != Some(session) {
                self.0.watchers.ring(session);
            }
        }
        self.0.reading.arrived();
        self.0.keeper.ring();
    }

    /// A keeper begins: what is durable already is to be read by it.
    pub(crate) fn begins_reading(&self) {
        self.0.reading.arrived();
    }

    /// How much has arrived, to be said again to [`Live::read_up_to`] when all of it is read.
    pub(crate) fn arrived_so_far(&self) -> u64 {
        self.0.reading.so_far()
    }

    /// The keeper has read everything that was durable then.
    pub(crate) fn read_up_to(&self, count: u64) {
        self.0.reading.read_up_to(count);
    }

    /// Waits until the keeper has read what is durable now, so that it is listed; `false` if that
    /// took longer: the keeper has much to do, or is held up.
    #[must_use]
    pub fn is_read(&self, within: Duration) -> bool {
        self.0.reading.wait(within)
    }

    /// The keeper, and nobody else, has read events of a session, in order; each is told once, with
    /// the segment and the stored bytes of their frame. `header` is `None`
    /// where the archive has lost it.
    pub(crate) fn told(
        &self,
        session: SessionId,
        header: Option<&Session>,
        source: &Source,
        place: (u32, u64),
        events: &[Event],
    ) {
        let so_far = self.so_far(session, header, source);
        let unknown;
        let header = match header {
            Some(header) => header,
            None => {
                unknown = unknown_header(session);
                &unknown
            }
        };
        // Meanwhile whoever puts parts goes on.
        let frame = Frame::of(header, place, events, so_far);
        let mut registry = self.registry();
        let Registry {
            sessions, bytes, ..
        } = &mut *registry;
        // One that was forgotten meanwhile is listed late.
        if let Some(known) = sessions.get_mut(&session) {
            known.told(frame, bytes);
        }
    }

    /// What is known of a session that is read on; it is known here from now on.
    fn so_far(
        &self,
        session: SessionId,
        header: Option<&Session>,
        source: &Source,
    ) -> (u64, Counted) {
        let now_ns = self.0.clock.monotonic_ns();
        let mut registry = self.registry();
        if let Some(known) = registry.sessions.get(&session) {
            return known.so_far();
        }
        match header {
            Some(header) => registry.begin(header, source.clone(), now_ns),
            None => registry.begin_as(
                session,
                StartFacts::unknown(session),
                source.clone(),
                now_ns,
            ),
        }
        (0, Counted::default())
    }

    /// A segment is sealed: which events it ends before.
    pub(crate) fn sealed(&self, facts: &SegmentFacts, seal_bytes: u64) {
        if let Some(known) = self.registry().sessions.get_mut(&facts.session) {
            known.sealed(facts, seal_bytes);
        }
    }

    /// The projector has counted a segment (or put it aside): its events are in the catalog now. To
    /// be called by whoever runs the projector, for each of [`hansard_store::project::Projector::done`].
    pub fn projected(&self, session: SessionId, segment: u32) {
        let mut registry = self.registry();
        let Registry {
            sessions, bytes, ..
        } = &mut *registry;
        let Some(known) = sessions.get_mut(&session) else {
            return;
        };
        known.projected(segment, bytes);
        if known.is_over() {
            registry.remove(session);
        }
    }

    /// A session of which everything is archived was offered again.
    pub(crate) fn is_over(&self, session: SessionId) {
        let mut registry = self.registry();
        if registry
            .sessions
            .get(&session)
            .is_some_and(|known| known.has_nothing())
        {
            registry.remove(session);
        }
    }

    /// Something happened to a session that those who follow it must look at: it was archived or
    /// put aside.
    pub(crate) fn ring(&self, session: SessionId) {
        self.0.watchers.ring(session);
    }

    /// A session's parts are put aside: it is not followed any more, and its events that were never
    /// archived are not listed.
    pub(crate) fn set_aside(&self, session: SessionId, why: &str) {
        let mut registry = self.registry();
        registry.remove(session);
        drop(registry);
        self.0.watchers.set_aside(session, why);
    }

    /// Begins to look on. The first one that does so makes the recorder close frames after 100 ms.
    /// `None` when as many do as may ([`FOLLOWERS_MAX`]).
    #[must_use]
    pub fn watch(&self, session: SessionId) -> Option<Watching> {
        Watching::new(self.clone(), session)
    }

    fn watchers(&self) -> &Watchers {
        &self.0.watchers
    }

    /// What is known of a session now; `None` when nothing is, which says nothing about whether it
    /// is over.
    #[must_use]
    pub fn standing(&self, session: SessionId) -> Option<Standing> {
        let followers = self.0.watchers.count(session);
        let registry = self.registry();
        registry
            .sessions
            .get(&session)
            .map(|known| known.standing(followers))
    }

    /// The key that must have signed a session's segments, if its header is known here.
    #[must_use]
    pub fn recorder_key(&self, session: SessionId) -> Option<[u8; 32]> {
        let registry = self.registry();
        let known = registry.sessions.get(&session)?;
        known.key_is_known().then_some(known.start.recorder_key)
    }

    /// Who offers a session's parts, if that is known here.
    #[must_use]
    pub fn source(&self, session: SessionId) -> Option<Source> {
        let registry = self.registry();
        registry
            .sessions
            .get(&session)
            .map(|known| known.source.clone())
    }

    /// Sessions that have not ended, as locks see them, of these sources.
    #[must_use]
    pub fn going(&self, of: impl Fn(&Source) -> bool) -> Vec<(SessionId, Source, Lockable)> {
        let registry = self.registry();
        let all = registry.sessions.iter();
        let going = all.filter(|(_, known)| of(&known.source) && !known.has_ended());
        going
            .map(|(session, known)| (*session, known.source.clone(), (*known.who).clone()))
            .collect()
    }

    /// Sessions of which the catalog may not know everything yet, those of the query, in its order.
    /// To be merged with what the catalog says: [`listing::sessions`].
    ///
    /// # Errors
    /// `Refused` when the query names an event.
    pub fn sessions(&self, query: &Query) -> Result<Vec<LiveRow>, CatalogError> {
        let registry = self.registry();
        let mut rows = Vec::new();
        for (session, known) in registry.sessions.iter().filter(|(_, k)| k.is_told()) {
            let row = known.row(*session);
            if query.admits_session(&row.row())? {
                rows.push(row);
            }
        }
        drop(registry);
        rows.sort_by_key(LiveRow::place);
        if query.newest_first {
            rows.reverse();
        }
        Ok(rows)
    }

    /// Events that the catalog may not have yet, those of the query, in its order, at most one more
    /// than a page holds; and whether they are all there are. To be merged with what the catalog
    /// says: [`listing::events`].
    #[must_use]
    pub fn events(&self, query: &Query) -> (Vec<EventRow>, bool) {
        let registry = self.registry();
        let wanted = |session: &SessionId| query.session.is_none_or(|wanted| wanted == *session);
        let mut complete = !registry.forgot;
        let mut rows = Vec::new();
        for (_, known) in registry.sessions.iter().filter(|(id, _)| wanted(id)) {
            complete &= !known.has_dropped();
            known.event_rows(query, &mut rows);
        }
        drop(registry);
        rows.sort_by_key(hansard_store::catalog::Cursor::of_event);
        if query.newest_first {
            rows.reverse();
        }
        rows.truncate(query.rows_max().saturating_add(1));
        (rows, complete)
    }

    /// Sessions that are known here, and bytes of events that are not listed yet.
    #[must_use]
    pub fn usage(&self) -> (usize, usize) {
        let registry = self.registry();
        (registry.sessions.len(), registry.bytes)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.0
            .registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn begin(&mut self, header: &Session, source: Source, now_ns: u64) {
        let begun = LiveSession::new(start_facts(header), source, now_ns);
        self.insert(header.id, begun.of(Lockable::of(header)));
    }

    fn begin_as(&mut self, session: SessionId, start: StartFacts, source: Source, now_ns: u64) {
        self.insert(session, LiveSession::new(start, source, now_ns));
    }

    fn insert(&mut self, session: SessionId, begun: LiveSession) {
        let bytes = begun.header_bytes();
        while self.sessions.len() >= LIVE_SESSIONS_MAX
            || !self.sessions.is_empty()
                && self.headers_bytes.saturating_add(bytes) > LIVE_HEADERS_BYTES_MAX
        {
            self.forget_silent();
        }
        self.remove(session);
        self.headers_bytes = self.headers_bytes.saturating_add(bytes);
        self.sessions.insert(session, begun);
    }

    fn remove(&mut self, session: SessionId) {
        if let Some(known) = self.sessions.remove(&session) {
            self.bytes = self.bytes.saturating_sub(known.bytes());
            self.headers_bytes = self.headers_bytes.saturating_sub(known.header_bytes());
        }
    }

    /// Forgets the eighth of the sessions that was silent for longest.
    fn forget_silent(&mut self) {
        let mut touched: Vec<u64> = self
            .sessions
            .values()
            .map(|known| known.touched_ns)
            .collect();
        let nth = touched.len() / 8;
        let (_, bound, _) = touched.select_nth_unstable(nth);
        let bound = *bound;
        let Self {
            sessions,
            bytes,
            headers_bytes,
            forgot,
            ..
        } = self;
        sessions.retain(|_, known| {
            let stays = known.touched_ns > bound;
            if !stays {
                *headers_bytes = headers_bytes.saturating_sub(known.header_bytes());
                *bytes = bytes.saturating_sub(known.bytes());
                *forgot |= !known.has_nothing();
            }
            stays
        });
    }
}
