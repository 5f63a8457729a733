//! Opening the parts of the daemon, from the ground up.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use hansard_core::Body;
use hansard_core::fields::{Fields, Value};
use hansard_core::policy::Policy;
use hansard_core::seal::SigningKey;
use hansard_identity::{HostId, HostIdentity};
use hansard_record::Environment;
use hansard_record::diary::{About, DAY_NS, Diary, Means};
use hansard_record::open_sessions::{OpenSessions, this_boot};
use hansard_record::recorder::Options;
use hansard_record::revive::{Revival, revive};
use hansard_record::spool::Spool;
use hansard_store::Archive;
use tokio::runtime::Runtime;

use super::minder::{Facts, Minder, Seen};
use super::{Closer, Ending, Start, fact};
use crate::capacity::{Filling, Watch, disk_of};
use crate::config::Config;
use crate::data_dir::{DataDir, Held};
use crate::failure::{Failure, STATUS_FAILED, STATUS_NOT_READY, shown};
use crate::init::keys::host_dir;
use crate::metrics::serve::{Health, serve};
use crate::metrics::{Measure, Metrics};
use crate::stores::{self, Stores};
use crate::timed_disk::TimedDisk;

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
}

impl Opened {
    /// Opens everything. What is open is in `closers`, also after an error.
    pub(super) fn open(
        start: &Start,
        held: &Held,
        who: &str,
        health: Arc<Health>,
        closers: &mut Vec<Closer>,
    ) -> Result<Self, Failure> {
        let (config, dir) = (&start.config, &held.dir);
        let mut metrics = Metrics::default();
        let environment = timed(&start.environment, &metrics);
        let spool = stores::spool(&config.node, dir, environment.disk.clone(), who)?;
        let identity = identity(dir)?;
        let key = identity.recorder_key();
        let kept = match &config.store {
            Some(store) => {
                let stores = stores::open(dir, who)?;
                let options = stores::archive_options(store);
                let (blobs, catalog) = (stores.blobs.clone(), stores.catalog.clone());
                Some((stores, Arc::new(Archive::new(blobs, catalog, options))))
            }
            None => None,
        };
        let roles = roles(config);
        let diary = Own {
            start,
            dir,
            environment: &environment,
            identity: &identity,
        };
        let (diary, revival) = diary.open(&spool, &key)?;
        let of_closer = diary.clone();
        let close_diary = move || drop(of_closer.close("the daemon stopped"));
        closers.push(("own recording", Box::new(close_diary)));

        measure(&mut metrics, &spool, kept.as_ref(), start);
        let seen = Arc::new(Mutex::new(Seen::default()));
        measure_disks(&mut metrics, &seen);
        let minder = Minder {
            diary,
            watch: watch(dir, &spool, kept.is_some()),
            journal: start.journal.clone(),
            wake: start.wake.clone(),
            seen,
        };
        let minding = minder.start().map_err(no_thread)?;
        let facts = minding.facts();
        closers.push(("minder", Box::new(move || minding.stop())));

        serve_all(start, metrics, health, closers)?;

        let opened = Self {
            roles,
            facts,
            in_force: Arc::new(RwLock::new(config.clone())),
        };
        opened.say_what_was_found(start, dir, &spool, kept.as_ref(), &revival, &key);
        Ok(opened)
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

    /// Says what the start found and made good: in the own recording, and in the log.
    fn say_what_was_found(
        &self,
        start: &Start,
        dir: &DataDir,
        spool: &Spool,
        kept: Option<&(Stores, Arc<Archive>)>,
        revival: &Revival,
        key: &SigningKey,
    ) {
        let recovered = u64::try_from(revival.revived.len()).unwrap_or(u64::MAX);
        let hex = hansard_identity::hex::encode(&key.public());
        self.tell(fact::start(&self.roles, &hex, recovered));
        for revived in &revival.revived {
            let session = revived.session.to_string();
            let lost = revived.gap.as_ref().and_then(|gap| gap.bytes_max);
            start.journal.warning(
                "a recording was brought to an end, its recorder had died",
                &[("session", &session)],
            );
            self.tell(fact::recovered(&session, "its recorder had died", lost));
        }
        for left in &revival.left {
            let session = left.session.to_string();
            start.journal.error(
                "a recording could not be brought to an end",
                &[("session", &session), ("why", &left.why)],
            );
            self.tell(fact::alarm("unfinished", Some(&session), None, &left.why));
        }
        for rot in spool.damage() {
            let (path, offset) = (shown(&rot.path), rot.offset);
            start.journal.error(
                "the disk has damaged the spool",
                &[("path", &path), ("offset", &offset)],
            );
            let what = format!("{path}: the entry at {offset} is damaged");
            self.tell(fact::alarm("spool_damaged", None, None, &what));
        }
        let Some((stores, _)) = kept else {
            return;
        };
        let opened = &stores.opened;
        if let Some((why, aside)) = &opened.rebuilt {
            let path = shown(aside.as_deref().unwrap_or(&dir.catalog()));
            start.journal.error(
                "the catalog was damaged and was built anew",
                &[("why", why), ("damaged", &path)],
            );
            self.tell(fact::catalog_damaged(&path, why));
            let (adopted, projected) = (&opened.adopted, &opened.projected);
            self.tell(fact::catalog_rebuilt(
                adopted.segments,
                projected.events,
                adopted.quarantined.saturating_add(projected.quarantined),
                adopted.after_loss,
            ));
        }
        for alarm in &opened.adopted.alarms {
            let session = alarm.session.to_string();
            start.journal.error(
                "a segment in the archive is not what must be there",
                &[("session", &session), ("what", &alarm.what)],
            );
            let kind = alarm.kind.as_str();
            self.tell(fact::alarm(
                kind,
                Some(&session),
                Some(alarm.segment),
                &alarm.what,
            ));
        }
    }
}

/// The environment, with the times of its disk's syncs measured.
fn timed(environment: &Environment, metrics: &Metrics) -> Environment {
    let sync_seconds = metrics.sync_seconds();
    let on_sync = Arc::new(move |took: Duration| sync_seconds.observe(took.as_secs_f64()));
    Environment {
        disk: Arc::new(TimedDisk::new(environment.disk.clone(), on_sync)),
        ..environment.clone()
    }
}

fn identity(dir: &DataDir) -> Result<HostIdentity, Failure> {
    let next =
        "bring the keys back from where they went, or make a new machine with `hansardd init`";
    match HostIdentity::open(&host_dir(&dir.keys())) {
        Ok(Some(identity)) => Ok(identity),
        Ok(None) => Err(Failure::new(
            STATUS_NOT_READY,
            "this machine's keys are not certified",
            next,
        )),
        Err(e) => {
            let what = e.to_string();
            let what = hansard_view::escape_for_humans(&what);
            Err(Failure::new(STATUS_NOT_READY, what, next))
        }
    }
}

/// The roles that are switched on, in words.
fn roles(config: &Config) -> Vec<&'static str> {
    let roles = [
        ("capture.local", config.capture.local.is_some()),
        ("forward", config.forward.is_some()),
        ("store", config.store.is_some()),
        ("serve.ingest", config.serve.ingest.is_some()),
        ("serve.admin", config.serve.admin.is_some()),
        ("serve.metrics", config.serve.metrics.is_some()),
    ];
    let on = roles.into_iter().filter(|(_, is_on)| *is_on);
    on.map(|(name, _)| name).collect()
}

