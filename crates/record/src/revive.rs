//! Brings to an end what recorders left open that died with their process.
//!
//! At a daemon's start, for every session that is noted in [`OpenSessions`]: the open segment is
//! sealed as it was found, and one more holds a `Gap` and an `End` that say so. The new parts go
//! through the ordinary sink. A crash in here leaves a prefix of them, and the next start goes on
//! from there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use hansard_core::event::{End, Gap};
use hansard_core::frame::Part;
use hansard_core::seal::{Digest, SigningKey};
use hansard_core::writer::{Bounds, LastSegment, ReviveError, SegmentWriter, Tip, WriteError};
use hansard_core::{Body, SessionId, Sink, SinkError};

use crate::open_sessions::{Found, Note, OpenSessions};
use crate::spool::{Pending, Spool};

mod going_on;

pub use going_on::{GoesOn, going_on};

/// What the gap and the end of a revived recording give as their reason.
pub const WITHOUT_A_WORD: &str = "the recorder ended without a word";

/// Parts that are asked for at once while the spool is looked through.
const PAGE: usize = 4096;

/// A recording that was brought to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revived {
    /// The session.
    pub session: SessionId,
    /// Digest of its final seal.
    pub digest: Digest,
    /// What it says is missing; `None` if its `End` had been recorded and only the seal was not.
    pub gap: Option<Gap>,
}

/// A recording that was not brought to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The session.
    pub session: SessionId,
    /// Why, in words.
    pub why: String,
    /// Whether the sink only said "not now": its note stays, and the next call tries again.
    /// Otherwise it stays unfinished, and intact as far as it goes.
    pub again: bool,
}

/// What became of the sessions that were noted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revival {
    /// Brought to an end now.
    pub revived: Vec<Revived>,
    /// Had their end already, with the digest of their final seal.
    pub finished: Vec<(SessionId, Digest)>,
    /// Not brought to an end.
    pub left: Vec<Left>,
}

/// What became of one session, for whoever wants to name its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its recording is complete, with this final digest.
    Complete(Digest),
    /// It has a recording, whose end is not known.
    Unfinished,
    /// It has none.
    NeverBegan,
}

impl Revival {
    /// Removes the notes of what is done with. Call it once what the answer was needed for is
    /// durable ([`crate::diary::Diary::open`]); a crash before leaves the notes, and the next start
    /// finds the same recordings finished.
    ///
    /// # Errors
    /// What the system says; the rest of the notes stay for the next start.
    pub fn done(&self, open: &OpenSessions) -> io::Result<()> {
        let revived = self.revived.iter().map(|revived| revived.session);
        let finished = self.finished.iter().map(|(session, _)| *session);
        revived
            .chain(finished)
            .try_for_each(|session| open.end(session))
    }

    /// What became of a session.
    #[must_use]
    pub fn fate(&self, session: SessionId) -> Fate {
        let revived = self.revived.iter().map(|r| (r.session, r.digest));
        let mut complete = revived.chain(self.finished.iter().copied());
        if let Some((_, digest)) = complete.find(|(id, _)| *id == session) {
            return Fate::Complete(digest);
        }
        match self.left.iter().any(|left| left.session == session) {
            true => Fate::Unfinished,
            false => Fate::NeverBegan,
        }
    }
}

/// Brings every noted session to an end that no recorder of this process records; call it before
/// the first one is opened, and before anything is sent or archived from the spool. Then open the
/// diary with the answer, and call [`Revival::done`].
///
/// # Errors
/// When the notes cannot be read. What concerns one session is in [`Revival::left`] and stops no
/// other.
pub fn revive(
    spool: &Spool,
    sink: &mut dyn Sink,
    key: &SigningKey,
    open: &OpenSessions,
) -> io::Result<Revival> {
    revive_but(spool, sink, key, open, &BTreeSet::new())
}

/// The same for every noted session but these, which somebody goes on with ([`going_on`]).
///
/// # Errors
/// As [`revive`].
pub fn revive_but(
    spool: &Spool,
    sink: &mut dyn Sink,
    key: &SigningKey,
    open: &OpenSessions,
    kept: &BTreeSet<SessionId>,
) -> io::Result<Revival> {
    let mut found = open.found()?;
    found.retain(|(session, _)| !kept.contains(session));
    let noted: BTreeSet<SessionId> = found.iter().map(|(session, _)| *session).collect();
    let last = last_segments(spool, &noted);
    let mut revival = Revival::default();
    for (session, found) in found {
        let last = last.get(&session).copied();
        let note = match found {
            Found::Note(note) => note,
            Found::Doubtful(why) => {
                open.drop_doubtful(session)?;
                revival.leave(session, why.to_owned(), false);
                continue;
            }
        };
        match end(spool, sink, key, (session, &note, last)) {
            Ok(Outcome::Revived(revived)) => revival.revived.push(revived),
            Ok(Outcome::Finished(digest)) => revival.finished.push((session, digest)),
            Ok(Outcome::NeverBegan) => open.end(session)?,
            Err(Failed::NotNow(why)) => revival.leave(session, why, true),
            Err(Failed::Never(why)) => {
                revival.leave(session, why, false);
                open.end(session)?;
            }
        }
    }
    Ok(revival)
}

