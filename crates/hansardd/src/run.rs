//! `hansardd run`: one process of whatever roles are switched on.
//!
//! Parts are opened from the ground up, each with what closes it, and closed in the reverse order:
//! what takes work stops first, then what records, then what keeps, and the lock of the data
//! directory last. Closing has a bound; what is not done by then waits in the spool, and the next
//! start goes on with it, as it does after a kill.
//!
//! The main thread only supervises: signals, the service manager's watchdog, the way out.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hansard_capture::shell::Found;
use hansard_record::Environment;

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::{Failure, STATUS_CUT_SHORT, STATUS_DONE, STATUS_FAILED};
use crate::handed::Store;
use crate::init::holder;
use crate::journal::Journal;
use crate::metrics::serve::Health;
use crate::notify::Notify;
use crate::signals::Signal;

mod answering;
mod base;
mod deciding;
mod exporting;
pub mod fact;
mod facts;
mod found;
mod glass;
mod indexing;
mod keeping;
mod locking;
mod logins;
mod measuring;
mod minder;
mod opening;
mod playing;
mod reaching;
pub mod rebuilt;
mod recording;
mod reload;
mod renewing;
mod retiring;
mod sending;
mod ssh_certified;
mod ssh_node;
mod ssh_proxy;
mod storing;
mod stuck;
mod taking;
mod watching;

pub use facts::FACTS_WAITING_MAX;
pub use minder::LOOK_EVERY;
use opening::Opened;

/// How often the main loop turns, at least.
const TURN: Duration = Duration::from_secs(1);

/// What wakes the main loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// Somebody wants something.
    Signal(Signal),
    /// Something failed that the daemon cannot do without: it ends in order, with an error.
    Fatal(String),
}

/// What the daemon is started with.
pub struct Start {
    /// What is switched on.
    pub config: Config,
    /// The file it is from, to be read again; `None` is the usual one.
    pub config_path: Option<PathBuf>,
    /// Its log.
    pub journal: Journal,
    /// Clock, disk and randomness.
    pub environment: Environment,
    /// The service manager.
    pub notify: Notify,
    /// Its descriptor store, where it has one.
    pub store: Option<Arc<Store>>,
    /// What it handed over of that; taken by who opens the daemon.
    pub handed: Mutex<Vec<(String, OwnedFd)>>,
    /// Wakes the main loop, for whoever has to.
    pub wake: Sender<Wake>,
    /// The other end of it.
    pub woken: Receiver<Wake>,
}

impl Start {
    /// The logins that the last process held and the manager kept, where logins are recorded. Others are
    /// let go.
    fn found(&self) -> Vec<Found> {
        let handed = self.handed.lock();
        let handed = std::mem::take(&mut *handed.unwrap_or_else(PoisonError::into_inner));
        let Some(store) = &self.store else {
            return Vec::new();
        };
        let found = Found::all(handed, &**store);
        match self.config.capture.shell {
            Some(_) => found,
            None => {
                let let_go = |login: Found| login.drop_for_good(&**store);
                found.into_iter().for_each(let_go);
                Vec::new()
            }
        }
    }
}

/// Closes one part; its name, for the log.
type Closer = (&'static str, Box<dyn FnOnce() + Send>);

/// Why the daemon ends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ending {
    Told,
    Fatal(String),
}

