//! What runs on a target: its channel there, made to look like a program of this machine, with pipes or a
//! terminal that the relay reads and writes. So both are recorded by the same code.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_shell::{Ending, Ends, Exit};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty};
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::target::Target;
use crate::ssh::limits::{FAR_OUTPUT_BYTES_MAX, PIECE_BYTES, TARGET_ANSWER_MAX};
use crate::ssh::program::Program;
use crate::ssh::relay::signal_of;
use crate::ssh::x11::Display;

mod controls;

use controls::{Control, Controls};

/// A channel at the target in which nothing runs yet.
pub(in crate::ssh) struct FarChannel {
    read: ChannelReadHalf,
    write: ChannelWriteHalf<Msg>,
    /// The connection that it is in; with it the channel ends.
    target: Target,
    has_terminal: bool,
}

/// What is to run there.
pub(in crate::ssh) enum Wants<'a> {
    Shell,
    Command(&'a [u8]),
    Subsystem(&'a str),
}

const GONE: &str = "the target is gone";
const REFUSED: &str = "the target refused it";

impl FarChannel {
    pub(super) fn new(channel: Channel<Msg>, target: Target) -> Self {
        let (read, write) = channel.split();
        Self {
            read,
            write,
            target,
            has_terminal: false,
        }
    }

    /// The address that was connected to.
    pub(in crate::ssh) fn at(&self) -> SocketAddr {
        self.target.at
    }

    /// Whether it has a terminal there.
    pub(in crate::ssh) fn has_terminal(&self) -> bool {
        self.has_terminal
    }

    /// Sets a variable there.
    ///
    /// # Errors
    /// It does not take it.
    pub(in crate::ssh) async fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let asked = self.write.set_env(true, name, value).await;
        self.answered(asked).await
    }

    /// Gets a terminal there.
    ///
    /// # Errors
    /// It does not give one.
    pub(in crate::ssh) async fn terminal(
        &mut self,
        term: &str,
        [cols, rows, width, height]: [u32; 4],
        modes: &[(u8, u32)],
    ) -> Result<(), String> {
        let modes = modes.iter();
        let modes = modes.filter_map(|(mode, value)| Some((Pty::from_u8(*mode)?, *value)));
        let modes: Vec<(Pty, u32)> = modes.collect();
        let asked = self
            .write
            .request_pty(true, term, cols, rows, width, height, &modes);
        let asked = asked.await;
        self.answered(asked).await?;
        self.has_terminal = true;
        Ok(())
    }

    /// Programs there find the client's agent.
    ///
    /// # Errors
    /// It does not allow that.
    pub(in crate::ssh) async fn agent(&mut self) -> Result<(), String> {
        let asked = self.write.agent_forward(true).await;
        self.answered(asked).await?;
        self.target.lends_agent();
        Ok(())
    }

    /// Programs there open windows at the client.
    ///
    /// # Errors
    /// It does not allow that.
    pub(in crate::ssh) async fn display(&mut self, asked: &Display) -> Result<(), String> {
        let (protocol, cookie) = (asked.protocol.as_str(), asked.cookie.as_str());
        let asked = self
            .write
            .request_x11(true, asked.is_single, protocol, cookie, asked.screen);
        let asked = asked.await;
        self.answered(asked).await?;
        self.target.lends_display();
        Ok(())
    }

    /// Starts something there.
    ///
    /// # Errors
    /// Why nothing runs.
    pub(in crate::ssh) async fn start(
        mut self,
        wants: Wants<'_>,
    ) -> Result<(Program, Ends), String> {
        let asked = match wants {
            Wants::Shell => self.write.request_shell(true).await,
            Wants::Command(command) => self.write.exec(true, command).await,
            Wants::Subsystem(name) => self.write.request_subsystem(true, name).await,
        };
        self.answered(asked).await?;
        self.bridged()
            .map_err(|e| format!("it cannot be read: {e}"))
    }

    async fn answered(&mut self, asked: Result<(), russh::Error>) -> Result<(), String> {
        asked.map_err(|_| GONE.to_owned())?;
        let answer = async {
            loop {
                match self.read.wait().await {
                    Some(ChannelMsg::Success) => return Ok(()),
                    Some(ChannelMsg::Failure) => return Err(REFUSED.to_owned()),
                    Some(ChannelMsg::WindowAdjusted { .. }) => {}
                    None | Some(ChannelMsg::Close) => return Err(GONE.to_owned()),
                    // Nothing runs there yet that could say anything.
                    Some(_) => return Err("the target spoke out of turn".to_owned()),
                }
            }
        };
        let answer = timeout(TARGET_ANSWER_MAX, answer).await;
        answer.unwrap_or_else(|_| Err("the target did not answer".to_owned()))
    }

    /// The ends for the relay; a task moves bytes between them and the channel.
    fn bridged(self) -> io::Result<(Program, Ends)> {
        let (bell, rings) = io::pipe()?;
        let controls = Arc::<Controls>::default();
        let over = Arc::new(Mutex::new(Over::default()));
        let (ends, near) = match self.has_terminal {
            true => {
                let (ours, theirs) = pair()?;
                let (read, write) = theirs.into_split();
                (Ends::Terminal(ours), (read, write, None))
            }
            // Sockets, of which each goes one way: there is no reading end of a pipe to be had otherwise
            // that would wait with the rest.
            false => {
                let (stdin, from) = pair()?;
                let (stdout, to) = pair()?;
                let (stderr, to_err) = pair()?;
                let (from, _) = from.into_split();
                let (_, to) = to.into_split();
                let (_, to_err) = to_err.into_split();
                let ends = Ends::Pipes {
                    stdin,
                    stdout,
                    stderr,
                };
                (ends, (from, to, Some(to_err)))
            }
        };
        let bridge = Bridge {
            write: self.write,
            over: Arc::clone(&over),
            room: Semaphore::new(FAR_OUTPUT_BYTES_MAX),
            controls: Arc::clone(&controls),
        };
        let (from, to, to_err) = near;
        let read = self.read;
        let target = self.target;
        tokio::spawn(async move {
            bridge.run(read, from, [Some(to), to_err]).await;
            // Whoever waits for the bell hears it now.
            drop(rings);
            target.leave().await;
        });
        let far = Far {
            bell: bell.into(),
            controls,
            over,
        };
        Ok((Program::There(far), ends))
    }
}

