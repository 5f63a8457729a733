//! Storing, in four steps, and the way back.
//!
//! 1. Segments are gathered in a pack, which is written under a name that is its digest. A crash
//!    before this is done leaves nothing, and after it a blob that no catalog points to.
//! 2. The catalog's heads advance by compare-and-swap from the predecessor's digest, all sessions
//!    of the pack together. A crash after this leaves segments that are archived without anybody
//!    having heard of it.
//! 3. The segments are *settled*: whoever offered them gets a receipt of class S and may forget
//!    them. Offered again, they are recognised as archived.
//! 4. Rows are projected ([`crate::project`]), whenever there is time.
//!
//! Until a segment is settled the archive promises nothing: a receipt of class L says that whoever
//! offered it keeps its own copy. So nothing that waits in a pack is ever lost with this process.
//!
//! After a crash between 1 and 2 the blob is adopted: by the sender, when it offers the same
//! segments again and they make the same pack; otherwise by [`crate::reindex::adopt`], which a
//! service runs when it starts.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hansard_core::{Class, Receipt, SessionId};

use crate::blob::{BlobError, BlobStore};
use crate::catalog::{Advanced, Catalog, CatalogError, Place, SegmentRow};
use crate::chain::{Alarm, AlarmKind, Tip, Turn, turn};
use crate::limits::{PACK_AGE_NS, PACK_ATTEMPTS_MAX, PACK_BYTES};
use crate::pack::Pack;
use crate::segment::{SealedSegment, SegmentFacts, Unfit};

pub(crate) mod read;
pub mod source;
mod waiting;

pub use read::{Found, Problem, SessionReader, SessionReport, Wrong};
pub use source::SessionSource;
use waiting::{Closed, Ticket, Waiting};

/// Why a segment is not archived, sorted by what the caller does about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveError {
    /// Not now: keep the segment and offer it again later.
    Retry(String),
    /// It must not be where it claims to be. Never repeat; raise the alarm.
    Conflict(Alarm),
    /// Never: it is no sound segment.
    Refused(String),
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(why) | Self::Refused(why) => f.write_str(why),
            Self::Conflict(alarm) => write!(f, "conflict: {alarm}"),
        }
    }
}

impl std::error::Error for ArchiveError {}

impl From<Unfit> for ArchiveError {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Malformed(why) => Self::Refused(why),
            Unfit::Alarm(alarm) => Self::Conflict(alarm),
        }
    }
}

impl From<CatalogError> for ArchiveError {
    fn from(error: CatalogError) -> Self {
        // A damaged catalog is repaired by building it anew; until then nothing is archived and
        // nothing is given up.
        Self::Retry(error.to_string())
    }
}

impl From<BlobError> for ArchiveError {
    fn from(error: BlobError) -> Self {
        Self::Retry(error.to_string())
    }
}

/// When packs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveOptions {
    /// Stored bytes at which a pack is full.
    pub pack_bytes: u64,
    /// Age of a pack's first segment, nanoseconds, at which it is written though it is not full.
    pub pack_age_ns: u64,
}

impl Default for ArchiveOptions {
    fn default() -> Self {
        Self {
            pack_bytes: PACK_BYTES,
            pack_age_ns: PACK_AGE_NS,
        }
    }
}

/// A segment's place in its session.
pub type SegmentId = (SessionId, u32);

/// What became of a segment that was in a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Which.
    pub segment: SegmentId,
    /// It is archived (class S), or the alarm why it never will be.
    pub outcome: Result<(), Alarm>,
}

/// What writing packs came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flushed {
    /// Segments that this call settled, whoever offered them.
    pub settled: Vec<Settled>,
    /// Why packs still wait, if they do: `Retry`, or `Conflict` where a blob is not what was stored.
    pub trouble: Option<ArchiveError>,
}

/// The answer to segments that were offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// For each segment: class S when it is archived; class L when it waits in a pack, and will be
    /// settled by a later call.
    pub receipts: Vec<Result<Receipt, ArchiveError>>,
    /// What this call wrote.
    pub flushed: Flushed,
}

