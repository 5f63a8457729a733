//! Opening the parts of the daemon, from the ground up.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use hansard_capture::registry::Registry as Running;
use hansard_core::Body;
use hansard_core::fields::{Fields, Value};
use hansard_core::policy::Policy;
use hansard_core::seal::SigningKey;
use hansard_identity::recorder::CERTIFICATE_FIELD;
use hansard_identity::{Authority, HostIdentity, Registry};
use hansard_record::Environment;
use hansard_record::diary::{About, DAY_NS, Diary, Means};
use hansard_record::forward::Status;
use hansard_record::open_sessions::{OpenSessions, this_boot};
use hansard_record::recorder::Options;
use hansard_record::revive::{Revival, revive};
use hansard_record::spool::Spool;
use hansard_store::Archive;
use tokio::runtime::Runtime;

use super::answering::Answering;
use super::facts::{Facts, facts};
use super::keeping::{Ground, Keeping};
use super::measuring::{
    measure, measure_disks, measure_facts, measure_keeping, measure_sending, timed, watch,
};
use super::minder::{Minder, Seen};
use super::recording::{Recording, Sinks};
use super::retiring::Retiring;
use super::sending::Sending;
use super::taking::Taking;
use super::{Closer, Ending, Start, fact};
use crate::config::Config;
use crate::data_dir::{DataDir, Held};
use crate::failure::{Failure, STATUS_FAILED, STATUS_NOT_READY};
use crate::init::keys::{authority_dir, identity, registry_dir};
use crate::keeper::KeeperThread;
use crate::metrics::Metrics;
use crate::metrics::serve::{Health, serve};
use crate::stores::{self, Stores};
use crate::tee::{Source, Tee};

/// Room of the spool that only the daemon's own recording may use, so that it can say what happens
/// when sessions are held back.
pub(super) const SPOOL_RESERVE_BYTES: u64 = 4 * 1024 * 1024;

/// Threads of the runtime that serves connections.
const RUNTIME_THREADS: usize = 2;

/// How long connections have to end by themselves when the daemon does.
const CONNECTIONS_END: Duration = Duration::from_secs(2);

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
        make_runtime_dir(&config.node.runtime_dir)?;
        let mut metrics = Metrics::default();
        let environment = timed(&start.environment, &metrics);
        let spool = stores::spool(&config.node, dir, environment.disk.clone(), who)?;
        let identity = identity(dir)?;
        let key = identity.recorder_key();
        let kept = match &config.store {
            Some(store) => {
                let stores = stores::open(dir, who, &[key.public()])?;
                let options = stores::archive_options(store);
                let (blobs, catalog) = (stores.blobs.clone(), stores.catalog.clone());
                Some((stores, Arc::new(Archive::new(blobs, catalog, options))))
            }
            None => None,
        };
        let (open, revival) = revived(dir, &environment, &spool, &key)?;
        let (facts, told) = facts();
        let in_force = Arc::new(RwLock::new(config.clone()));
        let base = Base {
            start,
            dir,
            environment: &environment,
            spool: &spool,
            identity: &identity,
            open: &open,
            facts: &facts,
            in_force: &in_force,
        };
        let keeping = base.keep(kept.as_ref(), closers)?;
        let running = keeping
            .as_ref()
            .map(|k| k.running.clone())
            .unwrap_or_default();
        let sending = base.send(&running, closers)?;
        let diary = base.diary(&key, keeping.as_ref(), &revival, closers)?;

        measure(&mut metrics, &spool, kept.as_ref(), start);
        measure_facts(&mut metrics, &facts);
        if let Some(keeping) = &keeping {
            let clock = Arc::clone(&environment.clock);
            measure_keeping(&mut metrics, keeping, move || clock.monotonic_ns());
        }
        sending
            .iter()
            .for_each(|status| measure_sending(&mut metrics, status));
        let seen = Arc::new(Mutex::new(Seen::default()));
        measure_disks(&mut metrics, &seen);
        let minder = Minder {
            diary: diary.clone(),
            watch: watch(dir, &spool, kept.is_some()),
            journal: start.journal.clone(),
            wake: start.wake.clone(),
            seen,
        };
        let minding = minder.start(facts.clone(), told).map_err(no_thread)?;
        closers.push(("minder", Box::new(move || minding.stop())));
        if let Some((stores, _)) = &kept {
            base.retire(stores, &diary, closers)?;
        }

        base.record(keeping.as_ref(), &running, closers)?;
        base.serve(keeping.as_ref(), &diary, (metrics, health), closers)?;

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
        self.tell(fact::stop(&self.roles, error));
    }
}

