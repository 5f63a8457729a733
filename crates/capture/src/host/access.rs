//! Who came into this host, who was refused, and who became somebody else: logins, failed logins, `sudo`
//! and `su`, whatever recorded their sessions or did not.
//!
//! The kernel's audit stream says it ([`audit`]), to whoever may listen, beside any `auditd`. Where that is
//! switched off, or is another namespace's, the journal says it ([`journal`]): in words that programs
//! chose, so only in those of root's own programs.

use std::fmt;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hansard_core::event::{Body, Fact};
use hansard_core::fields::Fields;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

use super::Tell;

mod audit;
mod journal;

/// Most access events that are told in a minute: somebody who tries passwords by the thousand does not
/// fill the host's recording. At the bound they are counted, and the next minute's first word is an alarm
/// with the number.
pub const ACCESS_PER_MINUTE_MAX: u64 = 600;

/// Longest text of an event that somebody outside may choose (names of accounts, commands), bytes; what
/// is longer is cut there.
const TEXT_BYTES_MAX: usize = 4096;

/// A minute, nanoseconds.
const MINUTE_NS: u64 = 60_000_000_000;

/// Where it is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The kernel's audit stream.
    Audit,
    /// The system's journal.
    Journal,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audit => "audit",
            Self::Journal => "journal",
        })
    }
}

/// Listens while it lives.
pub struct Access {
    source: Source,
    told: Arc<AtomicU64>,
    /// Dropped first thing, it ends the thread.
    stop: Option<PipeWriter>,
    listening: Option<JoinHandle<()>>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Listens where something is to be heard, and tells it.
    ///
    /// # Errors
    /// Why nothing is to be heard here, of both sources.
    pub fn start(tell: Tell) -> Result<Self, String> {
        let (stopped, stop) = io::pipe().map_err(|e| e.to_string())?;
        let told = Arc::new(AtomicU64::new(0));
        let mut teller = Teller::new(tell, Arc::clone(&told));
        let thread = std::thread::Builder::new().name("host-access".to_owned());
        let (source, listening) = match audit::Stream::open() {
            Ok(stream) => {
                let listening = thread.spawn(move || stream.listen(&stopped, &mut teller));
                (Source::Audit, listening)
            }
            Err(no_audit) => {
                let follower = journal::Follower::start()
                    .map_err(|no_journal| format!("{no_audit}; {no_journal}"))?;
                let listening = thread.spawn(move || follower.listen(&stopped, &mut teller));
                (Source::Journal, listening)
            }
        };
        Ok(Self {
            source,
            told,
            stop: Some(stop),
            listening: Some(listening.map_err(|e| e.to_string())?),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Events that were told.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }
}

/// What came of waiting.
enum Heard {
    /// There is something to hear.
    Words,
    /// There was nothing for so long.
    Nothing,
    /// The other end of the pipe is gone.
    End,
}

/// Waits until there is something to hear, so many nanoseconds at most where a bound is given.
fn hear(source: &impl AsFd, stopped: &PipeReader, wait_ns: Option<u64>) -> Heard {
    let wait = wait_ns.and_then(|ns| Timespec::try_from(Duration::from_nanos(ns)).ok());
    loop {
        let mut fds = [
            PollFd::new(source, PollFlags::IN),
            PollFd::new(stopped, PollFlags::IN),
        ];
        // A signal came, or there is no memory: asked again.
        let Ok(ready) = poll(&mut fds, wait.as_ref()) else {
            continue;
        };
        let [_, end] = &fds;
        return match (ready, end.revents().is_empty()) {
            (0, _) => Heard::Nothing,
            (_, true) => Heard::Words,
            (_, false) => Heard::End,
        };
    }
}

/// Waits until there is something to hear; `false` once the other end of the pipe is gone.
fn hears(source: &impl AsFd, stopped: &PipeReader) -> bool {
    matches!(hear(source, stopped, None), Heard::Words)
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000)
}

impl Drop for Access {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(listening) = self.listening.take() {
            // One that panicked has said what it knew.
            let _ = listening.join();
        }
    }
}

