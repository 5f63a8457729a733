//! A program that is run for somebody who comes over a network: as their account, on a terminal of
//! its own or over pipes, with nothing inherited from the daemon but what is given here.
//!
//! Whoever starts it moves the bytes and records them; this has the process and the terminal.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Gid, Mode, Uid};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, pidfd_open, waitid, waitpid,
};
use rustix::termios::Winsize;

use crate::accounts::{Account, groups_of};
use crate::error::ShellError;
use crate::exit::{Ending, Exit, signal_name};
use crate::inner::Inner;
use crate::pam::{self, Keeper};
use crate::pty::Pty;
use crate::sys;
use crate::terminal::Echo;

mod keys;
mod modes;

pub use keys::Keys;

/// Open files that a program may have at first; it may raise that up to the daemon's own hard limit.
pub(crate) const OPEN_FILES: u64 = 1024;

/// What is run, and as whom.
#[derive(Debug, Clone)]
pub struct Service {
    /// Whose.
    pub account: Account,
    /// The program, by its whole path, and its arguments. Never empty.
    pub argv: Vec<OsString>,
    /// Name the program is told it was called by (`-bash` for a login shell).
    pub arg0: OsString,
    /// All variables there are.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory, if the account can enter it; `/` otherwise.
    pub home: PathBuf,
    /// The terminal that was asked for; `None`: pipes.
    pub terminal: Option<Window>,
    /// Who opens a session for it first; `None`: it is started without one.
    pub keeper: Option<Keeper>,
}

/// A terminal as it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Columns, rows; width and height in pixels.
    pub size: [u16; 4],
    /// Modes by their numbers in RFC 4254 §8; what is not known is left as it is.
    pub modes: Vec<(u8, u32)>,
}

/// The daemon's ends.
#[derive(Debug)]
pub enum Ends {
    /// The terminal's master, not blocking. Reading from it fails with `EIO` once the program and
    /// all that it started have closed their side.
    Terminal(OwnedFd),
    /// Standard input, output and error, not blocking.
    Pipes {
        /// For writing.
        stdin: OwnedFd,
        /// For reading.
        stdout: OwnedFd,
        /// For reading.
        stderr: OwnedFd,
    },
}

/// A running program. Dropping it hangs up its terminal, if it has one, and leaves it alone otherwise;
/// one that ended is reaped, one that has not is by a thread that waits for it.
#[derive(Debug)]
pub struct Served {
    pid: Pid,
    process: Process,
    /// The master again, for sizes, modes and signals, where there is a terminal.
    terminal: Option<OwnedFd>,
    /// Those behind it.
    inner: Mutex<Inner>,
    /// The terminal's name, `/dev/pts/3`.
    name: Option<PathBuf>,
    shown: String,
}

/// Whose child a program is.
#[derive(Debug)]
enum Process {
    /// Ours.
    Own(OwnedFd),
    /// Its session's.
    Kept(pam::Kept),
}

/// What a program is on.
struct Given {
    pty: Option<Pty>,
    /// The terminal's.
    name: Option<String>,
    theirs: [OwnedFd; 3],
    /// The other ends of pipes: for writing, for reading, for reading.
    ours: [Option<OwnedFd>; 3],
}

/// As sshd(8) tells programs which terminal is theirs.
const TERMINAL: &str = "SSH_TTY";

impl Service {
    /// Starts it; answers the ends as well.
    ///
    /// # Errors
    /// [`ShellError`]: nothing runs then.
    pub fn start(&self) -> Result<(Served, Ends), ShellError> {
        self.prepared(None::<fn(i32)>)
            .map(|(served, ends, _)| (served, ends))
    }

