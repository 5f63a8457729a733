//! The full-text index, asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hansard_record::clock::Clock;
use hansard_store::Catalog;
use hansard_store::index::{Found, IndexError, Lines, Wish, lines, search};

use crate::api::problem::Trouble;
use crate::api::seams::{Asked, Searching};
use crate::indexing::{Running, Shelf};
use crate::live::{Live, READ_WITHIN};

/// How long one answer is looked for; then what was found is answered, with where to go on.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// The index of a service.
pub struct Searched {
    /// Where it is.
    pub shelf: Shelf,
    /// Who feeds it.
    pub indexing: Arc<Running>,
    /// What `since:7d` counts from.
    pub clock: Arc<dyn Clock>,
    /// What was deleted.
    pub catalog: Arc<dyn Catalog>,
    /// What is durable, and told to who feeds it.
    pub live: Live,
}

impl Searching for Searched {
    fn now_ns(&self) -> u64 {
        self.clock.utc_ns()
    }

    fn is_whole(&self) -> bool {
        // What the keeper did not come to is told to nobody yet.
        let is_told = self.live.is_read(READ_WITHIN);
        is_told && self.indexing.figures().is_caught_up
    }

    fn search(&self, asked: &Asked<'_>) -> Result<Found, Trouble> {
        let began = Instant::now();
        let index = self.shelf.index().map_err(trouble)?;
        let where_and_how = (asked.after, asked.limits);
        let is_enough = || began.elapsed() >= LOOK_MAX;
        let found = search(
            &*index,
            asked.question,
            asked.owner,
            where_and_how,
            &is_enough,
        );
        let mut found = self.judged(found)?;
        self.leave_out_deleted(&mut found)?;
        Ok(found)
    }

    fn lines(&self, wish: &Wish) -> Result<Lines, Trouble> {
        let index = self.shelf.index().map_err(trouble)?;
        self.judged(lines(&*index, wish))
    }
}

impl Searched {
    /// What is deleted is not found from that moment on: the index hears of it later, and where it is in
    /// trouble much later.
    fn leave_out_deleted(&self, found: &mut Found) -> Result<(), Trouble> {
        let ids: Vec<_> = found.sessions.iter().map(|of| of.whose.session).collect();
        let tombstones = self.catalog.tombstones(&ids);
        let tombstones = tombstones.map_err(|e| Trouble::Retry(e.to_string()))?;
        let mut deleted = tombstones.iter().map(Option::is_some);
        found.sessions.retain(|_| deleted.next() != Some(true));
        Ok(())
    }

    fn judged<T>(&self, found: Result<T, IndexError>) -> Result<T, Trouble> {
        if let Err(IndexError::Damaged(why)) = &found {
            self.shelf.doubt(why);
        }
        found.map_err(trouble)
    }
}

fn trouble(error: IndexError) -> Trouble {
    match error {
        // Who feeds it sees the same and begins it anew.
        IndexError::Damaged(why) | IndexError::Retry(why) => Trouble::Retry(why),
    }
}
