//! Locks while the daemon runs: opened before anything is recorded, and held against what hosts begin.

use std::sync::Arc;
use std::time::Duration;

use hansard_identity::Locks;
use hansard_record::Environment;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Start;
use super::opening::told;
use crate::behind::{Locked, LockingOut};
use crate::data_dir::DataDir;
use crate::failure::{Failure, STATUS_FAILED, shown};

/// How often it is looked whether a host has begun something that is locked; here nothing begins then.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The locks of a service, which are there before anybody is let in. Without its own store a host has none: its sessions are ended by the service.
///
/// # Errors
/// One cannot be read: whoever it is about would be let in.
pub(super) fn locks(
    start: &Start,
    dir: &DataDir,
    environment: &Environment,
) -> Result<Option<Locked>, Failure> {
    if start.config.store.is_none() {
        return Ok(None);
    }
    let path = dir.locks();
    let random = Arc::clone(&environment.random);
    let fill = move |bytes: &mut [u8]| random.fill(bytes);
    let locks = Locks::open(&path, Arc::new(fill)).map_err(|e| {
        let what = format!("{}: {e}", shown(&path));
        let next = "bring the lock back, or remove its file to lift it";
        Failure::new(STATUS_FAILED, what, next)
    })?;
    Ok(Some(Locked {
        locks: Arc::new(locks),
        clock: Arc::clone(&environment.clock),
    }))
}

/// Ends what hosts begin and is locked, until the daemon stops.
pub(super) fn hold(out: LockingOut, runtime: &Runtime, stop: watch::Receiver<bool>) {
    runtime.spawn(async move {
        let stopped = told(stop);
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return,
                () = sleep(LOOK_EVERY) => {}
            }
            let out = out.clone();
            // A sweep asks a lock for each live session, which is nothing for a thread that serves others.
            let _ = tokio::task::spawn_blocking(move || out.sweep()).await;
        }
    });
}
