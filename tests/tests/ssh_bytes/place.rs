//! A daemon with a service and a node or a proxy, and a program between clients and their `ssh` that notes what
//! passes both ways.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hansard_tests::{Daemon, Scratch, free_port, skipped};
use serde_json::Value as Json;

use crate::Transfer;
use crate::debian::{self, Debian};
use crate::kept::sha256;
use crate::pair::{hansard_at, listed};

/// How long what was moved may take to be in the archive, on a machine that does other things besides.
const WITHIN: Duration = Duration::from_secs(600);

/// What `make test` moves, MiB.
const USUAL_MIB: u64 = 4;

/// Bytes besides, so that nothing ends where a buffer does.
const ODD: u64 = 12_345;

/// What a program at a terminal says when it takes what is typed.
pub const READY: &str = "taken-from-here";

/// Stands between a client and its `ssh`, and notes what passes. Clients leave their end open until `ssh` has ended
/// (scp), or have it never block (rsync).
const BETWEEN: &str = r#"#!/usr/bin/python3
import os, select, subprocess, sys, threading

def all_of(to, data):
    while data:
        try:
            data = data[os.write(to, data):]
        except BlockingIOError:
            select.select([], [to], [])

def moves(come, note, to):
    with open(note, "wb", 0) as kept:
        while True:
            select.select([come], [], [])
            try:
                data = os.read(come, 65536)
            except BlockingIOError:
                continue
            if not data:
                break
            kept.write(data)
            try:
                all_of(to, data)
            except BrokenPipeError:
                break
    os.close(to)

with open("APART", "wb") as apart:
    ssh = subprocess.Popen(["ssh", "-F", "CONFIG"] + sys.argv[1:], stdin=-1, stdout=-1, stderr=apart)
up = threading.Thread(target=moves, args=(0, "UP", os.dup(ssh.stdin.fileno())), daemon=True)
ssh.stdin.close()
up.start()
moves(ssh.stdout.fileno(), "DOWN", 1)
os._exit(ssh.wait())
"#;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Node,
    Proxy,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Proxy => "proxy",
        }
    }
}

pub struct Place {
    pub daemon: Daemon,
    pub mode: Mode,
    /// Bytes of what is sent.
    pub bytes: u64,
    /// Its SHA-256.
    pub digest: String,
    _debian: Option<Debian>,
    scratch: Scratch,
}

impl Place {
    /// No place where there is no sshd, or nobody may be another.
    pub fn new(name: &str, mode: Mode) -> Option<Self> {
        if !debian::is_there() {
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            skipped("not root: a node's accounts are others");
            return None;
        }
        let scratch = Scratch::new(&format!("{name}-{}", mode.name()));
        debian::keys(scratch.path());
        let port = free_port();
        let leads = match mode {
            Mode::Node => format!("ssh:\n    listen: 127.0.0.1:{port}\n    pam: 'off'"),
            Mode::Proxy => format!(
                "proxy:\n    listen: 127.0.0.1:{port}\n    targets: [\"127.0.0.1:*\"]\n    \
                 first_use: true"
            ),
        };
        let sections = format!(
            "capture:\n  local: {{notice: \"\"}}\n  {leads}\nstore:\n  pack_age: 1s\nserve:\n  admin: {{}}"
        );
        let mut daemon = Daemon::new(&scratch.join("daemon"), "gate", &sections);
        daemon.must("init", &["--cluster", "test"]);
        daemon.start();
        let authority = hansard_at(&daemon.runtime(), &["cert", "authority"]);
        fs::write(scratch.join("ca.pub"), authority).unwrap();
        let debian = (mode == Mode::Proxy).then(|| Debian::start(scratch.path(), "host"));
        let key = scratch.join("user.pub");
        let key = key.to_str().unwrap();
        let sign = ["cert", "sign", key, "--user", "anna", "--login", "root"];
        hansard_at(&daemon.runtime(), &[&sign[..], &["--ttl", "12h"]].concat());
        let mib = std::env::var("HANSARD_TORTURE").ok();
        let mib: u64 = mib.and_then(|mib| mib.parse().ok()).unwrap_or(USUAL_MIB);
        let mut place = Self {
            daemon,
            mode,
            bytes: mib * 1024 * 1024 + ODD,
            digest: String::new(),
            _debian: debian,
            scratch,
        };
        place.lay_out(port);
        Some(place)
    }

