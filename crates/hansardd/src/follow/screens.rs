//! The screen for those who come late: an emulator for each session that somebody watches, advanced
//! when the next one comes, and parked as a keyframe when the last goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hansard_core::event::Body;
use hansard_core::{Session, SessionId};
use hansard_view::Screen;

use super::{Events, FollowError, Followed, Told};

/// Emulators at the same time; who watches one session more is told to come again later.
pub const SCREENS_MAX: usize = 256;

/// Bytes of parked screens; beyond them all are given up, and the next to come waits until a screen
/// is made from the recording's beginning.
pub const PARKED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Longest wait for a store that fails while a screen is made.
const RETRIES_MAX: u32 = 20;

/// Pause between these.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// All screens. Clones are the same.
#[derive(Clone)]
pub struct Screens {
    from: Followed,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    live: HashMap<SessionId, Shared>,
    parked: HashMap<SessionId, Parked>,
    parked_bytes: usize,
}

struct Shared {
    screen: Arc<Mutex<LiveScreen>>,
    watchers: usize,
}

/// A screen as it was when the last watcher went.
struct Parked {
    keyframe: Vec<u8>,
    header: Option<Arc<Session>>,
    at: At,
}

/// Up to where a screen has seen its session.
#[derive(Debug, Clone, Copy, Default)]
struct At {
    /// Time of the last event, nanoseconds since the session's start.
    at_ns: u64,
    next_seq: u64,
    /// The segment from whose beginning the next event can be read.
    segment: u32,
    /// The last event was the session's end: there is no next one, and nowhere to read it from.
    has_ended: bool,
}

/// An emulator and how far it has come.
#[derive(Default)]
struct LiveScreen {
    screen: Screen,
    header: Option<Arc<Session>>,
    at: At,
    events: Option<Events>,
}

/// What one who comes late is given, and how it goes on from exactly there. The emulator is kept
/// until the last of a session is dropped.
pub struct Watch {
    /// The session's header; `None` only where the archive has lost it.
    pub header: Option<Arc<Session>>,
    /// Columns and rows of the screen.
    pub size: (u16, u16),
    /// Bytes that bring a blank terminal of that size to what the screen shows. They are made by the
    /// emulator, and hold none of the recording's own control sequences.
    pub dump: Vec<u8>,
    /// The moment that is shown, nanoseconds since the session's start.
    pub at_ns: u64,
    /// Number of the first event that the screen does not show.
    pub next_seq: u64,
    /// The session ended with what the screen shows.
    pub has_ended: bool,
    events: Events,
    _place: Place,
}

/// A watcher's share in the emulator.
struct Place {
    screens: Screens,
    session: SessionId,
}

impl Screens {
    /// Screens of sessions that are followed here.
    #[must_use]
    pub fn new(from: Followed) -> Self {
        Self {
            from,
            state: Arc::default(),
        }
    }

