//! SFTP as it passes: an event for every file that was opened, with how much of it went which way and
//! its digest, and for everything that was changed, whether it was done or not.
//!
//! The program that serves it is OpenSSH's, run as the account; this only reads along. So what an event
//! says is what that program answered. A stream that cannot be read ends the session: what it would do
//! could not be recorded. For the same reason it ends where an answer could be taken for that of another
//! request, or bytes could get into a file or out of one that is not known to be open: each request that
//! waits has a number of its own, and a handle counts from the answer that gives it out until the request
//! that closes it.

use std::collections::HashMap;

use hansard_core::event::Fact;
use hansard_core::{Body, Fields};

use super::limits::SFTP_PENDING_MAX;

mod attributes;
mod file;
mod packet;
mod request;

use attributes::Attributes;
use file::{Files, Open};
use packet::{Packets, Reading, Unreadable};
use request::{Answer, Request, kind};

/// The version that is read (draft-ietf-secsh-filexfer-02), which is OpenSSH's.
const VERSION: u32 = 3;

/// What is said of something that was asked for, and whose answer never came by.
const NOT_SEEN: &str = "its answer was not seen: it may have been done";

/// What was done, as Teleport numbers it in `action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Open = 1,
    SetStat = 7,
    OpenDirectory = 9,
    Remove = 11,
    MakeDirectory = 12,
    RemoveDirectory = 13,
    Rename = 16,
    SymbolicLink = 18,
    Link = 19,
}

/// Why nothing more is passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stop(pub(super) String);

impl From<Unreadable> for Stop {
    fn from(why: Unreadable) -> Self {
        Self(format!("its SFTP cannot be read: {}", why.0))
    }
}

/// Reads along.
#[derive(Debug, Default)]
pub(super) struct Sftp {
    up: Packets,
    down: Packets,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    stage: Stage,
    pending: HashMap<u32, Request>,
    files: Files,
    said: Vec<Body>,
    totals: Totals,
    /// What the server says is not read any more.
    is_deaf: bool,
}

/// How far they have come in agreeing on a version.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Silent,
    /// The client has said its own.
    Offered,
    /// So has the server.
    Agreed,
}

#[derive(Debug, Default)]
struct Totals {
    files: u64,
    received: u64,
    sent: u64,
}

impl Sftp {
    /// What the client sends. Answers what there is to record, before it is passed on. After an error
    /// answers to what went before may still be read; what the client sends may not.
    pub(super) fn up(&mut self, bytes: &[u8]) -> Result<Vec<Body>, Stop> {
        let state = &mut self.state;
        if state.is_deaf {
            return Err(Stop(
                "what its SFTP answers is not read any more".to_owned(),
            ));
        }
        self.up.feed(bytes, |kind, body| state.asked(kind, body))?;
        Ok(std::mem::take(&mut state.said))
    }

    /// What the server answers; likewise. After an error nothing may be passed on in either direction.
    pub(super) fn down(&mut self, bytes: &[u8]) -> Result<Vec<Body>, Stop> {
        let state = &mut self.state;
        let read = self
            .down
            .feed(bytes, |kind, body| state.answered(kind, body));
        state.is_deaf |= read.is_err();
        read.map(|()| std::mem::take(&mut state.said))
    }

    /// What is left to say at the end: what nobody saw an answer to, files that nobody closed, and the sum.
    pub(super) fn over(&mut self) -> Vec<Body> {
        let state = &mut self.state;
        let mut unanswered: Vec<_> = std::mem::take(&mut state.pending).into_iter().collect();
        unanswered.sort_unstable_by_key(|(id, _)| *id);
        for (_, request) in unanswered {
            state.unanswered(request);
        }
        for open in state.files.rest() {
            state.closed(*open);
        }
        let totals = &state.totals;
        let fields = Fields::new()
            .with("files", totals.files)
            .with("rx", totals.received)
            .with("tx", totals.sent);
        state.said.push(transfer("sftp_summary", fields));
        std::mem::take(&mut state.said)
    }
}

impl State {
    fn asked(&mut self, kind: u8, body: &[u8]) -> Result<(), Stop> {
        let mut body = Reading(body);
        let id = body.uint32()?;
        match self.stage {
            Stage::Agreed => {}
            // What there is in the place of a number is the version, of which a server takes its own or less.
            Stage::Silent if kind == kind::INIT => {
                self.stage = Stage::Offered;
                return Ok(());
            }
            Stage::Silent => return Err(Unreadable("it does not begin with a version").into()),
            // It could be meant for another version.
            Stage::Offered => {
                return Err(Unreadable("a request came before the server's version").into());
            }
        }
        if self.pending.len() >= SFTP_PENDING_MAX {
            return Err(Stop(format!(
                "{SFTP_PENDING_MAX} requests of SFTP wait for an answer, no more may"
            )));
        }
        if self.pending.contains_key(&id) {
            return Err(Unreadable("two requests have one number").into());
        }
        let request = Request::read(kind, &mut body, &mut self.files)?;
        self.pending.insert(id, request);
        Ok(())
    }

    fn answered(&mut self, kind: u8, body: &[u8]) -> Result<(), Stop> {
        let mut body = Reading(body);
        let id = body.uint32()?;
        match self.stage {
            Stage::Agreed => {}
            Stage::Offered if kind == kind::VERSION && id == VERSION => {
                self.stage = Stage::Agreed;
                return Ok(());
            }
            Stage::Offered if kind == kind::VERSION => {
                return Err(Stop(format!(
                    "the server's SFTP is version {id}, and only version {VERSION} can be recorded"
                )));
            }
            _ => return Err(Unreadable("an answer came before the server's version").into()),
        }
        let answer = Answer::read(kind, &mut body)?;
        let request = self.pending.get(&id);
        match request.map(|request| request.may_have(&answer)) {
            Some(true) => {}
            Some(false) => {
                return Err(Unreadable("an answer is of a kind that its request has not").into());
            }
            None => return Err(Unreadable("an answer to nothing that was asked").into()),
        }
        match self.pending.remove(&id) {
            Some(request) => self.came(request, answer),
            None => Ok(()),
        }
    }