/// Opens everything, says so, supervises, closes everything; answers the exit status.
///
/// # Errors
/// When something cannot be opened; what was opened is closed again.
pub fn run(start: Start) -> Result<u8, Failure> {
    let who = holder("run");
    let held = DataDir::new(&start.config.node.data_dir).hold(&who)?;
    let health = Arc::new(Health::new(Arc::clone(&start.environment.clock)));
    let mut closers = Vec::new();
    let opened = Opened::open(&start, &held, &who, Arc::clone(&health), &mut closers);
    let opened = match opened {
        Ok(opened) => opened,
        Err(failure) => {
            close(&start, Vec::from_iter(closers), &start.config);
            return Err(failure);
        }
    };
    health.waits_for(Vec::new());
    let status = format!("running: {}", opened.roles.join(", "));
    tell(&start, start.notify.ready(&status));
    start
        .journal
        .notice("running", &[("roles", &opened.roles.join(","))]);

    let (ending, config) = turn(&start, &opened, &health);

    tell(&start, start.notify.stopping());
    health.waits_for(vec!["stopping".to_owned()]);
    let reason = match &ending {
        Ending::Told => "told to stop".to_owned(),
        Ending::Fatal(why) => why.clone(),
    };
    start.journal.notice("stopping", &[("reason", &reason)]);
    opened.stopping(&ending);
    let is_whole = close(&start, closers, &config);
    drop(held);
    start.journal.settle(true);
    match (ending, is_whole) {
        (Ending::Fatal(why), _) => {
            let next = "see the log; nothing that was acknowledged is lost";
            Err(Failure::new(STATUS_FAILED, why, next))
        }
        (Ending::Told, true) => Ok(STATUS_DONE),
        (Ending::Told, false) => Ok(STATUS_CUT_SHORT),
    }
}

/// The main loop. Answers why it ended, and the configuration in force then.
fn turn(start: &Start, opened: &Opened, health: &Health) -> (Ending, Config) {
    let mut config = start.config.clone();
    let alive_every = start.notify.alive_every();
    let wait = alive_every.map_or(TURN, |every| every.min(TURN));
    let mut last_alive = Instant::now();
    loop {
        match start.woken.recv_timeout(wait) {
            Ok(Wake::Signal(Signal::Stop)) => return (Ending::Told, config),
            Ok(Wake::Signal(Signal::Reload)) => reload::reload(start, opened, &mut config),
            Ok(Wake::Fatal(why)) => return (Ending::Fatal(why), config),
            Err(RecvTimeoutError::Timeout) => {}
            // We hold a sender ourselves, so there is always somebody who could wake us.
            Err(RecvTimeoutError::Disconnected) => return (Ending::Told, config),
        }
        health.turned();
        if let Some(why) = opened.failed() {
            return (Ending::Fatal(why), config);
        }
        if alive_every.is_some_and(|every| last_alive.elapsed() >= every) {
            tell(start, start.notify.alive());
            last_alive = Instant::now();
        }
        start.journal.settle(false);
    }
}

/// Closes every part, last opened first, within the bound; answers whether all were.
fn close(start: &Start, closers: Vec<Closer>, config: &Config) -> bool {
    let until = Instant::now() + config.node.stop_within.0;
    let (step, steps) = channel::<&'static str>();
    let journal = start.journal.clone();
    let closing = std::thread::Builder::new()
        .name("closing".to_owned())
        .spawn(move || {
            for (name, close) in closers.into_iter().rev() {
                let _ = step.send(name);
                let begun = Instant::now();
                close();
                let took = begun.elapsed().as_millis();
                journal.info("closed", &[("part", &name), ("ms", &took)]);
            }
        });
    let Ok(closing) = closing else {
        // No thread to be had: the parts were dropped with the closure, which is all that a kill
        // does, and the next start makes good.
        start.journal.error("no thread to close with", &[]);
        return false;
    };
    let mut current = "";
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match steps.recv_timeout(left.min(TURN)) {
            Ok(name) => current = name,
            Err(RecvTimeoutError::Disconnected) => return closing.join().is_ok(),
            Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                let bound = config.node.stop_within.0.as_secs();
                start.journal.error(
                    "stopped before everything was closed; the rest waits in the spool",
                    &[("part", &current), ("stop_within_s", &bound)],
                );
                return false;
            }
            Err(RecvTimeoutError::Timeout) => tell(start, start.notify.alive()),
        }
    }
}

/// What the service manager did not hear is worth a line, and nothing else.
fn tell(start: &Start, told: std::io::Result<()>) {
    if let Err(e) = told {
        start
            .journal
            .warning("the service manager does not listen", &[("error", &e)]);
    }
}
