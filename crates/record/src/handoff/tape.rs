//! The program's half: takes what happens without making it wait for the daemon, and says when the
//! session must end.

use std::fmt;
use std::io::{self, BufReader, PipeReader, PipeWriter, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hansard_core::event::{Body, End, Stream};
use hansard_core::{OnLoss, Session};

use crate::handoff::message::put_data;
use crate::handoff::{
    BUFFER_BYTES, Closed, DATA_BYTES_MAX, FromClient, FromDaemon, MESSAGE_BYTES_MAX,
    OPEN_BYTES_MAX, Open, Opened, ReadFailed, SOCKET_BYTES, VERSION, read_message,
};

/// How long a daemon may take to answer the opening, beyond the time that its policy holds a
/// session back: at the bound the session is not begun.
const OPENED_MAX: Duration = Duration::from_secs(40);

/// How much longer than its policy allows a daemon may say nothing while something waits for it.
/// At the bound it counts as gone.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Why a session was not handed over.
#[derive(Debug)]
pub enum NotOpened {
    /// Nobody answers at the socket.
    NoDaemon(io::Error),
    /// The daemon refused; its words.
    Refused(String),
    /// What answers is no daemon of this version, or fell silent.
    Broken(String),
}

/// The daemon records no more, or somebody ends the session: it must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Why, in words.
    pub why: String,
    /// Somebody ended it through the daemon, which still records: close as ever.
    pub is_ended: bool,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Gone {}

/// A session that is handed over to the daemon. What is handed over is kept in a bounded buffer and
/// written by a thread; nobody waits but for room in it. When the daemon goes, so does the session:
/// no other daemon can go on with its recording. Under a policy that goes on unrecorded
/// (`on_loss: continue`), only [`HandoffTape::close`] says so.
pub struct HandoffTape {
    shared: Arc<Shared>,
    opened: Opened,
    bell: PipeReader,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// The writing thread waits here.
    work: Condvar,
    /// Callers wait here, for room or for an answer.
    news: Condvar,
    socket: UnixStream,
    goes_on: bool,
    /// Longest silence of a daemon that somebody waits for.
    silence_max: Duration,
}

struct State {
    out: Vec<u8>,
    /// The writing thread sleeps.
    idle: bool,
    gone: Option<String>,
    ended: Option<String>,
    flushes: u64,
    durable: u64,
    closed: Option<Closed>,
    /// Rings once: whoever polls for it hears that [`HandoffTape::check`] has something to say.
    bell: Option<PipeWriter>,
    /// Bytes of data that came after the daemon had gone.
    unrecorded: u64,
}

impl HandoffTape {
    /// Hands a session over: `claims` is what the program says of it (see
    /// [`Open::claims`]). Returns when its header is durable.
    ///
    /// # Errors
    /// [`NotOpened`]; nothing is recorded then.
    pub fn open(socket: &Path, claims: Session) -> Result<Self, NotOpened> {
        let stream = UnixStream::connect(socket).map_err(NotOpened::NoDaemon)?;
        // Its size bounds what a crash can take; a refusal leaves the system's own, of that order.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, SOCKET_BYTES);
        let broken = |e: io::Error| NotOpened::Broken(format!("the capture socket: {e}"));
        let mut hello = Vec::new();
        let claims = Box::new(claims);
        FromClient::Open(Open {
            version: VERSION,
            claims,
        })
        .encode(&mut hello);
        stream.set_write_timeout(Some(OPENED_MAX)).map_err(broken)?;
        stream.set_read_timeout(Some(OPENED_MAX)).map_err(broken)?;
        // A refusal may come before all of this is written: it is read all the same.
        let sent = (&stream).write_all(&hello);
        let opened = match read_answer(&stream) {
            Ok(FromDaemon::Opened(opened)) => opened,
            Ok(FromDaemon::Refused(why)) => return Err(NotOpened::Refused(why)),
            Ok(_) => {
                return Err(NotOpened::Broken(
                    "the daemon's first answer is none".into(),
                ));
            }
            Err(why) => return Err(sent.err().map_or(NotOpened::Broken(why), broken)),
        };
        stream.set_write_timeout(None).map_err(broken)?;
        stream.set_read_timeout(None).map_err(broken)?;
        Self::begin(stream, opened).map_err(broken)
    }

    fn begin(socket: UnixStream, opened: Opened) -> io::Result<Self> {
        let (bell, ring) = io::pipe()?;
        let policy = &opened.session.policy;
        let reading = socket.try_clone()?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                out: Vec::new(),
                idle: false,
                gone: None,
                ended: None,
                flushes: 0,
                durable: 0,
                closed: None,
                bell: Some(ring),
                unrecorded: 0,
            }),
            work: Condvar::new(),
            news: Condvar::new(),
            socket,
            goes_on: policy.on_loss == OnLoss::Continue,
            silence_max: Duration::from_millis(policy.hold_ms_max).saturating_add(ANSWER_MAX),
        });
        let mut tape = Self {
            shared: Arc::clone(&shared),
            opened,
            bell,
            threads: Vec::new(),
        };
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let writing = Arc::clone(&shared);
        let writer = named("handoff-write").spawn(move || writing.write())?;
        tape.threads.push(writer);
        let reader = named("handoff-read").spawn(move || shared.read(reading))?;
        tape.threads.push(reader);
        Ok(tape)
    }

    /// The recording's header: its id, and the policy in force.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.opened.session
    }

    /// What the user is to be told; may be empty. It comes from the daemon.
    #[must_use]
    pub fn notice(&self) -> &str {
        &self.opened.notice
    }

    /// Becomes readable when [`HandoffTape::check`] has something to say: for a program that is
    /// quiet and would not notice otherwise.
    #[must_use]
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Whether the session may go on.
    ///
    /// # Errors
    /// [`Gone`] when it must end.
    pub fn check(&self) -> Result<(), Gone> {
        self.shared.check(&self.shared.lock())
    }

    /// Bytes of a stream. Waits only while the buffer is full.
    ///
    /// # Errors
    /// [`Gone`] when the session must end.
    pub fn data(&self, stream: Stream, bytes: &[u8]) -> Result<(), Gone> {
        for piece in bytes.chunks(DATA_BYTES_MAX) {
            self.shared
                .push(piece.len(), |out| put_data(out, stream, piece))?;
        }
        Ok(())
    }

    /// Any other event.
    ///
    /// # Errors
    /// [`Gone`] when the session must end.
    pub fn event(&self, body: Body) -> Result<(), Gone> {
        match body {
            Body::Data { stream, bytes } => self.data(stream, &bytes),
            body => self
                .shared
                .push(0, |out| FromClient::Event(body).encode(out)),
        }
    }

    /// Waits until everything so far is durable.
    ///
    /// # Errors
    /// [`Gone`] when the session must end.
    pub fn flush(&self) -> Result<(), Gone> {
        let number = {
            let mut state = self.shared.lock();
            state.flushes = state.flushes.saturating_add(1);
            state.flushes
        };
        self.shared
            .push(0, |out| FromClient::Flush(number).encode(out))?;
        let shared = &*self.shared;
        let state = shared.wait(shared.lock(), |state| state.durable >= number);
        shared.check(&state)
    }

    /// Ends the recording, and waits until it is complete and durable.
    ///
    /// # Errors
    /// [`Gone`] when it is not.
    pub fn close(&self, end: End) -> Result<Closed, Gone> {
        let shared = &*self.shared;
        let mut state = shared.lock();
        if state.gone.is_none() {
            FromClient::Close(end).encode(&mut state.out);
            shared.wake(&mut state);
            state = shared.wait(state, |state| state.closed.is_some());
        }
        match (&state.closed, &state.gone) {
            (Some(closed), _) => Ok(*closed),
            (None, why) => {
                let mut why = why.clone().unwrap_or_default();
                if state.unrecorded > 0 {
                    let bytes = state.unrecorded;
                    why.push_str(&format!("; {bytes} bytes after that are not recorded"));
                }
                Err(Gone {
                    why,
                    is_ended: false,
                })
            }
        }
    }
}

