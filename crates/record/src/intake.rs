//! The bounded queue between a capture and the recorder's worker, and what they tell each other.
//!
//! A plain value: the recorder keeps it under a mutex, the simulation drives it directly. Data is
//! copied once, into an arena that the worker swaps for an empty one; nothing is allocated for an
//! event of data.

use hansard_core::event::End;
use hansard_core::{Body, OnLoss, Stream};

use crate::lost::{Cause, Count, Lost, Summary};
use crate::recorder::QUEUE_BYTES;

/// What an entry costs of the queue's bytes besides its data.
const ENTRY_COST: usize = std::mem::size_of::<Entry>();

/// What an event that is not data is taken to cost besides [`ENTRY_COST`] and its long parts.
const BODY_COST: usize = std::mem::size_of::<Body>();

/// Data that follows within this time of the entry before, on the same stream, joins it: nobody
/// sees the difference, and a program that pours becomes a few large events.
pub(crate) const MERGE_NS: u64 = 100_000;

/// With `on_loss: continue`, how long a full queue holds the capture back before things are
/// dropped, if the sink is merely slow.
pub(crate) const CONTINUE_PATIENCE_NS: u64 = 1_000_000_000;

/// Longest data of one entry.
pub(crate) const ENTRY_BYTES_MAX: usize = 64 * 1024;

/// One event on its way.
#[derive(Debug)]
pub(crate) enum Entry {
    /// The next `len` bytes of the arena.
    Data {
        at_ns: u64,
        stream: Stream,
        len: usize,
    },
    /// Anything else.
    Event { at_ns: u64, body: Box<Body> },
}

impl Entry {
    fn at_ns(&self) -> u64 {
        match self {
            Self::Data { at_ns, .. } | Self::Event { at_ns, .. } => *at_ns,
        }
    }
}

/// What was dropped while the queue was full, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    pub(crate) count: Count,
}

/// Entries in order, their data, and what was lost after the last of them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) entries: Vec<Entry>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) dropped: Option<Dropped>,
    /// What is to be said after all of that, at the end. A few events, for which there is always room.
    pub(crate) last: Vec<Body>,
    cost: usize,
}

impl Batch {
    /// Empties it and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.dropped = None;
        self.last.clear();
        self.cost = 0;
    }

    /// When the first thing in it happened.
    pub(crate) fn oldest_ns(&self) -> Option<u64> {
        let dropped = self.dropped.map(|d| d.from_ns);
        self.entries.first().map(Entry::at_ns).or(dropped)
    }
}

/// What a capture hands over.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    /// Bytes of a stream, at most [`ENTRY_BYTES_MAX`].
    Data(Stream, &'a [u8]),
    /// Anything else.
    Event(Body),
}

/// What became of an item.
#[derive(Debug)]
pub(crate) enum Push<'a> {
    /// It is in the queue. The worker must be woken if `wake` says so.
    Taken { wake: bool },
    /// No room: the item comes back, to be offered again when there is. The worker must be woken.
    Full(Item<'a>),
    /// It was dropped and counted; a gap will stand for it.
    Dropped,
    /// It will never be recorded, and the capture must end.
    Lost(Lost),
}

/// How a recording ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With this `End` and the final seal.
    Close(End),
    /// The handle was dropped: what is there becomes durable, without an end.
    Stop,
}

/// What the worker sleeps for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asleep {
    /// It does not: it looks at the queue before it sleeps again.
    No,
    /// For this time, or a queue worth its while, or an entry that happens before `idle_ns`: one
    /// from then on is due no earlier than the worker wakes anyway.
    Until { idle_ns: u64 },
    /// For a deadline only (the sink is in trouble, the queue may fill).
    Deaf,
}

