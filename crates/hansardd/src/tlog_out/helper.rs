//! The process that writes messages of tlog: this program again, under the name by which Cockpit finds
//! recordings in the journal.
//!
//! It holds no key, no store and no socket of the daemon's, only its pipe and the place it writes to.
//! It ends when the daemon does; what it did not say to be written is written again.

use std::ffi::OsString;
use std::io::{self, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use hansard_export::tlog::Place;
use hansard_export::tlog::batch::{self, Answer};
use hansard_export::tlog::place::{FilePlace, JournalPlace, SyslogPlace};

use crate::cli::TlogWriterArgs;
use crate::config::{TlogExport, TlogWriter};

/// The name of the process: that of `tlog-rec-session`, cut off where Linux cuts names off.
pub const COMM: &std::ffi::CStr = c"tlog-rec-sessio";

/// What the daemon runs; a program that was replaced meanwhile is still the same.
pub const OURSELVES: &str = "/proc/self/exe";

/// The error of a helper that is not there.
const GONE: io::ErrorKind = io::ErrorKind::BrokenPipe;

/// What the helper is told about its place, as arguments.
fn arguments(export: &TlogExport) -> Vec<OsString> {
    let (path, more) = match export.writer {
        TlogWriter::File => (&export.file.path, Vec::new()),
        TlogWriter::Syslog => {
            let syslog = &export.syslog;
            let facility = format!("--facility={}", syslog.facility.0);
            let priority = format!("--priority={}", syslog.priority.0);
            (&syslog.socket, vec![facility, priority])
        }
        TlogWriter::Journal => {
            let journal = &export.journal;
            let priority = format!("--priority={}", journal.priority.0);
            let augment = journal.augment.then(|| "--augment".to_owned());
            let more = std::iter::once(priority).chain(augment).collect();
            (&journal.socket, more)
        }
    };
    let writer = format!("--writer={}", export.writer.as_str());
    let mut words: Vec<OsString> = vec!["tlog-writer".into(), writer.into()];
    words.extend(more.into_iter().map(OsString::from));
    words.push("--".into());
    words.push(path.into());
    words
}

/// The helper's whole life.
///
/// # Errors
/// When the daemon is gone, or not understood.
pub fn write(args: &TlogWriterArgs) -> io::Result<()> {
    rustix::thread::set_name(COMM)?;
    let path = args.path.as_path();
    let mut place: Box<dyn Place> = match args.writer.as_str() {
        "file" => Box::new(FilePlace::new(path)),
        "syslog" => Box::new(SyslogPlace::new(path, args.facility, args.priority)),
        _ => Box::new(JournalPlace::new(path, args.priority, args.augment)),
    };
    let mut from = BufReader::new(io::stdin().lock());
    batch::serve(&mut from, &mut io::stdout().lock(), &mut *place)
}

/// Ends the helper from another thread, now and whenever it would be started again.
#[derive(Clone, Default)]
pub struct Stopper(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    child: Option<Child>,
    is_stopped: bool,
}

impl Stopper {
    /// Ends it. Whoever waits for its answer gets an error.
    pub fn stop(&self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.is_stopped = true;
        end(&mut held);
    }

    fn forget(&self) {
        end(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn end(held: &mut Held) {
    if let Some(mut child) = held.child.take() {
        // Whatever it is at, it is not answered and done again.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The helper, started when it is needed.
pub struct Helper {
    words: Vec<OsString>,
    program: std::path::PathBuf,
    stopper: Stopper,
    pipes: Option<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Helper {
    /// A helper for this place.
    #[must_use]
    pub fn new(export: &TlogExport) -> Self {
        Self {
            words: arguments(export),
            program: Path::new(OURSELVES).to_owned(),
            stopper: Stopper::default(),
            pipes: None,
        }
    }

    /// What ends it.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Has a batch written; answers how much of it was.
    ///
    /// # Errors
    /// When it cannot be started, or died of the batch. It is started again for the next.
    pub fn send(&mut self, messages: &[Vec<u8>]) -> io::Result<Answer> {
        if self.pipes.is_none() {
            self.pipes = Some(self.begin()?);
        }
        let Some((to, from)) = &mut self.pipes else {
            return Err(GONE.into());
        };
        let sent = batch::send(messages.iter().map(Vec::as_slice), to, from);
        if sent.is_err() {
            self.pipes = None;
            self.stopper.forget();
        }
        sent
    }

    fn begin(&self) -> io::Result<(ChildStdin, BufReader<ChildStdout>)> {
        let mut held = self
            .stopper
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if held.is_stopped {
            return Err(GONE.into());
        }
        let mut child = Command::new(&self.program)
            .args(&self.words)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        held.child = Some(child);
        let (to, from) = pipes.ok_or(GONE)?;
        Ok((to, BufReader::new(from)))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.stopper.forget();
    }
}
