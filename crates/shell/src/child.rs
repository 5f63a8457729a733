//! The program: started, watched, told to end.

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getpid, getrlimit, kill_process,
    kill_process_group, set_child_subreaper, setrlimit, wait, waitpid,
};

use crate::command::Command;
use crate::error::ShellError;
use crate::exit::{Ending, signal_name};
use crate::limits::HANGUP_AFTER;
use crate::pty::Pty;
use crate::signals::Signals;
use crate::sys;

/// What became of the program.
#[derive(Debug, Clone, Copy)]
pub(crate) enum State {
    Runs,
    Stopped,
    Ended(WaitStatus),
}

/// Limits that would hit the recorder in the program's stead.
const LIMITS: [Resource; 3] = [Resource::Fsize, Resource::Nofile, Resource::As];

/// A started program.
pub(crate) struct Program {
    pid: Pid,
    /// It leads a session and process group of its own.
    leads: bool,
}

impl Program {
    /// Starts it on its own terminal, as leader of its own session.
    pub(crate) fn on_terminal(
        command: &Command,
        pty: &Pty,
        stderr: Option<OwnedFd>,
        signals: &Signals,
    ) -> Result<Self, ShellError> {
        let mut std = command.to_std().ok_or(ShellError::NoProgram)?;
        std.stdin(pty.slave_copy()?).stdout(pty.slave_copy()?);
        match stderr {
            Some(pipe) => std.stderr(pipe),
            None => std.stderr(pty.slave_copy()?),
        };
        sys::before_exec(&mut std, inherited(signals), true);
        Self::spawn(command, std, true)
    }

    /// Starts it with these standard streams, in our own session and process group: keys and job
    /// control reach it as if we were not there.
    pub(crate) fn on_pipes(
        command: &Command,
        streams: [Stdio; 3],
        signals: &Signals,
    ) -> Result<Self, ShellError> {
        let mut std = command.to_std().ok_or(ShellError::NoProgram)?;
        let [stdin, stdout, stderr] = streams;
        std.stdin(stdin).stdout(stdout).stderr(stderr);
        sys::before_exec(&mut std, inherited(signals), false);
        Self::spawn(command, std, false)
    }

    /// Starts a login's program on what the daemon holds the other ends of, as leader of a session of
    /// its own, with nothing else open.
    pub(crate) fn for_login(
        command: &Command,
        descriptors: [OwnedFd; 3],
        terminal: Option<i32>,
        signals: &Signals,
    ) -> Result<Self, ShellError> {
        let mut std = command.to_std().ok_or(ShellError::NoProgram)?;
        // What leaves its session and its parent is our child then: whoever ends what a login leaves
        // running finds it below us. Kernels since 3.4 can.
        let _ = set_child_subreaper(Some(getpid()));
        let [stdin, stdout, stderr] = descriptors;
        std.stdin(stdin).stdout(stdout).stderr(stderr);
        sys::before_login(&mut std, inherited(signals), terminal);
        Self::spawn(command, std, true)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// `std` owns the program's ends of all pipes, and is dropped here: only the program holds
    /// them afterwards.
    fn spawn(
        command: &Command,
        mut std: std::process::Command,
        leads: bool,
    ) -> Result<Self, ShellError> {
        let not_started = |source| ShellError::NotStarted {
            program: command.program(),
            source,
        };
        let child = std.spawn().map_err(not_started)?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| not_started(std::io::ErrorKind::Unsupported.into()))?;
        Ok(Self { pid, leads })
    }

    /// Asks the kernel what became of it, without waiting.
    pub(crate) fn state(&self) -> State {
        match waitpid(Some(self.pid), WaitOptions::NOHANG | WaitOptions::UNTRACED) {
            Ok(Some((_, status))) if status.stopped() => State::Stopped,
            Ok(Some((_, status))) => State::Ended(status),
            _ => State::Runs,
        }
    }

