//! Staying beside the login's program until it has ended: signals, window changes, its end.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use hansard_core::event::End;
use hansard_record::handoff::{FromClient, FromDaemon, MESSAGE_BYTES_MAX, read_message};
use rustix::event::{PollFlags, Timespec};
use rustix::process::{Signal, WaitStatus};

use super::outside::Outside;
use super::{Line, STATUS_REFUSED};
use crate::child::{Program, State};
use crate::exit::{Ending, Exit};
use crate::fds::Fds;
use crate::limits::{GRANT_WAIT_MAX, LOGIN_GRACE};
use crate::signals::Signals;
use crate::sys;

/// Status of a session that somebody ended: as if its terminal had been hung up.
const STATUS_ENDED: u8 = 129;

struct Beside<'a> {
    line: Line,
    program: &'a Program,
    signals: &'a Signals,
    outside: &'a Outside,
    /// How the program ended, once it has.
    ended: Option<WaitStatus>,
    drained: bool,
    /// Which streams could not be passed on, and why.
    fault: Option<String>,
    /// The daemon is gone, or records no more.
    is_alone: bool,
    /// Why the session was ended, where somebody did, and the status to say so with.
    why: Option<(u8, String)>,
    kill_at: Option<Instant>,
    leave_at: Option<Instant>,
}

/// Stays until the program has ended and its output is delivered; answers the status to end with.
pub(super) fn stay(line: Line, program: &Program, signals: &Signals, outside: &Outside) -> u8 {
    Outside::let_go();
    let mut beside = Beside {
        line,
        program,
        signals,
        outside,
        ended: None,
        drained: false,
        fault: None,
        is_alone: false,
        why: None,
        kill_at: None,
        leave_at: None,
    };
    beside.say_who_started();
    while !beside.is_over() {
        beside.turn();
    }
    beside.leave()
}

