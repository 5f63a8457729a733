//! A program on pipes: standard input, output and error apart, each recorded as its own stream.
//!
//! What is not kept is not touched: a stream that policy leaves out is inherited as it is. The
//! program stays in our process group and session, so keys and job control reach it directly.
//!
//! After the program's end, output goes on until its pipes end, as in a shell's pipeline: its
//! background jobs may still write. But a pipe that only processes of other sessions hold (daemons)
//! is read empty and left.

use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::time::{Duration, Instant};

use hansard_core::event::Stream;
use rustix::event::{PollFlags, Timespec};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::process::WaitStatus;
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::isatty;

use crate::child::{Farewell, Program, State, Step, Why};
use crate::command::Command;
use crate::error::ShellError;
use crate::exit::{Ending, Exit};
use crate::fds::{Fds, GONE};
use crate::hidden::Typed;
use crate::holders::{Holders, holders};
use crate::lane::{Lane, Turn};
use crate::limits::{HOLDERS_EVERY, HOLDERS_UNKNOWN_MAX, PIPE_BYTES};
use crate::options::Options;
use crate::outlet::{Outlet, inlet, never_reads};
use crate::refused::Leavings;
use crate::signals::Signals;
use crate::tape::{Tape, TapeLost};
use crate::terminal::echo_of;

/// Runs a program on pipes until it has ended and all it wrote is delivered.
pub(crate) fn run_on_pipes<T: Tape>(
    command: &Command,
    options: &Options,
    tape: &T,
) -> Result<Exit, ShellError> {
    let signals = Signals::take(false)?;
    let from_terminal = isatty(stdin());
    let keep_input = if from_terminal {
        options.keystrokes
    } else {
        options.stdin
    };
    let (input, stdin_end) = input_lane(keep_input, from_terminal)?;
    let (output, stdout_end) = output_lane(Stream::Stdout, options.stdout)?;
    let (errors, stderr_end) = output_lane(Stream::Stderr, options.stderr)?;
    let program = Program::on_pipes(command, [stdin_end, stdout_end, stderr_end], &signals)?;
    let typed = (from_terminal && keep_input).then(|| Typed::new(options.prompts.clone()));
    let mut session = Session {
        tape,
        options,
        signals,
        program,
        input,
        outputs: [output, errors],
        leavings: Leavings::default(),
        typed,
        farewell: None,
        lost: None,
        rang: false,
        ended: None,
        asked_at: None,
        spoke: 0,
        silent_since: None,
    };
    session.run()
}

struct Session<'a, T: Tape> {
    tape: &'a T,
    options: &'a Options,
    signals: Signals,
    program: Program,
    input: Option<Input>,
    outputs: [Option<Lane>; 2],
    leavings: Leavings,
    typed: Option<Typed>,
    farewell: Option<Farewell>,
    lost: Option<TapeLost>,
    /// The tape's bell has rung, which it does once.
    rang: bool,
    ended: Option<WaitStatus>,
    /// When it was last asked who holds the pipes.
    asked_at: Option<Instant>,
    /// Bytes that had passed when something last came after the program's end, and when.
    spoke: u64,
    silent_since: Option<Instant>,
}

/// Standard input on its way to the program.
struct Input {
    lane: Lane,
    /// Recorded through [`Typed`], not by the lane.
    typed: bool,
}

/// What is ready, in the order of the lanes.
#[derive(Default)]
struct Ready {
    signals: bool,
    bell: bool,
    input: bool,
    input_refused: bool,
    outputs: [bool; 2],
}

