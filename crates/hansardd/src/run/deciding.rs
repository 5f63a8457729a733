//! The role that decides who is recorded, and how: the policy in force on this machine, and where it
//! comes from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hansard_core::policy::decide::Host;
use hansard_identity::Registry;
use hansard_record::Environment;
use hansard_record::clock::Clock;
use hansard_record::forward::PolicyPost;

use super::facts::Facts;
use super::opening::no_thread;
use super::{Closer, Start, fact};
use crate::config::Local;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::ingest::Connections;
use crate::policy::files::{VERSIONS_KEPT, VERSIONS_KEPT_BY_HOST};
use crate::policy::taking::{Taking, said};
use crate::policy::{Central, InForce, PolicyFiles};

/// Hosts that are looked at, at a time, for the labels of one.
const HOSTS_AT_ONCE: usize = 256;

/// What decides.
pub(super) struct Deciding {
    pub(super) in_force: InForce,
    /// Until somebody takes them: a service to set, a host to be sent.
    files: Mutex<Option<PolicyFiles>>,
}

impl Deciding {
    /// Opens what is on disk. What is damaged is an alarm; the newest sound version decides then.
    pub(super) fn open(
        start: &Start,
        dir: &DataDir,
        environment: &Environment,
        facts: &Facts,
    ) -> Result<Self, Failure> {
        let kept = match start.config.store {
            Some(_) => VERSIONS_KEPT,
            None => VERSIONS_KEPT_BY_HOST,
        };
        let path = dir.policy();
        let opened = PolicyFiles::open(&path, environment.disk.clone(), kept);
        let (files, found) = opened.map_err(|e| Failure::about(&path, &e))?;
        let usual = Local::default();
        let local = start.config.capture.local.as_ref().unwrap_or(&usual);
        let host = Host {
            name: start.config.node_name(),
            labels: start.config.node.labels.clone(),
        };
        let in_force = InForce::configured(host, local);
        let alarm = |what: String| {
            start
                .journal
                .error("a policy is damaged", &[("what", &what)]);
            facts.mention(fact::alarm("policy_damaged", None, None, &what));
        };
        found.damaged.into_iter().for_each(alarm);
        if let Some(stored) = found.newest {
            let version = stored.version;
            match in_force.put(stored) {
                Ok(()) => start.journal.info("policy", &[("version", &version)]),
                Err(findings) => {
                    let first = findings.first().map(ToString::to_string);
                    let why = first.unwrap_or_default();
                    alarm(format!("version {version} cannot be read here: {why}"));
                }
            }
        }
        Ok(Self {
            in_force,
            files: Mutex::new(Some(files)),
        })
    }

    fn files(&self) -> Option<PolicyFiles> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.take()
    }

    /// The service's side; once.
    pub(super) fn central(
        &self,
        registry: &Arc<Registry>,
        connections: Connections,
        clock: Arc<dyn Clock>,
    ) -> Option<Arc<Central>> {
        let registry = Arc::clone(registry);
        let labels = move |name: &str| labels_of(&registry, name);
        let (files, in_force) = (self.files()?, self.in_force.clone());
        let central = Central::new(files, in_force, connections, clock, Arc::new(labels));
        Some(Arc::new(central))
    }

    /// The host's side; once. Answers where the service's policy is to be put.
    pub(super) fn take(
        &self,
        start: &Start,
        clock: Arc<dyn Clock>,
        facts: &Facts,
        closers: &mut Vec<Closer>,
    ) -> Result<Option<PolicyPost>, Failure> {
        let Some(files) = self.files() else {
            return Ok(None);
        };
        let post = PolicyPost::new(said(&self.in_force, ""));
        let (facts, journal) = (facts.clone(), start.journal.clone());
        let taking = Taking {
            post: post.clone(),
            files,
            in_force: self.in_force.clone(),
            clock,
            tell: Box::new(move |body| {
                journal.notice("the service sent a policy", &[]);
                // The daemon is ending if nobody takes it.
                let _ = facts.tell(body);
            }),
        };
        let thread = std::thread::Builder::new().name("policy".to_owned());
        let thread = thread.spawn(move || taking.run()).map_err(no_thread)?;
        let of_closer = post.clone();
        let close = move || {
            of_closer.close();
            let _ = thread.join();
        };
        closers.push(("policy", Box::new(close)));
        Ok(Some(post))
    }
}

/// The labels that a host of this name joined with.
fn labels_of(registry: &Registry, name: &str) -> Option<BTreeMap<String, String>> {
    let mut after = None;
    loop {
        let page = registry.hosts(after, HOSTS_AT_ONCE);
        if let Some(row) = page.rows.into_iter().find(|row| row.name == name) {
            return Some(row.labels);
        }
        after = Some(page.next?);
    }
}
