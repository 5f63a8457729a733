//! Headers of a connection's sessions, and the recorders that they are opened with.

use std::net::SocketAddr;
use std::sync::Arc;

use hansard_core::policy::{OnEnd, Policy, Watch};
use hansard_core::{Fields, Granted, Login, Session, SessionId, Value};
use hansard_record::{Options, Recorder};
use hansard_shell::Account;

use super::account;
use super::limits::STREAM_QUEUE_BYTES;
use super::proxy::Destination;
use crate::local::Shared;

/// Who is in, and from where to where.
#[derive(Debug, Clone)]
pub(super) struct Who {
    /// Who it is, as the certificate says.
    pub(super) user: String,
    /// The account.
    pub(super) account: Account,
    /// What roles let them in, and what those say; `None`: they came without.
    pub(super) granted: Option<Granted>,
    pub(super) remote: SocketAddr,
    pub(super) local: SocketAddr,
    /// Whether the account is one of another machine, as all are that a proxy lets in, wherever it leads.
    pub(super) is_elsewhere: bool,
    /// Where the proxy leads them; on a node nowhere, and nowhere yet in the outer connection of `ssh -J`.
    pub(super) target: Option<Destination>,
    /// What the client says it is.
    pub(super) client: String,
}

impl Who {
    /// Who that is, for whoever decides about sessions. An account elsewhere is in no group of this machine.
    fn login(&self, kind: &str) -> Login {
        match self.is_elsewhere {
            false => account::login(&self.account, kind),
            true => Login {
                user: self.account.name.clone(),
                uid: self.account.uid,
                groups: Vec::new(),
                kind: kind.to_owned(),
            },
        }
    }

    /// Addresses as sshd(8) gives them to programs: `ADDRESS PORT ADDRESS PORT`.
    pub(super) fn connection(&self) -> String {
        let (remote, local) = (self.remote, self.local);
        format!(
            "{} {} {} {}",
            remote.ip().to_canonical(),
            remote.port(),
            local.ip().to_canonical(),
            local.port()
        )
    }
}

/// What a session is of.
#[derive(Debug, Clone, Default)]
pub(super) struct About {
    /// `ssh` for a connection; `terminal`, `exec` or `sftp` for what runs in a channel, `forward` for what
    /// leads through one.
    pub(super) kind: &'static str,
    pub(super) parent: Option<SessionId>,
    pub(super) channel: Option<u32>,
    pub(super) term: Option<String>,
    pub(super) command: Option<String>,
    pub(super) argv: Vec<String>,
    pub(super) subsystem: Option<String>,
    /// Where a forward leads.
    pub(super) addr: Option<String>,
    /// The address of the target that was connected to for it. Of the connection's own session it is not known
    /// yet: its header is there before anybody is led anywhere.
    pub(super) reached: Option<SocketAddr>,
}

/// A session that is being recorded.
pub(super) struct Opened {
    pub(super) session: Session,
    pub(super) recorder: Recorder,
    pub(super) notice: String,
    pub(super) on_end: OnEnd,
    /// What is told of what its processes do.
    pub(super) watch: Watch,
}

/// Opens a recording: when this returns, its header is durable.
///
/// # Errors
/// Why there is no session.
pub(super) fn open(shared: &Shared, who: &Who, about: About) -> Result<Opened, String> {
    let (config, means) = (&shared.config, &shared.means);
    let is_connection = about.kind == "ssh";
    let decided = config
        .gate
        .as_ref()
        .map(|gate| gate.0.admit(&who.login(about.kind)));
    let mut policy = decided
        .as_ref()
        .map_or(&config.policy, |d| &d.policy)
        .clone();
    if decided.as_ref().is_some_and(|decided| !decided.recorded) {
        // Somebody decided that the content is not kept. That the session was, is.
        policy = unkept(policy);
    }
    if let Some(granted) = &who.granted {
        granted.keep(&mut policy);
    }
    if is_connection {
        // Nothing happens in it while its channels work.
        policy.idle_ms_max = 0;
    }
    let session = session(shared, who, about, policy)?;
    let is_stream = ["exec", "forward", "sftp"].contains(&session.kind.as_str());
    let options = Options {
        queue_bytes: match is_stream {
            true => config.options.queue_bytes.max(STREAM_QUEUE_BYTES),
            false => config.options.queue_bytes,
        },
        ..config.options
    };
    let recorder = means.record(&session, options)?;
    let (notice, on_end, watch) = decided
        .map(|decided| (decided.notice, decided.on_end, decided.watch))
        .unwrap_or_default();
    Ok(Opened {
        session,
        recorder,
        notice,
        on_end,
        watch,
    })
}

