//! The role that keeps recordings: live registry, event log, keeper, projector.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use hansard_capture::registry::Registry as Running;
use hansard_core::frame::Place;
use hansard_core::writer::Tip;
use hansard_core::{Body, Session, SessionId};
use hansard_identity::{HostId, Registry};
use hansard_record::Environment;
use hansard_record::forward::wire::{Problem, ProblemKind};
use hansard_record::open_sessions::OpenSessions;
use hansard_record::order::Spot;
use hansard_record::spool::Spool;
use hansard_store::project::Projector;
use hansard_store::{Archive, Catalog};

use super::facts::Facts;
use super::{Closer, Start, exporting, fact, indexing, playing};
use crate::behind::Recorded;
use crate::bell::Bell;
use crate::config::{Config, Span};
use crate::data_dir::DataDir;
use crate::eventlog::known::Archived;
use crate::eventlog::link::SymbolicLink;
use crate::eventlog::tidy::{Ages, Tidy};
use crate::eventlog::{EventLog, Parts as LogParts};
use crate::failure::Failure;
use crate::follow::{Followed, Screens};
use crate::indexing::{News, NewsTap, Running as Indexing, Shelf};
use crate::ingest::{Connections, Control, To};
use crate::keeper::{
    ASIDE_BYTES_MAX, Aside, Hooks, Keeper, KeeperThread, Matter, Projecting, Raised,
    Stores as Work, Tap, TapTrouble, Told,
};
use crate::live::Live;
use crate::player::Player;
use crate::player::ahead::{Endings, EndingsTap};
use crate::stores::Stores;
use crate::tee::Source;

/// How often the event log shows its lines to whoever follows the file, and turns its page.
const LOG_TICK: Duration = Duration::from_millis(500);

/// How often old files of the event log are looked at.
const LOG_TIDY: Duration = Duration::from_secs(300);

/// What keeping is made of, for those who answer from it.
pub(super) struct Keeping {
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) live: Live,
    pub(super) followed: Followed,
    pub(super) recordings: Arc<Recorded>,
    pub(super) player: Arc<Player>,
    pub(super) screens: Screens,
    pub(super) connections: Connections,
    /// What is recorded here, once that has begun.
    pub(super) running: Arc<OnceLock<Running>>,
    pub(super) keeper: Arc<KeeperThread>,
    pub(super) projecting: Arc<Projecting>,
    /// Full text, and who fills it.
    pub(super) shelf: Shelf,
    pub(super) indexing: Arc<Indexing>,
    /// Whether holds and deletions are still recalled, after the catalog was built anew.
    pub(super) recalling: Arc<AtomicBool>,
    /// What was written as tlog.
    pub(super) tlog: Option<Arc<crate::tlog_out::Figures>>,
    /// Gaps in what was kept.
    pub(super) gaps: Arc<AtomicU64>,
    /// Alarms that were raised.
    pub(super) alarms: Arc<AtomicU64>,
}

/// What keeping stands on.
pub(super) struct Ground<'a> {
    pub(super) start: &'a Start,
    pub(super) dir: &'a DataDir,
    pub(super) environment: &'a Environment,
    pub(super) spool: &'a Spool,
    pub(super) stores: &'a Stores,
    pub(super) archive: &'a Arc<Archive>,
    pub(super) in_force: &'a Arc<RwLock<Config>>,
    pub(super) open: &'a OpenSessions,
    pub(super) host: HostId,
    /// The key of this daemon's own recordings.
    pub(super) key: [u8; 32],
    pub(super) facts: &'a Facts,
    /// Whose keys are whose; `None` where hosts cannot join.
    pub(super) registry: Option<Arc<Registry>>,
}

/// Asks whoever records a session to close frames sooner or later.
fn followed(running: Arc<OnceLock<Running>>, connections: Connections) -> crate::live::Control {
    Arc::new(move |session, on| {
        let here = running.get();
        if here.is_some_and(|here| here.set_followed(session, on).is_ok()) {
            return;
        }
        // A host that is not connected is asked when its next part comes; until then it is late by
        // a second at most.
        let _ = connections.send(To::Session(session), Control::Follow { session, on });
    })
}

