//! The thread that deletes by rules, and before that recalls what a catalog that was built anew does
//! not know yet.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use hansard_core::{Body, SessionId};
use hansard_record::clock::Clock;
use hansard_record::diary::Diary;
use hansard_record::revive::Revival;
use hansard_record::spool::Spool;
use hansard_store::archive::ArchiveError;
use hansard_store::reindex::recall;
use hansard_store::retention::{Retired, clear};
use hansard_store::{Archive, BlobStore, Catalog};

use super::fact;
use super::rebuilt::Rebuilt;
use super::stuck::Stuck;
use crate::config::Config;
use crate::failure::shown;
use crate::journal::Journal;
use crate::keeper::KeeperThread;
use crate::live::Live;
use crate::retention::Retention;
use crate::stores::{self, Stores};
use crate::tee::Source;

/// How often the rules are applied: those in force then, and first at the start.
const EVERY: Duration = Duration::from_secs(3600);

/// How soon what failed is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// How often is looked whether everything can be recalled.
const LOOK: Duration = Duration::from_millis(500);

/// Parts of the spool that are looked at together.
const PARTS: usize = 1024;

/// What retiring stands on.
pub(super) struct Retiring {
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) diary: Diary,
    pub(super) journal: Journal,
    pub(super) in_force: Arc<RwLock<Config>>,
    pub(super) rebuilt: Rebuilt,
    /// The mark that not everything is recalled.
    pub(super) recalling: Option<PathBuf>,
    pub(super) is_recalling: Arc<AtomicBool>,
    pub(super) spool: Spool,
    pub(super) live: Live,
    /// Sessions whose newest part may tell of holds, see [`waiting`].
    pub(super) waiting: Vec<SessionId>,
    /// Whether they ever will be archived.
    pub(super) stuck: Stuck,
    pub(super) keeper: Arc<KeeperThread>,
    /// Alarms that were raised.
    pub(super) alarms: Arc<AtomicU64>,
    /// The key of this service's own recordings.
    pub(super) key: [u8; 32],
}

