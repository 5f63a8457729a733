//! Links for people without an account, in files.

use std::sync::Arc;

use hansard_core::SessionId;
use hansard_identity::Shares as Kept;
use hansard_identity::share::{Maker, Secret, Share, Wish};
use hansard_identity::shares::Prepared;
use hansard_record::clock::Clock;

use super::people::trouble;
use crate::api::problem::Trouble;
use crate::api::role::{Asker, Caller};
use crate::api::shares::Shares;
use crate::web::shared_address;

/// The links of a service.
#[derive(Clone)]
pub struct Linked {
    /// Where they are kept. Each request with one is looked up there.
    pub shares: Arc<Kept>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Where browsers reach the service; `None` without a web server.
    pub origin: Option<String>,
}

/// Who makes a link, so that they can be asked for again.
fn maker(by: &Caller) -> Result<Maker, Trouble> {
    Ok(match &by.asker {
        Asker::Process(peer) => Maker::Account {
            uid: peer.uid,
            gid: peer.gid,
        },
        Asker::Browser(visitor) => match &visitor.outside {
            None => Maker::User,
            Some(outside) => Maker::Outside {
                issuer: outside.issuer.clone(),
                subject: outside.subject.clone(),
                role: outside.rule.role.as_str().to_owned(),
            },
        },
        Asker::Link(_) => {
            let words = "a link makes no other".to_owned();
            return Err(Trouble::Conflict(words));
        }
    })
}

impl Shares for Linked {
    fn prepare(&self, wish: &Wish, by: &Caller) -> Result<Prepared, Trouble> {
        if self.origin.is_none() {
            let words = "nobody could open a link: serve.web is not switched on";
            let next = "switch it on in hansard.yaml and start the service again: docs/web.md";
            return Err(Trouble::NotNow(words.to_owned(), next));
        }
        let maker = maker(by)?;
        let now_ns = self.clock.utc_ns();
        let prepared = self.shares.prepare(wish, (&by.user, maker), now_ns);
        prepared.map_err(trouble)
    }

    fn keep(&self, prepared: &Prepared) -> Result<(), Trouble> {
        self.shares.keep(prepared).map_err(trouble)
    }

    fn address(&self, secret: &Secret) -> String {
        shared_address(self.origin.as_deref().unwrap_or_default(), secret)
    }

    fn list(
        &self,
        session: Option<SessionId>,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<Share>, Trouble> {
        Ok(self.shares.list(session, after, most))
    }

    fn knows(&self, id: &str) -> Result<bool, Trouble> {
        Ok(self.shares.get(id).is_some())
    }

    fn revoke(&self, id: &str, by: &Caller) -> Result<bool, Trouble> {
        let revoked = self.shares.revoke(id, &by.user, self.clock.utc_ns());
        revoked.map_err(trouble)
    }
}
