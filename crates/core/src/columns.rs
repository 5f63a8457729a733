//! The payload of a frame before compression: columns of times, kinds and lengths, then bodies.
//!
//! `count · count × time delta · count × kind byte · count × body length · bodies`, numbers as
//! varints. Times and kinds stand apart from bytes because each compresses best beside its like.

use crate::body;
use crate::event::{Event, Stream};
use crate::limits::{BODY_BYTES_MAX, FRAME_EVENTS_MAX};
use crate::wire::{Malformed, Varint, get_varint, malformed, put_varint};

/// The open frame's columns while events arrive.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    pub(crate) count: usize,
    times: Vec<u8>,
    kinds: Vec<u8>,
    lens: Vec<u8>,
    bodies: Vec<u8>,
}

impl Columns {
    /// Adds an event whose body is encoded already; `delta_ns` since the event before.
    pub(crate) fn push(&mut self, delta_ns: u64, kind: u8, encoded: &[u8]) {
        self.count += 1;
        put_varint(&mut self.times, delta_ns);
        self.kinds.push(kind);
        put_varint(&mut self.lens, encoded.len() as u64);
        self.bodies.extend_from_slice(encoded);
    }

    /// Adds bytes of a stream.
    pub(crate) fn push_data(&mut self, delta_ns: u64, stream: Stream, bytes: &[u8]) {
        self.push(delta_ns, body::stream_kind(stream), bytes);
    }

    /// Raw bytes so far.
    pub(crate) fn raw_len(&self) -> usize {
        self.times.len() + self.kinds.len() + self.lens.len() + self.bodies.len() + 4
    }

    /// The payload as pieces to compress one after another; `head` is scratch space.
    pub(crate) fn pieces<'a>(&'a self, head: &'a mut Vec<u8>) -> [&'a [u8]; 2] {
        head.clear();
        put_varint(head, self.count as u64);
        head.extend_from_slice(&self.times);
        head.extend_from_slice(&self.kinds);
        head.extend_from_slice(&self.lens);
        [head, &self.bodies]
    }

    /// Forgets everything, keeps the allocations.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
        self.times.clear();
        self.kinds.clear();
        self.lens.clear();
        self.bodies.clear();
    }
}

fn take_varint(rest: &mut &[u8], what: &str) -> Result<u64, Malformed> {
    match get_varint(rest) {
        Varint::Value(n, len) => {
            *rest = rest.get(len..).unwrap_or_default();
            Ok(n)
        }
        Varint::Short => malformed(format!("{what}: cut off")),
        Varint::Bad => malformed(format!("{what}: not a minimal varint")),
    }
}

/// Takes a payload apart into events. `seq` and `at_ns` are the next event's number and the last
/// event's time; both are advanced.
pub(crate) fn decode(
    payload: &[u8],
    seq: &mut u64,
    at_ns: &mut u64,
) -> Result<Vec<Event>, Malformed> {
    let mut rest = payload;
    let count = take_varint(&mut rest, "event count")?;
    let count = match usize::try_from(count) {
        // Each event takes three bytes at least, so a short payload cannot claim many.
        Ok(n) if n > 0 && n <= FRAME_EVENTS_MAX && n <= rest.len() / 3 => n,
        _ => {
            return malformed(format!(
                "a frame of {count} events in {} bytes",
                payload.len()
            ));
        }
    };
    let mut times = rest;
    for _ in 0..count {
        take_varint(&mut rest, "time")?;
    }
    let Some((kinds, mut rest)) = rest.split_at_checked(count) else {
        return malformed("kinds: cut off");
    };
    let mut lens = rest;
    for _ in 0..count {
        take_varint(&mut rest, "length")?;
    }
    let mut bodies = rest;
    let mut events = Vec::with_capacity(count);
    for &kind in kinds {
        let delta = take_varint(&mut times, "time")?;
        let len = take_varint(&mut lens, "length")?;
        let taken = usize::try_from(len)
            .ok()
            .filter(|n| *n <= BODY_BYTES_MAX)
            .and_then(|n| bodies.split_at_checked(n));
        let Some((bytes, after)) = taken else {
            return malformed(format!(
                "event {seq}: a body of {len} bytes where {} are left",
                bodies.len()
            ));
        };
        bodies = after;
        let (Some(at), Some(next)) = (at_ns.checked_add(delta), seq.checked_add(1)) else {
            return malformed(format!("event {seq}: time or number beyond 64 bits"));
        };
        *at_ns = at;
        events.push(Event {
            seq: *seq,
            at_ns: at,
            body: body::decode(kind, bytes)?,
        });
        *seq = next;
    }
    if bodies.is_empty() {
        Ok(events)
    } else {
        malformed(format!("{} bytes after the last event", bodies.len()))
    }
}
