//! Opening the parts of the daemon, from the ground up.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hansard_core::Body;
use hansard_core::seal::SigningKey;
use hansard_record::forward::Status;
use hansard_store::Archive;
use tokio::runtime::Runtime;

use super::base::{Base, revived};
use super::deciding::Deciding;
use super::facts::{Facts, facts};
use super::keeping::Keeping;
use super::locking::locks;
use super::measuring::{
    measure, measure_disks, measure_facts, measure_keeping, measure_sending, timed, watch,
};
use super::minder::{Minder, Seen};
use super::retiring::waiting;
use super::storing::credentials;
use super::{Closer, Ending, Start, fact};
use crate::config::Config;
use crate::data_dir::{DataDir, Held};
use crate::failure::{Failure, STATUS_FAILED};
use crate::init::keys::identity;
use crate::keeper::KeeperThread;
use crate::metrics::Metrics;
use crate::metrics::serve::Health;
use crate::stores::{self, Stores};

/// Room of the spool that only the daemon's own recording may use, so that it can say what happens
/// when sessions are held back.
pub(super) const SPOOL_RESERVE_BYTES: u64 = 4 * 1024 * 1024;

/// What is open while the daemon runs.
pub(super) struct Opened {
    /// What is switched on, for people.
    pub(super) roles: Vec<&'static str>,
    facts: Facts,
    in_force: Arc<RwLock<Config>>,
    keeper: Option<Arc<KeeperThread>>,
}

impl Opened {
    /// Opens everything. What is open is in `closers`, also after an error.
    ///
    /// The order: what died with the last process is ended first, then what makes room in the spool
    /// begins, then the own recording, then what takes more.
    pub(super) fn open(
        start: &Start,
        held: &Held,
        who: &str,
        health: Arc<Health>,
        closers: &mut Vec<Closer>,
    ) -> Result<Self, Failure> {
        let (config, dir) = (&start.config, &held.dir);
        make_runtime_dir(config)?;
        let mut metrics = Metrics::default();
        let environment = timed(&start.environment, &metrics);
        let spool = stores::spool(&config.node, dir, environment.disk.clone(), who)?;
        let identity = identity(dir)?;
        let key = identity.recorder_key();
        let kept = open_stores(config, dir, who, &key)?;
        let (open, revival, going) = revived(start, dir, &environment, &spool, &key)?;
        let (facts, told) = facts();
        let in_force = Arc::new(RwLock::new(config.clone()));
        let deciding = Deciding::open(start, dir, &environment, &facts)?;
        let base = Base {
            start,
            dir,
            environment: &environment,
            spool: &spool,
            identity: &identity,
            open: &open,
            facts: &facts,
            in_force: &in_force,
            deciding: &deciding,
            locked: locks(start, dir, &environment)?,
            credentials: credentials(start, dir, &environment, &facts)?,
        };
        let registry = base.cluster(kept.is_some())?; // before anything is kept: whose is what
        let waiting = waiting(kept.as_ref(), &spool, &revival);
        let keeping = base.keep(kept.as_ref(), registry.clone(), closers)?;
        let running = keeping.as_ref().map(|keeping| keeping.running.clone());
        let running = running.unwrap_or_default();
        let sending = base.send(&running, closers)?;
        let diary = base.diary(&key, keeping.as_ref(), &revival, closers)?;

        let counted = (keeping.as_ref(), sending.as_ref());
        measure_roles(&mut metrics, &base, kept.as_ref(), counted);
        let seen = Arc::new(Mutex::new(Seen::default()));
        measure_disks(&mut metrics, &seen);
        let minder = Minder {
            diary: diary.clone(),
            watch: watch(dir, &spool, kept.is_some()),
            journal: start.journal.clone(),
            wake: start.wake.clone(),
            seen,
            is_held_back: false,
        };
        let minding = minder.start(facts.clone(), told).map_err(no_thread)?;
        closers.push(("minder", Box::new(|| minding.stop())));
        base.retire(kept.as_ref(), keeping.as_ref(), &diary, waiting, closers)?;
        let on = (&running, going, &diary);
        base.record(keeping.as_ref(), on, &mut metrics, closers)?;
        let served = keeping.as_ref().zip(registry.as_ref());
        let host = (sending.as_ref(), &running);
        base.serve(served, host, &diary, (metrics, health), closers)?;

        let opened = Self {
            roles: config.roles(),
            facts: facts.clone(),
            in_force,
            keeper: keeping.map(|keeping| keeping.keeper),
        };
        opened.say_what_was_found(start, dir, &spool, kept.as_ref(), &revival, &key);
        Ok(opened)
    }

