//! A terminal that a test plays, and the recorder of `examples/probe.rs` on it.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

/// Nothing here takes longer on a machine that works.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn probe() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/probe");
    assert!(
        path.exists(),
        "{} is built by `cargo test -p hansard-shell`",
        path.display()
    );
    path
}

/// A directory of its own for a test; kept when it fails.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::SeqCst);
            let name = format!("hansard-shell-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match fs::create_dir(&path) {
                Ok(()) => return Self(path),
                // Kept by a run that failed, of a process that had this number.
                Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::AlreadyExists, "{path:?}"),
            }
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What was recorded of a stream.
    pub fn stream(&self, stream: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in self.log().lines() {
            if let Some((name, hex)) = line.split_once(' ')
                && name == stream
            {
                let digits: Vec<u8> = hex
                    .bytes()
                    .map(|b| char::from(b).to_digit(16).unwrap() as u8)
                    .collect();
                bytes.extend(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
            }
        }
        bytes
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A pipe that takes nothing more until somebody reads from it.
pub fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[0; 4096]).is_ok() {}
    (reader, writer)
}

/// A terminal with a program on it.
pub struct Outer {
    pub master: OwnedFd,
    pub slave: OwnedFd,
    pub child: Child,
    pub seen: Vec<u8>,
    pub before: Termios,
    pub scratch: Scratch,
    mark: usize,
}

impl Outer {
    /// `probe FLAGS -- PROGRAM` on a terminal of 80 by 24 that it controls.
    pub fn start(flags: &[&str], program: &[&str]) -> Self {
        let scratch = Scratch::new();
        let mut args = vec![
            probe().into_os_string(),
            scratch.path("log").into_os_string(),
        ];
        args.extend(flags.iter().map(Into::into));
        args.push("--".into());
        args.extend(program.iter().map(Into::into));
        Self::with(scratch, args, |_| {})
    }

    /// Any command on such a terminal.
    pub fn with(
        scratch: Scratch,
        args: Vec<std::ffi::OsString>,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        tcsetwinsize(
            &master,
            Winsize {
                ws_row: 24,
                ws_col: 80,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )
        .unwrap();
        rustix::io::ioctl_fionbio(&master, true).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let copy = || Stdio::from(fcntl_dupfd_cloexec(&slave, 3).unwrap());
        // setsid(1) makes the terminal the controlling one without unsafe code here.
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(args);
        command.stdin(copy()).stdout(copy()).stderr(copy());
        command
            .env("PS1", "ps1> ")
            .env("TERM", "xterm")
            .env("HISTFILE", "/dev/null");
        change(&mut command);
        let child = command.spawn().unwrap();
        drop(command);
        Self {
            master,
            slave,
            child,
            seen: Vec::new(),
            before,
            scratch,
            mark: 0,
        }
    }

    pub fn type_in(&self, bytes: &[u8]) {
        let mut rest = bytes;
        let deadline = Instant::now() + PATIENCE;
        while !rest.is_empty() {
            assert!(Instant::now() < deadline, "nobody reads the keys");
            match rustix::io::write(&self.master, rest) {
                Ok(n) => rest = &rest[n..],
                Err(Errno::AGAIN) => std::thread::sleep(Duration::from_millis(1)),
                Err(errno) => panic!("{errno}"),
            }
        }
    }

    /// Reads what is shown for at most this long; false when nothing came.
    pub fn read(&mut self, wait: Duration) -> bool {
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::try_from(wait).unwrap())).unwrap();
        let mut bytes = [0; 65536];
        match rustix::io::read(&self.master, &mut bytes) {
            Ok(n) => {
                self.seen.extend_from_slice(&bytes[..n]);
                n > 0
            }
            Err(Errno::AGAIN | Errno::IO) => false,
            Err(errno) => panic!("{errno}"),
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Waits until this is shown after all that was expected before.
    pub fn expect(&mut self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rest = &self.seen[self.mark..];
            let at = rest
                .windows(wanted.len())
                .position(|w| w == wanted.as_bytes());
            if let Some(at) = at {
                self.mark += at + wanted.len();
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{wanted:?} is not in {:?}",
                String::from_utf8_lossy(rest)
            );
            self.read(Duration::from_millis(50));
        }
    }

    /// Waits until something is so.
    pub fn until(&mut self, what: &str, mut so: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !so(self) {
            assert!(
                Instant::now() < deadline,
                "still not: {what}; shown: {:?}",
                self.text()
            );
            self.read(Duration::from_millis(10));
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32).unwrap()
    }

    /// Whether the recorder has made the terminal raw.
    pub fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap();
        !modes
            .local_modes
            .contains(rustix::termios::LocalModes::ICANON)
            && !modes
                .output_modes
                .contains(rustix::termios::OutputModes::OPOST)
    }

    /// Whether the recorder has read all that was typed.
    pub fn has_no_keys(&self) -> bool {
        rustix::io::ioctl_fionread(&self.slave).unwrap() == 0
    }

    /// How often the recorder has waited for something. The kernel hands on what is typed a moment later, so that a terminal
    /// without keys may also be one that they have not reached.
    pub fn waits(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap();
        let line = |line: &str| {
            line.strip_prefix("voluntary_ctxt_switches:")?
                .trim()
                .parse()
                .ok()
        };
        status.lines().find_map(line).unwrap()
    }

    /// Whether the terminal's modes are what they were.
    pub fn is_restored(&self) -> bool {
        let now = tcgetattr(&self.slave).unwrap();
        (
            now.local_modes,
            now.input_modes,
            now.output_modes,
            now.control_modes,
        ) == (
            self.before.local_modes,
            self.before.input_modes,
            self.before.output_modes,
            self.before.control_modes,
        )
    }

    /// Reads to the end of the recorder and returns its exit status (128 and the signal).
    pub fn wait(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read(Duration::from_millis(5));
            if let Some(status) = self.child.try_wait().unwrap() {
                while self.read(Duration::ZERO) {}
                return status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap());
            }
            assert!(
                Instant::now() < deadline,
                "it does not end; shown: {:?}",
                self.text()
            );
        }
    }

    /// Has the screen take nothing more, as nobody reads it: what the program writes stands in its own
    /// terminal.
    pub fn fill(&self) {
        let path = format!("/proc/self/fd/{}", self.slave.as_raw_fd());
        let mut slave = fs::File::options().write(true).open(path).unwrap();
        rustix::io::ioctl_fionbio(&slave, true).unwrap();
        while slave.write(&[b'.'; 512]).is_ok() {}
    }

    /// Takes the terminal away, as when a connection breaks.
    pub fn hang_up(&mut self) {
        let (nothing, _) = std::io::pipe().unwrap();
        self.master = nothing.into();
    }

    pub fn resize(&self, cols: u16, rows: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: cols,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(self.master.as_fd(), size).unwrap();
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process is there and not merely unburied.
pub fn lives(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .starts_with(" Z")
    })
}

/// The digits after this word in a text.
pub fn number_after(text: &str, word: &str) -> i32 {
    let rest = text.split_once(word).unwrap().1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}
