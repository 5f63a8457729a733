//! What the library did by itself, put on record, and the one of these requests that is heeded.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use hansard_core::{Body, Fields};

use super::Connection;
use crate::ssh::over::Over;
use crate::ssh::relay::Unread;
use crate::ssh::witness::{self, Asks, Sighting};
use crate::ssh::{fact, header};

/// What OpenSSH's clients ask for when what a program says goes nowhere any more: "end of write".
const NOBODY_READS: &str = "eow@openssh.com";

impl Connection {
    /// Something runs in this channel from now on, and somebody reads what it says.
    pub(in crate::ssh) fn is_read(&self, number: u32) -> Arc<Unread> {
        let unread = Arc::<Unread>::default();
        let mut state = self.state();
        state.read.retain(|(_, read)| read.strong_count() > 0);
        state.read.push((number, Arc::downgrade(&unread)));
        unread
    }

    /// The channel that nobody reads any more. The library does not say which: of those that have said
    /// something, where several may be meant, none is.
    fn nobody_reads(&self) -> Option<(u32, Arc<Unread>)> {
        let state = self.state();
        let read = state.read.iter();
        let read = read.filter_map(|(number, read)| Some((*number, Weak::upgrade(read)?)));
        let mut read = read.filter(|(_, read)| read.may_be());
        let first = read.next()?;
        read.next().is_none().then_some(first)
    }

    /// Has what runs in a channel learn that nobody reads what it says.
    fn end_of_write(&self, bytes: u64) -> Result<(), Over> {
        let Some((number, unread)) = self.nobody_reads() else {
            return self.record(refused(
                self.remote,
                Asks::InChannel,
                NOBODY_READS,
                "",
                bytes,
            ));
        };
        let said = Fields::new().with("requestType", NOBODY_READS);
        let said = fact::of_channel(number, said, None);
        self.record(fact::channel("channel_request", said))?;
        unread.tell();
        Ok(())
    }

    /// What the library refused by itself since the last time, and a hook handles what came last.
    pub(in crate::ssh) fn handled(&self) -> Result<(), Over> {
        witness::claim();
        self.seen(false)
    }

    pub(in crate::ssh) fn seen(&self, is_over: bool) -> Result<(), Over> {
        for sighting in witness::take(is_over) {
            let body = match sighting {
                Sighting::Agreed(names) => {
                    let said = Fields::new().with("message", names.as_str());
                    self.state().agreed = names;
                    if self.state().inside.is_none() {
                        continue;
                    }
                    fact::auth("handshake", fact::outcome(said, None))
                }
                Sighting::Rekeyed => continue,
                Sighting::OfTarget { asks, name } => of_target(asks, Some(name), 1),
                Sighting::More {
                    asks,
                    is_of_target: true,
                    times,
                } => of_target(asks, None, times),
                Sighting::More { asks, times, .. } => more(self.remote, asks, times),
                Sighting::Refused {
                    asks: Asks::InChannel,
                    name,
                    bytes,
                    ..
                } if name == NOBODY_READS => {
                    self.end_of_write(bytes)?;
                    continue;
                }
                Sighting::Refused {
                    asks,
                    name,
                    why,
                    bytes,
                } => refused(self.remote, asks, &name, &why, bytes),
            };
            self.record(body)?;
        }
        Ok(())
    }
}

/// The event of something that the target of a proxy asked for; of several, without their names.
fn of_target(asks: Asks, name: Option<String>, times: u64) -> Body {
    let event = match asks {
        Asks::Global => "global_request",
        _ => "channel_request",
    };
    let mut said = Fields::new();
    match name {
        Some(name) => said.push("requestType", name),
        None => said.push("times", times),
    }
    let said = said.with("from_target", true);
    fact::channel(event, fact::outcome(said, Some(UNKNOWN)))
}

/// The event of several that are not told of one by one.
fn more(remote: SocketAddr, asks: Asks, times: u64) -> Body {
    let said = Fields::new().with("times", times);
    let unknown = |event, said| fact::channel(event, fact::outcome(said, Some(UNKNOWN)));
    match asks {
        Asks::SignIn => {
            let said = said.with("addr.remote", header::canonical(remote).to_string());
            fact::auth(
                "auth",
                fact::outcome(said, Some("not a way to sign in here")),
            )
        }
        Asks::Global => unknown("global_request", said),
        Asks::Channel => unknown("new_channel", said),
        Asks::InChannel => unknown("channel_request", said),
    }
}

const UNKNOWN: &str = "not known here, and so refused";

/// Of a request for the whole connection the library does not say which one it refuses by itself.
const UNNAMED: &str = "not known here, and so refused: no-more-sessions, keepalive or another; its type \
                       was not seen";

/// The event of something that the library refused by itself.
fn refused(remote: SocketAddr, asks: Asks, name: &str, why: &str, bytes: u64) -> Body {
    let fields = Fields::new();
    match asks {
        Asks::SignIn => {
            let mut words = name.split('"').skip(1).step_by(2);
            let (login, _, method) = (words.next(), words.next(), words.next());
            let why = if why.is_empty() {
                "not a way to sign in here"
            } else {
                why
            };
            let fields = fields
                .with("login", login.unwrap_or_default())
                .with("method", method.unwrap_or_default())
                .with("addr.remote", header::canonical(remote).to_string());
            fact::auth("auth", fact::outcome(fields, Some(why)))
        }
        Asks::Global => {
            let (fields, why) = match name {
                // An empty type would look like one that the client sent.
                "" => (fields, UNNAMED),
                name => (fields.with("requestType", name), UNKNOWN),
            };
            let fields = fields.with("length", bytes);
            fact::channel("global_request", fact::outcome(fields, Some(why)))
        }
        Asks::Channel => {
            let fields = fields.with("channelType", name).with("length", bytes);
            fact::channel("new_channel", fact::outcome(fields, Some(UNKNOWN)))
        }
        Asks::InChannel => {
            let fields = fields.with("requestType", name).with("length", bytes);
            fact::channel("channel_request", fact::outcome(fields, Some(UNKNOWN)))
        }
    }
}
