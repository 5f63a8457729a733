//! What comes from the client: recorded as the policy says, and handed to the program.

use std::os::fd::OwnedFd;
use std::sync::PoisonError;

use bytes::Bytes;
use hansard_core::{Body, Fields, Stream};
use hansard_record::Lost;
use russh::{ChannelMsg, ChannelReadHalf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::{Shared, Why, name_of, when_ready};
use crate::ssh::channel::sizes;
use crate::ssh::fact;

/// Takes what the client sends, until it closes the channel.
pub(super) async fn incoming(
    shared: &Shared,
    mut read: ChannelReadHalf,
    to_program: UnboundedSender<Bytes>,
) -> Result<(), Why> {
    let mut to_program = Some(to_program);
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                came(shared, &data)?;
                let Some(to_program) = to_program.as_ref().filter(|_| !data.is_empty()) else {
                    continue;
                };
                // Given back when the program has taken them.
                shared.room.take(data.len()).await;
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
                let fields = Fields::new()
                    .with("stream", u64::from(ext))
                    .with("length", data.len() as u64);
                let fields = fact::outcome(fields, Some("clients have no such stream"));
                shared.recorder.event(fact::channel("io", fields))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Records what came from the client, as the policy says.
fn came(shared: &Shared, bytes: &[u8]) -> Result<(), Why> {
    let is_kept = match shared.read_along(|sftp| sftp.up(bytes))? {
        true => shared.policy.files,
        false => shared.policy.stdin,
    };
    if let Some(keys) = &shared.keys {
        let hides = shared.served.hides_input();
        keys.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .typed(bytes, hides);
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
    let hides = shared.served.hides_input();
    let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes = match is_over {
        true => keys.rest(hides),
        false => keys.released(hides),
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
    let mut wants = true;
    while let Some(bytes) = from_client.recv().await {
        let mut rest = bytes.as_ref();
        while wants && !rest.is_empty() {
            match when_ready(&input, Interest::WRITABLE, |fd| rustix::io::write(fd, rest)).await {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(_) => wants = false,
            }
        }
        shared.room.give_back(bytes.len());
    }
    // Dropping it is the end of a pipe; the terminal's master is held by its reader as well.
}
