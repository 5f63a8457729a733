//! The bytes of an index: entries, points, footer.

use hansard_core::SessionId;
use sha2::{Digest, Sha256};

/// First bytes of an index of this version, and of its footer.
pub(super) const MAGIC: [u8; 8] = *b"HNSDIDX\x01";

/// Bytes of a table entry.
pub(super) const ENTRY_BYTES: usize = 72;

/// Bytes of the footer.
pub(super) const FOOTER_BYTES: usize = 200;

/// How much of the recording's beginning and of its covered end an index is bound to.
pub(super) const BOUND_BYTES: u64 = 4096;

/// A keyframe, and where its recording goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Number of the next event.
    pub next_seq: u64,
    /// Time of the last event before it.
    pub at_ns: u64,
    /// File offset of the opening frame of the segment that holds the next event.
    pub segment_offset: u64,
    /// Bytes of output before it.
    pub output_bytes: u64,
    /// Where the keyframe is in the index.
    pub keyframe_offset: u64,
    /// Its stored length.
    pub keyframe_len: u32,
    /// Its length inside.
    pub keyframe_raw_len: u32,
    /// Segment number.
    pub segment: u32,
    /// Index of the frame that holds the next event.
    pub frame: u32,
    /// Beginning of the stored keyframe's digest.
    pub keyframe_digest: [u8; 8],
}

/// Reads numbers from a fixed number of bytes; what is missing reads as zero.
struct Take<'a>(&'a [u8]);

impl Take<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let (head, tail) = self.0.split_at(N.min(self.0.len()));
        for (slot, byte) in out.iter_mut().zip(head) {
            *slot = *byte;
        }
        self.0 = tail;
        out
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }
}

/// The first eight bytes of a SHA-256.
pub(super) fn short_digest(parts: &[&[u8]]) -> [u8; 8] {
    let digest = full_digest(parts);
    Take(&digest).array()
}

/// A SHA-256 over parts one after another.
pub(super) fn full_digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

impl Entry {
    pub(super) fn encode(&self, number: u64) -> [u8; ENTRY_BYTES] {
        let mut bytes = Vec::with_capacity(ENTRY_BYTES);
        for n in [
            self.next_seq,
            self.at_ns,
            self.segment_offset,
            self.output_bytes,
            self.keyframe_offset,
        ] {
            bytes.extend_from_slice(&n.to_le_bytes());
        }
        for n in [
            self.keyframe_len,
            self.keyframe_raw_len,
            self.segment,
            self.frame,
        ] {
            bytes.extend_from_slice(&n.to_le_bytes());
        }
        bytes.extend_from_slice(&self.keyframe_digest);
        let digest = short_digest(&[&bytes, &number.to_le_bytes()]);
        bytes.extend_from_slice(&digest);
        Take(&bytes).array()
    }

    /// The entry with this number, if its digest fits.
    pub(super) fn decode(bytes: &[u8], number: u64) -> Option<Self> {
        let (body, digest) = bytes.split_at_checked(ENTRY_BYTES - 8)?;
        if short_digest(&[body, &number.to_le_bytes()]) != digest {
            return None;
        }
        let mut take = Take(body);
        Some(Self {
            next_seq: take.u64(),
            at_ns: take.u64(),
            segment_offset: take.u64(),
            output_bytes: take.u64(),
            keyframe_offset: take.u64(),
            keyframe_len: take.u32(),
            keyframe_raw_len: take.u32(),
            segment: take.u32(),
            frame: take.u32(),
            keyframe_digest: take.array(),
        })
    }
}

/// What a point in time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointKind {
    /// A mark; the label is its own.
    Mark,
    /// Something is missing; the label says what.
    Gap,
    /// Concealed text was printed; the label is the text.
    Concealed,
    /// The terminal changed its size; the label is `COLSxROWS`.
    Resize,
}

/// A point in time that people want to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// What it is.
    pub kind: PointKind,
    /// When.
    pub at_ns: u64,
    /// Number of its event.
    pub seq: u64,
    /// What it says, cut at a bound.
    pub label: String,
}

impl PointKind {
    fn code(self) -> u8 {
        match self {
            Self::Mark => 1,
            Self::Gap => 2,
            Self::Concealed => 3,
            Self::Resize => 4,
        }
    }

