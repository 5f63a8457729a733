//! What the keeper asks the stores about a session, once: where its chain ends, and its header.

use std::collections::HashSet;
use std::sync::Arc;

use hansard_core::event::Body;
use hansard_core::reader::PartReader;
use hansard_core::{Session, SessionId};
use hansard_record::spool::Pending;
use hansard_store::catalog::CatalogError;
use hansard_store::chain::Tip;

use super::reading::Pause;
use super::work::{State, Work, opening};
use super::{Keeper, Matter, Raised, split};

impl Keeper {
    /// Asks the catalog where the chains of sessions end that come for the first time. While it
    /// does not answer, those that begin here are taken for new: the archive will say.
    pub(super) fn learn(&mut self, batch: &[Pending]) -> Result<(), Pause> {
        let (mut new, mut seen) = (Vec::new(), HashSet::new());
        for pending in batch {
            let session = pending.session;
            if !self.sessions.contains_key(&session) && seen.insert(session) {
                new.push((session, pending.spot));
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let ids: Vec<SessionId> = new.iter().map(|(session, _)| *session).collect();
        let tips = match self.tips(&ids) {
            Ok(tips) => tips.into_iter().map(Some).collect(),
            Err(e) => {
                self.note_damage(&e);
                vec![None; new.len()]
            }
        };
        for ((session, first), tip) in new.into_iter().zip(tips) {
            let tip = match tip {
                Some(tip) => tip,
                None if first == opening(0) => None,
                None => continue,
            };
            let source = self.live.source(session).unwrap_or_default();
            let mut work = Work::new(tip, source);
            if self.stores.aside_sessions.contains(&session) {
                work.state = State::Aside;
            }
            self.sessions.insert(session, work);
        }
        Ok(())
    }

    /// Where the chains of these sessions end in the catalog; of what was deleted it still knows.
    fn tips(&self, sessions: &[SessionId]) -> Result<Vec<Option<Tip>>, CatalogError> {
        let catalog = &self.stores.catalog;
        let heads = catalog.heads(sessions)?;
        let mut tips: Vec<Option<Tip>> = heads.iter().map(|h| h.as_ref().map(Tip::from)).collect();
        let unknown = sessions.iter().zip(&tips).filter(|(_, tip)| tip.is_none());
        let unknown: Vec<SessionId> = unknown.map(|(session, _)| *session).collect();
        let mut tombstones = catalog.tombstones(&unknown)?.into_iter();
        for tip in tips.iter_mut().filter(|tip| tip.is_none()) {
            *tip = tombstones.next().flatten().as_ref().map(Tip::from);
        }
        Ok(tips)
    }

    pub(super) fn note_damage(&mut self, error: &CatalogError) {
        if !matches!(error, CatalogError::Damaged(_)) || self.told_damaged {
            return;
        }
        self.told_damaged = true;
        self.raise(&Raised {
            matter: Matter::CatalogDamaged,
            session: None,
            segment: None,
            what: format!("{error}: stop the service and run `hansardd reindex`; nothing is archived until then, and everything waits in the spool"),
            kept: None,
        });
    }

    /// The header of a session: remembered, or in the spool or the archive.
    pub(super) fn header_of(&mut self, session: SessionId) -> Result<Option<Arc<Session>>, Pause> {
        if let Some(header) = self.headers.get(session) {
            return Ok(header);
        }
        let first = self.stores.spool.pending_of(session, None, 1);
        let first = first.into_iter().find(|p| p.spot == opening(0));
        let mut part = match first {
            Some(pending) => self.stores.spool.read(&pending).ok(),
            None => None,
        };
        if part.is_none() {
            let archived = self.stores.archive.segment(session, 0);
            let archived = archived.map_err(|e| Pause(e.to_string()))?;
            if let Some((_, Ok(bytes))) = archived {
                part = split(session, &bytes).0.into_iter().next();
            }
        }
        let opened = part.as_ref().and_then(|p| PartReader::open(p.bytes()).ok());
        let start = opened.and_then(|(_, events)| events.into_iter().next());
        let header = match start.map(|event| event.body) {
            Some(Body::Start(start)) => Some(Arc::new(*start)),
            _ => None,
        };
        self.headers.put(session, header.clone());
        if let (Some(header), Some(work)) = (&header, self.sessions.get_mut(&session))
            && let Some(source) = (self.hooks.source_of)(header)
        {
            work.source = source;
        }
        Ok(header)
    }
}
