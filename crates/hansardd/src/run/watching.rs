//! The role that records host events: of sessions, and of the host itself.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hansard_capture::host::{Access, Config as HostConfig, HostEvents, LeftOut, PAGE_BYTES};

use super::facts::Facts;
use super::{Closer, Start, fact};
use crate::config::Host;
use crate::failure::{Failure, STATUS_FAILED};

/// Loads the kernel's programs, where host events are to be recorded.
pub(super) fn watching(
    start: &Start,
    facts: &Facts,
    host: Option<&Host>,
) -> Result<Option<HostEvents>, Failure> {
    let Some(host) = host.filter(|host| host.enabled) else {
        return Ok(None);
    };
    // Whoever asked for them is not to believe that they are there: no session begins without.
    // A fact that finds no room is counted: the daemon's own recording says so.
    let of_events = facts.clone();
    let tell = Box::new(move |body| of_events.mention(body));
    let events = HostEvents::start(configured(start, host), tell).map_err(|why| {
        let next = format!("{}; or set capture.host.enabled to false", why.next);
        Failure::new(STATUS_FAILED, why.to_string(), next)
    })?;
    let support = events.support();
    let backend = support.backend;
    start
        .journal
        .info("host events are recorded", &[("backend", &backend)]);
    if events.took_up() {
        let what = "the kernel's programs had stayed: what they told since is in the ring";
        start.journal.info(what, &[]);
    }
    for path in events.absent() {
        let what = "what is to be left out of host events is not there, and nothing of it is";
        start.journal.warning(what, &[("path", &path.display())]);
    }
    for missing in support.missing.iter().filter(|missing| missing.is_unseen()) {
        let what = "of host events this kernel does not tell everything";
        start.journal.warning(what, &[("missing", missing)]);
        let why = format!("the kernel does not tell {missing}");
        // The daemon is ending if nobody takes it, and says so itself.
        let _ = facts.tell(fact::alarm("host_events", None, None, &why));
    }
    Ok(Some(events))
}

/// Listens to who comes into this host, where that is to be told.
pub(super) fn listening(
    start: &Start,
    facts: &Facts,
    host: Option<&Host>,
    closers: &mut Vec<Closer>,
) {
    if !host.is_some_and(|host| host.enabled && host.access) {
        return;
    }
    let of_events = facts.clone();
    match Access::start(Box::new(move |body| of_events.mention(body))) {
        Ok(access) => {
            let source = access.source();
            let what = "logins, sudo and su of this host are told";
            start.journal.info(what, &[("source", &source)]);
            closers.push(("access events", Box::new(move || drop(access))));
        }
        Err(why) => {
            let what = "logins, sudo and su of this host are not told";
            start.journal.warning(what, &[("why", &why)]);
            // The daemon is ending if nobody takes it, and says so itself.
            let _ = facts.tell(fact::alarm("host_access", None, None, &why));
        }
    }
}

fn configured(start: &Start, host: &Host) -> HostConfig {
    let pages = host
        .command_buffer_size
        .saturating_add(host.disk_buffer_size)
        .saturating_add(host.network_buffer_size);
    HostConfig {
        command: host.command,
        disk: host.disk,
        network: host.network,
        ring_bytes: pages.saturating_mul(PAGE_BYTES),
        left_out: LeftOut {
            paths: host.exclude_paths.clone(),
            programs: host.exclude_programs.clone(),
        },
        logins: match host.logins {
            true => host.login_programs.clone(),
            false => Vec::new(),
        },
        pins: pins(&start.config.node.data_dir, host),
        by_number: false,
    }
}

/// Below the directory that is configured, one that no daemon with another data directory has.
fn pins(data_dir: &Path, host: &Host) -> Option<PathBuf> {
    if !host.pinned {
        return None;
    }
    // Of a daemon that runs it is there.
    let data = std::fs::metadata(data_dir).ok()?;
    Some(
        host.pin_dir
            .join(format!("{:x}-{:x}", data.dev(), data.ino())),
    )
}