/// The archive. Shared by threads; those that want packs written at the same time share the work.
pub struct Archive {
    blobs: Arc<dyn BlobStore>,
    catalog: Arc<dyn Catalog>,
    options: ArchiveOptions,
    waiting: Mutex<Waiting>,
    written: Condvar,
}

impl Archive {
    /// An archive over these stores. Nothing is read before it is needed.
    #[must_use]
    pub fn new(
        blobs: Arc<dyn BlobStore>,
        catalog: Arc<dyn Catalog>,
        options: ArchiveOptions,
    ) -> Self {
        Self {
            blobs,
            catalog,
            options,
            waiting: Mutex::default(),
            written: Condvar::new(),
        }
    }

    /// Takes segments, those of one session in order. A pack that is full, or holds a session's
    /// end, is written before this returns.
    ///
    /// `now_ns` is a monotonic time, the same clock's in every call.
    pub fn put(&self, segments: &[SealedSegment], now_ns: u64) -> Put {
        let gathered = self.gather(segments, now_ns);
        let must_write = gathered.iter().zip(segments).any(|(gathered, segment)| {
            segment.facts().is_final && matches!(gathered, Gathered::In(_))
        });
        let flushed = self.write_due(now_ns, must_write);
        let receipts = gathered.into_iter().map(Gathered::receipt).collect();
        Put { receipts, flushed }
    }

    /// Writes the packs that are due. To be called when [`Archive::due_ns`] says, and, after there
    /// was trouble, again when the caller thinks that it may have passed: packs that are closed and
    /// not written are always due.
    pub fn tick(&self, now_ns: u64) -> Flushed {
        self.write_due(now_ns, false)
    }

    /// Writes everything that waits.
    pub fn flush(&self) -> Flushed {
        self.write_due(u64::MAX, true)
    }

    /// When a pack must be written though it is not full.
    #[must_use]
    pub fn due_ns(&self) -> Option<u64> {
        self.waiting().due_ns(self.options.pack_age_ns)
    }