/// The queue and the words that pass beside it.
#[derive(Debug)]
pub(crate) struct Intake {
    batch: Batch,
    capacity: usize,
    /// From when on something that the worker has is late.
    late_ns: Option<u64>,
    wake_bytes: usize,
    merge_ns: u64,
    asleep: Asleep,
    /// Somebody found the queue full since the worker took it last.
    room_is_wanted: bool,
    /// Counts every item, taken or dropped: a ticket to wait for.
    pub(crate) ticket: u64,
    /// The ticket a flush waits for.
    pub(crate) flush_ticket: Option<u64>,
    /// Everything up to this ticket is durable. `None` until the header is.
    pub(crate) durable_ticket: Option<u64>,
    /// All that was handed over.
    pub(crate) produced: Count,
    /// Of that, what is durable at least.
    pub(crate) recorded: Count,
    /// A new bound for how long a frame stays open.
    pub(crate) frame_ns: Option<u64>,
    /// How the recording is to end, once somebody said so.
    pub(crate) ending: Option<Ending>,
    /// Whether the sink is in trouble, as the worker last saw it.
    pub(crate) troubled: bool,
    /// What the sink says then.
    pub(crate) trouble: Option<String>,
    /// Whether items are dropped rather than waited with: the policy says `continue` and the queue
    /// was full for too long. Ends when the worker takes the queue.
    dropping: bool,
    /// Whether items are dropped for good: `continue`, and the sink refuses for ever.
    pub(crate) abandoned: bool,
    /// The failure that ended it.
    pub(crate) lost: Option<Lost>,
    /// What it came to, once the worker is done.
    pub(crate) summary: Option<Summary>,
}

impl Intake {
    pub(crate) fn new(capacity: usize, wake_bytes: usize, merge_ns: u64) -> Self {
        Self {
            batch: Batch::default(),
            capacity,
            late_ns: None,
            wake_bytes: wake_bytes.min(capacity / 2),
            merge_ns,
            asleep: Asleep::No,
            room_is_wanted: false,
            ticket: 0,
            flush_ticket: None,
            durable_ticket: None,
            produced: Count::default(),
            recorded: Count::default(),
            frame_ns: None,
            ending: None,
            troubled: false,
            trouble: None,
            dropping: false,
            abandoned: false,
            lost: None,
            summary: None,
        }
    }

