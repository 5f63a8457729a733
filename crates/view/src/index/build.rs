//! Makes an index by going through its recording once.

use std::io::Write;
use std::ops::ControlFlow;

use hansard_core::reader::{FrameItem, Item, Reader, Tail};
use hansard_core::{Body, Event};
use zstd_safe::CCtx;

use super::layout::{
    BOUND_BYTES, Entry, Footer, MAGIC, Point, PointKind, encode_points, full_digest, short_digest,
};
use super::open::{Index, IndexError};
use crate::cast::gap_label;
use crate::limits::{
    KEYFRAME_LATE_BYTES, KEYFRAME_NS, KEYFRAME_OUTPUT_BYTES, KEYFRAMES_BY_TIME_MAX,
    POINT_LABEL_BYTES_MAX, POINTS_MAX,
};
use crate::replay::shown_bytes;
use crate::screen::Screen;
use crate::source::{Cursor, ReadAt, Source, read_exact_at};

/// How far an index has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the recording gone through.
    pub bytes: u64,
    /// Bytes it had when this began.
    pub total: u64,
}

/// zstd level of keyframes: they are small, and building must not be slower than the emulator.
const LEVEL: i32 = 1;

/// What an event other than output counts as: a resize costs about this much work.
const RESIZE_WORK: u64 = 4096;

/// Cells above which a keyframe by time also needs an eighth as many bytes of output.
const LARGE_CELLS: u64 = 20_000;

/// Asked after every frame whether to go on.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Writes the index of a recording.
///
/// # Errors
/// When reading or writing fails, the bytes are no recording, or `on_progress` broke it off.
pub fn build(
    recording: &Source,
    out: &mut dyn Write,
    on_progress: OnProgress<'_>,
) -> Result<(), IndexError> {
    let mut builder = Builder::new(out);
    builder.write(&MAGIC)?;
    let mut reader = Reader::new(Cursor::new(recording.clone(), 0));
    builder.go_through(&mut reader, recording.len()?, on_progress)?;
    builder.finish(recording.as_ref(), &reader)
}

/// Writes an index that goes on where one of the same recording, when it was shorter, ended.
///
/// # Errors
/// As [`build`]; and when the old index is doubtful or cannot be gone on with.
pub fn extend(
    recording: &Source,
    old: &Index,
    out: &mut dyn Write,
    on_progress: OnProgress<'_>,
) -> Result<(), IndexError> {
    let mut builder = Builder::new(out);
    let last = builder.take_over(old)?;
    let cursor = Cursor::new(recording.clone(), last.segment_offset);
    let mut reader = Reader::resume(cursor, last.segment_offset);
    builder.go_through(&mut reader, recording.len()?, on_progress)?;
    builder.finish(recording.as_ref(), &reader)
}

struct Builder<'a> {
    out: &'a mut dyn Write,
    offset: u64,
    compressor: CCtx<'static>,
    compressed: Vec<u8>,
    entries: Vec<Entry>,
    points: Vec<Point>,
    points_left_out: u32,
    screen: Screen,
    segment_offset: u64,
    next_seq: u64,
    last_ns: u64,
    output_bytes: u64,
    /// Output, and other work for the emulator, since the last keyframe.
    work: u64,
    keyframe_ns: u64,
    covered_bytes: u64,
    gaps: u64,
    damages: u64,
    complete: bool,
}

