//! What a client sends into a channel in which nothing runs yet. The connection waits for whoever reads a channel, so
//! somebody has to: what is for the program is kept for it, and the rest has been heard by the hooks.

use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use russh::server::Msg;
use russh::{Channel, ChannelMsg};
use tokio::task::unconstrained;

use crate::ssh::limits::{EARLY_BYTES_MAX, EARLY_MESSAGE_BYTES};
use crate::ssh::over::Over;

/// What was sent too early, in its order.
#[derive(Default)]
pub(in crate::ssh) struct Early {
    messages: VecDeque<ChannelMsg>,
    bytes: usize,
}

impl Early {
    /// Takes what has come in the channel.
    ///
    /// # Errors
    /// It is more than anybody sends whose program does not run yet.
    pub(super) fn take(&mut self, channel: &mut Channel<Msg>) -> Result<(), Over> {
        while let Some(message) = that_is_there(channel.wait()) {
            let data = match &message {
                ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => data.len(),
                ChannelMsg::Eof | ChannelMsg::WindowChange { .. } | ChannelMsg::Signal { .. } => 0,
                _ => continue,
            };
            self.bytes += data + EARLY_MESSAGE_BYTES;
            if self.bytes > EARLY_BYTES_MAX {
                return Err(Over::TooEarly);
            }
            self.messages.push_back(message);
        }
        Ok(())
    }

    /// The next of them.
    pub(in crate::ssh) fn next(&mut self) -> Option<ChannelMsg> {
        self.messages.pop_front()
    }
}

/// The message that a channel has, if it has one; however long the task has worked already that asks for it.
pub(in crate::ssh) fn that_is_there(
    read: impl Future<Output = Option<ChannelMsg>>,
) -> Option<ChannelMsg> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(unconstrained(read)).poll(&mut context) {
        Poll::Ready(message) => message,
        Poll::Pending => None,
    }
}
