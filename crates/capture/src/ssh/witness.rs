//! What the SSH library sees and has no hook for.
//!
//! The library refuses every request and channel that it does not know, on the wire, by itself: nothing
//! that is unknown can do anything. But it tells nobody. Its own log does: a line for every message
//! that came in, before it is looked at, and one for some of what it refuses. So this is a logger.
//! Each connection has a thread of its own, and what is logged in that thread is about that connection.
//!
//! The books must balance: every message that asks for something (to sign in, for a channel, in a
//! channel, of the connection) is either claimed by the hook that handles it, or told here as one that
//! was refused. The library's version is pinned, and a test fails if a new one logs something else.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Once};

use log::{LevelFilter, Log, Metadata, Record};
use tokio::sync::Notify;

use super::limits::SIGHTING_BYTES_MAX;

/// Targets of the library's log that are listened to.
const TARGETS: [&str; 4] = [
    "russh::server",
    "russh::server::encrypted",
    "russh::server::kex",
    OF_TARGET,
];

/// What the library says of a proxy's other half: what the target asks for, and is refused.
const OF_TARGET: &str = "russh::client::encrypted";

/// What a message asks for (RFC 4250 §4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// SSH_MSG_USERAUTH_REQUEST
    SignIn,
    /// SSH_MSG_GLOBAL_REQUEST
    Global,
    /// SSH_MSG_CHANNEL_OPEN
    Channel,
    /// SSH_MSG_CHANNEL_REQUEST
    InChannel,
}

impl Asks {
    fn of(number: &str) -> Option<Self> {
        Some(match number {
            "50" => Self::SignIn,
            "80" => Self::Global,
            "90" => Self::Channel,
            "98" => Self::InChannel,
            _ => return None,
        })
    }
}

/// Something that no hook has told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sighting {
    /// What was agreed on, as the library says it.
    Agreed(String),
    /// The target of a proxy asked for something that is not known.
    OfTarget {
        /// What it asked for.
        asks: Asks,
        /// Its own name for that.
        name: String,
    },
    /// Keys are changed again, because the client wants to.
    Rekeyed,
    /// A message was refused without a hook being called.
    Refused {
        /// What it asked for.
        asks: Asks,
        /// Its own name for that, where the library said it.
        name: String,
        /// Why, where it said that.
        why: String,
        /// Length of the message.
        bytes: u64,
    },
}

/// The message that is being handled.
struct Open {
    asks: Asks,
    bytes: u64,
    name: String,
    why: String,
    /// A key was only offered, and whoever offered it was told that it may be tried.
    is_offer: bool,
}

/// What a thread's connection has seen.
#[derive(Default)]
struct Seen {
    open: Option<Open>,
    told: Vec<Sighting>,
    /// Rung when something was told that no hook follows.
    bell: Arc<Notify>,
}

