//! Progress of long work, on standard error and only on a terminal.

use std::cell::RefCell;
use std::io::{self, Read, Write as _};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::stdio::stderr;
use rustix::termios::isatty;

/// Work shorter than this shows nothing.
const QUIET: Duration = Duration::from_millis(700);
/// Time between two drawings.
const REDRAW: Duration = Duration::from_millis(100);

/// A line that says how far something is.
pub(crate) struct Progress {
    label: &'static str,
    total: Option<u64>,
    next: Option<Instant>,
    drawn: bool,
}

impl Progress {
    /// Of work on `total` bytes, if that is known.
    pub(crate) fn new(label: &'static str, total: Option<u64>) -> Self {
        let next = isatty(stderr()).then(|| Instant::now() + QUIET);
        Self {
            label,
            total: total.filter(|n| *n > 0),
            next,
            drawn: false,
        }
    }

    /// The work has come to byte `done` of `total`.
    pub(crate) fn of(&mut self, done: u64, total: u64) {
        self.total = Some(total).filter(|n| *n > 0);
        self.at(done);
    }

    /// The work has come to byte `done`.
    pub(crate) fn at(&mut self, done: u64) {
        let Some(next) = self.next else { return };
        let now = Instant::now();
        if now < next {
            return;
        }
        self.next = Some(now + REDRAW);
        self.drawn = true;
        let far = match self.total {
            Some(total) => format!("{:3} %", done.min(total).saturating_mul(100) / total),
            None => crate::moment::bytes(done),
        };
        // Nothing is lost when this cannot be shown.
        let _ = write!(io::stderr(), "\r{} … {far}\x1b[K", self.label);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// Counts what several readers read together, and shows it.
#[derive(Clone)]
pub(crate) struct Meter(Rc<RefCell<(u64, Progress)>>);

impl Meter {
    /// Nothing has been read yet.
    pub(crate) fn new(progress: Progress) -> Self {
        Self(Rc::new(RefCell::new((0, progress))))
    }

    /// A reader whose bytes are counted here.
    pub(crate) fn reading<R: Read>(&self, inner: R) -> Reading<R> {
        Reading {
            inner,
            meter: self.clone(),
        }
    }

    fn add(&self, bytes: usize) {
        let (done, progress) = &mut *self.0.borrow_mut();
        *done += bytes as u64;
        progress.at(*done);
    }
}

/// See [`Meter::reading`].
pub(crate) struct Reading<R> {
    inner: R,
    meter: Meter,
}

impl<R: Read> Read for Reading<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.meter.add(n);
        Ok(n)
    }
}
