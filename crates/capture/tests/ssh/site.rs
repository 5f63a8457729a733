//! A node in this process, an authority that it believes, and a client.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hansard_capture::local::{Config as LocalConfig, Happening};
use hansard_capture::ssh::{Config, Server};
use hansard_core::event::{Body, Event, Fact};
use hansard_core::{Session, SessionId};
use hansard_record::SpoolOptions;
use hansard_shell::{Account, account_of};

use crate::support::{Daemon, TempDir, header, recordings, wait_for};

/// Longer than anything takes on a machine that has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Site {
    // Dropped first: it records through the daemon.
    pub node: Server,
    pub daemon: Daemon,
    pub keys: TempDir,
    pub account: Account,
    /// The name that clients sign in with.
    pub user: String,
}

impl Site {
    pub fn new() -> Self {
        Self::with(|_| {}, |_| {})
    }

    pub fn with(change: impl FnOnce(&mut Config), local: impl FnOnce(&mut LocalConfig)) -> Self {
        let keys = TempDir::new();
        for name in ["ca", "other-ca", "user"] {
            key(keys.path(), name);
        }
        let daemon = Daemon::with(TempDir::new(), SpoolOptions::default(), local);
        let mut config = Config::at("127.0.0.1:0".parse().unwrap(), [9; 32]);
        config.authorities = vec![fs::read_to_string(keys.path().join("ca.pub")).unwrap()];
        change(&mut config);
        let node = Server::start(config, &daemon.server).unwrap();
        let account = account_of(rustix::process::getuid().as_raw()).unwrap();
        let site = Self {
            node,
            daemon,
            keys,
            user: account.name.clone(),
            account,
        };
        site.certify(
            "ca",
            &["-I", "anna", "-n", &site.account.name, "-V", "-5m:+1h"],
        );
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.keys.path().join(name)
    }

    pub fn address(&self) -> SocketAddr {
        self.node.address()
    }

    /// Gives the user another certificate.
    pub fn certify(&self, ca: &str, options: &[&str]) {
        let done = Command::new("ssh-keygen")
            .args(["-q", "-s"])
            .arg(self.path(ca))
            .args(options)
            .arg(self.path("user.pub"))
            .status();
        assert!(done.unwrap().success());
    }

    /// Options for Debian's clients.
    pub fn options(&self) -> Vec<String> {
        let user = self.path("user");
        let mut options = Vec::new();
        for option in [
            "UserKnownHostsFile=/dev/null".to_owned(),
            "StrictHostKeyChecking=no".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "BatchMode=yes".to_owned(),
            "LogLevel=ERROR".to_owned(),
            format!("Port={}", self.address().port()),
            format!("User={}", self.user),
            format!("IdentityFile={}", user.display()),
        ] {
            options.extend(["-o".to_owned(), option]);
        }
        options
    }

    pub fn ssh(&self, options: &[&str], command: &[&str]) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none"])
            .args(self.options())
            .args(options)
            .arg("127.0.0.1")
            .args(command)
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        ssh
    }

    pub fn run(&self, command: &str) -> Output {
        finished(self.ssh(&[], &[command]).spawn().unwrap())
    }

    /// The sessions there are, the oldest first, with their events so far.
    pub fn sessions(&self) -> Vec<(Session, Vec<Event>)> {
        let all = recordings(&self.daemon.spool);
        all.into_values()
            .map(|bytes| {
                let events = crate::support::events(&bytes);
                (header(&events).clone(), events)
            })
            .collect()
    }

    /// The session of this kind, once there is one.
    pub fn session(&self, kind: &str) -> SessionId {
        let mut found = None;
        wait_for(&format!("a session {kind}"), || {
            let sessions = self.sessions();
            let of_kind = sessions.iter().find(|(session, _)| session.kind == kind);
            found = of_kind.map(|(session, _)| session.id);
            found.is_some()
        });
        found.unwrap()
    }

    /// The events of the session of this kind, once it is complete.
    pub fn complete(&self, kind: &str) -> Vec<Event> {
        self.daemon.complete(self.session(kind))
    }

    /// Facts that the host's own recording was told, by name.
    pub fn said(&self, event: &str) -> Vec<Fact> {
        let happened = self.daemon.happened.lock().unwrap();
        let said = happened.iter().filter_map(|what| match what {
            Happening::Said(
                Body::Auth(fact) | Body::Channel(fact) | Body::Network(fact) | Body::Command(fact),
            ) => Some(fact.clone()),
            _ => None,
        });
        said.filter(|fact| fact.event == event).collect()
    }

    /// The reasons for which somebody was not let in, once there is one of this kind.
    pub fn refusal(&self, part: &str) -> Fact {
        let mut found = None;
        wait_for(part, || {
            let said = self.said("auth");
            found = said
                .into_iter()
                .find(|fact| fact.fields.text("error").unwrap_or_default().contains(part));
            found.is_some()
        });
        found.unwrap()
    }
}

/// Makes a key pair.
pub fn key(dir: &Path, name: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
        .arg(dir.join(name))
        .status();
    assert!(made.unwrap().success());
}

/// What became of a client; one that does not end is killed, and the test fails.
pub fn finished(mut child: Child) -> Output {
    let id = child.id();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = |from: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut all = Vec::new();
            if let Some(mut from) = from {
                let _ = std::io::Read::read_to_end(&mut from, &mut all);
            }
            all
        })
    };
    let stdout = read(stdout.map(|s| Box::new(s) as Box<dyn std::io::Read + Send>));
    let stderr = read(stderr.map(|s| Box::new(s) as Box<dyn std::io::Read + Send>));
    let until = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the client {id} did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Output {
        status,
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

/// Facts of a recording, by name.
pub fn facts(events: &[Event], name: &str) -> Vec<Fact> {
    let facts = events.iter().filter_map(|event| match &event.body {
        Body::Auth(fact)
        | Body::Channel(fact)
        | Body::Command(fact)
        | Body::Network(fact)
        | Body::Transfer(fact) => Some(fact.clone()),
        _ => None,
    });
    facts.filter(|fact| fact.event == name).collect()
}
