//! One forwarded connection: bytes both ways, counted, and kept where the policy says so.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use hansard_core::event::End;
use hansard_core::{Fields, Stream};
use hansard_record::{Lost, Recorder};
use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use rustix::net::Shutdown;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::nested::{Beginnings, REFUSED};
use super::{Kept, Tally};
use crate::registry::Runs as _;
use crate::ssh::connection::Connection;
use crate::ssh::fact;
use crate::ssh::relay::{piece, when_ready};
use crate::ssh::sys::{watched, watched_copy};

/// A connection that is to be forwarded.
pub(super) struct Passing {
    pub(super) connection: Arc<Connection>,
    pub(super) channel: Channel<Msg>,
    /// The other end, not blocking.
    pub(super) target: OwnedFd,
    /// What the events say of it.
    pub(super) about: Fields,
    /// Where its bytes are kept, if they are.
    pub(super) kept: Option<Kept>,
    /// Its place among the connection's forwards.
    pub(super) tally: Tally,
    /// What is spoken in it is spoken with the proxy itself, and recorded there.
    pub(super) is_ours: bool,
}

/// What both directions share.
struct Both {
    connection: Arc<Connection>,
    kept: Option<Recorder>,
    is_ours: bool,
    beginnings: Mutex<Beginnings>,
    protocol: Mutex<Option<&'static str>>,
    from_client: AtomicU64,
    to_client: AtomicU64,
    /// The other end takes nothing any more.
    is_deaf: AtomicBool,
}

/// Why it ended before both sides were done.
#[derive(Debug)]
enum Why {
    /// The connection to the target failed.
    Broken(String),
    /// What is spoken in it is not allowed.
    Nested(&'static str),
    /// It cannot be recorded any more.
    Lost(Lost),
    /// Somebody ended it.
    Ended(String),
}

impl From<Lost> for Why {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl Why {
    fn words(&self) -> String {
        match self {
            Self::Broken(why) | Self::Ended(why) => why.clone(),
            Self::Nested(protocol) => format!(
                "{protocol} is spoken in it, which capture.ssh.forward_nested does not allow"
            ),
            Self::Lost(lost) => format!("it cannot be recorded any more: {lost}"),
        }
    }
}

/// Passes bytes until both sides are done or one is gone. Its last event is recorded when this returns.
pub(super) async fn pass(passing: Passing) {
    let Passing {
        connection,
        channel,
        target,
        about,
        kept,
        tally,
        is_ours,
    } = passing;
    let began = Instant::now();
    let (read, write) = channel.split();
    let both = Both {
        connection,
        kept: kept.as_ref().map(|kept| kept.recorder.clone()),
        is_ours,
        beginnings: Mutex::default(),
        protocol: Mutex::default(),
        from_client: AtomicU64::new(0),
        to_client: AtomicU64::new(0),
        is_deaf: AtomicBool::new(false),
    };
    let ended = async {
        match &kept {
            Some(kept) => loop {
                kept.ender.heard().await;
                if let Some(why) = kept.ender.said() {
                    return why;
                }
            },
            None => std::future::pending().await,
        }
    };
    let passed = tokio::select! {
        passed = both_ways(&both, read, &write, target) => passed,
        () = both.connection.closing() => Err(Why::Ended("the connection is over".to_owned())),
        why = ended => Err(Why::Ended(why)),
    };
    // The event comes before the client hears of the end.
    let why = passed.err();
    let closed = told(&both, about, why.as_ref(), began);
    if let Some(kept) = kept {
        close(&both, kept, why.as_ref().map(Why::words));
    }
    if let Err(lost) = closed {
        both.connection.ender.end(&lost.to_string(), "");
    }
    tokio::select! {
        biased;
        _ = write.close() => {}
        // Nobody is there to hear it, and the library may not take it either.
        () = both.connection.closing() => {}
    }
    drop(tally);
}

async fn both_ways(
    both: &Both,
    read: ChannelReadHalf,
    write: &ChannelWriteHalf<Msg>,
    target: OwnedFd,
) -> Result<(), Why> {
    let broken = |e: std::io::Error| Why::Broken(format!("the target cannot be reached: {e}"));
    let input = watched_copy(&target, Interest::WRITABLE).map_err(broken)?;
    let output = watched(target, Interest::READABLE).map_err(broken)?;
    let (to_target, from_client) = unbounded_channel();
    let feeding = feed(both, &input, from_client);
    let up = up(both, read, to_target);
    let down = down(both, &output, write);
    let (mut is_gone, mut is_fed, mut is_down) = (false, false, false);
    tokio::pin!(up, feeding, down);
    loop {
        tokio::select! {
            gone = &mut up, if !is_gone => {
                gone?;
                is_gone = true;
            }
            fed = &mut feeding, if !is_fed => {
                fed?;
                is_fed = true;
            }
            said = &mut down, if !is_down => {
                said?;
                is_down = true;
            }
        }
        // A client that has closed the channel hears nothing more; what it said before still arrives.
        if is_fed && (is_down || is_gone) {
            return Ok(());
        }
    }
}

/// Takes what the client sends, until it closes the channel.
async fn up(
    both: &Both,
    mut read: ChannelReadHalf,
    to_target: UnboundedSender<Bytes>,
) -> Result<(), Why> {
    let mut to_target = Some(to_target);
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                // Behind the end of what it sends there is nothing that the target gets.
                let Some(to_target) = &to_target else {
                    continue;
                };
                came(both, true, &data)?;
                if data.is_empty() {
                    continue;
                }
                // Given back when the target has taken them.
                both.connection.forwarded.take(data.len()).await;
                let _ = to_target.send(data);
            }
            ChannelMsg::Eof => to_target = None,
            ChannelMsg::Close => break,
            _ => {}
        }
    }
    Ok(())
}

