//! The role that records: sessions that programs on this machine hand over.

use std::sync::Arc;

use hansard_capture::host::HostEvents;
use hansard_capture::local::{
    Config as SocketConfig, Decides, Happening, LockedBy, Means, Server, Wishes,
};
use hansard_capture::shell::{Found, Logins};
use hansard_core::event::Fact;
use hansard_core::fields::{Fields, Value};
use hansard_core::policy::{BULK_BYTES_SHIPPED, Policy};
use hansard_core::{Body, Gate, Sink};
use hansard_identity::HostIdentity;
use hansard_identity::recorder::CERTIFICATE_FIELD;
use hansard_record::Environment;
use hansard_record::open_sessions::OpenSessions;

use super::base::Going;
use super::facts::Facts;
use super::opening::no_thread;
use super::{Closer, Start};
use crate::api::seams::Audit;
use crate::behind::{Locked, Stored};
use crate::config::{Local, Shell};
use crate::data_dir::DataDir;
use crate::failure::{Failure, STATUS_FAILED, shown};

/// Makes the sink of a recorder.
pub(super) type Sinks = Box<dyn Fn() -> Box<dyn Sink + Send> + Send + Sync>;

/// What recording stands on.
pub(super) struct Recording<'a> {
    pub(super) start: &'a Start,
    pub(super) environment: &'a Environment,
    pub(super) dir: &'a DataDir,
    pub(super) identity: &'a HostIdentity,
    /// What every header says of this host.
    pub(super) about: Fields,
    pub(super) open: &'a OpenSessions,
    pub(super) facts: &'a Facts,
    /// Puts something on record, durably.
    pub(super) audit: Audit,
    /// Who decides what is kept of a session.
    pub(super) gate: Arc<dyn Gate>,
    /// What the kernel tells of what sessions do, where that is recorded.
    pub(super) host: Option<HostEvents>,
    /// Who is locked out.
    pub(super) locked: Option<Locked>,
    /// Credentials for targets of the proxy.
    pub(super) credentials: Option<Stored>,
}

impl Recording<'_> {
    /// Opens the capture socket.
    pub(super) fn serve(
        self,
        local: &Local,
        sinks: Sinks,
        going: Going,
        closers: &mut Vec<Closer>,
    ) -> Result<hansard_capture::registry::Registry, Failure> {
        let socket = self.start.config.node.runtime_dir.join("capture.sock");
        let mut config = SocketConfig::at(socket.clone());
        config.policy = policy(local);
        config.gate = Some(Decides(Arc::clone(&self.gate)));
        config.host = self.host.clone();
        let locks = self.locked.clone();
        config.locks = locks.map(|locked| LockedBy(Arc::new(locked)));
        // What the daemon does not keep by itself, nobody's wish makes it keep: keys may hold
        // secrets of others, too.
        config.wishes = Wishes {
            keystrokes: local.keystrokes,
            ..Wishes::default()
        };
        config.connections_max = usize::try_from(local.sessions_max).unwrap_or(usize::MAX);
        let capture = &self.start.config.capture;
        let shell = capture.shell.as_ref();
        let logins = shell.map(|shell| self.logins(shell, &going)).transpose()?;
        let means = self.means(sinks);
        let server = Server::start_with(config, means, logins).map_err(|e| {
            let what = format!("{}: {}", shown(&socket), crate::failure::plain(&e));
            Failure::new(
                STATUS_FAILED,
                what,
                "see who has it, and that runtime_dir is there",
            )
        })?;
        let registry = server.registry();
        go_on(self.start, &server, going)?;
        // Stopped before the socket that it records beside.
        let node = match &capture.ssh {
            Some(ssh) => Some(super::ssh_node::start(&self, ssh, &server)?),
            None => None,
        };
        let proxy = match &capture.proxy {
            Some(proxy) => Some(super::ssh_proxy::start(&self, proxy, &server)?),
            None => None,
        };
        let journal = self.start.journal.clone();
        let stop = move || {
            let left = server.stop();
            if left > 0 {
                journal.warning(
                    "recordings are left for the next start",
                    &[("sessions", &left)],
                );
            }
        };
        closers.push(("capture", Box::new(stop)));
        let both = [("ssh", node), ("proxy", proxy)];
        for (role, server) in both.into_iter().filter_map(|(r, s)| Some((r, s?))) {
            super::ssh_node::close((role, server), self.start, closers);
        }
        Ok(registry)
    }

    /// What every recorder of this machine is made with.
    fn means(&self, sinks: Sinks) -> Means {
        let facts = self.facts.clone();
        let journal = self.start.journal.clone();
        Means {
            key: self.identity.recorder_key(),
            facts: self.about.clone().with(
                CERTIFICATE_FIELD,
                Value::Bytes(self.identity.recorder_certificate().to_vec()),
            ),
            recorder: format!("hansardd {}", env!("CARGO_PKG_VERSION")),
            sinks,
            env: self.environment.clone(),
            open: self.open.clone(),
            tell: Box::new(move |happening| {
                if let Happening::Said(body) = happening {
                    // The daemon is ending if nobody takes it, and says so itself.
                    let _ = facts.tell(body);
                    return;
                }
                if let Some(body) = fact_of(&happening) {
                    journal.warning("a session is not recorded", &[("what", &said(&happening))]);
                    // The daemon is ending if nobody takes it, and says so itself.
                    let _ = facts.tell(body);
                }
            }),
        }
    }

    fn logins(&self, shell: &Shell, going: &Going) -> Result<Logins, Failure> {
        let found: Vec<&Found> = going.iter().map(|(found, _)| found).collect();
        let gate = Arc::clone(&self.gate);
        super::logins::logins(self.start, self.facts, shell, gate, &found)
    }
}