    /// The answer to a request, of a kind that it may have.
    fn came(&mut self, request: Request, answer: Answer<'_>) -> Result<(), Stop> {
        match (request, answer) {
            (Request::Opens(open), answer) => return self.opened(open, answer),
            (
                Request::Does {
                    action,
                    path,
                    target,
                    wanted,
                },
                answer,
            ) => {
                let fields = did(action, path, target, &wanted);
                self.say(fields, failed(answer).as_deref());
            }
            (Request::Reads { file: None, .. }, Answer::Data(_)) => {
                return Err(Stop(
                    "over SFTP bytes came of a file that is not known to be open".to_owned(),
                ));
            }
            (
                Request::Reads {
                    file: Some(file),
                    offset,
                },
                answer,
            ) => {
                // The end of a file is an error to SFTP, and none to anybody else.
                if let (Some(open), Answer::Data(bytes)) = (self.files.get(file), answer) {
                    open.read.take(offset, bytes);
                }
                self.is_answered(file);
            }
            (Request::Writes { file } | Request::Closes { file }, answer) => {
                if let (Some(open), Some(error)) = (self.files.get(file), failed(answer)) {
                    open.error.get_or_insert(error);
                }
                self.is_answered(file);
            }
            (Request::Extended { name, paths }, answer) => {
                let fields = extended(name, paths);
                self.say(fields, failed(answer).as_deref());
            }
            (Request::Reads { file: None, .. } | Request::Looks, _) => {}
        }
        Ok(())
    }

    fn opened(&mut self, mut open: Box<Open>, answer: Answer<'_>) -> Result<(), Stop> {
        let Answer::Handle(handle) = answer else {
            let error = failed(answer).unwrap_or_else(|| "not opened".to_owned());
            open.error = Some(error);
            self.closed(*open);
            return Ok(());
        };
        if let Err(stop) = self.files.have_room(handle) {
            // It is open, and nothing of it comes to pass.
            open.error = Some(stop.0.clone());
            self.closed(*open);
            return Err(stop);
        }
        self.files.insert(handle, open);
        Ok(())
    }

    /// A request about a file has its answer; tells of the file, if that was the last one.
    fn is_answered(&mut self, file: u64) {
        if let Some(open) = self.files.answered(file) {
            self.closed(*open);
        }
    }

    /// Nobody will see the answer to this any more. What it was about is told in any case.
    fn unanswered(&mut self, request: Request) {
        let fields = match request {
            Request::Opens(open) => self.of(*open),
            Request::Does {
                action,
                path,
                target,
                wanted,
            } => did(action, path, target, &wanted),
            Request::Extended { name, paths } => extended(name, paths),
            // What was written is counted, and told with its file.
            Request::Reads { .. }
            | Request::Writes { .. }
            | Request::Closes { .. }
            | Request::Looks => return,
        };
        // Neither done nor refused, as far as is known: so it does not say `success`.
        self.said
            .push(transfer("sftp", fields.with("error", NOT_SEEN)));
    }

    fn closed(&mut self, mut open: Open) {
        let error = open.error.take();
        let fields = self.of(open);
        self.say(fields, error.as_deref());
    }

    fn say(&mut self, fields: Fields, error: Option<&str>) {
        let fields = super::fact::outcome(fields, error);
        self.said.push(transfer("sftp", fields));
    }

    /// What is told of a file, which is counted with this.
    fn of(&mut self, open: Open) -> Fields {
        let action = match open.is_directory {
            true => Action::OpenDirectory,
            false => Action::Open,
        };
        let mut fields =
            did(action, open.path, None, &open.wanted).with("flags", u64::from(open.flags));
        let (read, written) = (open.read, open.written);
        self.totals.received = self.totals.received.saturating_add(written.bytes);
        self.totals.sent = self.totals.sent.saturating_add(read.bytes);
        if !open.is_directory {
            self.totals.files = self.totals.files.saturating_add(1);
            fields.push("rx", written.bytes);
            fields.push("tx", read.bytes);
            let digest = match written.bytes {
                0 => read.sha256(),
                _ => written.sha256(),
            };
            if let Some(digest) = digest {
                fields.push("sha256", digest);
            }
        }
        fields
    }
}

/// What is told of an action.
fn did(action: Action, path: String, target: Option<String>, wanted: &Attributes) -> Fields {
    let mut fields = Fields::new()
        .with("action", (action as u8).to_string())
        .with("path", path);
    if let Some(target) = target {
        fields.push("target_path", target);
    }
    wanted.tell(&mut fields);
    fields
}

/// What is told of a request that is not the draft's.
fn extended(name: String, paths: Option<[String; 2]>) -> Fields {
    let fields = Fields::new().with("message", name);
    match paths {
        Some([path, target]) => fields.with("path", path).with("target_path", target),
        None => fields,
    }
}

/// The error that an answer is, if it is one.
fn failed(answer: Answer<'_>) -> Option<String> {
    match answer {
        Answer::Status(error) => error,
        _ => None,
    }
}

fn transfer(event: &str, fields: Fields) -> Body {
    Body::Transfer(Fact {
        event: event.to_owned(),
        fields,
    })
}

#[cfg(test)]
#[path = "sftp/tests.rs"]
mod tests;

#[cfg(test)]
#[path = "sftp/forged.rs"]
mod forged;

#[cfg(test)]
#[path = "sftp/any.rs"]
mod any_client;
