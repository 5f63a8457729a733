//! A program on a terminal of its own: keys go in, output comes out, and is recorded.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use hansard_core::event::{Body, Stream};
use rustix::event::{PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitStatus};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{Winsize, isatty};

use crate::child::{Farewell, Program, State, Step, Why};
use crate::command::Command;
use crate::error::ShellError;
use crate::exit::{Ending, Exit};
use crate::fds::{Fds, GONE};
use crate::hidden::Typed;
use crate::inner::Inner;
use crate::lane::{Lane, Turn};
use crate::limits::{DRAIN_BYTES_MAX, ROUNDS_UNPOLLED_MAX, TYPED_BYTES};
use crate::options::Options;
use crate::outlet::{Outlet, inlet};
use crate::pty::Pty;
use crate::refused::Leavings;
use crate::signals::{Came, Signals};
use crate::tape::{Tape, TapeLost};
use crate::terminal::{Echo, NO_SIZE, Terminal};

/// Runs a program on a terminal of its own, until it ends or the session is ended.
pub(crate) fn run_on_terminal<T: Tape>(
    command: &Command,
    options: &Options,
    tape: &T,
) -> Result<Exit, ShellError> {
    let signals = Signals::take(true)?;
    let mut terminal = Terminal::on(stdin())?;
    let size = terminal.size().unwrap_or(NO_SIZE);
    let pty = Pty::open(terminal.modes(), size)?;
    tape.event(resize(size))?;
    let (errors, errors_end) = errors_lane(options)?;
    let master = rustix::io::fcntl_dupfd_cloexec(pty.master(), 3)
        .map_err(ShellError::errno("use the pseudo-terminal"))?;
    let screen = Lane::new(
        master,
        Outlet::shared(stdout())?,
        Stream::Output,
        options.stdout,
    );
    let keys = inlet(stdin())?;
    // Raw before the program runs: what is typed from now on is echoed by its terminal only.
    terminal.make_raw()?;
    let program = Program::on_terminal(command, &pty, errors_end, &signals)?;
    let typed = options
        .keystrokes
        .then(|| Typed::new(options.prompts.clone()));
    let mut session = Session {
        tape,
        options,
        signals,
        terminal,
        size,
        pty,
        program,
        screen,
        errors,
        leavings: Leavings::default(),
        keys: Some(keys),
        pending: Vec::with_capacity(TYPED_BYTES),
        typed,
        inner: Inner::default(),
        farewell: None,
        lost: None,
        rang: false,
        ended: None,
        rounds: 0,
        look: true,
    };
    session.run()
}

struct Session<'a, T: Tape> {
    tape: &'a T,
    options: &'a Options,
    signals: Signals,
    terminal: Terminal,
    size: Winsize,
    pty: Pty,
    program: Program,
    screen: Lane,
    errors: Option<Lane>,
    leavings: Leavings,
    /// Where keys come from, until that has ended.
    keys: Option<OwnedFd>,
    /// Typed, and not yet taken by the program's terminal.
    pending: Vec<u8>,
    typed: Option<Typed>,
    /// The terminals behind the program's.
    inner: Inner,
    farewell: Option<Farewell>,
    lost: Option<TapeLost>,
    /// The tape's bell has rung, which it does once.
    rang: bool,
    /// The program's end, and how much its terminal had passed on by then.
    ended: Option<(WaitStatus, u64)>,
    /// Rounds since keys and signals were looked at.
    rounds: u32,
    /// Whether there may be something to show.
    look: bool,
}

/// What there is to do after waiting.
#[derive(Default)]
struct Ready {
    signals: bool,
    bell: bool,
    keys: bool,
    keys_gone: bool,
    program_takes: bool,
}

