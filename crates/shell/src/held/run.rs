//! The loop that holds a login: one thread, until everything the program wrote is delivered.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use hansard_core::event::End;
use rustix::event::{PollFlags, Timespec};
use rustix::termios::Winsize;

use super::{Held, OnItsWay};
use crate::error::ShellError;
use crate::exit::with_fault;
use crate::fds::{Fds, GONE};
use crate::hidden::Typed;
use crate::inner::Inner;
use crate::lane::{Lane, Turn};
use crate::limits::{DRAIN_BYTES_MAX, HELD_LOOK_EVERY, TYPED_BYTES};
use crate::options::Options;
use crate::prompt::Prompts;
use crate::pty_run::resize;
use crate::refused::Leavings;
use crate::tape::{Tape, TapeLost};
use crate::terminal::NO_SIZE;

mod keys;
mod look;
mod rest;

/// What is heard from the login's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// The terminal may have another size, or is the login's again.
    Changed,
    /// The terminal's modes are to be put back until [`Word::Changed`].
    Yield,
    /// The program has ended, so.
    Over(End),
    /// The login's process is gone; why, in words.
    Away(String),
    /// Nothing that concerns the terminal.
    Nothing,
}

/// The way to the login's process.
pub trait Line {
    /// Readable when there is something to hear.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Whether something to hear has been read already.
    fn is_waiting(&self) -> bool;

    /// Hears one thing. Called when there is something; after [`Word::Away`] never again.
    fn hear(&mut self) -> Word;

    /// Says that the outer terminal's modes are what they were.
    fn yielded(&mut self);

    /// Says that everything the program had written when it ended is delivered, and that the outer
    /// terminal's modes are what they were; but not what `fault` tells of, in words. Called once.
    fn drained(&mut self, fault: Option<&str>);

    /// Whether the login has the outer terminal now, and not another job on it: whose keys else
    /// would be taken.
    fn may_type(&mut self) -> bool;

    /// Whether the holder is to let go of a login that another one will hold ([`Over::Paused`]), which it does then.
    fn pauses(&self) -> bool {
        false
    }

    /// Hears that the program's terminal is about to go: whatever comes next may be given its name.
    fn lets_go(&mut self) {}

    /// Whether nothing more of the session is to be waited for. Asked once its process has left: as long as that is
    /// there, it is heard to have gone.
    fn is_given_up(&self) -> bool {
        false
    }

    /// Whether the program's terminal is itself held for another login inside this one: what is
    /// typed then is that one's to keep, and its hidden prompts are not seen from here.
    fn types_inside(&mut self) -> bool;
}

/// How holding a login ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// The program came to its end, and all that it and its background jobs wrote is delivered.
    Program(End),
    /// The login's process is gone; why, in words.
    Away(String),
    /// The outer terminal went away.
    Hangup,
    /// The record could not be kept.
    Lost(TapeLost),
    /// Everything is left as it is for another holder ([`Held::again`]), and this was on its way.
    Paused(OnItsWay),
}

/// What there is to do after waiting.
#[derive(Default)]
struct Ready {
    line: bool,
    keys: bool,
    keys_gone: bool,
    program_takes: bool,
    screen: bool,
    input: bool,
    input_refused: bool,
    outputs: [bool; 2],
}

struct Session<'a, T: Tape, L: Line> {
    held: Held,
    tape: &'a T,
    options: &'a Options,
    line: &'a mut L,
    size: Winsize,
    /// Typed, and not yet taken by the program's terminal.
    pending: Vec<u8>,
    typed: Option<Typed>,
    /// The terminals behind the program's.
    inner: Inner,
    /// When size and foreground are looked at again.
    look_at: Instant,
    has_keys: bool,
    yielded: bool,
    is_away: bool,
    /// The program's end, and how far each lane must have come by then.
    ended: Option<(End, Marks)>,
    drained: bool,
    leavings: Leavings,
    over: Option<Over>,
}

/// How many bytes must have passed before everything a program wrote is delivered.
struct Marks {
    screen_max: u64,
    outputs: [u64; 2],
}

