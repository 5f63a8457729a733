//! Headers of the sessions whose events are told, as many as there is room for.

use std::collections::HashMap;
use std::sync::Arc;

use hansard_core::{Session, SessionId};

/// Bytes of headers that are remembered; beyond them all are forgotten, and read again when needed:
/// from the spool or the archive.
pub const HEADERS_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Headers {
    all: HashMap<SessionId, (Option<Arc<Session>>, usize)>,
    bytes: usize,
}

impl Headers {
    /// The header, if it is remembered; `Some(None)` is one that the archive has lost.
    pub(super) fn get(&self, session: SessionId) -> Option<Option<Arc<Session>>> {
        self.all.get(&session).map(|(header, _)| header.clone())
    }

    /// Remembers one; `stored_bytes` is about how long it is.
    pub(super) fn put(
        &mut self,
        session: SessionId,
        header: Option<Arc<Session>>,
        stored_bytes: usize,
    ) {
        // Flat fields take a few times their stored length; what is longer than all may be is had
        // from the stores each time.
        let bytes = stored_bytes.saturating_mul(8).saturating_add(512);
        if self.bytes.saturating_add(bytes) > HEADERS_BYTES_MAX {
            self.all.clear();
            self.bytes = 0;
        }
        if bytes <= HEADERS_BYTES_MAX {
            self.remove(session);
            self.bytes = self.bytes.saturating_add(bytes);
            self.all.insert(session, (header, bytes));
        }
    }

    pub(super) fn remove(&mut self, session: SessionId) {
        if let Some((_, bytes)) = self.all.remove(&session) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}