/// A pair of sockets: one for the relay, one for the runtime.
fn pair() -> io::Result<(OwnedFd, UnixStream)> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    Ok((ours.into(), UnixStream::from_std(theirs)?))
}

/// A channel of the target as a descriptor, for what forwards.
pub(in crate::ssh) fn stream_of(channel: Channel<Msg>) -> io::Result<OwnedFd> {
    let (ours, mut theirs) = pair()?;
    let mut stream = channel.into_stream();
    // Ends when both sides are done, or one is gone; dropping the stream closes the channel.
    tokio::spawn(async move {
        let _ = copy_bidirectional(&mut stream, &mut theirs).await;
    });
    Ok(ours)
}

#[derive(Default)]
struct Over {
    is: bool,
    exit: Option<Exit>,
}

/// Something that runs on a target. Dropping it closes its channel there.
pub(in crate::ssh) struct Far {
    /// Readable once it is over.
    pub(in crate::ssh) bell: OwnedFd,
    controls: Arc<Controls>,
    over: Arc<Mutex<Over>>,
}

impl Drop for Far {
    fn drop(&mut self) {
        self.controls.close();
    }
}

fn locked(over: &Mutex<Over>) -> MutexGuard<'_, Over> {
    over.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Far {
    pub(in crate::ssh) fn is_over(&self) -> bool {
        locked(&self.over).is
    }

    /// How it ended, as far as the target said so.
    pub(in crate::ssh) fn ended(&self) -> Option<Exit> {
        locked(&self.over).exit.clone()
    }

    pub(in crate::ssh) fn signal(&self, name: &str) -> bool {
        self.controls.signal(name)
    }

    pub(in crate::ssh) fn hang_up(&self) {
        self.controls.close();
    }

    pub(in crate::ssh) fn resize(&self, size: [u16; 4]) {
        self.controls.size(size);
    }
}

/// The task between a channel of the target and the relay's ends.
struct Bridge {
    write: ChannelWriteHalf<Msg>,
    over: Arc<Mutex<Over>>,
    /// Bytes that may wait for the relay.
    room: Semaphore,
    controls: Arc<Controls>,
}

type To<W> = Option<(W, UnboundedReceiver<bytes::Bytes>)>;

