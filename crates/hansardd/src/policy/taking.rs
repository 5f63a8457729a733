//! The host's side: a policy that the service sends is read, made durable, and put in force, in this
//! order; and the service is told what came of it.

use std::sync::Arc;

use hansard_core::Body;
use hansard_core::event::Fact;
use hansard_core::fields::Fields;
use hansard_identity::hex;
use hansard_record::clock::Clock;
use hansard_record::forward::PolicyPost;
use hansard_record::forward::wire::{InForce as Said, PolicyText};

use super::files::{PolicyFiles, Stored};
use super::in_force::InForce;
use crate::config::policy::read;

/// Tells what happened: into the host's own recording.
pub type Tell = Box<dyn Fn(Body) + Send + Sync>;

/// What taking stands on.
pub struct Taking {
    /// Where policies arrive.
    pub post: PolicyPost,
    /// Where they are kept.
    pub files: PolicyFiles,
    /// What decides.
    pub in_force: InForce,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Who is told.
    pub tell: Tell,
}

/// What the service is told is in force.
#[must_use]
pub fn said(in_force: &InForce, trouble: &str) -> Said {
    let central = in_force.central();
    Said {
        version: central.as_ref().map_or(0, |stored| stored.version),
        sha256: central.as_ref().map(Stored::digest).unwrap_or_default(),
        trouble: trouble.to_owned(),
    }
}

impl Taking {
    /// Works until nothing comes any more.
    pub fn run(self) {
        while let Some(policy) = self.post.next() {
            let before = self.in_force.version();
            let (version, sha256) = (policy.version, hex::encode(&policy.sha256));
            let taken = self.take(policy);
            let trouble = taken.as_ref().err().cloned().unwrap_or_default();
            self.post.say(said(&self.in_force, &trouble));
            let fields = Fields::new()
                .with("policy_version", version)
                .with("previous_version", before)
                .with("sha256", sha256)
                .with("success", taken.is_ok());
            let fields = match taken {
                Ok(()) => fields,
                Err(why) => fields.with("error", why),
            };
            (self.tell)(Body::Admin(Fact {
                event: "policy.in_force".to_owned(),
                fields,
            }));
        }
    }

    /// A crash before the file is durable leaves the old policy, and the service sends this one
    /// again; one after it finds this one at the next start.
    fn take(&self, policy: PolicyText) -> Result<(), String> {
        let decider = read(&policy.text, policy.version).map_err(|findings| {
            let first = findings.first().map(ToString::to_string);
            first.unwrap_or_else(|| "it cannot be read".to_owned())
        })?;
        let stored = Stored {
            version: policy.version,
            utc_ns: self.clock.utc_ns(),
            by: String::new(),
            reason: String::new(),
            sha256: hex::encode(&policy.sha256),
            text: policy.text,
        };
        let put = self.files.put(&stored);
        put.map_err(|e| format!("it cannot be kept: {}", crate::failure::plain(&e)))?;
        self.in_force.put_ready(decider, stored);
        Ok(())
    }
}
