//! Full text: what stood on screens, what was typed, commands and events, found again by words.
//!
//! A session's texts are cut into blocks of some thirty kilobytes. An index knows which words are in
//! which block, and keeps the block beside it, compressed; whether a block that has all the words
//! holds an answer, and when it was there, is read from the block itself ([`search`]). So phrases,
//! expressions and moments need no positions in the index, which would be larger than all the rest.
//!
//! Everything here is computed from recordings and can be thrown away: an index that is lost,
//! damaged or of another version is begun anew, and filled again by who feeds it.
//!
//! - [`block`]: what is kept of a session's texts; [`held`]: blocks in memory; [`tantivy`]: on disk
//! - [`search`]: answers; [`lines`]: a session's text as one reads it; `conformance`: the suite that every index passes

use std::cmp::Reverse;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use hansard_core::SessionId;
use hansard_view::question::{Bounds, Need};

pub mod block;
mod columns;
#[cfg(test)]
mod conformance;
pub mod held;
pub mod lines;
pub mod search;
pub mod tantivy;
mod wire;

pub use block::{Block, BlockWriter, Whose};
pub use columns::Shown;
pub use held::MemoryIndex;
pub use lines::{Line, LinePlace, Lines, Wish, lines};
pub use search::{Found, Hit, Limits, search};
pub use tantivy::TantivyIndex;

/// Why an index did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexError {
    /// Not now: ask again later.
    Retry(String),
    /// What is kept is not sound: throw it away and begin anew.
    Damaged(String),
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(why) => f.write_str(why),
            Self::Damaged(why) => write!(f, "the index is damaged: {why}"),
        }
    }
}

impl std::error::Error for IndexError {}

/// Where a block stands. The order is that of answers: sessions that began last come first, and the
/// blocks of one as they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spot {
    /// Of which session.
    pub session: SessionId,
    /// Its number in the session, from 0.
    pub number: u32,
}

impl Spot {
    /// Behind everything of a session.
    #[must_use]
    pub fn behind(session: SessionId) -> Self {
        Self {
            session,
            number: u32::MAX,
        }
    }

    fn place(self) -> (Reverse<SessionId>, u32) {
        (Reverse(self.session), self.number)
    }
}

impl PartialOrd for Spot {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Spot {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

/// Which blocks are asked for.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Words that must be in it, all of them.
    pub needs: Vec<Need>,
    /// Of which sessions, and of which something was there then.
    pub bounds: Bounds,
}

/// How much of a session an index has for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// So many blocks, from its first.
    pub blocks: u32,
    /// Whether the last of them is the session's last.
    pub is_whole: bool,
}

/// How much an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Blocks for good.
    pub blocks: u64,
    /// Bytes they and their words take on the disk.
    pub bytes: u64,
    /// Blocks that wait in memory.
    pub held: u64,
}

/// Is shown all texts of a block, one behind the other, and says whether the block is wanted for them:
/// taking a block apart costs more than looking through its texts. Is asked in any order, by several
/// threads, and also for blocks that are not loaded then.
pub type May<'a> = &'a (dyn Fn(&Shown<'_>) -> bool + Sync);

/// Gets a block that was found; `None` where it is not wanted for its texts. Is called once at most.
pub type Load<'a> = &'a mut dyn FnMut() -> Result<Option<Arc<Block>>, IndexError>;

/// Every block is wanted.
fn any(_: &Shown<'_>) -> bool {
    true
}

/// Gets a block where [`any`] is wanted.
fn load_any(load: Load<'_>) -> Result<Arc<Block>, IndexError> {
    let none = || IndexError::Damaged("a block that was found is not there".to_owned());
    load()?.ok_or_else(none)
}

/// A block that is in memory, if it is wanted for its texts.
fn load_held(block: &Arc<Block>, may: May<'_>) -> Option<Arc<Block>> {
    may(&Shown::plain(&block.texts)).then(|| Arc::clone(block))
}

/// Is shown each block that may hold an answer, and says whether there shall be more.
pub type Visit<'a> = &'a mut dyn FnMut(Spot, Load<'_>) -> Result<ControlFlow<()>, IndexError>;

/// Blocks of text, found by words.
///
/// Contract, in the words of RFC 2119:
///
/// - Blocks of a session MUST be put in the order of their numbers, without a hole, each made anew
///   equal to what it was (blocks are a function of the recording). One writer puts.
/// - `put` MUST NOT return `Ok` before the block is found by every `look` that begins afterwards in
///   this process. A block in the place of one of the same session and number MUST replace it: a
///   block is open while its session goes on, and is put again as it grows.
/// - An open block ([`Block::is_open`]) MUST NOT become durable, nor be counted by `kept`.
/// - `commit` MUST NOT return `Ok` before every block that was put and is not open is durable: it
///   survives the loss of power. Until then `kept` MUST NOT count it. After an error blocks that were
///   put MUST still be found, and `commit` MAY be called again.
/// - After `forget` returned `Ok` nothing of these sessions MUST be found or counted, also after a
///   crash. It MAY make durable what was put; `put` MAY, too. Of what is kept their texts MUST be gone
///   within a day, while `commit` is called now and then.
/// - `look` MUST visit, in the order of [`Spot`] and each once, every block behind `after` that holds
///   all the needs and is within the scope; it MAY visit others. What is put or forgotten meanwhile
///   MAY be seen or not.
/// - Where what is kept is not sound, `Damaged` MUST be returned, and never an answer that leaves
///   blocks out because of it. The holder then drops the index and opens it anew, which MUST begin
///   with nothing rather than fail.
pub trait Index: Send + Sync {
    /// Takes a block.
    ///
    /// # Errors
    /// `Retry` when too much waits to be committed.
    fn put(&self, block: Block) -> Result<(), IndexError>;

    /// Makes durable what was put.
    ///
    /// # Errors
    /// `Retry` when the disk fails.
    fn commit(&self) -> Result<(), IndexError>;

    /// How much of a session is durable.
    ///
    /// # Errors
    /// As sorted by [`IndexError`].
    fn kept(&self, session: SessionId) -> Result<Kept, IndexError>;

    /// Takes sessions away that were deleted.
    ///
    /// # Errors
    /// As sorted by [`IndexError`].
    fn forget(&self, sessions: &[SessionId]) -> Result<(), IndexError>;

    /// Visits blocks that may hold an answer.
    ///
    /// # Errors
    /// As sorted by [`IndexError`], and what `visit` returns.
    fn look(
        &self,
        scope: &Scope,
        after: Option<Spot>,
        may: May<'_>,
        visit: Visit<'_>,
    ) -> Result<(), IndexError>;

    /// How much there is.
    fn size(&self) -> Size;
}

#[cfg(test)]
mod tests;
