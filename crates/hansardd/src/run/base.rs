//! What every role is opened with, and each role by name.

use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use hansard_capture::registry::Registry as Running;
use hansard_capture::shell::Found;
use hansard_core::SessionId;
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
use hansard_record::revive::{GoesOn, Revival, going_on, revive_but};
use hansard_record::spool::Spool;
use hansard_store::Archive;

use super::answering::{Answering, Door, HostAnswering, audit};
use super::deciding::Deciding;
use super::facts::Facts;
use super::keeping::{Ground, Keeping};
use super::measuring::measure_host_events;
use super::opening::{SPOOL_RESERVE_BYTES, listen, no_thread};
use super::rebuilt::Rebuilt;
use super::recording::{Recording, Sinks};
use super::retiring::Retiring;
use super::sending::Sending;
use super::stuck::Stuck;
use super::taking::Taking;
use super::watching::{listening, watching};
use super::{Closer, Start, glass};
use crate::behind::{Locked, Stored};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::{Failure, STATUS_FAILED, STATUS_NOT_READY};
use crate::init::keys::{authority_dir, identity, registry_dir};
use crate::metrics::Metrics;
use crate::metrics::serve::{Health, serve};
use crate::policy::Central;
use crate::stores::Stores;
use crate::tee::{Source, Tee};

/// Threads of the runtime that serves connections.
const RUNTIME_THREADS: usize = 2;

/// How long connections have to end by themselves when the daemon does.
const CONNECTIONS_END: Duration = Duration::from_secs(2);

/// A login that the last process held, and the recording that goes on with it.
pub(super) type Going = Vec<(Found, GoesOn)>;

/// Brings to an end what died with the last process, but what somebody kept for this one.
pub(super) fn revived(
    start: &Start,
    dir: &DataDir,
    environment: &Environment,
    spool: &Spool,
    key: &SigningKey,
) -> Result<(OpenSessions, Revival, Going), Failure> {
    let boot = this_boot(environment).map_err(|e| Failure::about(dir.path(), &e))?;
    let notes = dir.open_sessions();
    let about = |e: std::io::Error| Failure::about(&notes, &e);
    let open = OpenSessions::open(&notes, environment.disk.clone(), boot).map_err(about)?;
    let found = start.found();
    let wanted = found.iter().map(Found::session).collect();
    let mut goes_on = going_on(spool, key, &open, &wanted).map_err(about)?;
    let kept = goes_on.keys().copied().collect();
    let revival = revive_but(spool, &mut spool.clone(), key, &open, &kept).map_err(about)?;
    let mut going = Going::new();
    for login in found {
        match (goes_on.remove(&login.session()), &start.store) {
            (Some(goes_on), _) => going.push((login, goes_on)),
            // Its recording has its end: what is attached to its terminal must not go on.
            (None, Some(store)) => login.drop_for_good(&**store),
            (None, None) => {}
        }
    }
    Ok((open, revival, going))
}

/// What every role stands on.
pub(super) struct Base<'a> {
    pub(super) start: &'a Start,
    pub(super) dir: &'a DataDir,
    pub(super) environment: &'a Environment,
    pub(super) spool: &'a Spool,
    pub(super) identity: &'a HostIdentity,
    pub(super) open: &'a OpenSessions,
    pub(super) facts: &'a Facts,
    pub(super) in_force: &'a Arc<RwLock<Config>>,
    pub(super) deciding: &'a Deciding,
    /// Who is locked out; on a host nobody knows.
    pub(super) locked: Option<Locked>,
    /// Credentials for targets of the proxy, on a service.
    pub(super) credentials: Option<Stored>,
}

