//! `GET /v1/coverage`: what is recorded on each host, and what is not, as recordings and the hosts' own
//! daemons say it. Nothing here is guessed: a host whose daemon told nothing is said to be one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hansard_store::Query;
use hansard_store::catalog::{EventRow, HostSessions};
use serde_json::{Value as Json, json};

use super::answers::{behind, blocking};
use super::problem::{Problem, Trouble};
use super::router::Handler;
use super::schema::{count, list, named, object, or_null, text, time as moment, truth};
use super::seams::{HostRow, Hosts, Listings};
use super::time;

/// Hosts of one answer at most; it says how to go on.
const HOSTS_MAX: usize = 100;

/// Events of one name that are looked at, the newest, in pages of a thousand; where there are more, the
/// answer says that older ones were not.
const PAGES_MAX: usize = 10;

/// Hosts that joined, of which an answer knows; further ones are listed under `/v1/hosts` alone.
const JOINED_MAX: usize = 10_000;

/// What a daemon can record or do with it, by the role that does, in the order in which it is told.
const ROLES: [(&str, &str); 7] = [
    ("capture.shell", "logins"),
    ("capture.local", "programs"),
    ("capture.ssh", "ssh_node"),
    ("capture.proxy", "ssh_proxy"),
    ("capture.host", "host_events"),
    ("forward", "sent_on"),
    ("store", "kept"),
];

pub(super) fn coverage(listings: Arc<dyn Listings>, hosts: Arc<dyn Hosts>) -> Handler {
    blocking(move |call| {
        let most = call.params.page().min(HOSTS_MAX);
        let after = call.params.text("cursor");
        let facts = Facts::read(&*listings, &*hosts)?;
        let recorded = listings.hosts(after, most + 1)?;
        let mut of: BTreeMap<&str, Option<&HostSessions>> =
            recorded.iter().map(|of| (&*of.host, Some(of))).collect();
        let is_behind = |name: &&str| after.is_none_or(|after| *name > after);
        for name in facts.names().into_iter().filter(is_behind) {
            of.entry(name).or_default();
        }
        // Behind the last one of a full page there may be others with sessions.
        let rows: Vec<Json> = of
            .iter()
            .take(most)
            .map(|(name, sessions)| facts.row(name, *sessions))
            .collect();
        let last = of.keys().nth(most.saturating_sub(1));
        let next = last.filter(|_| of.len() > most);
        Ok(json!({
            "hosts": rows,
            "complete": next.is_none(),
            "next": next,
            "facts_complete": facts.is_all,
            "behind": behind(listings.behind()?),
        }))
    })
}

/// What a daemon said when it began.
struct Daemon {
    started_ns: u64,
    roles: Vec<String>,
    version: Option<String>,
}

/// Alarms that a host's daemon raised.
#[derive(Default)]
struct Alarms {
    count: u64,
    last_ns: u64,
    kinds: BTreeMap<String, u64>,
}

/// What daemons said of themselves, and who joined.
struct Facts {
    joined: BTreeMap<String, HostRow>,
    daemons: BTreeMap<String, Daemon>,
    stopped: BTreeMap<String, u64>,
    alarms: BTreeMap<String, Alarms>,
    /// Whether every event was looked at.
    is_all: bool,
}

impl Facts {
    fn read(listings: &dyn Listings, hosts: &dyn Hosts) -> Result<Self, Problem> {
        let mut facts = Self {
            joined: joined(hosts)?,
            daemons: BTreeMap::new(),
            stopped: BTreeMap::new(),
            alarms: BTreeMap::new(),
            is_all: true,
        };
        facts.is_all &= each(listings, "daemon.start", |row| {
            // The newest come first.
            let daemons = facts.daemons.entry(row.host.clone());
            daemons.or_insert_with(|| daemon(row));
        })?;
        facts.is_all &= each(listings, "daemon.stop", |row| {
            let stopped = facts.stopped.entry(row.host.clone());
            stopped.or_insert(row.time_ns);
        })?;
        facts.is_all &= each(listings, "alarm", |row| {
            let alarms = facts.alarms.entry(row.host.clone()).or_default();
            alarms.count += 1;
            alarms.last_ns = alarms.last_ns.max(row.time_ns);
            let kind = document(row)
                .get("alarm")
                .and_then(Json::as_str)
                .map(str::to_owned);
            *alarms.kinds.entry(kind.unwrap_or_default()).or_default() += 1;
        })?;
        Ok(facts)
    }

    /// Hosts that are known besides those that sessions name.
    fn names(&self) -> BTreeSet<&str> {
        let joined = self.joined.keys();
        let named = joined.chain(self.daemons.keys()).map(String::as_str);
        named.filter(|name| !name.is_empty()).collect()
    }

    fn row(&self, name: &str, sessions: Option<&HostSessions>) -> Json {
        let joined = self.joined.get(name);
        let daemon = self.daemons.get(name);
        let stopped = self.stopped.get(name).copied();
        let stopped = stopped.filter(|at| daemon.is_some_and(|daemon| *at >= daemon.started_ns));
        let has = |role: &str| daemon.map(|daemon| daemon.roles.iter().any(|r| r == role));
        let covers: Vec<Json> = ROLES
            .iter()
            .filter_map(|(role, what)| Some(json!({ "what": what, "on": has(role)? })))
            .collect();
        let alarms = self.alarms.get(name);
        let kinds = alarms.into_iter().flat_map(|alarms| &alarms.kinds);
        json!({
            "host": name,
            "host_id": joined.map(|row| &row.id),
            "connected": joined.map(|row| row.connected),
            "last_seen": joined.and_then(|row| row.seen_ns).map(time::text),
            "locked": joined.map(|row| row.locked.is_some()),
            "kinds": sessions.map(kinds_of).unwrap_or_default(),
            "more_sessions": sessions.is_some_and(|of| of.has_more),
            "daemon": daemon.map(|daemon| json!({
                "started": time::text(daemon.started_ns),
                "stopped": stopped.map(time::text),
                "roles": daemon.roles,
                "version": daemon.version,
            })),
            "covers": covers,
            "alarms": alarms.map_or(0, |alarms| alarms.count),
            "last_alarm": alarms.map(|alarms| time::text(alarms.last_ns)),
            "alarm_kinds": kinds.map(|(kind, _)| kind).collect::<Vec<_>>(),
        })
    }
}