    /// The screen as it is now, and the events from there on. The first one to come waits until the
    /// recording was read from its beginning, or from where the screen was parked.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn watch(&self, session: SessionId) -> Result<Watch, FollowError> {
        let (shared, place) = self.enter(session)?;
        let mut screen = shared.lock().unwrap_or_else(PoisonError::into_inner);
        screen.catch_up(&self.from, session)?;
        let At {
            at_ns,
            next_seq,
            segment,
            has_ended,
        } = screen.at;
        let events = Events::new(&self.from, session, (segment, next_seq))?;
        Ok(Watch {
            header: screen.header.clone(),
            size: screen.screen.size(),
            dump: screen.screen.dump().into_bytes(),
            at_ns,
            next_seq,
            has_ended,
            events,
            _place: place,
        })
    }

    /// How many emulators run, and bytes of parked ones.
    #[must_use]
    pub fn usage(&self) -> (usize, usize) {
        let state = self.lock();
        (state.live.len(), state.parked_bytes)
    }

    fn enter(&self, session: SessionId) -> Result<(Arc<Mutex<LiveScreen>>, Place), FollowError> {
        let mut state = self.lock();
        if !state.live.contains_key(&session) {
            if state.live.len() >= SCREENS_MAX {
                return Err(FollowError::Busy);
            }
            let parked = state.unpark(session);
            let screen = parked.and_then(LiveScreen::unparked).unwrap_or_default();
            let shared = Shared {
                screen: Arc::new(Mutex::new(screen)),
                watchers: 0,
            };
            state.live.insert(session, shared);
        }
        let Some(shared) = state.live.get_mut(&session) else {
            return Err(FollowError::Busy);
        };
        shared.watchers = shared.watchers.saturating_add(1);
        let place = Place {
            screens: self.clone(),
            session,
        };
        Ok((Arc::clone(&shared.screen), place))
    }

    fn leave(&self, session: SessionId) {
        let mut state = self.lock();
        let Some(shared) = state.live.get_mut(&session) else {
            return;
        };
        shared.watchers = shared.watchers.saturating_sub(1);
        if shared.watchers > 0 {
            return;
        }
        if let Some(shared) = state.live.remove(&session) {
            let screen = shared.screen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(parked) = screen.parked() {
                state.park(session, parked);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn park(&mut self, session: SessionId, parked: Parked) {
        self.unpark(session);
        let bytes = parked.bytes();
        if self.parked_bytes.saturating_add(bytes) > PARKED_BYTES_MAX {
            self.parked.clear();
            self.parked_bytes = 0;
        }
        self.parked_bytes = self.parked_bytes.saturating_add(bytes);
        self.parked.insert(session, parked);
    }

    fn unpark(&mut self, session: SessionId) -> Option<Parked> {
        let parked = self.parked.remove(&session)?;
        self.parked_bytes = self.parked_bytes.saturating_sub(parked.bytes());
        Some(parked)
    }
}

impl Parked {
    fn bytes(&self) -> usize {
        // A header is flat fields of a few hundred bytes.
        self.keyframe.len().saturating_add(2048)
    }
}

impl LiveScreen {
    fn unparked(parked: Parked) -> Option<Self> {
        Some(Self {
            screen: Screen::from_keyframe(&parked.keyframe).ok()?,
            header: parked.header,
            at: parked.at,
            events: None,
        })
    }

    /// `None` for a screen that no keyframe can say: it is made anew for who comes next.
    fn parked(&self) -> Option<Parked> {
        Some(Parked {
            keyframe: self.screen.to_whole_keyframe()?,
            header: self.header.clone(),
            at: self.at,
        })
    }

    /// Feeds it everything that is durable by now.
    fn catch_up(&mut self, from: &Followed, session: SessionId) -> Result<(), FollowError> {
        let mut events = match self.events.take() {
            Some(events) => events,
            None => Events::new(from, session, (self.at.segment, self.at.next_seq))?,
        };
        let mut retries = 0;
        loop {
            match events.next(Duration::ZERO) {
                Ok(Told::Events(told)) => {
                    for event in told {
                        self.at.at_ns = event.at_ns;
                        self.at.next_seq = event.seq.saturating_add(1);
                        self.at.has_ended = matches!(event.body, Body::End(_));
                        match event.body {
                            Body::Start(header) => self.header = Some(Arc::from(header)),
                            body => self.screen.apply(&body),
                        }
                    }
                    self.at.segment = events.segment();
                }
                // What is lost shows as a screen that lacks it; the events say so to who reads them.
                Ok(Told::Lost { .. }) => self.at.segment = events.segment(),
                Ok(Told::Waiting | Told::End) => break,
                Err(FollowError::Retry(_)) if retries < RETRIES_MAX => {
                    retries += 1;
                    std::thread::sleep(RETRY_PAUSE);
                }
                Err(e) => return Err(e),
            }
        }
        self.at.segment = events.segment();
        self.events = Some(events);
        Ok(())
    }
}

impl Watch {
    /// The next events; waits for them at most so long.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn next(&mut self, at_most: Duration) -> Result<Told, FollowError> {
        if self.has_ended {
            return Ok(Told::End);
        }
        self.events.next(at_most)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.screens.leave(self.session);
    }
}