    fn lay_out(&mut self, port: u16) {
        let user = match &self._debian {
            Some(debian) => format!("root+127.0.0.1+{}", debian.address().port()),
            None => "root".to_owned(),
        };
        let config = format!(
            "Host gate\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {}\n \
             IdentitiesOnly yes\n IdentityAgent none\n BatchMode yes\n LogLevel ERROR\n \
             StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n",
            self.shown("user")
        );
        fs::write(self.path("config"), config).unwrap();
        let quoted = |name: &str| format!("{:?}", self.shown(name));
        let program = BETWEEN
            .replace("\"UP\"", &quoted("up"))
            .replace("\"DOWN\"", &quoted("down"))
            .replace("\"APART\"", &quoted("apart"))
            .replace("\"CONFIG\"", &quoted("config"));
        fs::write(self.path("ssh"), program).unwrap();
        fs::set_permissions(self.path("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        let noise = File::open("/dev/urandom").unwrap();
        let mut sent = File::create(self.path("sent")).unwrap();
        std::io::copy(&mut noise.take(self.bytes), &mut sent).unwrap();
        self.digest = sha256(&self.path("sent"));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    pub fn shown(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn says(&self, words: &[&str]) -> String {
        hansard_at(&self.daemon.runtime(), words)
    }

    /// From the next login on so much of a stream is kept; 0: all of it.
    pub fn keep(&self, bulk: u64) {
        let text = format!(
            "scope: all\ndefault:\n  notice: \"\"\n  stdin: true\n  files: true\n  bulk: {bulk}B\n"
        );
        fs::write(self.path("policy"), text).unwrap();
        self.says(&["policy", "set", &self.shown("policy")]);
    }

    /// Does it; its session, once the service has all of it, and how long it took the client, in seconds.
    pub fn transfer(&self, transfer: &Transfer<'_>) -> (String, f64) {
        let known = self.ended(transfer.kind);
        let began = Instant::now();
        self.client(transfer);
        let seconds = began.elapsed().as_secs_f64();
        let since = Instant::now();
        loop {
            let now = self.ended(transfer.kind);
            if let Some(sid) = now.iter().find(|sid| !known.contains(*sid)) {
                return (sid.clone(), seconds);
            }
            let waited = since.elapsed();
            assert!(waited < WITHIN, "{}: no session", transfer.name);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn ended(&self, kind: &str) -> Vec<String> {
        let rows = listed(&self.daemon.runtime()).into_iter();
        rows.filter(|row| row["kind"] == kind && row["ended"] == true)
            .map(|row| row["sid"].as_str().unwrap().to_owned())
            .collect()
    }

    fn client(&self, transfer: &Transfer<'_>) {
        let (first, rest) = transfer.words.split_first().unwrap();
        let mut command = match first.as_str() {
            "sftp" | "scp" | "rsync" => {
                let mut command = Command::new(first);
                command.args(rest);
                command
            }
            _ => {
                let mut command = Command::new(self.path("ssh"));
                command.args(&transfer.words);
                command
            }
        };
        let mut child = command
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        if transfer.kind == "terminal" && transfer.stdin.is_some() {
            let mut ready = vec![0; READY.len()];
            stdout.read_exact(&mut ready).unwrap();
            assert_eq!(ready, READY.as_bytes());
        }
        let said = std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        self.fed(stdin, transfer.stdin);
        said.join().unwrap().unwrap();
        let status = child.wait().unwrap();
        let apart = fs::read(self.path("apart")).unwrap_or_default();
        let apart = String::from_utf8_lossy(&apart[..apart.len().min(2000)]).into_owned();
        assert!(status.success(), "{}: {status}: {apart}", transfer.name);
    }

    fn fed(&self, mut stdin: std::process::ChildStdin, from: Option<&str>) {
        let Some(from) = from else { return };
        let mut from = File::open(self.path(from)).unwrap();
        std::io::copy(&mut from, &mut stdin).unwrap();
        stdin.flush().unwrap();
    }

    /// A recording of SFTP has an event with the digest of what was sent, and all its bytes.
    pub fn has_digest(&self, sid: &str) {
        let events = self.says(&["events", "--session", sid, "--json"]);
        let found = events
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap());
        let of_file =
            |event: &Json| event["event"] == "sftp" && event["sha256"] == self.digest.as_str();
        let event = found.into_iter().find(of_file);
        let event = event.unwrap_or_else(|| panic!("no file has its digest: {events}"));
        let moved = |name: &str| event[name].as_u64().unwrap();
        assert_eq!(moved("rx") + moved("tx"), self.bytes, "{event:#}");
    }
}