impl Ground<'_> {
    /// Begins to work through what is in the spool.
    pub(super) fn keep(&self, closers: &mut Vec<Closer>) -> Result<Keeping, Failure> {
        let connections = Connections::new();
        let running: Arc<OnceLock<Running>> = Arc::default();
        let clock = Arc::clone(&self.environment.clock);
        let control = followed(Arc::clone(&running), connections.clone());
        let live = Live::new(Arc::clone(&clock), control);
        let log = self.event_log(closers)?;
        let (gaps, alarms): (Arc<AtomicU64>, Arc<AtomicU64>) = Default::default();
        let hooks = self.hooks(&connections, &alarms);
        let mut taps: Vec<Box<dyn Tap>> = vec![Box::new(LogTap {
            log,
            gaps: Arc::clone(&gaps),
        })];
        let news = Arc::<News>::default();
        taps.push(NewsTap::of(&news));
        let endings = Arc::<Endings>::default();
        taps.push(Box::new(EndingsTap(Arc::clone(&endings))));
        let book = exporting::book(self.start, self.dir, self.environment)?;
        taps.extend(book.as_ref().map(exporting::tap));
        let keeper = Keeper::new(self.work()?, live.clone(), taps, clock, hooks);
        let settled = keeper.settled_bell();
        let projecting = self.project(&live, settled, &news, closers)?;
        let keeper = Arc::new(KeeperThread::start(keeper).map_err(super::opening::no_thread)?);
        let of_closer = Arc::clone(&keeper);
        closers.push(("keeper", Box::new(move || of_closer.stop())));
        let followed = Followed {
            spool: self.spool.clone(),
            archive: Arc::clone(self.archive),
            live: live.clone(),
        };
        let (shelf, indexing) = self.index(&followed, news, closers)?;
        let recordings = Arc::new(Recorded {
            from: followed.clone(),
        });
        let player = playing::play(self.dir, Arc::clone(&recordings), endings, closers)?;
        let writing = exporting::write(self.start, self.environment, &followed, book)?;
        let tlog = writing.as_ref().map(|writing| Arc::clone(&writing.figures));
        closers.extend(
            writing.map(|writing| -> Closer { ("tlog", Box::new(move || writing.stop())) }),
        );
        Ok(Keeping {
            tlog,
            shelf,
            indexing,
            catalog: Arc::clone(&self.stores.catalog),
            live,
            screens: Screens::new(followed.clone()),
            followed,
            recordings,
            player,
            connections,
            running,
            keeper,
            projecting,
            recalling: Arc::new(AtomicBool::new(self.stores.opened.recalling.is_some())),
            gaps,
            alarms,
        })
    }

    /// What the keeper works with.
    fn work(&self) -> Result<Work, Failure> {
        let quarantine = self.dir.quarantine();
        let disk = Arc::clone(&self.environment.disk);
        let (aside, aside_sessions) = Aside::open(&quarantine, disk, ASIDE_BYTES_MAX)
            .map_err(|e| Failure::about(&quarantine, &e))?;
        Ok(Work {
            spool: self.spool.clone(),
            archive: Arc::clone(self.archive),
            catalog: Arc::clone(&self.stores.catalog),
            aside,
            aside_sessions,
        })
    }

    /// The rows, and the thread that makes them.
    fn project(
        &self,
        live: &Live,
        settled: Bell,
        news: &Arc<News>,
        closers: &mut Vec<Closer>,
    ) -> Result<Arc<Projecting>, Failure> {
        let blobs = Arc::clone(&self.stores.blobs);
        let projector = Projector::new(blobs, Arc::clone(&self.stores.catalog));
        // What was archived before a crash, and had no rows, is told by nobody else.
        let of_rows = Arc::clone(news);
        let told = Box::new(move |session| of_rows.came(session));
        let projecting = Projecting::start(projector, live.clone(), settled, told);
        let projecting = Arc::new(projecting.map_err(super::opening::no_thread)?);
        let of_closer = Arc::clone(&projecting);
        closers.push(("projector", Box::new(move || of_closer.stop())));
        Ok(projecting)
    }

    /// The full-text index, and the thread that fills it.
    fn index(
        &self,
        followed: &Followed,
        news: Arc<News>,
        closers: &mut Vec<Closer>,
    ) -> Result<(Shelf, Arc<Indexing>), Failure> {
        let of_index = (news, self.key);
        let (shelf, indexing) =
            indexing::index(self.start, self.dir, followed, self.stores, of_index)?;
        let of_closer = Arc::clone(&indexing);
        closers.push(("index", Box::new(move || of_closer.stop())));
        Ok((shelf, indexing))
    }

    /// The event log, and the thread that turns its pages and tidies it.
    fn event_log(&self, closers: &mut Vec<Closer>) -> Result<Arc<Mutex<EventLog>>, Failure> {
        let root = self.dir.log();
        let (facts, environment) = (self.facts.clone(), self.environment);
        environment
            .disk
            .create_dir(&root)
            .map_err(|e| Failure::about(&root, &e))?;
        let parts = LogParts {
            disk: Arc::clone(&environment.disk),
            clock: Arc::clone(&environment.clock),
            link: Box::new(SymbolicLink),
            known: Box::new(Archived(Arc::clone(&self.stores.catalog))),
            notify: Box::new(move |notice| facts.mention(notice.body())),
        };
        let service = self.host.to_string();
        let log = EventLog::open(parts, &root, &service).map_err(|e| Failure::about(&root, &e))?;
        let dir = root.join(&service);
        let disk = Arc::clone(&environment.disk);
        let clock = Arc::clone(&environment.clock);
        let current = log.current();
        let tidy = move |ages| {
            let (disk, clock) = (Arc::clone(&disk), Arc::clone(&clock));
            Tidy::new(disk, clock, &dir, current.clone(), ages)
        };
        let log = Arc::new(Mutex::new(log));
        let turner = Turner {
            log: Arc::clone(&log),
            facts: self.facts.clone(),
            journal: self.start.journal.clone(),
            in_force: Arc::clone(self.in_force),
            tidy: Box::new(tidy),
        };
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("event log".to_owned())
            .spawn(move || turner.run(&stopped))
            .map_err(super::opening::no_thread)?;
        let close = move || {
            drop(stop);
            let _ = thread.join();
        };
        closers.push(("event log", Box::new(close)));
        Ok(log)
    }

    fn hooks(&self, connections: &Connections, alarms: &Arc<AtomicU64>) -> Hooks {
        let alarms = Arc::clone(alarms);
        let (facts, journal) = (self.facts.clone(), self.start.journal.clone());
        let connected = connections.clone();
        let alarm = move |raised: &Raised| {
            if let Some(problem) = refusal(raised) {
                connected.problem(problem);
            }
            alarms.fetch_add(1, Ordering::Relaxed);
            let what = raised.what.clone();
            journal.error(
                "alarm",
                &[("matter", &raised.matter.as_str()), ("what", &what)],
            );
            facts.mention(fact::raised(raised));
        };
        let told = connections.clone();
        let settled = move |stored| told.stored(stored);
        let open = self.open.clone();
        let own = self.key;
        let before_forget = move |session: SessionId, tip: &hansard_store::chain::Tip| {
            // The notes are of what this machine records; a stranger's session of the same name
            // must not move them.
            if tip.key != own {
                return Ok(());
            }
            let noted = open.settled_at(&Tip {
                session,
                key: tip.key,
                segments: tip.number.saturating_add(1),
                digest: tip.digest,
                next_seq: tip.next_seq,
                last_ns: tip.last_ns,
                is_final: tip.is_final,
            });
            noted.map_err(|e| e.to_string())
        };
        let registry = self.registry.clone();
        let source_of = move |header: &Session| {
            if header.recorder_key == own {
                return Some(Source::Local);
            }
            let host = registry
                .as_ref()?
                .host_of_recorder_key(&header.recorder_key)?;
            Some(Source::Host(host.to_string().into()))
        };
        let journal = self.start.journal.clone();
        let trouble = move |why: Option<&str>| match why {
            Some(why) => journal.error("the keeper is held up", &[("error", &why)]),
            None => journal.notice("the keeper goes on", &[]),
        };
        Hooks {
            trouble: Arc::new(trouble),
            alarm: Arc::new(alarm),
            settled: Arc::new(settled),
            before_forget: Arc::new(before_forget),
            source_of: Arc::new(source_of),
        }
    }
}

