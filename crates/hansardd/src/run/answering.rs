//! The role that answers people on this machine: the admin socket.

mod browsing;
mod certifying;
mod host;

use std::sync::{Arc, PoisonError, RwLock};

use hansard_capture::registry::Registry as Running;
use hansard_core::Body;
use hansard_identity::random::Random;
use hansard_identity::registry::Registry;
use hansard_identity::role::{Holders, Roles};
use hansard_identity::tls::CaPin;
use hansard_identity::{Devices, HostId, PeopleAuthority, Places, SavedSearches, Shares, Users};
use hansard_record::Environment;
use hansard_record::diary::Diary;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::facts::Facts;
use super::keeping::Keeping;
use super::{Closer, Start};
use crate::api::refusals::{REFUSALS_WINDOW, Refusals};
use crate::api::seams::{Admit, Audit, Log};
use crate::api::sign_ins::SignIns;
use crate::api::{Api, Parts, socket};
use crate::behind::{
    Accounts, EndHere, Held, Joined, Keyed, Linked, Listed, Locked, LockingOut, Logged, People,
    Present, Searched, Stored, Watched,
};
use crate::config::{Admin, Config, Members};
use crate::data_dir::DataDir;
use crate::failure::{Failure, STATUS_FAILED, shown};
use crate::ingest::{Control, To};
use crate::policy::Central;
use crate::tee::Source;

use crate::web::challenges::Challenges;
use crate::web::signed_in::SignedIn;

use browsing::Browsing;
pub(super) use host::HostAnswering;

/// Who may come in, and what is kept of it: the same on a service and on a host.
pub(super) struct Door<'a> {
    pub(super) start: &'a Start,
    pub(super) environment: &'a Environment,
    pub(super) host: HostId,
    pub(super) cluster: String,
    pub(super) diary: &'a Diary,
    /// The configuration in force, which a reload changes.
    pub(super) in_force: &'a Arc<RwLock<Config>>,
}

