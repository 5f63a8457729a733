//! A tlog that is played while it grows, in a file or the journal: a thread turns what comes into a
//! recording of ours in a file without a name, which the player follows as any other that grows.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use hansard_core::seal::SigningKey;
use hansard_core::writer::{Bounds, SegmentWriter, WriteError};
use hansard_core::{Body, Event, Session};
use hansard_view::tlog::TlogDecoder;
use hansard_view::{Decoder as _, Format, Indexed};

use crate::cli::PlayArgs;
use crate::failure::{Failure, STATUS_DAMAGED, STATUS_RECORDER, STATUS_WRONG_USE, shown};
use crate::journal::{self, Journal};
use crate::source::{import, not_a_recording, open_file};
use crate::{key, seekable};

/// Events that are read and not written yet; with more, reading waits.
const WAITING_MAX: usize = 1024;

/// When nothing came for so long, what came before is made readable for the player.
const QUIET: Duration = Duration::from_millis(50);

/// A file is looked at again so often for what was appended; tlog-play does it once a second.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Why the growing stopped, once it did.
pub(super) type Stopped = Arc<Mutex<Option<Failure>>>;

/// Whether this is a tlog (or the journal), which is followed this way.
pub(super) fn is_meant(args: &PlayArgs) -> Result<bool, Failure> {
    if journal::wanted(&args.file, &args.read.journal).is_some() {
        return Ok(true);
    }
    match args.read.from {
        Some(format) => Ok(format == Format::Tlog),
        None => {
            let mut beginning = Vec::new();
            let (file, _) = open_file(&args.file)?;
            file.take(4096)
                .read_to_end(&mut beginning)
                .map_err(|e| Failure::about(&args.file, &e))?;
            Ok(Format::guess(&beginning) == Some(Format::Tlog))
        }
    }
}

/// Begins to read; answers when the beginning of a recording is there, however long that takes.
pub(super) fn open(args: &PlayArgs) -> Result<(Indexed, Stopped), Failure> {
    let bytes: Box<dyn Read + Send> = match journal::wanted(&args.file, &args.read.journal) {
        Some(rec) => Box::new(Journal::open(rec, &args.read.journal, true)?),
        None => Box::new(Appended(open_file(&args.file)?.0)),
    };
    let import = import(args.read.rec.clone()).map_err(|e| Failure::about(&args.file, &e))?;
    let decoder = TlogDecoder::new(bytes, import);
    let stopped = Stopped::default();
    let (read, events) = sync_channel(WAITING_MAX);
    spawn("reading", {
        let (stopped, path) = (Arc::clone(&stopped), args.file.clone());
        move || hand_on(decoder, &read, &stopped, &path)
    })?;

    let Ok(Event {
        body: Body::Start(session),
        ..
    }) = events.recv()
    else {
        let why = take(&stopped);
        return Err(why.unwrap_or_else(|| not_a_recording(&args.file)));
    };
    let file = seekable::nameless()?;
    let copy = file
        .try_clone()
        .map_err(|e| Failure::about(&args.file, &e))?;
    let mut growth = Growth::begin(copy, *session, key::signing_key(None)?)?;
    let indexed = Indexed::in_memory(Arc::new(file), &mut |_| ControlFlow::Continue(()))
        .map_err(|e| seekable::failure(&args.file, &e))?;
    spawn("growing", {
        let stopped = Arc::clone(&stopped);
        move || {
            if let Err(failure) = growth.go_on(&events) {
                put(&stopped, failure);
            }
        }
    })?;
    Ok((indexed, stopped))
}

/// Takes the reason out, if there is one.
pub(super) fn take(stopped: &Stopped) -> Option<Failure> {
    stopped
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
}

fn put(stopped: &Stopped, failure: Failure) {
    *stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned
        .map(drop)
        .map_err(|e| Failure::new(STATUS_RECORDER, format!("no thread: {e}")))
}

/// Reads until there is nothing more or nobody wants it.
fn hand_on(
    mut decoder: TlogDecoder<Box<dyn Read + Send>>,
    read: &SyncSender<Event>,
    stopped: &Stopped,
    path: &Path,
) {
    loop {
        match decoder.next_event() {
            Ok(Some(event)) => {
                if read.send(event).is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                let said = format!("{}: {error}", shown(path));
                return put(stopped, Failure::new(STATUS_DAMAGED, said));
            }
        }
    }
}

/// The recording that is written.
struct Growth {
    file: File,
    writer: SegmentWriter,
}

impl Growth {
    fn begin(file: File, session: Session, key: SigningKey) -> Result<Self, Failure> {
        let session = Session {
            recorder_key: key.public(),
            ..session
        };
        let writer = SegmentWriter::new(session, key, Bounds::default()).map_err(refused)?;
        let mut growth = Self { file, writer };
        growth.show()?;
        Ok(growth)
    }

    /// Writes what comes until nothing comes any more.
    fn go_on(&mut self, events: &Receiver<Event>) -> Result<(), Failure> {
        let mut is_shown = true;
        loop {
            match events.recv_timeout(QUIET) {
                Ok(event) => {
                    self.writer.tick(event.at_ns).map_err(refused)?;
                    self.writer
                        .push(event.at_ns, &event.body)
                        .map_err(refused)?;
                    self.write()?;
                    is_shown = false;
                }
                Err(RecvTimeoutError::Timeout) if is_shown => {}
                Err(RecvTimeoutError::Timeout) => {
                    self.show()?;
                    is_shown = true;
                }
                Err(RecvTimeoutError::Disconnected) => return self.show(),
            }
        }
    }

    /// Makes what was written readable.
    fn show(&mut self) -> Result<(), Failure> {
        self.writer.cut().map_err(refused)?;
        self.write()
    }

    fn write(&mut self) -> Result<(), Failure> {
        for part in self.writer.parts() {
            self.file.write_all(part.bytes())?;
        }
        Ok(())
    }
}

fn refused(error: WriteError) -> Failure {
    Failure::new(STATUS_WRONG_USE, error.to_string())
}

/// A file that is appended to: its end is where one waits.
struct Appended(File);

impl Read for Appended {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Ok(0) if !buffer.is_empty() => thread::sleep(LOOK_AGAIN),
                other => return other,
            }
        }
    }
}
