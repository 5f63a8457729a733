//! The daemon's own recording, and the identity and sinks it is made with.

use std::sync::{Arc, OnceLock};

use hansard_capture::Registry as Recorded;
use hansard_core::Sink;
use hansard_core::fields::{Fields, Value};
use hansard_core::policy::Policy;
use hansard_identity::HostIdentity;
use hansard_record::Environment;
use hansard_record::diary::{About, DAY_NS, Diary, Means};
use hansard_record::open_sessions::{OpenSessions, this_boot};
use hansard_record::recorder::Options;
use hansard_record::revive::{Revival, revive};
use hansard_record::spool::Spool;

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::{Failure, STATUS_FAILED, STATUS_NOT_READY};
use crate::init::keys::host_dir;
use crate::live::Live;
use crate::tee::{Source, Tee};

/// This machine's keys and certificates.
pub(super) fn identity(dir: &DataDir) -> Result<HostIdentity, Failure> {
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

/// The sinks of this daemon's own recorders.
pub(super) struct Sinks {
    pub(super) spool: Spool,
    /// Told of what is put; only who keeps recordings has somebody who looks on.
    pub(super) live: Option<Live>,
}

impl Sinks {
    pub(super) fn maker(&self) -> Box<dyn Fn() -> Box<dyn Sink + Send> + Send + Sync> {
        let (spool, live) = (self.spool.clone(), self.live.clone());
        Box::new(move || match &live {
            Some(live) => Box::new(Tee::new(spool.clone(), live.clone(), Source::Local)),
            None => Box::new(spool.clone()),
        })
    }
}

/// Where it is noted who records here, once somebody does.
pub(super) type RecordedHere = Arc<OnceLock<Recorded>>;

/// The registry of what is happening. Whoever records a session that somebody begins to follow
/// closes its frames sooner.
pub(super) fn following(environment: &Environment) -> (RecordedHere, Live) {
    let recorded = RecordedHere::default();
    let here = Arc::clone(&recorded);
    let control = Arc::new(move |session, on| {
        if let Some(recorded) = here.get() {
            // A session that is recorded elsewhere, or has just ended, is none of its.
            let _ = recorded.set_followed(session, on);
        }
    });
    (recorded, Live::new(environment.clock.clone(), control))
}

/// What the own recording needs.
pub(super) struct Own<'a> {
    pub(super) config: &'a Config,
    pub(super) dir: &'a DataDir,
    pub(super) environment: &'a Environment,
    pub(super) identity: &'a HostIdentity,
    pub(super) sinks: &'a Sinks,
}

impl Own<'_> {
    /// Brings to an end what died with the last process, and begins today's own recording.
    pub(super) fn open(&self, spool: &Spool) -> Result<(Diary, OpenSessions, Revival), Failure> {
        let (dir, environment) = (self.dir, self.environment);
        let key = self.identity.recorder_key();
        let boot = this_boot(environment).map_err(|e| Failure::about(dir.path(), &e))?;
        let notes = dir.open_sessions();
        let disk = environment.disk.clone();
        let open =
            OpenSessions::open(&notes, disk, boot).map_err(|e| Failure::about(&notes, &e))?;
        let mut sink = (self.sinks.maker())();
        let revival =
            revive(spool, &mut *sink, &key, &open).map_err(|e| Failure::about(&notes, &e))?;
        let means = Means {
            key,
            sinks: self.sinks.maker(),
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
        Ok((diary, open, revival))
    }

    /// What every header says of this host.
    pub(super) fn target(&self) -> Fields {
        let labels = self.config.node.labels.iter();
        let labels = labels.map(|(name, value)| Value::Text(format!("{name}={value}")));
        Fields::new()
            .with("server_id", self.identity.id().to_string())
            .with("server_hostname", self.config.node_name())
            .with("cluster_name", self.identity.cluster())
            .with("server_labels", Value::List(labels.collect()))
    }

    fn about(&self) -> About {
        let kind = match &self.config.store {
            Some(_) => "service",
            None => "host",
        };
        About {
            kind: kind.to_owned(),
            target: self.target(),
            policy: Policy::default(),
            recorder: format!("hansardd {}", env!("CARGO_PKG_VERSION")),
            options: Options::default(),
            day_ns: DAY_NS,
        }
    }
}
