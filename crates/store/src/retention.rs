//! Deleting for good what is old enough.
//!
//! 1. Somebody is told, durably, before anything is done ([`Tell`]).
//! 2. The session's rows give way to a tombstone, in one transaction, and the blobs it is in are
//!    doomed ([`Retention::bury`]).
//! 3. The rows of its events are removed, some at a time.
//! 4. A doomed blob that no row points to any more is deleted. One of which more than half is dead is
//!    written again without the dead, and deleted by a later run, when nobody can be about to read it
//!    there. One of which less is dead waits for its other sessions to expire.
//!
//! A crash leaves the rest of it to the next run. After 1 somebody was told of a deletion that then
//! happens later; after 2 the session is deleted, and what is left is swept up.
//!
//! A service's own recordings, which tell of holds and deletions, grow old, too. Before one is deleted, what it
//! told of and still is so is told again, in today's.
//!
//! Age is counted twice, and both must be enough: from the session's last event by its own clock, and
//! from when this service dated it by its own ([`Retention::date`]). Whether that can be believed is
//! the caller's question: no clock here.

use hansard_core::SessionId;

use crate::archive::ArchiveError;
use crate::archive::read::{Fetch, fetch_current, is_in_place};
use crate::blob::{BlobError, BlobName, BlobStore};
use crate::catalog::{
    Burial, Buried, Catalog, Cursor, Expiry, Move, Place, SegmentRow, SessionRow, Tombstone,
};
use crate::limits::{REPACK_DEAD_PERCENT, RETENTION_BATCH, SWEEP_ROWS};
use crate::pack::{PackBuilder, TableError, read_table};
use crate::reindex::told_of;
use crate::segment::SealedSegment;

/// How much longer a session is kept that has no end: it may be going on, quietly, or on a host that is cut off, and once it
/// is deleted nothing of it is taken any more.
pub const UNENDED_NS: u64 = 90 * DAY_NS;

/// The kind of a service's own recordings.
const SERVICE: &str = "service";

const DAY_NS: u64 = 86_400_000_000_000;

/// Sessions that one run deletes; the others are the next run's.
pub const DELETED_PER_RUN: u64 = 10_000;

/// How long sessions of a sort are kept. Of several rules the first that fits a session decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// Its name, for whoever asks later why.
    pub name: String,
    /// Of this kind.
    pub kind: Option<String>,
    /// On this host.
    pub host: Option<String>,
    /// Of this user.
    pub user: Option<String>,
    /// With all of these labels, `name=value`.
    pub labels: Vec<String>,
    /// How long, nanoseconds; `None`: for ever.
    pub keep_ns: Option<u64>,
}

impl Rule {
    fn expiry(&self, utc_ns: u64, keep_ns: u64, after: Option<Cursor>) -> Expiry {
        let before_ns = utc_ns.saturating_sub(keep_ns);
        Expiry {
            ended_before_ns: before_ns,
            dated_before_ns: before_ns,
            unended_dated_before_ns: before_ns.saturating_sub(UNENDED_NS),
            kind: self.kind.clone(),
            host: self.host.clone(),
            user: self.user.clone(),
            labels: self.labels.clone(),
            after,
            limit: RETENTION_BATCH,
        }
    }

    /// Whether it is about sessions like this one.
    #[must_use]
    pub fn fits(&self, row: &SessionRow) -> bool {
        let any_age = Expiry {
            ended_before_ns: u64::MAX,
            ..self.expiry(0, 0, None)
        };
        any_age.admits(row)
    }
}

/// What somebody is told, durably, before something is deleted.
#[derive(Debug)]
pub enum Telling<'a> {
    /// This session is deleted now.
    Deleting(&'a SessionRow, &'a Burial),
    /// It was not after all, and why.
    NotDeleted(&'a SessionRow, &'a Burial, &'a str),
    /// A session is held, and the recording that told of it is deleted next.
    Held {
        /// What is held.
        session: SessionId,
        /// What told of it.
        told_in: SessionId,
    },
    /// A session was deleted, and the recording that told of it is deleted next.
    Deleted(&'a Tombstone),
}

/// Told of each session before it is deleted. An error stops the run: nothing is deleted of which
/// nobody could be told. May be told twice of the same session, when a crash comes between.
pub type Tell<'a> = dyn FnMut(&Telling<'_>) -> Result<(), String> + 'a;

/// What one run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retired {
    /// Sessions that were deleted.
    pub sessions: u64,
    /// Rows of events that were removed.
    pub events: u64,
    /// Blobs that were deleted.
    pub blobs: u64,
    /// Blobs that were written again without what was dead in them.
    pub repacked: u64,
    /// Blobs that wait for others of their sessions.
    pub waiting: u64,
}

/// What [`superfluous`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Superfluous {
    /// Packs that were deleted.
    pub deleted: u64,
    /// The first pack that could not be deleted, and why.
    pub left: Option<(BlobName, String)>,
}