impl<T: Tape> Session<'_, T> {
    fn run(&mut self) -> Result<Exit, ShellError> {
        loop {
            let ready = self.wait()?;
            if ready.signals {
                self.on_signals();
            }
            if ready.bell {
                self.rang = true;
                self.hear();
            }
            for (at, ready) in ready.outputs.into_iter().enumerate() {
                if ready {
                    self.deliver(at);
                }
            }
            if ready.input_refused {
                self.input = None; // the program closed it: what is left belongs to others
            } else if ready.input {
                self.pass_on_input();
            }
            self.look_at_typed();
            if let Some(exit) = self.over()? {
                return Ok(exit);
            }
        }
    }

    fn wait(&self) -> Result<Ready, ShellError> {
        let now = Instant::now();
        let until = [
            self.farewell
                .as_ref()
                .filter(|_| self.ended.is_none())
                .and_then(Farewell::next_at),
            self.typed.as_ref().and_then(|typed| typed.look_again(now)),
            self.ended.map(|_| now + HOLDERS_EVERY),
        ];
        let timeout = until.into_iter().flatten().min();
        let timeout =
            timeout.and_then(|at| Timespec::try_from(at.saturating_duration_since(now)).ok());
        let mut fds = Fds::new();
        let signals = fds.add(self.signals.as_fd(), PollFlags::IN);
        let bell = self.tape.bell().filter(|_| !self.rang);
        let bell = bell.and_then(|bell| fds.add(bell, PollFlags::IN));
        let outputs = self.outputs.each_ref().map(|lane| {
            lane.as_ref().and_then(|lane| match lane.is_blocked() {
                true => fds.add(lane.to(), PollFlags::OUT),
                false => fds.add(lane.from(), PollFlags::IN),
            })
        });
        let (mut to, mut from) = (None, None);
        match &self.input {
            Some(input) if input.lane.is_blocked() => {
                to = fds.add(input.lane.to(), PollFlags::OUT);
            }
            Some(input) => {
                // Asked for nothing, the pipe still says when the program has closed it.
                to = fds.add(input.lane.to(), PollFlags::empty());
                from = fds.add(input.lane.from(), PollFlags::IN);
            }
            None => {}
        }
        fds.poll(timeout.as_ref())?;
        Ok(Ready {
            signals: !fds.came(signals).is_empty(),
            bell: !fds.came(bell).is_empty(),
            input: fds.came(to).contains(PollFlags::OUT) || !fds.came(from).is_empty(),
            input_refused: fds.came(to).intersects(GONE),
            outputs: outputs.map(|at| !fds.came(at).is_empty()),
        })
    }

    fn on_signals(&mut self) {
        if let Some(signal) = self.signals.came().ending() {
            // Passed on and nothing more: whether it ends is the program's affair, as without us.
            self.program.signal(signal);
        }
        if self.ended.is_none()
            && let State::Ended(status) = self.program.state()
        {
            self.ended = Some(status);
            self.input = None;
            self.silent_since = Some(Instant::now());
        }
    }

    fn deliver(&mut self, at: usize) {
        let Some(Some(lane)) = self.outputs.get_mut(at) else {
            return;
        };
        let turn = match self.lost {
            Some(_) => Ok(lane.discard()),
            None => lane.turn(self.tape, self.options.strict, |_| {}),
        };
        match turn {
            Ok(Turn::Ended | Turn::Refused) => self.let_go(at),
            Ok(_) => {}
            Err(lost) => self.lose(lost),
        }
    }

    /// Closes an output that has ended or that nobody takes any more.
    fn let_go(&mut self, at: usize) {
        let lane = self.outputs.get_mut(at).and_then(Option::take);
        if let (Some(lane), None) = (lane, &self.lost)
            && let Err(lost) = self.leavings.take(lane, self.tape)
        {
            self.lose(lost);
        }
    }

    fn pass_on_input(&mut self) {
        let Some(input) = &mut self.input else { return };
        let mut typed = self.typed.as_mut().filter(|_| input.typed);
        let seen = |bytes: &[u8]| {
            if let Some(typed) = &mut typed {
                typed.typed(bytes, echo_of(stdin()), Instant::now());
            }
        };
        match input.lane.turn(self.tape, false, seen) {
            Ok(Turn::Ended | Turn::Refused) => {
                self.leavings.note(&input.lane);
                self.input = None;
            }
            Ok(_) => {}
            Err(lost) => self.lose(lost),
        }
    }

    fn look_at_typed(&mut self) {
        let now = Instant::now();
        let Some(typed) = &mut self.typed else { return };
        if typed.look_again(now).is_none() {
            return;
        }
        typed.look(echo_of(stdin()));
        let mut released = typed.released(now);
        if self.ended.is_some() {
            released.extend(typed.rest(echo_of(stdin())));
        }
        if !released.is_empty()
            && self.lost.is_none()
            && let Err(lost) = self.tape.data(Stream::Keystrokes, &released)
        {
            self.lose(lost);
        }
    }

    /// Hears what the tape has to say.
    fn hear(&mut self) {
        if self.lost.is_none()
            && let Err(lost) = self.tape.check()
        {
            self.lose(lost);
        }
    }

    fn lose(&mut self, lost: TapeLost) {
        self.lost = Some(lost);
        self.input = None;
        self.farewell = Some(Farewell::new(Why::Lost, self.options.grace, Instant::now()));
    }

    /// The session's end, if this is it.
    fn over(&mut self) -> Result<Option<Exit>, ShellError> {
        let mut leave = false;
        if let (Some(farewell), None) = (&mut self.farewell, self.ended) {
            match farewell.step(Instant::now()) {
                Step::Wait => {}
                Step::HangUp => self.program.hang_up(None),
                Step::Kill => self.program.kill(None),
                Step::Leave => leave = true,
            }
        }
        let Some(status) = self.ended else {
            return if leave {
                self.finish(Exit::left_behind(Ending::Hangup)).map(Some)
            } else {
                Ok(None)
            };
        };
        if self.lost.is_none()
            && let Err(lost) = self.leavings.keep_rest(self.tape)
        {
            self.lose(lost);
        }
        if self.lost.is_some() || self.outputs.iter().all(Option::is_none) || self.left_alone() {
            return self.finish(Exit::of(status, Ending::Program)).map(Some);
        }
        Ok(None)
    }

    fn finish(&mut self, exit: Exit) -> Result<Exit, ShellError> {
        match self.lost.take() {
            Some(lost) => Err(ShellError::Lost(lost)),
            None => Ok(Exit {
                fault: self.leavings.fault(),
                ..exit
            }),
        }
    }

    /// After the program's end: whether nobody whom a pipeline would wait for can still write.
    fn left_alone(&mut self) -> bool {
        let now = Instant::now();
        let passed = self.outputs.iter().flatten().map(|lane| lane.passed).sum();
        // A reader that takes its time is no silence.
        if passed != self.spoke || self.outputs.iter().flatten().any(Lane::is_blocked) {
            (self.spoke, self.silent_since) = (passed, Some(now));
        }
        if self
            .asked_at
            .is_some_and(|at| now.saturating_duration_since(at) < HOLDERS_EVERY)
        {
            return false;
        }
        // The first time is only noted: most pipes end right after their program.
        let first = self.asked_at.replace(now).is_none();
        if first {
            return false;
        }
        let silent = self
            .silent_since
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        for at in 0..self.outputs.len() {
            let Some(Some(lane)) = self.outputs.get_mut(at) else {
                continue;
            };
            match holders(lane.from()) {
                Holders::Ours => {}
                Holders::Unknown if silent < HOLDERS_UNKNOWN_MAX => {}
                Holders::Unknown | Holders::Daemons => {
                    lane.end_with_what_is_there();
                    self.deliver(at);
                }
            }
        }
        self.outputs.iter().all(Option::is_none)
    }
}

