//! A command at the other end: what is read here goes in there, what it says comes out here. Each way has a thread of
//! its own for this end, for neither may wait for the other: programs like rsync write while they are not read.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::mpsc as threads;
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use russh::client::{Handle, Msg};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::own::{Hooks, Said, WINDOW_BYTES};
use super::resolved::Line;

/// What is read at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Pieces that were read and are not sent yet.
const PIECES_MAX: usize = 16;

/// Bytes that came and that nobody has taken here yet. At the bound nothing more is read from the connection, and
/// nothing is sent either, until somebody takes some.
const OUTPUT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of the command's that are let go once nobody takes its output: more than can have been under way by then. One
/// that says more speaks to nobody, and is ended as a broken pipe would end it; the library has no word for "nobody
/// reads" (`eow@openssh.com`).
const UNREAD_BYTES_MAX: usize = WINDOW_BYTES as usize + 8 * 1024 * 1024;

/// How long after nobody takes the command's output more of it is let go: it may have been said before that. What a
/// command says later (`journalctl -f | head -1`) ends it.
const UNDER_WAY_MAX: Duration = Duration::from_secs(3);

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

    /// Waits until everything is out. It is no error that whoever read wants no more.
    fn over(self) -> io::Result<()> {
        drop(self.pieces);
        match self.thread.join() {
            Ok(Err(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Ok(written) => written,
            Err(_) => Err(io::Error::other("its writer is gone")),
        }
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
    let end = heard(read, (&out, &err), sending).await;
    // Of both it is waited for all that came.
    let written = [("output", out.over()), ("error", err.over())];
    let mut status = match end {
        End::Gone => gone(said),
        End::Of(status) => status,
        End::Unread => FAILED,
        End::NotRead(e) => failed("input was not read to its end", &e),
    };
    for (what, written) in written {
        if let Err(e) = written {
            status = failed(&format!("{what} was not written to its end"), &e);
        }
    }
    let _ = handle
        .disconnect(russh::Disconnect::ByApplication, "", "")
        .await;
    // Until it is sent: a server that hears nothing says of its client that it was lost.
    let _ = timeout(GOODBYE_MAX, handle).await;
    Some(status)
}

/// How it came to an end.
enum End {
    /// With this status of the command's.
    Of(u8),
    /// The connection went, and nobody knows.
    Gone,
    /// The command went on and on, and nobody took what it said.
    Unread,
    /// What it was to read could not be read here; that must not look to it like the end of it.
    NotRead(io::Error),
}

/// Hands over what the command says, until it has ended.
async fn heard(
    mut read: ChannelReadHalf,
    (out, err): (&Out, &Out),
    mut sending: JoinHandle<io::Result<()>>,
) -> End {
    let mut status = None;
    let mut is_sent = false;
    // What comes next, or that nothing more can be read here.
    let mut next = async || {
        let mut waiting = pin!(read.wait());
        poll_fn(|context| {
            if !is_sent && let Poll::Ready(sent) = Pin::new(&mut sending).poll(context) {
                is_sent = true;
                if let Ok(Err(e)) = sent {
                    return Poll::Ready(Err(e));
                }
            }
            waiting.as_mut().poll(context).map(Ok)
        })
        .await
    };
    let (mut is_taken, mut unread) = (true, 0);
    let mut until = Instant::now();
    let end = loop {
        let message = match next().await {
            Ok(message) => message,
            Err(e) => break End::NotRead(e),
        };
        match message {
            Some(ChannelMsg::Data { data }) => {
                let bytes = data.len();
                if is_taken {
                    is_taken = out.put(data).await;
                    until = Instant::now() + UNDER_WAY_MAX;
                }
                if !is_taken {
                    unread += bytes;
                    // What was not under way when the pipe broke would have had a signal for it.
                    if unread > UNREAD_BYTES_MAX || Instant::now() > until {
                        break End::Unread;
                    }
                }
            }
            Some(ChannelMsg::ExtendedData { data, ext: 1 }) => drop(err.put(data).await),
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                status = Some(u8::try_from(exit_status).unwrap_or(FAILED));
            }
            Some(ChannelMsg::ExitSignal { .. }) => status = Some(FAILED),
            None | Some(ChannelMsg::Close) => break status.map_or(End::Gone, End::Of),
            Some(_) => {}
        }
    };
    sending.abort();
    end
}

/// Tells of bytes that were lost at this end. Whatever the command's status is, it did not do what was asked for.
fn failed(what: &str, e: &io::Error) -> u8 {
    complain(&format!("hansard: standard {what}: {e}"));
    FAILED
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

/// Sends what is read here, and its end; fails where it could not be read to its end, which is not told then.
async fn send(write: ChannelWriteHalf<Msg>, reads_nothing: bool) -> io::Result<()> {
    if !reads_nothing {
        let (pieces, mut waiting) = mpsc::channel(PIECES_MAX);
        // It may stay in its last read for ever; nothing waits for it.
        thread::spawn(move || {
            let mut stdin = io::stdin().lock();
            loop {
                let mut piece = vec![0; PIECE_BYTES];
                let read = match stdin.read(&mut piece) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        match wait(io::stdin(), PollFlags::IN) {
                            Ok(()) => continue,
                            Err(e) => Err(e),
                        }
                    }
                    Err(e) if is_none(&e) => return,
                    Ok(0) => return,
                    read => read,
                };
                let piece = read.map(|len| {
                    piece.truncate(len);
                    piece
                });
                let is_last = piece.is_err();
                if pieces.blocking_send(piece).is_err() || is_last {
                    return;
                }
            }
        });
        while let Some(piece) = waiting.recv().await {
            if write.data_bytes(piece?).await.is_err() {
                return Ok(());
            }
        }
    }
    let _ = write.eof().await;
    Ok(())
}

/// Whether an error says that there is nothing to be read, rather than that it is lost: nohup(1) leaves an input that is
/// open for writing alone, and a terminal may be gone, or another's.
fn is_none(e: &io::Error) -> bool {
    e.raw_os_error() == Some(Errno::BADF.raw_os_error()) || io::stdin().is_terminal()
}
