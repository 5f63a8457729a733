//! Blocks in memory: an index of its own for tests, and what an index on disk has not written yet.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_core::SessionId;

use super::{Block, Index, IndexError, Kept, May, Scope, Size, Spot, Visit, load_held};

/// Bytes of blocks that wait to be written; with more, none is taken until some are.
pub const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Blocks by their place.
#[derive(Debug, Default, Clone)]
pub(super) struct Held {
    blocks: BTreeMap<Spot, Arc<Block>>,
    bytes: usize,
    closed_bytes: usize,
}

impl Held {
    /// Answers the block as it is held, and how many bytes of blocks there are that wait to be
    /// written.
    pub(super) fn put(&mut self, block: Block) -> Result<(Arc<Block>, usize), IndexError> {
        let bytes = weight(&block);
        if self.bytes.saturating_add(bytes) > HELD_BYTES_MAX {
            let why = "too much of the index waits to be written".to_owned();
            return Err(IndexError::Retry(why));
        }
        let spot = Spot {
            session: block.whose.session,
            number: block.number,
        };
        let block = Arc::new(block);
        self.bytes += bytes;
        self.closed_bytes += closed_weight(&block);
        if let Some(old) = self.blocks.insert(spot, Arc::clone(&block)) {
            self.let_go(&old);
        }
        Ok((block, self.closed_bytes))
    }

    fn let_go(&mut self, block: &Block) {
        self.bytes = self.bytes.saturating_sub(weight(block));
        self.closed_bytes = self.closed_bytes.saturating_sub(closed_weight(block));
    }

    /// Blocks that nothing more comes into.
    pub(super) fn closed(&self) -> Vec<Arc<Block>> {
        let closed = self.blocks.values().filter(|block| !block.is_open);
        closed.cloned().collect()
    }

    /// Takes away what was written, unless another stands in its place.
    pub(super) fn written(&mut self, blocks: &[Arc<Block>]) {
        for block in blocks {
            let spot = Spot {
                session: block.whose.session,
                number: block.number,
            };
            let is_it = |there: &Arc<Block>| Arc::ptr_eq(there, block);
            if self.blocks.get(&spot).is_some_and(is_it) {
                self.blocks.remove(&spot);
                self.let_go(block);
            }
        }
    }

    pub(super) fn forget(&mut self, sessions: &HashSet<SessionId>) {
        self.blocks
            .retain(|spot, _| !sessions.contains(&spot.session));
        self.bytes = self.blocks.values().map(|block| weight(block)).sum();
        let closed = self.blocks.values().map(|block| closed_weight(block));
        self.closed_bytes = closed.sum();
    }

    /// Bytes of blocks that wait to be written.
    pub(super) fn closed_bytes(&self) -> usize {
        self.closed_bytes
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Blocks behind a place that are within the scope. They are not asked for words: those are
    /// looked for in them anyway, and who asks knows a quicker way.
    pub(super) fn behind(&self, scope: &Scope, after: Option<Spot>) -> Vec<(Spot, Arc<Block>)> {
        let fits = |(spot, block): &(&Spot, &Arc<Block>)| {
            after.is_none_or(|after| **spot > after) && block.is_within(&scope.bounds)
        };
        let found = self.blocks.iter().filter(fits);
        found
            .map(|(spot, block)| (*spot, Arc::clone(block)))
            .collect()
    }

    /// All places, whatever is in them.
    pub(super) fn spots(&self) -> HashSet<Spot> {
        self.blocks.keys().copied().collect()
    }
}

fn closed_weight(block: &Block) -> usize {
    if block.is_open { 0 } else { weight(block) }
}

fn weight(block: &Block) -> usize {
    block.texts.len() + block.entries.len() * 96 + 512
}

/// An index in memory. It can be made to fail; what was committed is what a crash would leave.
#[derive(Debug, Default)]
pub struct MemoryIndex {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    now: Held,
    committed: Held,
    kept: HashMap<SessionId, Kept>,
    fails: bool,
}

impl MemoryIndex {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether everything that writes fails from now on.
    pub fn set_failing(&self, fails: bool) {
        self.lock().fails = fails;
    }

    /// What a loss of power leaves: only what was committed.
    pub fn lose_power(&self) {
        let mut inner = self.lock();
        inner.now = inner.committed.clone();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn check(&self) -> Result<(), IndexError> {
        match self.fails {
            true => Err(IndexError::Retry("told to fail".to_owned())),
            false => Ok(()),
        }
    }
}

impl Index for MemoryIndex {
    fn put(&self, block: Block) -> Result<(), IndexError> {
        let mut inner = self.lock();
        inner.check()?;
        inner.now.put(block).map(drop)
    }

    fn commit(&self) -> Result<(), IndexError> {
        let mut inner = self.lock();
        inner.check()?;
        for block in inner.now.closed() {
            let kept = inner.kept.entry(block.whose.session).or_default();
            kept.blocks = kept.blocks.max(block.number.saturating_add(1));
            kept.is_whole |= block.is_last;
            inner.committed.put((*block).clone())?;
        }
        Ok(())
    }

    fn kept(&self, session: SessionId) -> Result<Kept, IndexError> {
        Ok(self.lock().kept.get(&session).copied().unwrap_or_default())
    }

    fn forget(&self, sessions: &[SessionId]) -> Result<(), IndexError> {
        let mut inner = self.lock();
        inner.check()?;
        let sessions: HashSet<SessionId> = sessions.iter().copied().collect();
        inner.now.forget(&sessions);
        inner.committed.forget(&sessions);
        inner.kept.retain(|session, _| !sessions.contains(session));
        Ok(())
    }

    fn look(
        &self,
        scope: &Scope,
        after: Option<Spot>,
        may: May<'_>,
        visit: Visit<'_>,
    ) -> Result<(), IndexError> {
        let found = self.lock().now.behind(scope, after);
        for (spot, block) in found {
            if let ControlFlow::Break(()) = visit(spot, &mut || Ok(load_held(&block, may)))? {
                break;
            }
        }
        Ok(())
    }

    fn size(&self) -> Size {
        let inner = self.lock();
        Size {
            blocks: inner.committed.len() as u64,
            bytes: inner.committed.bytes as u64,
            held: inner.now.len() as u64,
        }
    }
}
