//! The end of what ran in a channel: first its recording is complete, then the client hears of it.

use std::sync::{Arc, PoisonError};

use hansard_core::event::End;
use hansard_core::policy::OnEnd;
use hansard_record::Lost;
use hansard_shell::Exit;
use russh::server::{Handle, Msg};
use russh::{ChannelId, ChannelWriteHalf, Sig};

use super::{NOBODY_READS, Shared, Why, release};
use crate::local::THE_CLIENT_WENT_AWAY;

/// What the recording says of a program that its connection went away from, and nobody waited for any longer.
const LEFT: &str = "its connection was over, and it was not waited for any longer";

impl Drop for Shared {
    /// The connection's runtime is gone, or the relay failed: nobody else brings the recording to its end, gives
    /// back its place or has what is to be killed killed.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if !self.served.is_over() {
            self.served.hang_up();
            if self.on_end == OnEnd::Kill {
                self.served.kill();
            }
        }
        self.conclude(Some(Why::Ended(LEFT.to_owned())));
    }
}

impl Shared {
    /// Brings the recording to its end, and answers the program's, if it may be told: one that was ended is no success,
    /// whatever it made of that.
    pub(super) fn conclude(&mut self, why: Option<Why>) -> Option<Exit> {
        self.is_over = true;
        // What was done until now belongs before the recording's end.
        self.beside = (None, None);
        let exit = self.served.ended();
        let machine = Arc::clone(self.connection.machine());
        let session = self.session;
        let ended = machine.registry.finish(session);
        let mut end = exit.as_ref().map_or_else(End::default, Exit::end);
        match (&why, ended) {
            (_, Some(ended)) => end.reason = ended.to_string(),
            (Some(Why::Ended(why)), None) => end.reason.clone_from(why),
            (Some(Why::Gone), None) if exit.is_none() => {
                THE_CLIENT_WENT_AWAY.clone_into(&mut end.reason)
            }
            (None, None) if exit.is_none() && self.unread.is() => {
                NOBODY_READS.clone_into(&mut end.reason);
            }
            (None, None) if exit.is_none() => "its end is not known".clone_into(&mut end.reason),
            _ => {}
        }
        let reason = end.reason.clone();
        let was_ended = ended_by_us(why.as_ref());
        let closed = match why {
            Some(Why::Lost(lost)) => Err(lost),
            _ => release(self, true)
                .and_then(|()| rest_of_sftp(self))
                .and_then(|()| self.recorder.close(end)),
        };
        (machine.means.tell)(machine.means.closed(session, reason, closed));
        machine.registry.wake();
        exit.filter(|exit| !was_ended || exit.status != 0)
    }
}

fn ended_by_us(why: Option<&Why>) -> bool {
    matches!(why, Some(Why::Ended(_) | Why::Lost(_)))
}

/// Tells the client how the program ended. One that is gone hears nothing of this, which is no error.
pub(super) async fn say(
    exit: Option<Exit>,
    (write, handle, id): (&ChannelWriteHalf<Msg>, &Handle, ChannelId),
) {
    if let Some(exit) = exit {
        let _ = match exit.signal {
            None => write.exit_status(u32::from(exit.status)).await.is_ok(),
            Some(name) => handle
                .exit_signal_request(id, signal(&name), false, String::new(), String::new())
                .await
                .is_ok(),
        };
    }
    let _ = write.eof().await;
    let _ = write.close().await;
}

/// Files that nobody closed, and the sum of all.
fn rest_of_sftp(shared: &Shared) -> Result<(), Lost> {
    let Some(sftp) = &shared.sftp else {
        return Ok(());
    };
    let rest = sftp.lock().unwrap_or_else(PoisonError::into_inner).over();
    rest.into_iter()
        .try_for_each(|body| shared.recorder.event(body))
}

/// The signal of this name, without SIG.
pub(in crate::ssh) fn signal(name: &str) -> Sig {
    match name {
        "ABRT" => Sig::ABRT,
        "ALRM" => Sig::ALRM,
        "FPE" => Sig::FPE,
        "HUP" => Sig::HUP,
        "ILL" => Sig::ILL,
        "INT" => Sig::INT,
        "KILL" => Sig::KILL,
        "PIPE" => Sig::PIPE,
        "QUIT" => Sig::QUIT,
        "SEGV" => Sig::SEGV,
        "TERM" => Sig::TERM,
        "USR1" => Sig::USR1,
        other => Sig::Custom(other.to_owned()),
    }
}

/// The signal's name, without SIG.
pub(in crate::ssh) fn name_of(signal: &Sig) -> &str {
    match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => name,
    }
}
