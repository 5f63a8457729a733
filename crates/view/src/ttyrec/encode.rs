//! Writes ttyrec.

use std::io::Write;

use hansard_core::{Body, Event, Session};

use super::Header;
use crate::codec::{EncodeError, Encoder};

/// Writes what was shown, in records little-endian, times cut to microseconds of UTC. The format
/// has no place for anything else: sizes, what was typed, marks, gaps and the end are left out.
pub struct TtyrecEncoder<W> {
    out: W,
    start_utc_ns: u64,
}

impl<W: Write> TtyrecEncoder<W> {
    /// An encoder that writes here.
    pub fn new(out: W) -> Self {
        Self {
            out,
            start_utc_ns: 0,
        }
    }
}

impl<W: Write> Encoder for TtyrecEncoder<W> {
    fn begin(&mut self, session: &Session) -> Result<(), EncodeError> {
        self.start_utc_ns = session.start_utc_ns;
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        let Body::Data { stream, bytes } = &event.body else {
            return Ok(());
        };
        if !stream.is_shown() {
            return Ok(());
        }
        let micros = self.start_utc_ns.saturating_add(event.at_ns) / 1000;
        let rest = u32::try_from(micros % 1_000_000).unwrap_or(0);
        // A record without bytes makes players stop: none is written. A body of ours is far
        // shorter than a record may be, but nothing is left to that.
        for piece in bytes.chunks(1024 * 1024) {
            let header = Header {
                // The format's clock ends in 2106, and stands still there.
                seconds: u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX),
                micros: rest,
                len: u32::try_from(piece.len()).unwrap_or(0),
            };
            self.out.write_all(&header.write())?;
            self.out.write_all(piece)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        Ok(self.out.flush()?)
    }
}
