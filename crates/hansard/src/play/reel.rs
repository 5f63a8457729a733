//! The recording in the player: where it stands, what comes next, and how to get elsewhere.

use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::PathBuf;

use hansard_core::reader::{Item, Reader, Tail};
use hansard_core::{Body, Event};
use hansard_view::index::{Entry, IndexError, Point, PointKind};
use hansard_view::source::Cursor;
use hansard_view::{Format, Indexed, Replay, Screen};

use super::deeds::{DEEDS_MAX, Deeds};
use super::growing::{self, Stopped};
use crate::cli::PlayArgs;
use crate::failure::{Failure, STATUS_WRONG_USE, shown};
use crate::journal;
use crate::seekable::{self, Remains};
use crate::session;
use crate::source::open_file;

/// Events that are passed without anything to see before the loop gets its turn again.
const UNSEEN_MAX: usize = 2000;

/// Records that the scout reads before the loop gets its turn again.
const SCOUT_RECORDS_MAX: usize = 64;

/// Segments that are read back for what was done in them, after a jump. At the bound the earlier is
/// left out.
const DEED_SEGMENTS_MAX: usize = 4;

/// When a followed recording has grown by this much behind its index, the index goes on before
/// the next seek, so that seeking stays near.
const INDEX_BEHIND_BYTES: u64 = 4 * 1024 * 1024;

/// A recording being played.
pub(super) struct Reel {
    path: PathBuf,
    indexed: Indexed,
    remains: Remains,
    replay: Replay,
    points: Vec<Point>,
    last_ns: u64,
    /// Reads ahead in a recording that grows, only to know how long it is.
    scout: Option<Reader<Cursor>>,
    /// Why nothing more can come, where a foreign recording is turned into ours as it grows.
    stopped: Stopped,
    deeds: Deeds,
}

/// What comes next.
pub(super) enum Ahead {
    /// Something to see, at this moment.
    At(u64),
    /// Not known yet: look again.
    Unknown,
    /// Nothing; for now, if the recording still grows.
    Nothing,
}

impl Reel {
    pub(super) fn open(args: &PlayArgs) -> Result<Self, Failure> {
        let ((indexed, remains), stopped) = match args.follow && !is_ours(args)? {
            true => {
                let (indexed, stopped) = growing::open(args)?;
                ((indexed, Remains::of_ours(&args.file)), stopped)
            }
            false => (seekable::open(&args.file, &args.read)?, Stopped::default()),
        };
        let replay = Replay::new(indexed.recording().clone()).following();
        let fail = |e| seekable::failure(&args.file, &e);
        let points = indexed
            .index()
            .points()
            .or_else(doubtful_is_none)
            .map_err(fail)?;
        let last_ns = indexed.index().last_ns();
        Ok(Self {
            path: args.file.clone(),
            indexed,
            remains,
            replay,
            points,
            last_ns,
            scout: None,
            stopped,
            deeds: Deeds::default(),
        })
    }

    /// Says on standard error what could not be played; answers the exit status that this means.
    ///
    /// # Errors
    /// Why there was no more to play.
    pub(super) fn finish(self, followed: bool) -> Result<u8, Failure> {
        let met_damage = self.replay.damages_count() > 0;
        // Whoever followed it has seen that it goes on, and its index is of when that began.
        if followed && !met_damage && self.indexed.index().damages() == 0 {
            return Ok(0);
        }
        self.remains.finish(&self.indexed, met_damage)
    }

    /// The screen as the last event left it.
    pub(super) fn screen(&self) -> &Screen {
        self.replay.screen()
    }

    /// Text that was printed concealed since the last call.
    pub(super) fn take_concealed(&mut self) -> String {
        self.replay.screen_mut().take_concealed()
    }

    /// Time of the last event gone past.
    pub(super) fn at_ns(&self) -> u64 {
        self.replay.at_ns()
    }

    /// Number of the next event.
    pub(super) fn next_seq(&self) -> u64 {
        self.replay.next_seq()
    }

    /// Time of the last event known.
    pub(super) fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// Marks, gaps and other points, in order.
    pub(super) fn points(&self) -> &[Point] {
        &self.points
    }

    pub(super) fn indexed(&mut self) -> &mut Indexed {
        &mut self.indexed
    }

    pub(super) fn tail(&self) -> Option<Tail> {
        self.replay.tail()
    }

    /// Places that were passed over because they are damaged, and the last of them in words.
    pub(super) fn damages(&self) -> (u64, String) {
        let last = self.replay.damages().last();
        (
            self.replay.damages_count(),
            last.map(ToString::to_string).unwrap_or_default(),
        )
    }

    /// An error of the index as one about this file.
    pub(super) fn failure(&self, error: &IndexError) -> Failure {
        seekable::failure(&self.path, error)
    }

