//! SIGHUP: the file is read again. With an error in it nothing changes; otherwise what can change in
//! a running daemon does, and the rest is named. Both are events.

use crate::check::{Surroundings, check};
use crate::config::change::{Change, changes};
use crate::config::{CONFIG_PATH, Config, Level};
use crate::failure::shown;

use super::opening::Opened;
use super::{Start, fact, tell};

/// Reads the file again and puts what can change in force. `config` is what was in force, and what is
/// from now on.
pub(super) fn reload(start: &Start, opened: &Opened, config: &mut Config) {
    let now_us = start.environment.clock.monotonic_ns() / 1000;
    tell(start, start.notify.reloading(now_us));
    let path = start
        .config_path
        .clone()
        .unwrap_or_else(|| CONFIG_PATH.into());
    let path = shown(&path);
    match read(start) {
        Ok(read) => {
            // What takes a start is what this life began with until then, whatever was read since.
            let mut changed = changes(config, &read);
            changed.retain(|change| change.live);
            let waiting = changes(&start.config, &read).into_iter();
            changed.extend(waiting.filter(|change| !change.live));
            said(start, &changed);
            opened.tell_soon(fact::reload(&path, Ok(&changed)));
            *config = read;
            opened.in_force(config);
        }
        Err(why) => {
            let values: [(&str, &dyn std::fmt::Display); 2] = [("path", &path), ("error", &why)];
            start
                .journal
                .error("the configuration has errors and is not used", &values);
            opened.tell_soon(fact::reload(&path, Err(&why)));
        }
    }
    let status = format!("running: {}", opened.roles.join(", "));
    tell(start, start.notify.ready(&status));
}

fn read(start: &Start) -> Result<Config, String> {
    let config = Config::load(start.config_path.as_deref()).map_err(|e| e.to_string())?;
    let findings = check(&config, &Surroundings::of_this_machine(&config));
    match findings
        .iter()
        .find(|finding| finding.level == Level::Error)
    {
        Some(error) => Err(error.to_string()),
        None => Ok(config),
    }
}

fn said(start: &Start, changed: &[Change]) {
    let keys = |live: bool| {
        let keys = changed.iter().filter(|change| change.live == live);
        let keys: Vec<&str> = keys.map(|change| change.key.as_str()).collect();
        keys.join(",")
    };
    let (live, later) = (keys(true), keys(false));
    let values: [(&str, &dyn std::fmt::Display); 1] = [("changed", &live)];
    start
        .journal
        .notice("the configuration was read again", &values);
    if !later.is_empty() {
        let values: [(&str, &dyn std::fmt::Display); 1] = [("keys", &later)];
        start
            .journal
            .warning("some changes take effect at the next start only", &values);
    }
}
