//! The recorder that the tests run: writes what it is given as lines, and fails on demand.
//!
//! `probe LOG [--keystrokes] [--no-stdout] [--strict] [--lean] [--lose-after N] [--panic-after N]
//! [--abort-after N] -- PROGRAM ARGS…`, N in bytes of data. A line is `output 68690a` (a stream and
//! its bytes in hexadecimal), `resize 80x24`, `flush`, `end REASON`; data is not written
//! if `--lean`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

use hansard_core::event::{Body, Stream};
use hansard_shell::{Command, Options, Tape, TapeLost, run};

struct Log {
    file: RefCell<File>,
    bytes: Cell<u64>,
    lose_after: u64,
    panic_after: u64,
    abort_after: u64,
    lean: bool,
}

impl Log {
    fn line(&self, line: &str) {
        self.file
            .borrow_mut()
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }
}

impl Tape for Log {
    fn data(&self, stream: Stream, bytes: &[u8]) -> Result<(), TapeLost> {
        self.bytes.set(self.bytes.get() + bytes.len() as u64);
        let past = |bound: u64| self.bytes.get() > bound;
        assert!(!past(self.panic_after), "told to panic");
        if past(self.abort_after) {
            std::process::abort();
        }
        if past(self.lose_after) {
            return Err(TapeLost("told to lose".to_owned()));
        }
        if self.lean {
            return Ok(());
        }
        let digit = |half: u8| {
            if half < 10 {
                b'0' + half
            } else {
                b'a' + half - 10
            }
        };
        let mut line = Vec::with_capacity(2 * bytes.len() + 16);
        line.extend_from_slice(stream.as_str().as_bytes());
        line.push(b' ');
        line.extend(
            bytes
                .iter()
                .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]),
        );
        line.push(b'\n');
        self.file.borrow_mut().write_all(&line).unwrap();
        Ok(())
    }

    fn event(&self, body: Body) -> Result<(), TapeLost> {
        match body {
            Body::Resize { cols, rows } => self.line(&format!("resize {cols}x{rows}")),
            other => self.line(other.family()),
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), TapeLost> {
        self.line("flush");
        Ok(())
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let path = args.next().unwrap();
    let mut options = Options::default();
    let mut log = Log {
        file: RefCell::new(File::create(path).unwrap()),
        bytes: Cell::new(0),
        lose_after: u64::MAX,
        panic_after: u64::MAX,
        abort_after: u64::MAX,
        lean: false,
    };
    while let Some(arg) = args.next() {
        let mut number = || args.next().unwrap().to_str().unwrap().parse().unwrap();
        match arg.to_str().unwrap() {
            "--keystrokes" => options.keystrokes = true,
            "--no-stdout" => options.stdout = false,
            "--lean" => log.lean = true,
            "--strict" => options.strict = true,
            "--lose-after" => log.lose_after = number(),
            "--panic-after" => log.panic_after = number(),
            "--abort-after" => log.abort_after = number(),
            "--" => break,
            other => panic!("{other}"),
        }
    }
    match run(&Command::new(args), &options, &log) {
        Ok(exit) => {
            log.line(&format!("end {}", exit.end().reason));
            if let Some(fault) = &exit.fault {
                let _ = writeln!(std::io::stderr(), "probe: {fault}"); // which may be what failed
            }
            ExitCode::from(exit.answer())
        }
        Err(error) => {
            eprintln!("probe: {error}");
            log.line(&format!("end {error}"));
            ExitCode::from(error.status())
        }
    }
}
