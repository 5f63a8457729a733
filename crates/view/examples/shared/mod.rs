//! What the measurements here have in common: reproducible text, and recordings of it.

#![allow(dead_code, unreachable_pub)] // each example uses some of it

use std::io::{self, Write};

use hansard_core::event::End;
use hansard_core::seal::SigningKey;
use hansard_core::session::ClockQuality;
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Fields, Policy, Session, SessionId, Stream};

/// Aperiodic coloured text, the same for the same seed (xorshift64*).
pub struct Text(u64);

impl Text {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// Appends a line as compilers, listings and logs print it: words, some in colour, a few
    /// beyond ASCII.
    pub fn line(&mut self, out: &mut Vec<u8>) {
        for _ in 0..3 + self.below(10) {
            let coloured = self.below(4) == 0;
            if coloured {
                let _ = write!(out, "\x1b[{};3{}m", self.below(2), self.below(8));
            }
            if self.below(40) == 0 {
                out.extend_from_slice("größe→日本".as_bytes());
            }
            let number = self.next();
            match self.below(3) {
                0 => {
                    let _ = write!(out, "{:x}", number >> 20);
                }
                1 => {
                    let _ = write!(out, "{}", number >> 44);
                }
                _ => {
                    for shift in 0..4 + number % 7 {
                        out.push(b'a' + ((number >> (5 * shift)) & 31).min(25) as u8);
                    }
                }
            }
            if coloured {
                out.extend_from_slice(b"\x1b[0m");
            }
            out.push(b' ');
        }
        out.extend_from_slice(b"\r\n");
    }

    /// About this many bytes of lines.
    pub fn lines(&mut self, bytes: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes + 256);
        while out.len() < bytes {
            self.line(&mut out);
        }
        out
    }
}

/// Writes a recording to a writer as it grows.
pub struct Recording<W> {
    writer: SegmentWriter,
    out: W,
}

impl<W: Write> Recording<W> {
    pub fn new(out: W) -> io::Result<Self> {
        let key = SigningKey::from_seed([1; 32]);
        let session = Session {
            id: SessionId::new_v7(1_700_000_000_000, [1; 10]),
            parent: None,
            kind: "terminal".to_owned(),
            subject: Fields::new(),
            origin: Fields::new(),
            target: Fields::new(),
            start_utc_ns: 1_700_000_000_000_000_000,
            clock: ClockQuality::Unknown,
            policy: Policy::default(),
            recorder_key: key.public(),
            recorder: "measurement".to_owned(),
        };
        let writer =
            SegmentWriter::new(session, key, Bounds::default()).map_err(io::Error::other)?;
        let mut recording = Self { writer, out };
        recording.push(0, &Body::Resize { cols: 80, rows: 24 })?;
        Ok(recording)
    }

    pub fn push(&mut self, at_ns: u64, body: &Body) -> io::Result<()> {
        self.writer.tick(at_ns).map_err(io::Error::other)?;
        self.writer.push(at_ns, body).map_err(io::Error::other)?;
        self.write_parts()
    }

    pub fn output(&mut self, at_ns: u64, bytes: &[u8]) -> io::Result<()> {
        self.push(
            at_ns,
            &Body::Data {
                stream: Stream::Output,
                bytes: bytes.to_vec(),
            },
        )
    }

    pub fn finish(mut self, at_ns: u64) -> io::Result<W> {
        let end = End {
            reason: "exited".to_owned(),
            exit_status: Some(0),
            signal: None,
        };
        self.writer.finish(at_ns, &end).map_err(io::Error::other)?;
        self.write_parts()?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn write_parts(&mut self) -> io::Result<()> {
        for part in self.writer.parts() {
            self.out.write_all(part.bytes())?;
        }
        Ok(())
    }
}

/// The middle of a list of measurements.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
