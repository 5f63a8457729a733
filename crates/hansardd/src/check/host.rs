//! Host events.

use hansard_capture::host::{LEFT_OUT_MAX, LOGIN_PROGRAMS_MAX};

use crate::config::{Config, Finding};

/// What recording them needs.
pub(super) fn host_events(config: &Config, found: &mut Vec<Finding>) {
    let Some(host) = &config.capture.host else {
        return;
    };
    if host.enabled && config.capture.local.is_none() {
        found.push(Finding::error(
            "capture.host",
            "host events belong to sessions, which come in at capture.sock, which is off",
            "add `local: {}` beside it",
        ));
    }
    let lists = [&host.exclude_paths, &host.exclude_programs];
    if lists.into_iter().any(|list| list.len() > LEFT_OUT_MAX) {
        found.push(Finding::error(
            "capture.host",
            format!("more than {LEFT_OUT_MAX} paths or programs are left out"),
            "name directories above them, or switch `disk` off",
        ));
    }
    if host.login_programs.len() > LOGIN_PROGRAMS_MAX {
        found.push(Finding::error(
            "capture.host.login_programs",
            format!("more than {LOGIN_PROGRAMS_MAX} programs let people in"),
            "name those that do on this machine",
        ));
    }
    if host.logins && host.login_programs.is_empty() {
        found.push(Finding::warning(
            "capture.host.logins",
            "no program is named that lets people in: no login is found",
            "leave login_programs at its default",
        ));
    }
}
