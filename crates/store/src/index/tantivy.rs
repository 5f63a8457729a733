//! The index on disk: words, times and names of each block in tantivy, and the block beside them.
//!
//! What is put is held in memory until it is committed, and found there; a commit writes it, shows
//! it, and only then lets go of what is held. So a look that takes what is held first and what is
//! written second misses nothing, and an error of the disk loses nothing that was put.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_core::SessionId;
use tantivy::directory::error::OpenReadError;
use tantivy::schema::Value as _;
use tantivy::{
    DocAddress, IndexReader, IndexWriter, ReloadPolicy, Searcher, TantivyDocument, TantivyError,
    Term,
};

use super::held::Held;
use super::wire::{NotABlock, Packed};
use super::{Block, Index, IndexError, Kept, May, Scope, Size, Spot, Visit, load_held};

mod ahead;
mod asked;
mod fields;
mod spots;
mod terms;
mod worn;

use ahead::Ahead;
use fields::Fields;
use spots::{Place, Spots};
use worn::Worn;

/// Version of what is in the directory; another one's is thrown away. It counts the fields, the
/// words, the layout of blocks, what of a recording is text, and the library's own format.
const VERSION: &str = "v7-tantivy-0.27";

/// Memory of the thread that puts words together; what is more goes to the disk early.
const WRITER_BYTES: usize = 32 * 1024 * 1024;

/// Places that are found at once; behind them the same is asked again.
const ROUND: usize = 2048;

/// Bytes of closed blocks that wait at most: with more they are committed at once, however short ago
/// that was done.
const COMMIT_BYTES: usize = 24 * 1024 * 1024;

/// Pieces of the store that are kept in memory decompressed, of each of its files.
const PIECES_KEPT: usize = 8;

/// What writes, and what it was given since the last commit.
#[derive(Default)]
struct Writing {
    writer: Option<IndexWriter>,
    given: HashSet<Spot>,
}

/// An index in a directory. One process at a time.
pub struct TantivyIndex {
    path: PathBuf,
    index: tantivy::Index,
    fields: Fields,
    reader: IndexReader,
    writing: Mutex<Writing>,
    held: Mutex<Held>,
    worn: Mutex<Worn>,
    threads: usize,
}