impl<'a> Builder<'a> {
    fn new(out: &'a mut dyn Write) -> Self {
        Self {
            out,
            offset: 0,
            compressor: CCtx::create(),
            compressed: Vec::new(),
            entries: Vec::new(),
            points: Vec::new(),
            points_left_out: 0,
            screen: Screen::default(),
            segment_offset: 0,
            next_seq: 0,
            last_ns: 0,
            output_bytes: 0,
            work: 0,
            keyframe_ns: 0,
            covered_bytes: 0,
            gaps: 0,
            damages: 0,
            complete: false,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        self.out.write_all(bytes).map_err(IndexError::Write)?;
        self.offset += u64::try_from(bytes.len()).unwrap_or(0);
        Ok(())
    }

    /// Copies what an older index holds up to its last keyframe, and stands there.
    fn take_over(&mut self, old: &Index) -> Result<Entry, IndexError> {
        let refused = || IndexError::Doubtful("the older index cannot be gone on with".to_owned());
        if old.footer().damages > 0 || old.footer().points_left_out > 0 {
            return Err(refused());
        }
        for number in 0..old.footer().entries {
            self.entries.push(old.entry(number)?);
        }
        let last = self.entries.last().copied().ok_or_else(refused)?;
        self.screen = old.keyframe(&last)?;
        let end = last
            .keyframe_offset
            .saturating_add(u64::from(last.keyframe_len));
        while self.offset < end {
            let len = usize::try_from((end - self.offset).min(64 * 1024)).unwrap_or(0);
            let piece = read_exact_at(old.source(), self.offset, len).map_err(IndexError::Read)?;
            self.write(&piece)?;
        }
        self.points = old.points()?;
        self.points.retain(|point| point.seq < last.next_seq);
        let gaps = self
            .points
            .iter()
            .filter(|point| point.kind == PointKind::Gap)
            .count();
        self.gaps = u64::try_from(gaps).unwrap_or(0);
        self.next_seq = last.next_seq;
        self.last_ns = last.at_ns;
        self.keyframe_ns = last.at_ns;
        self.output_bytes = last.output_bytes;
        Ok(last)
    }

    fn go_through(
        &mut self,
        reader: &mut Reader<Cursor>,
        total: u64,
        on_progress: OnProgress<'_>,
    ) -> Result<(), IndexError> {
        loop {
            match reader.next_item()? {
                Item::Frame(frame) => {
                    self.frame(frame)?;
                    let progress = Progress {
                        bytes: self.covered_bytes,
                        total,
                    };
                    if on_progress(progress).is_break() {
                        return Err(IndexError::BrokenOff);
                    }
                }
                Item::Seal(seal) => self.covered_bytes = seal.end,
                Item::Damage(_) => self.damages += 1,
                Item::End(tail) => {
                    self.complete = tail == Tail::Complete;
                    // Damage at the end was looked at too; a torn record was not.
                    self.covered_bytes = reader.offset();
                    return Ok(());
                }
            }
        }
    }

    fn frame(&mut self, frame: FrameItem) -> Result<(), IndexError> {
        if frame.opening.is_some() {
            self.segment_offset = frame.offset;
        }
        self.covered_bytes = frame.offset.saturating_add(frame.stored_bytes);
        for event in frame.events {
            if event.seq < self.next_seq {
                continue;
            }
            if self.is_keyframe_due() {
                self.keyframe(event.seq, frame.segment, frame.index)?;
            }
            self.event(&event);
        }
        Ok(())
    }

    fn is_keyframe_due(&self) -> bool {
        let (cols, rows) = self.screen.size();
        let cells = u64::from(cols) * u64::from(rows);
        let least = match self.entries.len() {
            KEYFRAMES_BY_TIME_MAX.. => KEYFRAME_LATE_BYTES,
            _ if cells > LARGE_CELLS => cells / 8,
            _ => 1,
        };
        self.entries.is_empty()
            || self.work >= KEYFRAME_OUTPUT_BYTES
            || self.work >= least && self.last_ns - self.keyframe_ns >= KEYFRAME_NS
    }

    fn keyframe(&mut self, next_seq: u64, segment: u32, frame: u32) -> Result<(), IndexError> {
        self.work = 0;
        self.keyframe_ns = self.last_ns;
        let Some(raw) = self.screen.to_whole_keyframe() else {
            // Who seeks begins at the one before: later, and right. The next one comes as far on.
            return Ok(());
        };
        let stored = self.compress(&raw)?;
        self.entries.push(Entry {
            next_seq,
            at_ns: self.last_ns,
            segment_offset: self.segment_offset,
            output_bytes: self.output_bytes,
            keyframe_offset: self.offset,
            keyframe_len: length(&stored)?,
            keyframe_raw_len: length(&raw)?,
            segment,
            frame,
            keyframe_digest: short_digest(&[&stored]),
        });
        self.write(&stored)?;
        self.compressed = stored;
        Ok(())
    }

    fn compress(&mut self, raw: &[u8]) -> Result<Vec<u8>, IndexError> {
        let mut stored = std::mem::take(&mut self.compressed);
        stored.clear();
        stored.reserve(zstd_safe::compress_bound(raw.len()));
        self.compressor
            .compress(&mut stored, raw, LEVEL)
            .map_err(|code| {
                IndexError::Write(std::io::Error::other(zstd_safe::get_error_name(code)))
            })?;
        Ok(stored)
    }

    fn event(&mut self, event: &Event) {
        let before = self.screen.work();
        self.screen.apply(&event.body);
        self.work += self.screen.work().saturating_sub(before);
        self.next_seq = event.seq.saturating_add(1);
        self.last_ns = event.at_ns.max(self.last_ns);
        let shown = shown_bytes(&event.body);
        self.output_bytes += shown;
        self.work += shown;
        match &event.body {
            Body::Data { .. } => {
                let text = self.screen.take_concealed();
                if !text.is_empty() {
                    self.point(PointKind::Concealed, event, &text);
                }
            }
            Body::Mark { label } => self.point(PointKind::Mark, event, label),
            Body::Gap(gap) => {
                self.gaps += 1;
                self.point(PointKind::Gap, event, &gap_label(gap));
            }
            Body::Resize { cols, rows } => {
                self.work += RESIZE_WORK;
                self.point(PointKind::Resize, event, &format!("{cols}x{rows}"));
            }
            _ => {}
        }
    }

    fn point(&mut self, kind: PointKind, event: &Event, label: &str) {
        // Half of the room is kept for what people and the recorder said on purpose.
        let room = match kind {
            PointKind::Mark | PointKind::Gap => POINTS_MAX,
            PointKind::Concealed | PointKind::Resize => POINTS_MAX / 2,
        };
        if self.points.len() >= room {
            self.points_left_out = self.points_left_out.saturating_add(1);
            return;
        }
        let mut end = label.len().min(POINT_LABEL_BYTES_MAX);
        while !label.is_char_boundary(end) {
            end -= 1;
        }
        let label = label.get(..end).unwrap_or_default().to_owned();
        self.points.push(Point {
            kind,
            at_ns: event.at_ns,
            seq: event.seq,
            label,
        });
    }

    fn finish(mut self, recording: &dyn ReadAt, reader: &Reader<Cursor>) -> Result<(), IndexError> {
        if self.entries.is_empty() {
            self.keyframe(0, 0, 0)?;
        }
        let session = reader.session().ok_or(IndexError::Recording(
            hansard_core::reader::ReadError::NotARecording,
        ))?;
        let raw = encode_points(&self.points);
        let stored = self.compress(&raw)?;
        let points_offset = self.offset;
        self.write(&stored)?;
        let table_offset = self.offset;
        let entries = std::mem::take(&mut self.entries);
        for (number, entry) in (0u64..).zip(&entries) {
            self.write(&entry.encode(number))?;
        }
        let footer = Footer {
            session,
            covered_bytes: self.covered_bytes,
            bound: bound(recording, self.covered_bytes).map_err(IndexError::Read)?,
            events: self.next_seq,
            last_ns: self.last_ns,
            output_bytes: self.output_bytes,
            concealed_chars: self.screen.concealed_chars(),
            gaps: self.gaps,
            damages: self.damages,
            complete: self.complete,
            points_offset,
            points_len: length(&stored)?,
            points_raw_len: length(&raw)?,
            points_count: u32::try_from(self.points.len()).unwrap_or(u32::MAX),
            points_left_out: self.points_left_out,
            points_digest: short_digest(&[&stored]),
            table_offset,
            entries: u64::try_from(entries.len()).unwrap_or(0),
        };
        self.write(&footer.encode())?;
        self.out.flush().map_err(IndexError::Write)
    }
}

fn length(bytes: &[u8]) -> Result<u32, IndexError> {
    u32::try_from(bytes.len())
        .map_err(|_| IndexError::Write(std::io::Error::other("more than an index can hold")))
}

/// What ties an index to its recording: a digest of the beginning and of the covered end. In a
/// sealed recording the latter holds the seal, and so everything before it.
pub(super) fn bound(recording: &dyn ReadAt, covered_bytes: u64) -> std::io::Result<[u8; 32]> {
    let len = covered_bytes.min(BOUND_BYTES);
    let bytes = usize::try_from(len).unwrap_or(0);
    let first = read_exact_at(recording, 0, bytes)?;
    let last = read_exact_at(recording, covered_bytes - len, bytes)?;
    Ok(full_digest(&[&first, &last]))
}
