//! Threads that stand back behind what records: where there is too little for all, who records comes
//! first, who is shown a session as it happens second, who asks for anything else third, and what nobody
//! waits for last.
//!
//! What archives does not stand back: it shares locks with who records, and somebody would wait for a thread
//! that waits for a processor.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Behind whom a thread stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Those who record. It has a third of the weight of one of them (nice 5): what it shows must not be
    /// seconds old while they pour, and there is one for each session, however many watch it.
    Recorders,
    /// Those who are watched, too: a tenth (nice 10).
    Painters,
    /// All of them: a twenty-eighth (nice 15).
    Everybody,
}

/// The thread that calls this, and every thread that it begins, stands back from now on. For a thread of
/// its own only, as it stays so.
pub(crate) fn stand_back(behind: Behind) {
    let nice = match behind {
        Behind::Recorders => 5,
        Behind::Painters => 10,
        Behind::Everybody => 15,
    };
    // Where that is refused, it competes with the others as before.
    let _ = rustix::process::setpriority_process(None, nice);
}

/// What a thread does besides that nobody waits for. Priorities count among the threads of a service alone where the system
/// shares its processors among services and sessions first, and some services may not change them at all. But who had
/// to wait for a processor can tell that others want it.
pub(crate) struct Leisure {
    clock: Waited,
    worked: Duration,
    waited: Duration,
}

/// Work after which it looks whether it had to wait.
const LOOK: Duration = Duration::from_millis(2);

/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(100);

impl Leisure {
    /// Of the thread that calls this.
    pub(crate) fn begin() -> Self {
        let clock = Waited::of_this_thread();
        Self {
            worked: worked(),
            waited: clock.now(),
            clock,
        }
    }

    /// To be called every few milliseconds of work. Sleeps where others wanted the processor meanwhile.
    pub(crate) fn rest(&mut self) {
        let done = worked().saturating_sub(self.worked);
        if done < LOOK {
            return;
        }
        let pause = pause(done, self.clock.now().saturating_sub(self.waited));
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
        (self.worked, self.waited) = (worked(), self.clock.now());
    }
}

/// How long a thread has waited for a processor in its life: not for a disk, a lock or a word.
struct Waited {
    /// Its `schedstat` (sched-stats of the kernel's manual); `None` where the system does not tell.
    told: Option<File>,
}

impl Waited {
    fn of_this_thread() -> Self {
        Self {
            told: File::open("/proc/thread-self/schedstat").ok(),
        }
    }

    /// Where nothing is told, all time in which it did not work.
    fn now(&self) -> Duration {
        self.read().unwrap_or_else(|| {
            let time = Duration::try_from(clock_gettime(ClockId::Monotonic));
            time.unwrap_or_default().saturating_sub(worked())
        })
    }

    fn read(&self) -> Option<Duration> {
        let mut bytes = [0; 64];
        let len = self.told.as_ref()?.read_at(&mut bytes, 0).ok()?;
        let text = std::str::from_utf8(bytes.get(..len)?).ok()?;
        let waited = text.split_ascii_whitespace().nth(1)?;
        waited.parse().ok().map(Duration::from_nanos)
    }
}

/// Processor time of the thread that calls this.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// How long who worked and waited so much lets others go first: a fifth of a processor is left to it.
fn pause(worked: Duration, waited: Duration) -> Duration {
    match waited > worked / 32 {
        true => (worked * 4).min(PAUSE_MAX),
        false => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    use super::*;

    #[test]
    fn a_thread_stands_back_with_those_it_begins_and_nobody_else() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let stood = std::thread::spawn(move || {
            stand_back(Behind::Everybody);
            (nice(), std::thread::spawn(nice).join().unwrap())
        });
        assert_eq!(stood.join().unwrap(), (before.max(15), before.max(15)));
        assert_eq!(nice(), before);
    }

    #[test]
    fn who_had_to_wait_for_a_processor_leaves_it_to_others() {
        let ms = Duration::from_millis;
        assert_eq!(pause(ms(8), ms(0)), ms(0));
        assert_eq!(pause(ms(64), ms(1)), ms(0));
        assert_eq!(pause(ms(8), ms(2)), ms(32));
        assert_eq!(pause(ms(80), ms(920)), PAUSE_MAX);
        let mut leisure = Leisure::begin();
        leisure.rest();
        assert!(worked() >= leisure.worked);
    }

    #[test]
    fn who_waits_for_a_disk_or_a_word_did_not_wait_for_a_processor() {
        let clock = Waited::of_this_thread();
        let before = clock.read().expect("a kernel that tells it");
        let slept = Duration::from_secs(2);
        std::thread::sleep(slept);
        let waited = clock.read().unwrap() - before;
        assert!(waited < slept / 2, "{waited:?}");
    }
}
