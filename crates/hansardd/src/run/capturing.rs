//! The capture role: sessions that programs of this machine hand over at `capture.sock`.

use hansard_capture::local::{Config as Served, Happening, Means, Server};
use hansard_capture::registry::Registry;
use hansard_core::Sink;
use hansard_core::fields::Fields;
use hansard_core::policy::Policy;
use hansard_core::seal::SigningKey;
use hansard_record::Environment;
use hansard_record::open_sessions::OpenSessions;

use super::minder::Facts;
use super::{Closer, fact};
use crate::config::{Local, Node};
use crate::failure::{Failure, STATUS_FAILED, shown};
use crate::journal::Journal;
use crate::metrics::{Measure, Metrics};

/// What the role is made with.
pub(super) struct Opening<'a> {
    pub(super) node: &'a Node,
    pub(super) local: &'a Local,
    pub(super) environment: &'a Environment,
    pub(super) journal: &'a Journal,
    pub(super) open: &'a OpenSessions,
    pub(super) facts: &'a Facts,
    pub(super) key: SigningKey,
    /// What every header says of this host.
    pub(super) target: Fields,
    pub(super) sinks: Box<dyn Fn() -> Box<dyn Sink + Send> + Send + Sync>,
}

impl Opening<'_> {
    /// Serves the socket; answers the sessions that are being recorded.
    pub(super) fn open(
        self,
        metrics: &mut Metrics,
        closers: &mut Vec<Closer>,
    ) -> Result<Registry, Failure> {
        let socket = self.node.runtime_dir.join("capture.sock");
        let mut served = Served::at(socket.clone());
        served.policy = policy(self.local);
        served.connections_max = usize::try_from(self.local.sessions_max).unwrap_or(usize::MAX);
        let (facts, journal) = (self.facts.clone(), self.journal.clone());
        let means = Means {
            key: self.key,
            facts: self.target,
            recorder: format!("hansardd {}", env!("CARGO_PKG_VERSION")),
            sinks: self.sinks,
            env: self.environment.clone(),
            open: self.open.clone(),
            tell: Box::new(move |happening| tell(&happening, &facts, &journal)),
        };
        let server = Server::start(served, means).map_err(|e| {
            let what = format!("{}: {}", shown(&socket), crate::failure::plain(&e));
            let next = "make node.runtime_dir writable for this user; under systemd, \
                        RuntimeDirectory=hansard does";
            Failure::new(STATUS_FAILED, what, next)
        })?;
        let registry = server.registry();
        let recorded = registry.clone();
        metrics.read(Measure::Sessions, move || {
            super::measuring::float(recorded.list().len() as u64)
        });
        let journal = self.journal.clone();
        let stop = move || {
            let unfinished = server.stop();
            if unfinished > 0 {
                journal.warning(
                    "sessions were not ended in time; the next start ends their recordings",
                    &[("sessions", &unfinished)],
                );
            }
        };
        closers.push(("capture", Box::new(stop)));
        Ok(registry)
    }
}

/// What is kept of a session, as the configuration has it.
fn policy(local: &Local) -> Policy {
    Policy {
        stdin: local.stdin,
        keystrokes: local.keystrokes,
        stdout: local.stdout,
        stderr: local.stderr,
        on_loss: local.on_loss,
        hold_ms_max: local.hold.as_millis(),
        strict: local.strict,
        ..Policy::default()
    }
}

/// That a session began and ended is in its own recording; what went wrong is told here, too.
fn tell(happening: &Happening, facts: &Facts, journal: &Journal) {
    match happening {
        Happening::Began { session, uid } => {
            journal.info("a session began", &[("session", session), ("uid", uid)]);
        }
        Happening::Ended { session, reason } => {
            journal.info(
                "a session ended",
                &[("session", session), ("reason", reason)],
            );
        }
        Happening::Lost { session, why } => {
            journal.error("a recording failed", &[("session", session), ("why", why)]);
            let session = session.to_string();
            facts.tell(fact::alarm("recording_failed", Some(&session), None, why));
        }
        Happening::Refused { uid, why } => {
            let uid = uid.map(u64::from);
            journal.warning("a session was refused", &[("why", why)]);
            facts.tell(fact::session_rejected(uid, why));
        }
    }
}
