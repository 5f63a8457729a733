//! The segment being read: its digests, its decompressor, its events' order.

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::columns;
use crate::event::{Body, Event};
use crate::frame::SegmentHeader;
use crate::id::SessionId;
use crate::limits::{
    FRAME_RAW_BYTES_MAX, SEGMENT_FRAMES_MAX, SEGMENT_RAW_BYTES_MAX, ZSTD_WINDOW_LOG_MAX,
};
use crate::seal::{PlaceOf, SegmentDigest, Statement, frame_digest};

/// Room that a frame's raw bytes get at first; it grows to the limit only as bytes really come.
const RAW_BYTES_FIRST: usize = 256 * 1024;

/// How a segment's compressed stream begins (RFC 8878 §3.1.1): zstd's magic, and a descriptor that
/// says no content size, no checksum, no dictionary.
const ZSTD_HEADER: [u8; 5] = [0x28, 0xb5, 0x2f, 0xfd, 0x00];

/// RFC 8878 §3.1.1.2.
const ZSTD_BLOCK_HEADER_BYTES: usize = 3;

pub(crate) struct OpenSegment {
    session: SessionId,
    number: u32,
    digest: SegmentDigest,
    decompressor: DCtx<'static>,
    raw: Vec<u8>,
    raw_total: u64,
    seq: u64,
    at_ns: u64,
}

impl OpenSegment {
    pub(crate) fn new(header: &SegmentHeader) -> Result<Self, String> {
        let mut decompressor =
            DCtx::try_create().ok_or_else(|| String::from("no memory for the decompressor"))?;
        decompressor
            .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
            .map_err(zstd_error)?;
        Ok(Self {
            session: header.session,
            number: header.number,
            digest: SegmentDigest::new(header.session, header.number, &header.predecessor),
            decompressor,
            raw: Vec::new(),
            raw_total: 0,
            seq: header.first_seq,
            at_ns: header.base_ns,
        })
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// Time of the last event that was decoded, or the base time.
    pub(crate) fn at_ns(&self) -> u64 {
        self.at_ns
    }

    /// What a seal would state: digest so far, number of the next event, time of the last.
    pub(crate) fn into_state(self) -> (SegmentDigest, u64, u64) {
        (self.digest, self.seq, self.at_ns)
    }

    /// Where the next record stands.
    pub(crate) fn next_place(&self) -> PlaceOf {
        PlaceOf {
            session: self.session,
            segment: self.number,
            index: self.digest.frames(),
        }
    }

    /// Checks a frame's checksum, counts it into the segment's digest, answers its payload.
    pub(crate) fn check<'a>(
        &mut self,
        record: &'a [u8],
        head_len: usize,
        checksum_len: usize,
    ) -> Result<&'a [u8], String> {
        if self.digest.frames() >= SEGMENT_FRAMES_MAX {
            return Err(format!(
                "more than {SEGMENT_FRAMES_MAX} frames in a segment"
            ));
        }
        let body_len = record.len() - checksum_len;
        let (body, checksum) = record.split_at(body_len);
        let (head, payload) = body.split_at(head_len);
        let digest = frame_digest(self.next_place(), head, payload);
        if !digest.starts_with(checksum) {
            return Err("its bytes do not match its checksum".into());
        }
        self.digest.frame(&digest);
        Ok(payload)
    }

    /// Decompresses and decodes a checked payload; answers events and raw bytes.
    pub(crate) fn decode(&mut self, payload: &[u8]) -> Result<(Vec<Event>, u64), String> {
        self.decompress(payload)?;
        let raw_bytes = self.raw.len() as u64;
        self.raw_total += raw_bytes;
        if self.raw_total > SEGMENT_RAW_BYTES_MAX {
            return Err(format!(
                "the segment decompresses to more than {SEGMENT_RAW_BYTES_MAX} bytes"
            ));
        }
        let events =
            columns::decode(&self.raw, &mut self.seq, &mut self.at_ns).map_err(|why| why.0)?;
        Ok((events, raw_bytes))
    }

    fn decompress(&mut self, payload: &[u8]) -> Result<(), String> {
        if self.digest.frames() == 1 && !payload.starts_with(&ZSTD_HEADER) {
            return Err("its compressed stream does not begin as it must".into());
        }
        self.raw.clear();
        self.raw.reserve(RAW_BYTES_FIRST);
        let mut input = InBuffer::around(payload);
        loop {
            let pos = self.raw.len();
            let mut output = OutBuffer::around_pos(&mut self.raw, pos);
            let hint = self
                .decompressor
                .decompress_stream(&mut output, &mut input)
                .map_err(zstd_error)?;
            let full = output.pos() == output.capacity();
            if hint == 0 {
                return Err("its compressed stream ends inside the segment".into());
            }
            if self.raw.len() > FRAME_RAW_BYTES_MAX {
                return Err(format!(
                    "it decompresses to more than {FRAME_RAW_BYTES_MAX} bytes"
                ));
            }
            if full {
                self.raw.reserve(self.raw.len());
            } else if input.pos() == payload.len() {
                // At a block's boundary the decompressor waits for three bytes: a block's header.
                return match hint {
                    ZSTD_BLOCK_HEADER_BYTES => Ok(()),
                    _ => Err("its compressed bytes break off inside a block".into()),
                };
            }
        }
    }

    /// Checks a seal against what was read.
    pub(crate) fn check_seal(&self, payload: &[u8], decoded: bool) -> Result<Statement, String> {
        let statement = Statement::open(payload).map_err(|why| why.0)?;
        let PlaceOf {
            session,
            segment,
            index,
        } = self.next_place();
        if (statement.session, statement.segment, statement.frames) != (session, segment, index) {
            return Err("seal: it is another segment's".into());
        }
        if statement.digest != self.digest.clone().finish() {
            return Err("seal: the digest is not that of its segment".into());
        }
        if decoded && (statement.next_seq != self.seq || statement.at_ns < self.at_ns) {
            return Err("seal: its count or time is not that of its events".into());
        }
        Ok(statement)
    }
}

fn zstd_error(code: usize) -> String {
    format!("decompressing: {}", zstd_safe::get_error_name(code))
}

/// Checks that `Start` is event 0 and only that, and that nothing follows `End`; answers whether
/// the session ended.
pub(crate) fn check_order(events: &[Event], session: SessionId) -> Result<bool, String> {
    let mut ended = false;
    for event in events {
        if ended {
            return Err("an event after the session's end".into());
        }
        match &event.body {
            Body::Start(start) if event.seq != 0 || start.id != session => {
                return Err("a start that is not this session's first event".into());
            }
            Body::Start(_) if events.len() > 1 => {
                return Err("a start that is not alone in its frame".into());
            }
            Body::Start(_) => {}
            _ if event.seq == 0 => return Err("the first event is not a start".into()),
            Body::End(_) => ended = true,
            _ => {}
        }
    }
    Ok(ended)
}
