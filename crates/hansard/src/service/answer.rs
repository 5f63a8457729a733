//! Answers that are one document, and what is said when there is none.

use std::io::Read as _;

use hansard_view::escape_for_humans;
use hyper::Response;
use hyper::body::Incoming;
use serde_json::Value as Json;

use super::{Asked, Lines, Service, Stream};
use crate::failure::{Failure, STATUS_WRONG_USE};

/// Longest document that is taken, in bytes; a longer answer is an error. A full page of the
/// longest documents is shorter.
const DOCUMENT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What to do about a text that is refused.
const MEND: &str = "mend it there; `hansard policy test --file FILE` tries a text out, and docs/policy.md says what may stand in it";

impl Service {
    /// The document that answers.
    pub(crate) fn document(&self, asked: &Asked) -> Result<Json, Failure> {
        let answer = self.send(asked)?;
        self.read(self.checked(asked, answer)?)
    }

    /// The bytes that answer, as they come.
    pub(crate) fn stream(&self, asked: &Asked) -> Result<Stream, Failure> {
        let answer = self.send(asked)?;
        Ok(Stream::new(self.clone(), self.checked(asked, answer)?))
    }

    /// The lines that answer, as they come.
    pub(crate) fn lines(&self, asked: &Asked) -> Result<Lines, Failure> {
        Ok(Lines::new(self.stream(asked)?))
    }

    /// The same answer, if it is what was asked for.
    fn checked(
        &self,
        asked: &Asked,
        answer: Response<Incoming>,
    ) -> Result<Response<Incoming>, Failure> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let said = self.read(answer).unwrap_or_default();
        let text = |name: &str| {
            let text = said.pointer(&format!("/error/{name}"))?.as_str()?;
            Some(escape_for_humans(text).into_owned())
        };
        let code = text("code");
        let mut message =
            text("message").unwrap_or_else(|| format!("the service answers {status}"));
        let about = asked.about(code.as_deref(), &message);
        let is_of_file = about.is_some() && code.as_deref() == Some("bad_request");
        if let Some(about) = about {
            message = format!("{}: {message}", escape_for_humans(&about));
        }
        let mut failure = Failure::new(STATUS_WRONG_USE, message);
        let next = match is_of_file {
            true => Some(MEND.to_owned()),
            false => next_step(asked, code.as_deref(), text("next_step")),
        };
        if let Some(next) = next {
            failure = failure.hint(match text("request_id") {
                Some(id) if status.is_server_error() => format!("{next} (request {id})"),
                _ => next,
            });
        }
        Err(failure)
    }

    fn read(&self, answer: Response<Incoming>) -> Result<Json, Failure> {
        let mut bytes = Vec::new();
        let mut stream = Stream::new(self.clone(), answer).take(DOCUMENT_BYTES_MAX);
        stream
            .read_to_end(&mut bytes)
            .map_err(|e| Failure::cut(&e))?;
        serde_json::from_slice(&bytes).map_err(|e| {
            Failure::new(
                STATUS_WRONG_USE,
                format!("the service's answer is no JSON: {e}"),
            )
        })
    }
}

/// The step that the service says where something is in the way.
const LOOK_FIRST: &str = "look at what is there first";

/// The service speaks of its API; whoever runs a command is told of commands.
fn next_step(asked: &Asked, code: Option<&str>, said: Option<String>) -> Option<String> {
    let next = match code {
        Some("not_found") => match asked.collection() {
            "sessions" => "`hansard ls` lists sessions",
            "policy" => "`hansard policy get` shows the version that is in force",
            "hosts" => {
                "`hansard host ls` lists hosts: the identifiers in its first column are meant"
            }
            "tokens" => "`hansard token ls` lists tokens",
            "users" => "`hansard user ls` lists users",
            "locks" => "`hansard lock ls` lists locks",
            "shares" => "`hansard share ls` lists links",
            "credentials" => "`hansard credential ls` lists credentials",
            _ => return said,
        },
        // Of a name that is taken; of anything else the service's own words say what is first.
        Some("conflict")
            if asked.collection() == "users" && said.as_deref() == Some(LOOK_FIRST) =>
        {
            "`hansard user ls` lists users; `hansard user passwd` and `roles` change one"
        }
        Some("changed") => "`hansard policy get` shows what is there now",
        Some("bad_request") => "--help says what is taken",
        _ => return said,
    };
    Some(next.to_owned())
}
