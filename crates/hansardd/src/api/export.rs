//! A recording, or a stretch of it, as a file in another format. A film is made before anything is
//! answered, so that whoever asks for one that cannot be made is told why.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use axum::http::{StatusCode, header};
use bytes::Bytes;
use hansard_core::seal::SigningKey;
use hansard_view::codec::CopyError;
use hansard_view::film::{FilmError, ffmpeg};
use hansard_view::segments::SegmentDecoder;
use hansard_view::{Clip, EncodeError, Format, copy};

use super::answers::living;
use super::limits::{FILM_MAX, PIECE_BYTES};
use super::live::{made_of_recording, opened};
use super::problem::Problem;
use super::router::{Call, Handler};
use super::seams::{Listings, Log, Recordings};
use super::stream::{Gone, Pieces, Streams, aside};
use super::table::EXPORTS;

/// Media type of what is handed out: to be kept, whatever is in it, and never shown by a browser.
pub(super) const FILE: &str = "application/octet-stream";

pub(super) fn export(
    listings: Arc<dyn Listings>,
    recordings: Arc<dyn Recordings>,
    (streams, films): (Streams, Streams),
    log: Log,
) -> Handler {
    let kept = (Arc::clone(&listings), Arc::clone(&recordings));
    let file = made_of_recording(kept, (streams.clone(), FILE), log, |call| {
        let wish = Wish::of(call)?;
        Ok(Box::new(move |reader, pieces| wish.write(reader, pieces)))
    });
    let film = film((listings, recordings), streams, films);
    Arc::new(move |call| match Wish::of(&call) {
        Ok(wish) if wish.format.is_film() => film(call),
        _ => file(call),
    })
}

/// A handler that makes films, which takes a processor and memory: few at a time.
fn film(
    (listings, recordings): (Arc<dyn Listings>, Arc<dyn Recordings>),
    streams: Streams,
    films: Streams,
) -> Handler {
    Arc::new(move |call| {
        let (streams, films) = (streams.clone(), films.clone());
        let (listings, recordings) = (Arc::clone(&listings), Arc::clone(&recordings));
        Box::pin(async move {
            let (place, making) = (streams.place()?, films.place()?);
            let open = move || {
                let (wish, session) = (Wish::of(&call)?, living(&call, &*listings)?);
                wish.can_be_made()?;
                let Some(reader) = recordings.open(session)? else {
                    return Ok(None);
                };
                let made = aside(|| wish.film(reader));
                // Whether or not anybody waits any more.
                drop(making);
                made?.map(Some)
            };
            let film = opened(open).await?;
            let length = film.len();
            let send = async move |mut pieces: Pieces| {
                let mut film = Bytes::from(film);
                while !film.is_empty() {
                    let piece = film.split_to(film.len().min(PIECE_BYTES));
                    if pieces.send(piece).await.is_err() {
                        return pieces.abort(io::ErrorKind::TimedOut.into());
                    }
                }
            };
            let mut answer = streams.answer_by(place, FILE, send);
            let headers = answer.headers_mut();
            headers.insert(header::CONTENT_LENGTH, length.into());
            Ok(answer)
        })
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

    /// Whether this machine has what it takes.
    fn can_be_made(&self) -> Result<(), Problem> {
        match (self.format, ffmpeg()) {
            (Format::Mp4, Err(error @ FilmError::NoFfmpeg)) => Err(Problem::status(
                StatusCode::NOT_IMPLEMENTED,
                "no_ffmpeg",
                &format!("the service's host: {error}"),
            )),
            _ => Ok(()),
        }
    }

    /// A film, as a whole.
    fn film(&self, reader: Box<dyn Read + Send>) -> Result<Vec<u8>, Problem> {
        let mut film = Vec::new();
        let begun = Instant::now();
        let made = self.convert(Box::new(InTime { reader, begun }), &mut film);
        made.map(|()| film)
            .map_err(|why| Problem::bad(format!("{}: {why}", self.format)))
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

    fn convert(&self, reader: Box<dyn Read + Send>, sent: impl Write) -> Result<(), String> {
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

/// A recording that is read for so long, and then no longer.
struct InTime {
    reader: Box<dyn Read + Send>,
    begun: Instant,
}

impl Read for InTime {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.begun.elapsed() > FILM_MAX {
            let why = "a film of all this takes too long: take a stretch";
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        self.reader.read(bytes)
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