/// What is told, and how much of it.
struct Teller {
    tell: Tell,
    told: Arc<AtomicU64>,
    since_ns: u64,
    in_minute: u64,
    too_many: u64,
}

impl Teller {
    fn new(tell: Tell, told: Arc<AtomicU64>) -> Self {
        Self {
            tell,
            told,
            since_ns: 0,
            in_minute: 0,
            too_many: 0,
        }
    }

    /// Tells this, at this moment of the monotonic clock.
    fn tell(&mut self, body: Body, now_ns: u64) {
        if now_ns.saturating_sub(self.since_ns) >= MINUTE_NS {
            self.since_ns = now_ns;
            self.in_minute = 0;
            self.overflowed();
        }
        if self.in_minute >= ACCESS_PER_MINUTE_MAX {
            self.too_many = self.too_many.saturating_add(1);
            return;
        }
        self.in_minute = self.in_minute.saturating_add(1);
        self.told.fetch_add(1, Ordering::Relaxed);
        (self.tell)(body);
    }

    /// Says how many were not told, if some were not.
    fn overflowed(&mut self) {
        let many = std::mem::take(&mut self.too_many);
        if many > 0 {
            self.alarm(format!(
                "{many} more logins, failed logins, sudo and su came in a minute than are told \
                 ({ACCESS_PER_MINUTE_MAX})"
            ));
        }
    }

    fn alarm(&self, reason: String) {
        let fields = Fields::new()
            .with("alarm", "host_access")
            .with("reason", reason);
        (self.tell)(Body::Admin(Fact {
            event: "alarm".to_owned(),
            fields,
        }));
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.overflowed();
    }
}

/// What somebody did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Login,
    Sudo,
    Su,
}

impl Deed {
    /// What a program is for, by its file or name.
    fn of_program(path: &str) -> Option<Self> {
        match path.rsplit('/').next()? {
            "sshd" | "sshd-session" | "sshd-auth" | "login" | "gdm-session-worker" | "lightdm"
            | "sddm-helper" | "dropbear" | "in.telnetd" | "vsftpd" => Some(Self::Login),
            "sudo" | "sudo-rs" | "doas" => Some(Self::Sudo),
            "su" | "su-rs" | "runuser" => Some(Self::Su),
            _ => None,
        }
    }

    fn event(self) -> &'static str {
        match self {
            Self::Login => "host.login",
            Self::Sudo => "host.sudo",
            Self::Su => "host.su",
        }
    }
}

/// An event of access. Empty texts are not said, nor is what came of it where nobody knows.
fn access(
    deed: Deed,
    success: Option<bool>,
    texts: &[(&str, &str)],
    numbers: &[(&str, u64)],
) -> Body {
    let mut fields = Fields::new();
    if let Some(success) = success {
        fields.push("success", success);
    }
    for (name, text) in texts.iter().filter(|(_, text)| !text.is_empty()) {
        fields.push(*name, cut(text));
    }
    for (name, number) in numbers {
        fields.push(*name, *number);
    }
    Body::Auth(Fact {
        event: deed.event().to_owned(),
        fields,
    })
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn so_many_in_a_minute_and_then_their_number() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let of_tell = Arc::clone(&said);
        let tell: Tell = Box::new(move |body| of_tell.lock().unwrap().push(body));
        let mut teller = Teller::new(tell, Arc::default());
        let failed = || {
            access(
                Deed::Login,
                Some(false),
                &[("login", "root"), ("error", "")],
                &[],
            )
        };
        for n in 0..ACCESS_PER_MINUTE_MAX + 7 {
            teller.tell(failed(), n + MINUTE_NS);
        }
        assert_eq!(said.lock().unwrap().len() as u64, ACCESS_PER_MINUTE_MAX);
        teller.tell(failed(), 3 * MINUTE_NS);
        let said = said.lock().unwrap();
        let Body::Admin(alarm) = &said[said.len() - 2] else {
            panic!("{said:?}")
        };
        assert!(alarm.fields.text("reason").unwrap().starts_with("7 more"));
        let Body::Auth(fact) = &said[0] else {
            panic!("{said:?}")
        };
        assert_eq!((fact.event.as_str(), fact.fields.len()), ("host.login", 2));
    }
}
