//! Entries → writer → sink, with the loss policy. Synchronous: told the time, it does what is due
//! and says when it wants to be asked again.

use std::sync::Arc;

use hansard_core::event::{End, Gap};
use hansard_core::frame::Part;
use hansard_core::session::ClockQuality;
use hansard_core::writer::{Bounds, SegmentWriter, WriteError};
use hansard_core::{Body, OnLoss, Session, Sink, SinkError};

use crate::clock::Clock;
use crate::cut::cut;
use crate::intake::{Batch, Dropped, Entry};
use crate::lost::{Cause, Count, Lost, Summary};
use crate::recorder::Group;

/// The first pause before the very same parts are offered again; it doubles with every attempt.
const RETRY_NS_MIN: u64 = 10_000_000;

/// The longest pause between attempts: how late a sink that recovered is noticed.
const RETRY_NS_MAX: u64 = 1_000_000_000;

/// A wall clock that moved against the monotonic one by more than this has jumped.
const JUMP_NS: u64 = 1_000_000_000;

/// The wall clock is written down anew when it was not for this long: 1 h.
const CLOCK_NS: u64 = 3_600_000_000_000;

/// A sink that says "not now".
#[derive(Debug)]
struct Trouble {
    since_ns: u64,
    next_ns: u64,
    attempts: u32,
    why: String,
}

/// Where a recording stands.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Running,
    /// `End` is written; the last parts are on their way.
    Ending,
    /// The sink will take nothing more, and the policy lets the session go on.
    Abandoned(Lost),
    Failed(Lost),
}

pub(crate) struct Pump {
    writer: SegmentWriter,
    sink: Box<dyn Sink + Send>,
    clock: Arc<dyn Clock>,
    on_loss: OnLoss,
    hold_ns: u64,
    /// Parts that are cut and not yet durable, in order. Never changed, only offered again.
    held: Vec<Part>,
    /// When the sink must be offered what is held.
    put_at_ns: Option<u64>,
    group: Group,
    /// When the oldest of what was fed and is not durable must be on its way.
    oldest_due_ns: Option<u64>,
    trouble: Option<Trouble>,
    /// Since when the recording waits to end.
    closing_since_ns: Option<u64>,
    state: State,
    fed: Count,
    durable: Count,
    /// UTC nanoseconds of the session's moment zero, by the last reading of the wall clock.
    zero_utc_ns: u64,
    quality: ClockQuality,
    clock_read_ns: u64,
    frame_ns: u64,
    totals: Summary,
}

impl Pump {
    pub(crate) fn new(
        session: Session,
        key: hansard_core::seal::SigningKey,
        bounds: Bounds,
        sink: Box<dyn Sink + Send>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Lost> {
        let about = session.clone();
        let writer = SegmentWriter::new(session, key, bounds).map_err(|e| broken(&e))?;
        Ok(Self::after(writer, &about, bounds.frame_ns, sink, clock))
    }

    /// Goes on with the recording of this session.
    pub(crate) fn after(
        writer: SegmentWriter,
        session: &Session,
        frame_ns: u64,
        sink: Box<dyn Sink + Send>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let policy = &session.policy;
        Self {
            writer,
            sink,
            clock,
            on_loss: policy.on_loss,
            hold_ns: policy.hold_ms_max.saturating_mul(1_000_000),
            held: Vec::new(),
            put_at_ns: None,
            group: Group::default(),
            oldest_due_ns: None,
            trouble: None,
            closing_since_ns: None,
            state: State::Running,
            fed: Count::default(),
            durable: Count::default(),
            zero_utc_ns: session.start_utc_ns,
            quality: session.clock,
            clock_read_ns: 0,
            frame_ns,
            totals: Summary::default(),
        }
    }

    /// From now on a sink that says "not now" is asked again for ever.
    pub(crate) fn keeps_trying(&mut self) {
        self.hold_ns = u64::MAX;
    }

    /// From now on frames share their fsyncs like this.
    pub(crate) fn groups(&mut self, group: Group) {
        self.group = group;
    }

    /// Why parts wait for the sink.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_ref().map(|trouble| trouble.why.as_str())
    }