thread_local! {
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// How many sightings wait to be taken; one more is the last that is kept, and they are taken at every
/// message.
const SIGHTINGS_MAX: usize = 64;

/// Not of size zero, so that its place is no other's.
struct Witness(#[allow(dead_code)] u8);

/// Listens from now on, in all threads.
///
/// # Errors
/// When somebody else listens in this process: nobody would see then what the library refuses.
pub(super) fn listen() -> Result<(), String> {
    static FIRST: Once = Once::new();
    static WITNESS: Witness = Witness(1);
    FIRST.call_once(|| {
        if log::set_logger(&WITNESS).is_ok() {
            log::set_max_level(LevelFilter::Debug);
        }
    });
    let is_ours = std::ptr::addr_eq(
        std::ptr::from_ref(log::logger()),
        std::ptr::from_ref(&WITNESS),
    );
    match is_ours {
        true => Ok(()),
        false => Err(
            "another logger is set: requests that SSH's library refuses could not be seen"
                .to_owned(),
        ),
    }
}

/// This thread is a connection's from now on. Answers what rings when there is something to take that no
/// hook will come for.
pub(super) fn attach() -> Arc<Notify> {
    let seen = Seen::default();
    let bell = Arc::clone(&seen.bell);
    SEEN.set(Some(seen));
    bell
}

/// A hook handles the message that came last.
pub(super) fn claim() {
    SEEN.with_borrow_mut(|seen| {
        if let Some(seen) = seen {
            seen.open = None;
        }
    });
}

/// The message that came last offers a key, which may be tried: if it comes with a signature already, it
/// is an attempt all the same. Answers how long the message is.
pub(super) fn offered() -> u64 {
    SEEN.with_borrow_mut(|seen| {
        let open = seen.as_mut().and_then(|seen| seen.open.as_mut());
        open.map_or(0, |open| {
            open.is_offer = true;
            open.bytes
        })
    })
}

/// What was seen since the last call. The message that came last counts as handled when `is_over`.
pub(super) fn take(is_over: bool) -> Vec<Sighting> {
    SEEN.with_borrow_mut(|seen| {
        let Some(seen) = seen else {
            return Vec::new();
        };
        if is_over {
            seen.settle();
        }
        std::mem::take(&mut seen.told)
    })
}

impl Seen {
    /// The message before was handled: by a hook, or by the library alone.
    fn settle(&mut self) {
        // An offer alone is no attempt. The library says nothing of a signature that comes along, but
        // whatever is wrong with it.
        if let Some(open) = self.open.take()
            && !(open.is_offer && open.why.is_empty())
        {
            self.tell(Sighting::Refused {
                asks: open.asks,
                name: open.name,
                why: open.why,
                bytes: open.bytes,
            });
        }
    }

    fn tell(&mut self, sighting: Sighting) {
        if self.told.len() < SIGHTINGS_MAX {
            self.told.push(sighting);
        }
    }

    /// Hears of what a target asked for.
    fn hear_of_target(&mut self, line: &str) {
        let named = [
            ("Unknown channel request ", Asks::InChannel),
            ("Unhandled global request: ", Asks::Global),
        ];
        let found = named
            .iter()
            .find_map(|(prefix, asks)| Some((line.strip_prefix(prefix)?, *asks)));
        if let Some((rest, asks)) = found {
            let name = rest.split('"').nth(1).unwrap_or_default().to_owned();
            self.tell(Sighting::OfTarget { asks, name });
        }
    }

    fn hear(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("< msg type ") {
            self.settle();
            let number = rest.split(',').next().unwrap_or_default();
            let bytes = rest.rsplit("len ").next().and_then(|n| n.parse().ok());
            self.open = Asks::of(number).map(|asks| Open {
                asks,
                bytes: bytes.unwrap_or(0),
                name: String::new(),
                why: String::new(),
                is_offer: false,
            });
        } else if let Some(names) = line.strip_prefix("negotiated: ") {
            self.tell(Sighting::Agreed(names.to_owned()));
        } else if line == "Client has initiated re-key" {
            self.tell(Sighting::Rekeyed);
        } else if let Some(open) = &mut self.open {
            let named = [
                ("unknown channel request ", Asks::InChannel),
                ("unknown channel type: ", Asks::Channel),
                ("name: ", Asks::SignIn),
            ];
            let name = named
                .iter()
                .find(|(_, asks)| *asks == open.asks)
                .and_then(|(prefix, _)| line.strip_prefix(prefix));
            match name {
                Some(name) if open.asks == Asks::InChannel => {
                    // The library refuses it: no hook claims it any more, and the next message may be long
                    // in coming.
                    name.clone_into(&mut open.name);
                    self.settle();
                    self.bell.notify_one();
                }
                Some(name) => name.clone_into(&mut open.name),
                None if open.asks == Asks::SignIn && is_why(line) => {
                    line.clone_into(&mut open.why);
                }
                None => {}
            }
        }
    }
}

/// Lines that say why somebody is not let in. Others repeat what the client sent.
fn is_why(line: &str) -> bool {
    [
        "Certificate is expired or not yet valid",
        "Certificate signature is invalid",
        "signature algorithm does not match the requested one",
        "signature wrong",
    ]
    .contains(&line)
        || line.starts_with("public key error: ")
}

impl Log for Witness {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        TARGETS.contains(&metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        SEEN.with(|seen| {
            // Whoever holds it is this function, further up: a line about a line says nothing new.
            let Ok(mut seen) = seen.try_borrow_mut() else {
                return;
            };
            if let Some(seen) = &mut *seen {
                let mut line = Cut(String::new());
                // Fails at the bound, with what fits in it.
                let _ = write!(line, "{}", record.args());
                match record.metadata().target() {
                    OF_TARGET => seen.hear_of_target(&line.0),
                    _ => seen.hear(&line.0),
                }
            }
        });
    }

    fn flush(&self) {}
}

/// The beginning of a line.
struct Cut(String);

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = SIGHTING_BYTES_MAX.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&crate::registry::cut(text, room));
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(lines: &[&str]) -> Vec<Sighting> {
        let mut seen = Seen::default();
        for line in lines {
            seen.hear(line);
        }
        seen.settle();
        seen.told
    }

    #[test]
    fn what_nobody_claims_was_refused() {
        let told = hear(&[
            "< msg type 98, seqn 7, len 31",
            "unknown channel request eow@openssh.com",
            "< msg type 94, seqn 8, len 9",
            "< msg type 80, seqn 9, len 20",
        ]);
        let refused = |asks, name: &str, bytes| Sighting::Refused {
            asks,
            name: name.into(),
            why: String::new(),
            bytes,
        };
        assert_eq!(
            told,
            [
                refused(Asks::InChannel, "eow@openssh.com", 31),
                refused(Asks::Global, "", 20)
            ]
        );
    }

    #[test]
    fn what_a_target_asks_for_is_told_and_is_not_the_clients() {
        let mut seen = Seen::default();
        seen.hear("< msg type 98, seqn 7, len 31");
        seen.hear_of_target("Unhandled global request: \"x@example.com\" 1");
        seen.hear_of_target("unknown channel type: tun");
        let told = Sighting::OfTarget {
            asks: Asks::Global,
            name: "x@example.com".to_owned(),
        };
        assert_eq!(seen.told, [told]);
        assert!(seen.open.is_some());
    }

    #[test]
    fn what_somebody_claims_was_not() {
        attach();
        SEEN.with_borrow_mut(|seen| {
            let seen = seen.as_mut().unwrap();
            seen.hear("< msg type 90, seqn 7, len 31");
        });
        claim();
        assert_eq!(take(true), []);
        SEEN.set(None);
    }

    #[test]
    fn why_somebody_is_not_let_in_is_kept_and_what_they_sent_is_not() {
        let told = hear(&[
            "< msg type 50, seqn 7, len 31",
            "name: \"root\" \"ssh-connection\" \"publickey\"",
            "pubkey_key: b\"secret\"",
            "Certificate is expired or not yet valid",
            "rejecting AuthRequest { … }",
        ]);
        let Some(Sighting::Refused { name, why, .. }) = told.first() else {
            panic!("{told:?}");
        };
        assert_eq!(name, "\"root\" \"ssh-connection\" \"publickey\"");
        assert_eq!(why, "Certificate is expired or not yet valid");
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut line = Cut(String::new());
        assert!(write!(line, "{}", "ä".repeat(10_000)).is_err());
        assert!(line.0.len() <= SIGHTING_BYTES_MAX);
    }
}