fn kinds_of(sessions: &HostSessions) -> Vec<Json> {
    let kinds = sessions.kinds.iter().map(|of| {
        json!({
            "kind": of.kind,
            "sessions": of.sessions,
            "gaps": of.gaps,
            "last_start": time::text(of.start_ns),
            "last_event": time::text(of.last_ns),
        })
    });
    kinds.collect()
}

fn joined(hosts: &dyn Hosts) -> Result<BTreeMap<String, HostRow>, Trouble> {
    let rows = hosts.list(None, JOINED_MAX)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.name.clone(), row))
        .collect())
}

/// Does something with each event of a name, the newest first; answers whether those were all.
fn each(
    listings: &dyn Listings,
    name: &str,
    mut act: impl FnMut(&EventRow),
) -> Result<bool, Trouble> {
    let mut query = Query {
        name: Some(name.to_owned()),
        newest_first: true,
        ..Query::default()
    };
    for _ in 0..PAGES_MAX {
        let page = listings.events(&query)?;
        page.rows.iter().for_each(&mut act);
        query.after = page.next;
        if query.after.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn document(row: &EventRow) -> Json {
    serde_json::from_str(&row.facts).unwrap_or_default()
}

fn daemon(row: &EventRow) -> Daemon {
    let document = document(row);
    let roles = document.get("roles").and_then(Json::as_array);
    let roles = roles.into_iter().flatten().filter_map(Json::as_str);
    let version = document.get("server_version").and_then(Json::as_str);
    Daemon {
        started_ns: row.time_ns,
        roles: roles.map(str::to_owned).collect(),
        version: version.map(str::to_owned),
    }
}

fn kind_schema() -> Json {
    object(
        "Sessions of one kind on a host.",
        &[
            (
                "kind",
                text(),
                "the kind; `host` and `service` are a daemon's own recordings",
            ),
            ("sessions", count(), "how many"),
            ("gaps", count(), "gaps in them"),
            ("last_start", moment(), "when the last of them began"),
            (
                "last_event",
                moment(),
                "time of the last event of any of them",
            ),
        ],
    )
}

fn daemon_schema() -> Json {
    let mut schema = object(
        "What the host's own daemon said when it last began; `null` where none ever did: then everything of \
this host was recorded elsewhere, and nothing is known of what is not.",
        &[
            ("started", moment(), "when it began"),
            (
                "stopped",
                or_null(moment()),
                "when it said that it stops, if it did since",
            ),
            (
                "roles",
                list(&text()),
                "its roles, by the sections of its configuration",
            ),
            ("version", or_null(text()), "its version"),
        ],
    );
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("type".to_owned(), json!(["object", "null"]));
    }
    schema
}

fn covers_schema() -> Json {
    let what = ROLES.map(|(_, what)| what);
    object(
        "Something that a daemon can do, and whether this one said that it does.",
        &[
            (
                "what",
                json!({ "type": "string", "enum": what }),
                "logins through the recording shell; programs that hand their sessions over; an SSH server; an \
SSH proxy; events from the kernel; whether it sends what it recorded on; whether it keeps it",
            ),
            ("on", truth(), "whether it does"),
        ],
    )
}

pub(super) fn schemas() -> [(&'static str, Json); 2] {
    let host = object(
        "A host, and what is recorded there.",
        &[
            ("host", text(), "its name, as sessions name it"),
            (
                "host_id",
                or_null(text()),
                "its identifier, if it joined under this name",
            ),
            ("connected", or_null(truth()), "whether it is connected now"),
            (
                "last_seen",
                or_null(moment()),
                "when something last came from it",
            ),
            ("locked", or_null(truth()), "whether it is locked out"),
            (
                "kinds",
                list(&kind_schema()),
                "its sessions, by kind: the newest 5,000",
            ),
            (
                "more_sessions",
                truth(),
                "whether there are more than were counted",
            ),
            ("daemon", daemon_schema(), ""),
            (
                "covers",
                list(&covers_schema()),
                "what its daemon does and what not; empty without one",
            ),
            ("alarms", count(), "alarms that its daemon raised"),
            ("last_alarm", or_null(moment()), "when the last one was"),
            ("alarm_kinds", list(&text()), "of which kinds"),
        ],
    );
    let next = "give it as `cursor` to go on; `null` if this was all";
    let coverage = object(
        "Hosts, by name.",
        &[
            ("hosts", list(&named("HostCoverage")), ""),
            ("complete", truth(), "whether this is all there is"),
            ("next", or_null(text()), next),
            (
                "facts_complete",
                truth(),
                "false where daemons said so much that only the newest 10,000 events of a name were looked at",
            ),
            (
                "behind",
                named("Behind"),
                "how far this is behind what is archived",
            ),
        ],
    );
    [("HostCoverage", host), ("Coverage", coverage)]
}
