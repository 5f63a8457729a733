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

impl Service {
    /// The document that answers.
    pub(crate) fn document(&self, asked: &Asked) -> Result<Json, Failure> {
        let answer = self.send(asked)?;
        self.read(self.checked(answer)?)
    }

    /// The bytes that answer, as they come.
    pub(crate) fn stream(&self, asked: &Asked) -> Result<Stream, Failure> {
        let answer = self.send(asked)?;
        Ok(Stream::new(self.clone(), self.checked(answer)?))
    }

    /// The lines that answer, as they come.
    pub(crate) fn lines(&self, asked: &Asked) -> Result<Lines, Failure> {
        Ok(Lines::new(self.stream(asked)?))
    }

    /// The same answer, if it is what was asked for.
    fn checked(&self, answer: Response<Incoming>) -> Result<Response<Incoming>, Failure> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let said = self.read(answer).unwrap_or_default();
        let text = |name: &str| {
            let text = said.pointer(&format!("/error/{name}"))?.as_str()?;
            Some(escape_for_humans(text).into_owned())
        };
        let message = text("message").unwrap_or_else(|| format!("the service answers {status}"));
        let mut failure = Failure::new(STATUS_WRONG_USE, message);
        if let Some(next) = next_step(text("code").as_deref(), text("next_step")) {
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

/// The service speaks of its API; whoever runs a command is told of commands.
fn next_step(code: Option<&str>, said: Option<String>) -> Option<String> {
    match code {
        Some("not_found") => Some(
            "`hansard ls` lists sessions, `hansard host ls` hosts, `hansard token ls` tokens"
                .into(),
        ),
        Some("changed") => Some("`hansard policy get` shows what is there now".into()),
        Some("bad_request") => Some("--help says what is taken".into()),
        _ => said,
    }
}