impl Beside<'_> {
    fn is_over(&self) -> bool {
        let is_late = self.leave_at.is_some_and(|at| at <= Instant::now());
        is_late || self.ended.is_some() && (self.drained || self.is_alone)
    }

    fn say_who_started(&mut self) {
        let pid = self.program.pid().as_raw_nonzero().get();
        self.say(&FromClient::Started(u64::try_from(pid).unwrap_or(0)));
    }

    /// Another daemon holds the login: it is told where we are.
    fn say_again(&mut self) {
        self.say_who_started();
        match self.ended {
            Some(status) => self.say_ended(status),
            None => self.say(&FromClient::Changed),
        }
    }

    fn say_ended(&mut self, status: WaitStatus) {
        let end: End = Exit::of(status, Ending::Program).end();
        // Whoever reads takes as long as they like, as they could of the program itself; a daemon that is gone is
        // noticed.
        self.say(&FromClient::Close(end));
    }

    fn turn(&mut self) {
        let now = Instant::now();
        let until = [self.kill_at, self.leave_at].into_iter().flatten().min();
        let wait = until.map(|at| at.saturating_duration_since(now));
        let timeout = match self.line.buffer().is_empty() {
            true => wait.and_then(|wait| Timespec::try_from(wait).ok()),
            false => Some(Timespec::default()),
        };
        let mut fds = Fds::new();
        let signals = fds.add(self.signals.as_fd(), PollFlags::IN);
        let line = match self.is_alone {
            true => None,
            false => fds.add(self.line.get_ref().socket().as_fd(), PollFlags::IN),
        };
        // Failing, it is as good as woken: everything is looked at.
        let _ = fds.poll(timeout.as_ref());
        let (signals, line) = (!fds.came(signals).is_empty(), !fds.came(line).is_empty());
        drop(fds);
        if signals {
            self.on_signals();
        }
        if !self.is_alone && (line || !self.line.buffer().is_empty()) {
            self.hear();
        }
        if self.kill_at.take_if(|at| *at <= Instant::now()).is_some() {
            self.program.signal(Signal::KILL);
        }
    }

    fn on_signals(&mut self) {
        let came = self.signals.came();
        for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
            if came.has(signal) {
                self.program.signal(signal);
                self.program.signal(Signal::CONT);
                // The reader is gone, or somebody is tired of waiting for them.
                let leave_at = Instant::now() + GRANT_WAIT_MAX;
                if self.ended.is_some() {
                    self.leave_at.get_or_insert(leave_at);
                }
            }
        }
        if came.has(Signal::TSTP) {
            self.stop();
        } else if came.has(Signal::WINCH) || came.has(Signal::CONT) {
            self.say(&FromClient::Changed);
        }
        let state = match self.program.state() {
            State::Runs => self.program.reap().map_or(State::Runs, State::Ended),
            other => other,
        };
        match state {
            State::Ended(status) if self.ended.is_none() => {
                self.ended = Some(status);
                self.kill_at = None;
                self.say_ended(status);
            }
            // Only SIGSTOP stops a session's leader (`suspend -f`). Stop too, so that whoever
            // started us sees it.
            State::Stopped if self.ended.is_none() => {
                self.stop();
                self.program.signal(Signal::CONT);
            }
            _ => {}
        }
    }

    /// Has the terminal's modes put back, stops, and has the terminal taken again when continued.
    fn stop(&mut self) {
        self.say(&FromClient::Yield);
        while !self.is_alone {
            match self.hear() {
                Some(FromDaemon::Yielded) => break,
                // Its `Changed` is not true yet.
                Some(FromDaemon::Again) => self.say(&FromClient::Yield),
                _ => {}
            }
        }
        if self.signals.stop_here().is_ok() {
            self.say(&FromClient::Changed);
        }
    }

    fn say(&self, message: &FromClient<'_>) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let mut socket = self.line.get_ref().socket();
        // A daemon that closed may have said before that all is delivered: whether it is gone is heard, after what
        // it said.
        let _ = socket.write_all(&bytes);
    }

    /// Hears one message.
    fn hear(&mut self) -> Option<FromDaemon> {
        let mut buffer = Vec::new();
        let message = match read_message(&mut self.line, &mut buffer, MESSAGE_BYTES_MAX) {
            Ok(true) => FromDaemon::decode(&buffer).ok(),
            _ => None,
        };
        match &message {
            Some(FromDaemon::Drained { fault }) => {
                self.drained = true;
                self.fault = Some(fault.clone()).filter(|fault| !fault.is_empty());
            }
            Some(FromDaemon::End { reason, by }) => {
                let why = match by.as_str() {
                    "" => reason.clone(),
                    by => format!("{reason} (by {by})"),
                };
                self.why.get_or_insert((STATUS_ENDED, why));
                self.hang_up();
            }
            Some(FromDaemon::Again) => self.say_again(),
            Some(FromDaemon::Lost(why)) => self.be_alone(&why.clone()),
            Some(_) => {}
            None => self.be_alone("the daemon is gone"),
        }
        message
    }

    /// Nobody records any more: the session ends.
    fn be_alone(&mut self, why: &str) {
        if self.drained {
            self.is_alone = true;
            return;
        }
        self.why
            .get_or_insert_with(|| (STATUS_REFUSED, why.to_owned()));
        self.is_alone = true;
        self.outside.restore();
        self.hang_up();
    }

    fn hang_up(&mut self) {
        if self.kill_at.is_some() || self.ended.is_some() {
            return;
        }
        self.program.hang_up(None);
        let now = Instant::now();
        self.kill_at = Some(now + LOGIN_GRACE);
        self.leave_at = Some(now + LOGIN_GRACE + Duration::from_secs(1));
    }

    /// Ends as the program did.
    fn leave(&self) -> u8 {
        if let Some((status, why)) = &self.why {
            self.outside
                .say(&format!("hansard: the session was ended: {why}"));
            return *status;
        }
        let Some(status) = self.ended else {
            return STATUS_REFUSED;
        };
        if !self.drained {
            self.outside
                .say("hansard: the session was left before all of its output was delivered");
            return STATUS_REFUSED;
        }
        let exit = Exit {
            fault: self.fault.clone(),
            ..Exit::of(status, Ending::Program)
        };
        if let Some(fault) = &exit.fault {
            self.outside.say(&format!("hansard: {fault}"));
            return exit.answer();
        }
        if let Some(signal) = status.terminating_signal() {
            sys::die_of(signal);
        }
        exit.answer()
    }
}