/// What the sender of a session is told that was put aside: that it must not be offered again, so
/// that it is put aside there, too.
fn refusal(raised: &Raised) -> Option<Problem> {
    match raised.matter {
        Matter::Chain(_) | Matter::Unsound => {}
        // The sender can do nothing about what is wrong here, or has what is missing.
        Matter::Hole
        | Matter::Lost
        | Matter::SpoolDamaged
        | Matter::ArchiveDamaged
        | Matter::AsideFull
        | Matter::CatalogDamaged => return None,
    }
    Some(Problem {
        session: raised.session?,
        kind: ProblemKind::Conflict,
        at: Spot {
            segment: raised.segment.unwrap_or(0),
            place: Place::Frame(0),
        },
        why: raised.what.clone(),
    })
}

/// The event log as the keeper's tap.
struct LogTap {
    log: Arc<Mutex<EventLog>>,
    /// Gaps in what was told.
    gaps: Arc<AtomicU64>,
}

impl Tap for LogTap {
    fn events(
        &mut self,
        told: &Told<'_>,
        events: &[hansard_core::Event],
    ) -> Result<(), TapTrouble> {
        let unknown;
        let header = match told.header {
            Some(header) => header,
            None => {
                unknown = hansard_store::project::unknown_header(told.session);
                &unknown
            }
        };
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.events(header, events)
            .map_err(|e| TapTrouble(format!("the event log: {e}")))?;
        let gaps = events
            .iter()
            .filter(|event| matches!(event.body, Body::Gap(_)));
        self.gaps.fetch_add(gaps.count() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), TapTrouble> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.sync()
            .map_err(|e| TapTrouble(format!("the event log: {e}")))
    }
}

