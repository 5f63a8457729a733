//! The role that records logins.

use std::sync::Arc;

use hansard_capture::shell::{
    Config as LoginsConfig, Found, Keeps, Logins, TLOG_CONF, may_take_terminals,
};
use hansard_core::Gate;

use super::facts::Facts;
use super::{Start, fact, glass};
use crate::config::Shell;
use crate::failure::Failure;

/// The directory of notes on terminals that are taken, in `runtime_dir`.
const TERMINALS: &str = "terminals";

/// The list of who is logged in, where a system keeps one.
pub(super) const UTMP: &str = "/run/utmp";

/// Takes logins from now on: first gives back what terminals the last process had taken.
pub(super) fn logins(
    start: &Start,
    facts: &Facts,
    shell: &Shell,
    gate: Arc<dyn Gate>,
    found: &[&Found],
) -> Result<Logins, Failure> {
    let notes = start.config.node.runtime_dir.join(TERMINALS);
    let config = LoginsConfig {
        gate,
        shells: shell.shells.0.clone(),
        shell: shell.shell.clone(),
        notes: notes.clone(),
        utmp: UTMP.into(),
        break_glass: glass::notes(start),
        tlog_conf: TLOG_CONF.into(),
        keeper: start.store.clone().map(|store| store as Arc<dyn Keeps>),
    };
    let (logins, restored) =
        Logins::going_on(config, found).map_err(|e| Failure::about(&notes, &e))?;
    if restored.given_back > 0 || restored.gone > 0 {
        let found = [
            ("given_back", &restored.given_back as &dyn std::fmt::Display),
            ("gone", &restored.gone),
        ];
        start
            .journal
            .notice("terminals of sessions that a kill ended", &found);
    }
    glass::report(start, facts);
    if !may_take_terminals() {
        let what = "logins' terminals cannot be taken: CAP_CHOWN, CAP_DAC_OVERRIDE or CAP_FOWNER is missing";
        start.journal.warning(what, &[]);
        let why = "the daemon may not make terminals its own: they can be written to beside it";
        let _ = facts.tell(fact::alarm("terminals_not_taken", None, None, why));
    }
    if logins.input_can_be_injected() {
        let what = "programs can type into their own terminal (dev.tty.legacy_tiocsti is not 0)";
        start.journal.warning(what, &[]);
        let why = "dev.tty.legacy_tiocsti is not 0: what is typed may come from a program";
        // The daemon is ending if nobody takes it, and says so itself.
        let _ = facts.tell(fact::alarm("terminal_input", None, None, why));
    }
    Ok(logins)
}
