//! `hansard follow`: a session as it happens.
//!
//! On a terminal it is painted like a play: recorded bytes go to an emulator, never to the terminal.
//! The service is read by a thread, so that keys are answered whatever the service does.

mod heard;

use std::io::{self, Write};

use hansard_core::{Body, Stream};
use rustix::stdio::stdout;
use rustix::termios::isatty;

use crate::cli::FollowArgs;
use crate::failure::{Failure, STATUS_DAMAGED};
use crate::play;
use crate::service::{Asked, Service};
pub(crate) use heard::{Ear, Heard};

/// Watches until it ends or the viewer has had enough.
pub(crate) fn run(args: &FollowArgs) -> Result<u8, Failure> {
    if args.json {
        return lines(args);
    }
    let ear = Ear::open(args)?;
    if isatty(stdout()) {
        return play::watch(&ear);
    }
    bytes(&ear)
}

fn asked(args: &FollowArgs) -> Asked {
    let id = args.session.to_string();
    let asked = Asked::get(&["sessions", &id, "follow"]);
    asked.with("reason", args.look.reason.as_deref())
}

/// The service's lines as they are.
fn lines(args: &FollowArgs) -> Result<u8, Failure> {
    let service = Service::new(&args.look.service)?;
    let mut lines = service.lines(&asked(args))?;
    while let Some((line, said)) = lines.next_line()? {
        if said.get("family").and_then(|f| f.as_str()) != Some("heartbeat") {
            writeln!(io::stdout(), "{line}")?;
        }
    }
    Ok(0)
}

/// What is shown, as bytes: for whoever reads us through a pipe.
fn bytes(ear: &Ear) -> Result<u8, Failure> {
    loop {
        let mut out = io::stdout().lock();
        match ear.wait()? {
            Heard::Event(event) => {
                if let Body::Data { stream, bytes } = &event.body
                    && matches!(stream, Stream::Output | Stream::Stdout | Stream::Stderr)
                {
                    out.write_all(bytes)?;
                    out.flush()?;
                }
            }
            Heard::Screen { dump, .. } => {
                out.write_all(dump.as_bytes())?;
                out.flush()?;
            }
            Heard::Lost(what) => {
                let _ = writeln!(io::stderr(), "hansard: a part cannot be read: {what}");
            }
            Heard::Over(None) => return Ok(0),
            Heard::Over(Some(why)) => return Err(Failure::new(STATUS_DAMAGED, why)),
        }
    }
}