/// One run: deletes what the rules say at this UTC time, nanoseconds since 1970, and sweeps up.
///
/// # Errors
/// `Retry` when a store fails or nobody could be told; the next run goes on.
pub fn run(
    blobs: &dyn BlobStore,
    catalog: &dyn Catalog,
    rules: &[Rule],
    utc_ns: u64,
    tell: &mut Tell<'_>,
) -> Result<Retired, ArchiveError> {
    catalog.date(utc_ns)?;
    let mut sessions = 0;
    for (i, rule) in rules.iter().enumerate() {
        let Some(keep_ns) = rule.keep_ns else {
            continue;
        };
        let mut after = None;
        loop {
            let rows = catalog.expired(&rule.expiry(utc_ns, keep_ns, after))?;
            let Some(last) = rows.last() else {
                break;
            };
            after = Some(Cursor::of_session(last));
            for row in &rows {
                let decides = rules.iter().position(|rule| rule.fits(row)) == Some(i);
                let quiet_ns = utc_ns.saturating_sub(row.start.utc_ns(row.last_ns));
                let is_over = row.end.is_some() || quiet_ns > keep_ns.saturating_add(UNENDED_NS);
                if decides && is_over && sessions < DELETED_PER_RUN {
                    let burial = Burial {
                        by: rule.name.clone(),
                        why: format!("older than {} days", keep_ns / DAY_NS),
                        utc_ns,
                    };
                    sessions += u64::from(delete(catalog, row, &burial, tell)?);
                }
            }
        }
    }
    let cleared = clear(blobs, catalog)?;
    Ok(Retired {
        sessions,
        ..cleared
    })
}

/// Deletes one session, because a rule or somebody says so; answers whether it did. What it leaves
/// is for [`clear`].
///
/// # Errors
/// As [`run`].
pub fn delete(
    catalog: &dyn Catalog,
    row: &SessionRow,
    burial: &Burial,
    tell: &mut Tell<'_>,
) -> Result<bool, ArchiveError> {
    // Asked first, so that nobody is told of what will not happen; the burial asks again.
    if catalog.held(&[row.session])?.first() == Some(&true) {
        return Ok(false);
    }
    if row.start.kind == SERVICE {
        tell_again(catalog, row.session, tell)?;
    }
    tell(&Telling::Deleting(row, burial)).map_err(ArchiveError::Retry)?;
    let buried = catalog.bury(row.session, burial);
    let why = match &buried {
        Ok(Buried::Done(_)) => return Ok(true),
        Ok(Buried::Already(_)) => return Ok(false),
        Ok(Buried::Held) => "it was held meanwhile",
        Ok(Buried::Waits | Buried::Unknown) => "it is not archived as a whole yet",
        Err(_) => "the catalog failed",
    };
    // It is on record as deleted: whoever recalls deletions from there must not do this one.
    tell(&Telling::NotDeleted(row, burial, why)).map_err(ArchiveError::Retry)?;
    buried.map(|_| false).map_err(ArchiveError::from)
}

/// Says once more what a service's own recording told of holds in force and of deletions: without it, a
/// catalog that is built anew would not know of them ([`crate::reindex::recall`]).
fn tell_again(
    catalog: &dyn Catalog,
    told_in: SessionId,
    tell: &mut Tell<'_>,
) -> Result<(), ArchiveError> {
    for session in told_of(catalog, told_in)? {
        let tombstone = catalog.tombstones(&[session])?.into_iter().next();
        let telling = match &tombstone {
            Some(Some(tombstone)) => Telling::Deleted(tombstone),
            _ if catalog.held(&[session])?.first() == Some(&true) => {
                Telling::Held { session, told_in }
            }
            _ => continue,
        };
        tell(&telling).map_err(ArchiveError::Retry)?;
    }
    Ok(())
}

/// Sweeps up what deletions left: rows of events, and blobs. A blob that cannot be cleared keeps no
/// other from it.
///
/// # Errors
/// As [`run`]; for blobs the first, after all others were tried. What is left is tried by the next.
pub fn clear(blobs: &dyn BlobStore, catalog: &dyn Catalog) -> Result<Retired, ArchiveError> {
    let mut retired = Retired::default();
    loop {
        match catalog.sweep(SWEEP_ROWS)? {
            0 => break,
            rows => retired.events += rows,
        }
    }
    let (mut after, mut failed) = (None, None);
    loop {
        let doomed = catalog.doomed(after.as_ref(), RETENTION_BATCH)?;
        let Some(last) = doomed.last() else {
            return failed.map_or(Ok(retired), Err);
        };
        after = Some(last.clone());
        for blob in doomed {
            let cleared = clear_blob(blobs, catalog, &blob, &mut retired);
            failed = failed.or(cleared.err());
        }
    }
}

