//! Sessions that are watched in a browser: one painter for each, however many watch it. It emulates
//! the session once, makes each line once, and is gone with its last viewer.
//!
//! A painter waits for no viewer and a session waits for no painter: it reads what is durable, on a
//! thread of low priority, paints at most [`PICTURES_A_SECOND`] times in a second, and a viewer takes
//! what is there when it can (`shown`).

mod shown;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hansard_core::{Body, SessionId};
use hansard_view::Screen;
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use super::answers::living;
use super::limits::{HEARTBEAT, WAIT_MAX};
use super::live::{LINES, opened};
use super::player::{happening, of_family};
use super::problem::{Problem, Trouble};
use super::router::Handler;
use super::seams::{Following, Listings, Log, Seen};
use super::stream::{Gone, Pieces, Streams};
use crate::standing_back::{Behind, stand_back};
use shown::{Place, Shown};

/// Pictures of a session in a second at most, so that a screen is told as it is and not how it came.
const PICTURES_A_SECOND: u32 = 20;

/// Bytes in a second that all viewers of a session are sent at most: with many of a screen that
/// changes altogether there are fewer pictures of it.
const VIEWERS_BYTES: u64 = 32 * 1024 * 1024;

/// Longest time between two pictures, whatever that comes to.
const PAUSE_MAX: Duration = Duration::from_millis(150);

/// All painters.
pub(super) struct Painters {
    following: Arc<dyn Following>,
    log: Log,
    painters: Mutex<HashMap<SessionId, Arc<Painter>>>,
}

/// One session as it is painted.
struct Painter {
    session: SessionId,
    /// Changed under the lock of [`Painters`] alone.
    viewers: AtomicUsize,
    state: Mutex<State>,
    has_opened: Condvar,
    /// Told that there is more to take.
    news: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    opening: Opening,
    shown: Shown,
    /// It goes no further, and is not over.
    is_cut: bool,
}

/// Whether there is anything to be painted.
#[derive(Default, Clone)]
enum Opening {
    #[default]
    Waits,
    Known,
    Unknown,
    Failed(Trouble),
}

/// Somebody who watches. The painter ends when the last is dropped.
struct Viewer {
    painters: Arc<Painters>,
    painter: Arc<Painter>,
    place: Place,
    news: watch::Receiver<()>,
}

impl Painters {
    pub(super) fn new(following: Arc<dyn Following>, log: Log) -> Arc<Self> {
        Arc::new(Self {
            following,
            log,
            painters: Mutex::default(),
        })
    }

    /// Somebody watches a session from now on; waits until its painter has begun. `None`: nothing is
    /// known of it.
    fn join(self: &Arc<Self>, session: SessionId) -> Result<Option<Viewer>, Problem> {
        let viewer = self.enter(session)?;
        let state = viewer.painter.lock();
        let waits = |state: &mut State| matches!(state.opening, Opening::Waits);
        let opened = viewer.painter.has_opened.wait_while(state, waits);
        let opening = opened
            .unwrap_or_else(PoisonError::into_inner)
            .opening
            .clone();
        match opening {
            Opening::Known => Ok(Some(viewer)),
            Opening::Failed(trouble) => Err(trouble.into()),
            Opening::Unknown | Opening::Waits => Ok(None),
        }
    }

    /// The painter of a session, begun if there is none that goes on.
    fn enter(self: &Arc<Self>, session: SessionId) -> Result<Viewer, Problem> {
        let mut painters = self.lock();
        let there = painters.get(&session).filter(|there| !there.lock().is_cut);
        let painter = match there {
            Some(there) => {
                there.viewers.fetch_add(1, Ordering::AcqRel);
                Arc::clone(there)
            }
            None => {
                let painter = Arc::new(Painter::new(session));
                self.start(Arc::clone(&painter))?;
                painters.insert(session, Arc::clone(&painter));
                painter
            }
        };
        let place = painter.lock().shown.place();
        Ok(Viewer {
            painters: Arc::clone(self),
            news: painter.news.subscribe(),
            painter,
            place,
        })
    }

