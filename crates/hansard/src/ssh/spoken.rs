//! A command at the other end: what is read here goes in there, what it says comes out here. Each way has a thread of
//! its own for this end, for neither may wait for the other: programs like rsync write while they are not read.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::sync::mpsc as threads;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use russh::client::{Handle, Msg};
use russh::{ChannelMsg, ChannelWriteHalf};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::own::{Hooks, Said};
use super::resolved::Line;

/// What is read at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Pieces that were read and are not sent yet.
const PIECES_MAX: usize = 16;

/// Bytes that came and that nobody has taken here yet. At the bound nothing more is read from the connection, and
/// nothing is sent either, until somebody takes some.
const OUTPUT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long saying goodbye may take.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// The status of a command of which nothing is known, as of ssh(1).
const FAILED: u8 = 255;

/// Standard output or error, written by a thread of its own.
struct Out {
    pieces: threads::Sender<Bytes>,
    thread: thread::JoinHandle<io::Result<()>>,
    room: Arc<Semaphore>,
}

impl Out {
    fn to(mut sink: File) -> Self {
        let (pieces, waiting) = threads::channel::<Bytes>();
        let room = Arc::new(Semaphore::new(OUTPUT_BYTES_MAX));
        let of_thread = Arc::clone(&room);
        let thread = thread::spawn(move || {
            let written = waiting.iter().try_for_each(|piece| {
                write_whole(&mut sink, &piece)?;
                of_thread.add_permits(piece.len());
                Ok(())
            });
            // Nobody takes anything any more: whoever waits for room learns it.
            of_thread.close();
            written
        });
        Self {
            pieces,
            thread,
            room,
        }
    }

    /// Hands a piece over, once there is room. Answers whether anybody takes it.
    async fn put(&self, piece: Bytes) -> bool {
        let bytes = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        match self.room.acquire_many(bytes).await {
            Ok(room) => room.forget(),
            Err(_) => return false,
        }
        self.pieces.send(piece).is_ok()
    }

    /// Waits until everything is out.
    fn over(self) {
        drop(self.pieces);
        // Nobody is there to be told of an error.
        let _ = self.thread.join();
    }
}

/// Writes all of it. Whoever shares the file may have said of it that nobody waits (ssh(1) does, of a terminal).
fn write_whole(sink: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => wait(&*sink, PollFlags::OUT)?,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Until there is something to be done.
fn wait(file: impl AsFd, what: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(&file, what)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Runs the command and answers its status; `None`: nothing has begun.
pub(super) async fn run(
    handle: Handle<Hooks>,
    line: &Line,
    (variables, said): (&[(String, String)], &Said),
) -> Option<u8> {
    let channel = handle.channel_open_session().await.ok()?;
    let (mut read, write) = channel.split();
    for (name, value) in variables {
        // What a host does not take is not set, as with ssh(1).
        write.set_env(false, name, value).await.ok()?;
    }
    write.exec(true, line.command.clone()).await.ok()?;
    loop {
        match read.wait().await {
            Some(ChannelMsg::Success) => break,
            Some(ChannelMsg::Failure) => return None,
            // It may have begun: it is not asked for twice.
            None | Some(ChannelMsg::Close) => return Some(gone(said)),
            Some(_) => {}
        }
    }
    let (out, err) = (Out::to(file(io::stdout())?), Out::to(file(io::stderr())?));
    let sending = tokio::spawn(send(write, line.reads_nothing));
    let mut status = None;
    let mut is_read = true;
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } if is_read => is_read = out.put(data).await,
            ChannelMsg::ExtendedData { data, ext: 1 } => drop(err.put(data).await),
            ChannelMsg::ExitStatus { exit_status } => {
                status = Some(u8::try_from(exit_status).unwrap_or(FAILED));
            }
            ChannelMsg::ExitSignal { .. } => status = Some(FAILED),
            ChannelMsg::Close => break,
            _ => {}
        }
        if !is_read {
            // Nobody reads what it says (`… | head`): then it need not go on.
            break;
        }
    }
    sending.abort();
    let is_over = status.is_some() || !is_read;
    out.over();
    err.over();
    if !is_over {
        return Some(gone(said));
    }
    let _ = handle
        .disconnect(russh::Disconnect::ByApplication, "", "")
        .await;
    // Until it is sent: a server that hears nothing says of its client that it was lost.
    let _ = timeout(GOODBYE_MAX, handle).await;
    Some(status.unwrap_or(FAILED))
}

/// Standard output or error without a buffer of its own.
fn file(of: impl AsFd) -> Option<File> {
    of.as_fd().try_clone_to_owned().ok().map(File::from)
}

/// Tells why it is over, where nobody knows how the command ended.
fn gone(said: &Said) -> u8 {
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    match said.as_deref() {
        Some(why) => complain(&format!("hansard: the server ended the connection: {why}")),
        None => complain("hansard: the connection is gone"),
    }
    FAILED
}

/// Says something to whoever sits here. Nobody may be there to read it.
pub(super) fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// Sends what is read here.
async fn send(write: ChannelWriteHalf<Msg>, reads_nothing: bool) {
    if !reads_nothing {
        let (pieces, mut waiting) = mpsc::channel(PIECES_MAX);
        // It may stay in its last read for ever; nothing waits for it.
        thread::spawn(move || {
            let mut stdin = io::stdin().lock();
            loop {
                let mut piece = vec![0; PIECE_BYTES];
                let len = match stdin.read(&mut piece) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        match wait(io::stdin(), PollFlags::IN) {
                            Ok(()) => continue,
                            Err(_) => return,
                        }
                    }
                    Ok(0) | Err(_) => return,
                    Ok(len) => len,
                };
                piece.truncate(len);
                if pieces.blocking_send(piece).is_err() {
                    return;
                }
            }
        });
        while let Some(piece) = waiting.recv().await {
            if write.data_bytes(piece).await.is_err() {
                return;
            }
        }
    }
    let _ = write.eof().await;
}
