//! A recording, or a stretch of it, as a file in another format. A film is made before anything is
//! answered, so that whoever asks for one that cannot be made is told why.

use std::fmt;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use hansard_core::seal::SigningKey;
use hansard_view::codec::CopyError;
use hansard_view::film::{FilmError, ffmpeg};
use hansard_view::segments::SegmentDecoder;
use hansard_view::{Clip, DecodeError, Decoder as _, EncodeError, Format, copy};

use super::answers::living;
use super::limits::{FILM_MAX, FILMS, LOOK_AHEAD_MAX, PIECE_BYTES};
use super::live::{Sending, made_of_recording, opened};
use super::problem::Problem;
use super::router::{Call, Handler};
use super::seams::{Listings, Log, Recordings};
use super::stream::{Gone, Pieces, Streams, Words, aside};
use super::table::EXPORTS;

/// Media type of what is handed out: to be kept, whatever is in it, and never shown by a browser.
pub(super) const FILE: &str = "application/octet-stream";

/// Places of the recording that are damaged, and that the copy passes over.
pub(super) const DAMAGES: HeaderName = HeaderName::from_static("hansard-damages");

/// Whether the recording has its end.
pub(super) const WHOLE: HeaderName = HeaderName::from_static("hansard-whole");

pub(super) fn export(
    listings: Arc<dyn Listings>,
    recordings: Arc<dyn Recordings>,
    (streams, stopping): (Streams, &Arc<AtomicBool>),
    log: Log,
) -> Handler {
    let full = Words {
        own: "a film is being made for you",
        all: "too many films are being made",
    };
    let films = Streams::new(FILMS, stopping, full);
    let kept = (Arc::clone(&listings), Arc::clone(&recordings));
    let file = made_of_recording(kept, (streams.clone(), FILE), log, |call, again| {
        let wish = Wish::of(call)?;
        // Read once before anything is sent: what is said about the copy comes before it.
        let said = match again()? {
            Some(reader) => aside(|| wish.look_ahead(reader))??,
            None => HeaderMap::new(),
        };
        Ok(Sending {
            said,
            send: Box::new(move |reader, pieces| wish.write(reader, pieces)),
        })
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
            let place = streams.place(&call.caller)?;
            let making = films.place(&call.caller)?;
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
            let (film, said) = film;
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
            headers.extend(said);
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

    /// A film, as a whole, and what is said about it.
    fn film(&self, reader: Box<dyn Read + Send>) -> Result<(Vec<u8>, HeaderMap), Problem> {
        let mut film = Vec::new();
        let made = self.convert(Box::new(InTime::new(reader, FILM_MAX)), &mut film);
        let passed = made.map_err(|error| self.unfilmed(&error))?;
        Ok((film, passed.said()))
    }

    /// What there is to say about a copy before it is made; nothing where finding that out takes too long,
    /// or where nothing can be read, which the copy itself says then.
    fn look_ahead(&self, reader: Box<dyn Read + Send>) -> Result<HeaderMap, Problem> {
        let reader = InTime::new(reader, LOOK_AHEAD_MAX);
        let mut decoder = SegmentDecoder::new(BufReader::new(reader));
        let (from_ns, until_ns) = self.stretch_ns.unwrap_or((0, u64::MAX));
        let mut last_ns = None;
        loop {
            match decoder.next_event() {
                Ok(Some(event)) if event.at_ns <= until_ns => last_ns = Some(event.at_ns),
                Ok(None) if last_ns.is_some_and(|last_ns| last_ns < from_ns) => {
                    return Err(nothing_there(last_ns.unwrap_or(0)));
                }
                Ok(_) => return Ok(Passed::by(&decoder).said()),
                Err(_) => return Ok(HeaderMap::new()),
            }
        }
    }

    /// What is answered where there is no film: whether another wish is the cure, or another time.
    fn unfilmed(&self, error: &CopyError) -> Problem {
        let why = format!("{}: {error}", self.format);
        match error {
            CopyError::Read(DecodeError::Io(error))
                if error.get_ref().is_some_and(|error| error.is::<TooMuch>()) =>
            {
                Problem::bad(why)
            }
            CopyError::Read(DecodeError::Io(_)) | CopyError::Write(EncodeError::Io(_)) => {
                Problem::unavailable(why)
            }
            _ => Problem::bad(why),
        }
    }

    /// Hands the file over piece by piece. What is cut is cut where whoever reads it sees that: a
    /// file that only looks whole would be worse than none.
    fn write(&self, reader: Box<dyn Read + Send>, pieces: Pieces) -> Result<(), String> {
        let mut sent = Sent::To(pieces);
        let copied = self.convert(reader, &mut sent);
        let (Err(error), Sent::To(pieces)) = (copied, sent) else {
            // What was passed over was said before.
            return Ok(());
        };
        let why = error.to_string();
        pieces.abort(io::Error::other(why.clone()));
        Err(why)
    }

    fn convert(&self, reader: impl Read, sent: impl Write) -> Result<Passed, CopyError> {
        let mut decoder = SegmentDecoder::new(BufReader::new(reader));
        let out = BufWriter::with_capacity(PIECE_BYTES, sent);
        // None of these formats is signed; the key goes into nothing.
        let key = SigningKey::from_seed([0; 32]);
        let Some(mut encoder) = self.format.encoder(out, key) else {
            let why = format!("{} is no single file", self.format);
            return Err(EncodeError::Refused(why).into());
        };
        let copied = match self.stretch_ns {
            Some((from_ns, until_ns)) => {
                let mut clip = Clip::new(&mut decoder, from_ns, until_ns);
                let copied = copy(&mut clip, &mut *encoder);
                // Nothing was written: an empty file would say that nothing was shown there.
                if let Some(end_ns) = clip.ended_before_ns() {
                    return Err(EncodeError::Refused(behind_the_end(end_ns)).into());
                }
                copied
            }
            None => copy(&mut decoder, &mut *encoder),
        };
        match copied {
            Ok(_) => Ok(Passed::by(&decoder)),
            Err(CopyError::Write(EncodeError::Io(error)))
                if error.kind() == io::ErrorKind::BrokenPipe =>
            {
                Ok(Passed::by(&decoder))
            }
            Err(error) => Err(error),
        }
    }
}

/// What is said of a stretch that begins behind the end of a recording of this length.
fn behind_the_end(end_ns: u64) -> String {
    let (s, ms) = (end_ns / 1_000_000_000, end_ns / 1_000_000 % 1000);
    format!("the stretch begins behind the end of the recording, which is {s}.{ms:03} s long")
}

/// The same as an answer.
pub(super) fn nothing_there(end_ns: u64) -> Problem {
    Problem {
        next_step: "choose a stretch that begins before that".to_owned(),
        ..Problem::bad(behind_the_end(end_ns))
    }
}

/// What is not in a copy, which most formats have no room to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Passed {
    damages: u64,
    /// Whether the recording has its end; `None` of a stretch that ends before.
    has_end: Option<bool>,
}

impl Passed {
    fn by<R: Read>(decoder: &SegmentDecoder<R>) -> Self {
        Self {
            damages: decoder.damages_count(),
            has_end: decoder.has_end(),
        }
    }

    /// As fields of an answer's head.
    fn said(self) -> HeaderMap {
        let mut said = HeaderMap::new();
        said.insert(DAMAGES, self.damages.into());
        if let Some(has_end) = self.has_end {
            let word = if has_end { "true" } else { "false" };
            said.insert(WHOLE, HeaderValue::from_static(word));
        }
        said
    }
}

/// A recording took longer to read than a film of it may take.
#[derive(Debug)]
struct TooMuch;

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a film of all this takes too long: take a stretch")
    }
}

