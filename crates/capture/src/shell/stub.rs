//! The login's process, `hansard-shell`: heard, answered, and not believed.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hansard_core::SessionId;
use hansard_record::handoff::{FromClient, FromDaemon, MESSAGE_BYTES_MAX, read_message};
use hansard_shell::{Line as Way, Word};

use super::kin::Kin;
use super::process::Process;
use super::remains::Led;
use super::terminals::{Hold, Name};
use crate::local::connection::Source;
use crate::local::{Shared, THE_CLIENT_WENT_AWAY};
use crate::registry::Line;

/// The way to a login's process, while its session lasts.
pub(super) struct Stub<'a> {
    pub(super) line: &'a Arc<Line>,
    pub(super) source: Source,
    /// The login's process, by the system's word when it connected, and whose that is.
    pub(super) process: Option<Process>,
    pub(super) uid: u32,
    /// The outer terminal, until all is delivered.
    pub(super) hold: Option<Hold>,
    /// What the login's program leads, which is its child.
    pub(super) program: Option<Led>,
    /// Where other logins inside of this one are to be found, and what it and its program's terminal are known by there.
    pub(super) inside: Option<(&'a Kin, (SessionId, Name))>,
    /// The login's process, where what its program leaves running is killed.
    pub(super) kills: Option<Process>,
    /// Where it outlives this daemon: which one it is there.
    pub(super) outlives: Option<(&'a Shared, SessionId)>,
}

impl Stub<'_> {
    fn heard(&mut self, message: &[u8]) -> Word {
        match FromClient::decode(message) {
            Ok(FromClient::Changed) => Word::Changed,
            Ok(FromClient::Yield) => Word::Yield,
            Ok(FromClient::Close(end)) => Word::Over(end),
            Ok(FromClient::Started(pid)) => {
                // Said once: another one later is none that it began with.
                if self.program.is_none() {
                    self.program = i32::try_from(pid).ok().and_then(|pid| self.child(pid));
                }
                Word::Nothing
            }
            Ok(_) => Word::Away("the login does not keep to the protocol".to_owned()),
            Err(what) => Word::Away(format!("the login does not keep to the protocol: {what}")),
        }
    }

    /// Whoever wants to have somebody else killed names them here: it must be a child of the process that
    /// connected, whoever has that one's number now, and as much its user's.
    fn child(&self, pid: i32) -> Option<Led> {
        Led::by_child(pid, self.process?, self.uid)
    }

    /// Notes what the program leads, before that is hung up.
    fn look(&mut self) {
        if let (Some(_), Some(program)) = (self.kills, &mut self.program) {
            program.look();
        }
    }
}

impl Way for Stub<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.source.get_ref().socket().as_fd()
    }

    fn is_waiting(&self) -> bool {
        !self.source.buffer().is_empty()
    }

    fn hear(&mut self) -> Word {
        let mut message = Vec::new();
        match read_message(&mut self.source, &mut message, MESSAGE_BYTES_MAX) {
            Ok(true) => self.heard(&message),
            _ => {
                self.look();
                Word::Away(THE_CLIENT_WENT_AWAY.to_owned())
            }
        }
    }

    fn yielded(&mut self) {
        // One that is gone is heard of.
        let _ = self.line.say(&FromDaemon::Yielded);
    }

    fn drained(&mut self, fault: Option<&str>) {
        self.hold = None;
        // While the login's process is there, and with it the way to all that descends from it.
        if let Some(process) = self.kills {
            process.kill_below();
        }
        let fault = fault.unwrap_or_default().to_owned();
        let _ = self.line.say(&FromDaemon::Drained { fault });
    }

    fn pauses(&self) -> bool {
        // One that somebody ended ends here: the next daemon would know nothing of that.
        self.outlives.is_some_and(|(daemon, session)| {
            daemon.stopping.load(Ordering::SeqCst) && daemon.registry.leave(session)
        })
    }

    fn lets_go(&mut self) {
        if let Some((kin, (session, _))) = self.inside {
            kin.lets_go(session);
        }
    }

    fn is_given_up(&self) -> bool {
        self.line.is_given_up()
    }

    fn types_inside(&mut self) -> bool {
        self.inside.is_some_and(|(kin, of)| kin.is_outer(of))
    }

    fn may_type(&mut self) -> bool {
        let Some(stat) = self.process.and_then(Process::stat) else {
            return true;
        };
        // Without a terminal of its own nobody else is on it.
        stat.terminal == 0 || stat.foreground <= 0 || stat.foreground == stat.group
    }
}

#[cfg(test)]
#[path = "stub/tests.rs"]
mod tests;
