//! Hosts that joined, and the tokens they join with.

use std::sync::Arc;

use hansard_core::event::Body;
use hansard_identity::failure::Failure;
use hansard_identity::host_id::HostId;
use hansard_identity::registry::{Denied, Done, Registry};
use hansard_identity::token::{JoinAs, TokenId};
use hansard_record::clock::Clock;
use hansard_record::forward::wire::InForce;

use crate::api::problem::Trouble;
use crate::api::role::Caller;
use crate::api::seams::{HostRow, Hosts, TokenMade, TokenRow, TokenWish, Tokens};

/// What is known of a host that is connected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Present {
    /// When something last came from it (UTC nanoseconds).
    pub seen_ns: u64,
    /// Which policy decides there, as it says; `None` of a host that takes none.
    pub policy: Option<InForce>,
}

/// Says what is known of a host that is connected, which the service itself always is; `None` of one
/// that is not.
pub type Presence = Arc<dyn Fn(HostId) -> Option<Present> + Send + Sync>;

/// Puts what happened into the service's own recording.
pub type Tell = Arc<dyn Fn(Body) + Send + Sync>;

/// The registry of a service, for people.
#[derive(Clone)]
pub struct Joined {
    /// Who joined.
    pub registry: Arc<Registry>,
    /// This service's own identifier: it is in the registry, too.
    pub here: HostId,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Who is connected.
    pub presence: Presence,
    /// Who is told what happened.
    pub tell: Tell,
}

impl Joined {
    /// What a change came to; what happened is told either way.
    fn told<T>(&self, outcome: Result<Done<T>, Denied>) -> Result<T, Trouble> {
        let (answer, facts) = match outcome {
            Ok(Done { answer, facts }) => (Ok(answer), facts),
            Err(Denied { failure, facts }) => (Err(trouble(failure)), facts),
        };
        facts.into_iter().for_each(|fact| (self.tell)(fact));
        answer
    }

    /// Identifiers are typed: what is none names no host.
    fn host(&self, id: &str) -> Option<HostId> {
        let id = id.parse().ok()?;
        self.registry.host(id).map(|_| id)
    }
}

fn trouble(failure: Failure) -> Trouble {
    match failure {
        Failure::Retry(why) => Trouble::Retry(why),
        Failure::Conflict(why) => Trouble::Conflict(why),
        other => Trouble::Refused(other.to_string()),
    }
}

impl Tokens for Joined {
    fn make(&self, wish: &TokenWish, by: &Caller) -> Result<TokenMade, Trouble> {
        let role: JoinAs = wish.role.parse().map_err(trouble)?;
        let life_ns = wish.ttl_s.saturating_mul(1_000_000_000);
        let now_ns = self.clock.utc_ns();
        let made = self
            .registry
            .create_token(role, wish.uses, life_ns, &by.user, now_ns);
        let token = self.told(made)?;
        Ok(TokenMade {
            row: TokenRow {
                name: token.id.to_string(),
                role: role.as_str().to_owned(),
                expires_ns: now_ns.saturating_add(life_ns),
                uses_left: wish.uses,
            },
            token: token.reveal(),
        })
    }

    fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<TokenRow>, Trouble> {
        let now_ns = self.clock.utc_ns();
        let mut after: Option<TokenId> = after.map(str::parse).transpose().map_err(trouble)?;
        let mut listed = Vec::new();
        // Those that hold no more are passed over, page by page, so that a page is short only at
        // the end.
        loop {
            let page = self.registry.tokens(after, most);
            let holding = page.rows.iter().filter_map(|row| {
                let used = u32::try_from(row.uses.len()).unwrap_or(u32::MAX);
                let uses_left = row.uses_max.saturating_sub(used);
                (uses_left > 0 && row.expires_ns > now_ns).then(|| TokenRow {
                    name: row.id.clone(),
                    role: row.role.as_str().to_owned(),
                    expires_ns: row.expires_ns,
                    uses_left,
                })
            });
            listed.extend(holding);
            match page.next {
                Some(next) if listed.len() < most => after = Some(next),
                _ => break,
            }
        }
        listed.truncate(most);
        Ok(listed)
    }

    fn knows(&self, name: &str) -> Result<bool, Trouble> {
        let id = name.parse::<TokenId>().ok();
        Ok(id.is_some_and(|id| self.registry.has_token(id)))
    }

    fn remove(&self, name: &str, by: &Caller) -> Result<bool, Trouble> {
        let Ok(id) = name.parse::<TokenId>() else {
            return Ok(false);
        };
        match self.told(self.registry.remove_token(id, &by.user)) {
            Ok(()) => Ok(true),
            Err(Trouble::Conflict(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }
}

impl Hosts for Joined {
    fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<HostRow>, Trouble> {
        let mut after = match after {
            None => None,
            Some(text) => match text.parse::<HostId>() {
                Ok(id) => Some(id),
                Err(_) => return Err(Trouble::Refused("not an identifier of a host".to_owned())),
            },
        };
        let now_ns = self.clock.utc_ns();
        let row = |row: hansard_identity::host_row::HostRow| {
            let id = row.host_id();
            let is_here = id == Some(self.here);
            let present = id.and_then(&*self.presence);
            let policy = present.as_ref().and_then(|p| p.policy.as_ref());
            let lock = row.lock.filter(|lock| lock.holds_at(now_ns));
            HostRow {
                id: row.id,
                name: row.name,
                role: row.role.as_str().to_owned(),
                is_here,
                labels: row.labels,
                connected: present.is_some(),
                seen_ns: present.as_ref().map(|p| p.seen_ns),
                policy_version: policy.map(|policy| policy.version),
                policy_trouble: policy
                    .map(|policy| policy.trouble.clone())
                    .filter(|why| !why.is_empty()),
                certificate_ns: Some(row.tls_not_after_ns),
                locked: lock.map(|lock| lock.reason),
            }
        };
        // One answer of the registry may be shorter than what is wanted, and there is more.
        let mut listed = Vec::new();
        loop {
            let page = self
                .registry
                .hosts(after, most.saturating_sub(listed.len()));
            listed.extend(page.rows.into_iter().map(row));
            match page.next {
                Some(next) if listed.len() < most => after = Some(next),
                _ => break,
            }
        }
        Ok(listed)
    }

    fn check(&self, id: &str) -> Result<bool, Trouble> {
        let Some(id) = self.host(id) else {
            return Ok(false);
        };
        self.registry.check_lockable(id).map_err(trouble)?;
        Ok(true)
    }

    fn lock(&self, id: &str, reason: Option<&str>, by: &Caller) -> Result<bool, Trouble> {
        let Some(id) = self.host(id) else {
            return Ok(false);
        };
        let outcome = match reason {
            Some(reason) => {
                let now_ns = self.clock.utc_ns();
                self.registry.lock(id, reason, None, &by.user, now_ns)
            }
            None => self.registry.unlock(id, &by.user),
        };
        // Connections of a host that is locked are cut by ingest, which watches the registry.
        self.told(outcome).map(|()| true)
    }
}
