//! Where the processes of sessions come from: one that was started for that, and has no thread but one, forks them.
//! The linker writes to a megabyte of a program of this size when it starts, and to each module that it loads; whatever is
//! forked shares that.
//!
//! It knows nothing of any session: descriptors come, a process is forked that has them, and its own are closed. It is
//! started anew now and then, since libraries may be others by then, and since a process that could be guessed at
//! should not be the same for ever. One that is gone has a successor; what it forked goes on.

use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hansard_record::handoff::Incoming;
use hansard_record::handoff::descriptors::send_with;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal, setsid};

use super::keeper::kept;
use super::wire::{Word, write};
use super::{Program, sys};
use crate::sys as process;

/// How long one server forks.
const FRESH_FOR: Duration = Duration::from_secs(15 * 60);

/// How long an answer may take: it asks nobody and starts nothing, and everybody who signs in waits for it.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What is said beside descriptors: of a session's process its line and the program's three, of an answer the process.
const HERE: u8 = 0;

/// The answer without a process.
const NONE: u8 = 1;

/// The daemon's half.
#[derive(Debug)]
pub(super) struct ForkServer {
    program: Program,
    service: String,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    line: Incoming,
    since: Instant,
}

/// A process that was forked. It is reaped by who forked it.
#[derive(Debug)]
pub(super) struct Forked(OwnedFd);

impl Forked {
    /// Ends it without asking.
    pub(super) fn kill(&self) {
        // It may have ended.
        let _ = pidfd_send_signal(&self.0, Signal::KILL);
    }
}

impl ForkServer {
    pub(super) fn new(program: Program, service: String) -> Self {
        Self {
            program,
            service,
            running: Mutex::new(None),
        }
    }

    /// Has a process forked that listens to this line, with the standard descriptors of the program that it is to
    /// start.
    ///
    /// # Errors
    /// There is none; if there should be, its line ends.
    pub(super) fn fork(&self, line: UnixStream, given: [OwnedFd; 3]) -> io::Result<Forked> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if !running.as_mut().is_some_and(Running::is_fresh) {
            *running = None;
        }
        let mut server = match running.take() {
            Some(server) => server,
            None => Running::start(&self.program, &self.service)?,
        };
        if server.ask(&line, &given).is_err() {
            // It was gone before it was asked: its successor is. Nobody else has the session's line.
            server = Running::start(&self.program, &self.service)?;
            server.ask(&line, &given)?;
        }
        // One that fails is not asked again.
        let forked = server.answer()?;
        *running = Some(server);
        Ok(forked)
    }
}

impl Running {
    fn start(program: &Program, service: &str) -> io::Result<Self> {
        let (child, mut line) = program.started()?;
        let service = service.to_owned();
        write(&mut line, &Word::Forks { service })?;
        line.set_read_timeout(Some(ANSWER_MAX))?;
        line.set_write_timeout(Some(ANSWER_MAX))?;
        Ok(Self {
            child,
            line: Incoming::new(line),
            since: Instant::now(),
        })
    }

    fn is_fresh(&mut self) -> bool {
        self.since.elapsed() < FRESH_FOR && matches!(self.child.try_wait(), Ok(None))
    }

    fn ask(&self, line: &UnixStream, [stdin, stdout, stderr]: &[OwnedFd; 3]) -> io::Result<()> {
        let all = [line.as_fd(), stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        send_with(self.line.socket(), &[HERE], &all)
    }

    fn answer(&mut self) -> io::Result<Forked> {
        self.line.read_exact(&mut [0])?;
        let [process] = self
            .line
            .take_next()
            .ok_or_else(|| io::Error::other("no process could be forked"))?;
        Ok(Forked(process))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has nothing that could be lost.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process's half: forks until nobody asks any more. Returns in each of those that were forked as well, when its
/// session is over.
pub(super) fn serve(line: UnixStream, service: &str) -> io::Result<()> {
    let _loaded = sys::prepare(service);
    // Nobody waits for what is forked: the daemon hears how it ends on its line.
    let ignored = process::ignore(Signal::CHILD)?;
    let mut line = Incoming::new(line);
    loop {
        let mut asked = [0];
        if line.read(&mut asked)? == 0 {
            return Ok(());
        }
        let given = line.take_next().ok_or(io::ErrorKind::InvalidData)?;
        match process::fork() {
            Ok(None) => {
                drop(line);
                // Modules start programs and wait for them.
                drop(ignored);
                return session(given);
            }
            Ok(Some(pid)) => {
                drop(given);
                // It is there: it waits for a word that the daemon sends once it has this.
                match pidfd_open(pid, PidfdFlags::empty()) {
                    Ok(process) => send_with(line.socket(), &[HERE], &[process.as_fd()])?,
                    // It ended at once, or there are no descriptors left.
                    Err(_) => send_with(line.socket(), &[NONE], &[])?,
                }
            }
            Err(_) => send_with(line.socket(), &[NONE], &[])?,
        }
    }
}

fn session([line, stdin, stdout, stderr]: [OwnedFd; 4]) -> io::Result<()> {
    setsid()?;
    kept(UnixStream::from(line), Some([stdin, stdout, stderr]))
}
