//! The admin socket: what people on this machine list, look at and administrate.

use std::sync::{Arc, PoisonError, RwLock};

use hansard_capture::registry::Registry as Recorded;
use hansard_core::Body;
use hansard_identity::role::{Holders, Role, Roles as Identity};
use hansard_identity::{HostId, Registry};
use hansard_record::Environment;
use hansard_record::diary::Diary;
use hansard_record::spool::Spool;
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::Closer;
use super::keeping::Kept;
use super::minder::Facts;
use crate::api::{Api, Parts, socket};
use crate::behind::{Accounts, Recorded as Bytes};
use crate::behind::{EndHere, EndThere, Joined, Listed, Logged, Presence, Watched};
use crate::config::{Config, Members, Roles};
use crate::failure::{Failure, STATUS_FAILED, shown};
use crate::follow::{Followed, Screens};
use crate::journal::Journal;

/// What the socket is made with.
pub(super) struct Opening<'a> {
    pub(super) config: &'a Config,
    pub(super) environment: &'a Environment,
    pub(super) journal: &'a Journal,
    pub(super) spool: &'a Spool,
    pub(super) diary: &'a Diary,
    pub(super) facts: &'a Facts,
    pub(super) kept: &'a Kept,
    pub(super) registry: Arc<Registry>,
    pub(super) recorded: Option<Recorded>,
    pub(super) in_force: &'a Arc<RwLock<Config>>,
    pub(super) presence: Presence,
    pub(super) there: EndThere,
    pub(super) id: HostId,
    pub(super) cluster: &'a str,
}

impl Opening<'_> {
    /// Serves the socket on this runtime.
    pub(super) fn open(self, runtime: &Handle, closers: &mut Vec<Closer>) -> Result<(), Failure> {
        let path = self.config.node.runtime_dir.join("admin.sock");
        let api = Api::new(self.parts(), self.boot()?);
        let _inside = runtime.enter();
        let listener = socket::listen(&path).map_err(|e| {
            let what = format!("{}: {}", shown(&path), crate::failure::plain(&e));
            Failure::new(
                STATUS_FAILED,
                what,
                "make node.runtime_dir writable for this user",
            )
        })?;
        let (stop, stopped) = watch::channel(false);
        let serving = runtime.spawn(socket::serve(listener, api, stopped));
        let runtime = runtime.clone();
        let close = move || {
            let _ = stop.send(true);
            let _ = runtime.block_on(serving);
            let _ = std::fs::remove_file(&path);
        };
        closers.push(("admin socket", Box::new(close)));
        Ok(())
    }

    /// What identifiers of requests begin with: another at each start.
    fn boot(&self) -> Result<String, Failure> {
        let mut random = [0u8; 4];
        let filled = self.environment.random.fill(&mut random);
        filled.map_err(|e| Failure::new(STATUS_FAILED, format!("no randomness: {e}"), ""))?;
        Ok(hansard_identity::hex::encode(&random))
    }

    fn parts(&self) -> Parts {
        let kept = self.kept;
        let followed = Followed {
            spool: self.spool.clone(),
            archive: Arc::clone(&kept.archive),
            live: kept.live.clone(),
        };
        let in_force = Arc::clone(self.in_force);
        let diary = self.diary.clone();
        let journal = self.journal.clone();
        let facts = self.facts.clone();
        let joined = Arc::new(Joined {
            registry: Arc::clone(&self.registry),
            clock: self.environment.clock.clone(),
            presence: Arc::clone(&self.presence),
            tell: Arc::new(move |body| facts.tell(body)),
        });
        Parts {
            admit: Arc::new(move |peer| {
                let config = in_force.read().unwrap_or_else(PoisonError::into_inner);
                let roles = config
                    .serve
                    .admin
                    .as_ref()
                    .map(|admin| identity(&admin.roles));
                drop(config);
                let roles = roles.unwrap_or_else(nobody);
                Accounts { roles }.admit(peer)
            }),
            audit: Arc::new(move |body| audit(&diary, body)),
            log: Arc::new(move |line| journal.warning("admin socket", &[("said", &line)])),
            status: self.status(),
            listings: Arc::new(Listed {
                catalog: Arc::clone(&kept.catalog),
                live: kept.live.clone(),
            }),
            recordings: Arc::new(Bytes {
                from: followed.clone(),
            }),
            following: Arc::new(Watched {
                screens: Screens::new(followed.clone()),
                from: followed,
            }),
            event_log: Arc::new(Logged {
                dir: kept.log_dir.clone(),
            }),
            tokens: Arc::clone(&joined) as Arc<dyn crate::api::seams::Tokens>,
            hosts: joined,
            ending: Arc::new(EndHere {
                here: self.recorded.clone(),
                live: kept.live.clone(),
                there: Arc::clone(&self.there),
            }),
        }
    }

    fn status(&self) -> crate::api::seams::Status {
        let (id, cluster) = (self.id.to_string(), self.cluster.to_owned());
        let (name, spool) = (self.config.node_name(), self.spool.clone());
        let (archive, diary) = (Arc::clone(&self.kept.archive), self.diary.clone());
        Arc::new(move || {
            let (usage, waits) = (spool.usage(), archive.waits());
            let facts = [
                ("server_id", Value::from(id.as_str())),
                ("server_hostname", Value::from(name.as_str())),
                ("cluster_name", Value::from(cluster.as_str())),
                ("server_version", Value::from(env!("CARGO_PKG_VERSION"))),
                ("own_recording", Value::from(diary.session().to_string())),
                ("spool_bytes", Value::from(usage.bytes)),
                ("spool_bytes_max", Value::from(usage.bytes_max)),
                ("spool_parts", Value::from(usage.parts)),
                ("archive_waits_bytes", Value::from(waits.0)),
                ("archive_waits_segments", Value::from(waits.1)),
            ];
            Map::from_iter(facts.map(|(name, value)| (name.to_owned(), value)))
        })
    }
}

/// Records a look before it is granted: durable, or an error.
fn audit(diary: &Diary, body: Body) -> Result<(), String> {
    diary
        .event(body)
        .and_then(|()| diary.flush())
        .map_err(|lost| lost.to_string())
}

/// Nobody has a role.
fn nobody() -> Identity {
    Identity {
        admin: Holders::default(),
        auditor: Holders::default(),
        reviewer: Holders::default(),
        user: Holders::default(),
        others: None,
    }
}

/// The roles as the configuration has them. `*` is everybody.
fn identity(roles: &Roles) -> Identity {
    let holders = |members: &Members| Holders {
        users: members.users.clone(),
        groups: members.groups.clone(),
    };
    let all = [
        (Role::Admin, &roles.admin),
        (Role::Auditor, &roles.auditor),
        (Role::Reviewer, &roles.reviewer),
        (Role::User, &roles.user),
    ];
    let everybody = |members: &Members| members.users.iter().any(|user| user == "*");
    let others = all.iter().find(|(_, members)| everybody(members));
    Identity {
        admin: holders(&roles.admin),
        auditor: holders(&roles.auditor),
        reviewer: holders(&roles.reviewer),
        user: holders(&roles.user),
        others: others.map(|(role, _)| *role),
    }
}
