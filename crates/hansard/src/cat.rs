//! `hansard cat`: everything a recording showed, at once.

use std::io::{self, BufWriter, Write};

use hansard_core::{Body, Stream};
use rustix::termios::isatty;

use crate::cli::CatArgs;
use crate::failure::Failure;
use crate::source::Source;

/// Shown bytes go to standard output, a standard error that was recorded apart to standard error.
/// A terminal gets only what cannot change its state or make it answer, unless `--raw`.
pub(crate) fn run(args: &CatArgs) -> Result<u8, Failure> {
    let mut source = Source::open(&args.file, &args.read, "reading")?;
    let mut out = Outlet::new(
        BufWriter::with_capacity(64 * 1024, io::stdout().lock()),
        !args.raw && isatty(io::stdout()),
    );
    let mut err = Outlet::new(io::stderr().lock(), !args.raw && isatty(io::stderr()));
    let done = loop {
        match source.next_event() {
            Ok(None) => break Ok(()),
            Ok(Some(event)) => {
                let Body::Data { stream, bytes } = event.body else {
                    continue;
                };
                match stream {
                    Stream::Output | Stream::Stdout => out.write(&bytes)?,
                    // What was said before on the other stream must have been shown before.
                    Stream::Stderr => {
                        out.flush()?;
                        err.write(&bytes)?;
                    }
                    Stream::Stdin | Stream::Keystrokes => {}
                }
            }
            Err(failure) => break Err(failure),
        }
    };
    out.flush()?;
    drop((out, err));
    done.map(|()| source.finish())
}

/// Where shown bytes go, and through which filter.
struct Outlet<W: Write> {
    out: W,
    sanitizer: Option<hansard_view::Sanitizer>,
    touched: bool,
    clean: Vec<u8>,
}

impl<W: Write> Outlet<W> {
    fn new(out: W, to_terminal: bool) -> Self {
        let sanitizer = to_terminal.then(hansard_view::Sanitizer::default);
        Self {
            out,
            sanitizer,
            touched: false,
            clean: Vec::new(),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(sanitizer) = &mut self.sanitizer else {
            return self.out.write_all(bytes);
        };
        self.touched = true;
        self.clean.clear();
        sanitizer.feed(bytes, &mut self.clean);
        self.out.write_all(&self.clean)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Drop for Outlet<W> {
    /// A recording may end in red letters on the alternate screen; the viewer's terminal must not.
    fn drop(&mut self) {
        let Some(mut sanitizer) = self.sanitizer.take().filter(|_| self.touched) else {
            return;
        };
        self.clean.clear();
        sanitizer.finish(&mut self.clean);
        self.clean.extend_from_slice(sanitizer.restore().as_bytes());
        let _ = self
            .out
            .write_all(&self.clean)
            .and_then(|()| self.out.flush());
    }
}
