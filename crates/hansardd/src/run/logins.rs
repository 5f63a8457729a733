//! The role that records logins, and who decides about them where no central policy does.

use std::sync::Arc;

use hansard_capture::shell::{
    BREAK_GLASS_DIR, Config as LoginsConfig, Logins, broken_glass, may_take_terminals,
};
use hansard_core::policy::{OnEnd, Policy};
use hansard_core::{Decision, Gate, Login};

use super::facts::Facts;
use super::recording::policy;
use super::{Start, fact};
use crate::config::{Local, Shell};
use crate::failure::Failure;
use crate::policy::InForce;

/// The directory of notes on terminals that are taken, in `runtime_dir`.
const TERMINALS: &str = "terminals";

/// The directory of notes on who may log in without a daemon, there too.
const BREAK_GLASS: &str = "break-glass";

/// Decides by this machine's configuration: everybody is recorded, and alike.
struct Configured {
    policy: Policy,
    notice: String,
    on_end: OnEnd,
}

impl Gate for Configured {
    fn admit(&self, _: &Login) -> Decision {
        Decision {
            recorded: true,
            policy: self.policy.clone(),
            notice: self.notice.clone(),
            accept: false,
            on_end: self.on_end,
            break_glass: false,
        }
    }
}

/// The central policy while there is one, else the configuration.
struct Deciding {
    in_force: InForce,
    configured: Configured,
}

impl Gate for Deciding {
    fn admit(&self, who: &Login) -> Decision {
        // One that was set is never taken away again, so what is seen here still holds below.
        match self.in_force.version() {
            0 => self.configured.admit(who),
            _ => self.in_force.admit(who),
        }
    }
}

/// What decides about logins.
pub(super) fn deciding(in_force: &InForce, local: &Local, shell: &Shell) -> Arc<dyn Gate> {
    Arc::new(Deciding {
        in_force: in_force.clone(),
        configured: configured(local, shell),
    })
}

/// The gate that the configuration is.
fn configured(local: &Local, shell: &Shell) -> Configured {
    let policy = Policy {
        idle_ms_max: shell.idle_limit.as_millis(),
        ..policy(local)
    };
    Configured {
        policy,
        notice: local.notice.clone(),
        on_end: match shell.kill_remains {
            true => OnEnd::Kill,
            false => OnEnd::Leave,
        },
    }
}

/// Takes logins from now on: first gives back what terminals the last process had taken.
pub(super) fn logins(
    start: &Start,
    facts: &Facts,
    shell: &Shell,
    gate: Arc<dyn Gate>,
) -> Result<Logins, Failure> {
    let notes = start.config.node.runtime_dir.join(TERMINALS);
    let config = LoginsConfig {
        gate,
        shells: shell.shells.0.clone(),
        shell: shell.shell.clone(),
        notes: notes.clone(),
        break_glass: start.config.node.runtime_dir.join(BREAK_GLASS),
    };
    let (logins, restored) = Logins::new(config).map_err(|e| Failure::about(&notes, &e))?;
    if restored.given_back > 0 || restored.gone > 0 {
        let found = [
            ("given_back", &restored.given_back as &dyn std::fmt::Display),
            ("gone", &restored.gone),
        ];
        start
            .journal
            .notice("terminals of sessions that a kill ended", &found);
    }
    // Each start says it until somebody has moved them away.
    for file in broken_glass(std::path::Path::new(BREAK_GLASS_DIR)) {
        let what = "a login while no daemon was there (break-glass) left its recording";
        start.journal.warning(what, &[("file", &file.display())]);
        let shown = file.display().to_string();
        let why =
            "an account logged in while no daemon was there: it was recorded in its own process";
        let _ = facts.tell(fact::alarm("break_glass", Some(&shown), None, why));
    }
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

#[cfg(test)]
mod tests {
    use hansard_core::policy::decide::Host;

    use super::*;
    use crate::policy::Stored;

    #[test]
    fn a_central_policy_decides_about_logins_and_the_configuration_does_without_one() {
        let (local, shell) = (Local::default(), Shell::default());
        let in_force = InForce::configured(Host::default(), &local);
        let gate = deciding(&in_force, &local, &shell);
        let who = |user: &str| Login {
            user: user.to_owned(),
            ..Login::default()
        };
        let before = gate.admit(&who("ann"));
        assert!(before.recorded && before.policy.version == 0);
        assert_eq!(before.notice, local.notice);
        let text = "scope: some\nusers: [ann]\ndefault: {idle: 5m}\n";
        let stored = Stored {
            version: 3,
            utc_ns: 0,
            by: String::new(),
            reason: String::new(),
            sha256: crate::policy::files::sha256_of(text),
            text: text.to_owned(),
        };
        in_force.put(stored).unwrap();
        let (ann, bob) = (gate.admit(&who("ann")), gate.admit(&who("bob")));
        assert_eq!((ann.recorded, bob.recorded), (true, false));
        assert_eq!((ann.policy.version, ann.policy.idle_ms_max), (3, 300_000));
    }
}