impl std::fmt::Debug for TantivyIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TantivyIndex")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl TantivyIndex {
    /// Opens the index in a directory, which is made if it is not there. One that cannot be opened,
    /// or is of another version, is thrown away and begun anew; answers why, if so.
    ///
    /// A crash in here leaves a part of a directory, which the next call throws away.
    ///
    /// # Errors
    /// `Retry` when the disk fails, or another process has it.
    pub fn open(root: &Path) -> Result<(Self, Option<String>), IndexError> {
        fs::create_dir_all(root).map_err(|e| failed(root, &e))?;
        let path = root.join(VERSION);
        let mut why = remove_others(root)?;
        match guarded(|| Self::open_at(&path)) {
            Ok(index) => Ok((index, why)),
            Err(IndexError::Retry(why)) => Err(IndexError::Retry(why)),
            Err(IndexError::Damaged(what)) => {
                why.get_or_insert(what);
                remove(&path)?;
                let again = Self::open_at(&path);
                again.map(|index| (index, why)).map_err(|e| {
                    // A new one that is damaged is a disk that does not keep what it is given.
                    IndexError::Retry(e.to_string())
                })
            }
        }
    }

    /// Throws away what is in a directory: the next [`TantivyIndex::open`] begins anew.
    ///
    /// # Errors
    /// `Retry` when the disk fails.
    pub fn remove(root: &Path) -> Result<(), IndexError> {
        remove(root)
    }

    fn open_at(path: &Path) -> Result<Self, IndexError> {
        fs::create_dir_all(path).map_err(|e| failed(path, &e))?;
        let (schema, fields) = fields::schema();
        let directory = tantivy::directory::MmapDirectory::open(path)
            .map_err(|e| sorted(TantivyError::from(e)))?;
        let builder = tantivy::Index::builder()
            .schema(schema)
            .settings(fields::settings())
            .tokenizers(fields::tokenizers());
        let index = builder.open_or_create(directory).map_err(sorted)?;
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(PIECES_KEPT)
            .try_into()
            .map_err(sorted)?;
        let this = Self {
            path: path.to_owned(),
            index,
            fields,
            reader,
            writing: Mutex::default(),
            held: Mutex::default(),
            worn: Mutex::default(),
            threads: ahead::threads(),
        };
        // Locks the directory, and reads what there is to read.
        let writer = this.make_writer()?;
        this.writing().writer = Some(writer);
        Ok(this)
    }

    /// Reads every file and compares its checksum.
    ///
    /// # Errors
    /// `Damaged` where one is not what was written.
    pub fn check(&self) -> Result<(), IndexError> {
        let damaged = guarded(|| self.index.validate_checksum().map_err(sorted))?;
        match damaged.into_iter().min() {
            None => Ok(()),
            Some(file) => Err(IndexError::Damaged(format!(
                "{} is not what was written",
                file.display()
            ))),
        }
    }

    fn make_writer(&self) -> Result<IndexWriter, IndexError> {
        let options = tantivy::indexer::IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(WRITER_BYTES)
            .build();
        self.index.writer_with_options(options).map_err(sorted)
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the writer do something. After an error it is made anew by the next call: one that failed
    /// says so ever after, and what it was given is not written.
    fn with_writer(
        &self,
        work: impl FnOnce(&mut IndexWriter, &mut HashSet<Spot>) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let mut place = self.writing();
        let mut given = std::mem::take(&mut place.given);
        let mut writer = match place.writer.take() {
            Some(writer) => writer,
            None => self.make_writer()?,
        };
        guarded(|| work(&mut writer, &mut given))?;
        *place = Writing {
            writer: Some(writer),
            given,
        };
        Ok(())
    }

    /// Gives what is not given yet, does something more, and commits. All closed blocks or none become
    /// durable by it, so that there is no hole among those of a session.
    fn write(
        &self,
        work: impl FnOnce(&mut IndexWriter) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let blocks = self.held().closed();
        self.with_writer(|writer, given| {
            let missing = blocks
                .iter()
                .filter(|block| !given.contains(&spot_of(block)));
            for block in missing {
                self.give(writer, block)?;
            }
            work(writer)?;
            writer.commit().map_err(sorted)?;
            given.clear();
            Ok(())
        })?;
        guarded(|| self.reader.reload().map_err(sorted))?;
        self.held().written(&blocks);
        Ok(())
    }

    /// Gives a block to the writer, which works on it meanwhile.
    fn give(&self, writer: &IndexWriter, block: &Block) -> Result<(), IndexError> {
        // One that is there already, after a crash of who feeds, is replaced.
        writer.delete_term(self.fields.key(block));
        let document = self.fields.document(block);
        writer.add_document(document).map_err(sorted).map(drop)
    }

    /// A block, if it is wanted for its texts.
    fn block(
        &self,
        searcher: &Searcher,
        place: DocAddress,
        may: May<'_>,
    ) -> Result<Option<Arc<Block>>, IndexError> {
        let document: TantivyDocument = guarded(|| searcher.doc(place).map_err(sorted))?;
        let damaged = || IndexError::Damaged("a block is not what was written".to_owned());
        let texts = document.get_first(self.fields.texts);
        let texts = texts.as_ref().and_then(|value| value.as_str());
        let packed = document.get_first(self.fields.block);
        let packed = packed.as_ref().and_then(|value| value.as_bytes());
        let (Some(packed), Some(texts)) = (packed, texts) else {
            return Err(damaged());
        };
        let packed = Packed::of(packed, texts).map_err(|NotABlock| damaged())?;
        if !may(packed.texts()) {
            return Ok(None);
        }
        let block = packed.unpack().map_err(|NotABlock| damaged())?;
        Ok(Some(Arc::new(block)))
    }
}