/// Shows lines, turns pages, and tidies.
struct Turner {
    log: Arc<Mutex<EventLog>>,
    facts: Facts,
    journal: crate::journal::Journal,
    in_force: Arc<RwLock<Config>>,
    /// Makes what tidies, for these ages.
    tidy: Box<dyn Fn(Ages) -> Tidy + Send>,
}

impl Turner {
    fn run(&self, stopped: &Receiver<()>) {
        let mut tidying: Option<(Ages, Tidy)> = None;
        let mut next_tidy = Instant::now();
        loop {
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            let ticked = log.tick();
            drop(log);
            if let Err(e) = ticked {
                self.complain("the event log cannot be written", &e);
            }
            if Instant::now() >= next_tidy {
                next_tidy = Instant::now() + LOG_TIDY;
                self.tidy(&mut tidying);
            }
            if stopped.recv_timeout(LOG_TICK) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// By the ages in force, which a reload changes.
    fn tidy(&self, tidying: &mut Option<(Ages, Tidy)>) {
        let config = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        let log = config.store.as_ref().map(|store| store.event_log.clone());
        drop(config);
        // A role that a reload takes away goes on until the next start.
        let Some(log) = log else {
            return;
        };
        let ns = |age: Span| Some(age.as_millis().saturating_mul(1_000_000));
        let ages = Ages {
            compress_after_ns: ns(log.compress_after),
            keep_ns: ns(log.keep),
        };
        if tidying.as_ref().is_none_or(|(there, _)| *there != ages) {
            *tidying = Some((ages, (self.tidy)(ages)));
        }
        let tidied = tidying
            .as_mut()
            .map(|(_, tidy)| tidy.run(&mut |notice| self.facts.mention(notice.body())));
        if let Some(Err(e)) = tidied {
            self.complain("the event log cannot be tidied", &e);
        }
    }

    /// What fails here is tried again, and the keeper archives nothing meanwhile that is not in the
    /// log.
    fn complain(&self, words: &'static str, error: &std::io::Error) {
        self.journal.error(words, &[("error", error)]);
    }
}

#[cfg(test)]
mod tests {
    use hansard_store::AlarmKind;

    use super::*;

    #[test]
    fn a_sender_hears_of_what_it_must_put_aside_and_of_nothing_else() {
        let raised = |matter| Raised {
            matter,
            session: Some(SessionId::from_bytes([1; 16])),
            segment: Some(7),
            what: "why".to_owned(),
            kept: None,
        };
        for matter in [Matter::Chain(AlarmKind::SecondWriter), Matter::Unsound] {
            let problem = refusal(&raised(matter)).unwrap();
            assert_eq!(problem.kind, ProblemKind::Conflict);
            assert_eq!(problem.session, SessionId::from_bytes([1; 16]));
            assert_eq!((problem.at.segment, problem.why.as_str()), (7, "why"));
        }
        // Whoever put these aside would lose what the service still wants, or can mend by itself.
        for matter in [
            Matter::Hole,
            Matter::Lost,
            Matter::SpoolDamaged,
            Matter::ArchiveDamaged,
            Matter::AsideFull,
            Matter::CatalogDamaged,
        ] {
            assert_eq!(refusal(&raised(matter)), None, "{matter:?}");
        }
        let of_nobody = Raised {
            session: None,
            ..raised(Matter::Unsound)
        };
        assert_eq!(refusal(&of_nobody), None);
    }
}
