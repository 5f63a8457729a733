//! The role that answers people on this machine: the admin socket.

use std::sync::{Arc, PoisonError, RwLock};

use hansard_capture::registry::Registry as Running;
use hansard_core::Body;
use hansard_identity::HostId;
use hansard_identity::registry::Registry;
use hansard_identity::role::{Holders, Roles};
use hansard_record::Environment;
use hansard_record::diary::Diary;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::Start;
use super::facts::Facts;
use super::keeping::Keeping;
use crate::api::{Api, Parts, socket};
use crate::behind::{Accounts, EndHere, Held, Joined, Listed, Logged, Present, Recorded, Watched};
use crate::config::{Admin, Config, Members};
use crate::data_dir::DataDir;
use crate::failure::{Failure, STATUS_FAILED, shown};
use crate::ingest::{Control, To};
use crate::policy::Central;
use crate::tee::Source;

/// What answering stands on.
pub(super) struct Answering<'a> {
    pub(super) start: &'a Start,
    pub(super) dir: &'a DataDir,
    pub(super) environment: &'a Environment,
    pub(super) keeping: &'a Keeping,
    pub(super) registry: &'a Arc<Registry>,
    pub(super) host: HostId,
    pub(super) cluster: String,
    pub(super) facts: &'a Facts,
    pub(super) diary: &'a Diary,
    pub(super) policies: Arc<Central>,
    pub(super) running: Option<Running>,
    /// The configuration in force, which a reload changes.
    pub(super) in_force: &'a Arc<RwLock<Config>>,
}

