//! Looking for a text in the recording, a little at a time, so that keys are heard meanwhile.

use std::ops::ControlFlow;

use hansard_view::index::IndexError;
use hansard_view::search::{Match, Search};

use super::reel::Reel;
use crate::failure::Failure;

/// Events looked at before the loop gets its turn again: some milliseconds of work.
const EVENTS_A_TURN: usize = 64;

/// Which way to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Forward,
    Backward,
}

/// A search that is going on.
pub(super) struct Finder {
    way: Way,
    search: Search,
    /// Forward: matches of earlier events do not count. Backward: only they do.
    here_seq: u64,
    /// Backward: the number and time of the keyframe this part of the search began at, …
    entry: (u64, u64),
    /// … and the last match since then.
    best: Option<Match>,
}

/// How far it is.
pub(super) enum Finding {
    /// It goes on.
    On,
    Found(Match),
    Nothing,
}

impl Finder {
    /// Looks from where the reel stands. `found_seq` is the event of the match that was found
    /// last: standing there, looking back is looking before it.
    pub(super) fn new(
        reel: &mut Reel,
        needle: &str,
        way: Way,
        found_seq: Option<u64>,
    ) -> Result<Self, Failure> {
        let (at_ns, next_seq) = (reel.at_ns(), reel.next_seq());
        let made = match way {
            Way::Forward => {
                // Other events of this very moment may follow.
                let from = at_ns.checked_sub(1);
                let search = search_from(reel, needle, from, u64::MAX);
                search.map(|search| (search, next_seq, (0, 0)))
            }
            Way::Backward => {
                let stands_on_match =
                    found_seq.is_some_and(|seq| seq.saturating_add(1) == next_seq);
                let here = if stands_on_match {
                    next_seq.saturating_sub(1)
                } else {
                    next_seq
                };
                reel.indexed()
                    .index()
                    .entry_at(at_ns)
                    .and_then(|(number, entry)| {
                        let from = (number > 0).then_some(entry.at_ns);
                        Ok((
                            search_from(reel, needle, from, at_ns)?,
                            here,
                            (number, entry.at_ns),
                        ))
                    })
            }
        };
        let (search, here_seq, entry) = made.map_err(|e| reel.failure(&e))?;
        Ok(Self {
            way,
            search,
            here_seq,
            entry,
            best: None,
        })
    }

    /// Does a bounded amount of work.
    pub(super) fn work(&mut self, reel: &mut Reel, needle: &str) -> Result<Finding, Failure> {
        let found = self
            .search
            .next_match_within(EVENTS_A_TURN)
            .map_err(|e| reel.failure(&e))?;
        match (self.way, found) {
            (_, ControlFlow::Continue(())) => {}
            (Way::Forward, ControlFlow::Break(None)) => return Ok(Finding::Nothing),
            (Way::Forward, ControlFlow::Break(Some(found))) => {
                if found.seq >= self.here_seq {
                    return Ok(Finding::Found(found));
                }
            }
            (Way::Backward, ControlFlow::Break(Some(found))) if found.seq < self.here_seq => {
                self.best = Some(found);
            }
            // Everything up to where we stand has been seen.
            (Way::Backward, ControlFlow::Break(_)) => {
                if let Some(best) = self.best.take() {
                    return Ok(Finding::Found(best));
                }
                if !self
                    .begin_earlier(reel, needle)
                    .map_err(|e| reel.failure(&e))?
                {
                    return Ok(Finding::Nothing);
                }
            }
        }
        Ok(Finding::On)
    }

    /// The moment it has come to.
    pub(super) fn at_ns(&self) -> u64 {
        self.search.at_ns()
    }

    /// Begins the part of a search backwards that lies before the last one.
    fn begin_earlier(&mut self, reel: &mut Reel, needle: &str) -> Result<bool, IndexError> {
        let (mut number, upper_ns) = self.entry;
        while let Some(earlier) = number.checked_sub(1) {
            number = earlier;
            let entry = reel.indexed().index().entry(number)?;
            // Keyframes of one moment belong together: parts are divided by time.
            if entry.at_ns < upper_ns || number == 0 {
                let from = (number > 0).then_some(entry.at_ns);
                self.search = search_from(reel, needle, from, upper_ns)?;
                self.entry = (number, entry.at_ns);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn search_from(
    reel: &mut Reel,
    needle: &str,
    from_ns: Option<u64>,
    to_ns: u64,
) -> Result<Search, IndexError> {
    match from_ns {
        Some(from_ns) => Search::new(reel.indexed(), needle, from_ns, to_ns),
        None => Ok(Search::from_start(reel.indexed(), needle, to_ns)),
    }
}
