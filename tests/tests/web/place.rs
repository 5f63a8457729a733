//! A service with a web server, users, and sessions recorded by it.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hansard_tests::{Daemon, Scratch, hansard, repository};
use serde_json::Value as Json;

/// How long anything may take that happens by itself, on a machine that does other things besides.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

pub(crate) const PASSWORD: &str = "correct horse battery";

/// Programs of this machine hand their sessions over.
const LOCAL: &str = "{local: {}}";

/// The same, and the kernel tells what they do.
pub(crate) const WATCHED: &str = "{local: {}, host: {enabled: true}}";

const SECTIONS: &str = "\
store:
  pack_age: 1s
serve:
  admin: {}
  web:";

/// A role that some have besides the one that says what they may at the service.
pub(crate) const ACCESS: &str = "\
access:
  roles:
  - name: more
    logins: [more]
    hosts: {env: more}
    channels: [exec]
";

/// A configuration with this section `capture` and these lines in its section `serve.web`.
pub(crate) fn sections(capture: &str, web: &str) -> String {
    let listen = match web.contains("listen: ") {
        true => "",
        false => "\n    listen: 127.0.0.1:0",
    };
    let lines = web.lines().map(|line| format!("\n    {line}"));
    format!(
        "{ACCESS}capture: {capture}\n{SECTIONS}{listen}{}",
        lines.collect::<String>()
    )
}

pub(crate) struct Place {
    pub(crate) daemon: Daemon,
    /// `http://127.0.0.1:PORT`.
    pub(crate) origin: String,
    pub(crate) scratch: Scratch,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        Self::capturing(name, LOCAL)
    }

    /// One with this section `capture`.
    pub(crate) fn capturing(name: &str, capture: &str) -> Self {
        Self::made(Scratch::new(name), capture, "")
    }

    /// One in this directory, with these lines in its section `serve.web`.
    pub(crate) fn serving(scratch: Scratch, web: &str) -> Self {
        Self::made(scratch, LOCAL, web)
    }

    fn made(scratch: Scratch, capture: &str, web: &str) -> Self {
        let mut daemon = Daemon::new(&scratch.join("service"), "keeper", &sections(capture, web));
        daemon.must("init", &["--cluster", "test"]);
        daemon.start();
        let mut place = Self {
            daemon,
            origin: String::new(),
            scratch,
        };
        place.origin = place.status()["web"].as_str().unwrap().to_owned();
        place
    }

    /// Loses the daemon as a loss of power would, and starts it again: what was being recorded ends with a
    /// gap, and browsers find it at another port.
    pub(crate) fn die(&mut self) {
        self.daemon.kill();
        self.begin();
    }

    /// Starts it once more, with these lines in its section `serve.web`.
    pub(crate) fn again(&mut self, web: &str) {
        self.daemon.stop();
        self.daemon.configure("keeper", &sections(LOCAL, web));
        self.begin();
    }

    fn begin(&mut self) {
        self.daemon.start();
        self.origin = self.status()["web"].as_str().unwrap().to_owned();
    }

    /// Writes another section `serve.web` and has the daemon read it.
    pub(crate) fn reload(&self, web: &str) {
        let before = self.events("daemon.reload").len();
        self.daemon.configure("keeper", &sections(LOCAL, web));
        self.daemon.signal("HUP");
        self.events_of("daemon.reload", before + 1);
    }

    pub(crate) fn status(&self) -> Json {
        serde_json::from_str(&self.client(&["status", "--json"], "")).unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(hansard());
        command.env("HANSARD_RUNTIME_DIR", self.daemon.runtime());
        command
    }

    /// Runs the client to its end, with this on its standard input; what it said.
    pub(crate) fn client(&self, args: &[&str], input: &str) -> String {
        let mut child = self
            .command()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let done = child.wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "hansard {args:?}: {complaint}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// Adds a user; the answer as it was given.
    pub(crate) fn user(&self, name: &str, role: &str, more: &[&str]) -> Json {
        let mut args = vec!["user", "add", name, "--role", role, "--json"];
        args.extend(more);
        serde_json::from_str(&self.client(&args, &format!("{PASSWORD}\n"))).unwrap()
    }

    /// Begins to record this script.
    pub(crate) fn record(&self, title: &str, script: &str) -> Child {
        self.command()
            .args(["rec", "--quiet", "--title", title, "--", "sh", "-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Records a shell on a terminal, led by a person who does these steps (`scripts/person.py`).
    pub(crate) fn person(&self, title: &str, steps: &str) {
        let file = self.scratch.join("steps");
        std::fs::write(&file, steps).unwrap();
        let done = Command::new(repository().join("scripts/person.py"))
            .args(["--size", "100x28"])
            .arg(&file)
            .arg(hansard())
            .args(["rec", "--quiet", "--title", title, "--"])
            .args(["bash", "--noprofile", "--norc", "-i"])
            .env("HANSARD_RUNTIME_DIR", self.daemon.runtime())
            .env("PS1", "desk> ")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("LESS")
            .current_dir(self.scratch.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{title}: {complaint}");
    }

    /// The session of this title, once it is listed, and has ended if that is wanted.
    pub(crate) fn session(&self, title: &str, ended: bool) -> Json {
        let mut found = Json::Null;
        wait_for(&format!("the session {title}"), || {
            let listed = self.client(&["ls", "--json", "--all"], "");
            let mut rows = listed
                .lines()
                .map(|line| serde_json::from_str(line).unwrap());
            let row =
                rows.find(|row: &Json| row["title"] == title && (!ended || row["ended"] == true));
            found = row.unwrap_or_default();
            !found.is_null()
        });
        found
    }

    /// Events of this name, by time.
    pub(crate) fn events(&self, name: &str) -> Vec<Json> {
        let listed = self.client(&["events", "--json", "--all", "--event", name], "");
        listed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The same, once so many of them are there: what was told a moment ago is listed a little later.
    pub(crate) fn events_of(&self, name: &str, count: usize) -> Vec<Json> {
        let mut found = Vec::new();
        wait_for(&format!("{count} of {name}"), || {
            found = self.events(name);
            found.len() >= count
        });
        found
    }
}

/// What `check` says of a daemon with these lines in its section `serve.web`, with which it is left.
pub(crate) fn checked(daemon: &Daemon, web: &str) -> String {
    daemon.configure("keeper", &sections(LOCAL, web));
    let done = daemon.call("check", &[]);
    String::from_utf8_lossy(&done.stdout).into_owned()
}

pub(crate) fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is() {
        assert!(since.elapsed() < WITHIN, "{what} did not come");
        thread::sleep(Duration::from_millis(50));
    }
}
