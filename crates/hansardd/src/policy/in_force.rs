//! What decides on this machine: the newest policy it was given, else its configuration.

use std::sync::{Arc, PoisonError, RwLock};

use hansard_core::gate::{Decision, Gate, Login};
use hansard_core::policy::decide::Host;
use hansard_core::policy::{Decider, OnEnd, PolicySet, Settings};

use super::files::Stored;
use crate::config::{Finding, Local, policy};

/// The policy in force. Clones are the same.
#[derive(Clone)]
pub struct InForce(Arc<Shared>);

struct Shared {
    host: Host,
    now: RwLock<Arc<Now>>,
}

/// One policy while it is in force.
struct Now {
    decider: Decider,
    /// The central policy; `None` of the configuration.
    stored: Option<Stored>,
}

impl InForce {
    /// On this host, the configuration decides until there is a central policy.
    #[must_use]
    pub fn configured(host: Host, local: &Local) -> Self {
        let set = PolicySet {
            default: settings(local),
            ..PolicySet::default()
        };
        // What the configuration can say is within the bounds of a policy but for a long notice.
        let decider = Decider::new(set.clone()).or_else(|_| {
            Decider::new(PolicySet {
                default: Settings {
                    notice: set.default.notice.map(clipped),
                    ..set.default
                },
                ..PolicySet::default()
            })
        });
        let decider = decider.unwrap_or_else(|_| Decider::shipped());
        let now = Now {
            decider,
            stored: None,
        };
        Self(Arc::new(Shared {
            host,
            now: RwLock::new(Arc::new(now)),
        }))
    }

    /// From the next login on this policy decides.
    ///
    /// # Errors
    /// Everything that is wrong with its text; then the one before goes on deciding.
    pub fn put(&self, stored: Stored) -> Result<(), Vec<Finding>> {
        let decider = policy::read(&stored.text, stored.version)?;
        self.put_ready(decider, stored);
        Ok(())
    }

    /// The same of one that was read before.
    pub fn put_ready(&self, decider: Decider, stored: Stored) {
        let now = Arc::new(Now {
            decider,
            stored: Some(stored),
        });
        *self.0.now.write().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn now(&self) -> Arc<Now> {
        Arc::clone(&self.0.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The central policy in force, if there is one.
    #[must_use]
    pub fn central(&self) -> Option<Stored> {
        self.now().stored.clone()
    }

    /// Its version; 0 where the configuration decides.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.now()
            .stored
            .as_ref()
            .map_or(0, |stored| stored.version)
    }

    /// Decides for another host than this one.
    #[must_use]
    pub fn decide(&self, who: &Login, host: &Host) -> Decision {
        self.now().decider.decide(who, host)
    }

    /// This host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.0.host
    }
}

impl Gate for InForce {
    fn admit(&self, who: &Login) -> Decision {
        self.decide(who, &self.0.host)
    }
}

/// What the configuration says, in the words of a policy.
fn settings(local: &Local) -> Settings {
    Settings {
        stdin: Some(local.stdin),
        keystrokes: Some(local.keystrokes),
        stdout: Some(local.stdout),
        stderr: Some(local.stderr),
        strict: Some(local.strict),
        on_loss: Some(local.on_loss),
        hold_ms_max: Some(local.hold.as_millis()),
        notice: Some(local.notice.clone()),
        idle_ms_max: Some(local.idle_limit.as_millis()),
        on_end: Some(match local.kill_remains {
            true => OnEnd::Kill,
            false => OnEnd::Leave,
        }),
        ..Settings::default()
    }
}

/// A notice as long as one may be.
fn clipped(mut notice: String) -> String {
    let mut end = hansard_core::policy::set::NOTICE_BYTES_MAX.min(notice.len());
    while !notice.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    notice.truncate(end);
    notice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::files::sha256_of;

    fn stored(version: u64, text: &str) -> Stored {
        Stored {
            version,
            utc_ns: 0,
            by: String::new(),
            reason: String::new(),
            sha256: sha256_of(text),
            text: text.to_owned(),
        }
    }

    #[test]
    fn the_configuration_decides_until_there_is_a_policy_and_the_last_good_one_then() {
        let local = Local {
            keystrokes: true,
            notice: "n".repeat(5000),
            ..Local::default()
        };
        let host = Host {
            name: "web1".to_owned(),
            ..Host::default()
        };
        let in_force = InForce::configured(host, &local);
        let ann = Login {
            user: "ann".to_owned(),
            ..Login::default()
        };
        let first = in_force.admit(&ann);
        assert!(first.recorded && first.policy.keystrokes);
        assert_eq!((first.policy.version, first.notice.len()), (0, 4096));
        let text = "scope: none\nrules:\n- {name: web, hosts: web*, record: true, idle: 15m}\n";
        in_force.put(stored(4, text)).unwrap();
        let second = in_force.admit(&ann);
        assert!(second.recorded && !second.policy.keystrokes);
        assert_eq!(
            (second.policy.version, second.policy.rule.as_str()),
            (4, "web")
        );
        assert_eq!(second.policy.idle_ms_max, 900_000);
        let wrong = in_force.put(stored(5, "scoop: none\n")).unwrap_err();
        assert!(
            wrong[0].to_string().contains("did you mean scope?"),
            "{wrong:?}"
        );
        assert_eq!((in_force.version(), in_force.admit(&ann)), (4, second));
    }
}
