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

/// How nice threads are that work for who looks on: 10 has a tenth of the weight of 0.
const NICENESS: i32 = 10;

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
        let runtime = self.runtime.clone();
        runtime.block_on(self.send(piece.into()))
    }

    /// The same for who is no thread.
    pub(super) async fn send(&mut self, piece: Bytes) -> Result<(), Gone> {
        if self.is_stopping() {
            return Err(Gone);
        }
        match timeout(SLOW_READER_MAX, self.sender.put(piece)).await {
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

    /// An answer whose pieces `make` hands over, on a thread of its own that stands back behind what
    /// records.
    pub(super) fn answer(
        &self,
        place: OwnedSemaphorePermit,
        media: &'static str,
        make: impl FnOnce(Pieces) + Send + 'static,
    ) -> Result<Response<Body>, Problem> {
        let (pieces, response) = self.begin(STREAM_PIECES, media);
        let thread = std::thread::Builder::new().name("answering".to_owned());
        let started = thread.spawn(move || {
            stand_back();
            make(pieces);
            drop(place);
        });
        let no_thread = |_| Problem::unavailable("there is no thread to answer");
        started.map(|_| response).map_err(no_thread)
    }

    /// The same without a thread, for what others have made already: one piece waits for its reader.
    pub(super) fn answer_by<F>(
        &self,
        place: OwnedSemaphorePermit,
        media: &'static str,
        make: impl FnOnce(Pieces) -> F + Send + 'static,
    ) -> Response<Body>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (pieces, response) = self.begin(1, media);
        let made = make(pieces);
        tokio::spawn(async move {
            made.await;
            drop(place);
        });
        response
    }

    fn begin(&self, pieces_max: usize, media: &'static str) -> (Pieces, Response<Body>) {
        let (sender, body) = forward::outgoing::<io::Error>(pieces_max);
        let pieces = Pieces {
            sender,
            runtime: Handle::current(),
            stopping: Arc::clone(&self.stopping),
        };
        let mut response = Response::new(Body::new(body));
        let media = HeaderValue::from_static(media);
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        (pieces, response)
    }
}

/// Does work on a thread of its own that stands back behind what records, and waits for it.
pub(super) fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Problem> {
    let fault = |_| Problem::unavailable("the work has a fault");
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("making".to_owned());
        let standing_back = || {
            stand_back();
            work()
        };
        let started = thread.spawn_scoped(scope, standing_back);
        let none = |_| Problem::unavailable("there is no thread to answer");
        started.map_err(none)?.join().map_err(fault)
    })
}

/// The thread that calls this works for people who look on: where there is too little for all, it gets
/// a tenth of what a recorder gets. For a thread of its own only, as it stays so.
pub(super) fn stand_back() {
    // Where that is refused, it competes with the others as before.
    let _ = rustix::process::setpriority_process(None, NICENESS);
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
