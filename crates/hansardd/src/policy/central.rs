//! The service's side: the policy is set here, once for all hosts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hansard_core::fields::{Fields, Value};
use hansard_core::gate::Decision;
use hansard_core::policy::decide::Host;
use hansard_record::clock::Clock;
use hansard_record::forward::wire::{self, PolicyText};

use super::files::{PolicyFiles, Stored, sha256_of};
use super::in_force::InForce;
use super::taking::said;
use crate::api::problem::Trouble;
use crate::api::role::Caller;
use crate::api::seams::{Policies, PolicyTest, PolicyWish, PutOnRecord};
use crate::config::policy::read;
use crate::ingest::Connections;

/// Names of rules that the event of a change repeats, of each kind; beyond them it says how many.
const RULES_TOLD_MAX: usize = 100;

/// Findings about a text that are repeated; the first is what to begin with.
const FINDINGS_TOLD_MAX: usize = 10;

/// Labels of a host of this name, if it is known.
pub type LabelsOf = Arc<dyn Fn(&str) -> Option<BTreeMap<String, String>> + Send + Sync>;

/// The policy of a cluster.
pub struct Central {
    files: Mutex<PolicyFiles>,
    in_force: InForce,
    connections: Connections,
    clock: Arc<dyn Clock>,
    labels: LabelsOf,
}

impl Central {
    /// With this in force, which hosts are sent from now on.
    #[must_use]
    pub fn new(
        files: PolicyFiles,
        in_force: InForce,
        connections: Connections,
        clock: Arc<dyn Clock>,
        labels: LabelsOf,
    ) -> Self {
        let central = Self {
            files: Mutex::new(files),
            in_force,
            connections,
            clock,
            labels,
        };
        if let Some(stored) = central.in_force.central() {
            central.send(&stored);
        }
        central
    }

    /// What decides on the service's own machine.
    #[must_use]
    pub fn decides_here(&self) -> wire::InForce {
        said(&self.in_force, "")
    }

    fn send(&self, stored: &Stored) {
        let policy = PolicyText::new(stored.version, stored.text.clone());
        self.connections.set_policy(&policy);
    }
}

impl Policies for Central {
    fn get(&self, version: Option<u64>) -> Result<Option<Stored>, Trouble> {
        match version {
            None => Ok(self.in_force.central()),
            Some(version) => {
                let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                files
                    .get(version)
                    .map_err(|e| Trouble::Retry(format!("policy {version}: {e}")))
            }
        }
    }

    fn set(
        &self,
        wish: &PolicyWish,
        by: &Caller,
        put_on_record: &PutOnRecord<'_>,
    ) -> Result<Stored, Trouble> {
        // One change at a time: whoever comes second sees the first.
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.in_force.central();
        let was = before.as_ref().map_or(0, |stored| stored.version);
        if let Some(wanted) = wish.if_version.filter(|wanted| *wanted != was) {
            return Err(Trouble::Changed(format!(
                "the policy has version {was}, not {wanted}"
            )));
        }
        let newest = files
            .versions()
            .map_err(|e| Trouble::Retry(e.to_string()))?;
        let version = newest
            .last()
            .copied()
            .unwrap_or(0)
            .max(was)
            .saturating_add(1);
        let decider = read(&wish.text, version).map_err(|found| refused(&found))?;
        let stored = Stored {
            version,
            utc_ns: self.clock.utc_ns(),
            by: by.user.clone(),
            reason: wish.reason.clone(),
            sha256: sha256_of(&wish.text),
            text: wish.text.clone(),
        };
        // A crash after this leaves an event of a version that never decided: there is no file of it.
        let told = told(before.as_ref(), &stored);
        put_on_record(told.clone(), None).map_err(Trouble::NotRecorded)?;
        if let Err(e) = files.put(&stored) {
            let why = format!("policy {version} cannot be kept: {e}");
            // The first event says what was wanted, this one what came of it.
            let _ = put_on_record(told, Some(&why));
            return Err(Trouble::Retry(why));
        }
        self.in_force.put_ready(decider, stored.clone());
        self.send(&stored);
        Ok(stored)
    }

    fn test(&self, test: &PolicyTest) -> Result<(Decision, bool), Trouble> {
        let own = self.in_force.host();
        let known = match test.host.as_deref() {
            None => Some(own.labels.clone()),
            Some(name) if name == own.name => Some(own.labels.clone()),
            Some(name) => (self.labels)(name),
        };
        let is_known = known.is_some();
        let host = Host {
            name: test.host.clone().unwrap_or_else(|| own.name.clone()),
            labels: test.labels.clone().or(known).unwrap_or_default(),
        };
        let decision = match &test.text {
            None => self.in_force.decide(&test.login, &host),
            Some(text) => read(text, 0)
                .map_err(|found| refused(&found))?
                .decide(&test.login, &host),
        };
        Ok((decision, is_known))
    }
}

fn refused(found: &[crate::config::Finding]) -> Trouble {
    let mut words: Vec<String> = found
        .iter()
        .take(FINDINGS_TOLD_MAX)
        .map(ToString::to_string)
        .collect();
    let more = found.len().saturating_sub(FINDINGS_TOLD_MAX);
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    Trouble::Refused(words.join("; "))
}

/// What an event says of a change.
fn told(before: Option<&Stored>, after: &Stored) -> Fields {
    let rules = |stored: Option<&Stored>| rules_of(stored.map_or("", |stored| &stored.text));
    let (old, new) = (rules(before), rules(Some(after)));
    let changed = |rule: &&(String, String)| {
        let same = old.iter().find(|(name, _)| *name == rule.0);
        same.is_some_and(|(_, text)| *text != rule.1)
    };
    let missing = |from: &[(String, String)], rule: &&(String, String)| {
        !from.iter().any(|(name, _)| *name == rule.0)
    };
    Fields::new()
        .with("policy_version", after.version)
        .with(
            "previous_version",
            before.map_or(0, |stored| stored.version),
        )
        .with("sha256", after.sha256.as_str())
        .with(
            "previous_sha256",
            before.map_or("", |stored| stored.sha256.as_str()),
        )
        .with(
            "rules_added",
            names(new.iter().filter(|rule| missing(&old, rule))),
        )
        .with(
            "rules_removed",
            names(old.iter().filter(|rule| missing(&new, rule))),
        )
        .with("rules_changed", names(new.iter().filter(changed)))
}

fn names<'a>(rules: impl Iterator<Item = &'a (String, String)>) -> Value {
    let mut told: Vec<Value> = rules.map(|(name, _)| Value::Text(name.clone())).collect();
    let more = told.len().saturating_sub(RULES_TOLD_MAX);
    told.truncate(RULES_TOLD_MAX);
    if more > 0 {
        told.push(Value::Text(format!("and {more} more")));
    }
    Value::List(told)
}

/// Rules by name, each with what it says; what stands outside of them under names of its own, so
/// that a change of scope or defaults shows, too.
fn rules_of(text: &str) -> Vec<(String, String)> {
    let Ok(decider) = read(text, 0) else {
        return Vec::new();
    };
    let set = decider.set();
    let mut all = vec![
        (
            "scope".to_owned(),
            format!("{:?} {:?}", set.scope, set.subjects),
        ),
        ("default".to_owned(), format!("{:?}", set.default)),
    ];
    all.extend(set.rules.iter().map(|rule| {
        (
            format!("rules.{}", rule.name),
            format!("{:?} {:?}", rule.on, rule.set),
        )
    }));
    all
}