    fn start(&self, painter: Arc<Painter>) -> Result<(), Problem> {
        let (following, log) = (Arc::clone(&self.following), Arc::clone(&self.log));
        let thread = std::thread::Builder::new().name("painting".to_owned());
        let started = thread.spawn(move || {
            stand_back(Behind::Recorders);
            painter.run(&*following, &log);
        });
        started
            .map(drop)
            .map_err(|_| Problem::unavailable("there is no thread to paint the session"))
    }

    fn leave(&self, painter: &Arc<Painter>) {
        let mut painters = self.lock();
        if painter.viewers.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let is_same = |there: &Arc<Painter>| Arc::ptr_eq(there, painter);
        // Another may have begun since this one was cut.
        if painters.get(&painter.session).is_some_and(is_same) {
            painters.remove(&painter.session);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Painter>>> {
        self.painters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Painter {
    /// With its first viewer.
    fn new(session: SessionId) -> Self {
        Self {
            session,
            viewers: AtomicUsize::new(1),
            state: Mutex::default(),
            has_opened: Condvar::new(),
            news: watch::Sender::new(()),
        }
    }

    /// Paints until the session is over or nobody watches it any more.
    fn run(&self, following: &dyn Following, log: &Log) {
        // However this ends, nobody waits for it any longer.
        let _ending = Ending(self);
        let mut opened = match following.follow(self.session) {
            Ok(Some(watch)) => {
                self.open(Opening::Known);
                watch
            }
            Ok(None) => return self.open(Opening::Unknown),
            Err(trouble) => return self.open(Opening::Failed(trouble)),
        };
        if let Err(trouble) = Painting::new(self).paint(&mut *opened) {
            let session = self.session;
            log(&format!("session {session}: watching was cut: {trouble:?}"));
        }
    }

    fn open(&self, opening: Opening) {
        self.lock().opening = opening;
        self.has_opened.notify_all();
    }

    fn change<T>(&self, change: impl FnOnce(&mut Shown) -> T) -> T {
        let changed = change(&mut self.lock().shown);
        self.news.send_replace(());
        changed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells those who wait for a painter that it has ended.
struct Ending<'a>(&'a Painter);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(state.opening, Opening::Waits) {
            let why = "the painter has a fault".to_owned();
            state.opening = Opening::Failed(Trouble::Retry(why));
        }
        state.is_cut = !state.shown.is_over();
        drop(state);
        self.0.has_opened.notify_all();
        self.0.news.send_replace(());
    }
}

/// A painter at work.
struct Painting<'a> {
    painter: &'a Painter,
    screen: Screen,
    at_ns: u64,
    /// The screen is ahead of what was painted.
    is_ahead: bool,
    painted: Instant,
    /// Least time until the next picture.
    pause: Duration,
}

impl<'a> Painting<'a> {
    fn new(painter: &'a Painter) -> Self {
        Self {
            painter,
            screen: Screen::default(),
            at_ns: 0,
            // The first picture waits for nothing: an empty screen is one, too.
            is_ahead: true,
            painted: Instant::now(),
            pause: pause(0, 0),
        }
    }

    fn paint(mut self, watch: &mut dyn super::seams::Watch) -> Result<(), Trouble> {
        let mut has_begun = false;
        while self.painter.viewers.load(Ordering::Acquire) > 0 {
            let due = self.pause.saturating_sub(self.painted.elapsed());
            let seen = watch.next(if self.is_ahead { due } else { WAIT_MAX })?;
            let is_quiet = matches!(seen, Seen::Nothing);
            has_begun |= is_quiet;
            let over = self.see(seen);
            let is_due = self.painted.elapsed() >= self.pause || (is_quiet && has_begun);
            if self.is_ahead && (is_due || over.is_some()) {
                self.picture();
            }
            if let Some(over) = over {
                self.painter.change(|shown| shown.end(&over));
                return Ok(());
            }
        }
        Ok(())
    }

    fn picture(&mut self) {
        self.is_ahead = false;
        self.painted = Instant::now();
        let (screen, at_ns) = (&self.screen, self.at_ns);
        if let Some(bytes) = self.painter.change(|shown| shown.paint(screen, at_ns)) {
            self.pause = pause(bytes, self.painter.viewers.load(Ordering::Acquire));
        }
    }

    /// Takes in what was seen; the last line of all, if this was the end.
    fn see(&mut self, seen: Seen) -> Option<Json> {
        match seen {
            Seen::Screen {
                at_ns, size, dump, ..
            } => {
                self.screen = Screen::new(size.0, size.1);
                self.screen.feed(dump.as_bytes());
                (self.at_ns, self.is_ahead) = (at_ns, true);
            }
            Seen::Event(event) => {
                self.at_ns = event.at_ns;
                if matches!(event.body, Body::Data { .. } | Body::Resize { .. }) {
                    self.screen.apply(&event.body);
                    self.is_ahead = true;
                } else if let Some(one) = crate::player::happening(&event) {
                    self.tell(&of_family("happening", happening(&one)));
                }
            }
            Seen::Lost { segment, what } => {
                self.tell(&json!({ "family": "lost", "segment": segment, "reason": what }));
            }
            Seen::Over(why) => return Some(json!({ "family": "over", "reason": why })),
            Seen::Nothing => {}
        }
        None
    }

    fn tell(&self, what: &Json) {
        self.painter.change(|shown| shown.tell(what));
    }
}

/// How long a picture of so many bytes stands at least, for so many viewers.
fn pause(bytes: usize, viewers: usize) -> Duration {
    let all = (bytes as u64).saturating_mul(viewers as u64);
    let sent = Duration::from_millis(all.saturating_mul(1000) / VIEWERS_BYTES);
    sent.clamp(Duration::from_secs(1) / PICTURES_A_SECOND, PAUSE_MAX)
}

impl Viewer {
    /// Hands over what is shown until it is over. An error: the stream is to be cut.
    async fn look(&mut self, pieces: &mut Pieces) -> Result<(), Gone> {
        let mut said = Instant::now();
        loop {
            self.news.mark_unchanged();
            let (taken, is_cut) = {
                let mut state = self.painter.lock();
                (state.shown.take(&mut self.place), state.is_cut)
            };
            let is_quiet = taken.pieces.is_empty();
            for piece in taken.pieces {
                pieces.send(piece).await?;
                said = Instant::now();
            }
            if taken.is_over {
                return Ok(());
            }
            if is_cut || pieces.is_stopping() {
                return Err(Gone);
            }
            if is_quiet && said.elapsed() >= HEARTBEAT {
                let heartbeat = Bytes::from_static(b"{\"family\":\"heartbeat\"}\n");
                pieces.send(heartbeat).await?;
                said = Instant::now();
            }
            // Not longer, so that it notices a service that stops.
            let _ = tokio::time::timeout(WAIT_MAX, self.news.changed()).await;
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.painters.leave(&self.painter);
    }
}

/// A handler that shows a session as it happens.
pub(super) fn watch(
    listings: Arc<dyn Listings>,
    following: Arc<dyn Following>,
    streams: Streams,
    log: Log,
) -> Handler {
    let painters = Painters::new(following, log);
    Arc::new(move |call| {
        let (streams, painters) = (streams.clone(), Arc::clone(&painters));
        let listings = Arc::clone(&listings);
        Box::pin(async move {
            let place = streams.place(&call.caller)?;
            let open = move || painters.join(living(&call, &*listings)?);
            let mut viewer = opened(open).await?;
            let show = async move |mut pieces: Pieces| {
                if viewer.look(&mut pieces).await.is_err() {
                    pieces.abort(std::io::ErrorKind::ConnectionAborted.into());
                }
            };
            Ok(streams.answer_by(place, LINES, show))
        })
    })
}