    /// What comes next. Goes past what cannot be seen.
    pub(super) fn ahead(&mut self) -> Result<Ahead, Failure> {
        for _ in 0..UNSEEN_MAX {
            let seen = match self.replay.peek() {
                Ok(Some(event)) => is_seen(&event.body).then_some(event.at_ns),
                Ok(None) => match growing::take(&self.stopped) {
                    Some(failure) => return Err(failure),
                    None => return Ok(Ahead::Nothing),
                },
                Err(e) => return Err(seekable::failure(&self.path, &e.into())),
            };
            match seen {
                Some(at_ns) => return Ok(Ahead::At(at_ns)),
                None => self.advance()?,
            };
        }
        Ok(Ahead::Unknown)
    }

    /// Goes past the next event.
    pub(super) fn advance(&mut self) -> Result<Option<Event>, Failure> {
        let event = self
            .replay
            .advance()
            .map_err(|e| seekable::failure(&self.path, &e.into()))?;
        if let Some(event) = &event {
            self.last_ns = self.last_ns.max(event.at_ns);
            self.note_point(event);
            self.deeds.take(event);
        }
        Ok(event)
    }

    /// What was done until here, as far as [`Reel::know_deeds`] has found out.
    pub(super) fn deeds(&self) -> &Deeds {
        &self.deeds
    }

    /// Finds out what was done until here, after a jump: reads back, segment by segment.
    pub(super) fn know_deeds(&mut self) -> Result<(), Failure> {
        let until = self.replay.next_seq();
        if self.deeds.is_at(until) {
            return Ok(());
        }
        let mut found = Deeds::default();
        self.with_index(|reel| {
            found.begin(until);
            let mut before = until;
            for _ in 0..DEED_SEGMENTS_MAX {
                if before == 0 || found.len() >= DEEDS_MAX {
                    break;
                }
                let entry = reel.entry_before(before)?;
                let (first, earlier) = reel.deeds_of_segment(entry.segment_offset, before);
                found.prepend(earlier);
                // A segment that cannot be read has no first event, and is said where it is played.
                before = first.unwrap_or(0).min(before.saturating_sub(1));
            }
            Ok(())
        })?;
        self.deeds = found;
        Ok(())
    }

    /// What was done in the segment that begins there, before this event; and its first event.
    fn deeds_of_segment(&self, offset: u64, before: u64) -> (Option<u64>, Deeds) {
        let cursor = Cursor::new(self.indexed.recording().clone(), offset);
        let mut reader = Reader::resume(cursor, offset).following();
        let (mut first, mut deeds) = (None, Deeds::default());
        while let Ok(Item::Frame(frame)) = reader.next_item() {
            for event in &frame.events {
                if first.is_none() {
                    first = Some(event.seq);
                    deeds.begin(event.seq);
                }
                if event.seq >= before {
                    return (first, deeds);
                }
                deeds.take(event);
            }
        }
        (first, deeds)
    }

    /// Points that are not in the index, because the recording was shorter then.
    fn note_point(&mut self, event: &Event) {
        let (kind, label) = match &event.body {
            Body::Mark { label } => (PointKind::Mark, label.clone()),
            Body::Gap(gap) => (PointKind::Gap, gap.cause.clone()),
            _ => return,
        };
        if event.seq >= self.indexed.index().events()
            && self.points.last().is_none_or(|last| last.seq < event.seq)
        {
            self.points.push(Point {
                kind,
                at_ns: event.at_ns,
                seq: event.seq,
                label,
            });
        }
    }

    /// Finds out how long a growing recording is by now. Answers whether there is more to read.
    pub(super) fn look_ahead(&mut self) -> bool {
        let index = self.indexed.index();
        let Some(last) = index
            .entries()
            .checked_sub(1)
            .and_then(|n| index.entry(n).ok())
        else {
            return false;
        };
        let scout = self.scout.get_or_insert_with(|| {
            let cursor = Cursor::new(self.indexed.recording().clone(), last.segment_offset);
            Reader::resume(cursor, last.segment_offset).following()
        });
        for _ in 0..SCOUT_RECORDS_MAX {
            match scout.next_item() {
                Ok(Item::Frame(frame)) => {
                    let last_ns = frame.events.last().map_or(0, |event| event.at_ns);
                    self.last_ns = self.last_ns.max(last_ns);
                }
                Ok(Item::Seal(_) | Item::Damage(_)) => {}
                // What is wrong is said when the play comes to it.
                Ok(Item::End(_)) | Err(_) => return false,
            }
        }
        true
    }

    /// Goes to a moment: every event up to and including it has been gone past.
    pub(super) fn seek(&mut self, at_ns: u64) -> Result<(), Failure> {
        self.with_index(|reel| {
            let (_, entry) = reel.indexed.index().entry_at(at_ns)?;
            reel.start_at(&entry)?;
            Ok(reel.replay.advance_to(at_ns)?)
        })?;
        self.last_ns = self.last_ns.max(self.replay.at_ns());
        Ok(())
    }

    /// Goes to where this event is the next one.
    pub(super) fn seek_before(&mut self, seq: u64) -> Result<(), Failure> {
        self.with_index(|reel| {
            let entry = reel.entry_before(seq.saturating_add(1))?;
            reel.start_at(&entry)?;
            while reel.replay.peek()?.is_some_and(|event| event.seq < seq) {
                reel.replay.advance()?;
            }
            Ok(())
        })?;
        self.last_ns = self.last_ns.max(self.replay.at_ns());
        Ok(())
    }