impl Base<'_> {
    pub(super) fn keep(
        &self,
        kept: Option<&(Stores, Arc<Archive>)>,
        registry: Option<Arc<Registry>>,
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
            registry,
        };
        ground.keep(closers).map(Some)
    }

    /// Deletes what the rules say, from now on.
    pub(super) fn retire(
        &self,
        kept: Option<&(Stores, Arc<Archive>)>,
        keeping: Option<&Keeping>,
        diary: &Diary,
        waiting: Vec<SessionId>,
        closers: &mut Vec<Closer>,
    ) -> Result<(), Failure> {
        let (Some((stores, _)), Some(keeping)) = (kept, keeping) else {
            return Ok(());
        };
        let retiring = Retiring {
            blobs: Arc::clone(&stores.blobs),
            catalog: Arc::clone(&stores.catalog),
            clock: Arc::clone(&self.environment.clock),
            diary: diary.clone(),
            journal: self.start.journal.clone(),
            in_force: Arc::clone(self.in_force),
            rebuilt: Rebuilt::of(self.dir),
            recalling: stores.opened.recalling.clone(),
            is_recalling: Arc::clone(&keeping.recalling),
            spool: self.spool.clone(),
            live: keeping.live.clone(),
            waiting,
            stuck: Stuck::default(),
            keeper: Arc::clone(&keeping.keeper),
            alarms: Arc::clone(&keeping.alarms),
            key: self.identity.recorder_key().public(),
        };
        closers.push(("retention", retiring.start().map_err(no_thread)?));
        Ok(())
    }

    pub(super) fn send(
        &self,
        running: &Arc<OnceLock<Running>>,
        closers: &mut Vec<Closer>,
    ) -> Result<Option<Arc<Status>>, Failure> {
        let Some(forward) = &self.start.config.forward else {
            return Ok(None);
        };
        let clock = Arc::clone(&self.environment.clock);
        let policy = self.deciding.take(self.start, clock, self.facts, closers)?;
        let sending = Sending {
            policy,
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
    pub(super) fn sinks(&self, keeping: Option<&Keeping>, leaving: u64) -> Sinks {
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
    pub(super) fn diary(
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

    pub(super) fn record(
        &self,
        keeping: Option<&Keeping>,
        (running, going, diary): (&Arc<OnceLock<Running>>, Going, &Diary),
        metrics: &mut Metrics,
        closers: &mut Vec<Closer>,
    ) -> Result<(), Failure> {
        let capture = &self.start.config.capture;
        let Some(local) = &capture.local else {
            return Ok(());
        };
        if self.start.config.capture.shell.is_some() {
            // Before it is reported who broke the glass: only who may, by now, is believed to have.
            glass::review(self.start, self.deciding.in_force.clone(), closers)?;
        }
        let host = watching(self.start, self.facts, capture.host.as_ref())?;
        listening(self.start, self.facts, capture.host.as_ref(), closers);
        if let Some(host) = &host {
            measure_host_events(metrics, host);
        }
        let recording = Recording {
            start: self.start,
            environment: self.environment,
            dir: self.dir,
            identity: self.identity,
            about: self.target(),
            open: self.open,
            facts: self.facts,
            audit: audit(diary),
            gate: Arc::new(self.deciding.in_force.clone()),
            host,
            locked: self.locked.clone(),
            credentials: self.credentials.clone(),
        };
        let sinks = self.sinks(keeping, SPOOL_RESERVE_BYTES);
        let registry = recording.serve(local, sinks, going, closers)?;
        // Nobody else sets it.
        let _ = running.set(registry);
        Ok(())
    }

    /// Starts the runtime and what it serves.
    pub(super) fn serve(
        &self,
        keeping: Option<(&Keeping, &Arc<Registry>)>,
        host: (Option<&Arc<Status>>, &Arc<OnceLock<Running>>),
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
            let address = listener.local_addr().unwrap_or(serving.listen); // the kernel's choice
            runtime.spawn(serve(listener, Arc::new(metrics.finish()), health));
            self.start.journal.info("metrics", &[("listen", &address)]);
        }
        if let Some((keeping, registry)) = keeping {
            let policies = self.policies(keeping, registry); // before hosts connect, who are sent it
            if let Some(ingest) = &config.serve.ingest {
                let taking = Taking {
                    start: self.start,
                    environment: self.environment,
                    spool: self.spool,
                    identity: self.identity,
                    registry,
                    keeping,
                    facts: self.facts,
                    diary,
                };
                taking.take(ingest, &runtime, stopped.clone(), closers)?;
            }
            let with = self.locked.clone().zip(self.credentials.clone());
            let answers = policies.filter(|_| config.serve.admin.is_some());
            if let Some((policies, (locked, credentials))) = answers.zip(with) {
                let answering = Answering {
                    door: self.door(diary),
                    dir: self.dir,
                    keeping,
                    registry,
                    facts: self.facts,
                    policies,
                    running: keeping.running.get().cloned(),
                    locked,
                    credentials,
                };
                answering.answer(&runtime, stopped, closers)?;
            }
        } else if config.serve.admin.is_some() {
            let (sending, running) = host;
            let answering = HostAnswering {
                door: self.door(diary),
                spool: self.spool,
                sending,
                running,
            };
            answering.answer(&runtime, stopped, closers)?;
        }
        let close = move || {
            let _ = stop.send(true);
            runtime.shutdown_timeout(CONNECTIONS_END);
        };
        closers.push(("serving", Box::new(close)));
        Ok(())
    }

    /// The central policy, which is kept here.
    fn policies(&self, keeping: &Keeping, registry: &Arc<Registry>) -> Option<Arc<Central>> {
        let clock = Arc::clone(&self.environment.clock);
        let connections = keeping.connections.clone();
        self.deciding.central(registry, connections, clock)
    }

    fn door<'b>(&'b self, diary: &'b Diary) -> Door<'b> {
        Door {
            start: self.start,
            environment: self.environment,
            host: self.identity.id(),
            cluster: self.identity.cluster().to_owned(),
            diary,
            in_force: self.in_force,
        }
    }

    /// The same, where anybody is served who needs it.
    pub(super) fn cluster(&self, keeps: bool) -> Result<Option<Arc<Registry>>, Failure> {
        let serve = &self.start.config.serve;
        let serves = serve.ingest.is_some() || serve.admin.is_some();
        (keeps && serves).then(|| self.registry()).transpose()
    }

    /// The hosts and tokens of the cluster whose authority is here.
    pub(super) fn registry(&self) -> Result<Arc<Registry>, Failure> {
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
    pub(super) fn target(&self) -> Fields {
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

    pub(super) fn about(&self) -> About {
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
            // A full disk ends no daemon: it would find the same disk at its next start.
            options: Options {
                keeps_trying: true,
                ..Options::default()
            },
            day_ns: DAY_NS,
        }
    }
}
