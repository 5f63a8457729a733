//! The store role: event log, keeper, projector.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use hansard_core::{Body, Event, Session, SessionId};
use hansard_record::Environment;
use hansard_record::open_sessions::OpenSessions;
use hansard_record::spool::Spool;
use hansard_store::Archive;
use hansard_store::project::Projector;

use super::minder::Facts;
use super::round::Round;
use super::{Closer, fact};
use crate::config::{Config, Span};
use crate::data_dir::DataDir;
use crate::eventlog::known::Archived;
use crate::eventlog::link::SymbolicLink;
use crate::eventlog::tidy::{Ages, Tidy};
use crate::eventlog::{EventLog, Parts};
use crate::failure::{Failure, STATUS_FAILED, shown};
use crate::journal::Journal;
use crate::keeper::{
    ASIDE_BYTES_MAX, Aside, Figures, Hooks, Keeper, KeeperThread, Projecting, Raised, Stores, Tap,
    TapTrouble, Told,
};
use crate::live::Live;
use crate::metrics::{Measure, Metrics};
use crate::stores;
use crate::tee::Source;

/// How often lines are shown to who follows the event log's file.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// How often old files of the event log are looked for.
const TIDY_EVERY: Duration = Duration::from_secs(300);

/// A day, of which the event log's ages are made.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the rest of the daemon knows of the store role.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) archive: Arc<Archive>,
    pub(super) catalog: Arc<dyn hansard_store::Catalog>,
    pub(super) live: Live,
    /// Directory of the event log's files.
    pub(super) log_dir: PathBuf,
    /// Whether the keeper's thread lives.
    pub(super) is_keeping: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// What the store role is made with.
pub(super) struct Opening<'a> {
    pub(super) dir: &'a DataDir,
    pub(super) environment: &'a Environment,
    pub(super) journal: &'a Journal,
    pub(super) spool: &'a Spool,
    pub(super) live: &'a Live,
    pub(super) open: &'a OpenSessions,
    pub(super) facts: &'a Facts,
    /// This host's identifier, which names the event log's directory.
    pub(super) id: &'a str,
    /// This host's recorder key.
    pub(super) key: [u8; 32],
    /// Told of every segment that is archived; MUST NOT block.
    pub(super) settled: Arc<dyn Fn(SessionId, u32) + Send + Sync>,
    pub(super) in_force: &'a Arc<RwLock<Config>>,
}

/// What is counted on the way.
#[derive(Default)]
struct Counts {
    gaps: AtomicU64,
    conflicts: AtomicU64,
}

