//! A recording, or a stretch of it, as a file in another format.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use hansard_core::seal::SigningKey;
use hansard_view::codec::CopyError;
use hansard_view::segments::SegmentDecoder;
use hansard_view::{Clip, EncodeError, Format, copy};

use super::limits::PIECE_BYTES;
use super::live::made_of_recording;
use super::problem::Problem;
use super::router::{Call, Handler};
use super::seams::{Listings, Log, Recordings};
use super::stream::{Gone, Pieces, Streams};
use super::table::EXPORTS;

/// Media type of what is handed out: to be kept, whatever is in it, and never shown by a browser.
pub(super) const FILE: &str = "application/octet-stream";

pub(super) fn export(
    listings: Arc<dyn Listings>,
    recordings: Arc<dyn Recordings>,
    streams: Streams,
    log: Log,
) -> Handler {
    let kept = (listings, recordings);
    made_of_recording(kept, (streams, FILE), log, |call| {
        let wish = Wish::of(call)?;
        Ok(Box::new(move |reader, pieces| wish.write(reader, pieces)))
    })
}

/// What is wanted of a recording.
struct Wish {
    format: Format,
    stretch_ns: Option<(u64, u64)>,
}

impl Wish {
    fn of(call: &Call) -> Result<Self, Problem> {
        let name = call.params.text("format").unwrap_or_default();
        let format = name.parse().map_err(|_| {
            Problem::bad(format!(
                "format: missing; it is one of {}",
                EXPORTS.join(", ")
            ))
        })?;
        let ns = |name| {
            let ms = call.params.number(name);
            ms.map(|ms| ms.saturating_mul(1_000_000))
        };
        let (from_ns, until_ns) = (ns("from_ms"), ns("until_ms"));
        let stretch_ns = (from_ns.is_some() || until_ns.is_some())
            .then(|| (from_ns.unwrap_or(0), until_ns.unwrap_or(u64::MAX)));
        match stretch_ns {
            Some((from_ns, until_ns)) if from_ns > until_ns => {
                Err(Problem::bad("until_ms: before from_ms"))
            }
            _ => Ok(Self { format, stretch_ns }),
        }
    }

    /// Hands the file over piece by piece. What is cut is cut where whoever reads it sees that: a
    /// file that only looks whole would be worse than none.
    fn write(&self, reader: Box<dyn Read + Send>, pieces: Pieces) -> Result<(), String> {
        let mut sent = Sent::To(pieces);
        let copied = self.convert(reader, &mut sent);
        let (Err(why), Sent::To(pieces)) = (copied, sent) else {
            return Ok(());
        };
        pieces.abort(io::Error::other(why.clone()));
        Err(why)
    }

    fn convert(&self, reader: Box<dyn Read + Send>, sent: &mut Sent) -> Result<(), String> {
        let mut decoder = SegmentDecoder::new(BufReader::new(reader));
        let out = BufWriter::with_capacity(PIECE_BYTES, sent);
        // None of these formats is signed; the key goes into nothing.
        let key = SigningKey::from_seed([0; 32]);
        let Some(mut encoder) = self.format.encoder(out, key) else {
            return Err(format!("{} is no single file", self.format));
        };
        let copied = match self.stretch_ns {
            Some((from_ns, until_ns)) => {
                let mut clip = Clip::new(&mut decoder, from_ns, until_ns);
                copy(&mut clip, &mut *encoder)
            }
            None => copy(&mut decoder, &mut *encoder),
        };
        match copied {
            Ok(_) => Ok(()),
            Err(CopyError::Write(EncodeError::Io(error)))
                if error.kind() == io::ErrorKind::BrokenPipe =>
            {
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Where the file goes, for as long as somebody takes it.
enum Sent {
    To(Pieces),
    Gone,
}

impl Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self::To(pieces) = self else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        match pieces.put(Bytes::copy_from_slice(bytes)) {
            Ok(()) => Ok(bytes.len()),
            Err(Gone) => {
                if let Self::To(pieces) = std::mem::replace(self, Self::Gone) {
                    pieces.abort(io::ErrorKind::TimedOut.into());
                }
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