fn unkept(policy: Policy) -> Policy {
    Policy {
        stdin: false,
        keystrokes: false,
        stdout: false,
        stderr: false,
        files: false,
        forwarding: false,
        ..policy
    }
}

fn session(shared: &Shared, who: &Who, about: About, policy: Policy) -> Result<Session, String> {
    let means = &shared.means;
    let start_utc_ns = means.env.clock.utc_ns();
    let mut random = [0; 10];
    let filled = means.env.random.fill(&mut random);
    filled.map_err(|e| format!("no randomness for an id: {e}"))?;
    let mut subject = Fields::new()
        .with("user", who.user.as_str())
        .with("login", who.account.name.as_str());
    if !who.is_elsewhere {
        subject.push("uid", u64::from(who.account.uid));
    }
    if let Some(granted) = &who.granted {
        let roles = granted.roles.iter().map(|role| Value::from(role.as_str()));
        subject.push("user_roles", Value::List(roles.collect()));
    }
    let mut origin = Fields::new()
        .with("proto", "ssh")
        .with("addr.remote", canonical(who.remote).to_string())
        .with("addr.local", canonical(who.local).to_string())
        .with("ssh_connection", who.connection())
        .with("client_version", who.client.as_str());
    if let Some(term) = about.term {
        origin.push("term", term);
    }
    if let Some(channel) = about.channel {
        origin.push("channel_id", u64::from(channel));
    }
    let mut target = means.facts.clone();
    if let Some(to) = &who.target {
        target = elsewhere(&means.facts, to, about.reached);
    } else if !["ssh", "forward"].contains(&about.kind) {
        let shell = account::shell(&who.account);
        target.push("shell", shell.to_string_lossy().into_owned());
    }
    if let Some(addr) = about.addr {
        target.push("addr", addr);
    }
    if let Some(subsystem) = about.subsystem {
        target.push("subsystem", subsystem);
    }
    if !about.argv.is_empty() {
        let argv = about.argv.iter().map(|arg| Value::from(arg.as_str()));
        target.push("argv", Value::List(argv.collect()));
    }
    if let Some(command) = about.command {
        target.push("command", command);
    }
    Ok(Session {
        id: SessionId::new_v7(start_utc_ns / 1_000_000, random),
        parent: about.parent,
        kind: about.kind.to_owned(),
        subject,
        origin,
        target,
        start_utc_ns,
        clock: means.env.clock.quality(),
        policy,
        recorder_key: means.key.public(),
        recorder: means.recorder.clone(),
    })
}

/// A target that is not this machine, but reached through it: at this address, once it is.
fn elsewhere(machine: &Fields, to: &Destination, reached: Option<SocketAddr>) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in machine.iter() {
        match name {
            "server_hostname" | "server_addr" => {}
            "server_id" => fields.push("forwarded_by", value.clone()),
            _ => fields.push(name, value.clone()),
        }
    }
    fields.with("server_hostname", to.host.as_str()).with(
        "server_addr",
        reached.map_or_else(|| to.to_string(), reached_at),
    )
}

/// An address of IPv4 as one, also where the socket is one of IPv6.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// An address that was connected to, as `server_addr` says it.
pub(super) fn reached_at(address: SocketAddr) -> String {
    canonical(address).to_string()
}

/// What every part of a node works with.
pub(super) type OfMachine = Arc<Shared>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_elsewhere_is_in_no_group_of_this_machine_wherever_it_leads() {
        let here = hansard_shell::account_named("root").unwrap();
        let root = account::elsewhere("root");
        let web = Destination::of("web", 22).unwrap();
        for (account, is_elsewhere, target) in [
            (here, false, None),
            (root.clone(), true, None),
            (root, true, Some(web)),
        ] {
            let who = Who {
                user: "anna".into(),
                account,
                granted: None,
                remote: ([127, 0, 0, 1], 1).into(),
                local: ([127, 0, 0, 1], 2).into(),
                is_elsewhere,
                target,
                client: String::new(),
            };
            let login = who.login("ssh");
            assert_eq!(login.user, "root");
            assert_eq!(login.groups.is_empty(), is_elsewhere, "{login:?}");
        }
    }
}
