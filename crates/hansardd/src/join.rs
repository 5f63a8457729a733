//! Joining and renewing as bytes in and bytes out: what `POST /v1/join` and `POST /v1/renew` mean,
//! without knowing how they travel.
//!
//! Both are open to who has no client certificate: a token decides about the one, the proof of the
//! recorder's key about the other.

use hansard_core::event::Body;
use hansard_identity::join::{JoinResponse, read_body};
use hansard_identity::registry::{Denied, Done};
use hansard_identity::{Failure, Peer, Registry};
use serde::Serialize;

/// What is answered, and what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status: 200, 400 malformed, 401 no valid token, 403 not allowed, 409 something else is
    /// there or a bound is reached, 503 try again.
    pub status: u16,
    /// JSON: a [`JoinResponse`], or `{"error": "…"}` in words that may be shown.
    pub body: Vec<u8>,
    /// Events for the service's own recording, with the true reason. To be recorded before the
    /// answer is sent.
    pub facts: Vec<Body>,
}

/// What is answered when something was not done.
#[derive(Serialize)]
struct Refusal {
    error: String,
}

/// Answers `POST /v1/join`. A body is never read beyond
/// [`hansard_identity::limits::BODY_BYTES_MAX`]; the caller SHOULD not take in more either.
#[must_use]
pub fn join(registry: &Registry, body: &[u8], utc_ns: u64) -> Answer {
    let done = read_body(body).map_err(Denied::from);
    answer(done.and_then(|request| registry.join(&request, utc_ns)))
}

/// Answers `POST /v1/renew`. `peer` is who the connection is from, if it showed a certificate.
#[must_use]
pub fn renew(registry: &Registry, peer: Option<&Peer>, body: &[u8], utc_ns: u64) -> Answer {
    let done = read_body(body).map_err(Denied::from);
    answer(done.and_then(|request| registry.renew(peer, &request, utc_ns)))
}

fn answer(done: Result<Done<JoinResponse>, Denied>) -> Answer {
    let (status, body, facts) = match done {
        Ok(done) => (200, serde_json::to_vec(&done.answer), done.facts),
        Err(denied) => {
            let status = status(&denied.failure);
            let error = match denied.failure {
                // Inside it names files of ours; who asked can only try again.
                Failure::Retry(_) => "the service cannot do this now: try again".to_owned(),
                failure => failure.to_string(),
            };
            (status, serde_json::to_vec(&Refusal { error }), denied.facts)
        }
    };
    Answer {
        status,
        // Strings alone: there is nothing in them that JSON cannot say.
        body: body.unwrap_or_default(),
        facts,
    }
}

fn status(failure: &Failure) -> u16 {
    match failure {
        Failure::Malformed(_) => 400,
        Failure::Token => 401,
        Failure::Refused(_) => 403,
        Failure::Conflict(_) => 409,
        Failure::Retry(_) => 503,
    }
}
