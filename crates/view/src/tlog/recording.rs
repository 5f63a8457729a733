//! What is known of the recording that is read: where it began, what its last message left, and
//! what its writer did that ours would not.

use hansard_core::{Body, Session};

use super::latency::Latency;
use super::message::Envelope;
use super::side::{digits, least_len};
use super::{NS_PER_MS, REC, SESSION, VER, Writer};
use crate::import::Import;

/// Most payload that one character takes without a delay before it.
const PIECE_BYTES_MAX: usize = 18;

/// The first version that counts `pos` from the beginning of the recording. Before, it was not
/// said from when.
const POS_FROM_BEGINNING: (u32, u32) = (2, 2);

/// Half a millisecond. `time` and `pos` are cut to milliseconds each for itself, so `time` less
/// `pos` is one of two values: in the middle between them, both are told by where half a
/// millisecond is added.
const HALF_MS_NS: u64 = NS_PER_MS / 2;

/// How an event stands to the end of the message before.
#[derive(Debug, Clone, Copy)]
pub(super) enum Boundary {
    /// It is the first of its message, and the message before had this much room.
    After { room: usize },
    /// It is the first of its message, and the message before is not known.
    Apart,
    /// It is not the first of its message.
    Inside,
}

/// What is known of the recording that is read.
pub(super) struct Recording {
    pub(super) first: Envelope,
    pub(super) last_id: u64,
    /// UTC of the first message less its position, in milliseconds.
    start_ms: Option<u64>,
    pub(super) size: Option<(u16, u16)>,
    /// Whether another recording without a name follows, which cannot be told from this one.
    pub(super) is_over: bool,
    /// Where the writer would end messages.
    latency: Latency,
    pub(super) boundary: Boundary,
    pub(super) room: usize,
    /// Whether input and output end, so far, in the beginning of a character.
    unfinished: [bool; 2],
}

impl Recording {
    pub(super) fn new(first: Envelope) -> Self {
        let start_ms = first.time_ms.filter(|ms| *ms > 0);
        Self {
            last_id: first.id,
            start_ms: start_ms.map(|ms| ms.saturating_sub(first.pos_ms)),
            size: None,
            is_over: false,
            latency: Latency::default(),
            boundary: Boundary::Apart,
            room: 0,
            unfinished: [false; 2],
            first,
        }
    }

    /// When a message begins, since the session's start.
    pub(super) fn begin_ns(&self, envelope: &Envelope) -> u64 {
        let origin_ms = match self.first.ver < POS_FROM_BEGINNING {
            true => self.first.pos_ms,
            false => 0,
        };
        let pos_ns = envelope.pos_ms.saturating_sub(origin_ms) * NS_PER_MS;
        let start_ms = envelope.time_ms.map(|ms| ms.checked_sub(envelope.pos_ms));
        match (self.start_ms, start_ms.flatten()) {
            (Some(first), Some(this)) if this == first + 1 => pos_ns + HALF_MS_NS,
            _ => pos_ns,
        }
    }

    pub(super) fn session(&self, import: &Import) -> Session {
        let first = &self.first;
        let mut session = import.session("tlog");
        if let Some(ms) = self.start_ms {
            session.start_utc_ns = ms * NS_PER_MS + HALF_MS_NS;
        }
        let (major, minor) = first.ver;
        session.target.push(VER, format!("{major}.{minor}"));
        for (fields, name, text) in [
            (&mut session.subject, "user", &first.user),
            (&mut session.origin, "term", &first.term),
        ] {
            if let Some(text) = text {
                fields.push(name, text.as_str());
            }
        }
        for (name, text) in [("server_hostname", &first.host), (REC, &first.rec)] {
            if let Some(text) = text {
                session.target.push(name, text.as_str());
            }
        }
        if let Some(number) = first.session {
            session.target.push(SESSION, number);
        }
        session
    }

    /// Unfinished characters that the writer gave up before this event although they go on, as it
    /// seems, behind it.
    pub(super) fn given_up(&mut self, at_ns: u64, body: &Body) -> [Option<Writer>; 2] {
        let inside = matches!(self.boundary, Boundary::Inside) && !self.latency.is_due(at_ns);
        let [input, output] = &mut self.unfinished;
        let of = |unfinished: &mut bool, output: bool, did: Writer| {
            let was = match body {
                Body::Data { stream, bytes } if stream.is_shown() == output => {
                    std::mem::replace(unfinished, ends_unfinished(bytes)) && !inside
                }
                _ => std::mem::take(unfinished),
            };
            was.then_some(did)
        };
        [
            of(input, false, Writer::CutInput),
            of(output, true, Writer::CutOutput),
        ]
    }

    /// Whether before this event a message ended where our writer would go on, or goes on where
    /// it would end.
    pub(super) fn unexpected_end(
        &mut self,
        last_ns: u64,
        at_ns: u64,
        body: &Body,
    ) -> Option<Writer> {
        let boundary = std::mem::replace(&mut self.boundary, Boundary::Inside);
        let is_due = self.latency.is_due(at_ns);
        let delay_ms = at_ns.saturating_sub(last_ns) / NS_PER_MS;
        let (least, most) = first_cost(delay_ms, body);
        let unexpected = match boundary {
            Boundary::Inside => is_due.then_some(Writer::Later),
            Boundary::After { .. } if is_due => None,
            // Ours will find that it does not fit.
            Boundary::After { room } if room < least => None,
            // It may have fit, but what the other direction did then may not.
            Boundary::After { room } if room < most => Some(Writer::Full),
            Boundary::After { .. } => Some(Writer::Latency),
            Boundary::Apart => None,
        };
        if is_due || unexpected == Some(Writer::Latency) {
            self.latency.stop();
        }
        self.latency.start(at_ns);
        unexpected
    }
}

/// Least and most payload that the first thing of an event takes.
fn first_cost(delay_ms: u64, body: &Body) -> (usize, usize) {
    let delay = match delay_ms {
        0 => 0,
        // A delay is followed by a run of its own.
        ms => 1 + digits(ms) + 2,
    };
    match body {
        Body::Data { bytes, .. } => (delay + least_len(bytes), delay + PIECE_BYTES_MAX),
        _ => (delay, delay + PIECE_BYTES_MAX),
    }
}

/// Whether bytes end in the beginning of a character.
fn ends_unfinished(bytes: &[u8]) -> bool {
    (1..=3).any(|len| {
        let tail = bytes.len().checked_sub(len).and_then(|at| bytes.get(at..));
        let error = tail.and_then(|tail| std::str::from_utf8(tail).err());
        error.is_some_and(|e| e.valid_up_to() == 0 && e.error_len().is_none())
    })
}
