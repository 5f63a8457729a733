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
use tokio::time::timeout;

use super::limits::{PIECE_BYTES, SLOW_READER_MAX, STREAM_PIECES};
use super::places::{Bounds, Full, Place, Places, Whose};
use super::problem::Problem;
use super::role::{Caller, Role};
use crate::standing_back::{Behind, stand_back};

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
    places: Arc<Places<Whose>>,
    stopping: Arc<AtomicBool>,
    full: Words,
}

/// What is said where there is no place: to who has as many as one may, and to others.
#[derive(Clone, Copy)]
pub(super) struct Words {
    pub(super) own: &'static str,
    pub(super) all: &'static str,
}

impl Streams {
    pub(super) fn new(bounds: Bounds, stopping: &Arc<AtomicBool>, full: Words) -> Self {
        Self {
            places: Places::new(bounds),
            stopping: Arc::clone(stopping),
            full,
        }
    }

    /// A place for one more stream of this caller, given back when it ends.
    pub(super) fn place(&self, caller: &Caller) -> Result<Place<Whose>, Problem> {
        let is_admin = caller.role == Role::Admin;
        let place = self.places.take(Whose::of(caller), is_admin);
        place.map_err(|full| match full {
            Full::Own => Problem::busy_own(self.full.own),
            Full::All => Problem::busy(self.full.all),
        })
    }

    /// An answer whose pieces `make` hands over, on a thread of its own that stands back behind what
    /// records.
    pub(super) fn answer(
        &self,
        place: Place<Whose>,
        media: &'static str,
        make: impl FnOnce(Pieces) + Send + 'static,
    ) -> Result<Response<Body>, Problem> {
        let (pieces, response) = self.begin(STREAM_PIECES, media);
        let thread = std::thread::Builder::new().name("answering".to_owned());
        let started = thread.spawn(move || {
            stand_back(Behind::Painters);
            make(pieces);
            drop(place);
        });
        let no_thread = |_| Problem::unavailable("there is no thread to answer");
        started.map(|_| response).map_err(no_thread)
    }

    /// The same without a thread, for what others have made already: one piece waits for its reader.
    pub(super) fn answer_by<F>(
        &self,
        place: Place<Whose>,
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
            stand_back(Behind::Painters);
            work()
        };
        let started = thread.spawn_scoped(scope, standing_back);
        let none = |_| Problem::unavailable("there is no thread to answer");
        started.map_err(none)?.join().map_err(fault)
    })
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

#[cfg(test)]
mod tests {
    use super::super::limits::{
        DOWNLOADS, DOWNLOADS_MAX, DOWNLOADS_OF_ADMINS, DOWNLOADS_OF_ONE_MAX, FOLLOWERS,
        FOLLOWERS_MAX, FOLLOWERS_OF_ADMINS, FOLLOWERS_OF_ONE_MAX,
    };
    use super::super::role::{Asker, Peer};
    use super::*;

    fn caller(uid: u32, role: Role) -> Caller {
        let peer = Peer {
            uid,
            gid: uid,
            pid: None,
        };
        Caller {
            asker: Asker::Process(peer),
            user: format!("user{uid}"),
            account: Some(format!("user{uid}")),
            role,
        }
    }

    /// As many as somebody gets, and what they are told then.
    fn taken(streams: &Streams, caller: &Caller) -> (Vec<Place<Whose>>, Problem) {
        let mut places = Vec::new();
        loop {
            match streams.place(caller) {
                Ok(place) => places.push(place),
                Err(problem) => return (places, problem),
            }
        }
    }

    #[test]
    fn nobody_has_all_streams_and_administrators_get_theirs_whatever_others_do() {
        let cases = [
            (
                FOLLOWERS,
                [FOLLOWERS_MAX, FOLLOWERS_OF_ADMINS, FOLLOWERS_OF_ONE_MAX],
            ),
            (
                DOWNLOADS,
                [DOWNLOADS_MAX, DOWNLOADS_OF_ADMINS, DOWNLOADS_OF_ONE_MAX],
            ),
        ];
        for (bounds, [all, of_admins, of_one]) in cases {
            let full = Words {
                own: "own",
                all: "all",
            };
            let streams = Streams::new(bounds, &Arc::default(), full);
            let (ada, problem) = taken(&streams, &caller(1, Role::Auditor));
            assert_eq!((ada.len(), problem.message.as_str()), (of_one, "own"));
            // The same somebody elsewhere.
            assert!(streams.place(&caller(1, Role::Auditor)).is_err());
            let (bob, problem) = taken(&streams, &caller(2, Role::User));
            assert_eq!((bob.len(), problem.message.as_str()), (of_one, "own"));
            let mut others = Vec::new();
            let mut uid = 3;
            let problem = loop {
                let (some, problem) = taken(&streams, &caller(uid, Role::Auditor));
                if some.is_empty() {
                    break problem;
                }
                others.extend(some);
                uid += 1;
            };
            assert_eq!(ada.len() + bob.len() + others.len(), all - of_admins);
            assert_eq!((problem.message.as_str(), problem.code), ("all", "busy"));
            let (admin, _) = taken(&streams, &caller(0, Role::Admin));
            assert_eq!(admin.len(), of_admins);
            drop((bob, others));
            // Nor does an administrator have all.
            let (more, problem) = taken(&streams, &caller(0, Role::Admin));
            assert_eq!(admin.len() + more.len(), of_one);
            assert_eq!(problem.message, "own");
        }
    }
}