impl Bridge {
    async fn run(
        &self,
        mut read: ChannelReadHalf,
        mut from: tokio::net::unix::OwnedReadHalf,
        [to, to_err]: [Option<tokio::net::unix::OwnedWriteHalf>; 2],
    ) {
        let (out, waiting_out) = unbounded_channel();
        let (err, waiting_err) = unbounded_channel();
        // A terminal has one stream, whatever the target says on another.
        let err = if to_err.is_some() { err } else { out.clone() };
        let down = self.down(&mut read, [out, err]);
        let out = self.fill(to.map(|to| (to, waiting_out)));
        let err = self.fill(to_err.map(|to| (to, waiting_err)));
        let all_down = async { tokio::join!(down, out, err) };
        let up = self.up(&mut from);
        let controlled = self.controlled();
        tokio::pin!(all_down, up, controlled);
        let mut is_up = false;
        loop {
            tokio::select! {
                _ = &mut all_down => break,
                () = &mut up, if !is_up => is_up = true,
                // The relay is done with it: what the target still has to say is for nobody.
                () = self.controls.closed() => break,
                () = &mut controlled => {}
            }
        }
        locked(&self.over).is = true;
        // A target that has stopped reading is not waited for.
        let _ = timeout(TARGET_ANSWER_MAX, self.write.close()).await;
    }

    /// Takes what the target sends, until it closes the channel.
    async fn down(
        &self,
        read: &mut ChannelReadHalf,
        [out, err]: [UnboundedSender<bytes::Bytes>; 2],
    ) {
        let mut to = Some([out, err]);
        while let Some(message) = read.wait().await {
            let (data, is_err) = match message {
                ChannelMsg::Data { data } => (data, false),
                ChannelMsg::ExtendedData { data, ext: 1 } => (data, true),
                ChannelMsg::Eof => {
                    to = None;
                    continue;
                }
                ChannelMsg::ExitStatus { exit_status } => {
                    // The client's status has 8 bits; one that has more is no success.
                    let status = u8::try_from(exit_status).unwrap_or(u8::MAX);
                    self.exited(status, None);
                    continue;
                }
                ChannelMsg::ExitSignal { signal_name, .. } => {
                    let name = crate::ssh::relay::name_of(&signal_name).to_owned();
                    self.exited(u8::MAX, Some(name));
                    continue;
                }
                ChannelMsg::Close => break,
                _ => continue,
            };
            let Some([out, err]) = &to else { continue };
            let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
            if let Ok(room) = self.room.acquire_many(bytes).await {
                // Given back when the relay has taken them.
                room.forget();
                let _ = if is_err { err } else { out }.send(data);
            }
        }
    }

    fn exited(&self, status: u8, signal: Option<String>) {
        locked(&self.over).exit.get_or_insert(Exit {
            status,
            signal,
            ending: Ending::Program,
            left_behind: false,
            fault: None,
        });
    }

    /// Hands it to the relay. One that takes no more has nobody to say it to: then the channel is closed, by
    /// which a program there learns as much as by a pipe that nobody reads.
    async fn fill(&self, to: To<tokio::net::unix::OwnedWriteHalf>) {
        let Some((mut to, mut waiting)) = to else {
            return;
        };
        while let Some(bytes) = waiting.recv().await {
            if to.write_all(&bytes).await.is_err() {
                self.controls.close();
            }
            self.room.add_permits(bytes.len());
        }
    }

    /// Sends what the relay has for it.
    async fn up(&self, from: &mut tokio::net::unix::OwnedReadHalf) {
        while from.readable().await.is_ok() {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            match from.try_read_buf(&mut piece) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                Ok(len) if len > 0 => {}
                _ => break,
            }
            if self.write.data_bytes(piece).await.is_err() {
                break;
            }
        }
        let _ = self.write.eof().await;
    }

    /// Does what the relay asks.
    async fn controlled(&self) {
        loop {
            // Fails when the target is gone, which is heard of elsewhere: what it said before still counts.
            let _ = match self.controls.next().await {
                Control::Size(size) => {
                    let [cols, rows, width, height] = size.map(u32::from);
                    self.write.window_change(cols, rows, width, height).await
                }
                Control::Signal(name) => self.write.signal(signal_of(&name)).await,
            };
        }
    }
}

#[cfg(test)]
mod tests;
