//! Why a request was not answered as asked: one JSON shape. What the caller is told and what the log
//! is told differ: a caller learns what to do, never what stands where on our disk.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

/// Why one of the things behind the API could not do it, sorted by what the caller does about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Not now; asking again may help. The words are for the log only.
    Retry(String),
    /// Not now, because others do it already; asking again helps. The words are for the caller.
    Busy(String),
    /// Never like this. The words are for the caller.
    Refused(String),
    /// It is as asked already, or something else is in the way. The words are for the caller.
    Conflict(String),
    /// Not before something else is done: that is the second. The words are for the caller.
    NotNow(String, &'static str),
    /// It is not as the caller said that it is. The words are for the caller.
    Changed(String),
    /// It could not be put on record, so it was not done. The words are for the log only.
    NotRecorded(String),
    /// It was there and was deleted for good. The words are for the caller.
    Gone(String),
}

impl From<hansard_store::CatalogError> for Trouble {
    fn from(error: hansard_store::CatalogError) -> Self {
        match error {
            hansard_store::CatalogError::Refused(why) => Self::Refused(why),
            other => Self::Retry(other.to_string()),
        }
    }
}

/// After how many seconds whoever is told to come again should do so at the earliest: `Retry-After`.
const BUSY_RETRY_S: &str = "2";

/// A request that was not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// One word for programs.
    pub code: &'static str,
    /// One sentence for people.
    pub message: String,
    /// What to do next.
    pub next_step: String,
    /// What only the log is told.
    pub inside: Option<String>,
    /// Methods that there are, where the method was the problem.
    pub allow: Option<&'static str>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: &str, next_step: &str) -> Self {
        Self {
            status,
            code,
            message: message.to_owned(),
            next_step: next_step.to_owned(),
            inside: None,
            allow: None,
        }
    }

    /// Of this status, with a word for programs and one sentence for people.
    #[must_use]
    pub fn status(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self::new(status, code, message, "")
    }

    /// Nothing is there: the same words whatever was asked for.
    #[must_use]
    pub fn not_found() -> Self {
        let message = "there is nothing here under this name";
        let next = "GET /v1/openapi.json lists what there is; GET /v1/sessions lists sessions";
        Self::new(StatusCode::NOT_FOUND, "not_found", message, next)
    }

    /// The path is there, the method is not.
    #[must_use]
    pub fn method(allow: &'static str) -> Self {
        let message = format!("this is asked with {allow}");
        let next = "GET /v1/openapi.json lists methods and paths";
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Self {
            allow: Some(allow),
            ..Self::new(status, "method_not_allowed", &message, next)
        }
    }

    /// The caller has no role, or none that is high enough.
    #[must_use]
    pub fn forbidden(message: &str) -> Self {
        let next = "an administrator gives roles in hansard.yaml, under serve.admin";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message, next)
    }

    /// The caller is locked out; why, as a sentence for them.
    #[must_use]
    pub fn locked(why: &str) -> Self {
        let next = "an administrator lifts locks: `hansard lock ls` lists them";
        Self::new(StatusCode::FORBIDDEN, "locked", why, next)
    }

    /// This daemon does not have what was asked for; another one does.
    #[must_use]
    pub fn elsewhere(words: &str) -> Self {
        let next = "ask there; `hansard status` says how this host is";
        Self::new(StatusCode::NOT_IMPLEMENTED, "elsewhere", words, next)
    }

    /// The request is not one that can be answered.
    #[must_use]
    pub fn bad(message: impl Into<String>) -> Self {
        let next = "GET /v1/openapi.json describes parameters and bodies";
        Self {
            message: message.into(),
            ..Self::new(StatusCode::BAD_REQUEST, "bad_request", "", next)
        }
    }

    /// The body is longer than any that is wanted.
    #[must_use]
    pub fn too_large(most: usize) -> Self {
        let message = format!("the body is longer than {most} bytes");
        let next = "send only what the API describes";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &message, next)
    }

    /// Too much is going on.
    #[must_use]
    pub fn busy(message: &str) -> Self {
        let next = "ask again in a moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message, next)
    }

    /// Too much of the caller's own is going on.
    #[must_use]
    pub fn busy_own(message: &str) -> Self {
        let next = "let one of yours end first, or ask again in a moment";
        Self {
            next_step: next.to_owned(),
            ..Self::busy(message)
        }
    }

    /// Something behind the API does not work.
    #[must_use]
    pub fn unavailable(inside: impl Into<String>) -> Self {
        let message = "the service cannot answer this now";
        let next = "ask again later; the service's log says why, under this request's id";
        Self {
            inside: Some(inside.into()),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                message,
                next,
            )
        }
    }

    /// The look could not be put on record, so there is none.
    #[must_use]
    pub fn not_recorded(inside: impl Into<String>) -> Self {
        let message = "this must be put on record first, and that failed; nothing was done";
        let next = "ask again later; the service's log says why, under this request's id";
        Self {
            inside: Some(inside.into()),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "not_recorded",
                message,
                next,
            )
        }
    }

    /// The answer, with this request's identifier.
    #[must_use]
    pub fn response(&self, request_id: &str) -> Response<Body> {
        let body = json!({ "error": {
            "code": self.code,
            "message": self.message,
            "next_step": self.next_step,
            "request_id": request_id,
        }});
        let mut response = Response::new(Body::from(format!("{body}\n")));
        *response.status_mut() = self.status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some(allow) = self.allow {
            let allow = HeaderValue::from_static(allow);
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if self.code == "busy" {
            let after = HeaderValue::from_static(BUSY_RETRY_S);
            response.headers_mut().insert(header::RETRY_AFTER, after);
        }
        response
    }
}

impl From<Trouble> for Problem {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Retry(why) => Self::unavailable(why),
            Trouble::Busy(why) => Self::busy(&why),
            Trouble::Refused(why) => Self::bad(why),
            Trouble::Conflict(why) => {
                let next = "look at what is there first";
                Self::new(StatusCode::CONFLICT, "conflict", &why, next)
            }
            Trouble::NotNow(why, next) => Self::new(StatusCode::CONFLICT, "conflict", &why, next),
            Trouble::Changed(why) => {
                let next = "look at what is there now, and say that version";
                let status = StatusCode::PRECONDITION_FAILED;
                Self::new(status, "changed", &why, next)
            }
            Trouble::NotRecorded(why) => Self::not_recorded(why),
            Trouble::Gone(why) => {
                let next = "nothing brings it back; what is left of it is the event of its deletion: \
GET /v1/events?event=recording.deleted";
                Self::new(StatusCode::GONE, "deleted", &why, next)
            }
        }
    }
}