impl Held {
    /// Holds the login until it is over, and lets go of everything.
    ///
    /// # Errors
    /// When the system does not let us wait, or the terminal's first size is not recorded.
    pub fn run<T: Tape, L: Line>(
        self,
        tape: &T,
        options: &Options,
        line: &mut L,
    ) -> Result<Over, ShellError> {
        self.follow(tape, options, line, (Typed::new, &[]))
    }

    /// The same for one that was held before, when this was typed and not taken. Of what is typed, the line that it is
    /// amid is not stored: a password may have been asked for.
    ///
    /// # Errors
    /// As [`Held::run`].
    pub fn run_on<T: Tape, L: Line>(
        self,
        tape: &T,
        options: &Options,
        line: &mut L,
        untyped: &[u8],
    ) -> Result<Over, ShellError> {
        self.follow(tape, options, line, (Typed::amid, untyped))
    }

    fn follow<T: Tape, L: Line>(
        self,
        tape: &T,
        options: &Options,
        line: &mut L,
        (typed, untyped): (fn(Prompts) -> Typed, &[u8]),
    ) -> Result<Over, ShellError> {
        let now = Instant::now();
        let keeps_keys = options.keystrokes && self.pty.is_some();
        let mut session = Session {
            size: NO_SIZE,
            tape,
            options,
            line,
            pending: Vec::with_capacity(TYPED_BYTES),
            typed: keeps_keys.then(|| typed(options.prompts.clone())),
            inner: Inner::default(),
            look_at: now + HELD_LOOK_EVERY,
            has_keys: true,
            yielded: false,
            is_away: false,
            ended: None,
            drained: false,
            leavings: Leavings::default(),
            over: None,
            held: self,
        };
        session.pending.extend_from_slice(untyped);
        let over = session.until_over();
        session.line.lets_go();
        over
    }
}