/// The directory of the sockets, which a restart of the machine takes away: anybody may enter it.
fn make_runtime_dir(path: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().mode(0o755).create(path);
    match made {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(Failure::about(path, &e)),
        _ => Ok(()),
    }
}

/// Brings to an end what died with the last process.
fn revived(
    dir: &DataDir,
    environment: &Environment,
    spool: &Spool,
    key: &SigningKey,
) -> Result<(OpenSessions, Revival), Failure> {
    let boot = this_boot(environment).map_err(|e| Failure::about(dir.path(), &e))?;
    let notes = dir.open_sessions();
    let about = |e: std::io::Error| Failure::about(&notes, &e);
    let open = OpenSessions::open(&notes, environment.disk.clone(), boot).map_err(about)?;
    let revival = revive(spool, &mut spool.clone(), key, &open).map_err(about)?;
    Ok((open, revival))
}

/// What every role stands on.
struct Base<'a> {
    start: &'a Start,
    dir: &'a DataDir,
    environment: &'a Environment,
    spool: &'a Spool,
    identity: &'a HostIdentity,
    open: &'a OpenSessions,
    facts: &'a Facts,
    in_force: &'a Arc<RwLock<Config>>,
}

impl Base<'_> {
    fn keep(
        &self,
        kept: Option<&(Stores, Arc<Archive>)>,
        closers: &mut Vec<Closer>,
    ) -> Result<Option<Keeping>, Failure> {
        let Some((stores, archive)) = kept else {
            return Ok(None);
        };
        let ground = Ground {
            start: self.start,
            dir: self.dir,
            environment: self.environment,
            spool: self.spool,
            stores,
            archive,
            in_force: self.in_force,
            open: self.open,
            host: self.identity.id(),
            key: self.identity.recorder_key().public(),
            facts: self.facts,
        };
        ground.keep(closers).map(Some)
    }

    /// Deletes what the rules say, from now on.
    fn retire(
        &self,
        stores: &Stores,
        diary: &Diary,
        closers: &mut Vec<Closer>,
    ) -> Result<(), Failure> {
        let retiring = Retiring {
            environment: self.environment,
            journal: &self.start.journal,
            stores,
            diary,
            in_force: self.in_force,
            key: self.identity.recorder_key().public(),
        };
        retiring.start(closers)
    }

    fn send(
        &self,
        running: &Arc<OnceLock<Running>>,
        closers: &mut Vec<Closer>,
    ) -> Result<Option<Arc<Status>>, Failure> {
        let Some(forward) = &self.start.config.forward else {
            return Ok(None);
        };
        let sending = Sending {
            start: self.start,
            dir: self.dir,
            environment: self.environment,
            spool: self.spool,
            identity: identity(self.dir)?,
            open: self.open,
            facts: self.facts,
            running,
        };
        sending.send(forward, closers).map(Some)
    }

    /// Makes sinks: with a store they are told to whoever looks on, too.
    fn sinks(&self, keeping: Option<&Keeping>, leaving: u64) -> Sinks {
        let spool = self.spool.leaving(leaving);
        match keeping {
            Some(keeping) => {
                let tee = Tee::new(spool, keeping.live.clone(), Source::Local);
                Box::new(move || Box::new(tee.clone()))
            }
            None => Box::new(move || Box::new(spool.clone())),
        }
    }

    /// Begins today's own recording.
    fn diary(
        &self,
        key: &SigningKey,
        keeping: Option<&Keeping>,
        revival: &Revival,
        closers: &mut Vec<Closer>,
    ) -> Result<Diary, Failure> {
        let means = Means {
            key: key.clone(),
            sinks: self.sinks(keeping, 0),
            env: self.environment.clone(),
            open: self.open.clone(),
            link: self.dir.diary_link(),
        };
        let diary = Diary::open(self.about(), means, revival).map_err(|lost| {
            let what = format!("the daemon's own recording cannot be begun: {lost}");
            let next = "make room on the disk of data_dir; `hansardd doctor` looks at it";
            Failure::new(STATUS_FAILED, what, next)
        })?;
        // A crash before this finds the same recordings finished, at the next start.
        let notes = self.dir.open_sessions();
        revival
            .done(self.open)
            .map_err(|e| Failure::about(&notes, &e))?;
        let of_closer = diary.clone();
        let close = move || drop(of_closer.close("the daemon stopped"));
        closers.push(("own recording", Box::new(close)));
        Ok(diary)
    }

    fn record(
        &self,
        keeping: Option<&Keeping>,
        running: &Arc<OnceLock<Running>>,
        closers: &mut Vec<Closer>,
    ) -> Result<(), Failure> {
        let Some(local) = &self.start.config.capture.local else {
            return Ok(());
        };
        let recording = Recording {
            start: self.start,
            environment: self.environment,
            identity: self.identity,
            about: self.target(),
            open: self.open,
            facts: self.facts,
        };
        let sinks = self.sinks(keeping, SPOOL_RESERVE_BYTES);
        let registry = recording.serve(local, sinks, closers)?;
        // Nobody else sets it.
        let _ = running.set(registry);
        Ok(())
    }

    /// Starts the runtime and what it serves.
    fn serve(
        &self,
        keeping: Option<&Keeping>,
        diary: &Diary,
        (metrics, health): (Metrics, Arc<Health>),
        closers: &mut Vec<Closer>,
    ) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("serving")
            .enable_all()
            .build()
            .map_err(no_thread)?;
        let config = &self.start.config;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        if let Some(serving) = &config.serve.metrics {
            let listener = listen(&runtime, "serve.metrics.listen", serving.listen)?;
            // Where the kernel chose the port, only this says which.
            let address = listener.local_addr().unwrap_or(serving.listen);
            runtime.spawn(serve(listener, Arc::new(metrics.finish()), health));
            self.start.journal.info("metrics", &[("listen", &address)]);
        }
        if let Some(keeping) = keeping {
            let registry = self.registry()?;
            if let Some(ingest) = &config.serve.ingest {
                let taking = Taking {
                    start: self.start,
                    environment: self.environment,
                    spool: self.spool,
                    identity: self.identity,
                    registry: &registry,
                    keeping,
                    facts: self.facts,
                    diary,
                };
                taking.take(ingest, &runtime, stopped.clone(), closers)?;
            }
            if config.serve.admin.is_some() {
                let answering = Answering {
                    start: self.start,
                    dir: self.dir,
                    environment: self.environment,
                    keeping,
                    registry: &registry,
                    host: self.identity.id(),
                    cluster: self.identity.cluster().to_owned(),
                    facts: self.facts,
                    diary,
                    running: keeping.running.get().cloned(),
                    in_force: self.in_force,
                };
                answering.answer(&runtime, stopped)?;
            }
        }
        let close = move || {
            let _ = stop.send(true);
            runtime.shutdown_timeout(CONNECTIONS_END);
        };
        closers.push(("serving", Box::new(close)));
        Ok(())
    }

    /// The hosts and tokens of the cluster whose authority is here.
    fn registry(&self) -> Result<Arc<Registry>, Failure> {
        let keys = self.dir.keys();
        let unreadable = |e: hansard_identity::Failure| {
            let what = e.to_string();
            let what = hansard_view::escape_for_humans(&what);
            let next = "bring the keys back from where they went";
            Failure::new(STATUS_NOT_READY, what, next)
        };
        let authority = Authority::open(&authority_dir(&keys)).map_err(unreadable)?;
        let random = Arc::clone(&self.environment.random);
        let fill = move |bytes: &mut [u8]| random.fill(bytes);
        let opened = Registry::open(&registry_dir(&keys), Arc::new(authority), Arc::new(fill));
        let (registry, found) = opened.map_err(unreadable)?;
        found.into_iter().for_each(|body| self.facts.mention(body));
        Ok(Arc::new(registry))
    }

    /// What every header says of this machine.
    fn target(&self) -> Fields {
        let config = &self.start.config;
        let labels = config.node.labels.iter();
        let labels = labels.map(|(name, value)| Value::Text(format!("{name}={value}")));
        let target = Fields::new()
            .with("server_id", self.identity.id().to_string())
            .with("server_hostname", config.node_name())
            .with("cluster_name", self.identity.cluster());
        match config.node.labels.is_empty() {
            true => target,
            false => target.with("server_labels", Value::List(labels.collect())),
        }
    }

    fn about(&self) -> About {
        let kind = match self.start.config.store {
            Some(_) => "service",
            None => "host",
        };
        let certificate = self.identity.recorder_certificate().to_vec();
        About {
            kind: kind.to_owned(),
            target: self
                .target()
                .with(CERTIFICATE_FIELD, Value::Bytes(certificate)),
            policy: Policy::default(),
            recorder: format!("hansardd {}", env!("CARGO_PKG_VERSION")),
            options: Options::default(),
            day_ns: DAY_NS,
        }
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
