//! Bytes between a channel and what runs in it, each recorded before it goes on.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hansard_core::policy::{OnEnd, Policy};
use hansard_core::{Body, Session, SessionId, Stream};
use hansard_record::{Lost, Recorder};
use hansard_shell::{Ends, Keys};
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelReadHalf, ChannelWriteHalf};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, sleep_until};

use super::channel::Early;
use super::connection::Connection;
use super::ender::Ender;
use super::limits::{
    HANGUP_GRACE, INPUT_BYTES_MAX, LAST_OUTPUT, PIECE_BYTES, PIPE_BYTES, TYPED_LOOK_EVERY,
};
use super::program::Program;
use super::room::Room;
use super::sftp::{Sftp, Stop};
use super::sys::{watched as awaited, watched_copy};
use crate::host::Watched;
use crate::who::Listed;

mod over;
mod pace;
mod unread;
mod up;

pub(super) use over::{name_of, signal as signal_of};
use pace::Pace;
pub(super) use pace::Terminals;
pub(super) use unread::Unread;
use up::{feed, incoming, release};

/// Why something ended that had nobody to say anything to.
const NOBODY_READS: &str = "nobody read its output any more";

/// Everything that belongs to what runs in a channel.
pub(super) struct Relay {
    pub(super) channel: (Channel<Msg>, Early),
    pub(super) handle: Handle,
    pub(super) served: Program,
    pub(super) ends: Ends,
    pub(super) recorder: Recorder,
    pub(super) session: Session,
    /// What the policy has to say to the user; empty: nothing.
    pub(super) notice: String,
    /// What a login is shown before its shell says anything, as a terminal shows it; empty: nothing.
    pub(super) greeting: Vec<u8>,
    /// A terminal's place in the list of who is logged in, until it is over.
    pub(super) listed: Option<Listed>,
    pub(super) on_end: OnEnd,
    pub(super) ender: Arc<Ender>,
    /// Tells what its processes do.
    pub(super) watched: Option<Watched>,
    pub(super) connection: Arc<Connection>,
    /// Reads along, where what passes is SFTP.
    pub(super) sftp: Option<Sftp>,
    /// Told when nobody reads what the program says any more.
    pub(super) unread: Arc<Unread>,
}

/// How it came to its end, as far as that is not the program's.
#[derive(Debug, Clone)]
enum Why {
    /// The client closed the channel, or is gone.
    Gone,
    /// Somebody or something ended it.
    Ended(String),
    /// It cannot be recorded any more.
    Lost(Lost),
}

/// What the halves of a relay share. Dropping it ends the recording, if nothing did before.
struct Shared {
    connection: Arc<Connection>,
    recorder: Recorder,
    session: SessionId,
    policy: Policy,
    served: Program,
    on_end: OnEnd,
    /// What is over before the recording is.
    beside: (Option<Watched>, Option<Listed>),
    /// Its recording has ended.
    is_over: bool,
    has_terminal: bool,
    /// Typed bytes that wait until it is clear that nothing hid them; only where they are kept.
    keys: Option<Mutex<Keys>>,
    /// Bytes that may wait for the program.
    room: Room,
    /// How many outputs wait for the program to say something.
    listening: AtomicU64,
    /// Nobody hears what is sent any more.
    is_deaf: AtomicBool,
    sftp: Option<Mutex<Sftp>>,
    unread: Arc<Unread>,
    /// A terminal's.
    pace: Option<Pace>,
}