/// What the own recording needs.
struct Own<'a> {
    start: &'a Start,
    dir: &'a DataDir,
    environment: &'a Environment,
    identity: &'a HostIdentity,
}

impl Own<'_> {
    /// Brings to an end what died with the last process, and begins today's own recording.
    fn open(&self, spool: &Spool, key: &SigningKey) -> Result<(Diary, Revival), Failure> {
        let (dir, environment) = (self.dir, self.environment);
        let boot = this_boot(environment).map_err(|e| Failure::about(dir.path(), &e))?;
        let notes = dir.open_sessions();
        let disk = environment.disk.clone();
        let open =
            OpenSessions::open(&notes, disk, boot).map_err(|e| Failure::about(&notes, &e))?;
        let revival = revive(spool, &mut spool.clone(), key, &open)
            .map_err(|e| Failure::about(&notes, &e))?;
        let of_diary = spool.clone();
        let means = Means {
            key: key.clone(),
            sinks: Box::new(move || Box::new(of_diary.clone())),
            env: environment.clone(),
            open: open.clone(),
            link: dir.diary_link(),
        };
        let diary = Diary::open(self.about(), means, &revival).map_err(|lost| {
            let what = format!("the daemon's own recording cannot be begun: {lost}");
            let next = "make room on the disk of data_dir; `hansardd doctor` looks at it";
            Failure::new(STATUS_FAILED, what, next)
        })?;
        // A crash before this finds the same recordings finished, at the next start.
        revival
            .done(&open)
            .map_err(|e| Failure::about(&notes, &e))?;
        Ok((diary, revival))
    }

    fn about(&self) -> About {
        let config = &self.start.config;
        let id: HostId = self.identity.id();
        let mut target = Fields::new()
            .with("server_id", id.to_string())
            .with("server_hostname", config.node_name())
            .with("cluster_name", self.identity.cluster());
        for (name, value) in &config.node.labels {
            target.push(format!("label.{name}"), Value::Text(value.clone()));
        }
        About {
            kind: if config.store.is_some() {
                "service"
            } else {
                "host"
            }
            .to_owned(),
            target,
            policy: Policy::default(),
            recorder: format!("hansardd {}", env!("CARGO_PKG_VERSION")),
            options: Options::default(),
            day_ns: DAY_NS,
        }
    }
}

