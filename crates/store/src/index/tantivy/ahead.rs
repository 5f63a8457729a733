//! Blocks read ahead of who visits them: while none is wanted for its texts, more and more at a time, by
//! several threads. A phrase of frequent words is looked for in most of what there is, and
//! decompressing that is most of the work.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use tantivy::DocAddress;

use super::spots::Place;
use crate::index::{Block, IndexError};

/// Blocks that are read at a time at most: some ten milliseconds of work, after which somebody is asked
/// again whether it is enough. Nothing of those that are not wanted is kept.
const STRIDE_MAX: usize = 512;

/// Blocks that are wanted and wait to be visited, of each thread: some megabytes.
const WANTED_MAX: usize = 16;

/// Blocks that are worth a thread. Fewer are about one piece of what is compressed together, which each
/// thread decompresses for itself.
const SHARE_MIN: usize = 64;

/// Threads at most: who searches must not take a whole machine from those who record.
const THREADS_MAX: usize = 4;

/// Threads that one search may have on this machine. It reads what control groups say, so not for each search.
pub(super) fn threads() -> usize {
    let all = thread::available_parallelism().map_or(1, NonZero::get);
    all.min(THREADS_MAX)
}

type Got = Result<Option<Arc<Block>>, IndexError>;

/// Reads the blocks of these places, in order.
pub(super) struct Ahead<'a, F> {
    places: &'a [Place],
    read: F,
    threads: usize,
    stride: usize,
    /// What was read, by its place.
    ready: VecDeque<(usize, Got)>,
}

impl<'a, F: Fn(DocAddress) -> Got + Sync> Ahead<'a, F> {
    pub(super) fn new(places: &'a [Place], threads: usize, read: F) -> Self {
        Self {
            places,
            read,
            threads,
            stride: 1,
            ready: VecDeque::new(),
        }
    }

    /// The block at this place, which is behind those that were asked for before.
    pub(super) fn get(&mut self, at: usize) -> Got {
        while self.ready.front().is_some_and(|(place, _)| *place < at) {
            self.ready.pop_front();
        }
        if self.ready.is_empty() {
            self.read_on(at);
        }
        let none = || IndexError::Damaged("a block that was found is not there".to_owned());
        self.ready.pop_front().ok_or_else(none)?.1
    }

    fn read_on(&mut self, at: usize) {
        let rest = self.places.get(at..).unwrap_or(&[]);
        let next = rest.get(..self.stride).unwrap_or(rest);
        let got = self.read(next);
        let is_barren = got.iter().all(|got| matches!(got, Ok(None)));
        self.stride = if is_barren {
            (self.stride * 2).min(STRIDE_MAX)
        } else {
            1
        };
        self.ready.extend((at..).zip(got));
    }

    /// In shares of what lies together. Answers those of the first places, of all of them unless much is wanted.
    fn read(&self, places: &[Place]) -> Vec<Got> {
        let share = places.len().div_ceil(self.threads).max(SHARE_MIN);
        let (own, others) = places.split_at(share.min(places.len()));
        thread::scope(|scope| {
            let begin = |share| {
                let read = move || self.share(share);
                (share, thread::Builder::new().spawn_scoped(scope, read))
            };
            let others: Vec<_> = others.chunks(share).map(begin).collect();
            let mut all = self.share(own);
            let mut is_whole = all.len() == own.len();
            for (share, thread) in others {
                let got = match thread.map(thread::ScopedJoinHandle::join) {
                    Ok(Ok(got)) => got,
                    Ok(Err(panic)) => std::panic::resume_unwind(panic),
                    // Of a machine that has no thread to spare.
                    Err(_) => self.share(share),
                };
                if is_whole {
                    is_whole = got.len() == share.len();
                    all.extend(got);
                }
            }
            all
        })
    }

    /// One by one, until so much is wanted that it should be visited first.
    fn share(&self, places: &[Place]) -> Vec<Got> {
        let (mut all, mut wanted) = (Vec::with_capacity(places.len()), 0);
        for place in places {
            let got = (self.read)(place.address);
            wanted += usize::from(!matches!(got, Ok(None)));
            all.push(got);
            if wanted >= WANTED_MAX {
                break;
            }
        }
        all
    }
}
