//! A journal of a test's own: systemd's journald for a namespace, which needs root and nothing else
//! of systemd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::skipped;

/// Where Debian and others have it.
const PROGRAM: &str = "/lib/systemd/systemd-journald";

/// How long it may take until it listens, or until it has what it was sent.
const PATIENCE: Duration = Duration::from_secs(30);

/// A journal in memory. Its process is ended and its files are removed when this is dropped.
#[derive(Debug)]
pub struct Journald {
    name: String,
    child: Child,
}

impl Journald {
    /// Starts one; `None`, said as skipped, where there cannot be one. It ends by itself when it has
    /// nothing to do for half a minute.
    ///
    /// # Panics
    /// If it does not start where it should.
    #[must_use]
    pub fn start() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() || !Path::new(PROGRAM).exists() {
            skipped("a journal of one's own needs root and Debian's systemd");
            return None;
        }
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hansard{}t{n}", std::process::id());
        let settings = Self::settings(&name);
        fs::create_dir_all(&settings).expect("a directory for its settings");
        let text = "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nAudit=no\n";
        fs::write(settings.join("test.conf"), text).expect("its settings");
        let runtime = PathBuf::from(format!("/run/systemd/journal.{name}"));
        fs::create_dir_all(&runtime).expect("a directory for its sockets");
        let child = Self::spawn(&name);
        let journal = Self { name, child };
        journal.wait_until_it_listens();
        Some(journal)
    }

    fn settings(name: &str) -> PathBuf {
        PathBuf::from(format!("/run/systemd/journald@{name}.conf.d"))
    }

    fn spawn(name: &str) -> Child {
        Command::new(PROGRAM)
            .arg(name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("journald starts")
    }

    fn wait_until_it_listens(&self) {
        let since = Instant::now();
        while !self.socket().exists() {
            assert!(since.elapsed() < PATIENCE, "journald does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it and starts it again on the same journal, as an update of systemd does.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.stop();
        self.child = Self::spawn(&self.name);
        self.wait_until_it_listens();
    }

    /// Ends it: nobody listens then.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(self.socket());
    }

    /// The name of its namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its socket for messages in its own protocol.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime().join("socket")
    }

    /// The directory of its sockets.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        PathBuf::from(format!("/run/systemd/journal.{}", self.name))
    }

    /// Its entries that match, each as one line of JSON.
    ///
    /// # Panics
    /// If `journalctl` fails.
    #[must_use]
    pub fn entries(&self, matches: &[&str]) -> Vec<String> {
        let said = Command::new("journalctl")
            .args(["--output=json", "--all", "--quiet", "--no-pager"])
            .arg(format!("--namespace={}", self.name))
            .args(matches)
            .output()
            .expect("journalctl starts");
        let text = String::from_utf8_lossy(&said.stdout);
        text.lines().map(str::to_owned).collect()
    }

    /// The same, once there are so many.
    ///
    /// # Panics
    /// If they do not come.
    #[must_use]
    pub fn wait_for(&self, matches: &[&str], count: usize) -> Vec<String> {
        let since = Instant::now();
        loop {
            let entries = self.entries(matches);
            if entries.len() >= count {
                return entries;
            }
            let there = entries.len();
            assert!(
                since.elapsed() < PATIENCE,
                "{there} of {count} entries came"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(self.runtime());
        let _ = fs::remove_dir_all(Self::settings(&self.name));
        // Its files lie in a directory named for the machine and the namespace.
        let ending = format!(".{}", self.name);
        for entry in fs::read_dir("/run/log/journal")
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.file_name().to_string_lossy().ends_with(&ending) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}