impl<T: Tape> Session<'_, T> {
    fn run(&mut self) -> Result<Exit, ShellError> {
        loop {
            let turn = match self.look {
                true => self.show(),
                false if self.screen.is_blocked() => Turn::Blocked,
                false => Turn::Idle,
            };
            if let Some(exit) = self.over(turn)? {
                return Ok(exit);
            }
            if turn == Turn::Flowing && self.rounds < ROUNDS_UNPOLLED_MAX {
                self.rounds += 1;
                continue;
            }
            self.rounds = 0;
            let ready = self.wait(turn)?;
            if ready.signals {
                self.on_signals()?;
            }
            if ready.bell {
                self.rang = true;
                self.keep(Tape::check);
            }
            if ready.keys {
                self.read_keys();
            }
            if ready.keys_gone {
                self.hang_up(Why::Hangup);
            }
            if ready.program_takes {
                self.pass_keys_on();
            }
            self.look_at_typed();
            if let Some(exit) = self.say_farewell()? {
                return Ok(exit);
            }
        }
    }

    /// Shows (or, once the record is lost, throws away) what the program wrote.
    fn show(&mut self) -> Turn {
        if self.lost.is_some() {
            if let Some(errors) = &mut self.errors {
                errors.discard();
            }
            return self.screen.discard();
        }
        let strict = self.options.strict;
        let typed = &mut self.typed;
        let seen = |bytes: &[u8]| {
            if let Some(typed) = typed {
                typed.shown(bytes, Instant::now());
            }
        };
        let mut turn = self.screen.turn(self.tape, strict, seen);
        if let Some(errors) = &mut self.errors {
            match errors.turn(self.tape, strict, |_| {}) {
                Ok(Turn::Ended | Turn::Refused) => {
                    let gone = self.errors.take();
                    let taken = gone.map_or(Ok(()), |lane| self.leavings.take(lane, self.tape));
                    turn = taken.and(turn);
                }
                Ok(Turn::Flowing) if turn == Ok(Turn::Idle) => turn = Ok(Turn::Flowing),
                Ok(_) => {}
                Err(lost) => turn = Err(lost),
            }
        }
        match turn {
            // What else the program has written is recorded all the same.
            Ok(Turn::Refused) => {
                self.hang_up(Why::Hangup);
                Turn::Flowing
            }
            Ok(turn) => turn,
            Err(lost) => {
                self.lose(lost);
                Turn::Idle
            }
        }
    }

    /// The session's end, if this is it: the program has ended, and what it left in its terminal
    /// has been shown.
    fn over(&mut self, turn: Turn) -> Result<Option<Exit>, ShellError> {
        let Some((status, passed)) = self.ended else {
            return Ok(None);
        };
        // A background process may still hold the terminal and write: the bound ends that.
        let too_much = self.screen.passed.saturating_sub(passed) > DRAIN_BYTES_MAX as u64;
        let errors_wait = self.errors.as_ref().is_some_and(Lane::is_blocked);
        if (turn == Turn::Idle || turn == Turn::Ended || too_much) && !errors_wait {
            let ending = self
                .farewell
                .as_ref()
                .map_or(Ending::Program, Farewell::ending);
            return self.finish(Exit::of(status, ending)).map(Some);
        }
        Ok(None)
    }

    fn finish(&mut self, exit: Exit) -> Result<Exit, ShellError> {
        self.terminal.restore();
        if self.lost.is_none()
            && let Some(typed) = &mut self.typed
        {
            let rest = typed.rest(self.inner.echo(self.pty.master()));
            if !rest.is_empty() {
                self.lost = self.tape.data(Stream::Keystrokes, &rest).err();
            }
        }
        if self.lost.is_none() {
            self.lost = self.leavings.keep_rest(self.tape).err();
        }
        match self.lost.take() {
            Some(lost) => Err(ShellError::Lost(lost)),
            None => Ok(Exit {
                fault: self.leavings.fault(),
                ..exit
            }),
        }
    }

    /// Waits until there is something to do; not at all when output flows.
    fn wait(&mut self, turn: Turn) -> Result<Ready, ShellError> {
        let now = Instant::now();
        let until = [
            self.farewell.as_ref().and_then(Farewell::next_at),
            self.typed.as_ref().and_then(|typed| typed.look_again(now)),
        ];
        let timeout = match until.into_iter().flatten().min() {
            _ if turn == Turn::Flowing => Some(Timespec::default()),
            Some(at) => Timespec::try_from(at.saturating_duration_since(now)).ok(),
            None => None,
        };
        let when = |flags: PollFlags, so: bool| if so { flags } else { PollFlags::empty() };
        let mut fds = Fds::new();
        // While the screen takes nothing, nothing is read either: the kernel is not even asked
        // about the program's terminal, which costs it more than the rest together.
        let blocked = turn == Turn::Blocked;
        let screen = if blocked {
            fds.add(self.screen.to(), PollFlags::OUT)
        } else {
            None
        };
        let events = when(PollFlags::IN, !blocked) | when(PollFlags::OUT, !self.pending.is_empty());
        let master = if events.is_empty() {
            None
        } else {
            fds.add(self.pty.master(), events)
        };
        let errors = self
            .errors
            .as_ref()
            .and_then(|errors| match errors.is_blocked() {
                true => fds.add(errors.to(), PollFlags::OUT),
                false => fds.add(errors.from(), PollFlags::IN),
            });
        let signals = fds.add(self.signals.as_fd(), PollFlags::IN);
        let bell = self.tape.bell().filter(|_| !self.rang);
        let bell = bell.and_then(|bell| fds.add(bell, PollFlags::IN));
        let events = when(PollFlags::IN, self.pending.is_empty());
        let keys = self
            .keys
            .as_ref()
            .and_then(|keys| fds.add(keys.as_fd(), events));
        fds.poll(timeout.as_ref())?;
        let (came, keys) = (fds.came(master), fds.came(keys));
        self.look = turn == Turn::Flowing
            || came.intersects(PollFlags::IN | GONE)
            || !(fds.came(screen) | fds.came(errors)).is_empty();
        Ok(Ready {
            signals: !fds.came(signals).is_empty(),
            bell: !fds.came(bell).is_empty(),
            keys: keys.contains(PollFlags::IN),
            keys_gone: keys.intersects(GONE),
            program_takes: came.contains(PollFlags::OUT),
        })
    }

    fn on_signals(&mut self) -> Result<(), ShellError> {
        let came = self.signals.came();
        if came.has(Signal::WINCH) || came.has(Signal::CONT) {
            self.follow_size();
        }
        if came.has(Signal::TSTP) {
            self.stop_with_terminal()?;
        } else if came.has(Signal::CONT) {
            // Stopped by SIGSTOP, without a chance to restore anything: whoever had the terminal
            // meanwhile has set its modes.
            self.take_terminal();
        }
        self.on_ending(came);
        match self.program.state() {
            State::Ended(status) => {
                self.ended = Some((status, self.screen.passed));
                self.look = true;
            }
            // Only SIGSTOP stops a session's leader. Stop too, so that whoever started us sees it.
            State::Stopped if self.ended.is_none() => {
                self.stop_with_terminal()?;
                self.program.signal(Signal::CONT);
            }
            _ => {}
        }
        Ok(())
    }

    fn on_ending(&mut self, came: Came) {
        let Some(signal) = came.ending() else { return };
        let gone = self.terminal.size().is_none();
        if signal == Signal::HUP && gone {
            self.hang_up(Why::Hangup);
        } else {
            self.program.signal(signal);
            self.program.signal(Signal::CONT);
            self.hang_up(Why::Told(signal));
        }
    }

    /// Gives the terminal back, stops this process, and takes the terminal again when continued.
    fn stop_with_terminal(&mut self) -> Result<(), ShellError> {
        self.terminal.restore();
        self.signals.stop_here()?;
        self.take_terminal();
        self.follow_size();
        Ok(())
    }

    /// Makes the terminal raw again; one that cannot be has gone.
    fn take_terminal(&mut self) {
        if self.terminal.make_raw().is_err() {
            self.hang_up(Why::Hangup);
        }
    }

    fn follow_size(&mut self) {
        let Some(size) = self.terminal.size() else {
            return;
        };
        if (size.ws_col, size.ws_row) == (self.size.ws_col, self.size.ws_row) {
            return;
        }
        self.size = size;
        // Recorded first: what the program draws for the new size comes after it.
        self.keep(|tape| tape.event(resize(size)));
        self.pty.resize(size);
    }

    fn read_keys(&mut self) {
        let Some(keys) = &self.keys else { return };
        let mut bytes = [0_u8; TYPED_BYTES];
        match rustix::io::read(keys, &mut bytes) {
            Ok(0) | Err(Errno::IO) => return self.hang_up(Why::Hangup),
            Ok(n) => self
                .pending
                .extend_from_slice(bytes.get(..n).unwrap_or_default()),
            Err(_) => return,
        }
        if let Some(typed) = &mut self.typed {
            let echo = self.inner.echo(self.pty.master());
            typed.typed(&self.pending, echo, Instant::now());
        }
        self.pass_keys_on();
    }

    fn pass_keys_on(&mut self) {
        match rustix::io::write(self.pty.master(), &self.pending) {
            Ok(n) => drop(self.pending.drain(..n.min(self.pending.len()))),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.pending.clear(),
        }
    }

    /// Begins the end of the session. The first reason stays, except that a lost record is
    /// stronger than any.
    fn hang_up(&mut self, why: Why) {
        self.keys = None;
        if self.farewell.is_none() || why == Why::Lost {
            self.farewell = Some(Farewell::new(why, self.options.grace, Instant::now()));
        }
    }

    /// Gives typed bytes to the record once it is clear that nothing hid them.
    fn look_at_typed(&mut self) {
        let now = Instant::now();
        let Some(typed) = &mut self.typed else { return };
        if typed.look_again(now).is_none() {
            return;
        }
        let echo = self.inner.echo(self.pty.master());
        if echo == Echo::Off {
            // What the terminal echoed before it began to hide is there by now, and decides what
            // of the typed bytes was shown.
            self.show();
        }
        let Some(typed) = &mut self.typed else { return };
        typed.look(echo);
        let released = typed.released(now);
        if !released.is_empty() {
            self.keep(|tape| tape.data(Stream::Keystrokes, &released));
        }
    }

    fn keep(&mut self, what: impl FnOnce(&T) -> Result<(), TapeLost>) {
        if self.lost.is_none()
            && let Err(lost) = what(self.tape)
        {
            self.lose(lost);
        }
    }

    fn lose(&mut self, lost: TapeLost) {
        self.lost = Some(lost);
        self.hang_up(Why::Lost);
    }

    /// Takes the next step of ending a session from outside.
    fn say_farewell(&mut self) -> Result<Option<Exit>, ShellError> {
        let Some(farewell) = &mut self.farewell else {
            return Ok(None);
        };
        if self.ended.is_some() {
            return Ok(None); // it obeyed; what it wrote is still being shown
        }
        match farewell.step(Instant::now()) {
            Step::Wait => Ok(None),
            Step::HangUp => {
                self.program.hang_up(self.pty.foreground());
                Ok(None)
            }
            Step::Kill => {
                self.program.kill(self.pty.foreground());
                Ok(None)
            }
            Step::Leave => {
                let exit = Exit::left_behind(farewell.ending());
                self.finish(exit).map(Some)
            }
        }
    }
}

/// The size as it is recorded: 80 by 24 where the terminal does not say, which is what programs
/// assume then.
pub(crate) fn resize(size: Winsize) -> Body {
    let or = |n: u16, unknown: u16| if n == 0 { unknown } else { n };
    Body::Resize {
        cols: or(size.ws_col, 80),
        rows: or(size.ws_row, 24),
    }
}

/// A standard error that is no terminal stays apart: a lane for it, and the program's end of it.
fn errors_lane(options: &Options) -> Result<(Option<Lane>, Option<OwnedFd>), ShellError> {
    if isatty(stderr()) {
        return Ok((None, None));
    }
    let (from, end) = pipe_with(PipeFlags::CLOEXEC).map_err(ShellError::errno("make a pipe"))?;
    rustix::io::ioctl_fionbio(&from, true).map_err(ShellError::errno("set up a pipe"))?;
    let lane = Lane::new(
        from,
        Outlet::shared(stderr())?,
        Stream::Stderr,
        options.stderr,
    );
    Ok((Some(lane), Some(end)))
}