    /// Lets go of processes whose parents are gone and that have ended, which a subreaper gets. Answers
    /// how the program ended if it is among them.
    pub(crate) fn reap(&self) -> Option<WaitStatus> {
        let mut ended = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.pid {
                ended = Some(status);
            }
        }
        ended
    }

    /// Sends a signal to the program (and to its whole group, if it leads one).
    pub(crate) fn signal(&self, signal: Signal) {
        // Fails only when it is gone already.
        let _ = match self.leads {
            true => kill_process_group(self.pid, signal),
            false => kill_process(self.pid, signal),
        };
    }

    /// As the kernel does when a terminal is hung up: told, and woken so that it hears.
    pub(crate) fn hang_up(&self, foreground: Option<Pid>) {
        for signal in [Signal::HUP, Signal::CONT] {
            self.signal(signal);
            if let Some(group) = foreground.filter(|group| *group != self.pid) {
                let _ = kill_process_group(group, signal);
            }
        }
    }

    /// Ends it without asking.
    pub(crate) fn kill(&self, foreground: Option<Pid>) {
        self.signal(Signal::KILL);
        if let Some(group) = foreground.filter(|group| *group != self.pid && self.leads) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Lifts the soft limits of this process, and says what the program inherits nevertheless.
///
/// A small file size limit set by the user before would otherwise end the recording.
fn inherited(signals: &Signals) -> sys::Inherited {
    let limits = LIMITS.map(|resource| {
        let before = getrlimit(resource);
        // Fails for nobody who may have the hard limit as soft one, which is everybody.
        let _ = setrlimit(
            resource,
            Rlimit {
                current: before.maximum,
                maximum: before.maximum,
            },
        );
        (resource, before)
    });
    sys::Inherited {
        limits,
        mask: signals.mask_before(),
    }
}

/// What is done at a step of [`Farewell`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Wait,
    HangUp,
    Kill,
    /// Stop waiting for the program.
    Leave,
}

/// Why a session is being ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// Somebody sent us this signal, which was passed on.
    Told(Signal),
    /// The terminal went away.
    Hangup,
    /// The record is lost.
    Lost,
}

/// The end of a session that does not wait for its program, step by step.
#[derive(Debug)]
pub(crate) struct Farewell {
    why: Why,
    hang_up_at: Option<Instant>,
    last_at: Option<Instant>,
    leave_at: Option<Instant>,
}

impl Farewell {
    pub(crate) fn new(why: Why, grace: Duration, now: Instant) -> Self {
        let hang_up_at = if matches!(why, Why::Told(_)) {
            now + HANGUP_AFTER
        } else {
            now
        };
        let last_at = hang_up_at + grace;
        Self {
            why,
            hang_up_at: Some(hang_up_at),
            last_at: Some(last_at),
            // A killed program that does not go (it hangs in the kernel) is not waited for.
            leave_at: Some(last_at + grace),
        }
    }

    /// The step due now; each comes once.
    pub(crate) fn step(&mut self, now: Instant) -> Step {
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        if due(&mut self.hang_up_at) {
            return Step::HangUp;
        }
        if due(&mut self.last_at) {
            // Without its terminal a program that ignores hangups is nobody's session any more;
            // nothing it does can be recorded here, and a shell would let it live.
            return if self.why == Why::Hangup {
                Step::Leave
            } else {
                Step::Kill
            };
        }
        if due(&mut self.leave_at) {
            Step::Leave
        } else {
            Step::Wait
        }
    }

    /// When the next step is due.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.hang_up_at.or(self.last_at).or(self.leave_at)
    }

    pub(crate) fn ending(&self) -> Ending {
        match &self.why {
            Why::Told(signal) => {
                Ending::Told(signal_name(u8::try_from(signal.as_raw()).unwrap_or(0)))
            }
            Why::Hangup | Why::Lost => Ending::Hangup,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_farewell_goes_step_by_step() {
        let (now, grace) = (Instant::now(), Duration::from_secs(2));
        let mut told = Farewell::new(Why::Told(Signal::TERM), grace, now);
        assert_eq!(told.step(now), Step::Wait);
        assert_eq!(told.step(now + HANGUP_AFTER), Step::HangUp);
        assert_eq!(told.step(now + HANGUP_AFTER), Step::Wait);
        assert_eq!(told.step(now + HANGUP_AFTER + grace), Step::Kill);
        assert_eq!(told.step(now + HANGUP_AFTER + grace * 2), Step::Leave);
        let mut hangup = Farewell::new(Why::Hangup, grace, now);
        assert_eq!(hangup.step(now), Step::HangUp);
        assert_eq!(hangup.next_at(), Some(now + grace));
        assert_eq!(hangup.step(now + grace), Step::Leave);
    }
}
