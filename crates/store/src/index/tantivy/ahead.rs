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

/// Blocks that are worth a thread. Fewer are about one piece of what is compressed together, which each
/// thread decompresses for itself.
const SHARE_MIN: usize = 64;

/// Threads at most: who searches must not take a whole machine from those who record.
const THREADS_MAX: usize = 4;

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
    pub(super) fn new(places: &'a [Place], read: F) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            places,
            read,
            threads: threads.min(THREADS_MAX),
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
        self.ready.pop_front().map_or(Ok(None), |(_, got)| got)
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

    /// In shares of what lies together.
    fn read(&self, places: &[Place]) -> Vec<Got> {
        let one = |place: &Place| (self.read)(place.address);
        let share = places.len().div_ceil(self.threads).max(SHARE_MIN);
        let (own, others) = places.split_at(share.min(places.len()));
        thread::scope(|scope| {
            let others: Vec<_> = others
                .chunks(share)
                .map(|share| scope.spawn(move || share.iter().map(one).collect::<Vec<_>>()))
                .collect();
            let mut all: Vec<Got> = own.iter().map(one).collect();
            for other in others {
                match other.join() {
                    Ok(got) => all.extend(got),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all
        })
    }
}