/// Sessions that were in the spool when a catalog that was built anew is opened: what they tell of
/// holds is recalled when they are archived. Empty where there is nothing to recall, and without those
/// that could not be brought to an end, which never are archived.
pub(super) fn waiting(
    kept: Option<&(Stores, Arc<Archive>)>,
    spool: &Spool,
    revival: &Revival,
) -> Vec<SessionId> {
    if kept.is_none_or(|(stores, _)| stores.opened.recalling.is_none()) {
        return Vec::new();
    }
    let mut sessions: Vec<SessionId> = Vec::new();
    let mut after = None;
    loop {
        let some = spool.pending(after.as_ref(), PARTS);
        sessions.extend(some.iter().map(|pending| pending.session));
        sessions.sort_unstable();
        sessions.dedup();
        match some.into_iter().last() {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    sessions.retain(|session| !revival.left.iter().any(|left| left.session == *session));
    sessions
}

impl Retiring {
    /// Starts the thread; answers what ends it. A deletion that it is at is finished or left to the
    /// next start.
    pub(super) fn start(self) -> std::io::Result<Box<dyn FnOnce() + Send>> {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let is_stopping = Arc::new(AtomicBool::new(false));
        let of_thread = Arc::clone(&is_stopping);
        let thread = std::thread::Builder::new()
            .name("retention".to_owned())
            .spawn(move || self.run(&stopped, &of_thread))?;
        Ok(Box::new(move || {
            is_stopping.store(true, Ordering::Release);
            drop(stop);
            let _ = thread.join();
        }))
    }

    fn run(mut self, stopped: &Receiver<()>, is_stopping: &AtomicBool) {
        let (blobs, catalog) = (Arc::clone(&self.blobs), Arc::clone(&self.catalog));
        let mut retention = Retention::new(blobs, catalog, Arc::clone(&self.clock));
        let mut next = Instant::now();
        loop {
            let mut wait = LOOK;
            if Instant::now() >= next {
                let done = self.turn(&mut retention, is_stopping);
                match done {
                    Ok(Some(retired)) => {
                        self.said(retired);
                        wait = EVERY;
                    }
                    Ok(None) => {}
                    Err(why) if is_stopping.load(Ordering::Acquire) => drop(why),
                    Err(why) => {
                        self.journal
                            .error("retention: it is tried again", &[("error", &why)]);
                        wait = AGAIN;
                    }
                }
                next = Instant::now() + wait;
            }
            if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// One run of the rules; `None` while something is still to be recalled.
    fn turn(
        &mut self,
        retention: &mut Retention,
        is_stopping: &AtomicBool,
    ) -> Result<Option<Retired>, String> {
        let diary = self.diary.clone();
        let mut diarist = move |body: Body| {
            if is_stopping.load(Ordering::Acquire) {
                return Err("the daemon is stopping".to_owned());
            }
            let done = diary.event(body).and_then(|()| diary.flush());
            done.map_err(|lost| lost.to_string())
        };
        self.rebuilt.tell(&mut diarist)?;
        if !self.recall().map_err(|e| e.to_string())? {
            self.tell_if_stuck(&mut diarist)?;
            return Ok(None);
        }
        let config = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        let rules = config.store.as_ref().map(|store| store.retention.clone());
        drop(config);
        // A role that a reload takes away goes on until the next start, without its rules.
        let rules = rules.unwrap_or_default();
        let retired = retention.run(&rules, &mut diarist);
        retired.map(Some).map_err(|e| e.to_string())
    }

    /// Recalls what is archived by now of what was in the spool; answers whether that is all.
    fn recall(&mut self) -> Result<bool, ArchiveError> {
        let Some(mark) = &self.recalling else {
            return Ok(true);
        };
        let (spool, live) = (&self.spool, &self.live);
        self.waiting.retain(|session| {
            let is_foreign = matches!(live.source(*session), Some(Source::Host(_)));
            !is_foreign && !spool.pending_of(*session, None, 1).is_empty()
        });
        if !self.waiting.is_empty() || !self.catalog.unprojected(1)?.is_empty() {
            return Ok(false);
        }
        let recalled = recall(&*self.catalog, &[self.key])?;
        stores::recalled(mark).map_err(|e| ArchiveError::Retry(e.to_string()))?;
        self.recalling = None;
        self.is_recalling.store(false, Ordering::Release);
        self.journal.notice(
            "holds and deletions were recalled",
            &[("held", &recalled.held), ("deleted", &recalled.deleted)],
        );
        // What is deleted leaves its bytes also while no rule may be applied. A crash leaves that to the next run.
        clear(&*self.blobs, &*self.catalog)?;
        Ok(true)
    }

    /// What is waited for may never come. Then nothing is given up by itself: a hold that is not known
    /// would let evidence be deleted. But somebody is told, and what can be done.
    fn tell_if_stuck(
        &mut self,
        diarist: &mut dyn FnMut(Body) -> Result<(), String>,
    ) -> Result<(), String> {
        let (Some(mark), Some(first)) = (&self.recalling, self.waiting.first()) else {
            return Ok(());
        };
        let is_read = self.live.is_read(Duration::ZERO);
        let (figures, now_ns) = (self.keeper.figures(), self.clock.monotonic_ns());
        let waiting = self.waiting.len();
        if !self.stuck.look(waiting, is_read, &figures, now_ns) {
            return Ok(());
        }
        let (path, first) = (shown(mark), first.to_string());
        let what = format!(
            "holds and deletions cannot be recalled: {waiting} session(s) in the spool, {first} the first, \
             cannot be archived, for parts of them are missing; until their sender offers those nothing \
             is deleted and no hold is changed. To go on without what they tell, stop the daemon, \
             remove {path} and start it"
        );
        self.alarms.fetch_add(1, Ordering::Relaxed);
        self.journal
            .error("alarm", &[("matter", &"recall"), ("what", &what)]);
        // A crash before this tells it again.
        diarist(fact::alarm("recall", Some(&first), None, &what))
    }

    fn said(&self, retired: Retired) {
        if retired.sessions > 0 || retired.blobs > 0 || retired.repacked > 0 {
            self.journal.notice(
                "deleted by rules",
                &[
                    ("sessions", &retired.sessions),
                    ("packs", &retired.blobs),
                    ("packs_written_again", &retired.repacked),
                ],
            );
        }
    }
}