impl Answering<'_> {
    /// Opens the admin socket.
    pub(super) fn answer(
        self,
        runtime: &Runtime,
        stop: watch::Receiver<bool>,
    ) -> Result<(), Failure> {
        let path = self.start.config.node.runtime_dir.join("admin.sock");
        let mut random = [0u8; 4];
        // Without randomness two starts' requests may have the same names in the log.
        let _ = self.environment.random.fill(&mut random);
        let boot = hansard_identity::hex::encode(&random);
        let api = Api::new(self.parts(), boot);
        let listener = {
            let _entered = runtime.enter();
            socket::listen(&path).map_err(|e| {
                let what = format!("{}: {}", shown(&path), crate::failure::plain(&e));
                let next = "see who has it, and that runtime_dir is there";
                Failure::new(STATUS_FAILED, what, next)
            })?
        };
        runtime.spawn(socket::serve(listener, api, stop));
        Ok(())
    }

    fn parts(&self) -> Parts {
        let keeping = self.keeping;
        let in_force = Arc::clone(self.in_force);
        let diary = self.diary.clone();
        let audit = move |body: Body| {
            let done = diary.event(body).and_then(|()| diary.flush());
            done.map_err(|lost| lost.to_string())
        };
        let journal = self.start.journal.clone();
        let facts = self.facts.clone();
        let joined = Joined {
            registry: Arc::clone(self.registry),
            clock: Arc::clone(&self.environment.clock),
            presence: self.presence(),
            tell: Arc::new(move |body| {
                // The daemon is ending if nobody takes it.
                let _ = facts.tell(body);
            }),
        };
        Parts {
            admit: Arc::new(move |peer| {
                let config = in_force.read().unwrap_or_else(PoisonError::into_inner);
                // A reload that takes the section away waits for the next start; roles do not.
                let roles = config.serve.admin.as_ref().map(roles).unwrap_or_default();
                drop(config);
                Accounts { roles }.admit(peer)
            }),
            audit: Arc::new(audit),
            log: Arc::new(move |line| journal.warning("api", &[("what", &line)])),
            status: self.status(),
            listings: Arc::new(Listed {
                catalog: Arc::clone(&keeping.catalog),
                live: keeping.live.clone(),
            }),
            recordings: Arc::new(Recorded {
                from: keeping.followed.clone(),
            }),
            following: Arc::new(Watched {
                from: keeping.followed.clone(),
                screens: keeping.screens.clone(),
            }),
            event_log: Arc::new(Logged {
                dir: self.dir.log().join(self.host.to_string()),
            }),
            holds: Arc::new(Held {
                catalog: Arc::clone(&keeping.catalog),
                from: keeping.followed.clone(),
                recalling: Arc::clone(&keeping.recalling),
            }),
            tokens: Arc::new(joined.clone()),
            hosts: Arc::new(joined),
            ending: Arc::new(EndHere {
                here: self.running.clone(),
                live: keeping.live.clone(),
                there: self.there(),
            }),
            policies: self.policies.clone(),
        }
    }

    /// Asks a host that is connected to end a session.
    fn there(&self) -> crate::behind::EndThere {
        let connections = self.keeping.connections.clone();
        Arc::new(move |source: Source, session, reason: &str, by: &str| {
            let control = Control::End {
                session,
                reason: reason.to_owned(),
                by: by.to_owned(),
            };
            let to = match &source {
                Source::Host(id) => id.parse().map_or(To::Session(session), To::Host),
                Source::Local => To::Session(session),
            };
            connections.send(to, control).is_ok()
        })
    }

    fn presence(&self) -> crate::behind::Presence {
        let connections = self.keeping.connections.clone();
        let clock = Arc::clone(&self.environment.clock);
        Arc::new(move |id| {
            let all = connections.list();
            let mine = |c: &&crate::ingest::Connected| c.peer.principal.id() == Some(id);
            let newest = all.into_iter().rfind(|c| mine(&c))?;
            Some(Present {
                seen_ns: clock.utc_ns(),
                policy: newest.policy,
            })
        })
    }

    fn status(&self) -> crate::api::seams::Status {
        let keeping = self.keeping;
        let keeper = Arc::clone(&keeping.keeper);
        let projecting = Arc::clone(&keeping.projecting);
        let (live, connections) = (keeping.live.clone(), keeping.connections.clone());
        let spool = keeping.followed.spool.clone();
        let fixed = json!({
            "cluster_name": self.cluster,
            "server_id": self.host.to_string(),
            "server_hostname": self.start.config.node_name(),
            "server_version": env!("CARGO_PKG_VERSION"),
            "ca_pin": hansard_identity::tls::CaPin(self.registry.authority().fingerprint()).to_string(),
        });
        Arc::new(move || {
            let mut facts = match &fixed {
                Value::Object(fields) => fields.clone(),
                _ => Map::new(),
            };
            let (usage, kept, rows) = (spool.usage(), keeper.figures(), projecting.figures());
            let more = json!({
                "hosts_connected": connections.list().len(),
                "sessions_live": live.usage().0,
                "spool_bytes": usage.bytes,
                "spool_bytes_max": usage.bytes_max,
                "spool_parts": usage.parts,
                "segments_archived": kept.segments,
                "segments_waiting": kept.segments_waiting,
                "sessions_quarantined": kept.sessions_aside,
                "segments_projected": rows.segments,
                "keeper": if keeper.is_running() { "running" } else { "stopped" },
                "trouble": rows.trouble,
            });
            if let Value::Object(more) = more {
                facts.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
            }
            facts
        })
    }
}

fn holders(members: &Members) -> Holders {
    Holders {
        users: members
            .users
            .iter()
            .filter(|user| *user != "*")
            .cloned()
            .collect(),
        groups: members.groups.clone(),
    }
}

/// The roles of the configuration. `*` is everybody.
pub(super) fn roles(admin: &Admin) -> Roles {
    use hansard_identity::role::Role;
    let given = &admin.roles;
    let of = [
        (Role::User, &given.user),
        (Role::Reviewer, &given.reviewer),
        (Role::Auditor, &given.auditor),
        (Role::Admin, &given.admin),
    ];
    let open = of
        .iter()
        .filter(|(_, members)| members.users.iter().any(|user| user == "*"));
    Roles {
        others: open.map(|(role, _)| *role).next_back(),
        admin: holders(&given.admin),
        auditor: holders(&given.auditor),
        reviewer: holders(&given.reviewer),
        user: holders(&given.user),
    }
}