impl Opening<'_> {
    /// Opens event log, keeper and projector.
    pub(super) fn open(
        &self,
        stores: &stores::Stores,
        archive: &Arc<Archive>,
        metrics: &mut Metrics,
        closers: &mut Vec<Closer>,
    ) -> Result<Kept, Failure> {
        let counts = Arc::new(Counts::default());
        let log = self.event_log(&stores.catalog)?;
        let log_dir = self.dir.log().join(self.id);
        self.tend_log(&log, &log_dir, closers)?;
        let aside = Aside::open(
            &self.dir.quarantine(),
            self.environment.disk.clone(),
            ASIDE_BYTES_MAX,
        );
        let (aside, aside_sessions) =
            aside.map_err(|e| Failure::about(&self.dir.quarantine(), &e))?;
        let keeper = Keeper::new(
            Stores {
                spool: self.spool.clone(),
                archive: Arc::clone(archive),
                catalog: Arc::clone(&stores.catalog),
                aside,
                aside_sessions,
            },
            self.live.clone(),
            vec![Box::new(LogTap {
                log,
                counts: Arc::clone(&counts),
                facts: self.facts.clone(),
                headless: HashSet::new(),
            })],
            self.environment.clock.clone(),
            self.hooks(&counts),
        );
        let (settled, figures) = (keeper.settled_bell(), keeper.figures());
        let projector = Projector::new(stores.blobs.clone(), stores.catalog.clone());
        let projecting = Projecting::start(projector, self.live.clone(), settled);
        let projecting = projecting.map_err(no_thread)?;
        closers.push(("projector", Box::new(move || drop(projecting))));
        let thread = KeeperThread::start(keeper).map_err(no_thread)?;
        let thread = Arc::new(Mutex::new(Some(thread)));
        let of_closer = Arc::clone(&thread);
        let close = move || {
            let thread = of_closer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            drop(thread);
        };
        closers.push(("keeper", Box::new(close)));
        self.measure(metrics, &figures, &counts, stores);
        let is_keeping = move || {
            let thread = thread.lock().unwrap_or_else(PoisonError::into_inner);
            thread.as_ref().is_none_or(KeeperThread::is_running)
        };
        Ok(Kept {
            archive: Arc::clone(archive),
            catalog: Arc::clone(&stores.catalog),
            live: self.live.clone(),
            log_dir,
            is_keeping: Arc::new(is_keeping),
        })
    }

    fn event_log(
        &self,
        catalog: &Arc<dyn hansard_store::Catalog>,
    ) -> Result<Arc<Mutex<EventLog>>, Failure> {
        let facts = self.facts.clone();
        let parts = Parts {
            disk: self.environment.disk.clone(),
            clock: self.environment.clock.clone(),
            link: Box::new(SymbolicLink),
            known: Box::new(Archived(Arc::clone(catalog))),
            notify: Box::new(move |notice| facts.tell(notice.body())),
        };
        let root = self.dir.log();
        let log = EventLog::open(parts, &root, self.id).map_err(|e| Failure::about(&root, &e))?;
        Ok(Arc::new(Mutex::new(log)))
    }

    /// Shows lines, and tidies old files.
    fn tend_log(
        &self,
        log: &Arc<Mutex<EventLog>>,
        dir: &std::path::Path,
        closers: &mut Vec<Closer>,
    ) -> Result<(), Failure> {
        let (shown_log, journal) = (Arc::clone(log), self.journal.clone());
        let show = move || {
            if let Err(e) = lock(&shown_log).tick() {
                // The keeper meets the same trouble, and holds what is not in the log.
                journal.warning("the event log cannot be written", &[("error", &e)]);
            }
        };
        let showing = Round::start("event log", SHOW_EVERY, show).map_err(no_thread)?;
        closers.push(("event log", Box::new(move || drop(showing))));
        let current = lock(log).current();
        let (in_force, facts) = (Arc::clone(self.in_force), self.facts.clone());
        let (disk, clock) = (
            self.environment.disk.clone(),
            self.environment.clock.clone(),
        );
        let (dir, journal) = (dir.to_owned(), self.journal.clone());
        let mut tidy: Option<(Ages, Tidy)> = None;
        let act = move || {
            let Some(ages) = ages(&in_force) else {
                return;
            };
            if tidy.as_ref().is_none_or(|(there, _)| *there != ages) {
                let made = Tidy::new(disk.clone(), clock.clone(), &dir, current.clone(), ages);
                tidy = Some((ages, made));
            }
            let Some((_, tidy)) = &mut tidy else {
                return;
            };
            if let Err(e) = tidy.run(&mut |notice| facts.tell(notice.body())) {
                let values: [(&str, &dyn std::fmt::Display); 1] = [("error", &e)];
                journal.warning("old files of the event log are not tidied", &values);
            }
        };
        let tidying = Round::start("tidying", TIDY_EVERY, act).map_err(no_thread)?;
        closers.push(("tidying", Box::new(move || drop(tidying))));
        Ok(())
    }

    fn hooks(&self, counts: &Arc<Counts>) -> Hooks {
        let (facts, journal, counts) =
            (self.facts.clone(), self.journal.clone(), Arc::clone(counts));
        let (open, spool) = (self.open.clone(), self.spool.clone());
        let key = self.key;
        Hooks {
            alarm: Arc::new(move |raised| alarm(raised, &facts, &journal, &counts)),
            settled: Arc::clone(&self.settled),
            before_forget: Arc::new(move |session, tip| {
                let noted = open.settled(&spool, session, tip.number);
                noted.map_err(|e| e.to_string())
            }),
            source_of: Arc::new(move |header: &Session| {
                (header.recorder_key == key).then_some(Source::Local)
            }),
        }
    }

    fn measure(
        &self,
        metrics: &mut Metrics,
        figures: &Arc<Mutex<Figures>>,
        counts: &Arc<Counts>,
        stores: &stores::Stores,
    ) {
        let read = |value: fn(&Figures) -> f64| {
            let figures = Arc::clone(figures);
            move || value(&lock(&figures))
        };
        metrics.read(Measure::Events, read(|f| super::measuring::float(f.events)));
        metrics.read(
            Measure::Quarantined,
            read(|f| super::measuring::float(f.sessions_aside)),
        );
        let (of_lag, clock) = (Arc::clone(figures), self.environment.clock.clone());
        metrics.read(Measure::SettleLag, move || {
            let since = lock(&of_lag).waiting_since_ns;
            let waits = since.map_or(0, |since| clock.monotonic_ns().saturating_sub(since));
            Duration::from_nanos(waits).as_secs_f64()
        });
        let (gaps, conflicts) = (Arc::clone(counts), Arc::clone(counts));
        let number = |count: &AtomicU64| super::measuring::float(count.load(Ordering::Relaxed));
        metrics.read(Measure::Gaps, move || number(&gaps.gaps));
        metrics.read(Measure::Conflicts, move || number(&conflicts.conflicts));
        let catalog = Arc::clone(&stores.catalog);
        metrics.read(Measure::ProjectionLag, move || {
            let waiting = catalog.unprojected(crate::api::limits::BEHIND_MAX);
            waiting.map_or(f64::NAN, |rows| super::measuring::float(rows.len() as u64))
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The ages of the event log's files that are in force.
fn ages(in_force: &RwLock<Config>) -> Option<Ages> {
    let config = in_force.read().unwrap_or_else(PoisonError::into_inner);
    let log = &config.store.as_ref()?.event_log;
    // A begun day counts whole: a file stays rather longer than shorter.
    let days = |span: Span| Some(span.0.as_secs().div_ceil(DAY.as_secs()));
    Some(Ages {
        compress_after_days: days(log.compress_after),
        keep_days: days(log.keep),
    })
}

/// Makes an event, a line and a count of what somebody must look at.
fn alarm(raised: &Raised, facts: &Facts, journal: &Journal, counts: &Counts) {
    counts.conflicts.fetch_add(1, Ordering::Relaxed);
    let session = raised.session.map(|session| session.to_string());
    let (kind, what) = (raised.matter.as_str(), raised.to_string());
    journal.error("alarm", &[("alarm", &kind), ("what", &what)]);
    facts.tell(fact::alarm(kind, session.as_deref(), raised.segment, &what));
    if let (Some(session), Some(path)) = (&session, &raised.kept) {
        facts.tell(fact::quarantined(
            session,
            raised.segment,
            &shown(path),
            &raised.what,
        ));
    }
}

/// The event log, as the keeper sees it.
struct LogTap {
    log: Arc<Mutex<EventLog>>,
    counts: Arc<Counts>,
    facts: Facts,
    /// Sessions of which the header is lost, told once each; at most [`HEADLESS_MAX`].
    headless: HashSet<SessionId>,
}

/// Most sessions without a header that are remembered as told; then they are told again.
const HEADLESS_MAX: usize = 1024;

impl Tap for LogTap {
    fn events(&mut self, told: &Told<'_>, events: &[Event]) -> Result<(), TapTrouble> {
        let Some(header) = told.header else {
            // Its documents would lack what every document has. That they are missing is an event.
            if self.headless.len() >= HEADLESS_MAX {
                self.headless.clear();
            }
            if self.headless.insert(told.session) {
                let session = told.session.to_string();
                let why = "the archive has lost the recording's beginning; its events are not in the \
                           event log";
                let body = fact::alarm("header_lost", Some(&session), Some(told.segment), why);
                self.facts.tell(body);
            }
            return Ok(());
        };
        let gaps = events
            .iter()
            .filter(|event| matches!(event.body, Body::Gap(_)));
        let gaps = u64::try_from(gaps.count()).unwrap_or(u64::MAX);
        let taken = lock(&self.log).events(header, events);
        taken.map_err(|e| TapTrouble(format!("the event log: {e}")))?;
        self.counts.gaps.fetch_add(gaps, Ordering::Relaxed);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), TapTrouble> {
        let synced = lock(&self.log).sync();
        synced.map_err(|e| TapTrouble(format!("the event log: {e}")))
    }
}

pub(super) fn no_thread(error: std::io::Error) -> Failure {
    let what = format!("no thread: {}", crate::failure::plain(&error));
    Failure::new(STATUS_FAILED, what, "raise the limit of tasks or of memory")
}