impl std::error::Error for TooMuch {}

/// A recording that is read for so long, and then no longer.
struct InTime {
    reader: Box<dyn Read + Send>,
    begun: Instant,
    most: Duration,
}

impl InTime {
    fn new(reader: Box<dyn Read + Send>, most: Duration) -> Self {
        Self {
            reader,
            begun: Instant::now(),
            most,
        }
    }
}

impl Read for InTime {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.begun.elapsed() > self.most {
            return Err(io::Error::new(io::ErrorKind::TimedOut, TooMuch));
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(fn() -> io::Error);

    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(self.0())
        }
    }

    #[test]
    fn what_a_store_or_a_program_does_wrong_is_not_told_to_whoever_asks_as_theirs() {
        let wish = Wish {
            format: Format::Gif,
            stretch_ns: None,
        };
        let of = |error: fn() -> io::Error| wish.film(Box::new(Fails(error))).unwrap_err();
        let store = of(|| io::Error::other("the disk is gone"));
        assert_eq!(store.status, StatusCode::SERVICE_UNAVAILABLE);
        let inside = store.inside.unwrap_or_default();
        assert!(inside.contains("the disk is gone"), "{inside}");
        let late = of(|| io::Error::new(io::ErrorKind::TimedOut, TooMuch));
        assert_eq!(late.status, StatusCode::BAD_REQUEST);
        assert!(late.message.contains("take a stretch"), "{late:?}");
        let none = wish.film(Box::new(io::empty())).unwrap_err();
        assert_eq!(none.status, StatusCode::BAD_REQUEST);
        let program = FilmError::Ffmpeg("exit status: 1: no such codec".to_owned());
        let program = wish.unfilmed(&CopyError::Write(program.into()));
        assert_eq!(program.status, StatusCode::SERVICE_UNAVAILABLE);
        let long = wish.unfilmed(&CopyError::Write(FilmError::TooLong.into()));
        assert_eq!(long.status, StatusCode::BAD_REQUEST);
    }
}
