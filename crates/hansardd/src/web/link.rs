//! Who comes with a link: somebody without an account, who may play one session. The link's secret
//! stands behind the `#` of its address, which browsers send to nobody; the page sends it in a header,
//! so that it is in no log of a proxy, and no other site can have it sent.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderMap, StatusCode, header};
use hansard_core::event::Fact;
use hansard_core::{Body as EventBody, Fields, Lockable};
use hansard_identity::share::{Maker, Over, Secret, Share};

use super::Web;
use super::attempts::{For, Seen};
use crate::api::problem::Problem;
use crate::api::role::{Guest, Peer, Role};
use crate::api::table::{Op, ROUTES};

/// The address that a link is given away as.
#[must_use]
pub fn shared_address(origin: &str, secret: &Secret) -> String {
    format!("{origin}/shared#{}", secret.reveal())
}

/// The role that makes links.
fn least() -> Role {
    let mut routes = ROUTES.iter();
    let make = routes.find(|route| route.op == Op::ShareMake);
    make.map_or(Role::Admin, |route| route.least)
}

impl Web {
    /// Whoever has the link of this request's header.
    pub(super) async fn guest(
        self: &Arc<Self>,
        headers: &HeaderMap,
        address: IpAddr,
    ) -> Result<Guest, Problem> {
        let unknown = (address, Seen::Never);
        if let Err(too_many) = self.parts.attempts.look(unknown, Instant::now()) {
            return Err(self.too_many(too_many, address).await);
        }
        let text = headers.get(header::AUTHORIZATION);
        let text = text.and_then(|value| value.to_str().ok());
        let secret = text.and_then(|text| Secret::parse(text.strip_prefix("Bearer ")?));
        let share = secret.and_then(|secret| self.parts.shares.of(&secret));
        let Some(share) = share else {
            return Err(self.no_such_link(address).await);
        };
        // What the machine knows of whoever made it may take a while.
        let web = Arc::clone(self);
        let guest = tokio::task::spawn_blocking(move || web.guest_of(share, address));
        guest.await.map_err(|e| Problem::unavailable(e.to_string()))
    }

    /// Whoever has this link, as it is now. It may ask a directory service.
    pub(super) fn guest_of(&self, share: Share, address: IpAddr) -> Guest {
        let over = share.over(self.parts.clock.utc_ns());
        let over = match over {
            None => self.maker_over(&share).then_some(Over::Maker),
            over => over,
        };
        Guest {
            share,
            address,
            over,
        }
    }

    /// Whether who made a link may make none any more.
    fn maker_over(&self, share: &Share) -> bool {
        let by = share.created_by.as_str();
        match share.maker.clone() {
            // Another user of the same name did not make it.
            Some(Maker::User) => !self.parts.users.get(by).is_some_and(|user| {
                user.role >= least()
                    && user.created_ns <= share.created_ns
                    && self.locked(&user).is_none()
            }),
            Some(Maker::Account { uid, gid }) => !self.may_account((uid, gid), by),
            // Whether the provider still vouches for them nobody knows until they come again.
            Some(Maker::Outside { role, .. }) => self
                .parts
                .locks
                .as_ref()
                .and_then(|locks| {
                    locks.locked(&Lockable {
                        user: by.to_owned(),
                        roles: vec![role],
                        ..Lockable::default()
                    })
                })
                .is_some(),
            None => false,
        }
    }

    fn may_account(&self, (uid, gid): (u32, u32), name: &str) -> bool {
        let pid = None;
        let peer = Peer { uid, gid, pid };
        let known = (self.parts.admit)(&peer);
        let Some(role) = known.role.filter(|role| *role >= least()) else {
            return false;
        };
        let account = known.user.unwrap_or_else(|| format!("uid {uid}"));
        let locked = self.parts.locks.as_ref().filter(|_| uid != 0);
        let locked = locked.and_then(|locks| {
            locks.locked(&Lockable {
                user: account.clone(),
                roles: vec![role.as_str().to_owned()],
                login: account.clone(),
                ..Lockable::default()
            })
        });
        account == name && locked.is_none()
    }

    /// Somebody tries links that there are not. That counts as trying to sign in does.
    async fn no_such_link(self: &Arc<Self>, address: IpAddr) -> Problem {
        let begun = self
            .parts
            .attempts
            .begin(For::Unsaid, (address, Seen::Never), Instant::now());
        if let Err(too_many) = begun {
            return self.too_many(too_many, address).await;
        }
        let fields = Fields::new()
            .with("success", false)
            .with("error", "there is no such link")
            .with("addr.remote", address.to_string());
        let body = EventBody::Admin(Fact {
            event: "session.recording.access".to_owned(),
            fields,
        });
        let web = Arc::clone(self);
        let noted = tokio::task::spawn_blocking(move || (web.parts.audit)(body)).await;
        if let Ok(Err(lost)) = noted {
            (self.parts.log)(&format!("a refused link could not be recorded: {lost}"));
        }
        no_such_link()
    }
}

/// There is no such link (any more).
pub(super) fn no_such_link() -> Problem {
    Problem {
        next_step: "open the whole link, as it was given to you".to_owned(),
        ..Problem::status(
            StatusCode::UNAUTHORIZED,
            "no_such_link",
            "there is no such link",
        )
    }
}
