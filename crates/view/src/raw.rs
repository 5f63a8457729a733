//! Raw bytes: what was shown, and nothing else.

use std::io::{Read, Write};

use hansard_core::{Body, Event, Session, Stream};

use crate::codec::{DecodeError, Decoder, EncodeError, Encoder};
use crate::import::Import;
use crate::limits::{RAW_CHUNK_BYTES, SCREEN_DEFAULT};

/// Writes the bytes that were shown, one after another.
pub struct RawEncoder<W> {
    out: W,
}

impl<W: Write> RawEncoder<W> {
    /// An encoder that writes here.
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Encoder for RawEncoder<W> {
    fn begin(&mut self, _: &Session) -> Result<(), EncodeError> {
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        if let Body::Data { stream, bytes } = &event.body
            && stream.is_shown()
        {
            self.out.write_all(bytes)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        Ok(self.out.flush()?)
    }
}

/// Reads any bytes as what a terminal of 80 × 24 was sent, all at the beginning.
pub struct RawDecoder<R> {
    src: R,
    import: Import,
    seq: u64,
    done: bool,
}

impl<R: Read> RawDecoder<R> {
    /// A decoder that reads here.
    pub fn new(src: R, import: Import) -> Self {
        Self {
            src,
            import,
            seq: 0,
            done: false,
        }
    }

    fn body(&mut self) -> Result<Option<Body>, DecodeError> {
        match self.seq {
            0 => return Ok(Some(Body::Start(Box::new(self.import.session("raw"))))),
            1 => {
                let (cols, rows) = SCREEN_DEFAULT;
                return Ok(Some(Body::Resize { cols, rows }));
            }
            _ if self.done => return Ok(None),
            _ => {}
        }
        let mut bytes = Vec::new();
        let limit = u64::try_from(RAW_CHUNK_BYTES).unwrap_or(u64::MAX);
        (&mut self.src).take(limit).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            self.done = true;
            return Ok(Some(Body::End(self.import.end())));
        }
        Ok(Some(Body::Data {
            stream: Stream::Output,
            bytes,
        }))
    }
}

impl<R: Read> Decoder for RawDecoder<R> {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        let body = self.body()?;
        let seq = self.seq;
        self.seq += 1;
        Ok(body.map(|body| Event {
            seq,
            at_ns: 0,
            body,
        }))
    }
}
