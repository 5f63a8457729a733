//! What a request asks for: its route, what stands in its path, and its body.

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::http::{Method, Request};
use tokio::time::timeout;

use super::limits::{ARRIVAL_MAX, BODY_BYTES_MAX, POLICY_BODY_BYTES_MAX};
use super::problem::Problem;
use super::router::Name;
use super::table::{Id, Op, ROUTES, Route, Verb, allowed};

/// What this path is asked for.
pub(super) fn find(path: Option<&'static str>, method: &Method) -> Result<&'static Route, Problem> {
    let path = path.ok_or_else(Problem::not_found)?;
    let named = |verb: Verb| verb.as_str() == method.as_str();
    let route = ROUTES.iter().find(|r| r.path == path && named(r.verb));
    route.ok_or_else(|| Problem::method(allowed(path)))
}

/// What stands in the path as it was sent: identifiers need no escapes, so one with an escape is
/// none.
pub(super) fn identifier(route: &Route, path: &str) -> Result<Option<Name>, Problem> {
    let Some(kind) = route.id else {
        return Ok(None);
    };
    let place = route.path.split('/').position(|part| part == "{id}");
    let text = place
        .and_then(|n| path.split('/').nth(n))
        .unwrap_or_default();
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    match kind {
        Id::Session => {
            let id = text.parse().map_err(|_| Problem::not_found())?;
            Ok(Some(Name::Session(id)))
        }
        Id::Host
        | Id::Token
        | Id::User
        | Id::Share
        | Id::Passkey
        | Id::Credential
        | Id::Lock
        | Id::SignIn
        | Id::Saved => {
            let is_name =
                (1..=64).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('.');
            match is_name {
                true => Ok(Some(Name::Other(text.to_owned()))),
                false => Err(Problem::not_found()),
            }
        }
    }
}

/// Longest body of this route, in bytes.
const fn body_bytes_max(route: &Route) -> usize {
    match route.op {
        Op::PolicySet | Op::PolicyTest => POLICY_BODY_BYTES_MAX,
        _ => BODY_BYTES_MAX,
    }
}

/// Whether a body may be so long that only so many may be on their way.
pub(super) const fn is_long(route: &Route) -> bool {
    body_bytes_max(route) > BODY_BYTES_MAX
}

/// The body, when all of it is here. Where none is wanted none is waited for.
pub(super) async fn read_body(route: &Route, request: Request<Body>) -> Result<Bytes, Problem> {
    let body = request.into_body();
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if route.body.is_none() {
        return Err(Problem::bad("this takes no body"));
    }
    let bytes_max = body_bytes_max(route);
    match timeout(ARRIVAL_MAX, to_bytes(body, bytes_max)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(Problem::too_large(bytes_max)),
        Err(_) => Err(Problem::bad("the body did not arrive in time")),
    }
}
