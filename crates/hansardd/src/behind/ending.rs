//! Ending sessions: those recorded here, and those of hosts that are connected.

use std::sync::Arc;

use hansard_capture::registry::{Registry, RunningSession};
use hansard_core::SessionId;

use crate::api::problem::Trouble;
use crate::api::role::Caller;
use crate::api::seams::Ending;
use crate::live::Live;
use crate::tee::Source;

/// Asks a host to end a session: its source, the session, why, and who asked. `false` if the host
/// is not connected.
pub type EndThere = Arc<dyn Fn(Source, SessionId, &str, &str) -> bool + Send + Sync>;

/// Ends sessions that this process records, and asks hosts to end theirs.
pub struct EndHere {
    /// What is being recorded here.
    pub here: Option<Registry>,
    /// Who recorded what comes from elsewhere.
    pub live: Live,
    /// How hosts are asked.
    pub there: EndThere,
}

impl Ending for EndHere {
    fn goes_on(&self, session: SessionId) -> Result<bool, Trouble> {
        let is_this = |running: &RunningSession| running.session == session;
        let is_here = (self.here.iter()).any(|here| here.list().iter().any(is_this));
        let is_there = || matches!(self.live.source(session), Some(Source::Host(_)));
        Ok(is_here || is_there())
    }

    fn end(&self, session: SessionId, reason: &str, by: &Caller) -> Result<bool, Trouble> {
        if let Some(here) = &self.here
            && here.end(session, reason, &by.user).is_ok()
        {
            return Ok(true);
        }
        let Some(source) = self.live.source(session) else {
            return Ok(false);
        };
        if matches!(source, Source::Local) {
            return Ok(false);
        }
        match (self.there)(source, session, reason, &by.user) {
            true => Ok(true),
            false => Err(Trouble::Conflict(
                "the host that records it is not connected; ask again when it is".to_owned(),
            )),
        }
    }
}
