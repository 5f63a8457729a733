//! The proxy as people find it: the daemon itself before Debian's own sshd, OpenSSH's client by the user name
//! that leads on and by `-J`; what was done is then listed, shown and proven.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unreachable_pub,
    dead_code
)]

#[path = "../../crates/capture/tests/ssh/debian.rs"]
mod debian;
#[path = "service/pair.rs"]
mod pair;
#[path = "terminal/mod.rs"]
mod terminal;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use debian::Debian;
use hansard_tests::{Daemon, Scratch, free_port, hansard};
use pair::{hansard_at, listed};
use serde_json::Value as Json;
use terminal::on_terminal;

/// How long anything may take on a machine that does other things besides.
const WITHIN: Duration = Duration::from_secs(90);

/// A daemon with service and proxy, an sshd that it leads to, and somebody with a certificate.
struct Place {
    daemon: Daemon,
    debian: Debian,
    port: u16,
    user: String,
    scratch: Scratch,
}

impl Place {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        debian::keys(scratch.path());
        let port = free_port();
        let sections = format!(
            "capture:\n  local: {{notice: \"\"}}\n  proxy:\n    listen: 127.0.0.1:{port}\n    \
             targets: [\"127.0.0.1:*\", \"localhost:*\"]\n    first_use: true\n\
             store:\n  pack_age: 1s\nserve:\n  admin: {{}}"
        );
        let mut daemon = Daemon::new(&scratch.join("daemon"), "gate", &sections);
        daemon.must("init", &["--cluster", "test"]);
        daemon.start();
        let runtime = daemon.runtime();
        fs::write(
            scratch.join("ca.pub"),
            hansard_at(&runtime, &["cert", "authority"]),
        )
        .unwrap();
        let debian = Debian::start(scratch.path(), "host");
        let user = whoami();
        let key = scratch.join("user.pub");
        let key = key.to_str().unwrap();
        let sign = [
            "cert", "sign", key, "--user", "anna", "--login", &user, "--ttl", "1h",
        ];
        hansard_at(&runtime, &sign);
        Self {
            daemon,
            debian,
            port,
            user,
            scratch,
        }
    }

    /// A client's configuration: `gate` is the proxy, `localhost` the sshd.
    fn config(&self) -> PathBuf {
        let authority = hansard_at(&self.daemon.runtime(), &["cert", "authority", "--host"]);
        let known = self.scratch.join("known");
        fs::write(&known, format!("@cert-authority * {authority}")).unwrap();
        let text = format!(
            "Host *\n IdentityFile {}\n IdentitiesOnly yes\n IdentityAgent none\n BatchMode yes\n \
             LogLevel ERROR\nHost gate\n HostName 127.0.0.1\n Port {}\n StrictHostKeyChecking no\n \
             UserKnownHostsFile /dev/null\nHost localhost\n Port {}\n User {}\n \
             StrictHostKeyChecking yes\n UserKnownHostsFile {}\n",
            self.scratch.join("user").display(),
            self.port,
            self.debian.address().port(),
            self.user,
            known.display()
        );
        let config = self.scratch.join("config");
        fs::write(&config, text).unwrap();
        config
    }

    fn ssh(&self, words: &[&str]) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F")
            .arg(self.config())
            .args(words)
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        ssh
    }

    fn run(&self, words: &[&str]) -> Output {
        self.ssh(words).output().unwrap()
    }

    /// The sessions of this kind that are over, once there are so many.
    fn ended(&self, kind: &str, count: usize) -> Vec<Json> {
        let mut found = Vec::new();
        until(&format!("{count} sessions {kind} are over"), || {
            found = listed(&self.daemon.runtime());
            found.retain(|row| row["kind"] == kind && row["ended"] == true);
            found.len() >= count
        });
        found
    }

    /// What the service shows of a session, and that it is proven whole.
    fn shown(&self, row: &Json) -> String {
        let runtime = self.daemon.runtime();
        let sid = row["sid"].as_str().unwrap();
        let verified = hansard_at(&runtime, &["verify", sid]);
        assert!(verified.contains("intact"), "{verified}");
        let cat = hansard_at(&runtime, &["cat", sid]);
        let place = format!("HANSARD_RUNTIME_DIR={}", runtime.display());
        let program = hansard().display().to_string();
        let play = ["play", "--speed", "64", "--idle-limit", "0.1", sid];
        let words = [&["env", &place, &program][..], &play].concat();
        let played = on_terminal(&words, &[("■", "q", None)]);
        let played = String::from_utf8_lossy(&played.stdout).into_owned();
        assert!(played.contains(cat.trim_end()), "{cat} in {played}");
        cat
    }

    /// Documents of the connection's events of this name.
    fn events(&self, name: &str) -> Vec<Json> {
        let log = self.daemon.data().join("log/events.log");
        let text = fs::read_to_string(log).unwrap_or_default();
        let whole = text.lines().filter(|line| line.ends_with('}'));
        let all = whole.map(|line| serde_json::from_str::<Json>(line).unwrap());
        all.filter(|event| event["event"] == name).collect()
    }
}