    /// The event before the next one. The reel stands where it stood.
    pub(super) fn last_event(&mut self) -> Result<Option<Event>, Failure> {
        match self.replay.next_seq().checked_sub(1) {
            Some(seq) => {
                self.seek_before(seq)?;
                self.advance()
            }
            None => Ok(None),
        }
    }

    /// Goes to before the last event that was seen. Answers whether there was one.
    pub(super) fn step_back(&mut self) -> Result<bool, Failure> {
        let here = self.replay.next_seq();
        let mut end = here;
        loop {
            // From one keyframe to the next, backwards, until something to see lies between.
            let (mut last, mut began) = (None, 0);
            self.with_index(|reel| {
                let entry = reel.entry_before(end)?;
                began = entry.next_seq;
                reel.start_at(&entry)?;
                while let Some(event) = reel.replay.peek()? {
                    if event.seq >= end {
                        break;
                    }
                    if is_seen(&event.body) {
                        last = Some(event.seq);
                    }
                    reel.replay.advance()?;
                }
                Ok(())
            })?;
            match last {
                Some(seq) => return self.seek_before(seq).map(|()| true),
                None if began == 0 => return self.seek_before(0).map(|()| false),
                None => end = began,
            }
        }
    }

    fn start_at(&mut self, entry: &Entry) -> Result<(), IndexError> {
        self.replay = self.indexed.from_entry(entry)?.following();
        Ok(())
    }

    /// The last keyframe before this event.
    fn entry_before(&self, seq: u64) -> Result<Entry, IndexError> {
        let index = self.indexed.index();
        let (mut low, mut high) = (0, index.entries());
        let mut found = index.entry(0)?;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let entry = index.entry(middle)?;
            if entry.next_seq < seq {
                (low, found) = (middle, entry);
            } else {
                high = middle;
            }
        }
        Ok(found)
    }

    /// Does something that needs the index, which is brought up to date first, and made again in
    /// memory if it turns out to be doubtful.
    fn with_index(
        &mut self,
        mut work: impl FnMut(&mut Self) -> Result<(), IndexError>,
    ) -> Result<(), Failure> {
        self.catch_up();
        let done = match work(self) {
            Err(IndexError::Doubtful(_)) => {
                let recording = self.indexed.recording().clone();
                Indexed::in_memory(recording, &mut |_| ControlFlow::Continue(())).and_then(|new| {
                    self.indexed = new;
                    work(self)
                })
            }
            other => other,
        };
        done.map_err(|e| self.failure(&e))
    }

    /// Takes what a growing recording gained into the index. If that fails, seeking takes longer.
    fn catch_up(&mut self) {
        let covered = self.indexed.index().covered_bytes();
        let grown = self
            .indexed
            .recording()
            .len()
            .unwrap_or(0)
            .saturating_sub(covered);
        // An index in memory would be made from the beginning each time.
        if grown < INDEX_BEHIND_BYTES || self.indexed.unsaved().is_some() {
            return;
        }
        if let Ok(new) = Indexed::open(&self.path, &mut |_| ControlFlow::Continue(()))
            && new.index().session() == self.indexed.index().session()
        {
            self.indexed = new;
            self.points = self.indexed.index().points().unwrap_or_default();
            self.last_ns = self.last_ns.max(self.indexed.index().last_ns());
        }
    }
}

/// Whether a viewer notices this.
fn is_seen(body: &Body) -> bool {
    match body {
        Body::Data { stream, bytes } => stream.is_shown() && !bytes.is_empty(),
        Body::Resize { .. } | Body::Mark { .. } | Body::Gap(_) | Body::End(_) => true,
        _ => false,
    }
}

/// Without its points a recording can still be played.
fn doubtful_is_none(error: IndexError) -> Result<Vec<Point>, IndexError> {
    match error {
        IndexError::Doubtful(_) => Ok(Vec::new()),
        other => Err(other),
    }
}

/// Whether the recording to follow is in our own format. Of others only tlog is followed: the rest
/// is turned into ours when it is opened.
fn is_ours(args: &PlayArgs) -> Result<bool, Failure> {
    let in_journal = journal::wanted(&args.file, &args.read.journal).is_some();
    if !in_journal && session::named(&args.file).is_some() {
        let message = "a session of the service is not followed by playing it";
        return Err(Failure::new(STATUS_WRONG_USE, message).hint(format!(
            "`hansard follow {}` shows it as it happens",
            shown(&args.file)
        )));
    }
    if growing::is_meant(args)? {
        return Ok(false);
    }
    let mut beginning = Vec::new();
    let (file, _) = open_file(&args.file)?;
    file.take(16)
        .read_to_end(&mut beginning)
        .map_err(|e| Failure::about(&args.file, &e))?;
    let ours = Format::guess(&beginning) == Some(Format::Hansard);
    if ours
        && args
            .read
            .from
            .is_none_or(|format| format == Format::Hansard)
    {
        return Ok(true);
    }
    let message = format!(
        "{}: only a Hansard recording or a tlog can be followed",
        shown(&args.file)
    );
    Err(Failure::new(STATUS_WRONG_USE, message))
}
