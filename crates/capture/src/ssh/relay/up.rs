//! What comes from the client: recorded as the policy says, and handed to the program.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::PoisonError;

use bytes::{Buf as _, Bytes};
use hansard_core::{Body, Fields, Stream};
use hansard_record::Lost;
use russh::{ChannelMsg, ChannelReadHalf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::{Shared, Why, name_of, when_ready, widen};
use crate::ssh::channel::{Early, sizes, that_is_there};
use crate::ssh::fact;
use crate::ssh::limits::{CHANNEL_MESSAGES_MAX, PIECES_AT_ONCE};
use crate::ssh::room::Room;

/// Takes what the client sends, until it closes the channel or its connection is over. What it sent before that still
/// counts, but is not waited for.
pub(super) async fn incoming(
    shared: &Shared,
    (mut read, mut early): (ChannelReadHalf, Early),
    to_program: UnboundedSender<Bytes>,
) -> Result<(), Why> {
    let mut to_program = Some(to_program);
    let mut is_late_told = false;
    let mut line = Line::Open(Box::pin(shared.connection.closing()));
    loop {
        let message = match early.next() {
            Some(message) => message,
            None => match line.next(&mut read).await {
                Some(message) => message,
                None => return Ok(()),
            },
        };
        match message {
            ChannelMsg::Data { data } => {
                if let Some(pace) = &shared.pace {
                    pace.typed();
                }
                let Some(to_program) = &to_program else {
                    // The program does not get it, so it is none of its input.
                    if !std::mem::replace(&mut is_late_told, true) {
                        let why = "the client had ended its input before";
                        refused(shared, 0, data.len(), why)?;
                    }
                    continue;
                };
                came(shared, &data)?;
                if data.is_empty() {
                    continue;
                }
                // Given back when the program has taken them.
                line.room(&shared.room, data.len()).await;
                let _ = to_program.send(data);
            }
            // A terminal has no end of its input but the key for it.
            ChannelMsg::Eof if !shared.has_terminal => to_program = None,
            ChannelMsg::Close => return Ok(()),
            ChannelMsg::WindowChange {
                col_width,
                row_height,
                pix_width,
                pix_height,
            } if shared.has_terminal => {
                let size = sizes([col_width, row_height, pix_width, pix_height]);
                shared.served.resize(size);
                let [cols, rows, ..] = size;
                shared.recorder.event(Body::Resize { cols, rows })?;
            }
            ChannelMsg::Signal { signal } => {
                let name = name_of(&signal);
                let is_sent = shared.served.signal(name);
                let why = (!is_sent).then_some("no such signal, or too many wait");
                let fields = fact::outcome(Fields::new().with("signal", name), why);
                shared.recorder.event(fact::channel("signal", fields))?;
            }
            ChannelMsg::ExtendedData { ext, data } => {
                refused(shared, ext, data.len(), "clients have no such stream")?;
            }
            _ => {}
        }
    }
}

/// Bytes that the program does not get.
fn refused(shared: &Shared, stream: u32, bytes: usize, why: &str) -> Result<(), Lost> {
    let fields = Fields::new()
        .with("stream", u64::from(stream))
        .with("length", bytes as u64);
    let fields = fact::outcome(fields, Some(why));
    shared.recorder.event(fact::channel("io", fields))
}

/// Whether what is read of a channel comes from a connection that there is.
enum Line<F> {
    /// Until this returns.
    Open(Pin<Box<F>>),
    /// It is over. So many messages are taken at most that are there already: the library may be at work for some time
    /// yet, and a client that pours.
    Over(usize),
}

impl<F: Future<Output = ()>> Line<F> {
    /// The next message; none when there is none any more. Nothing is asked but the channel while that has some.
    async fn next(&mut self, read: &mut ChannelReadHalf) -> Option<ChannelMsg> {
        if let Self::Open(closing) = self {
            tokio::select! {
                biased;
                message = read.wait() => return message,
                () = closing => *self = Self::Over(CHANNEL_MESSAGES_MAX),
            }
        }
        let Self::Over(left) = self else { return None };
        *left = left.checked_sub(1)?;
        that_is_there(read.wait())
    }

    /// Takes room for so many bytes; of a connection that is over, whether there is any or not.
    async fn room(&mut self, room: &Room, bytes: usize) {
        if let Self::Open(closing) = self {
            tokio::select! {
                biased;
                () = room.take(bytes) => return,
                () = closing => *self = Self::Over(CHANNEL_MESSAGES_MAX),
            }
        }
        room.exceed(bytes);
    }
}

/// Records what came from the client, as the policy says.
fn came(shared: &Shared, bytes: &[u8]) -> Result<(), Why> {
    let is_kept = match shared.read_along(|sftp| sftp.up(bytes))? {
        true => shared.policy.files,
        false => shared.policy.stdin,
    };
    if let Some(keys) = &shared.keys {
        let echo = shared.served.echo();
        keys.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .typed(bytes, echo);
    }
    if !shared.has_terminal && is_kept && !bytes.is_empty() {
        shared.recorder.data(Stream::Stdin, bytes)?;
    }
    Ok(())
}

/// Records typed bytes that nothing has hidden; at the end, what is left of them.
pub(super) fn release(shared: &Shared, is_over: bool) -> Result<(), Lost> {
    let Some(keys) = &shared.keys else {
        return Ok(());
    };
    let echo = shared.served.echo();
    let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes = match is_over {
        true => keys.rest(echo),
        false => keys.released(echo),
    };
    match bytes.as_slice() {
        [] => Ok(()),
        bytes => shared.recorder.data(Stream::Keystrokes, bytes),
    }
}

/// Feeds the program. One that does not want its input any more does not get it.
pub(super) async fn feed(
    shared: &Shared,
    input: AsyncFd<OwnedFd>,
    mut from_client: UnboundedReceiver<Bytes>,
) {
    let mut waiting = VecDeque::new();
    let (mut wants, mut is_wide) = (true, shared.has_terminal);
    loop {
        while waiting.len() < PIECES_AT_ONCE
            && let Ok(bytes) = from_client.try_recv()
        {
            waiting.push_back(bytes);
        }
        if waiting.is_empty() {
            // No memory is held while there is nothing.
            waiting = VecDeque::new();
            match from_client.recv().await {
                Some(bytes) => waiting.push_back(bytes),
                None => break,
            }
            continue;
        }
        let all: usize = waiting.iter().map(Bytes::len).sum();
        let mut taken = all;
        if wants {
            let pieces: Vec<_> = waiting.iter().map(|bytes| IoSlice::new(bytes)).collect();
            match when_ready(&input, Interest::WRITABLE, |fd| {
                rustix::io::writev(fd, &pieces)
            })
            .await
            {
                Ok(written) => taken = written,
                Err(_) => wants = false,
            }
        }
        if taken < all && !is_wide {
            widen(&input);
            is_wide = true;
        }
        forget(&mut waiting, taken);
        shared.room.give_back(taken);
    }
    // Dropping it is the end of a pipe; the terminal's master is held by its reader as well.
}

/// Takes so many bytes away from the beginning.
fn forget(waiting: &mut VecDeque<Bytes>, mut bytes: usize) {
    while let Some(first) = waiting.front_mut() {
        if bytes < first.len() {
            first.advance(bytes);
            return;
        }
        bytes -= first.len();
        waiting.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_taken_away_wherever_it_ends() {
        let pieces = || VecDeque::from([&b"ab"[..], b"cde", b"f"].map(Bytes::from_static));
        for taken in 0..=6 {
            let mut waiting = pieces();
            forget(&mut waiting, taken);
            let rest: Vec<u8> = waiting.iter().flatten().copied().collect();
            assert_eq!(rest, &b"abcdef"[taken..]);
            assert!(waiting.iter().all(|piece| !piece.is_empty()));
        }
    }
}
