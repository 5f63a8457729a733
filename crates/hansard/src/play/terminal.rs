//! The viewer's terminal: taken over, painted on, and given back on every way out.
//!
//! Ways out and who gives it back: returning and errors, the guard in `hansard-shell`; a panic,
//! the same while unwinding, and the message is shown afterwards; SIGTERM, SIGHUP, SIGINT and
//! SIGQUIT, the loop, which returns; SIGTSTP, the loop, until SIGCONT; a fault (abort, bad memory
//! access), a signal handler. After SIGKILL nobody can: `reset` brings the terminal back.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hansard_shell::{ShellError, Viewer, Woken};
use rustix::fs::{Mode, OFlags, open};
use rustix::termios::isatty;

use super::canvas::Canvas;
use super::{paint, sequences};
use crate::failure::{Failure, STATUS_RECORDER, STATUS_WRONG_USE};

/// Size of a terminal that does not say.
const SIZE_DEFAULT: (u16, u16) = (80, 24);

/// Most cells of a terminal that are painted in each direction; a larger one stays blank there.
const SIZE_MAX: u16 = 2000;

/// A terminal gets this long to take the rest of a picture before we stop.
const STOP_WAIT: Duration = Duration::from_millis(200);

/// Where keys come from when standard input is no terminal.
const CONTROLLING_TERMINAL: &str = "/dev/tty";

/// A terminal that pictures can be shown on.
pub(super) struct Stage {
    viewer: Viewer,
    /// What it shows once everything in `unsent` has been sent; nothing if it may show anything.
    shown: Option<Canvas>,
    unsent: Vec<u8>,
    sent: usize,
    /// Somebody else may have drawn on it.
    spoiled: bool,
}

/// Checks that somebody looks on, before anything is opened; answers where the keys come from.
pub(super) fn find_keys() -> Result<OwnedFd, Failure> {
    if !isatty(io::stdout()) {
        let message = "standard output is not a terminal: there is nobody to play to";
        return Err(Failure::new(STATUS_WRONG_USE, message).hint(
            "`hansard cat FILE` prints everything at once, `hansard convert --to transcript FILE -` as text",
        ));
    }
    let stdin = io::stdin();
    if isatty(&stdin) {
        return stdin.as_fd().try_clone_to_owned().map_err(|e| cannot(&e));
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    open(CONTROLLING_TERMINAL, flags, Mode::empty()).map_err(|e| cannot(&e))
}

fn cannot(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        STATUS_RECORDER,
        format!("the terminal cannot be used: {error}"),
    )
}

fn failed(error: ShellError) -> Failure {
    cannot(&error)
}

/// Runs a play on the terminal and gives the terminal back, also when the play panics.
pub(super) fn perform<T>(
    keys: &OwnedFd,
    play: impl FnOnce(&mut Stage) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let said = Arc::new(Mutex::new(String::new()));
    let hook = take_hook();
    let ear = Arc::clone(&said);
    // The message must not be drawn over by the picture: it is kept until the terminal is back.
    set_hook(Box::new(move |info| {
        *ear.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
    }));
    let done = catch_unwind(AssertUnwindSafe(|| {
        let mut stage = Stage::take(keys)?;
        play(&mut stage)
    }));
    set_hook(hook);
    done.unwrap_or_else(|_| {
        let what = said.lock().unwrap_or_else(PoisonError::into_inner);
        let message = format!("the player has a fault, please report it: {what}");
        Err(Failure::new(STATUS_RECORDER, message))
    })
}

impl Stage {
    fn take(keys: &OwnedFd) -> Result<Self, Failure> {
        let stdout = io::stdout();
        let viewer =
            Viewer::take(keys.as_fd(), stdout.as_fd(), sequences::LEAVE).map_err(failed)?;
        let mut stage = Self {
            viewer,
            shown: None,
            unsent: Vec::new(),
            sent: 0,
            spoiled: false,
        };
        stage.enter()?;
        Ok(stage)
    }

    /// Takes the terminal, which may show anything and be in any state.
    fn enter(&mut self) -> Result<(), Failure> {
        self.viewer.enter().map_err(failed)?;
        self.shown = None;
        self.sent = 0;
        self.unsent = sequences::ENTER.to_vec();
        self.send()
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        let (cols, rows) = self.viewer.size().unwrap_or(SIZE_DEFAULT);
        (
            usize::from(cols.min(SIZE_MAX)),
            usize::from(rows.min(SIZE_MAX)),
        )
    }

    /// Whether the last picture has left. While it has not, the terminal is slower than we are,
    /// and pictures are left out.
    pub(super) fn is_ready(&self) -> bool {
        self.sent >= self.unsent.len()
    }

    /// Shows a picture. Does nothing while the last one has not left.
    pub(super) fn show(&mut self, picture: Canvas) -> Result<(), Failure> {
        if !self.is_ready() {
            return Ok(());
        }
        self.unsent.clear();
        self.sent = 0;
        let shown = self.shown.take().filter(|_| !self.spoiled);
        self.spoiled = false;
        paint::paint(shown.as_ref(), &picture, &mut self.unsent);
        self.shown = Some(picture);
        self.send()
    }

    fn send(&mut self) -> Result<(), Failure> {
        while let Some(rest) = self.unsent.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.viewer.show(rest).map_err(failed)? {
                0 => break,
                written => self.sent += written,
            }
        }
        Ok(())
    }

    /// The next picture is painted as a whole.
    pub(super) fn repaint(&mut self) {
        self.spoiled = true;
    }

    /// Waits for keys, signals, or this long.
    pub(super) fn wait(&mut self, at_most: Option<Duration>) -> Result<Woken, Failure> {
        let woken = self
            .viewer
            .wait(!self.is_ready(), at_most)
            .map_err(failed)?;
        self.send()?;
        Ok(woken)
    }

    /// Reads what was typed.
    pub(super) fn read_keys(&self, buffer: &mut [u8]) -> Result<usize, Failure> {
        self.viewer.read_keys(buffer).map_err(failed)
    }

    /// Gives the terminal back, stops as Ctrl-Z does, and takes it again when continued.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        // What has not left soon is not worth waiting for: everything is painted again.
        if !self.is_ready() {
            self.wait(Some(STOP_WAIT))?;
        }
        self.viewer.stop().map_err(failed)?;
        self.enter()
    }

    /// Takes the terminal again after somebody else used it.
    pub(super) fn retake(&mut self) -> Result<(), Failure> {
        self.enter()
    }
}