impl From<Lost> for Why {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl Shared {
    /// Has SFTP read along, if it is SFTP, and records what that has to say. Answers whether it is.
    fn read_along(
        &self,
        read: impl FnOnce(&mut Sftp) -> Result<Vec<Body>, Stop>,
    ) -> Result<bool, Why> {
        let Some(sftp) = &self.sftp else {
            return Ok(false);
        };
        let said = read(&mut sftp.lock().unwrap_or_else(PoisonError::into_inner));
        for body in said.map_err(|stop| Why::Ended(stop.0))? {
            self.recorder.event(body)?;
        }
        Ok(true)
    }
}

/// Runs until the program or the client has come to its end, and everything is recorded. Dropped before, begun
/// or not, it ends the recording with what there is.
pub(super) fn run(relay: Relay) -> impl Future<Output = ()> {
    let Relay {
        channel: (channel, early),
        handle,
        served,
        ends,
        recorder,
        session,
        notice,
        greeting,
        listed,
        on_end,
        ender,
        watched,
        connection,
        sftp,
        unread,
    } = relay;
    let id = channel.id();
    let has_terminal = matches!(ends, Ends::Terminal(_));
    let keys = (has_terminal && session.policy.keystrokes).then(|| {
        Mutex::new(match served {
            Program::Here(_) => Keys::new(),
            // Whether its terminal hides anything cannot be asked there.
            Program::There(_) => Keys::echoed(),
        })
    });
    let terminals = Arc::clone(&connection.node.terminals);
    let mut shared = Shared {
        connection,
        recorder,
        session: session.id,
        policy: session.policy,
        served,
        on_end,
        beside: (watched, listed),
        is_over: false,
        has_terminal,
        keys,
        room: Room::new(INPUT_BYTES_MAX),
        listening: AtomicU64::new(0),
        is_deaf: AtomicBool::new(false),
        sftp: sftp.map(Mutex::new),
        unread,
        pace: has_terminal.then(|| Pace::new(terminals)),
    };
    async move {
        let (read, write) = channel.split();
        let why = match registered(ends) {
            Ok(ends) => {
                let shown = (notice, greeting);
                talk(&shared, ((read, early), &write), ends, shown, &ender).await
            }
            Err(e) => {
                shared.served.kill();
                Some(Why::Ended(format!("its ends cannot be waited for: {e}")))
            }
        };
        let exit = shared.conclude(why);
        tokio::select! {
            biased;
            () = over::say(exit, (&write, &handle, id)) => {}
            // Nobody is there to hear it, and the library may not take it either.
            () = shared.connection.closing() => {}
        }
    }
}

/// Shows a terminal what there is to show before its program says anything: what the policy says, and the login's
/// greeting, recorded as all that its terminal shows.
async fn greeted(
    shared: &Shared,
    write: &ChannelWriteHalf<Msg>,
    (notice, greeting): (String, Vec<u8>),
) -> Result<(), Lost> {
    if !shared.has_terminal {
        return Ok(());
    }
    // A client that is gone is heard of elsewhere.
    if !notice.is_empty() {
        let shown = format!("{}\r\n", notice.replace('\n', "\r\n"));
        let _ = write.data_bytes(shown.into_bytes()).await;
    }
    if greeting.is_empty() {
        return Ok(());
    }
    if shared.policy.stdout {
        shared.recorder.data(Stream::Output, &greeting)?;
    }
    let _ = write.data_bytes(greeting).await;
    Ok(())
}

/// The program's ends, for waiting.
type Registered = (AsyncFd<OwnedFd>, [Output; 2]);

type Output = Option<(AsyncFd<OwnedFd>, Stream)>;

fn registered(ends: Ends) -> std::io::Result<Registered> {
    Ok(match ends {
        Ends::Terminal(master) => {
            let input = watched_copy(&master, Interest::WRITABLE)?;
            let output = awaited(master, Interest::READABLE)?;
            (input, [Some((output, Stream::Output)), None])
        }
        Ends::Pipes {
            stdin,
            stdout,
            stderr,
        } => {
            let input = awaited(stdin, Interest::WRITABLE)?;
            let stdout = awaited(stdout, Interest::READABLE)?;
            let stderr = awaited(stderr, Interest::READABLE)?;
            let outputs = [
                Some((stdout, Stream::Stdout)),
                Some((stderr, Stream::Stderr)),
            ];
            (input, outputs)
        }
    })
}

/// Moves bytes until one side is done; answers why, where that is not the program's own end.
async fn talk(
    shared: &Shared,
    (read, write): ((ChannelReadHalf, Early), &ChannelWriteHalf<Msg>),
    (input, outputs): Registered,
    shown: (String, Vec<u8>),
    ender: &Ender,
) -> Option<Why> {
    let (to_program, from_client) = unbounded_channel();
    let incoming = incoming(shared, read, to_program);
    let feeding = feed(shared, input, from_client);
    let outgoing = outgoing(shared, outputs, write, shown);
    let exiting = exited(&shared.served);
    let (mut is_in, mut is_fed, mut is_out, mut is_exited) = (false, false, false, false);
    let mut why: Option<Why> = None;
    let mut deadline: Option<Instant> = None;
    tokio::pin!(incoming, feeding, outgoing, exiting);
    loop {
        let far = Instant::now() + Duration::from_secs(3600);
        let look = shared
            .keys
            .as_ref()
            .map(|_| Instant::now() + TYPED_LOOK_EVERY);
        let told = tokio::select! {
            gone = &mut incoming, if !is_in => {
                is_in = true;
                Some(gone.err().unwrap_or(Why::Gone))
            }
            () = &mut feeding, if !is_fed => { is_fed = true; None }
            done = &mut outgoing, if !is_out => {
                is_out = true;
                done.err()
            }
            () = &mut exiting, if !is_exited => { is_exited = true; None }
            () = ender.heard() => ender.said().map(Why::Ended),
            // Of pipes the program learns it by itself, when it writes again.
            () = shared.unread.heard(), if shared.has_terminal && why.is_none() => {
                Some(Why::Ended(NOBODY_READS.to_owned()))
            }
            () = sleep_until(deadline.unwrap_or(far)) => None,
            () = sleep_until(look.unwrap_or(far)) => release(shared, false).err().map(Why::Lost),
        };
        if why.is_none()
            && let Some(told) = told
        {
            deadline = Some(Instant::now() + farewell(shared, &told, write).await);
            why = Some(told);
        }
        if is_exited && is_out {
            return why;
        }
        if is_exited && why.is_none() && shared.has_terminal && deadline.is_none() {
            deadline = Some(Instant::now() + LAST_OUTPUT);
        }
        let is_late = deadline.is_some_and(|at| at <= Instant::now());
        if ender.gave_up() || is_late {
            if is_exited && why.is_none() && shared.listening.load(Ordering::SeqCst) == 0 {
                // The client reads slowly, and the terminal may still have something for it.
                deadline = Some(Instant::now() + LAST_OUTPUT);
                continue;
            }
            let is_ended = matches!(why, Some(Why::Ended(_) | Why::Lost(_)));
            if is_ended || (why.is_some() && shared.on_end == OnEnd::Kill) {
                shared.served.kill();
            }
            return why;
        }
    }
}

/// Begins the end: the program is hung up. Answers how long it may take.
async fn farewell(shared: &Shared, why: &Why, write: &ChannelWriteHalf<Msg>) -> Duration {
    match why {
        Why::Gone => shared.is_deaf.store(true, Ordering::SeqCst),
        Why::Ended(why) => tell(shared, write, why).await,
        Why::Lost(lost) => tell(shared, write, &lost.to_string()).await,
    }
    shared.served.hang_up();
    match why {
        // Nothing of it can be recorded: it has no time.
        Why::Lost(_) => Duration::ZERO,
        _ => HANGUP_GRACE,
    }
}

/// Tells the client why its session ends. One that does not read is not waited for.
async fn tell(shared: &Shared, write: &ChannelWriteHalf<Msg>, why: &str) {
    const TOLD_MAX: Duration = Duration::from_millis(500);
    let words = format!("\r\nhansard: this session is over: {why}\r\n").into_bytes();
    let telling = async {
        match shared.has_terminal {
            true => write.data_bytes(words).await,
            false => write.extended_data_bytes(1, words).await,
        }
    };
    let _ = tokio::time::timeout(TOLD_MAX, telling).await;
}

/// Moves all that is shown. A client that does not take it is ended as any other.
async fn outgoing(
    shared: &Shared,
    [first, second]: [Output; 2],
    write: &ChannelWriteHalf<Msg>,
    shown: (String, Vec<u8>),
) -> Result<(), Why> {
    greeted(shared, write, shown).await?;
    tokio::try_join!(drain(shared, first, write), drain(shared, second, write)).map(drop)
}

/// Moves what the program says, until it says nothing any more.
async fn drain(shared: &Shared, output: Output, write: &ChannelWriteHalf<Msg>) -> Result<(), Why> {
    let Some((output, stream)) = output else {
        return Ok(());
    };
    let is_kept = match stream {
        Stream::Stderr => shared.policy.stderr,
        _ => shared.policy.stdout,
    };
    let mut is_wide = shared.has_terminal;
    loop {
        shared.listening.fetch_add(1, Ordering::SeqCst);
        let came = tokio::select! {
            came = piece(&output, shared.pace.as_ref()) => came,
            // Closing the pipe is how a program learns that nobody reads what it says.
            () = shared.unread.heard(), if stream == Stream::Stdout => Ok(Bytes::new()),
        };
        shared.listening.fetch_sub(1, Ordering::SeqCst);
        // A terminal whose other side is closed says that with an error.
        let bytes = came.unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() == PIECE_BYTES && !is_wide {
            widen(&output);
            is_wide = true;
        }
        if let Some(keys) = &shared.keys {
            keys.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .shown(&bytes);
        }
        let is_sftp = stream == Stream::Stdout && shared.read_along(|sftp| sftp.down(&bytes))?;
        if is_kept && (!is_sftp || shared.policy.files) {
            shared.recorder.data(stream, &bytes)?;
            if shared.policy.strict {
                shared.recorder.flush()?;
            }
        }
        let len = bytes.len();
        if shared.is_deaf.load(Ordering::SeqCst) {
            continue;
        }
        let sent = match stream {
            Stream::Stderr => write.extended_data_bytes(1, bytes).await,
            _ => {
                shared.unread.spoke();
                write.data_bytes(bytes).await
            }
        };
        if sent.is_err() {
            // Nobody hears it; that it was said stays on record.
            shared.is_deaf.store(true, Ordering::SeqCst);
        }
        if let Some(pace) = &shared.pace {
            pace.gives_way(len).await;
        }
    }
}

/// What there is to read, once there is something; nothing at its end. No memory is held while it waits. A terminal
/// (which has a pace) hands out a page at a time: of one that pours several become a piece, unless it is held back.
pub(super) async fn piece(fd: &AsyncFd<OwnedFd>, pace: Option<&Pace>) -> std::io::Result<Bytes> {
    const PAGE: usize = 4096;
    let mut piece = Vec::new();
    when_ready(fd, Interest::READABLE, |fd| {
        let most = pace.map_or(PIECE_BYTES, Pace::piece_max);
        let mut room = Vec::with_capacity(most);
        let mut last = rustix::io::read(fd, spare_capacity(&mut room))?;
        while pace.is_some() && last >= PAGE / 2 && room.len() + PAGE <= most {
            // What stops it is met again by the next call.
            last = rustix::io::read(fd, spare_capacity(&mut room)).unwrap_or(0);
        }
        piece = room;
        Ok(piece.len())
    })
    .await?;
    if piece.len() < piece.capacity() / 4 {
        // It may wait for a client that reads slowly.
        piece.shrink_to_fit();
    }
    Ok(piece.into())
}

/// Gives a pipe that was full more room: who is at its two ends wakes the other less often. What is no pipe stays
/// as it is, and so does one for which the system has no more memory.
fn widen(fd: &AsyncFd<OwnedFd>) {
    let _ = rustix::pipe::fcntl_setpipe_size(fd.get_ref(), PIPE_BYTES);
}

/// Tries until it does not have to wait any more.
pub(super) async fn when_ready(
    fd: &AsyncFd<OwnedFd>,
    interest: Interest,
    mut attempt: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
) -> std::io::Result<usize> {
    fd.async_io(interest, |fd| {
        loop {
            match attempt(fd.as_fd()) {
                Err(Errno::INTR) => {}
                outcome => return outcome.map_err(std::io::Error::from),
            }
        }
    })
    .await
}

/// Returns when the program has ended.
async fn exited(served: &Program) {
    let Ok(bell) = watched_copy(served.bell(), Interest::READABLE) else {
        return;
    };
    while !served.is_over() {
        match bell.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => return,
        }
    }
}