/// Our standard input to the program, and what the program is given.
fn input_lane(keep: bool, from_terminal: bool) -> Result<(Option<Input>, Stdio), ShellError> {
    if !keep || never_reads(stdin()) {
        return Ok((None, Stdio::inherit()));
    }
    let (end, to) = big_pipe()?;
    let stream = if from_terminal {
        Stream::Keystrokes
    } else {
        Stream::Stdin
    };
    let lane = Lane::new(inlet(stdin())?, Outlet::own(to)?, stream, !from_terminal);
    Ok((
        Some(Input {
            lane,
            typed: from_terminal,
        }),
        Stdio::from(end),
    ))
}

/// From the program to our standard output or error, and what the program is given.
fn output_lane(stream: Stream, keep: bool) -> Result<(Option<Lane>, Stdio), ShellError> {
    if !keep {
        return Ok((None, Stdio::inherit()));
    }
    let (from, end) = big_pipe()?;
    let ours = if stream == Stream::Stderr {
        stderr()
    } else {
        stdout()
    };
    rustix::io::ioctl_fionbio(&from, true).map_err(ShellError::errno("set up a pipe"))?;
    let lane = Lane::new(from, Outlet::shared(ours)?, stream, true);
    Ok((Some(lane), Stdio::from(end)))
}

fn big_pipe() -> Result<(OwnedFd, OwnedFd), ShellError> {
    let (from, to) = pipe_with(PipeFlags::CLOEXEC).map_err(ShellError::errno("make a pipe"))?;
    let _ = fcntl_setpipe_size(&from, PIPE_BYTES);
    Ok((from, to))
}