    /// The same, and calls this with the process's number, from another thread, when it is the account's
    /// and before it becomes the program: nothing of that runs until this returns. Answers what it does.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub fn start_after<T: Send>(
        &self,
        before: impl FnOnce(i32) -> T + Send,
    ) -> Result<(Served, Ends, Option<T>), ShellError> {
        self.prepared(Some(before))
    }

    fn prepared<T: Send>(
        &self,
        before: Option<impl FnOnce(i32) -> T + Send>,
    ) -> Result<(Served, Ends, Option<T>), ShellError> {
        match &self.keeper {
            Some(keeper) => self.kept(keeper, before),
            None => self.alone(before),
        }
    }

    /// Started by a process of its session, after what the system's modules do to that.
    fn kept<T>(
        &self,
        keeper: &Keeper,
        before: Option<impl FnOnce(i32) -> T>,
    ) -> Result<(Served, Ends, Option<T>), ShellError> {
        let Given {
            pty,
            name,
            theirs,
            ours,
        } = self.given()?;
        let mut env = self.env.clone();
        env.extend(name.iter().map(|name| (TERMINAL.into(), name.into())));
        let wants = pam::Wants {
            account: &self.account,
            home: &self.home,
            terminal: name.as_deref(),
            arg0: &self.arg0,
            argv: &self.argv,
            env,
        };
        let started = pam::start(keeper, theirs, wants, before)?;
        let (terminal, ends) = ends(pty, ours)?;
        let served = Served {
            pid: started.pid,
            process: Process::Kept(started.kept),
            terminal,
            inner: Mutex::default(),
            name: name.map(PathBuf::from),
            shown: started.shown,
        };
        Ok((served, ends, started.answer))
    }

    fn alone<T: Send>(
        &self,
        before: Option<impl FnOnce(i32) -> T + Send>,
    ) -> Result<(Served, Ends, Option<T>), ShellError> {
        let (program, args) = self.argv.split_first().ok_or(ShellError::NoProgram)?;
        let mut command = std::process::Command::new(program);
        command
            .args(args)
            .arg0(&self.arg0)
            .env_clear()
            .envs(self.env.iter().map(|(k, v)| (k, v)));
        let Given {
            pty,
            name,
            theirs: [stdin, stdout, stderr],
            ours,
        } = self.given()?;
        command
            .envs(name.iter().map(|name| (TERMINAL, name)))
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr);
        let started = sys::Becomes {
            uid: self.account.uid,
            gid: self.account.gid,
            groups: Some(groups_of(&self.account)),
            is_root: rustix::process::geteuid().is_root(),
            has_terminal: pty.is_some(),
            home: sys::c_path(&self.home),
            open_files: Some(OPEN_FILES),
        };
        sys::before_served(&mut command, started);
        let not_started = |source| ShellError::NotStarted {
            program: program.to_string_lossy().into_owned(),
            source,
        };
        let (child, answer) = match before {
            Some(before) => spawned_after(command, before),
            None => (command.spawn(), None),
        };
        let child = child.map_err(not_started)?;
        let pid = Pid::from_child(&child);
        // Nobody reaps the child before `Served` is dropped: its number stays its own till then.
        let pidfd = pidfd_open(pid, PidfdFlags::NONBLOCK)
            .map_err(ShellError::errno("watch the program"))?;
        let (terminal, ends) = ends(pty, ours)?;
        let served = Served {
            pid,
            process: Process::Own(pidfd),
            terminal,
            inner: Mutex::default(),
            name: name.map(PathBuf::from),
            shown: String::new(),
        };
        Ok((served, ends, answer))
    }

    /// Its three descriptors: a terminal, with its name, or pipes.
    fn given(&self) -> Result<Given, ShellError> {
        let Some(window) = &self.terminal else {
            let made = || io::Result::Ok([io::pipe()?, io::pipe()?, io::pipe()?]);
            let made = made().map_err(ShellError::io("make pipes"))?;
            let [(stdin, to), (from, stdout), (of_errors, stderr)] = made;
            return Ok(Given {
                pty: None,
                name: None,
                theirs: [stdin.into(), stdout.into(), stderr.into()],
                ours: [to.into(), from.into(), of_errors.into()].map(Some),
            });
        };
        let pty = self.pty(window)?;
        let path = rustix::termios::ttyname(pty.slave(), Vec::new()).ok();
        Ok(Given {
            name: path.map(|path| path.to_string_lossy().into_owned()),
            theirs: [pty.slave_copy()?, pty.slave_copy()?, pty.slave_copy()?],
            ours: [None, None, None],
            pty: Some(pty),
        })
    }

    /// A terminal that is the account's own, as login(1) leaves one: whoever is in the group `tty` may
    /// write to it, nobody else.
    fn pty(&self, window: &Window) -> Result<Pty, ShellError> {
        let pty = Pty::open_plain(winsize(window.size))?;
        modes::apply(pty.slave(), &window.modes);
        if rustix::process::geteuid().is_root() {
            let owner = Uid::from_raw(self.account.uid);
            let stat = rustix::fs::fstat(pty.slave());
            let group = stat.map(|stat| Gid::from_raw(stat.st_gid)).ok();
            let owned = rustix::fs::fchown(pty.slave(), Some(owner), group)
                .and_then(|()| rustix::fs::fchmod(pty.slave(), Mode::from_raw_mode(0o620)));
            owned.map_err(ShellError::errno("hand the terminal to the account"))?;
        }
        Ok(pty)
    }
}

/// Starts it once this was called, which is done in a thread of its own: whoever starts a program waits
/// until it runs.
pub(crate) fn spawned_after<T: Send>(
    mut command: std::process::Command,
    before: impl FnOnce(i32) -> T + Send,
) -> (io::Result<Child>, Option<T>) {
    let mut meeting = match sys::meets_before_exec(&mut command) {
        Ok(meeting) => meeting,
        Err(e) => return (Err(e), None),
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("before-exec".to_owned());
        let asked = thread.spawn_scoped(scope, move || {
            let pid = meeting.comes()?;
            let answer = before(pid);
            meeting.go_on();
            Some(answer)
        });
        let asked = match asked {
            Ok(asked) => asked,
            Err(e) => return (Err(e), None),
        };
        let child = command.spawn();
        // With it go its ends of the pipes: nobody waits for a process that never was.
        drop(command);
        (child, asked.join().ok().flatten())
    })
}

fn winsize([cols, rows, width, height]: [u16; 4]) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: cols,
        ws_xpixel: width,
        ws_ypixel: height,
    }
}

