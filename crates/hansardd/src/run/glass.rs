//! Logins while no daemon was there (break-glass): what they left is reported, and who may do so is
//! looked through whenever the policy changes.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use hansard_capture::shell::{BREAK_GLASS_DIR, BrokenGlass, broken_glass, review_break_glass};

use super::facts::Facts;
use super::opening::no_thread;
use super::{Closer, Start, fact};
use crate::failure::Failure;
use crate::policy::InForce;

/// The directory of notes on who may log in without a daemon, in `runtime_dir`.
pub(super) const BREAK_GLASS: &str = "break-glass";

/// How long an account that a new policy does not name any more can still log in without a daemon.
const REVIEW_EVERY: Duration = Duration::from_secs(1);

/// Looks the notes through now and whenever another policy is in force. A crash in between leaves some of
/// them to the next start.
pub(super) fn review(
    start: &Start,
    in_force: InForce,
    closers: &mut Vec<Closer>,
) -> Result<(), Failure> {
    let notes = notes(start);
    review_break_glass(&notes, &in_force);
    let mut version = in_force.version();
    let journal = start.journal.clone();
    let (stop, stopped) = channel::<()>();
    let look = move || {
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(REVIEW_EVERY) {
            if in_force.version() == version {
                continue;
            }
            version = in_force.version();
            let removed = review_break_glass(&notes, &in_force);
            if removed > 0 {
                let what = "accounts may not log in without a daemon any more";
                journal.notice(what, &[("accounts", &removed), ("policy", &version)]);
            }
        }
    };
    let thread = std::thread::Builder::new().name("break-glass".to_owned());
    let thread = thread.spawn(look).map_err(no_thread)?;
    let close = move || {
        drop(stop);
        let _ = thread.join();
    };
    closers.push(("break-glass", Box::new(close)));
    Ok(())
}

pub(super) fn notes(start: &Start) -> PathBuf {
    start.config.node.runtime_dir.join(BREAK_GLASS)
}

/// Says what was left, at each start until somebody has moved it away.
pub(super) fn report(start: &Start, facts: &Facts) {
    let BrokenGlass {
        left,
        more,
        others,
        is_cut,
    } = broken_glass(BREAK_GLASS_DIR.as_ref(), &notes(start));
    // The daemon is ending if nobody takes them, and says so itself.
    let alarm = |file: Option<&str>, why: String| {
        let _ = facts.tell(fact::alarm("break_glass", file, None, &why));
    };
    for broken in left {
        let (file, uid) = (broken.file.display().to_string(), broken.uid);
        let what = "a login while no daemon was there (break-glass) left its recording";
        let said = [("file", &file as &dyn std::fmt::Display), ("uid", &uid)];
        start.journal.warning(what, &said);
        let why = format!(
            "the account {uid} logged in while no daemon was there: it was recorded in its own process"
        );
        alarm(Some(&file), why);
    }
    for (uid, count) in more {
        let why = format!("the account {uid} left {count} more such files in {BREAK_GLASS_DIR}");
        start.journal.warning("break-glass", &[("what", &why)]);
        alarm(None, why);
    }
    if is_cut {
        let why = format!("there are more files in {BREAK_GLASS_DIR} than are looked at");
        start.journal.warning("break-glass", &[("what", &why)]);
        alarm(None, why);
    }
    if others > 0 {
        // Everybody may put files there: that alone alarms nobody.
        let what = "files of accounts that may not log in without a daemon, or no recordings";
        let said = [
            ("dir", &BREAK_GLASS_DIR as &dyn std::fmt::Display),
            ("files", &others),
        ];
        start.journal.notice(what, &said);
    }
}
