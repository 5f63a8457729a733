//! One session on its way into messages of tlog, and how far it has come.

use std::collections::VecDeque;

use hansard_core::{Body, Event, Stream};
use hansard_view::Encoder as _;
use hansard_view::codec::EncodeError;
use hansard_view::tlog::TlogEncoder;

/// Messages that were ended early at a place where the recording's own time would not have ended
/// them, at most; behind them none of the session is ended early any more.
pub const MARKS_MAX: usize = 512;

/// What is logged, in tlog's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Most bytes of encoded payload in a message.
    pub payload_bytes: usize,
    /// How long what was logged may wait for its message to be full, nanoseconds.
    pub latency_ns: u64,
    /// Whether input is logged.
    pub input: bool,
    /// Whether output is.
    pub output: bool,
    /// Whether sizes of the window are.
    pub window: bool,
}

/// How far a session has come. With the session's events it is everything that there is to keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Messages up to this one are in their place.
    pub last_id: u64,
    /// Numbers of the events behind which a message was ended early. The same must be done when the
    /// messages are made again, or a number would stand for another message than before: so a mark
    /// MUST be durable before a message behind it is sent.
    pub marks: Vec<u64>,
}

/// The messages of one session.
pub struct Writing {
    options: Options,
    encoder: TlogEncoder<Vec<u8>>,
    /// Messages that are made and not yet in their place, the oldest first.
    ready: VecDeque<Vec<u8>>,
    /// Number of the last message that was made.
    made: u64,
    cursor: Cursor,
    /// Marks of the cursor from here on are ahead.
    next_mark: usize,
    /// The last event that was logged.
    last_seq: Option<u64>,
    /// When the message that was ended early would have ended by the recording's own time.
    early: Option<u64>,
    has_begun: bool,
}

impl Writing {
    /// A session from its beginning, of which this much was done before.
    #[must_use]
    pub fn new(options: Options, cursor: Cursor) -> Self {
        let encoder = TlogEncoder::with_payload(Vec::new(), options.payload_bytes)
            .with_latency(options.latency_ns);
        Self {
            options,
            encoder,
            ready: VecDeque::new(),
            made: 0,
            cursor,
            next_mark: 0,
            last_seq: None,
            early: None,
            has_begun: false,
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The next event of the session, in order.
    ///
    /// # Errors
    /// When the format cannot hold it; nothing does that today.
    pub fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        self.repeat_marks(event.seq)?;
        match &event.body {
            Body::Start(session) if !self.has_begun => {
                self.has_begun = true;
                self.encoder.begin(session)?;
            }
            body if self.has_begun && self.is_logged(body) => {
                self.settle_early(event.at_ns);
                self.encoder.event(event)?;
                self.last_seq = Some(event.seq);
            }
            _ => {}
        }
        self.collect();
        Ok(())
    }

    /// The session is over: writes what waits.
    ///
    /// # Errors
    /// As [`Self::event`].
    pub fn end(&mut self) -> Result<(), EncodeError> {
        self.repeat_marks(u64::MAX)?;
        if self.has_begun {
            self.encoder.end()?;
        }
        self.collect();
        Ok(())
    }

    /// Whether something waits for its message to be full that [`Self::end_early`] would write.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.encoder.waits_since_ns().is_some() && self.cursor.marks.len() < MARKS_MAX
    }

    /// Whether everything that was logged is in messages.
    #[must_use]
    pub fn is_written_out(&self) -> bool {
        self.encoder.waits_since_ns().is_none()
    }

    /// Writes what waits, for nothing came for as long as it may wait. The cursor has a new mark
    /// then, see [`Cursor::marks`].
    ///
    /// # Errors
    /// As [`Self::event`].
    pub fn end_early(&mut self) -> Result<(), EncodeError> {
        let (Some(since_ns), Some(seq)) = (self.encoder.waits_since_ns(), self.last_seq) else {
            return Ok(());
        };
        if !self.waits() {
            return Ok(());
        }
        self.encoder.end_waiting()?;
        self.early = Some(since_ns.saturating_add(self.options.latency_ns));
        if self.cursor.marks.last() != Some(&seq) {
            self.cursor.marks.push(seq);
        }
        self.next_mark = self.cursor.marks.len();
        self.collect();
        Ok(())
    }

    /// The oldest messages that are to be sent.
    pub fn ready(&self) -> impl Iterator<Item = &[u8]> {
        self.ready.iter().map(Vec::as_slice)
    }

    /// The oldest message is in its place, or was left out: it is not needed again.
    pub fn settle(&mut self) {
        if self.ready.pop_front().is_some() {
            self.cursor.last_id = self.cursor.last_id.saturating_add(1);
        }
    }

    fn is_logged(&self, body: &Body) -> bool {
        match body {
            Body::Data { stream, .. } => match stream {
                Stream::Stdin | Stream::Keystrokes => self.options.input,
                Stream::Output | Stream::Stdout | Stream::Stderr => self.options.output,
            },
            Body::Resize { .. } => self.options.window,
            // What an imported tlog's own writer did.
            Body::Channel(_) => true,
            _ => false,
        }
    }

    /// Does again what was done before this event the first time.
    fn repeat_marks(&mut self, before_seq: u64) -> Result<(), EncodeError> {
        while let Some(mark) = self.cursor.marks.get(self.next_mark) {
            if *mark >= before_seq {
                break;
            }
            self.encoder.end_waiting()?;
            self.next_mark += 1;
        }
        Ok(())
    }

    /// Where the recording's own time ends the message at the same place, it needs no mark: made
    /// again, it ends there by itself.
    fn settle_early(&mut self, at_ns: u64) {
        if self.early.take().is_some_and(|due_ns| at_ns >= due_ns) {
            self.cursor.marks.pop();
            self.next_mark = self.next_mark.min(self.cursor.marks.len());
        }
    }

    /// Takes what the encoder wrote. What was in its place before is passed over.
    fn collect(&mut self) {
        let written = std::mem::take(self.encoder.out_mut());
        for message in written.split_inclusive(|byte| *byte == b'\n') {
            self.made = self.made.saturating_add(1);
            if self.made > self.cursor.last_id {
                self.ready.push_back(message.to_vec());
            }
        }
    }
}

#[cfg(test)]
mod tests;
