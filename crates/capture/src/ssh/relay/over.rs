//! The end of what ran in a channel: first its recording is complete, then the client hears of it.

use std::sync::PoisonError;

use hansard_core::SessionId;
use hansard_core::event::End;
use hansard_record::Lost;
use russh::server::{Handle, Msg};
use russh::{ChannelId, ChannelWriteHalf, Sig};

use super::{NOBODY_READS, Shared, Why, release};
use crate::local::{Happening, THE_CLIENT_WENT_AWAY};
use crate::ssh::header::OfMachine;

pub(super) async fn finish(
    shared: Shared,
    (write, handle, id): (&ChannelWriteHalf<Msg>, &Handle, ChannelId),
    (session, machine): (SessionId, &OfMachine),
    why: Option<Why>,
) {
    let exit = shared.served.ended();
    let ended = machine.registry.finish(session);
    let mut end = exit
        .as_ref()
        .map_or_else(End::default, hansard_shell::Exit::end);
    match (&why, ended) {
        (_, Some(ended)) => end.reason = ended.to_string(),
        (Some(Why::Ended(why)), None) => end.reason.clone_from(why),
        (Some(Why::Gone), None) if exit.is_none() => {
            THE_CLIENT_WENT_AWAY.clone_into(&mut end.reason)
        }
        (None, None) if exit.is_none() && shared.unread.is() => {
            NOBODY_READS.clone_into(&mut end.reason);
        }
        (None, None) if exit.is_none() => "its end is not known".clone_into(&mut end.reason),
        _ => {}
    }
    let reason = end.reason.clone();
    let closed = match why {
        Some(Why::Lost(lost)) => Err(lost),
        _ => release(&shared, true)
            .and_then(|()| rest_of_sftp(&shared))
            .and_then(|()| shared.recorder.close(end)),
    };
    let happened = match closed {
        Ok(_) => {
            // A note that stays is found finished by the next start.
            let _ = machine.means.open.end(session);
            Happening::Ended { session, reason }
        }
        Err(lost) => Happening::Lost {
            session,
            why: lost.to_string(),
        },
    };
    (machine.means.tell)(happened);
    machine.registry.wake();
    // A client that is gone hears nothing of this, which is no error.
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