impl<T: Tape, L: Line> Session<'_, T, L> {
    fn until_over(&mut self) -> Result<Over, ShellError> {
        self.begin();
        while self.over.is_none() {
            let ready = self.wait()?;
            self.turn(&ready);
        }
        self.keep_rest_of_typed();
        self.keep_rest_of_output();
        Ok(self.over.take().unwrap_or(Over::Hangup))
    }

    fn begin(&mut self) {
        // One that begins in the background must not change a terminal that others type at; it
        // takes it when it comes to the foreground.
        self.has_keys = self.line.may_type();
        let Some(outer) = &mut self.held.outer else {
            return;
        };
        self.size = outer.size().unwrap_or(NO_SIZE);
        let size = self.size;
        let is_raw = !self.has_keys || outer.make_raw();
        self.keep(|tape| tape.event(resize(size)));
        if !is_raw {
            self.end(Over::Hangup);
        }
    }

    fn turn(&mut self, ready: &Ready) {
        if !self.is_away && (ready.line || self.line.is_waiting()) {
            self.hear();
        }
        if ready.screen {
            self.show();
        }
        for (at, ready) in ready.outputs.into_iter().enumerate() {
            if ready {
                self.deliver(at);
            }
        }
        if ready.input_refused {
            self.held.input = None; // the program closed it
        } else if ready.input {
            self.pass_on_input();
        }
        if ready.keys {
            self.read_keys();
        }
        if ready.keys_gone {
            self.end(Over::Hangup);
        }
        if ready.program_takes {
            self.pass_keys_on();
        }
        self.look_at_typed();
        self.look();
        self.settle();
    }

    /// Waits until there is something to do.
    fn wait(&self) -> Result<Ready, ShellError> {
        let now = Instant::now();
        let until = [
            (self.held.pty.is_some() || self.is_away).then_some(self.look_at),
            self.typed.as_ref().and_then(|typed| typed.look_again(now)),
        ];
        let mut timeout = until
            .into_iter()
            .flatten()
            .min()
            .and_then(|at| Timespec::try_from(at.saturating_duration_since(now)).ok());
        // After the program's end its terminal is read until it is empty, which nothing else tells.
        let drains = self.ended.is_some() && self.held.screen.as_ref().is_some_and(is_free);
        if drains || (!self.is_away && self.line.is_waiting()) {
            timeout = Some(Timespec::default());
        }
        let when = |flags: PollFlags, so: bool| if so { flags } else { PollFlags::empty() };
        let held = &self.held;
        let mut fds = Fds::new();
        let line = (!self.is_away).then(|| fds.add(self.line.fd(), PollFlags::IN));
        // While the screen takes nothing, nothing is read from the program either.
        let blocked = held.screen.as_ref().is_some_and(Lane::is_blocked);
        let screen = held
            .screen
            .as_ref()
            .filter(|_| blocked)
            .and_then(|lane| fds.add(lane.to(), PollFlags::OUT));
        let wanted = when(PollFlags::IN, !blocked && held.screen.is_some())
            | when(PollFlags::OUT, !self.pending.is_empty());
        let master = held
            .pty
            .as_ref()
            .filter(|_| !wanted.is_empty())
            .and_then(|pty| fds.add(pty.master(), wanted));
        let outputs = held.outputs.each_ref().map(|lane| {
            lane.as_ref().and_then(|lane| match lane.is_blocked() {
                true => fds.add(lane.to(), PollFlags::OUT),
                false => fds.add(lane.from(), PollFlags::IN),
            })
        });
        let (mut to, mut from) = (None, None);
        match &held.input {
            Some(lane) if lane.is_blocked() => to = fds.add(lane.to(), PollFlags::OUT),
            Some(lane) => {
                // Asked for nothing, the pipe still says when the program has closed it.
                to = fds.add(lane.to(), PollFlags::empty());
                from = fds.add(lane.from(), PollFlags::IN);
            }
            None => {}
        }
        let types = self.has_keys && !self.yielded && self.pending.is_empty();
        let keys = held
            .keys
            .as_ref()
            .and_then(|keys| fds.add(keys.as_fd(), when(PollFlags::IN, types)));
        fds.poll(timeout.as_ref())?;
        let (came, keys) = (fds.came(master), fds.came(keys));
        Ok(Ready {
            line: line.is_some_and(|at| !fds.came(at).is_empty()),
            keys: keys.contains(PollFlags::IN),
            keys_gone: keys.intersects(GONE),
            program_takes: came.contains(PollFlags::OUT),
            screen: came.intersects(PollFlags::IN | GONE) || !fds.came(screen).is_empty(),
            input: fds.came(to).contains(PollFlags::OUT) || !fds.came(from).is_empty(),
            input_refused: fds.came(to).intersects(GONE),
            outputs: outputs.map(|at| !fds.came(at).is_empty()),
        })
    }

    fn hear(&mut self) {
        match self.line.hear() {
            Word::Nothing => {}
            Word::Changed => {
                self.take_terminal();
                self.follow_size();
            }
            Word::Yield => {
                self.yielded = true;
                if let Some(outer) = &mut self.held.outer {
                    outer.restore();
                }
                self.line.yielded();
            }
            Word::Over(end) => {
                let marks = self.marks();
                self.ended.get_or_insert((end, marks));
                self.held.input = None;
            }
            // It says so by leaving when it was told that all is delivered.
            Word::Away(_) if self.drained => self.is_away = true,
            Word::Away(why) => {
                self.is_away = true;
                self.end(Over::Away(why));
            }
        }
    }

    /// Where the lanes are when everything that is in them at this moment is delivered.
    fn marks(&self) -> Marks {
        let of = |lane: &Option<Lane>| {
            lane.as_ref().map_or(0, |lane| {
                let inside = rustix::io::ioctl_fionread(lane.from()).unwrap_or(0);
                lane.passed.saturating_add(inside)
            })
        };
        let passed = self.held.screen.as_ref().map_or(0, |lane| lane.passed);
        Marks {
            // A background process may still hold the terminal and write: the bound ends that.
            screen_max: passed.saturating_add(DRAIN_BYTES_MAX as u64),
            outputs: self.held.outputs.each_ref().map(of),
        }
    }

    /// Shows what the program wrote to its terminal, as long as there is more.
    fn show(&mut self) {
        let Some(screen) = &mut self.held.screen else {
            return;
        };
        let typed = &mut self.typed;
        let seen = |bytes: &[u8]| {
            if let Some(typed) = typed {
                typed.shown(bytes, Instant::now());
            }
        };
        let before = screen.passed;
        let turn = screen.turn(self.tape, self.options.strict, seen);
        let passed = screen.passed;
        match turn {
            Err(lost) => self.end(Over::Lost(lost)),
            Ok(Turn::Refused) => self.end(Over::Hangup),
            Ok(turn) => {
                let Some((_, marks)) = &self.ended else {
                    return;
                };
                // The program has ended: what its terminal holds now is all there will be.
                let is_empty = matches!(turn, Turn::Idle | Turn::Ended) && passed == before;
                if is_empty || passed > marks.screen_max {
                    self.let_go_of_terminal();
                }
            }
        }
    }

    /// The program's terminal is closed, which hangs up whoever is left on it, and the outer one is
    /// as it was.
    fn let_go_of_terminal(&mut self) {
        self.keep_rest_of_typed();
        self.line.lets_go();
        self.held.screen = None;
        self.held.keys = None;
        self.held.pty = None;
        self.held.outer = None;
        self.pending.clear();
    }

    fn deliver(&mut self, at: usize) {
        let Some(Some(lane)) = self.held.outputs.get_mut(at) else {
            return;
        };
        match lane.turn(self.tape, self.options.strict, |_| {}) {
            Ok(Turn::Ended | Turn::Refused) => self.let_go(at),
            Ok(_) => {}
            Err(lost) => self.end(Over::Lost(lost)),
        }
    }

    fn pass_on_input(&mut self) {
        let Some(input) = &mut self.held.input else {
            return;
        };
        match input.turn(self.tape, false, |_| {}) {
            Ok(Turn::Ended | Turn::Refused) => {
                self.leavings.note(input);
                self.held.input = None;
            }
            Ok(_) => {}
            Err(lost) => self.end(Over::Lost(lost)),
        }
    }

    /// Says when everything is delivered, and ends when nobody can write any more.
    fn settle(&mut self) {
        if self.ended.is_some() && self.held.screen.as_ref().is_some_and(is_free) {
            self.show();
        }
        self.keep_rest_of_refused();
        let Some((end, marks)) = &self.ended else {
            return;
        };
        let outputs = self.held.outputs.iter().zip(marks.outputs);
        let is_delivered = |(lane, mark): (&Option<Lane>, u64)| {
            lane.as_ref()
                .is_none_or(|lane| lane.passed >= mark && !lane.is_blocked())
        };
        let is_delivered = self.held.screen.is_none() && outputs.into_iter().all(is_delivered);
        let end = end.clone();
        if is_delivered && !self.drained {
            // Also where the screen could not be written to.
            self.let_go_of_terminal();
            self.drained = true;
            self.line.drained(self.leavings.fault().as_deref());
        }
        if self.drained && self.held.outputs.iter().all(Option::is_none) {
            self.end_as_program(end);
        }
    }

    fn end_as_program(&mut self, end: End) {
        let reason = with_fault(end.reason, self.leavings.fault().as_deref());
        self.end(Over::Program(End { reason, ..end }));
    }

    fn keep(&mut self, what: impl FnOnce(&T) -> Result<(), TapeLost>) {
        if let Err(lost) = what(self.tape) {
            self.end(Over::Lost(lost));
        }
    }

    /// The first reason stays, except that a lost record is stronger than any.
    fn end(&mut self, over: Over) {
        if self.over.is_none() || matches!(over, Over::Lost(_)) {
            self.over = Some(over);
        }
    }
}

fn is_free(lane: &Lane) -> bool {
    !lane.is_blocked()
}
