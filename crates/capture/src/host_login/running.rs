//! How a login without a recorder is followed to its end, and ended.
//!
//! Nobody holds its terminal, so ending it is a signal. One that takes no notice of the hangup is killed, and
//! its recording has its end when it is gone, not before: where the daemon may not kill it, it goes on and is
//! recorded.

use std::collections::HashSet;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, pidfd_send_signal};

use crate::local::THE_DAEMON_STOPS;
use crate::registry::Runs;
use crate::shell::{Led, Process};

/// How often is looked whether a recording has failed while nothing happens, and whether what is killed is
/// gone.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long what was killed may take to be gone. At the bound an alarm says that it goes on, and it is killed
/// again and followed all the same.
pub(super) const GONE_WAIT_MAX: Duration = Duration::from_secs(5);

/// What came of following it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// What was started for it has ended; where that had to be killed, all of it.
    Ended,
    /// The daemon stops, and the login goes on.
    Stops,
    /// Its recording has failed.
    Failed,
}

/// How others end it.
pub(super) struct Running {
    /// What was started for the login; `None`: it has ended.
    process: Option<OwnedFd>,
    wake: Mutex<PipeWriter>,
    /// The daemon stops.
    stops: AtomicBool,
    /// It was to end by itself, and its time is over.
    is_late: AtomicBool,
}

/// What is killed: all that descends from what was started for the login, and the session that this leads.
pub(super) struct Prey {
    process: Process,
    led: Option<Led>,
    /// Who was found below it: whoever loses their parent is found no more.
    below: HashSet<Process>,
}

impl Prey {
    /// Of this login; `None` when it is gone.
    pub(super) fn of(pid: i32, uid: u32) -> Option<Self> {
        Some(Self {
            process: Process::of(pid)?,
            led: Led::by(pid, uid),
            below: HashSet::new(),
        })
    }

    /// Kills what is there still, and answers whether something is left.
    pub(super) fn kill(&mut self) -> bool {
        if let Some(led) = &mut self.led {
            // By them it is known when its leader is gone.
            led.look();
        }
        self.below.extend(self.process.descendants());
        self.below.retain(|one| one.goes_on());
        self.below.iter().for_each(|one| one.kill());
        self.process.kill_below();
        self.process.kill();
        if let Some(led) = &mut self.led {
            led.kill();
        }
        let is_led = self.led.as_ref().is_some_and(|led| !led.left().is_empty());
        is_led || self.process.goes_on() || self.below.iter().any(|one| one.goes_on())
    }
}

impl Running {
    pub(super) fn new(process: Option<OwnedFd>, wake: PipeWriter) -> Self {
        Self {
            process,
            wake: Mutex::new(wake),
            stops: AtomicBool::new(false),
            is_late: AtomicBool::new(false),
        }
    }

    /// Waits until it has ended, its recording is to end without it, or has failed. One whose time is over is
    /// killed until nothing is `left`; what stays for longer than this is `told`, once each time.
    pub(super) fn wait(
        &self,
        mut woken: &PipeReader,
        has_failed: impl Fn() -> bool,
        mut kill: impl FnMut() -> bool,
        (gone_wait, told): (Duration, impl Fn()),
    ) -> Over {
        let Some(process) = &self.process else {
            return Over::Ended;
        };
        let timeout = Timespec::try_from(LOOK_EVERY.min(gone_wait)).ok();
        let mut ends_told = None;
        let mut is_killed = false;
        while !has_failed() {
            let mut has_ended = has_ended(process);
            if self.stops.load(Ordering::SeqCst) {
                return if has_ended { Over::Ended } else { Over::Stops };
            }
            if self.is_late.swap(false, Ordering::SeqCst) {
                (is_killed, ends_told) = (true, Some(Instant::now() + gone_wait));
            }
            if is_killed {
                let is_left = kill();
                has_ended = has_ended || self::has_ended(process);
                if has_ended && !is_left {
                    return Over::Ended;
                }
                if ends_told.take_if(|at| *at <= Instant::now()).is_some() {
                    told();
                }
            } else if has_ended {
                return Over::Ended;
            }
            let mut fds = vec![PollFd::new(&woken, PollFlags::IN)];
            // One that has ended says so all the time.
            if !has_ended {
                fds.push(PollFd::new(process, PollFlags::IN));
            }
            // A signal came, or there is no memory: asked again.
            let _ = poll(&mut fds, timeout.as_ref());
            if fds.first().is_some_and(|fd| !fd.revents().is_empty()) {
                // What it says stands beside it.
                let _ = woken.read(&mut [0; 64]);
            }
        }
        Over::Failed
    }

    fn wake(&self) {
        let mut wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
        // A full pipe has woken it already.
        let _ = wake.write(&[0]);
    }
}

/// Whether this process has ended.
fn has_ended(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

impl Runs for Running {
    fn end(&self, reason: &str, by: &str) {
        // A daemon that stops ends its recordings, and nobody's login.
        if reason == THE_DAEMON_STOPS && by.is_empty() {
            self.stops.store(true, Ordering::SeqCst);
            return self.wake();
        }
        // As when its terminal were hung up. Where the daemon may not, that is found when its time is over.
        if let Some(process) = &self.process {
            let _ = pidfd_send_signal(process, Signal::HUP);
        }
    }

    fn give_up(&self) {
        self.is_late.store(true, Ordering::SeqCst);
        self.wake();
    }
}

#[cfg(test)]
mod tests;
