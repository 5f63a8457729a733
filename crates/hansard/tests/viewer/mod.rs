//! Somebody who watches: the other end of a terminal with `hansard play` on it, and an emulator
//! that knows what the terminal shows.
#![allow(dead_code, unreachable_pub)]

use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hansard_core::seal::SigningKey;
use hansard_core::session::ClockQuality;
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Fields, Policy, Session, SessionId, Stream};
use hansard_view::Screen;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

/// Nothing here takes longer on a machine that works.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One second of a recording.
pub const S: u64 = 1_000_000_000;

/// A directory of its own for a test; kept when it fails.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let name = format!("hansard-play-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with these bytes.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A recording of these events.
    pub fn recording(&self, events: &[(u64, Body)]) -> PathBuf {
        let mut writer = writer();
        for (at_ns, body) in events {
            writer.push(*at_ns, body).unwrap();
        }
        writer.cut().unwrap();
        self.file("recording.hansard", parts(&mut writer))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A writer at the beginning of a session.
pub fn writer() -> SegmentWriter {
    let key = SigningKey::from_seed([7; 32]);
    let session = Session {
        id: SessionId::new_v7(1_700_000_000_000, [3; 10]),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new(),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 1_700_000_000 * S,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "test".to_owned(),
    };
    SegmentWriter::new(session, key, Bounds::default()).unwrap()
}

/// What the writer has finished.
pub fn parts(writer: &mut SegmentWriter) -> Vec<u8> {
    writer
        .parts()
        .iter()
        .flat_map(|part| part.bytes().to_vec())
        .collect()
}

pub fn size(cols: u16, rows: u16) -> Body {
    Body::Resize { cols, rows }
}

pub fn output(text: impl AsRef<[u8]>) -> Body {
    Body::Data {
        stream: Stream::Output,
        bytes: text.as_ref().to_vec(),
    }
}

pub fn end() -> Body {
    Body::End(hansard_core::event::End {
        reason: "exited".to_owned(),
        exit_status: Some(0),
        signal: None,
    })
}

/// A terminal with the player on it.
pub struct Viewer {
    master: OwnedFd,
    slave: OwnedFd,
    child: Child,
    before: Termios,
    /// What the terminal shows.
    pub screen: Screen,
    /// Everything it was ever sent.
    pub sent: Vec<u8>,
}

impl Viewer {
    /// `hansard play` with these arguments, on a terminal of this size.
    pub fn play(scratch: &Scratch, cols: u16, rows: u16, args: &[&str]) -> Self {
        Self::play_with(scratch, cols, rows, args, |_| {})
    }

    pub fn play_with(
        scratch: &Scratch,
        cols: u16,
        rows: u16,
        args: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let mut all: Vec<OsString> = vec![env!("CARGO_BIN_EXE_hansard").into(), "play".into()];
        all.extend(args.iter().map(Into::into));
        Self::run(scratch, cols, rows, &all, change)
    }

    /// Any program on such a terminal, which it controls.
    pub fn run(
        scratch: &Scratch,
        cols: u16,
        rows: u16,
        args: &[OsString],
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        tcsetwinsize(&master, winsize(cols, rows)).unwrap();
        rustix::io::ioctl_fionbio(&master, true).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let copy = || Stdio::from(fcntl_dupfd_cloexec(&slave, 3).unwrap());
        // setsid(1) makes the terminal the controlling one without unsafe code here.
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(args).current_dir(&scratch.0);
        command.stdin(copy()).stdout(copy()).stderr(copy());
        command.env("PS1", "ps1> ").env("HISTFILE", "/dev/null");
        change(&mut command);
        let child = command.spawn().unwrap();
        Self {
            master,
            slave,
            child,
            before,
            screen: Screen::new(cols, rows),
            sent: Vec::new(),
        }
    }

    pub fn keys(&self, bytes: &str) {
        let mut rest = bytes.as_bytes();
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
                self.screen.feed(&bytes[..n]);
                self.sent.extend_from_slice(&bytes[..n]);
                n > 0
            }
            Err(Errno::AGAIN | Errno::IO) => false,
            Err(errno) => panic!("{errno}"),
        }
    }

    /// Waits until something is so, and answers how long that took.
    pub fn until(&mut self, what: &str, mut so: impl FnMut(&Self) -> bool) -> Duration {
        let began = Instant::now();
        while !so(self) {
            assert!(
                began.elapsed() < PATIENCE,
                "still not: {what}; shown:\n{}",
                self.screen.rows().join("\n")
            );
            self.read(Duration::from_millis(5));
        }
        began.elapsed()
    }

    /// Waits until this text stands on the terminal.
    pub fn sees(&mut self, text: &str) -> Duration {
        self.until(text, |viewer| viewer.shows(text))
    }

    /// Waits until this text does not stand on the terminal.
    pub fn misses(&mut self, text: &str) -> Duration {
        self.until(&format!("without {text}"), |viewer| !viewer.shows(text))
    }

    pub fn shows(&self, text: &str) -> bool {
        self.screen.rows().iter().any(|row| row.contains(text))
    }

    /// Watches for this long.
    pub fn watch(&mut self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            self.read(Duration::from_millis(5));
        }
    }

    pub fn row(&self, row: usize) -> String {
        self.screen.rows()[row].clone()
    }

    pub fn resize(&mut self, cols: u16, rows: u16) {
        tcsetwinsize(self.master.as_fd(), winsize(cols, rows)).unwrap();
        self.screen.resize(cols, rows);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Whether keys go to the player one by one and unseen.
    pub fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap();
        !modes
            .local_modes
            .intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Whether the terminal's modes are what they were.
    pub fn has_its_modes(&self) -> bool {
        let now = tcgetattr(&self.slave).unwrap();
        let modes = |m: &Termios| {
            (
                m.local_modes,
                m.input_modes,
                m.output_modes,
                m.control_modes,
            )
        };
        modes(&now) == modes(&self.before)
    }

    /// The same, and its screen is the shell's again.
    pub fn is_restored(&self) -> bool {
        let text = String::from_utf8_lossy(&self.sent);
        let after = text
            .rsplit_once("\x1b[?1049h")
            .map_or("", |(_, after)| after);
        self.has_its_modes()
            && after.contains("\x1b[0m")
            && after.contains("\x1b[?1049l")
            && after.rfind("\x1b[?25h") > after.rfind("\x1b[?25l")
            && self.screen.cursor().is_some()
    }

    /// Whether the player is no more.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Reads to the end of the player and answers its exit status (128 and the signal).
    pub fn ends(&mut self) -> i32 {
        let began = Instant::now();
        loop {
            self.read(Duration::from_millis(5));
            if let Some(status) = self.child.try_wait().unwrap() {
                while self.read(Duration::ZERO) {}
                return status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap());
            }
            assert!(
                began.elapsed() < PATIENCE,
                "it does not end; shown:\n{}",
                self.screen.rows().join("\n")
            );
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn winsize(cols: u16, rows: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: cols,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
