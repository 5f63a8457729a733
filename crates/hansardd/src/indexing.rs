//! The full-text index of what is kept: a thread that reads every session as it comes and puts its
//! texts into blocks ([`hansard_store::index`]), and the place where the index is found.
//!
//! Nobody waits for it. It is rung when something durable came of a session, reads that from the
//! spool or the archive as followers do, and shows what it read within a second or two. What it
//! missed (it was switched off, killed, or its index is gone) it finds by going through the catalog
//! and comparing what the index has of each session. So a start, a crash and an index that was thrown
//! away are all the same work.
//!
//! - `news`: what came; `session`: one session that is read; `turns`: the thread

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use hansard_store::index::{IndexError, TantivyIndex};
use hansard_store::{Catalog, Index};

use crate::follow::Followed;
use crate::journal::Journal;
use crate::standing_back::{Behind, stand_back};
use crate::working::Working;

mod news;
mod session;
mod turns;

pub use news::{News, NewsTap};
use turns::Turns;

/// The event that says who searched for what. It is not indexed itself: or each search would find
/// those before it.
pub const SEARCH_EVENT: &str = "session.search";

/// Where the index is; there is none while a damaged one is being thrown away.
#[derive(Clone)]
pub struct Shelf {
    root: PathBuf,
    index: Arc<RwLock<Option<Arc<TantivyIndex>>>>,
    /// Why somebody who looked through it found that it is damaged.
    doubt: Arc<Mutex<Option<String>>>,
}

impl Shelf {
    /// The index in this directory, begun anew where it cannot be read; why, if so.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(root: &Path) -> Result<(Self, Option<String>), IndexError> {
        let (index, why) = opened(root)?;
        let shelf = Self {
            root: root.to_owned(),
            index: Arc::new(RwLock::new(Some(Arc::new(index)))),
            doubt: Arc::default(),
        };
        Ok((shelf, why))
    }

    /// The index.
    ///
    /// # Errors
    /// `Retry` while there is none.
    pub fn index(&self) -> Result<Arc<TantivyIndex>, IndexError> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let none = || IndexError::Retry("the index is being begun anew".to_owned());
        index.clone().ok_or_else(none)
    }

    /// Somebody found it damaged: who fills it throws it away and begins anew.
    pub fn doubt(&self, why: &str) {
        let mut doubt = self.doubt.lock().unwrap_or_else(PoisonError::into_inner);
        *doubt = Some(why.to_owned());
    }

    fn take_doubt(&self) -> Option<String> {
        let mut doubt = self.doubt.lock().unwrap_or_else(PoisonError::into_inner);
        doubt.take()
    }

    /// Throws the index away and begins anew. A crash in here leaves a part of it, which is thrown
    /// away when it is opened.
    fn begin_anew(&self) -> Result<(), IndexError> {
        let mut place = self.index.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever looks through the old one has its files open, and its lock until they are done.
        drop(place.take());
        TantivyIndex::remove(&self.root)?;
        *place = Some(Arc::new(opened(&self.root)?.0));
        Ok(())
    }
}

/// Opens the index on a thread that stands back, as those do then that the index begins: nobody waits
/// for what they do.
fn opened(root: &Path) -> Result<(TantivyIndex, Option<String>), IndexError> {
    let open = || {
        stand_back(Behind::Everybody);
        TantivyIndex::open(root)
    };
    let fault = |_| IndexError::Retry("whoever opens the index has a fault".to_owned());
    std::thread::scope(|scope| scope.spawn(open).join()).map_err(fault)?
}

/// What came is found after so long at most, or it is told that not everything is: of what is being recorded
/// something is always about to be read.
const FOUND_WITHIN: Duration = Duration::from_secs(2);

/// A service's [`Parts::rest_after`].
pub const REST_AFTER: Duration = Duration::from_secs(10);

/// What it stands on.
pub struct Parts {
    /// Where sessions are read.
    pub followed: Followed,
    /// Which there are.
    pub catalog: Arc<dyn Catalog>,
    /// What comes.
    pub news: Arc<News>,
    /// Where the index is.
    pub shelf: Shelf,
    /// The daemon's log.
    pub journal: Journal,
    /// The key of this daemon's own recordings: only they are believed about what was deleted.
    pub key: [u8; 32],
    /// A session of which nothing came for so long gives back the memory of reading it, until more comes.
    pub rest_after: Duration,
}

/// What was done, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// Blocks in the index for good.
    pub blocks: u64,
    /// Bytes of the index on the disk.
    pub bytes: u64,
    /// Events that were read.
    pub events: u64,
    /// Sessions that are being read.
    pub sessions: u64,
    /// Whether everything that was there at the start has been compared, and all that was told since
    /// has been read, but for what came within the last two seconds.
    pub is_caught_up: bool,
    /// Why nothing is indexed just now, if so.
    pub trouble: Option<String>,
}

/// The thread.
pub struct Running {
    news: Arc<News>,
    thread: Working,
    figures: Arc<Mutex<Figures>>,
}

impl Running {
    /// How it is.
    #[must_use]
    pub fn figures(&self) -> Figures {
        // A turn that takes long says how it is only when it is over.
        let is_late = self.news.waits().is_some_and(|late| late > FOUND_WITHIN);
        let figures = self.figures.lock();
        let mut figures = figures.unwrap_or_else(PoisonError::into_inner).clone();
        figures.is_caught_up &= !is_late;
        figures
    }

    /// Ends it. What it did not come to is found at the next start.
    pub fn stop(&self) {
        self.news.stop();
        self.thread.wait();
    }
}

/// Begins to index.
///
/// # Errors
/// When the system has no thread.
pub fn start(parts: Parts) -> io::Result<Running> {
    let figures = Arc::<Mutex<Figures>>::default();
    let news = Arc::clone(&parts.news);
    let mut turns = Turns::new(parts, Arc::clone(&figures));
    let thread = Working::start("index", move || {
        stand_back(Behind::Everybody);
        turns.run();
    })?;
    Ok(Running {
        news,
        thread,
        figures,
    })
}

/// How much an index holds, by its figures.
fn size(index: &dyn Index) -> (u64, u64) {
    let size = index.size();
    (size.blocks, size.bytes)
}