    /// Offers an item that happened now.
    pub(crate) fn push<'a>(&mut self, now_ns: u64, item: Item<'a>) -> Push<'a> {
        if let Some(lost) = &self.lost {
            return Push::Lost(lost.clone());
        }
        if self.ending.is_some() {
            return Push::Lost(Lost::new(Cause::Closed, "nothing may follow its end"));
        }
        if self.dropping || self.abandoned {
            self.drop_item(now_ns, &item);
            return Push::Dropped;
        }
        let (data_len, cost) = match &item {
            Item::Data(_, bytes) => (bytes.len(), bytes.len()),
            Item::Event(body) => (data_len(body), BODY_COST.saturating_add(weight(body))),
        };
        let cost = cost.saturating_add(ENTRY_COST);
        if !self.batch.entries.is_empty()
            && self.batch.cost.saturating_add(cost) > self.room(now_ns)
        {
            self.room_is_wanted = true;
            return Push::Full(item);
        }
        let before = self.batch.cost;
        match item {
            Item::Data(stream, bytes) => self.add_data(now_ns, stream, bytes),
            Item::Event(body) => {
                self.batch.entries.push(Entry::Event {
                    at_ns: now_ns,
                    body: Box::new(body),
                });
                self.batch.cost = self.batch.cost.saturating_add(cost);
                self.produced.add(data_len);
            }
        }
        self.ticket = self.ticket.saturating_add(1);
        Push::Taken {
            wake: self.must_wake(now_ns, before),
        }
    }

    /// Bytes that may wait now. A queue that is larger than usual is for disks that keep up: while something is late,
    /// no more waits than in any other, so that a crash takes a second and little more.
    fn room(&self, now_ns: u64) -> usize {
        match self.late_ns {
            Some(late_ns) if late_ns <= now_ns => self.capacity.min(QUEUE_BYTES),
            _ => self.capacity,
        }
    }

    fn add_data(&mut self, now_ns: u64, stream: Stream, bytes: &[u8]) {
        self.batch.bytes.extend_from_slice(bytes);
        self.batch.cost = self.batch.cost.saturating_add(bytes.len());
        if let Some(Entry::Data {
            at_ns,
            stream: last,
            len,
        }) = self.batch.entries.last_mut()
            && *last == stream
            && now_ns.saturating_sub(*at_ns) < self.merge_ns
            && len.saturating_add(bytes.len()) <= ENTRY_BYTES_MAX
        {
            *len = len.saturating_add(bytes.len());
            self.produced.bytes = self.produced.bytes.saturating_add(bytes.len() as u64);
            return;
        }
        self.batch.entries.push(Entry::Data {
            at_ns: now_ns,
            stream,
            len: bytes.len(),
        });
        self.batch.cost = self.batch.cost.saturating_add(ENTRY_COST);
        self.produced.add(bytes.len());
    }

    /// A wake-up costs the capture time that shows in an echo, so there is one only when the
    /// worker would wake too late for this entry, or when enough has come together.
    fn must_wake(&mut self, now_ns: u64, cost_before: usize) -> bool {
        let crossed = cost_before < self.wake_bytes && self.batch.cost >= self.wake_bytes;
        let wake = match self.asleep {
            Asleep::No | Asleep::Deaf => false,
            Asleep::Until { idle_ns } => crossed || now_ns < idle_ns,
        };
        if wake {
            self.asleep = Asleep::No;
        }
        wake
    }

    fn drop_item(&mut self, now_ns: u64, item: &Item<'_>) {
        let bytes = match item {
            Item::Data(_, bytes) => bytes.len() as u64,
            // What it stands for was handed over before, and nothing else stands for it now.
            Item::Event(Body::Gap(gap)) => gap.bytes.unwrap_or_default(),
            Item::Event(body) => data_len(body) as u64,
        };
        let dropped = self.batch.dropped.get_or_insert(Dropped {
            from_ns: now_ns,
            to_ns: now_ns,
            count: Count::default(),
        });
        dropped.to_ns = now_ns;
        dropped.count.add_of(bytes);
        self.produced.add_of(bytes);
        self.ticket = self.ticket.saturating_add(1);
    }

    /// What there is to say at the end, whether there is room in the queue or not; the end MUST be said next.
    pub(crate) fn say_last(&mut self, bodies: Vec<Body>) {
        for _ in &bodies {
            self.produced.add_of(0);
            self.ticket = self.ticket.saturating_add(1);
        }
        self.batch.last = bodies;
    }

    /// Whether a capture that has waited for room so long stops waiting, because items are dropped
    /// and counted from now on until the worker takes the queue.
    pub(crate) fn gives_up_waiting(
        &mut self,
        on_loss: OnLoss,
        waited_ns: u64,
        hold_ns: u64,
    ) -> bool {
        let patience_ns = if self.troubled {
            0
        } else {
            CONTINUE_PATIENCE_NS.min(hold_ns)
        };
        self.dropping |= on_loss == OnLoss::Continue && waited_ns >= patience_ns;
        self.dropping
    }

    /// Whether nothing has changed that a waiting capture waits for.
    pub(crate) fn is_quiet(&self) -> bool {
        self.troubled && self.lost.is_none() && self.summary.is_none()
    }

    /// Whether there is enough for the worker to begin before any deadline.
    pub(crate) fn is_worthwhile(&self) -> bool {
        self.batch.cost >= self.wake_bytes || self.room_is_wanted
    }

    /// When the first thing in the queue happened.
    pub(crate) fn oldest_ns(&self) -> Option<u64> {
        self.batch.oldest_ns()
    }

    /// Whether somebody waits for a ticket that is not durable yet.
    pub(crate) fn flush_is_due(&self) -> bool {
        self.flush_ticket
            .is_some_and(|wanted| self.durable_ticket.is_none_or(|done| done < wanted))
    }

    /// Swaps the queue for an empty batch; something of that, or of what the worker has, is late from then on.
    pub(crate) fn take(&mut self, empty: &mut Batch, late_ns: Option<u64>) {
        self.late_ns = late_ns;
        empty.clear();
        std::mem::swap(&mut self.batch, empty);
        self.dropping = false;
        self.room_is_wanted = false;
        self.asleep = Asleep::No;
    }

    /// Gives the memory of an empty queue back.
    pub(crate) fn rests(&mut self) {
        if self.batch.oldest_ns().is_none() {
            self.batch = Batch::default();
        }
    }

    /// Notes from when on something that the worker has is late; `None`: it has nothing.
    pub(crate) fn is_late(&mut self, from_ns: Option<u64>) {
        self.late_ns = from_ns;
    }

    /// Notes that the worker goes to sleep until this time, which is early enough for an entry
    /// that happens `frame_ns` before it.
    pub(crate) fn worker_sleeps(&mut self, due_ns: Option<u64>, frame_ns: u64) {
        let idle_ns = due_ns.unwrap_or(u64::MAX).saturating_sub(frame_ns);
        self.asleep = Asleep::Until { idle_ns };
    }

    /// Notes that the worker waits for the sink and will not look at the queue.
    pub(crate) fn worker_is_deaf(&mut self) {
        self.asleep = Asleep::Deaf;
    }

    /// Notes that the worker is awake.
    pub(crate) fn worker_wakes(&mut self) {
        self.asleep = Asleep::No;
    }

    /// Ends it with a loss; the first one stays.
    pub(crate) fn lose(&mut self, lost: Lost) {
        self.lost.get_or_insert(lost);
    }
}

