//! Answers that are streams: made by a thread, taken by a connection, with a bound between them.
//! A reader that takes nothing for [`SLOW_READER_MAX`] is cut, so that it holds nothing up.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use hansard_record::forward;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::limits::{PIECE_BYTES, SLOW_READER_MAX, STREAM_PIECES};
use super::problem::Problem;

/// Where a stream's thread puts its pieces.
pub(super) struct Pieces {
    sender: forward::Pieces<io::Error>,
    runtime: Handle,
    stopping: Arc<AtomicBool>,
}

/// Nobody takes pieces any more: gone, too slow, or the service stops.
pub(super) struct Gone;

impl Pieces {
    /// Hands over a piece; waits for the reader, within its bound.
    pub(super) fn put(&mut self, piece: impl Into<Bytes>) -> Result<(), Gone> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(Gone);
        }
        let sent = timeout(SLOW_READER_MAX, self.sender.put(piece.into()));
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }

    /// Whether the service stops.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Cuts the stream, so that its reader sees that it is not whole.
    pub(super) fn abort(self, error: io::Error) {
        self.sender.cut(error);
    }
}

/// Streams of one kind, and how many there may be.
#[derive(Clone)]
pub(super) struct Streams {
    places: Arc<Semaphore>,
    stopping: Arc<AtomicBool>,
    full: &'static str,
}

impl Streams {
    pub(super) fn new(most: usize, stopping: &Arc<AtomicBool>, full: &'static str) -> Self {
        Self {
            places: Arc::new(Semaphore::new(most)),
            stopping: Arc::clone(stopping),
            full,
        }
    }

    /// A place for one more stream, given back when it ends.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|_| Problem::busy(self.full))
    }

    /// An answer whose pieces `make` hands over, on a thread of its own.
    pub(super) fn answer(
        &self,
        place: OwnedSemaphorePermit,
        media: &'static str,
        make: impl FnOnce(Pieces) + Send + 'static,
    ) -> Response<Body> {
        let (sender, body) = forward::outgoing::<io::Error>(STREAM_PIECES);
        let pieces = Pieces {
            sender,
            runtime: Handle::current(),
            stopping: Arc::clone(&self.stopping),
        };
        tokio::task::spawn_blocking(move || {
            make(pieces);
            drop(place);
        });
        let mut response = Response::new(Body::new(body));
        let media = HeaderValue::from_static(media);
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        response
    }
}

/// Hands over everything there is to read; what cannot be read cuts the stream.
pub(super) fn copy(mut from: Box<dyn Read + Send>, mut to: Pieces) -> Result<(), String> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let why = error.to_string();
                to.abort(error);
                return Err(why);
            }
        };
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            return Ok(());
        };
        if to.put(Bytes::copy_from_slice(piece)).is_err() {
            to.abort(io::ErrorKind::TimedOut.into());
            return Ok(());
        }
    }
}