/// With the logins that the last daemon held.
fn go_on(start: &Start, server: &Server, going: Going) -> Result<(), Failure> {
    if !going.is_empty() {
        let what = "logins go on that the last daemon held";
        start.journal.notice(what, &[("sessions", &going.len())]);
    }
    for (found, goes_on) in going {
        server.go_on(found, goes_on).map_err(no_thread)?;
    }
    Ok(())
}

/// What is kept of every session, and what happens when that cannot be.
pub(super) fn policy(local: &Local) -> Policy {
    Policy {
        stdin: local.stdin,
        keystrokes: local.keystrokes,
        stdout: local.stdout,
        stderr: local.stderr,
        strict: local.strict,
        on_loss: local.on_loss,
        hold_ms_max: local.hold.as_millis(),
        bulk_bytes_max: BULK_BYTES_SHIPPED,
        ..Policy::default()
    }
}

/// Beginnings and ends are events of the sessions themselves; what has no session is ours to tell.
fn fact_of(happening: &Happening) -> Option<Body> {
    let (event, fields) = match happening {
        Happening::Began { .. }
        | Happening::Ended { .. }
        | Happening::Paused { .. }
        | Happening::Said(_) => return None,
        Happening::Lost { session, why } => (
            "alarm",
            Fields::new()
                .with("alarm", "recording_lost")
                .with("recording", session.to_string())
                .with("reason", why.as_str()),
        ),
        Happening::Refused { uid, why, times } => {
            let fields = Fields::new()
                .with("reason", why.as_str())
                .with("times", *times);
            let fields = match uid {
                Some(uid) => fields.with("login", format!("uid {uid}")),
                None => fields,
            };
            ("session.rejected", fields)
        }
    };
    let fact = Fact {
        event: event.to_owned(),
        fields,
    };
    Some(match happening {
        Happening::Refused { .. } => Body::Auth(fact),
        _ => Body::Admin(fact),
    })
}

fn said(happening: &Happening) -> String {
    match happening {
        Happening::Began { session, .. } => format!("session {session} began"),
        Happening::Paused { session } => format!("session {session} waits for the next start"),
        Happening::Ended { session, reason } => format!("session {session} ended: {reason}"),
        Happening::Lost { session, why } => format!("session {session} is lost: {why}"),
        Happening::Said(body) => format!("an event of the family {}", body.family()),
        Happening::Refused { uid, why, times } => match uid {
            Some(uid) => format!("refused to uid {uid}, {times} times: {why}"),
            None => format!("refused, {times} times: {why}"),
        },
    }
}
