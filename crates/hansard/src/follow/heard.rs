//! What the service tells of a session that is followed, read by a thread.

use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;

use hansard_core::Event;
use hansard_view::escape_for_humans;
use hansard_view::jsonl::read_event;
use serde_json::Value as Json;

use crate::cli::FollowArgs;
use crate::failure::{Failure, STATUS_DAMAGED, STATUS_RECORDER};
use crate::service::Service;

/// What waits to be shown; with more, the service waits.
const WAITING_MAX: usize = 256;

/// What was told.
pub(crate) enum Heard {
    /// The next event.
    Event(Box<Event>),
    /// The screen instead of all events before.
    Screen {
        /// When, nanoseconds since the start.
        at_ns: u64,
        /// Columns and rows.
        size: (u16, u16),
        /// What brings a blank terminal of that size there.
        dump: String,
    },
    /// A part of the session cannot be read, in words.
    Lost(String),
    /// Nothing comes any more; why, where no end was recorded.
    Over(Option<String>),
}

/// Whoever listens to the service.
pub(crate) struct Ear {
    heard: Receiver<Result<Heard, Failure>>,
}

impl Ear {
    /// Begins to listen. A service that refuses is an error of the first [`Ear::wait`], or of this.
    pub(super) fn open(args: &FollowArgs) -> Result<Self, Failure> {
        let (teller, heard) = sync_channel(WAITING_MAX);
        let (service, asked) = (args.look.service.clone(), super::asked(args));
        let (opened, open) = sync_channel(1);
        let listen = move || {
            let lines = Service::new(&service).and_then(|service| service.lines(&asked));
            let mut lines = match lines {
                Ok(lines) => lines,
                Err(failure) => return drop(opened.send(Err(failure))),
            };
            let _ = opened.send(Ok(()));
            loop {
                let next = match lines.next_line() {
                    Ok(Some((_, said))) => match hear(&said) {
                        Ok(Some(heard)) => Ok(heard),
                        Ok(None) => continue,
                        Err(what) => Err(malformed(&what)),
                    },
                    Ok(None) => Err(malformed("it ended without saying so")),
                    Err(failure) => Err(failure),
                };
                let last = !matches!(
                    next,
                    Ok(Heard::Event(_) | Heard::Screen { .. } | Heard::Lost(_))
                );
                // Nobody listens any more, or there is nothing more to tell.
                if teller.send(next).is_err() || last {
                    return;
                }
            }
        };
        let spawned = thread::Builder::new()
            .name("follow".to_owned())
            .spawn(listen);
        spawned.map_err(|e| Failure::new(STATUS_RECORDER, format!("no thread: {e}")))?;
        let opened = open.recv();
        opened.unwrap_or_else(|_| Err(malformed("nothing was told")))?;
        Ok(Self { heard })
    }

    /// What comes next, however long that takes.
    pub(super) fn wait(&self) -> Result<Heard, Failure> {
        let heard = self.heard.recv();
        heard.unwrap_or_else(|_| Err(malformed("nothing was told")))
    }

    /// What is there now.
    pub(crate) fn now(&self) -> Result<Option<Heard>, Failure> {
        match self.heard.try_recv() {
            Ok(heard) => heard.map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(malformed("nothing more was told")),
        }
    }
}

fn hear(said: &Json) -> Result<Option<Heard>, String> {
    let number = |name: &str| said.get(name).and_then(Json::as_u64);
    let small = |name: &str| number(name).and_then(|n| u16::try_from(n).ok());
    let text = |name: &str| said.get(name).and_then(Json::as_str);
    let reason = || text("reason").map(|why| escape_for_humans(why).into_owned());
    match text("family") {
        Some("heartbeat") => Ok(None),
        Some("screen") => {
            let size = small("cols")
                .zip(small("rows"))
                .ok_or("a screen without a size")?;
            Ok(Some(Heard::Screen {
                at_ns: number("at_ns").unwrap_or(0),
                size,
                dump: text("text").unwrap_or_default().to_owned(),
            }))
        }
        Some("lost") => Ok(Some(Heard::Lost(reason().unwrap_or_default()))),
        Some("over") => Ok(Some(Heard::Over(reason()))),
        _ => read_event(said).map(|event| Some(Heard::Event(Box::new(event)))),
    }
}

fn malformed(what: &str) -> Failure {
    let message = format!("the service's answer: {}", escape_for_humans(what));
    Failure::new(STATUS_DAMAGED, message)
}
