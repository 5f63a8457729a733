//! The admin socket of a daemon that keeps nothing itself: it says how this host is, and of everything
//! else, which service has it.

use std::sync::{Arc, OnceLock};

use hansard_capture::registry::Registry as Running;
use hansard_core::policy::Policy;
use hansard_record::forward;
use hansard_record::spool::Spool;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::Door;
use crate::api::seams::Status;
use crate::api::{Api, HostParts};
use crate::failure::Failure;
use crate::run::Closer;
use crate::run::recording::policy;

/// What it stands on.
pub(in crate::run) struct HostAnswering<'a> {
    pub(in crate::run) door: Door<'a>,
    pub(in crate::run) spool: &'a Spool,
    /// What is sent to the service, where there is one.
    pub(in crate::run) sending: Option<&'a Arc<forward::Status>>,
    pub(in crate::run) running: &'a Arc<OnceLock<Running>>,
}

impl HostAnswering<'_> {
    /// Opens the admin socket.
    pub(in crate::run) fn answer(
        self,
        runtime: &Runtime,
        stop: watch::Receiver<bool>,
        closers: &mut Vec<Closer>,
    ) -> Result<(), Failure> {
        let parts = HostParts {
            admit: self.door.admit(),
            audit: self.door.audit(),
            log: self.door.log(),
            status: self.status(),
            elsewhere: self.elsewhere(),
        };
        let refusals = self.door.refusals(closers);
        let api = Api::of_host(parts, self.door.boot(), refusals);
        self.door.open(api, runtime, stop)
    }

    fn services(&self) -> Vec<String> {
        let forward = self.door.start.config.forward.as_ref();
        let services = forward.map(|forward| forward.service.iter().map(ToString::to_string));
        services.into_iter().flatten().collect()
    }

    fn elsewhere(&self) -> String {
        match self.services().as_slice() {
            [] => "this host keeps no recordings, and sends them nowhere".to_owned(),
            services => format!(
                "this host keeps no recordings: they are at its service, {}",
                services.join(", ")
            ),
        }
    }

    fn status(&self) -> Status {
        let mut fixed = self.door.about();
        fixed.insert("service".to_owned(), json!(self.services()));
        let local = self.door.start.config.capture.local.as_ref();
        let policy = local.map(policy);
        let (spool, running) = (self.spool.clone(), Arc::clone(self.running));
        let sending = self.sending.map(Arc::clone);
        Arc::new(move || {
            let mut facts = fixed.clone();
            let usage = spool.usage();
            let live = running.get().map_or(0, |running| running.list().len());
            facts.insert("sessions_live".to_owned(), json!(live));
            facts.insert("spool_bytes".to_owned(), json!(usage.bytes));
            facts.insert("spool_bytes_max".to_owned(), json!(usage.bytes_max));
            facts.insert("spool_parts".to_owned(), json!(usage.parts));
            if let Some(sending) = &sending {
                facts.extend(sent(&sending.snapshot()));
            }
            if let Some(policy) = &policy {
                facts.insert("policy".to_owned(), in_force(policy));
            }
            facts
        })
    }
}

/// How it stands with the service.
fn sent(now: &forward::Snapshot) -> Map<String, Value> {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let error = now
        .last_error
        .as_ref()
        .filter(|_| now.connected_for.is_none());
    let facts = json!({
        "connected": now.connected_for.is_some(),
        "connected_ms": now.connected_for.map(millis),
        "service_error": error.map(|(_, why)| why),
        "service_busy": now.busy,
        "lag_ms": millis(now.lag),
        "parts_waiting": now.pending_parts,
        "bytes_waiting": now.pending_bytes,
        "parts_aside": now.parts_aside,
    });
    match facts {
        Value::Object(facts) => facts.into_iter().filter(|(_, v)| !v.is_null()).collect(),
        _ => Map::new(),
    }
}

/// What is kept of sessions here, and what happens when that cannot be.
fn in_force(policy: &Policy) -> Value {
    let kept: Vec<&str> = [
        ("stdin", policy.stdin),
        ("keystrokes", policy.keystrokes),
        ("stdout", policy.stdout),
        ("stderr", policy.stderr),
    ]
    .into_iter()
    .filter_map(|(name, on)| on.then_some(name))
    .collect();
    json!({
        "kept": kept,
        "on_loss": policy.on_loss.as_str(),
        "hold_ms_max": policy.hold_ms_max,
        "strict": policy.strict,
    })
}
