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

    /// Whether the hook of such a message claims it before anything else happens in the connection's thread.
    fn is_claimed_at_once(self) -> bool {
        matches!(self, Self::Global | Self::Channel)
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
    /// So many more were refused than are told of one by one.
    More {
        /// What they asked for.
        asks: Asks,
        /// Whether the target of a proxy did.
        is_of_target: bool,
        /// How many.
        times: u64,
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
    /// What was not kept any more, and how often.
    more: Vec<((Asks, bool), u64)>,
    /// Rung when there may be something to take that no hook comes for.
    bell: Arc<Notify>,
}

thread_local! {
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// How many sightings wait to be taken; more are counted. They are taken by the next hook, and when the bell has rung: the
/// library may have handled many messages by then.
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
        // A hook has claimed the message by now, if one does: that is the first thing it does.
        let is_refused = seen
            .open
            .as_ref()
            .is_some_and(|open| open.asks.is_claimed_at_once());
        if is_over || is_refused {
            seen.settle();
        }
        let more = std::mem::take(&mut seen.more);
        let more = more
            .into_iter()
            .map(|((asks, is_of_target), times)| Sighting::More {
                asks,
                is_of_target,
                times,
            });
        let told = std::mem::take(&mut seen.told);
        told.into_iter().chain(more).collect()
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

    /// The same, and whoever takes what is told is rung for.
    fn settle_aloud(&mut self) {
        if self.open.is_some() {
            self.settle();
            self.bell.notify_one();
        }
    }

    fn tell(&mut self, sighting: Sighting) {
        if self.told.len() < SIGHTINGS_MAX {
            self.told.push(sighting);
            return;
        }
        let kind = match sighting {
            Sighting::Refused { asks, .. } => (asks, false),
            Sighting::OfTarget { asks, .. } => (asks, true),
            _ => return,
        };
        match self.more.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, times)) => *times += 1,
            None => self.more.push((kind, 1)),
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
            self.bell.notify_one();
        }
    }

    fn hear(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("< msg type ") {
            self.settle_aloud();
            let number = rest.split(',').next().unwrap_or_default();
            let bytes = rest.rsplit("len ").next().and_then(|n| n.parse().ok());
            self.open = Asks::of(number).map(|asks| Open {
                asks,
                bytes: bytes.unwrap_or(0),
                name: String::new(),
                why: String::new(),
                is_offer: false,
            });
            if self
                .open
                .as_ref()
                .is_some_and(|open| open.asks.is_claimed_at_once())
            {
                // The next message may be long in coming. Whoever is rung for looks when a hook had its chance.
                self.bell.notify_one();
            }
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
                    self.settle_aloud();
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
    fn what_is_refused_is_told_of_without_a_hook_and_counted_where_it_is_too_much() {
        let bell = attach();
        let hear = |line: &str| SEEN.with_borrow_mut(|seen| seen.as_mut().unwrap().hear(line));
        let has_rung = || {
            let rung = std::pin::pin!(bell.notified());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            rung.poll(&mut context).is_ready()
        };
        for number in [80, 90] {
            assert!(!has_rung());
            hear(&format!("< msg type {number}, seqn 7, len 31"));
            assert!(has_rung());
            let told = take(false);
            assert!(
                matches!(told[..], [Sighting::Refused { bytes: 31, .. }]),
                "{told:?}"
            );
        }
        for _ in 0..SIGHTINGS_MAX + 30 {
            hear("< msg type 80, seqn 7, len 31");
        }
        hear("< msg type 50, seqn 7, len 31");
        hear("< msg type 50, seqn 7, len 31");
        let told = take(true);
        let more = |asks, times| Sighting::More {
            asks,
            is_of_target: false,
            times,
        };
        assert_eq!(told.len(), SIGHTINGS_MAX + 2);
        assert_eq!(
            told[SIGHTINGS_MAX..],
            [more(Asks::Global, 30), more(Asks::SignIn, 2)]
        );
        assert_eq!(take(true), []);
        SEEN.set(None);
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