impl Revival {
    fn leave(&mut self, session: SessionId, why: String, again: bool) {
        self.left.push(Left {
            session,
            why,
            again,
        });
    }
}

enum Outcome {
    Revived(Revived),
    Finished(Digest),
    NeverBegan,
}

enum Failed {
    NotNow(String),
    Never(String),
}

impl From<ReviveError> for Failed {
    fn from(error: ReviveError) -> Self {
        Self::Never(error.to_string())
    }
}

impl From<WriteError> for Failed {
    fn from(error: WriteError) -> Self {
        Self::NotNow(error.to_string())
    }
}

/// The number of the newest segment that the spool holds of each of these sessions.
fn last_segments(spool: &Spool, wanted: &BTreeSet<SessionId>) -> BTreeMap<SessionId, u32> {
    let mut last: BTreeMap<SessionId, u32> = BTreeMap::new();
    let mut after: Option<Pending> = None;
    loop {
        let page = spool.pending(after.as_ref(), PAGE);
        let Some(end) = page.last() else {
            return last;
        };
        for pending in page.iter().filter(|p| wanted.contains(&p.session)) {
            let newest = last.entry(pending.session).or_default();
            *newest = pending.spot.segment.max(*newest);
        }
        after = Some(*end);
    }
}

/// How far a recording came.
enum Chain {
    /// It has no end, and this writes what follows.
    Goes(Box<SegmentWriter>),
    Finished(Digest),
    NeverBegan,
}

/// What goes on where a session's last recorder stopped: by its note, and by what the spool holds.
fn writer_after(
    spool: &Spool,
    key: &SigningKey,
    (session, note, last): (SessionId, &Note, Option<u32>),
) -> Result<Chain, Failed> {
    let writer = match last.filter(|last| *last >= note.settled) {
        // The note is newer than what is left of the session in the spool, if anything is: parts
        // that were forgotten come back when their file was not removed yet.
        None => match (&note.tip, note.settled) {
            (Some(tip), _) if tip.is_final => return Ok(Chain::Finished(tip.digest)),
            (Some(tip), _) => SegmentWriter::after(tip, key.clone(), Bounds::default())?,
            (None, 0) => return Ok(Chain::NeverBegan),
            (None, _) => return Err(Failed::Never("its last segment is gone".to_owned())),
        },
        Some(number) => {
            let parts = read(spool, session, number)?;
            let segment = LastSegment::read(&parts)?;
            match segment.tip() {
                Some(Tip {
                    is_final: true,
                    digest,
                    ..
                }) => return Ok(Chain::Finished(digest)),
                _ => SegmentWriter::revive(segment, note.key, key.clone(), Bounds::default())?,
            }
        }
    };
    Ok(Chain::Goes(Box::new(writer)))
}

/// Brings one session to an end.
fn end(
    spool: &Spool,
    sink: &mut dyn Sink,
    key: &SigningKey,
    (session, note, last): (SessionId, &Note, Option<u32>),
) -> Result<Outcome, Failed> {
    let mut writer = match writer_after(spool, key, (session, note, last))? {
        Chain::Goes(writer) => *writer,
        Chain::Finished(digest) => return Ok(Outcome::Finished(digest)),
        Chain::NeverBegan => return Ok(Outcome::NeverBegan),
    };
    let mut gap = None;
    if !writer.is_ended() {
        // Nobody knows how long it went on after its last durable event: gap and end stand there.
        let at_ns = writer.last_ns();
        let missing = Gap {
            cause: WITHOUT_A_WORD.to_owned(),
            from_ns: at_ns,
            bytes_max: note.loss_bytes_max,
            ..Gap::default()
        };
        writer.push(at_ns, &Body::Gap(missing.clone()))?;
        let end = End {
            reason: WITHOUT_A_WORD.to_owned(),
            ..End::default()
        };
        writer.finish(at_ns, &end)?;
        gap = Some(missing);
    }
    match sink.put(&writer.parts()) {
        Ok(_) => Ok(Outcome::Revived(Revived {
            session,
            digest: writer.head(),
            gap,
        })),
        Err(SinkError::Retry(why)) => Err(Failed::NotNow(why)),
        Err(SinkError::Conflict(why) | SinkError::Refused(why)) => Err(Failed::Never(why)),
    }
}

fn read(spool: &Spool, session: SessionId, segment: u32) -> Result<Vec<Part>, Failed> {
    let of_segment = spool.pending_in(session, segment);
    let read = of_segment.iter().map(|pending| spool.read(pending));
    read.collect::<io::Result<_>>().map_err(|e| match e.kind() {
        io::ErrorKind::InvalidData => Failed::Never(e.to_string()),
        _ => Failed::NotNow(e.to_string()),
    })
}
