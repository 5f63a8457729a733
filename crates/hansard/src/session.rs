//! An argument that is a session's UUID means the session of that name at the service; anything
//! else is a file.

use std::path::Path;

use hansard_core::SessionId;

use crate::cli::LookArgs;
use crate::failure::Failure;
use crate::service::{Asked, Service, Stream};

/// The session that this argument names, if it does. (`./UUID` is a file.)
pub(crate) fn named(path: &Path) -> Option<SessionId> {
    path.to_str()?.parse().ok()
}

/// The session's recording, as the service sends it.
pub(crate) fn open(session: SessionId, look: &LookArgs) -> Result<Stream, Failure> {
    let asked = Asked::get(&["sessions", &session.to_string(), "recording"]);
    let service = Service::new(&look.service)?;
    service.stream(&asked.with("reason", look.reason.as_deref()))
}