    /// Whether new entries may come: not while older parts wait for the sink.
    pub(crate) fn is_open(&self) -> bool {
        self.trouble.is_none() && matches!(self.state, State::Running)
    }

    pub(crate) fn is_troubled(&self) -> bool {
        self.trouble.is_some()
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        matches!(self.state, State::Abandoned(_))
    }

    /// The failure that ended it.
    pub(crate) fn lost(&self) -> Option<&Lost> {
        match &self.state {
            State::Failed(lost) => Some(lost),
            _ => None,
        }
    }

    /// Whether everything up to its end is durable.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Ending && self.held.is_empty()
    }

    /// Whether everything it was fed is durable.
    pub(crate) fn is_level(&self) -> bool {
        self.held.is_empty() && self.trouble.is_none() && self.writer.pending().0 == 0
    }

    /// When something waits for the clock: an open frame, an old segment, frames that wait for
    /// more, another attempt.
    pub(crate) fn due_ns(&self) -> Option<u64> {
        match &self.trouble {
            Some(trouble) => Some(trouble.next_ns.min(self.gives_up_ns())),
            None => self.writer.due_ns().into_iter().chain(self.put_at_ns).min(),
        }
    }

    /// When the oldest of what it has and what is not durable is late.
    pub(crate) fn late_ns(&self) -> Option<u64> {
        self.oldest_due_ns
            .into_iter()
            .chain(self.writer.due_ns())
            .min()
    }

    /// How long after it happened an entry should be on its way.
    pub(crate) fn frame_ns(&self) -> u64 {
        self.frame_ns
    }

    pub(crate) fn set_frame_ns(&mut self, frame_ns: u64) {
        if frame_ns != self.frame_ns {
            self.frame_ns = frame_ns;
            self.writer.set_frame_ns(frame_ns);
        }
    }

    /// Begins to count the time that an end may take.
    pub(crate) fn begins_to_close(&mut self, now_ns: u64) {
        self.closing_since_ns.get_or_insert(now_ns);
    }

    /// Writes what was queued. The gap for what was dropped after it comes last, where it belongs.
    pub(crate) fn feed(&mut self, batch: &Batch, now_ns: u64) {
        let due_ns = batch
            .oldest_ns()
            .map(|at_ns| at_ns.saturating_add(self.frame_ns));
        let all = [self.oldest_due_ns, self.writer.due_ns(), due_ns];
        self.oldest_due_ns = all.into_iter().flatten().min();
        let mut rest = batch.bytes.as_slice();
        for entry in &batch.entries {
            match entry {
                Entry::Data { at_ns, stream, len } => {
                    let (data, after) = rest.split_at_checked(*len).unwrap_or((rest, &[]));
                    rest = after;
                    let written = self.writer.push_data(*at_ns, *stream, data);
                    self.account(written, data.len(), *at_ns);
                }
                Entry::Event { at_ns, body } => {
                    let written = self.writer.push(*at_ns, body);
                    self.account(written, crate::intake::data_len(body), *at_ns);
                }
            }
        }
        if let Some(dropped) = batch.dropped {
            self.write_gap(dropped, now_ns, "the recording could not be stored in time");
        }
        let last_ns = batch.dropped.map_or(now_ns, |d| now_ns.max(d.to_ns));
        for body in &batch.last {
            let written = self.writer.push(last_ns, body);
            self.account(written, 0, last_ns);
        }
    }

    fn account(&mut self, written: Result<(), WriteError>, bytes: usize, at_ns: u64) {
        match written {
            Ok(()) => self.fed.add(bytes),
            Err(
                e @ (WriteError::TooLong { .. }
                | WriteError::Unreadable(_)
                | WriteError::SecondStart),
            ) => {
                let count = Count {
                    events: 1,
                    bytes: bytes as u64,
                };
                let dropped = Dropped {
                    from_ns: at_ns,
                    to_ns: at_ns,
                    count,
                };
                self.write_gap(
                    dropped,
                    at_ns,
                    &format!("an event could not be written: {e}"),
                );
            }
            Err(e) => self.fail(broken(&e)),
        }
    }

    fn write_gap(&mut self, dropped: Dropped, now_ns: u64, cause: &str) {
        let gap = Gap {
            cause: clipped(cause),
            from_ns: dropped.from_ns,
            events: Some(dropped.count.events),
            bytes: Some(dropped.count.bytes),
            bytes_max: None,
        };
        match self.writer.push(now_ns.max(dropped.to_ns), &Body::Gap(gap)) {
            Ok(()) => self.totals.gaps = self.totals.gaps.saturating_add(1),
            Err(e) => self.fail(broken(&e)),
        }
    }

    /// Closes the open frame, whatever its age, and lets nothing wait.
    pub(crate) fn cut(&mut self) {
        self.put_at_ns = Some(0);
        if let Err(e) = self.writer.cut() {
            self.fail(broken(&e));
        }
    }

    /// Writes the end and the final seal.
    pub(crate) fn finish(&mut self, now_ns: u64, end: &End) {
        // Somebody else may have said why: a reason that does not fit must not cost the end.
        let end = End {
            reason: clipped(&end.reason),
            signal: end.signal.as_deref().map(clipped),
            ..end.clone()
        };
        match self.writer.finish(now_ns, &end) {
            Ok(()) if self.state == State::Running => self.state = State::Ending,
            Ok(()) => {}
            Err(e) => self.fail(broken(&e)),
        }
        // A session may go on unrecorded where the policy says so; that its recording has no end
        // is said all the same.
        if let State::Abandoned(lost) = &self.state {
            self.state = State::Failed(lost.clone());
        }
    }

    /// Closes what is due, and offers the sink everything that is closed, unless it may wait for
    /// more.
    pub(crate) fn drive(&mut self, now_ns: u64) {
        if let Err(e) = self.writer.tick(now_ns) {
            self.fail(broken(&e));
        }
        self.collect(now_ns);
        if self.held.is_empty() {
            self.put_at_ns = None;
            return;
        }
        if matches!(self.state, State::Failed(_) | State::Abandoned(_)) || self.may_wait(now_ns) {
            return;
        }
        match self.sink.put(&self.held) {
            Ok(_) => self.settle(),
            Err(SinkError::Retry(why)) => self.hold(now_ns, why),
            Err(SinkError::Conflict(why)) => self.give_up(Lost::new(Cause::Conflict, why)),
            Err(SinkError::Refused(why)) => self.give_up(Lost::new(Cause::Refused, why)),
        }
    }

    /// Whether what is held may wait for more to share its fsync.
    fn may_wait(&mut self, now_ns: u64) -> bool {
        if self.state == State::Ending || self.trouble.is_some() {
            return false;
        }
        let at_ns = self
            .put_at_ns
            .unwrap_or_else(|| now_ns.saturating_add(self.group.ns))
            .min(self.oldest_due_ns.unwrap_or(u64::MAX));
        self.put_at_ns = Some(at_ns);
        let not_durable = self.fed.bytes.saturating_sub(self.durable.bytes);
        now_ns < at_ns && not_durable < self.group.bytes
    }

    /// Takes what the writer has closed, until there is nothing more: looking at the clock after a
    /// seal may write an event, and that may close another frame.
    fn collect(&mut self, now_ns: u64) {
        loop {
            let mut new = self.writer.parts();
            if new.is_empty() {
                return;
            }
            let mut sealed = false;
            for part in &new {
                match part {
                    Part::Frame(_) => self.totals.frames = self.totals.frames.saturating_add(1),
                    Part::Seal(_) => {
                        self.totals.seals = self.totals.seals.saturating_add(1);
                        sealed = true;
                    }
                }
                let len = part.bytes().len() as u64;
                self.totals.stored_bytes = self.totals.stored_bytes.saturating_add(len);
            }
            self.held.append(&mut new);
            if sealed && self.state == State::Running {
                self.check_clock(now_ns);
            }
        }
    }

    /// Reads the wall clock again and writes down what is new about it.
    fn check_clock(&mut self, now_ns: u64) {
        let (utc_ns, quality) = (self.clock.utc_ns(), self.clock.quality());
        let expected_ns = self.zero_utc_ns.saturating_add(now_ns);
        let jumped = utc_ns.abs_diff(expected_ns) > JUMP_NS;
        let old = now_ns.saturating_sub(self.clock_read_ns) >= CLOCK_NS;
        if !jumped && !old && quality == self.quality {
            return;
        }
        let reason = if jumped { "jump" } else { "periodic" };
        let body = Body::Clock {
            utc_ns,
            quality,
            reason: reason.to_owned(),
        };
        if let Err(e) = self.writer.push(now_ns, &body) {
            return self.fail(broken(&e));
        }
        self.zero_utc_ns = utc_ns.saturating_sub(now_ns);
        self.quality = quality;
        self.clock_read_ns = now_ns;
    }

    /// Everything that was closed is durable; the open frame is not.
    fn settle(&mut self) {
        self.held.clear();
        self.put_at_ns = None;
        self.oldest_due_ns = None;
        self.trouble = None;
        let (events, raw_bytes) = self.writer.pending();
        let open = Count {
            events: events as u64,
            bytes: raw_bytes as u64,
        };
        self.durable = self.fed.minus(open);
    }

    fn hold(&mut self, now_ns: u64, why: String) {
        let (since_ns, attempts) = match &self.trouble {
            Some(trouble) => (trouble.since_ns, trouble.attempts.saturating_add(1)),
            None => (now_ns, 1),
        };
        let pause_ns = RETRY_NS_MIN
            .saturating_mul(1 << (attempts - 1).min(20))
            .min(RETRY_NS_MAX);
        let next_ns = now_ns.saturating_add(pause_ns);
        self.trouble = Some(Trouble {
            since_ns,
            next_ns,
            attempts,
            why,
        });
        if now_ns >= self.gives_up_ns() {
            let trouble = self.trouble.take();
            let (ms, why) = trouble
                .map(|t| (now_ns.saturating_sub(t.since_ns) / 1_000_000, t.why))
                .unwrap_or_default();
            self.fail(Lost::new(
                Cause::HeldTooLong,
                format!("{why} (after {attempts} attempts in {ms} ms)"),
            ));
        }
    }

    /// When trouble becomes a loss.
    fn gives_up_ns(&self) -> u64 {
        let since_ns = self.trouble.as_ref().map_or(0, |t| t.since_ns);
        match (self.on_loss, self.closing_since_ns) {
            (OnLoss::End, _) => since_ns,
            (OnLoss::Hold, _) => since_ns.saturating_add(self.hold_ns),
            (OnLoss::Continue, Some(closing_ns)) => {
                closing_ns.max(since_ns).saturating_add(self.hold_ns)
            }
            (OnLoss::Continue, None) => u64::MAX,
        }
    }

    /// The sink will take nothing more, now or later.
    fn give_up(&mut self, lost: Lost) {
        self.trouble = None;
        if self.on_loss == OnLoss::Continue && self.closing_since_ns.is_none() {
            self.held.clear();
            self.state = State::Abandoned(lost);
        } else {
            self.fail(lost);
        }
    }

    fn fail(&mut self, lost: Lost) {
        if !matches!(self.state, State::Failed(_)) {
            self.state = State::Failed(lost);
        }
    }

    /// What of the capture's events is durable: all once it is complete, a lower bound before.
    pub(crate) fn durable(&self) -> Count {
        match self.state {
            State::Running | State::Ending if self.is_level() => self.fed,
            _ => self.durable,
        }
    }

    /// What it came to, given all that was handed over.
    pub(crate) fn summary(&self, produced: Count) -> Summary {
        let recorded = self.durable();
        Summary {
            produced,
            recorded,
            missing: produced.minus(recorded),
            digest: self.is_complete().then(|| self.writer.head()),
            ..self.totals
        }
    }
}

/// Longest reason of an end or a gap, in bytes; a longer one is cut there.
const REASON_BYTES_MAX: usize = 16 * 1024;

fn clipped(text: &str) -> String {
    cut(text, REASON_BYTES_MAX).to_owned()
}

fn broken(error: &WriteError) -> Lost {
    Lost::new(Cause::Broken, error.to_string())
}
