//! `hansardd` as a process of a test: made, started, killed and started again.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::hansardd;

/// How long its log may lag behind what it says; one that logs elsewhere is not waited for any longer.
const LOGGED_WITHIN: Duration = Duration::from_secs(2);

/// How long a daemon may take to be ready, on a machine that does other things besides.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// The same behind a tracer, which stops it twice at each call: a start makes some ten calls for each
/// pack of the archive, and on a busy machine whoever is to go on waits for its turn each time.
const READY_TRACED_WITHIN: Duration = Duration::from_secs(180);

/// One daemon with its directories. A running one is killed when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    dir: PathBuf,
    /// What stands before the program: `ip netns exec NAME`, a tracer.
    before: Vec<OsString>,
    child: Option<Child>,
}

impl Daemon {
    /// A daemon whose data and sockets are under `dir`, with these sections of a configuration
    /// besides `node`.
    ///
    /// # Panics
    /// If its directory cannot be written.
    #[must_use]
    pub fn new(dir: &Path, name: &str, sections: &str) -> Self {
        let daemon = Self {
            dir: dir.to_owned(),
            before: Vec::new(),
            child: None,
        };
        fs::create_dir_all(dir).expect("a directory for the daemon");
        daemon.configure(name, sections);
        daemon
    }

    /// Writes the configuration anew, for the next start.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn configure(&self, name: &str, sections: &str) {
        let text = format!(
            "node:\n  name: {name}\n  data_dir: {}\n  runtime_dir: {}\n{sections}\n",
            self.data().display(),
            self.runtime().display()
        );
        fs::write(self.config(), text).expect("a configuration");
    }

    /// Puts words before the program from now on.
    #[must_use]
    pub fn behind<S: AsRef<OsStr>>(mut self, words: &[S]) -> Self {
        self.before = words.iter().map(|w| w.as_ref().to_owned()).collect();
        self
    }

    /// The same for one that is there, from its next start on.
    pub fn put_behind<S: AsRef<OsStr>>(&mut self, words: &[S]) {
        self.before = words.iter().map(|w| w.as_ref().to_owned()).collect();
    }

    /// Waits until it has ended by itself, at most so long; says whether it has.
    ///
    /// # Panics
    /// If the system does not say how it is.
    pub fn dies_within(&mut self, at_most: Duration) -> bool {
        let since = Instant::now();
        while let Some(child) = &mut self.child {
            if child.try_wait().expect("its status").is_some() {
                self.child = None;
            } else if since.elapsed() >= at_most {
                return false;
            } else {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        true
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join("hansard.yaml")
    }

    /// Its `data_dir`.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Its `runtime_dir`.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// Its process, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn command(&self) -> Command {
        let mut words = self.before.iter().cloned().chain([hansardd().into()]);
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).stdin(Stdio::null());
        command
    }

    /// Runs another of the program's commands to its end: `init`, `check`, `reindex`.
    ///
    /// # Panics
    /// If it does not start.
    pub fn call(&self, name: &str, args: &[&str]) -> Output {
        self.command()
            .arg(name)
            .arg("--config")
            .arg(self.config())
            .args(args)
            .output()
            .expect("hansardd starts")
    }

    /// The same, where it must succeed; what it said.
    ///
    /// # Panics
    /// If it does not succeed.
    pub fn must(&self, name: &str, args: &[&str]) -> String {
        let done = self.call(name, args);
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "hansardd {name}: {complaint}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Starts it and waits until it says that it is ready.
    ///
    /// # Panics
    /// If it ends before, or is not ready in time; with what it said.
    pub fn start(&mut self) {
        let since = Instant::now();
        // One that a tracer's end took along may still be going when the tracer is gone.
        while !self.try_start() {
            let said = self.said();
            let last = said.trim_end().rsplit("\n").take(3);
            let is_held = last.into_iter().any(|line| line.contains(" is held by "));
            assert!(
                is_held && since.elapsed() < READY_WITHIN,
                "hansardd: {said}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The same; `false` if it ended before it was ready.
    ///
    /// # Panics
    /// If it neither ends nor is ready in time.
    pub fn try_start(&mut self) -> bool {
        let socket = self.dir.join("notify");
        let _ = fs::remove_file(&socket);
        let ready = UnixDatagram::bind(&socket).expect("a socket to be notified at");
        // One who is not us may say so, too.
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).expect("a mode");
        ready
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a timeout");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("stderr"))
            .expect("a file for its log");
        let before = log.metadata().map_or(0, |log| log.len());
        let mut command = self.command();
        command.arg("run").arg("--config").arg(self.config());
        let child = command
            .env("NOTIFY_SOCKET", &socket)
            .env_remove("JOURNAL_STREAM")
            .stdout(Stdio::null())
            .stderr(log)
            // A group of its own: whatever stands before it ends with it.
            .process_group(0)
            .spawn()
            .expect("hansardd starts");
        let child = self.child.insert(child);
        let ready_within = match self.before.is_empty() {
            true => READY_WITHIN,
            false => READY_TRACED_WITHIN,
        };
        let since = Instant::now();
        let mut buf = [0; 4096];
        loop {
            if let Ok(n) = ready.recv(&mut buf) {
                let said = String::from_utf8_lossy(&buf[..n]);
                if said.lines().any(|line| line == "READY=1") {
                    self.wait_for_its_log(before);
                    return true;
                }
            } else if child.try_wait().expect("its status").is_some() {
                self.child = None;
                return false;
            }
            let waited = since.elapsed();
            assert!(
                waited < ready_within,
                "hansardd is not ready after {waited:?}\n{}\n{}",
                threads(child.id()),
                tail(&fs::read_to_string(self.dir.join("stderr")).unwrap_or_default())
            );
        }
    }

    /// Until what it said up to now is in its log behind this place: a thread of its own writes that.
    fn wait_for_its_log(&self, before: u64) {
        let since = Instant::now();
        let at = usize::try_from(before).unwrap_or(usize::MAX);
        let is_there = || self.said().get(at..).is_some_and(|s| s.contains("running"));
        while !is_there() && since.elapsed() < LOGGED_WITHIN {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it wrote to standard error, all runs together.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(self.dir.join("stderr")).unwrap_or_default()
    }

    /// SIGKILL, and nothing of it is left when this returns.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(child.id(), "KILL");
            let _ = child.wait();
        }
    }

    /// SIGTERM, and it must end well.
    ///
    /// # Panics
    /// If it does not.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        signal(child.id(), "TERM");
        let status = child.wait().expect("its status");
        assert!(status.success(), "hansardd: {status}\n{}", self.said());
    }

    /// Sends it a signal: `STOP`, `CONT`, `HUP`.
    pub fn signal(&self, name: &str) {
        if let Some(pid) = self.pid() {
            signal(pid, name);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What each thread of a process group waits for, for a message.
fn threads(group: u32) -> String {
    let words = ["-L", "-o", "pid,tid,ppid,stat,wchan:24,time,comm", "-g"];
    let listed = Command::new("ps")
        .args(words)
        .arg(group.to_string())
        .output();
    let text = |done: Output| String::from_utf8_lossy(&done.stdout).into_owned();
    listed.map_or_else(|error| error.to_string(), text)
}

/// The end of what was said, for a message.
fn tail(text: &str) -> &str {
    let at = text.len().saturating_sub(3000);
    text.get(at..).unwrap_or(text)
}

/// To the whole group, so that it reaches the daemon behind a tracer. One that is gone needs none.
fn signal(group: u32, name: &str) {
    let _ = Command::new("kill")
        .args([&format!("-{name}"), "--", &format!("-{group}")])
        .stderr(Stdio::null())
        .status();
}
