//! Opening the parts of the daemon, from the ground up.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hansard_core::Body;
use hansard_identity::HostIdentity;
use hansard_record::revive::Revival;
use hansard_record::spool::Spool;
use hansard_store::Archive;

use super::keeping::{Kept, no_thread};
use super::measuring::{measure, measure_disks, timed, watch};
use super::minder::{Facts, Minder, Seen};
use super::own::{Own, Sinks, following, identity};
use super::serving::Serving;
use super::{Closer, Ending, Start, capturing, fact, keeping};
use crate::config::Config;
use crate::data_dir::{DataDir, Held};
use crate::failure::{Failure, shown};
use crate::metrics::Metrics;
use crate::metrics::serve::Health;
use crate::stores;

/// What is open while the daemon runs.
pub(super) struct Opened {
    /// What is switched on, for people.
    pub(super) roles: Vec<&'static str>,
    pub(super) facts: Facts,
    pub(super) in_force: Arc<RwLock<Config>>,
    pub(super) kept: Option<Kept>,
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
        let (followed, live) = following(&environment);
        let sinks = Sinks {
            spool: spool.clone(),
            live: config.store.is_some().then(|| live.clone()),
        };
        let stores = match &config.store {
            Some(store) => {
                let stores = stores::open(dir, who)?;
                let options = stores::archive_options(store);
                let (blobs, catalog) = (stores.blobs.clone(), stores.catalog.clone());
                let archive = Archive::new(blobs, catalog, options);
                Some((stores, Arc::new(archive)))
            }
            None => None,
        };
        let own = Own {
            config,
            dir,
            environment: &environment,
            identity: &identity,
            sinks: &sinks,
        };
        let (diary, open, revival) = own.open(&spool)?;
        let of_closer = diary.clone();
        let close_diary = move || drop(of_closer.close("the daemon stopped"));
        closers.push(("own recording", Box::new(close_diary)));

        measure(&mut metrics, &spool, stores.as_ref(), start);
        let seen = Arc::new(Mutex::new(Seen::default()));
        measure_disks(&mut metrics, &seen);
        let (facts, told) = Facts::new(start.wake.clone());
        let minder = Minder {
            diary: diary.clone(),
            watch: watch(dir, &spool, stores.is_some()),
            journal: start.journal.clone(),
            wake: start.wake.clone(),
            seen,
        };
        let minding = minder.start(facts.clone(), told).map_err(no_thread)?;
        closers.push(("minder", Box::new(move || minding.stop())));

        let mut opened = Self {
            roles: roles(config),
            facts,
            in_force: Arc::new(RwLock::new(config.clone())),
            kept: None,
        };
        opened.say_what_was_found(start, &spool, &revival, &identity);
        if let Some((stores, archive)) = &stores {
            opened.say_what_was_rebuilt(start, dir, &stores.opened);
            let keeping = keeping::Opening {
                dir,
                environment: &environment,
                journal: &start.journal,
                spool: &spool,
                live: &live,
                open: &open,
                facts: &opened.facts,
                id: &identity.id().to_string(),
                key: identity.recorder_key().public(),
                settled: Arc::new(|_, _| {}),
                in_force: &opened.in_force,
            };
            opened.kept = Some(keeping.open(stores, archive, &mut metrics, closers)?);
        }
        let recorded = match &config.capture.local {
            Some(local) => {
                let capturing = capturing::Opening {
                    node: &config.node,
                    local,
                    environment: &environment,
                    journal: &start.journal,
                    open: &open,
                    facts: &opened.facts,
                    key: identity.recorder_key(),
                    target: own.target(),
                    sinks: sinks.maker(),
                };
                let recorded = capturing.open(&mut metrics, closers)?;
                let _ = followed.set(recorded.clone());
                Some(recorded)
            }
            None => None,
        };
        let serving = Serving {
            start,
            held,
            environment: &environment,
            spool: &spool,
            diary: &diary,
            identity: &identity,
            recorded,
        };
        serving.open(&opened, metrics, health, closers)?;
        Ok(opened)
    }

    /// Why the daemon cannot go on, if so.
    pub(super) fn failed(&self) -> Option<String> {
        let kept = self.kept.as_ref()?;
        let why = "the thread that archives has died; everything waits in the spool";
        (!(kept.is_keeping)()).then(|| why.to_owned())
    }

    /// Records a fact about the daemon. It is durable soon; what must be so before something
    /// happens is recorded by whoever does that.
    pub(super) fn tell(&self, body: Body) {
        self.facts.tell(body);
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
        spool: &Spool,
        revival: &Revival,
        identity: &HostIdentity,
    ) {
        let recovered = u64::try_from(revival.revived.len()).unwrap_or(u64::MAX);
        let hex = hansard_identity::hex::encode(&identity.recorder_key().public());
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
    }

    /// Says what opening the stores found.
    fn say_what_was_rebuilt(&self, start: &Start, dir: &DataDir, opened: &stores::Opened) {
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
            let segment = Some(alarm.segment);
            self.tell(fact::alarm(kind, Some(&session), segment, &alarm.what));
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
