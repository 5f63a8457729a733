//! Who comes with a link: somebody without an account, who may play one session. The link's secret
//! stands behind the `#` of its address, which browsers send to nobody; the page sends it in a header,
//! so that it is in no log of a proxy, and no other site can have it sent.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderMap, StatusCode, header};
use hansard_core::event::Fact;
use hansard_core::{Body as EventBody, Fields};
use hansard_identity::share::{Secret, Share};

use super::Web;
use super::attempts::For;
use crate::api::problem::Problem;
use crate::api::role::Guest;

/// The address that a link is given away as.
#[must_use]
pub fn shared_address(origin: &str, secret: &Secret) -> String {
    format!("{origin}/shared#{}", secret.reveal())
}

impl Web {
    /// Whoever has the link of this request's header.
    pub(super) async fn guest(
        self: &Arc<Self>,
        headers: &HeaderMap,
        address: IpAddr,
    ) -> Result<Guest, Problem> {
        let text = headers.get(header::AUTHORIZATION);
        let text = text.and_then(|value| value.to_str().ok());
        let secret = text.and_then(|text| Secret::parse(text.strip_prefix("Bearer ")?));
        let share = secret.and_then(|secret| self.parts.shares.of(&secret));
        let Some(share) = share else {
            return Err(self.no_such_link(address).await);
        };
        Ok(self.guest_of(share, address))
    }

    /// Whoever has this link, as it is now.
    pub(super) fn guest_of(&self, share: Share, address: IpAddr) -> Guest {
        let over = share.over(self.parts.clock.utc_ns());
        Guest {
            share,
            address,
            over,
        }
    }

    /// Somebody tries links that there are not. That counts as trying to sign in does.
    async fn no_such_link(self: &Arc<Self>, address: IpAddr) -> Problem {
        let begun = self
            .parts
            .attempts
            .begin(For::Unsaid, address, Instant::now());
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
