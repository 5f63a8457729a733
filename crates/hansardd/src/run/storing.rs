//! Credentials for targets while the daemon runs: opened before the proxy and the API that share them.

use std::sync::Arc;

use hansard_core::event::Fact;
use hansard_core::{Body, Fields};
use hansard_identity::Credentials;
use hansard_record::Environment;

use super::Start;
use super::facts::Facts;
use crate::behind::Stored;
use crate::data_dir::DataDir;
use crate::failure::{Failure, STATUS_FAILED, shown};
use crate::init::keys::authority_dir;

/// The key that seals them, beside the authority's.
const KEY: &str = "credentials.key";

/// The credentials of a service; elsewhere there are none. One that cannot be read or opened lets nobody in
/// anywhere, which is an event; the others are none the worse.
pub(super) fn credentials(
    start: &Start,
    dir: &DataDir,
    environment: &Environment,
    facts: &Facts,
) -> Result<Option<Stored>, Failure> {
    if start.config.store.is_none() {
        return Ok(None);
    }
    let path = dir.credentials();
    let key = authority_dir(&dir.keys()).join(KEY);
    let random = Arc::clone(&environment.random);
    let fill = move |bytes: &mut [u8]| random.fill(bytes);
    let opened = Credentials::open(&path, &key, Arc::new(fill));
    let (kept, unreadable) = opened.map_err(|e| {
        let next = "see that data_dir is there and writable";
        Failure::new(STATUS_FAILED, format!("{}: {e}", shown(&path)), next)
    })?;
    for (name, why) in unreadable {
        let fields = Fields::new().with("name", name).with("error", why);
        let event = "registry.unreadable".to_owned();
        facts.mention(Body::Admin(Fact { event, fields }));
    }
    Ok(Some(Stored {
        kept: Arc::new(kept),
        clock: Arc::clone(&environment.clock),
    }))
}
