//! Sessions that must not be archived: their parts become files, somebody is told, and the spool
//! forgets them, in this order.

use std::io;

use hansard_core::SessionId;
use hansard_core::frame::{Part, Place};
use hansard_record::order::Spot;
use hansard_record::spool::Pending;
use hansard_store::archive::SegmentId;
use hansard_store::catalog::Quarantined;
use hansard_store::limits::ROW_TEXT_BYTES_MAX;

use super::aside::AsideError;
use super::work::{State, Work};
use super::{Keeper, Matter, Raised};
use crate::tee::Source;

/// Parts and bytes that are put aside in one file.
const FILE_PARTS_MAX: usize = 256;
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A session whose parts are to be put aside.
pub(super) struct Condemned {
    segment: u32,
    matter: Matter,
    why: String,
    /// Whether somebody was told that the session is aside; `None` where only the catalog knows.
    is_told: Option<bool>,
}

/// What writing files came to.
pub(super) enum Put {
    Done,
    Full(String),
    Failed(String),
}

impl Keeper {
    /// From now on everything of this session is put aside.
    pub(super) fn condemn(&mut self, session: SessionId, segment: u32, matter: Matter, why: &str) {
        let work = self
            .sessions
            .entry(session)
            .or_insert_with(|| Work::new(None, Source::default()));
        if work.state == State::Aside {
            self.condemn_further(session, segment);
            return;
        }
        work.state = State::Aside;
        self.growing.take(session);
        // What is sealed before it is sound, and is archived all the same.
        self.ready.remove_from((session, segment));
        let from = (session, segment)..=(session, u32::MAX);
        let gone: Vec<SegmentId> = self.unsettled.range(from).map(|(id, _)| *id).collect();
        for id in gone {
            self.unsettled.remove(&id);
        }
        if self.held_session() == Some(session) {
            self.held = None;
        }
        self.figures.sessions_aside = self.figures.sessions_aside.saturating_add(1);
        self.live.set_aside(session, why);
        let condemned = Condemned {
            segment,
            matter,
            why: why.to_owned(),
            is_told: Some(false),
        };
        self.condemned.insert(session, condemned);
    }

    /// More of a session that is aside.
    pub(super) fn condemn_further(&mut self, session: SessionId, segment: u32) {
        self.condemned.entry(session).or_insert_with(|| Condemned {
            segment,
            matter: Matter::Unsound,
            why: "its parts began to be put aside before the last start".to_owned(),
            is_told: None,
        });
    }

    pub(super) fn put_condemned_aside(&mut self, now_ns: u64) {
        if self.condemned.is_empty() || !self.putting_aside.may_try(now_ns) {
            return;
        }
        let sessions: Vec<SessionId> = self.condemned.keys().copied().collect();
        for session in sessions {
            let Some(mut condemned) = self.condemned.remove(&session) else {
                continue;
            };
            match self.put_session(session, &mut condemned) {
                Put::Done => {}
                Put::Full(why) => {
                    let why = format!("{why}; until then nothing more of this session is taken");
                    self.live.refuse(session, why.clone());
                    self.raise(&Raised {
                        matter: Matter::AsideFull,
                        session: Some(session),
                        segment: Some(condemned.segment),
                        what: why,
                        kept: None,
                    });
                }
                Put::Failed(why) => {
                    self.figures.trouble = Some(why);
                    self.condemned.insert(session, condemned);
                    self.putting_aside.failed(now_ns);
                    return;
                }
            }
        }
        self.putting_aside.succeeded();
    }

    /// Puts everything of a session aside but what is on its way into the archive.
    fn put_session(&mut self, session: SessionId, condemned: &mut Condemned) -> Put {
        let mut after = self.given(session).last().map(|segment| Spot {
            segment: *segment,
            place: Place::Seal,
        });
        loop {
            let spool = &self.stores.spool;
            let parts = spool.pending_of(session, after, FILE_PARTS_MAX);
            let Some(last) = parts.last() else {
                break;
            };
            after = Some(last.spot);
            match self.put_files(&parts) {
                Put::Done => {}
                other => return other,
            }
            if let Err(why) = self.tell_aside(session, condemned) {
                return Put::Failed(why);
            }
            // A crash before this leaves the parts here and there: they are put aside again.
            let spots: Vec<_> = parts.iter().map(|p| (p.session, p.spot)).collect();
            self.stores.spool.forget(&spots);
        }
        match self.tell_aside(session, condemned) {
            Ok(()) => Put::Done,
            Err(why) => Put::Failed(why),
        }
    }

    fn tell_aside(&mut self, session: SessionId, condemned: &mut Condemned) -> Result<(), String> {
        let is_told = match condemned.is_told {
            Some(is_told) => is_told,
            None => self.is_noted(session)?,
        };
        condemned.is_told = Some(true);
        if is_told {
            return Ok(());
        }
        let segment = condemned.segment;
        let mut reason = condemned.why.clone();
        while reason.len() > ROW_TEXT_BYTES_MAX {
            reason.pop();
        }
        let item = Quarantined {
            what: format!("spool {session}/{segment}"),
            reason,
        };
        self.raise(&Raised {
            matter: condemned.matter,
            session: Some(session),
            segment: Some(segment),
            what: format!("segment {segment}: {}", condemned.why),
            kept: Some(self.stores.aside.place_of(session)),
        });
        // A crash here raises the alarm once more at the next start. That is what the note is for.
        let noted = self.stores.catalog.quarantine(&item, None);
        noted.map_err(|e| {
            condemned.is_told = None;
            e.to_string()
        })
    }

    /// Whether the catalog has a note that somebody was told of this session.
    fn is_noted(&self, session: SessionId) -> Result<bool, String> {
        let begin = format!("spool {session}/");
        let noted = self.stores.catalog.quarantined(Some(&begin), 1);
        let noted = noted.map_err(|e| e.to_string())?;
        Ok(noted.iter().any(|item| item.what.starts_with(&begin)))
    }

    /// Writes parts of one session as files; those that the medium has damaged are left out, for there
    /// is nothing of them to keep.
    pub(super) fn put_files(&mut self, pending: &[Pending]) -> Put {
        let (mut parts, mut bytes): (Vec<Part>, usize) = (Vec::new(), 0);
        for (i, one) in pending.iter().enumerate() {
            match self.stores.spool.read(one) {
                Ok(part) => {
                    bytes = bytes.saturating_add(part.bytes().len());
                    parts.push(part);
                }
                Err(e) if e.kind() == io::ErrorKind::InvalidData => self.raise(&Raised {
                    matter: Matter::SpoolDamaged,
                    session: Some(one.session),
                    segment: Some(one.spot.segment),
                    what: format!(
                        "{}: {e}; the others of its session are put aside without it",
                        one.spot
                    ),
                    kept: None,
                }),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Put::Failed(format!("the spool: {e}")),
            }
            let is_last = i.saturating_add(1) == pending.len();
            if bytes < FILE_BYTES_MAX && !is_last {
                continue;
            }
            match self.stores.aside.put(&parts) {
                Ok(()) => {}
                Err(AsideError::Full(why)) => return Put::Full(why),
                Err(AsideError::Io(e)) => return Put::Failed(format!("putting parts aside: {e}")),
            }
            (parts, bytes) = (Vec::new(), 0);
        }
        Put::Done
    }
}
