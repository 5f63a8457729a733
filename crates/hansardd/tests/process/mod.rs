//! A machine of a test: a directory with a configuration, and the program run on it.

#![allow(dead_code, unreachable_pub)] // each test binary uses a part of it

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take on a machine that does other things besides.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with everything of one daemon, removed when it is dropped.
pub struct Machine {
    dir: PathBuf,
    env: Vec<(String, String)>,
}

/// A daemon that is ready. Killed when it is dropped.
pub struct Running {
    child: Child,
    manager: UnixDatagram,
    heard: String,
}

/// The exit status; a signal counts as -1.
pub fn status_of(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

impl Machine {
    pub fn new(name: &str, sections: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hansardd-{name}-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        fs::create_dir(dir.join("run")).unwrap();
        let machine = Self {
            dir,
            env: Vec::new(),
        };
        machine.configure(sections);
        machine
    }

    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn configure(&self, sections: &str) {
        let (data, runtime) = (self.data(), self.dir.join("run"));
        let node = format!(
            "node: {{name: web-1, data_dir: {}, runtime_dir: {}}}\n",
            data.display(),
            runtime.display()
        );
        // Whole or not at all, also for a daemon that reads it just now.
        let draft = self.dir.join("draft");
        fs::write(&draft, node + sections).unwrap();
        fs::rename(draft, self.config()).unwrap();
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn config(&self) -> PathBuf {
        self.dir.join("hansard.yaml")
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A command without `--config`.
    pub fn bare(&self, args: &[&str]) -> Output {
        self.program().args(args).output().unwrap()
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.run_with(&self.config(), args)
    }

    pub fn run_with(&self, config: &Path, args: &[&str]) -> Output {
        let mut program = self.program();
        program
            .args(args)
            .arg("--config")
            .arg(config)
            .output()
            .unwrap()
    }

    /// The same, where it must succeed; what it said.
    pub fn must(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!(
            status_of(&done),
            0,
            "{args:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap()
    }

    fn program(&self) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_hansardd"));
        program
            .stdin(Stdio::null())
            .env_remove("NOTIFY_SOCKET")
            .env_remove("JOURNAL_STREAM")
            .env_remove("WATCHDOG_USEC")
            .envs(self.env.iter().cloned());
        program
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub fn start(&self) -> Running {
        let socket = self.dir.join("notify");
        let _ = fs::remove_file(&socket);
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("stderr"))
            .unwrap();
        let child = self
            .program()
            .args(["run", "--config"])
            .arg(self.config())
            .env("NOTIFY_SOCKET", &socket)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut running = Running {
            child,
            manager,
            heard: String::new(),
        };
        running.hear_until(|heard| heard.contains("READY=1"));
        running
    }

    /// What it wrote to standard error, all runs together.
    pub fn said(&self) -> String {
        fs::read_to_string(self.dir.join("stderr")).unwrap_or_default()
    }

    /// Waits until it has said something.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(|| self.said().contains(text));
    }

    /// Waits until something is so.
    pub fn wait_until(&self, mut so: impl FnMut() -> bool) {
        let since = Instant::now();
        while !so() {
            assert!(since.elapsed() < PATIENCE, "it is not so:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The address that it said it listens at.
    pub fn address_of(&self, what: &str) -> String {
        let said = self.said();
        let line = said
            .lines()
            .rfind(|line| line.contains(&format!(": {what} listen=")))
            .unwrap();
        line.split("listen=").nth(1).unwrap().to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that the service manager heard so far.
    pub fn heard(&self) -> &str {
        &self.heard
    }

    /// Waits until the service manager has heard enough.
    pub fn hear_until(&mut self, enough: impl Fn(&str) -> bool) {
        let since = Instant::now();
        let mut bytes = [0; 4096];
        while !enough(&self.heard) {
            if let Ok(n) = self.manager.recv(&mut bytes) {
                self.heard += &String::from_utf8_lossy(&bytes[..n]);
                self.heard.push('\n');
            } else if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended: {status}; heard {}", self.heard);
            }
            assert!(since.elapsed() < PATIENCE, "heard {}", self.heard);
        }
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// SIGHUP, and waits until it is done.
    pub fn reload(&mut self) {
        let before = self.heard.matches("READY=1").count();
        self.signal("HUP");
        self.hear_until(|heard| heard.matches("READY=1").count() > before);
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; the exit status, and everything that the service manager heard.
    pub fn stop(mut self) -> (Option<i32>, String) {
        self.signal("TERM");
        let status = self.wait();
        let mut bytes = [0; 4096];
        while let Ok(n) = self.manager.recv(&mut bytes) {
            self.heard += &String::from_utf8_lossy(&bytes[..n]);
            self.heard.push('\n');
        }
        (status.code(), std::mem::take(&mut self.heard))
    }

    fn wait(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