/// Feeds the target; ends when the client has said everything.
async fn feed(
    both: &Both,
    input: &AsyncFd<OwnedFd>,
    mut from_client: UnboundedReceiver<Bytes>,
) -> Result<(), Why> {
    let mut waiting = Waiting {
        both,
        from_client: &mut from_client,
        bytes: 0,
    };
    while let Some(bytes) = waiting.next().await {
        let mut rest = bytes.as_ref();
        while !rest.is_empty() && !both.is_deaf.load(Ordering::SeqCst) {
            match when_ready(input, Interest::WRITABLE, |fd| rustix::io::write(fd, rest)).await {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                // It may still have something to say.
                Err(_) => both.is_deaf.store(true, Ordering::SeqCst),
            }
        }
    }
    let _ = rustix::net::shutdown(input.get_ref(), Shutdown::Write);
    Ok(())
}

/// Bytes that wait for the target. What is left of them gives its room back, whatever ends the forward.
struct Waiting<'a> {
    both: &'a Both,
    from_client: &'a mut UnboundedReceiver<Bytes>,
    /// Of those under way.
    bytes: usize,
}

impl Waiting<'_> {
    async fn next(&mut self) -> Option<Bytes> {
        let room = &self.both.connection.forwarded;
        room.give_back(std::mem::take(&mut self.bytes));
        let next = self.from_client.recv().await?;
        self.bytes = next.len();
        Some(next)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut bytes = self.bytes;
        self.from_client.close();
        while let Ok(left) = self.from_client.try_recv() {
            bytes += left.len();
        }
        self.both.connection.forwarded.give_back(bytes);
    }
}

/// Moves what the target says; ends when it has said everything.
async fn down(
    both: &Both,
    output: &AsyncFd<OwnedFd>,
    write: &ChannelWriteHalf<Msg>,
) -> Result<(), Why> {
    loop {
        let bytes = piece(output, None).await;
        let bytes = bytes.map_err(|e| Why::Broken(format!("the target broke it off: {e}")))?;
        if bytes.is_empty() {
            break;
        }
        came(both, false, &bytes)?;
        if write.data_bytes(bytes).await.is_err() {
            return Ok(());
        }
    }
    let _ = write.eof().await;
    Ok(())
}

/// Counts, recognises and keeps, before anything goes on.
fn came(both: &Both, is_from_client: bool, bytes: &[u8]) -> Result<(), Why> {
    let (count, stream) = match is_from_client {
        true => (&both.from_client, Stream::Stdin),
        false => (&both.to_client, Stream::Stdout),
    };
    let mut beginnings = both
        .beginnings
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let spoken = beginnings.came(is_from_client, bytes);
    drop(beginnings);
    if let Some(spoken) = spoken {
        let mut protocol = both.protocol.lock().unwrap_or_else(PoisonError::into_inner);
        protocol.get_or_insert(spoken);
        let allowed = &both.connection.node.config.forwards.nested;
        let is_nested = REFUSED.contains(&spoken) && !both.is_ours;
        if is_nested && !allowed.iter().any(|name| name == spoken) {
            return Err(Why::Nested(spoken));
        }
    }
    if let Some(kept) = &both.kept {
        kept.data(stream, bytes)?;
    }
    count.fetch_add(bytes.len() as u64, Ordering::SeqCst);
    Ok(())
}

/// The last event: how much went through, for how long, and why it ended early.
fn told(
    both: &Both,
    about: Fields,
    why: Option<&Why>,
    began: Instant,
) -> Result<(), crate::ssh::over::Over> {
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut fields = about
        .with("action", "stop")
        .with("rx", both.from_client.load(Ordering::SeqCst))
        .with("tx", both.to_client.load(Ordering::SeqCst))
        .with("duration_ms", ms);
    let protocol = *both.protocol.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(protocol) = protocol {
        fields.push("proto", protocol);
    }
    let why = why.map(Why::words);
    let fields = fact::outcome(fields, why.as_deref());
    both.connection.record(fact::channel("port", fields))
}

/// Brings the recording of what went through to its end.
fn close(both: &Both, kept: Kept, why: Option<String>) {
    let machine = both.connection.machine();
    let reason = match machine.registry.finish(kept.session) {
        Some(ended) => ended.to_string(),
        None => why.unwrap_or_else(|| "both sides were done".to_owned()),
    };
    let end = End {
        reason: reason.clone(),
        ..End::default()
    };
    let closed = kept.recorder.close(end);
    (machine.means.tell)(machine.means.closed(kept.session, reason, closed));
    machine.registry.wake();
}