/// The daemon's ends, and the terminal's master once more.
fn ends(
    pty: Option<Pty>,
    pipes: [Option<OwnedFd>; 3],
) -> Result<(Option<OwnedFd>, Ends), ShellError> {
    if let Some(pty) = pty {
        let master = pty.into_master();
        let copy = rustix::io::fcntl_dupfd_cloexec(&master, 3)
            .map_err(ShellError::errno("use the pseudo-terminal"))?;
        return Ok((Some(copy), Ends::Terminal(master)));
    }
    let [Some(stdin), Some(stdout), Some(stderr)] = pipes else {
        let missing = io::ErrorKind::BrokenPipe.into();
        return Err(ShellError::io("use the pipes")(missing));
    };
    for end in [&stdin, &stdout, &stderr] {
        rustix::io::ioctl_fionbio(end, true).map_err(ShellError::errno("use the pipes"))?;
    }
    let ends = Ends::Pipes {
        stdin,
        stdout,
        stderr,
    };
    Ok((None, ends))
}

impl Served {
    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The name of its terminal, if it has one: `/dev/pts/3`.
    #[must_use]
    pub fn terminal(&self) -> Option<&std::path::Path> {
        self.name.as_deref()
    }

    /// Becomes readable when the program has ended.
    #[must_use]
    pub fn bell(&self) -> BorrowedFd<'_> {
        match &self.process {
            Process::Own(pidfd) => pidfd.as_fd(),
            Process::Kept(kept) => kept.bell(),
        }
    }

    /// What the system's modules have to say to whoever logs in: `motd` and the like, lines of text.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// How the program ended, if it has; without waiting. It is not reaped before this is dropped: till
    /// then no other process or group can get its number, and a signal meant for what it left behind
    /// reaches nobody else.
    #[must_use]
    pub fn ended(&self) -> Option<Exit> {
        if let Process::Kept(kept) = &self.process {
            return kept.ended();
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.pid), options).ok()??;
        let number = status
            .terminating_signal()
            .map(|number| u8::try_from(number).unwrap_or(0));
        let code = status.exit_status();
        Some(Exit {
            status: match number {
                Some(number) => 128 | number,
                None => code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255),
            },
            signal: number.map(signal_name),
            ending: Ending::Program,
            left_behind: false,
            fault: None,
        })
    }

    /// Sends a signal, by its name without `SIG`, to whoever the terminal's keys would reach: the
    /// group in the foreground, or the program's own. Answers whether there is such a signal.
    pub fn signal(&self, name: &str) -> bool {
        let Some(signal) = named(name) else {
            return false;
        };
        let foreground = self.terminal.as_ref();
        let foreground = foreground.and_then(|master| rustix::termios::tcgetpgrp(master).ok());
        self.send(signal);
        if let Some(group) = foreground.filter(|group| *group != self.pid) {
            let _ = rustix::process::kill_process_group(group, signal);
        }
        true
    }

    /// As the kernel does when a terminal is hung up: told, and woken so that it hears.
    pub fn hang_up(&self) {
        for name in ["HUP", "CONT"] {
            self.signal(name);
        }
    }

    /// Ends it and its group without asking.
    pub fn kill(&self) {
        self.signal("KILL");
    }

    fn send(&self, signal: Signal) {
        let _ = rustix::process::kill_process_group(self.pid, signal);
    }

    /// The terminal has another size.
    pub fn resize(&self, size: [u16; 4]) {
        if let Some(master) = &self.terminal {
            let _ = rustix::termios::tcsetwinsize(master, winsize(size));
        }
    }

    /// What the terminal, or one behind it, does at the moment with what is typed. Without one nothing is.
    #[must_use]
    pub fn echo(&self) -> Echo {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let terminal = self.terminal.as_ref();
        terminal.map_or(Echo::On, |master| inner.echo(master))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Process::Own(_) = &self.process {
            reap(self.pid);
        }
    }
}

/// Reaps a child: now, or when it ends.
pub(crate) fn reap(pid: Pid) {
    if let Ok(None) = waitpid(Some(pid), WaitOptions::NOHANG) {
        // Without a thread to be had it stays a zombie until the daemon ends, which harms nobody.
        let _ = std::thread::Builder::new()
            .name("reaper".to_owned())
            .spawn(move || {
                let _ = waitpid(Some(pid), WaitOptions::empty());
            });
    }
}

/// Signals that SSH has names for (RFC 4254 §6.10), and those that OpenSSH adds.
fn named(name: &str) -> Option<Signal> {
    Some(match name {
        "ABRT" => Signal::ABORT,
        "ALRM" => Signal::ALARM,
        "FPE" => Signal::FPE,
        "HUP" => Signal::HUP,
        "ILL" => Signal::ILL,
        "INT" => Signal::INT,
        "KILL" => Signal::KILL,
        "PIPE" => Signal::PIPE,
        "QUIT" => Signal::QUIT,
        "SEGV" => Signal::SEGV,
        "TERM" => Signal::TERM,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "CONT" => Signal::CONT,
        _ => return None,
    })
}