    /// Why the daemon must not go on, if so.
    pub(super) fn failed(&self) -> Option<String> {
        let keeper = self.keeper.as_ref()?;
        let why = "the keeper's thread ended: nothing is archived any more";
        (!keeper.is_running()).then(|| why.to_owned())
    }

    /// Records a fact about the daemon. It is durable soon; what must be so before something
    /// happens is recorded by whoever does that.
    pub(super) fn tell(&self, body: Body) {
        // With an error the minder is gone, which has said why and ends the daemon.
        let _ = self.facts.tell(body);
    }

    /// The same for the main loop, whose turn it is to see signals and to keep the watchdog quiet.
    pub(super) fn tell_soon(&self, body: Body) {
        self.facts.tell_soon(body);
    }

    /// Another configuration is in force.
    pub(super) fn in_force(&self, config: &Config) {
        let mut in_force = self
            .in_force
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        config.clone_into(&mut in_force);
    }

    /// The last word, before anything is closed.
    pub(super) fn stopping(self, ending: &Ending) {
        let error = match ending {
            Ending::Told => None,
            Ending::Fatal(why) => Some(why.as_str()),
        };
        self.tell_soon(fact::stop(&self.roles, error));
    }
}

/// What there is to measure of what is switched on.
fn measure_roles(
    metrics: &mut Metrics,
    base: &Base<'_>,
    kept: Option<&(Stores, Arc<Archive>)>,
    (keeping, sending): (Option<&Keeping>, Option<&Arc<Status>>),
) {
    measure(metrics, base.spool, kept, base.start);
    measure_facts(metrics, base.facts);
    if let Some(keeping) = keeping {
        let clock = Arc::clone(&base.environment.clock);
        measure_keeping(metrics, keeping, move || clock.monotonic_ns());
    }
    if let Some(status) = sending {
        measure_sending(metrics, status);
    }
}

/// The stores of who keeps recordings, and the archive over them.
fn open_stores(
    config: &Config,
    dir: &DataDir,
    who: &str,
    key: &SigningKey,
) -> Result<Option<(Stores, Arc<Archive>)>, Failure> {
    let Some(store) = &config.store else {
        return Ok(None);
    };
    let stores = stores::open(dir, who, &[key.public()])?;
    let options = stores::archive_options(store);
    let (blobs, catalog) = (stores.blobs.clone(), stores.catalog.clone());
    let archive = Archive::new(blobs, catalog, options);
    Ok(Some((stores, Arc::new(archive))))
}

/// The directory of the sockets, which a restart of the machine takes away: anybody may enter it.
fn make_runtime_dir(config: &Config) -> Result<(), Failure> {
    let path = &config.node.runtime_dir;
    let made = DirBuilder::new().mode(0o755).create(path);
    match made {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => {
            Err(crate::owner::not_made(path, &e, 0o755))
        }
        _ => Ok(()),
    }
}

/// Until it is time to stop.
pub(super) async fn told(mut stop: tokio::sync::watch::Receiver<bool>) {
    // An end of the sender is an end, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

pub(super) fn listen(
    runtime: &Runtime,
    key: &str,
    address: std::net::SocketAddr,
) -> Result<tokio::net::TcpListener, Failure> {
    let listener = runtime.block_on(tokio::net::TcpListener::bind(address));
    listener.map_err(|e| {
        let what = format!("{key}: {address}: {}", crate::failure::plain(&e));
        Failure::new(STATUS_FAILED, what, "see who has it: ss -tlnp")
    })
}

pub(super) fn no_thread(error: std::io::Error) -> Failure {
    let what = format!("no thread: {}", crate::failure::plain(&error));
    Failure::new(STATUS_FAILED, what, "raise the limit of tasks or of memory")
}