    /// Bytes and segments that wait to be written.
    #[must_use]
    pub fn waits(&self) -> (u64, usize) {
        self.waiting().size()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges segments and puts those whose turn it is into the open pack.
    fn gather(&self, segments: &[SealedSegment], now_ns: u64) -> Vec<Gathered> {
        if let Err(e) = self.learn_tips(segments, false) {
            return segments.iter().map(|_| Gathered::No(e.clone())).collect();
        }
        let mut gathered = self.judge_all(segments, now_ns);
        // What a remembered end of a chain says against a segment counts only if the catalog says
        // the same: another archive over the same catalog may have been at work.
        let doubtful = |g: &Gathered| matches!(g, Gathered::Doubtful(_));
        if gathered.iter().any(doubtful) {
            let again: Vec<usize> = (0..segments.len())
                .filter(|i| gathered.get(*i).is_some_and(doubtful))
                .collect();
            let offered: Vec<SealedSegment> = again
                .iter()
                .filter_map(|i| segments.get(*i).cloned())
                .collect();
            let judged = match self.learn_tips(&offered, true) {
                Ok(()) => self.judge_all(&offered, now_ns),
                Err(e) => offered.iter().map(|_| Gathered::No(e.clone())).collect(),
            };
            for (i, judged) in again.into_iter().zip(judged) {
                if let Some(slot) = gathered.get_mut(i) {
                    *slot = judged;
                }
            }
        }
        gathered
            .into_iter()
            .zip(segments)
            .map(|(gathered, segment)| match gathered {
                Gathered::Earlier => self.earlier(segment.facts()),
                other => other,
            })
            .collect()
    }

    /// Asks the catalog where the chains of these segments end: those that nobody remembers, or
    /// (anew) all that have nothing waiting.
    fn learn_tips(&self, segments: &[SealedSegment], anew: bool) -> Result<(), ArchiveError> {
        let sessions: Vec<SessionId> = {
            let mut waiting = self.waiting();
            let mut sessions: Vec<SessionId> = segments.iter().map(|s| s.facts().session).collect();
            sessions.sort();
            sessions.dedup();
            if anew {
                sessions.iter().for_each(|session| waiting.forget(*session));
            }
            sessions.retain(|session| !waiting.remembers(*session));
            sessions
        };
        if sessions.is_empty() {
            return Ok(());
        }
        let heads = self.catalog.heads(&sessions)?;
        let mut tips: Vec<(SessionId, Option<Tip>)> = sessions
            .into_iter()
            .zip(heads.iter().map(|head| head.as_ref().map(Tip::from)))
            .collect();
        // Of what was deleted the catalog still knows where it ended.
        let new: Vec<SessionId> = tips
            .iter()
            .filter(|(_, tip)| tip.is_none())
            .map(|t| t.0)
            .collect();
        if !new.is_empty() {
            let mut tombstones = self.catalog.tombstones(&new)?.into_iter();
            for (_, tip) in tips.iter_mut().filter(|(_, tip)| tip.is_none()) {
                *tip = tombstones.next().flatten().as_ref().map(Tip::from);
            }
        }
        let mut waiting = self.waiting();
        for (session, tip) in tips {
            waiting.learn(session, tip);
        }
        Ok(())
    }

    fn judge_all(&self, segments: &[SealedSegment], now_ns: u64) -> Vec<Gathered> {
        let mut waiting = self.waiting();
        let judge = |segment: &SealedSegment| {
            let facts = segment.facts();
            if let Some((content, ticket)) = waiting.find(facts) {
                return match content == facts.content {
                    true => Gathered::In(ticket),
                    false => Gathered::No(ArchiveError::Conflict(fork(facts))),
                };
            }
            match turn(waiting.tip(facts.session), facts) {
                Turn::Next => self.add(&mut waiting, (segment, false), now_ns),
                Turn::TooEarly if segment.is_after_loss() => {
                    self.add(&mut waiting, (segment, true), now_ns)
                }
                Turn::Earlier => Gathered::Earlier,
                Turn::TooEarly => Gathered::Doubtful(ArchiveError::Retry(format!(
                    "a segment before segment {} of {} is missing",
                    facts.number, facts.session
                ))),
                Turn::Wrong(alarm) => Gathered::Doubtful(ArchiveError::Conflict(alarm)),
            }
        };
        segments.iter().map(judge).collect()
    }

    /// Puts a segment into the open pack; whether others before it are lost is kept with it.
    fn add(&self, waiting: &mut Waiting, segment: (&SealedSegment, bool), now_ns: u64) -> Gathered {
        match waiting.add(segment, now_ns, self.options.pack_bytes) {
            Some(ticket) => Gathered::In(ticket),
            None => Gathered::No(ArchiveError::Retry(
                "too much waits to be archived".to_owned(),
            )),
        }
    }

    /// A segment whose place is taken in the catalog: by itself, or by another.
    fn earlier(&self, facts: &SegmentFacts) -> Gathered {
        let there = match self.catalog.segments(facts.session, facts.number, 1) {
            Ok(rows) => rows.into_iter().find(|row| row.number == facts.number),
            Err(e) => return Gathered::No(e.into()),
        };
        match there {
            Some(row) if row.content == facts.content => Gathered::Archived,
            Some(_) => Gathered::No(ArchiveError::Conflict(fork(facts))),
            None => self.missing(facts),
        }
    }

    /// A segment before its session's newest that the catalog does not have.
    fn missing(&self, facts: &SegmentFacts) -> Gathered {
        match self.tombstone(facts.session) {
            Err(e) => Gathered::No(e),
            // It was archived, and deleted since: whoever still has it may forget it.
            Ok(Some(_)) => Gathered::Archived,
            Ok(None) => Gathered::No(ArchiveError::Refused(format!(
                "segment {} of {} was given up as lost",
                facts.number, facts.session
            ))),
        }
    }

    /// Closes the open pack if it is due, and writes closed packs in order until none is left.
    fn write_due(&self, now_ns: u64, must_write: bool) -> Flushed {
        let mut flushed = Flushed::default();
        let mut waiting = self.waiting();
        let due = waiting.due_ns(self.options.pack_age_ns);
        if must_write || due.is_some_and(|due| now_ns >= due) {
            waiting.close();
        }
        // What is closed now is written when this returns, by us or by whoever is at it. What
        // others close meanwhile is theirs to wait for.
        let last = waiting.last_closed();
        while let Some(closed) = waiting.first_closed().filter(|c| Some(c.number) <= last) {
            if waiting.writing {
                waiting = self
                    .written
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            waiting.writing = true;
            drop(waiting);
            let outcome = self.write_pack(&closed);
            waiting = self.waiting();
            waiting.writing = false;
            self.written.notify_all();
            match outcome {
                Ok(outcomes) => flushed.settled.extend(waiting.settle(&closed, &outcomes)),
                Err(e) => {
                    // The pack stays the first: its segments come before all later ones.
                    flushed.trouble = Some(e);
                    break;
                }
            }
        }
        flushed
    }

    /// Steps 1 and 2 for one pack. Repeating them is harmless: the blob is there already, and heads
    /// that have advanced say so.
    fn write_pack(&self, closed: &Closed) -> Result<Vec<Advanced>, ArchiveError> {
        let mut pack = Pack::clone(&closed.pack);
        let mut attempt = 0;
        let blob = loop {
            let name = pack.name()?;
            match self.blobs.put(&name, pack.bytes()) {
                Ok(()) => break name,
                // The name is the digest of these bytes, so the blob that has it is not what it
                // was. The segments must be kept all the same: under another name.
                Err(BlobError::Conflict(_)) if attempt < PACK_ATTEMPTS_MAX => {
                    attempt += 1;
                    pack.rename(attempt);
                }
                Err(BlobError::Conflict(why)) => return Err(blob_differs(&pack, why)),
                Err(e) => return Err(e.into()),
            }
        };
        // A crash here leaves a blob that nothing points to. It is adopted later, or its segments
        // are offered again and this pack is superfluous.
        let rows: Vec<SegmentRow> = pack
            .segments()
            .iter()
            .map(|(facts, offset, bytes)| {
                let place = Place {
                    blob: blob.clone(),
                    offset: *offset,
                    bytes: *bytes,
                };
                row(facts, place, closed.is_after_loss(facts))
            })
            .collect();
        // A crash after this leaves archived segments that their senders offer again.
        Ok(self.catalog.advance(&rows)?)
    }
}

/// The catalog's row of a segment.
pub(crate) fn row(facts: &SegmentFacts, place: Place, after_loss: bool) -> SegmentRow {
    SegmentRow {
        session: facts.session,
        number: facts.number,
        predecessor: facts.predecessor,
        digest: facts.digest,
        content: facts.content,
        key: facts.key,
        next_seq: facts.next_seq,
        last_ns: facts.last_ns,
        is_final: facts.is_final,
        after_loss,
        place,
    }
}

fn fork(facts: &SegmentFacts) -> Alarm {
    Alarm {
        kind: AlarmKind::Fork,
        session: facts.session,
        segment: facts.number,
        what: "another segment is in its place".to_owned(),
    }
}

fn blob_differs(pack: &Pack, why: String) -> ArchiveError {
    match pack.segments().first() {
        Some((facts, ..)) => ArchiveError::Conflict(Alarm {
            kind: AlarmKind::BlobDiffers,
            session: facts.session,
            segment: facts.number,
            what: why,
        }),
        None => ArchiveError::Retry(why),
    }
}

/// What gathering came to for one segment.
enum Gathered {
    /// It is in a pack.
    In(Ticket),
    /// It was archived before.
    Archived,
    /// Its place is taken, perhaps by itself.
    Earlier,
    /// Not taken, if the catalog agrees.
    Doubtful(ArchiveError),
    /// Not taken.
    No(ArchiveError),
}

impl Gathered {
    fn receipt(self) -> Result<Receipt, ArchiveError> {
        let class = match self {
            Self::In(ticket) => match ticket.outcome() {
                Some(Ok(())) => Class::S,
                Some(Err(alarm)) => return Err(ArchiveError::Conflict(alarm)),
                None => Class::L,
            },
            Self::Archived => Class::S,
            Self::Earlier => Class::L,
            Self::Doubtful(e) | Self::No(e) => return Err(e),
        };
        Ok(Receipt { class })
    }
}