    fn of(code: u8) -> Option<Self> {
        [Self::Mark, Self::Gap, Self::Concealed, Self::Resize]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

pub(super) fn encode_points(points: &[Point]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for point in points {
        bytes.push(point.kind.code());
        bytes.extend_from_slice(&point.at_ns.to_le_bytes());
        bytes.extend_from_slice(&point.seq.to_le_bytes());
        let len = u16::try_from(point.label.len()).unwrap_or(0);
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(point.label.get(..usize::from(len)).unwrap_or("").as_bytes());
    }
    bytes
}

pub(super) fn decode_points(bytes: &[u8], count: usize) -> Option<Vec<Point>> {
    let mut take = Take(bytes);
    let mut points = Vec::new();
    for _ in 0..count {
        let [code] = take.array();
        let kind = PointKind::of(code)?;
        let (at_ns, seq) = (take.u64(), take.u64());
        let len = usize::from(u16::from_le_bytes(take.array()));
        let (label, rest) = take.0.split_at_checked(len)?;
        take.0 = rest;
        points.push(Point {
            kind,
            at_ns,
            seq,
            label: String::from_utf8(label.to_owned()).ok()?,
        });
    }
    take.0.is_empty().then_some(points)
}

/// What is known about the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) session: SessionId,
    pub(super) covered_bytes: u64,
    pub(super) bound: [u8; 32],
    pub(super) events: u64,
    pub(super) last_ns: u64,
    pub(super) output_bytes: u64,
    pub(super) concealed_chars: u64,
    pub(super) gaps: u64,
    pub(super) damages: u64,
    pub(super) complete: bool,
    pub(super) points_offset: u64,
    pub(super) points_len: u32,
    pub(super) points_raw_len: u32,
    pub(super) points_count: u32,
    pub(super) points_left_out: u32,
    pub(super) points_digest: [u8; 8],
    pub(super) table_offset: u64,
    pub(super) entries: u64,
}

impl Footer {
    pub(super) fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = Vec::with_capacity(FOOTER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(self.session.as_bytes());
        bytes.extend_from_slice(&self.covered_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.bound);
        for n in [
            self.events,
            self.last_ns,
            self.output_bytes,
            self.concealed_chars,
            self.gaps,
            self.damages,
            u64::from(self.complete),
            self.points_offset,
        ] {
            bytes.extend_from_slice(&n.to_le_bytes());
        }
        for n in [
            self.points_len,
            self.points_raw_len,
            self.points_count,
            self.points_left_out,
        ] {
            bytes.extend_from_slice(&n.to_le_bytes());
        }
        bytes.extend_from_slice(&self.points_digest);
        bytes.extend_from_slice(&self.table_offset.to_le_bytes());
        bytes.extend_from_slice(&self.entries.to_le_bytes());
        let digest = full_digest(&[&bytes]);
        bytes.extend_from_slice(&digest);
        Take(&bytes).array()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, digest) = bytes.split_at_checked(FOOTER_BYTES - 32)?;
        let mut take = Take(body);
        if take.array() != MAGIC || full_digest(&[body]) != digest {
            return None;
        }
        Some(Self {
            session: SessionId::from_bytes(take.array()),
            covered_bytes: take.u64(),
            bound: take.array(),
            events: take.u64(),
            last_ns: take.u64(),
            output_bytes: take.u64(),
            concealed_chars: take.u64(),
            gaps: take.u64(),
            damages: take.u64(),
            complete: take.u64() != 0,
            points_offset: take.u64(),
            points_len: take.u32(),
            points_raw_len: take.u32(),
            points_count: take.u32(),
            points_left_out: take.u32(),
            points_digest: take.array(),
            table_offset: take.u64(),
            entries: take.u64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            next_seq: 1,
            at_ns: 2,
            segment_offset: 3,
            output_bytes: 4,
            keyframe_offset: 5,
            keyframe_len: 6,
            keyframe_raw_len: 7,
            segment: 8,
            frame: 9,
            keyframe_digest: [10; 8],
        }
    }

    #[test]
    fn an_entry_with_any_bit_changed_or_in_another_place_is_refused() {
        let bytes = entry().encode(7);
        assert_eq!(Entry::decode(&bytes, 7), Some(entry()));
        assert_eq!(Entry::decode(&bytes, 8), None);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Entry::decode(&changed, 7), None, "bit {bit}");
        }
    }

    #[test]
    fn a_footer_with_any_bit_changed_is_refused() {
        let footer = Footer {
            session: SessionId::from_bytes([1; 16]),
            covered_bytes: 2,
            bound: [3; 32],
            events: 4,
            last_ns: 5,
            output_bytes: 6,
            concealed_chars: 7,
            gaps: 8,
            damages: 9,
            complete: true,
            points_offset: 10,
            points_len: 11,
            points_raw_len: 12,
            points_count: 13,
            points_left_out: 14,
            points_digest: [15; 8],
            table_offset: 16,
            entries: 17,
        };
        let bytes = footer.encode();
        assert_eq!(Footer::decode(&bytes), Some(footer));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Footer::decode(&changed), None, "bit {bit}");
        }
    }

    #[test]
    fn points_come_back() {
        let points = vec![
            Point {
                kind: PointKind::Mark,
                at_ns: 1,
                seq: 2,
                label: "é".into(),
            },
            Point {
                kind: PointKind::Concealed,
                at_ns: 3,
                seq: 4,
                label: String::new(),
            },
        ];
        let bytes = encode_points(&points);
        assert_eq!(decode_points(&bytes, 2), Some(points));
        assert_eq!(decode_points(&bytes, 1), None);
        assert_eq!(decode_points(&bytes, 3), None);
    }
}