fn clear_blob(
    blobs: &dyn BlobStore,
    catalog: &dyn Catalog,
    blob: &BlobName,
    retired: &mut Retired,
) -> Result<(), ArchiveError> {
    let live = catalog.segments_in(blob)?;
    if live.is_empty() {
        blobs.delete(blob)?;
        // A crash here leaves a name to be deleted again.
        catalog.undoom(blob)?;
        retired.blobs += 1;
        return Ok(());
    }
    let size = match blobs.size(blob) {
        Ok(size) => size,
        Err(BlobError::NotFound(_) | BlobError::Unreadable(_)) => 0,
        Err(e) => return Err(e.into()),
    };
    let live_bytes: u64 = live.iter().map(|row| row.place.bytes).sum();
    let dead = size.saturating_sub(live_bytes).saturating_mul(100);
    if dead <= size.saturating_mul(REPACK_DEAD_PERCENT) {
        retired.waiting += 1;
        return Ok(());
    }
    match repack(blobs, catalog, blob)? {
        true => retired.repacked += 1,
        false => retired.waiting += 1,
    }
    Ok(())
}

/// Writes what is live in a pack as another pack. The same segments make the same pack, so that a
/// crash after it was written is made good by doing it again. Where a segment is not what was
/// archived, nothing is touched: somebody may want to look at it.
fn repack(
    blobs: &dyn BlobStore,
    catalog: &dyn Catalog,
    blob: &BlobName,
) -> Result<bool, ArchiveError> {
    let rows = catalog.segments_in(blob)?;
    let mut builder = PackBuilder::default();
    for row in &rows {
        let bytes = match fetch_current(blobs, catalog, row) {
            Ok(bytes) => bytes,
            Err(Fetch::Failed(e)) => return Err(e.into()),
            Err(Fetch::Lost(_) | Fetch::Differs(..)) => return Ok(false),
        };
        match SealedSegment::from_bytes(bytes) {
            Ok(segment) => builder.push(&segment),
            Err(_) => return Ok(false),
        }
    }
    let pack = builder.finish();
    let name = pack.name()?;
    match blobs.put(&name, pack.bytes()) {
        Ok(()) => {}
        Err(BlobError::Conflict(_)) => return Ok(false),
        Err(e) => return Err(e.into()),
    }
    let moves: Vec<Move> = pack
        .segments()
        .iter()
        .map(|(facts, offset, bytes)| Move {
            session: facts.session,
            number: facts.number,
            from: blob.clone(),
            to: Place {
                blob: name.clone(),
                offset: *offset,
                bytes: *bytes,
            },
        })
        .collect();
    catalog.relocate(&moves)?;
    Ok(true)
}

/// Deletes packs that nothing points to because everything in them is archived in another place, or
/// was deleted: what crashes leave, so that bytes of what was deleted do not stay in one for ever. To
/// be run when a service starts, after [`crate::reindex::adopt`]. One that cannot be deleted keeps no
/// service from starting, and is tried again then.
///
/// # Errors
/// `Retry` when a store fails.
pub fn superfluous(
    blobs: &dyn BlobStore,
    catalog: &dyn Catalog,
) -> Result<Superfluous, ArchiveError> {
    let (mut last, mut done): (Option<BlobName>, _) = (None, Superfluous::default());
    loop {
        let listed = blobs.list(crate::pack::FAMILY, last.as_ref(), RETENTION_BATCH)?;
        let names: Vec<BlobName> = listed.into_iter().map(|listed| listed.name).collect();
        let Some(end) = names.last() else {
            return Ok(done);
        };
        last = Some(end.clone());
        let known = catalog.referenced(&names)?;
        for (name, _) in names.iter().zip(known).filter(|(_, known)| !known) {
            if is_superfluous(blobs, catalog, name)? {
                match blobs.delete(name) {
                    Ok(()) => done.deleted += 1,
                    Err(e) => done.left = done.left.or(Some((name.clone(), e.to_string()))),
                }
            }
        }
    }
}

fn is_superfluous(
    blobs: &dyn BlobStore,
    catalog: &dyn Catalog,
    name: &BlobName,
) -> Result<bool, ArchiveError> {
    let entries = match read_table(blobs, name) {
        Ok(entries) => entries,
        Err(TableError::Store(BlobError::NotFound(_)) | TableError::Damaged(_)) => {
            return Ok(false);
        }
        Err(TableError::Store(e)) => return Err(e.into()),
    };
    for entry in entries {
        let rows = catalog.segments(entry.session, entry.number, 1)?;
        let is_it = |row: &&SegmentRow| row.number == entry.number && row.content == entry.content;
        // A row is not enough: what it points to may be gone, and this be the only one that there is.
        let is_known = match rows.iter().find(is_it) {
            Some(row) => is_in_place(blobs, catalog, row)?,
            None => catalog.tombstones(&[entry.session])? != [None],
        };
        if !is_known {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The tombstone of a session, in words for whoever asks for its recording.
#[must_use]
pub fn epitaph(session: SessionId, tombstone: &Tombstone) -> String {
    let Burial { by, why, .. } = &tombstone.burial;
    format!("session {session} was deleted by {by}: {why}")
}