fn whoami() -> String {
    let said = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(said.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < WITHIN, "{what}: not within {WITHIN:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_done_through_the_proxy_is_listed_shown_and_proven() {
    if !debian::is_there() {
        return;
    }
    let place = Place::new("ssh-proxy");
    let leads = format!(
        "{}+127.0.0.1+{}@gate",
        place.user,
        place.debian.address().port()
    );
    let out = place.run(&[&leads, "echo by name; exit 3"]);
    assert_eq!(
        (out.status.code(), &*out.stdout),
        (Some(3), &b"by name\n"[..]),
        "{out:?}"
    );
    let jump = ["-J", "anna@gate", "localhost", "echo by jump"];
    let out = place.run(&jump);
    assert_eq!(out.stdout, b"by jump\n", "{out:?}");
    let mut rows = place.ended("exec", 2);
    rows.sort_by_key(|row| row["sid"].as_str().unwrap().to_owned());
    assert_eq!(rows.len(), 2, "{rows:#?}");
    for (row, said) in rows.iter().zip(["by name", "by jump"]) {
        assert_eq!(row["user"], "anna", "{row:#}");
        assert_eq!(place.shown(row).trim_end(), said);
    }
    // The connection by name; the one to the proxy, and the one inside of it.
    assert_eq!(place.ended("ssh", 3).len(), 3);
    // The log is written behind what is listed.
    until("the certificates are told", || {
        place.events("cert.create").len() >= 5
    });
    assert_eq!(
        place.events("cert.create").len(),
        5,
        "one by hand, one for each target, the proxy's own at its start and in the jump"
    );
}

#[test]
fn a_jump_that_ends_abruptly_is_an_end_and_no_error() {
    if !debian::is_there() {
        return;
    }
    let place = Place::new("ssh-jump");
    let mut ssh = place.ssh(&["-J", "anna@gate", "localhost", "echo here; exec sleep 600"]);
    // The client, and the client that it starts for the jump.
    let mut ssh = ssh.process_group(0).spawn().unwrap();
    let connections = || {
        let mut rows = listed(&place.daemon.runtime());
        rows.retain(|row| row["kind"] == "exec");
        rows.len()
    };
    until("it runs", || connections() == 1);
    let killed = Command::new("kill")
        .args(["-KILL", "--", &format!("-{}", ssh.id())])
        .status();
    assert!(killed.unwrap().success());
    ssh.wait().unwrap();
    place.ended("exec", 1);
    assert_eq!(place.ended("ssh", 2).len(), 2);
    let gone = || {
        let mut gone = place.events("disconnect");
        gone.retain(|event| {
            event["reason"]
                .as_str()
                .is_some_and(|why| why.contains("early eof"))
        });
        gone.len()
    };
    until("both ends are told", || {
        place.events("disconnect").len() == 2
    });
    assert_eq!(gone(), 2, "{:#?}", place.events("disconnect"));
}
