//! A login's terminal or pipes, held by a process that is not the login's: keys go in, output comes
//! out, and is recorded.
//!
//! ```text
//! outer terminal ◀── Held: master ──▶ slave ── the login's program
//!                       │
//!                     Tape
//! ```
//!
//! What of the three standard descriptors is the outer terminal becomes a terminal of its own, and
//! everything else a pipe of its own. Nobody but the holder has what is outside: whatever is still
//! attached to what is inside when the holder lets go is hung up by the kernel.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use hansard_core::event::Stream;
use rustix::event::{PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use crate::error::ShellError;
use crate::fds::Fds;
use crate::lane::Lane;
use crate::limits::{PIPE_BYTES, TYPED_BYTES};
use crate::options::Options;
use crate::outlet::{Outlet, allows, inlet, never_reads};
use crate::pty::Pty;
use crate::sys;
use crate::terminal::NO_SIZE;

mod again;
mod outer;
mod run;

pub use again::{OnItsWay, ToKeep};

pub(crate) use outer::Outer;
pub use run::{Line, Over, Word};

/// The device number of the terminal behind a descriptor (`major << 8 | minor` where both are
/// small), whatever name it was opened by. `None` for what is no terminal, and for a master.
#[must_use]
pub fn terminal_device(fd: BorrowedFd<'_>) -> Option<u64> {
    if rustix::pty::ptsname(fd, Vec::new()).is_ok() {
        return None;
    }
    sys::terminal_device(fd)
}

/// What is held of a login. Dropping it lets go: the program's terminal is hung up, its pipes end,
/// and the outer terminal's modes are what they were.
pub struct Held {
    outer: Option<Outer>,
    pty: Option<Pty>,
    screen: Option<Lane>,
    keys: Option<OwnedFd>,
    input: Option<Lane>,
    outputs: [Option<Lane>; 2],
}

/// What the login's program is to have.
pub struct Given {
    /// Its standard input, output and error.
    pub descriptors: [OwnedFd; 3],
    /// Which of them is its controlling terminal.
    pub terminal: Option<u8>,
}

impl Held {
    /// Takes what a login has as standard input, output and error, and makes what its program is
    /// to have in their place. The outer terminal is left as it is until [`Held::run`].
    ///
    /// # Errors
    /// When the system has no terminal or pipe left.
    pub fn open(outside: &[OwnedFd; 3], options: &Options) -> Result<(Self, Given), ShellError> {
        let devices = outside.each_ref().map(|fd| terminal_device(fd.as_fd()));
        let device = devices.into_iter().flatten().next();
        let is_outer = devices.map(|of| of.is_some() && of == device);
        let mut held = Self {
            outer: None,
            pty: None,
            screen: None,
            keys: None,
            input: None,
            outputs: [None, None],
        };
        if device.is_some() {
            held.open_terminal(outside, is_outer, options)?;
        }
        let [of_input, of_output, of_error] = is_outer;
        let [input, output, error] = outside;
        let descriptors = [
            held.given(of_input, |held| held.open_input(input, options))?,
            held.given(of_output, |held| held.open_output(0, output, options))?,
            held.given(of_error, |held| held.open_output(1, error, options))?,
        ];
        let terminal = is_outer.iter().position(|is_outer| *is_outer);
        let terminal = terminal.filter(|_| held.pty.is_some());
        let terminal = terminal.and_then(|at| u8::try_from(at).ok());
        Ok((
            held,
            Given {
                descriptors,
                terminal,
            },
        ))
    }

    /// The slave of the program's terminal, if it has one: its device is to become the user's.
    #[must_use]
    pub fn slave(&self) -> Option<BorrowedFd<'_>> {
        self.pty.as_ref().map(Pty::slave)
    }

    /// Whether the program has a terminal.
    #[must_use]
    pub fn has_terminal(&self) -> bool {
        self.pty.is_some()
    }

    /// Shows a text on the outer terminal, if there is one, before the program runs. A terminal that
    /// takes nothing now is not waited for.
    pub fn show(&self, text: &str) {
        if let Some(screen) = &self.screen {
            screen.show(text.as_bytes());
        }
    }

    /// Waits until somebody presses Enter on the outer terminal, which is as it was. False when they
    /// end it instead, when the login's process says something or goes, or after this long.
    #[must_use]
    pub fn wait_for_enter(&self, login: BorrowedFd<'_>, at_most: Duration) -> bool {
        let Some(keys) = &self.keys else { return false };
        let until = Instant::now() + at_most;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut fds = Fds::new();
            let typed = fds.add(keys.as_fd(), PollFlags::IN);
            let login = fds.add(login, PollFlags::IN);
            let timeout = Timespec::try_from(left).ok();
            if left.is_zero() || fds.poll(timeout.as_ref()).is_err() || !fds.came(login).is_empty()
            {
                return false;
            }
            if fds.came(typed).is_empty() {
                continue;
            }
            let mut line = [0_u8; TYPED_BYTES];
            match rustix::io::read(keys, &mut line) {
                Ok(0) => return false,
                Ok(n) if line.iter().take(n).any(|byte| *byte == b'\n') => return true,
                Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    fn given(
        &mut self,
        is_terminal: bool,
        pipe: impl FnOnce(&mut Self) -> Result<OwnedFd, ShellError>,
    ) -> Result<OwnedFd, ShellError> {
        match (&self.pty, is_terminal) {
            (Some(pty), true) => pty.slave_copy(),
            _ => pipe(self),
        }
    }

    fn open_terminal(
        &mut self,
        outside: &[OwnedFd; 3],
        is_outer: [bool; 3],
        options: &Options,
    ) -> Result<(), ShellError> {
        let with = |access: OFlags, order: [usize; 3]| {
            order
                .into_iter()
                .filter(|at| is_outer.get(*at) == Some(&true))
                .filter_map(|at| outside.get(at))
                .find(|fd| allows(fd.as_fd(), access))
        };
        let (keys, screen) = (
            with(OFlags::RDONLY, [0, 1, 2]),
            with(OFlags::WRONLY, [1, 2, 0]),
        );
        let Some(any) = screen.or(keys) else {
            return Ok(());
        };
        let outer = Outer::on(any.as_fd())?;
        let pty = Pty::open(outer.modes(), outer.size().unwrap_or(NO_SIZE))?;
        let master = rustix::io::fcntl_dupfd_cloexec(pty.master(), 3)
            .map_err(ShellError::errno("use the pseudo-terminal"))?;
        let to = Outlet::shared(any.as_fd())?;
        self.screen = Some(Lane::new(master, to, Stream::Output, options.stdout));
        self.keys = keys.map(|keys| inlet(keys.as_fd())).transpose()?;
        self.pty = Some(pty);
        self.outer = Some(outer);
        Ok(())
    }

    fn open_input(&mut self, from: &OwnedFd, options: &Options) -> Result<OwnedFd, ShellError> {
        if never_reads(from.as_fd()) {
            return rustix::io::fcntl_dupfd_cloexec(from, 3)
                .map_err(ShellError::errno("use standard input"));
        }
        let (end, to) = big_pipe()?;
        let from = inlet(from.as_fd())?;
        self.input = Some(Lane::new(
            from,
            Outlet::own(to)?,
            Stream::Stdin,
            options.stdin,
        ));
        Ok(end)
    }

    fn open_output(
        &mut self,
        at: usize,
        to: &OwnedFd,
        options: &Options,
    ) -> Result<OwnedFd, ShellError> {
        let (from, end) = big_pipe()?;
        rustix::io::ioctl_fionbio(&from, true).map_err(ShellError::errno("set up a pipe"))?;
        let (stream, keep) = match at {
            0 => (Stream::Stdout, options.stdout),
            _ => (Stream::Stderr, options.stderr),
        };
        let lane = Lane::new(from, Outlet::shared(to.as_fd())?, stream, keep);
        if let Some(slot) = self.outputs.get_mut(at) {
            *slot = Some(lane);
        }
        Ok(end)
    }
}

fn big_pipe() -> Result<(OwnedFd, OwnedFd), ShellError> {
    let (from, to) = pipe_with(PipeFlags::CLOEXEC).map_err(ShellError::errno("make a pipe"))?;
    let _ = fcntl_setpipe_size(&from, PIPE_BYTES);
    Ok((from, to))
}