fn watch(dir: &DataDir, spool: &Spool, keeps: bool) -> Watch {
    let mut watch = Watch::default();
    let mut disks = vec![("spool disk", dir.spool())];
    if keeps {
        disks.push(("archive disk", dir.archive()));
    }
    for (name, path) in disks {
        let asked = path.clone();
        watch.disk(name, &path, Box::new(move || disk_of(&asked)));
    }
    let of_spool = spool.clone();
    let filling = move || {
        let usage = of_spool.usage();
        Ok(Filling {
            used: usage.bytes,
            free: usage.bytes_max.saturating_sub(usage.bytes),
        })
    };
    watch.bound("spool", Box::new(filling));
    watch
}

/// Numbers of things as metrics have them. Above 2^53 they are rounded.
#[allow(clippy::cast_precision_loss)]
fn float(number: u64) -> f64 {
    number as f64
}

fn measure(
    metrics: &mut Metrics,
    spool: &Spool,
    kept: Option<&(Stores, Arc<Archive>)>,
    start: &Start,
) {
    let of = || spool.clone();
    let (bytes, bytes_max, parts) = (of(), of(), of());
    metrics.read(Measure::SpoolBytes, move || float(bytes.usage().bytes));
    metrics.read(Measure::SpoolBytesMax, move || {
        float(bytes_max.usage().bytes_max)
    });
    metrics.read(Measure::SpoolParts, move || {
        float(parts.usage().parts as u64)
    });
    let damage = float(spool.damage().len() as u64);
    metrics.read(Measure::Damage, move || damage);
    if let Some((_, archive)) = kept {
        let (bytes, segments) = (archive.clone(), archive.clone());
        metrics.read(Measure::ArchiveWaitsBytes, move || float(bytes.waits().0));
        metrics.read(Measure::ArchiveWaits, move || {
            float(segments.waits().1 as u64)
        });
    }
    let (suppressed, unwritten) = (start.journal.clone(), start.journal.clone());
    metrics.read(Measure::LogSuppressed, move || {
        float(suppressed.suppressed())
    });
    metrics.read(Measure::LogUnwritten, move || float(unwritten.unwritten()));
}

/// What the minder last saw. The names are ours: two disks, three things with a bound.
fn measure_disks(metrics: &mut Metrics, seen: &Arc<Mutex<Seen>>) {
    for (disk, name) in [("spool", "spool disk"), ("archive", "archive disk")] {
        let label = || vec![("disk", disk.to_owned())];
        let read = |value: fn(&crate::capacity::Disk) -> u64| {
            let seen = Arc::clone(seen);
            move || {
                let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                {
                    let found = seen.free.iter().find(|(there, _)| there == name);
                    found.map_or(f64::NAN, |(_, disk)| float(value(disk)))
                }
            }
        };
        metrics.read_labelled(Measure::DiskFree, label(), read(|disk| disk.bytes.free));
        metrics.read_labelled(
            Measure::DiskInodesFree,
            label(),
            read(|disk| disk.inodes.free),
        );
    }
    for what in [
        "spool",
        "spool disk bytes",
        "spool disk inodes",
        "archive disk bytes",
        "archive disk inodes",
    ] {
        let seen = Arc::clone(seen);
        let read = move || {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let found = seen.fullness.iter().find(|(name, _)| name == what);
            found.map_or(0.0, |(_, fullness)| f64::from(*fullness as u8))
        };
        metrics.read_labelled(Measure::Fullness, vec![("what", what.to_owned())], read);
    }
}

/// Starts the runtime and what it serves.
fn serve_all(
    start: &Start,
    metrics: Metrics,
    health: Arc<Health>,
    closers: &mut Vec<Closer>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("serving")
        .enable_all()
        .build()
        .map_err(no_thread)?;
    if let Some(serving) = &start.config.serve.metrics {
        let listener = listen(&runtime, "serve.metrics.listen", serving.listen)?;
        // Where the kernel chose the port, only this says which.
        let address = listener.local_addr().unwrap_or(serving.listen);
        runtime.spawn(serve(listener, Arc::new(metrics.finish()), health));
        start.journal.info("metrics", &[("listen", &address)]);
    }
    let stop = move || runtime.shutdown_timeout(CONNECTIONS_END);
    closers.push(("serving", Box::new(stop)));
    Ok(())
}

fn listen(
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

fn no_thread(error: std::io::Error) -> Failure {
    let what = format!("no thread: {}", crate::failure::plain(&error));
    Failure::new(STATUS_FAILED, what, "raise the limit of tasks or of memory")
}