impl Index for TantivyIndex {
    fn put(&self, block: Block) -> Result<(), IndexError> {
        let (spot, is_open) = (spot_of(&block), block.is_open);
        let (block, closed_bytes) = self.held().put(block)?;
        if is_open {
            return Ok(());
        }
        // An error of this is one of the next commit, too: what is not given yet is given then.
        let _ = self.with_writer(|writer, given| {
            given.insert(spot);
            self.give(writer, &block)
        });
        if closed_bytes >= COMMIT_BYTES {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&self) -> Result<(), IndexError> {
        if self.held().closed_bytes() > 0 {
            self.write(|_| Ok(()))?;
        }
        self.renew_worn()
    }

    fn kept(&self, session: SessionId) -> Result<Kept, IndexError> {
        let mut scope = Scope::default();
        scope.bounds.session = Some(session);
        let query = asked::query(&self.fields, &scope)?;
        let collector = Spots::new(None, usize::MAX);
        let searcher = self.reader.searcher();
        let places = guarded(|| searcher.search(&*query, &collector).map_err(sorted))?;
        let mut kept = Kept::default();
        for place in places {
            kept.blocks = kept.blocks.max(place.spot.number.saturating_add(1));
            kept.is_whole |= place.is_last;
        }
        Ok(kept)
    }

    fn forget(&self, sessions: &[SessionId]) -> Result<(), IndexError> {
        if sessions.is_empty() {
            return Ok(());
        }
        self.held().forget(&sessions.iter().copied().collect());
        self.write(|writer| {
            for session in sessions {
                let id = session.to_string();
                writer.delete_term(Term::from_field_text(self.fields.session, &id));
            }
            Ok(())
        })
    }

    fn look(
        &self,
        scope: &Scope,
        after: Option<Spot>,
        may: May<'_>,
        visit: Visit<'_>,
    ) -> Result<(), IndexError> {
        let (held, masked): (_, HashSet<Spot>) = {
            let held = self.held();
            (held.behind(scope, after), held.spots())
        };
        // After what is held: what is written meanwhile is seen twice rather than never.
        let searcher = self.reader.searcher();
        let query = asked::query(&self.fields, scope)?;
        let mut held = held.into_iter().peekable();
        let mut after = after;
        loop {
            let spots = Spots::new(after, ROUND);
            let found: Vec<Place> = guarded(|| searcher.search(&*query, &spots).map_err(sorted))?;
            let is_all = found.len() < ROUND;
            after = found.last().map(|place| place.spot);
            let mut ahead = Ahead::new(&found, self.threads, |place| {
                self.block(&searcher, place, may)
            });
            for (at, place) in found.iter().enumerate() {
                while let Some((spot, block)) = held.next_if(|(spot, _)| *spot <= place.spot) {
                    if let ControlFlow::Break(()) = visit(spot, &mut || Ok(load_held(&block, may)))?
                    {
                        return Ok(());
                    }
                }
                if masked.contains(&place.spot) {
                    continue;
                }
                if let ControlFlow::Break(()) = visit(place.spot, &mut || ahead.get(at))? {
                    return Ok(());
                }
            }
            if is_all {
                break;
            }
        }
        for (spot, block) in held {
            if let ControlFlow::Break(()) = visit(spot, &mut || Ok(load_held(&block, may)))? {
                break;
            }
        }
        Ok(())
    }

    fn size(&self) -> Size {
        let held = self.held().len() as u64;
        let files = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let bytes = files.filter_map(|file| file.metadata().ok());
        Size {
            blocks: self.reader.searcher().num_docs(),
            bytes: bytes.map(|file| file.len()).sum(),
            held,
        }
    }
}

fn spot_of(block: &Block) -> Spot {
    Spot {
        session: block.whose.session,
        number: block.number,
    }
}

/// Removes what other versions left; answers that there was something.
fn remove_others(root: &Path) -> Result<Option<String>, IndexError> {
    let mut found = None;
    for entry in fs::read_dir(root).map_err(|e| failed(root, &e))? {
        let entry = entry.map_err(|e| failed(root, &e))?;
        if entry.file_name() == VERSION {
            continue;
        }
        remove(&entry.path())?;
        found = Some("it was of another version".to_owned());
    }
    Ok(found)
}

fn remove(path: &Path) -> Result<(), IndexError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed(path, &e)),
        _ => Ok(()),
    }
}

/// The library panics at some damage; nothing of it is used any more then.
fn guarded<T>(work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(IndexError::Damaged("it cannot be read".to_owned())))
}

fn failed(path: &Path, error: &io::Error) -> IndexError {
    IndexError::Retry(format!("{}: {error}", path.display()))
}

/// By what the caller does. What is not known to pass is damage: the index is computed, and beginning
/// anew costs time only.
fn sorted(error: TantivyError) -> IndexError {
    let words = error.to_string();
    let is_cut = |e: &io::Error| {
        matches!(
            e.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
        )
    };
    match error {
        TantivyError::IoError(e) if is_cut(&e) => IndexError::Damaged(words),
        TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. })
            if is_cut(&io_error) =>
        {
            IndexError::Damaged(words)
        }
        TantivyError::IoError(_)
        | TantivyError::LockFailure(..)
        | TantivyError::OpenWriteError(_)
        | TantivyError::OpenDirectoryError(_)
        | TantivyError::ErrorInThread(_)
        | TantivyError::Poisoned
        | TantivyError::SystemError(_)
        | TantivyError::InvalidArgument(_)
        | TantivyError::OpenReadError(OpenReadError::IoError { .. }) => IndexError::Retry(words),
        _ => IndexError::Damaged(words),
    }
}