impl Door<'_> {
    /// What identifiers of requests begin with.
    fn boot(&self) -> String {
        let mut random = [0u8; 4];
        // Without randomness two starts' requests may have the same names in the log.
        let _ = self.environment.random.fill(&mut random);
        hansard_identity::hex::encode(&random)
    }

    fn admit(&self) -> Admit {
        let in_force = Arc::clone(self.in_force);
        Arc::new(move |peer| {
            let config = in_force.read().unwrap_or_else(PoisonError::into_inner);
            // A reload that takes the section away waits for the next start; roles do not.
            let roles = config.serve.admin.as_ref().map(roles).unwrap_or_default();
            drop(config);
            Accounts { roles }.admit(peer)
        })
    }

    fn audit(&self) -> Audit {
        audit(self.diary)
    }

    fn random(&self) -> Arc<dyn Random> {
        let random = Arc::clone(&self.environment.random);
        Arc::new(move |bytes: &mut [u8]| random.fill(bytes))
    }

    fn log(&self) -> Log {
        let journal = self.start.journal.clone();
        Arc::new(move |line| journal.warning("api", &[("what", &line)]))
    }

    /// Counts who is refused; what is left at the end is told before the diary is closed.
    fn refusals(&self, closers: &mut Vec<Closer>) -> Arc<Refusals> {
        let refusals = Arc::new(Refusals::new(REFUSALS_WINDOW));
        let (left, audit, log) = (Arc::clone(&refusals), self.audit(), self.log());
        let close = move || {
            for body in left.left() {
                if let Err(why) = audit(body) {
                    log(&format!("refusals could not be put on record: {why}"));
                }
            }
        };
        closers.push(("refusals", Box::new(close)));
        refusals
    }

    /// What every daemon says of itself.
    fn about(&self) -> Map<String, Value> {
        let about = json!({
            "cluster_name": self.cluster,
            "server_id": self.host.to_string(),
            "server_hostname": self.start.config.node_name(),
            "server_version": env!("CARGO_PKG_VERSION"),
        });
        match about {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    /// Opens the admin socket.
    fn open(
        &self,
        api: Api,
        runtime: &Runtime,
        stop: watch::Receiver<bool>,
    ) -> Result<(), Failure> {
        let path = self.start.config.node.runtime_dir.join("admin.sock");
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
}

/// Who may sign in, who is on the way to, and who did: what the API and the web server share.
pub(super) struct Kept {
    pub(super) users: Arc<Users>,
    pub(super) shares: Arc<Shares>,
    pub(super) challenges: Arc<Challenges>,
    pub(super) signed_in: Arc<SignedIn>,
    pub(super) people: Arc<PeopleAuthority>,
    pub(super) locked: Locked,
    pub(super) places: Arc<Places>,
    pub(super) devices: Devices,
}

/// What answering stands on.
pub(super) struct Answering<'a> {
    pub(super) door: Door<'a>,
    pub(super) dir: &'a DataDir,
    pub(super) keeping: &'a Keeping,
    pub(super) registry: &'a Arc<Registry>,
    pub(super) facts: &'a Facts,
    pub(super) policies: Arc<Central>,
    pub(super) running: Option<Running>,
    pub(super) locked: Locked,
    pub(super) credentials: Stored,
}

impl Answering<'_> {
    /// Opens the admin socket.
    pub(super) fn answer(
        self,
        runtime: &Runtime,
        stop: watch::Receiver<bool>,
        closers: &mut Vec<Closer>,
    ) -> Result<(), Failure> {
        let refusals = self.door.refusals(closers);
        let users = self.users()?;
        let browsing = Browsing::open(&self.door, runtime)?;
        let kept = Kept {
            users,
            shares: self.shares()?,
            challenges: Arc::new(Challenges::new(self.door.random())),
            signed_in: Arc::new(SignedIn::new(self.door.random())),
            people: self.people()?,
            locked: self.locked.clone(),
            places: self.places()?,
            devices: self.devices()?,
        };
        let parts = self.parts(&kept, browsing.as_ref())?;
        crate::run::locking::hold(self.locking_out(), runtime, stop.clone());
        let api = Api::counting(parts, self.door.boot(), refusals);
        if let Some(browsing) = browsing {
            browsing.serve(&self.door, api.clone(), kept, (runtime, &stop), closers)?;
        }
        self.door.open(api, runtime, stop)
    }

    /// Who may sign in. A file that cannot be read shuts out its user, and says so.
    fn users(&self) -> Result<Arc<Users>, Failure> {
        let path = self.dir.users();
        let opened = Users::open(&path, self.door.random());
        let (users, unreadable) = opened.map_err(|e| {
            let next = "see that data_dir is there and writable";
            Failure::new(STATUS_FAILED, format!("{}: {e}", shown(&path)), next)
        })?;
        self.unreadable(unreadable);
        Ok(Arc::new(users))
    }

    /// Links for people without an account. A file that cannot be read opens nothing, and says so.
    fn shares(&self) -> Result<Arc<Shares>, Failure> {
        let path = self.dir.shares();
        let opened = Shares::open(&path, self.door.random());
        let (shares, unreadable) = opened.map_err(|e| {
            let next = "see that data_dir is there and writable";
            Failure::new(STATUS_FAILED, format!("{}: {e}", shown(&path)), next)
        })?;
        self.unreadable(unreadable);
        Ok(Arc::new(shares))
    }

    /// From where users signed in. A file that cannot be read is forgotten, and says so.
    fn places(&self) -> Result<Arc<Places>, Failure> {
        let path = self.dir.places();
        let (places, unreadable) = Places::open(&path).map_err(|e| {
            let next = "see that data_dir is there and writable";
            Failure::new(STATUS_FAILED, format!("{}: {e}", shown(&path)), next)
        })?;
        self.unreadable(unreadable);
        Ok(Arc::new(places))
    }

    /// What knows browsers again.
    fn devices(&self) -> Result<Devices, Failure> {
        let path = self.dir.keys().join("browsers.key");
        Devices::open(&path, &*self.door.random()).map_err(|e| {
            let next = "remove it, and browsers are known again from their next sign-in on";
            Failure::new(STATUS_FAILED, format!("{}: {e}", shown(&path)), next)
        })
    }

    /// Searches that users keep.
    fn saved(&self) -> Result<Arc<SavedSearches>, Failure> {
        let path = self.dir.saved();
        let saved = SavedSearches::open(&path).map_err(|e| {
            let next = "see that data_dir is there and writable";
            Failure::new(STATUS_FAILED, format!("{}: {e}", shown(&path)), next)
        })?;
        Ok(Arc::new(saved))
    }

    fn unreadable(&self, files: Vec<(String, String)>) {
        for (name, why) in files {
            let fields = hansard_core::Fields::new()
                .with("name", name)
                .with("error", why);
            let event = "registry.unreadable".to_owned();
            let fact = hansard_core::event::Fact { event, fields };
            self.facts.mention(Body::Admin(fact));
        }
    }

    fn locking_out(&self) -> LockingOut {
        LockingOut {
            locked: self.locked.clone(),
            here: self.running.clone(),
            live: self.keeping.live.clone(),
            there: self.there(),
            definitions: self.definitions(),
        }
    }

    fn parts(&self, kept: &Kept, browsing: Option<&Browsing>) -> Result<Parts, Failure> {
        let (door, keeping) = (&self.door, self.keeping);
        let joined = self.joined();
        let certified = Arc::new(self.certified(kept)?);
        Ok(Parts {
            playing: keeping.player.clone(),
            admit: door.admit(),
            audit: door.audit(),
            log: door.log(),
            status: self.status(browsing.map(|b| b.origin().to_owned())),
            listings: Arc::new(Listed {
                catalog: Arc::clone(&keeping.catalog),
                live: keeping.live.clone(),
                connected: self.connected(),
            }),
            recordings: keeping.recordings.clone(),
            following: Arc::new(Watched {
                from: keeping.followed.clone(),
                screens: keeping.screens.clone(),
            }),
            event_log: Arc::new(Logged {
                dir: self.dir.log().join(self.door.host.to_string()),
            }),
            holds: Arc::new(Held {
                catalog: Arc::clone(&keeping.catalog),
                from: keeping.followed.clone(),
                recalling: Arc::clone(&keeping.recalling),
            }),
            tokens: Arc::new(joined.clone()),
            certificates: certified.clone(),
            people: certified,
            hosts: Arc::new(joined),
            ending: Arc::new(EndHere {
                here: self.running.clone(),
                live: keeping.live.clone(),
                there: self.there(),
            }),
            policies: self.policies.clone(),
            searching: Arc::new(Searched {
                shelf: keeping.shelf.clone(),
                indexing: Arc::clone(&keeping.indexing),
                clock: Arc::clone(&door.environment.clock),
                catalog: Arc::clone(&keeping.catalog),
                live: keeping.live.clone(),
            }),
            users: Arc::new(People {
                users: Arc::clone(&kept.users),
                clock: Arc::clone(&door.environment.clock),
                cluster: door.cluster.clone(),
                definitions: self.definitions(),
            }),
            passkeys: Arc::new(Keyed {
                users: Arc::clone(&kept.users),
                challenges: Arc::clone(&kept.challenges),
                clock: Arc::clone(&door.environment.clock),
            }),
            locks: Arc::new(self.locking_out()),
            locked: Arc::new(self.locked.clone()),
            credentials: Arc::new(self.credentials.clone()),
            saved: self.saved()?,
            shares: Arc::new(Linked {
                shares: Arc::clone(&kept.shares),
                clock: Arc::clone(&door.environment.clock),
                origin: browsing.map(|b| b.origin().to_owned()),
            }),
            sign_ins: Arc::clone(&kept.signed_in) as Arc<dyn SignIns>,
        })
    }

    fn joined(&self) -> Joined {
        let facts = self.facts.clone();
        Joined {
            registry: Arc::clone(self.registry),
            here: self.door.host,
            clock: Arc::clone(&self.door.environment.clock),
            presence: self.presence(),
            tell: Arc::new(move |body| {
                // The daemon is ending if nobody takes it.
                let _ = facts.tell(body);
            }),
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

    /// Whether a host is connected, which the service itself always is.
    fn connected(&self) -> Arc<dyn Fn(&str) -> bool + Send + Sync> {
        let presence = self.presence();
        Arc::new(move |host| host.parse().is_ok_and(|host| presence(host).is_some()))
    }

    fn presence(&self) -> crate::behind::Presence {
        let connections = self.keeping.connections.clone();
        let clock = Arc::clone(&self.door.environment.clock);
        let (here, policies) = (self.door.host, Arc::clone(&self.policies));
        Arc::new(move |id| {
            // Nobody connects to themselves: who answers this is here.
            if id == here {
                return Some(Present {
                    seen_ns: clock.utc_ns(),
                    policy: Some(policies.decides_here()),
                });
            }
            let newest = connections.of(id)?;
            Some(Present {
                seen_ns: clock.utc_ns(),
                policy: newest.policy,
            })
        })
    }

    fn status(&self, web: Option<String>) -> crate::api::seams::Status {
        let keeping = self.keeping;
        let keeper = Arc::clone(&keeping.keeper);
        let projecting = Arc::clone(&keeping.projecting);
        let indexing = Arc::clone(&keeping.indexing);
        let (live, connections) = (keeping.live.clone(), keeping.connections.clone());
        let spool = keeping.followed.spool.clone();
        let mut fixed = self.door.about();
        let pin = CaPin(self.registry.authority().fingerprint());
        fixed.insert("ca_pin".to_owned(), json!(pin.to_string()));
        if let Some(origin) = web {
            fixed.insert("web".to_owned(), json!(origin));
        }
        Arc::new(move || {
            let mut facts = fixed.clone();
            let (usage, kept, rows) = (spool.usage(), keeper.figures(), projecting.figures());
            let index = indexing.figures();
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
                "trouble": kept.trouble.or(rows.trouble).or(index.trouble),
                "index_blocks": index.blocks,
                "index_bytes": index.bytes,
                "index_complete": index.is_caught_up,
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

/// What puts an event into the daemon's own recording, durably.
pub(super) fn audit(diary: &Diary) -> Audit {
    let diary = diary.clone();
    Arc::new(move |body: Body| {
        let done = diary.event(body).and_then(|()| diary.flush());
        done.map_err(|lost| lost.to_string())
    })
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