impl Drop for HandoffTape {
    fn drop(&mut self) {
        // Both threads end by it. Without a close before, the daemon takes it for a program that
        // died, and says so in the recording.
        let _ = self.shared.socket.shutdown(Shutdown::Both);
        self.shared.go("the tape is closed".to_owned());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn read_answer(stream: &UnixStream) -> Result<FromDaemon, String> {
    let mut buffer = Vec::new();
    let mut stream = stream;
    match read_message(&mut stream, &mut buffer, OPEN_BYTES_MAX) {
        Ok(true) => FromDaemon::decode(&buffer).map_err(|e| e.to_string()),
        Ok(false) => Err("the daemon closed the connection".to_owned()),
        Err(ReadFailed::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => {
            Err(format!("the daemon gave no answer for {OPENED_MAX:?}"))
        }
        Err(e) => Err(e.to_string()),
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, state: &State) -> Result<(), Gone> {
        if let Some(why) = &state.ended {
            return Err(Gone {
                why: why.clone(),
                is_ended: true,
            });
        }
        match &state.gone {
            Some(why) if !self.goes_on => Err(Gone {
                why: why.clone(),
                is_ended: false,
            }),
            _ => Ok(()),
        }
    }

    /// Appends a message once there is room for it.
    fn push(&self, data_len: usize, put: impl FnOnce(&mut Vec<u8>)) -> Result<(), Gone> {
        let has_room = |state: &State| {
            state.out.is_empty() || state.out.len().saturating_add(data_len) <= BUFFER_BYTES
        };
        let mut state = self.lock();
        if !has_room(&state) {
            state = self.wait(state, has_room);
        }
        self.check(&state)?;
        if state.gone.is_some() {
            state.unrecorded = state.unrecorded.saturating_add(data_len as u64);
            return Ok(());
        }
        put(&mut state.out);
        self.wake(&mut state);
        Ok(())
    }

    fn wake(&self, state: &mut State) {
        if std::mem::take(&mut state.idle) {
            self.work.notify_one();
        }
    }

    /// Waits until it is so, or the daemon has gone, which it also has when it says nothing for
    /// longer than its policy holds a session back.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        done: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let since = Instant::now();
        while state.gone.is_none() && !done(&state) {
            let Some(rest) = self.silence_max.checked_sub(since.elapsed()) else {
                drop(state);
                let ms = self.silence_max.as_millis();
                self.go(format!("the daemon gave no answer for {ms} ms"));
                return self.lock();
            };
            (state, _) = self
                .news
                .wait_timeout(state, rest)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    /// The daemon has gone; the first reason stays.
    fn go(&self, why: String) {
        let mut state = self.lock();
        state.gone.get_or_insert(why);
        state.out = Vec::new();
        state.ring();
        self.work.notify_all();
        self.news.notify_all();
    }

    fn write(&self) {
        let mut bytes = Vec::new();
        let mut state = self.lock();
        loop {
            if state.gone.is_some() {
                return;
            }
            if state.out.is_empty() {
                state.idle = true;
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            std::mem::swap(&mut state.out, &mut bytes);
            self.news.notify_all();
            drop(state);
            if (&self.socket).write_all(&bytes).is_err() {
                // What the daemon said last is read by the other thread, which tells the reason.
                let _ = self.socket.shutdown(Shutdown::Write);
                return;
            }
            bytes.clear();
            state = self.lock();
        }
    }

    fn read(&self, socket: UnixStream) {
        let mut source = BufReader::with_capacity(4096, socket);
        let mut buffer = Vec::new();
        let why = loop {
            match read_message(&mut source, &mut buffer, MESSAGE_BYTES_MAX) {
                Ok(true) => {}
                Ok(false) => break "the daemon closed the connection".to_owned(),
                Err(e) => break format!("the daemon went away: {e}"),
            }
            let mut state = self.lock();
            match FromDaemon::decode(&buffer) {
                Ok(FromDaemon::Durable(number)) => state.durable = state.durable.max(number),
                Ok(FromDaemon::Closed(closed)) => state.closed = Some(closed),
                Ok(FromDaemon::End { reason, by }) => {
                    let why = match by.as_str() {
                        "" => reason,
                        by => format!("ended by {by}: {reason}"),
                    };
                    state.ended.get_or_insert(why);
                    state.ring();
                }
                Ok(FromDaemon::Lost(why)) => break why,
                Ok(_) => break "the daemon said what it may only say first".to_owned(),
                Err(e) => break format!("the daemon is not understood: {e}"),
            }
            self.news.notify_all();
        };
        self.go(why);
    }
}

impl State {
    /// Closing the writing end makes the other readable, for good.
    fn ring(&mut self) {
        self.bell = None;
    }
}
