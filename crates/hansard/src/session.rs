//! An argument that is a session's UUID means the session of that name at the service; anything
//! else is a file.

use std::path::Path;

use hansard_core::SessionId;

use crate::cli::LookArgs;
use crate::failure::{Failure, STATUS_DAMAGED};
use crate::service::{Asked, Service, Stream};

/// The session that this argument names, if it does. (`./UUID` is a file.)
pub(crate) fn named(path: &Path) -> Option<SessionId> {
    path.to_str()?.parse().ok()
}

/// What is wrong with a recording that was sent for the session which this argument names, if it names one: where it is
/// another's, it shows nothing of this one, however sound it is.
pub(crate) fn is_another(path: &Path, sent: SessionId) -> Option<String> {
    named(path).filter(|asked| *asked != sent)?;
    Some(format!(
        "the service sent the recording of session {sent}, of which nothing is shown"
    ))
}

/// The session's recording, as the service sends it, to be read.
pub(crate) fn open(session: SessionId, look: &LookArgs) -> Result<Stream, Failure> {
    match recording(session, look)? {
        Some(bytes) => Ok(bytes),
        None => Err(Failure::new(
            STATUS_DAMAGED,
            format!("{session}: the service knows this session, and nothing of it is left"),
        )
        .hint(format!("`hansard verify {session}` says what is wrong"))),
    }
}

/// The session's recording; `None` where the service knows it and nothing of it is left.
pub(crate) fn recording(session: SessionId, look: &LookArgs) -> Result<Option<Stream>, Failure> {
    let id = session.to_string();
    let asked = Asked::get(&["sessions", &id, "recording"]);
    let service = Service::new(&look.service)?;
    let mut bytes = service.stream(&asked.with("reason", look.reason.as_deref()))?;
    let is_empty = bytes.is_empty();
    let is_empty = is_empty.map_err(|e| Failure::about(Path::new(&id), &e))?;
    Ok((!is_empty).then_some(bytes))
}