/// Bytes of data in a body.
pub(crate) fn data_len(body: &Body) -> usize {
    match body {
        Body::Data { bytes, .. } => bytes.len(),
        _ => 0,
    }
}

/// Roughly what a body holds on the heap, so that a few huge events count as such.
fn weight(body: &Body) -> usize {
    match body {
        Body::Data { bytes, .. } | Body::Unknown { bytes, .. } => bytes.len(),
        Body::Auth(fact)
        | Body::Channel(fact)
        | Body::Command(fact)
        | Body::File(fact)
        | Body::Network(fact)
        | Body::Process(fact)
        | Body::Transfer(fact)
        | Body::Request(fact)
        | Body::Admin(fact) => fact
            .fields
            .iter()
            .map(|(name, value)| name.len().saturating_add(value_weight(value)))
            .fold(fact.event.len(), usize::saturating_add),
        Body::Mark { label } => label.len(),
        Body::Start(_) | Body::Resize { .. } | Body::Clock { .. } | Body::Gap(_) | Body::End(_) => {
            0
        }
    }
}

fn value_weight(value: &hansard_core::Value) -> usize {
    use hansard_core::Value;
    let own = std::mem::size_of::<Value>();
    match value {
        Value::Text(text) => own.saturating_add(text.len()),
        Value::Bytes(bytes) => own.saturating_add(bytes.len()),
        Value::List(values) => values
            .iter()
            .map(value_weight)
            .fold(own, usize::saturating_add),
        Value::Uint(_) | Value::Int(_) | Value::Bool(_) => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_queue_is_large_only_while_nothing_is_late() {
        let mut intake = Intake::new(8 * QUEUE_BYTES, 1024, 0);
        let piece = vec![7; ENTRY_BYTES_MAX];
        let fill = |intake: &mut Intake, now_ns| {
            let push = || {
                matches!(
                    intake.push(now_ns, Item::Data(Stream::Stdout, &piece)),
                    Push::Taken { .. }
                )
            };
            std::iter::repeat_with(push)
                .take_while(|taken| *taken)
                .count()
                * ENTRY_BYTES_MAX
        };
        let much = fill(&mut intake, 0);
        assert!(much > 7 * QUEUE_BYTES, "{much}");
        // The worker has all that, and until it is late as much again may come.
        let mut batch = Batch::default();
        intake.take(&mut batch, Some(1000));
        assert!(fill(&mut intake, 999) > 7 * QUEUE_BYTES);
        assert_eq!(
            fill(&mut intake, 1000),
            0,
            "there is more than usual already"
        );
        intake.take(&mut batch, Some(1000));
        let little = fill(&mut intake, 1000);
        assert!(little > 0 && little <= QUEUE_BYTES, "{little}");
        intake.is_late(None);
        assert!(fill(&mut intake, 1001) > 6 * QUEUE_BYTES);
    }
}
