//! Retention in a running daemon: a thread that deletes what the rules in force say, now and then.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hansard_core::Body;
use hansard_record::Environment;
use hansard_record::diary::Diary;
use hansard_store::reindex::recall;

use super::Closer;
use crate::config::Config;
use crate::failure::Failure;
use crate::journal::Journal;
use crate::retention::Retention;
use crate::stores::Stores;

/// How long after the start the rules are first applied: what the spool holds is archived by then.
const FIRST: Duration = Duration::from_secs(600);

/// How often they are applied after that.
const EVERY: Duration = Duration::from_secs(3600);

/// What it works with.
pub(super) struct Retiring<'a> {
    pub(super) environment: &'a Environment,
    pub(super) journal: &'a Journal,
    pub(super) stores: &'a Stores,
    pub(super) diary: &'a Diary,
    pub(super) in_force: &'a Arc<RwLock<Config>>,
    /// The key of this service's own recordings.
    pub(super) key: [u8; 32],
}

impl Retiring<'_> {
    /// Starts the thread.
    pub(super) fn start(&self, closers: &mut Vec<Closer>) -> Result<(), Failure> {
        let catalog = Arc::clone(&self.stores.catalog);
        let mut retention = Retention::new(
            Arc::clone(&self.stores.blobs),
            Arc::clone(&catalog),
            Arc::clone(&self.environment.clock),
        );
        let (diary, journal) = (self.diary.clone(), self.journal.clone());
        let (in_force, key) = (Arc::clone(self.in_force), self.key);
        // A catalog that was built anew knows of no hold that was still in the spool. Nothing is
        // deleted before it does.
        let mut must_recall = self.stores.opened.rebuilt.is_some();
        let (stop, stopped) = channel::<()>();
        let act = move || {
            let mut pause = FIRST;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = EVERY;
                let config = in_force.read().unwrap_or_else(PoisonError::into_inner);
                let rules = config.store.as_ref().map(|store| store.retention.clone());
                drop(config);
                let rules = rules.unwrap_or_default();
                if rules.is_empty() {
                    continue;
                }
                if must_recall {
                    match recall(&*catalog, &[key]) {
                        Ok(_) => must_recall = false,
                        Err(e) => {
                            journal.error("retention waits for legal holds", &[("error", &e)]);
                            continue;
                        }
                    }
                }
                match retention.run(&rules, &mut |body| durable(&diary, body)) {
                    Ok(retired) if retired.sessions > 0 => journal.notice(
                        "recordings were deleted by retention",
                        &[("recordings", &retired.sessions), ("blobs", &retired.blobs)],
                    ),
                    Ok(_) => {}
                    Err(e) => journal.error("retention failed and goes on later", &[("error", &e)]),
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("retention".to_owned())
            .spawn(act)
            .map_err(super::opening::no_thread)?;
        let close = move || {
            drop(stop);
            let _ = thread.join();
        };
        closers.push(("retention", Box::new(close)));
        Ok(())
    }
}

/// Records a deletion before it is done: durable, or an error.
fn durable(diary: &Diary, body: Body) -> Result<(), String> {
    let recorded = diary.event(body).and_then(|()| diary.flush());
    recorded.map_err(|lost| lost.to_string())
}
