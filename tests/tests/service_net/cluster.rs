//! A service and two hosts that joined it, each in its own network.

use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use hansard_core::SessionId;
use hansard_tests::{Daemon, Scratch, hansard, skipped};

use crate::load::Outcome;
use crate::net::{HOSTS, Net, service_address};
use crate::pair::{is_archived, listed, token};
use crate::volume::Volume;

/// How long something may take that nothing disturbs.
const SOON: Duration = Duration::from_secs(90);

/// Names of the hosts.
pub(crate) const NAMES: [&str; HOSTS] = ["alpha", "beta"];

/// What is not as usual in a cluster.
#[derive(Default)]
pub(crate) struct Plan {
    /// Bytes and files of the service's file system, if it has one of its own.
    pub(crate) service_volume: Option<(&'static str, u32)>,
    /// The same of the hosts.
    pub(crate) host_volume: Option<(&'static str, u32)>,
    /// Further lines of the service's and of the hosts' `node`.
    pub(crate) service_node: &'static str,
    pub(crate) host_node: &'static str,
    /// The hosts' `capture.local`.
    pub(crate) local: &'static str,
}

/// All of it, running. What is dropped first stands first.
pub(crate) struct Cluster {
    pub(crate) service: Daemon,
    pub(crate) hosts: Vec<Daemon>,
    pub(crate) service_volume: Option<Volume>,
    pub(crate) host_volumes: Vec<Volume>,
    pub(crate) net: Net,
    _scratch: Scratch,
}

impl Cluster {
    /// Founds a cluster, joins it from both networks, starts all; `None` where that is impossible.
    pub(crate) fn new(name: &str, plan: &Plan) -> Option<Self> {
        let net = Net::new()?;
        let scratch = Scratch::new(name);
        let service = Daemon::new(
            &scratch.join("service"),
            "keeper",
            &service_sections(plan.service_node),
        )
        .behind(&net.at_service());
        let service_volume = volume(&service, plan.service_volume)?;
        let mut cluster = Self {
            service,
            hosts: Vec::new(),
            service_volume,
            host_volumes: Vec::new(),
            net,
            _scratch: scratch,
        };
        let said = cluster.service.must("init", &["--cluster", "test"]);
        let pin = said
            .lines()
            .find_map(|line| line.strip_prefix("authority "));
        let pin = pin.unwrap_or_else(|| panic!("no authority in {said}"));
        cluster.service.start();
        for (host, name) in NAMES.iter().enumerate() {
            let address = format!("{}:3025", service_address(host));
            let dir = cluster._scratch.join(name);
            let sections = host_sections(&address, plan);
            let daemon = Daemon::new(&dir, name, &sections).behind(&cluster.net.at_host(host));
            cluster
                .host_volumes
                .extend(volume(&daemon, plan.host_volume)?);
            cluster.hosts.push(daemon);
            let token = token(&cluster.service.runtime());
            let join = ["--join", &address, "--token", &token, "--ca-pin", pin];
            cluster.hosts[host].must("init", &join);
            cluster.hosts[host].start();
        }
        Some(cluster)
    }

    /// The client, in a host's network, towards its daemon.
    pub(crate) fn client_at(&self, host: usize) -> Command {
        let words = self.net.at_host(host);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(hansard());
        command.env("HANSARD_RUNTIME_DIR", self.hosts[host].runtime());
        command
    }

    /// Records a command on a host to its end; the session is the one that the host then has.
    pub(crate) fn record(&self, host: usize, script: &str) -> Output {
        let mut command = self.client_at(host);
        command
            .args(["rec", "--", "sh", "-c", script])
            .output()
            .unwrap()
    }

    /// The client at the service.
    pub(crate) fn ask(&self, args: &[&str]) -> Output {
        ask(&self.service.runtime(), args)
    }

    /// The same, where it must succeed; what it said.
    pub(crate) fn must(&self, args: &[&str]) -> String {
        let done = self.ask(args);
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "hansard {args:?}: {complaint}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Hosts as the service lists them, by name.
    pub(crate) fn host_row(&self, name: &str) -> serde_json::Value {
        let said = self.must(&["host", "ls", "--json"]);
        let mut rows = said.lines().map(|line| serde_json::from_str(line).unwrap());
        let row = rows.find(|row: &serde_json::Value| row["node_name"] == name);
        row.unwrap_or_else(|| panic!("no {name} in {said}"))
    }

    /// Sessions that programs recorded, as the service lists them.
    pub(crate) fn sessions(&self) -> Vec<serde_json::Value> {
        let mut rows = listed(&self.service.runtime());
        rows.retain(|row| row["kind"] != "host" && row["kind"] != "service");
        rows
    }

    /// How many sessions of a host have their end at the service.
    pub(crate) fn ended(&self, host: usize) -> usize {
        let rows = self.sessions();
        let ended = rows.iter().filter(|row| row["ended"] == true);
        ended
            .filter(|row| row["server_hostname"] == NAMES[host])
            .count()
    }

    /// Waits until this is so.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let since = Instant::now();
        while !is_so(self) {
            let waited = since.elapsed();
            let said: Vec<_> = self.hosts.iter().map(|host| tail(host.said())).collect();
            assert!(
                waited < SOON,
                "not so after {waited:?}: {what}\nservice: {}\nhosts: {}",
                tail(self.service.said()),
                said.join("\n----\n")
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the service has archived all these, and stops everything.
    pub(crate) fn settle(&mut self, outcomes: &[Outcome]) {
        self.until("every session has its end at the service", |cluster| {
            let rows = cluster.sessions();
            let ended: Vec<SessionId> = rows
                .iter()
                .filter(|row| row["ended"] == true)
                .map(|row| row["sid"].as_str().unwrap().parse().unwrap())
                .collect();
            outcomes
                .iter()
                .all(|outcome| ended.contains(&outcome.session))
        });
        // It lists the end of what is in its spool yet, and that stays there if it is stopped now.
        self.until("everything is archived", |cluster| {
            is_archived(&cluster.service.runtime())
        });
        self.hosts.iter_mut().for_each(Daemon::stop);
        self.service.stop();
    }
}

/// Asks the service whose sockets are there.
pub(crate) fn ask(runtime: &Path, args: &[&str]) -> Output {
    Command::new(hansard())
        .args(args)
        .env("HANSARD_RUNTIME_DIR", runtime)
        .output()
        .unwrap()
}

fn volume(daemon: &Daemon, of: Option<(&str, u32)>) -> Option<Option<Volume>> {
    let Some((bytes, files)) = of else {
        return Some(None);
    };
    let volume = Volume::new(&daemon.data(), bytes, files);
    if volume.is_none() {
        skipped("a file system in memory cannot be mounted here");
    }
    volume.map(Some)
}

fn service_sections(node: &str) -> String {
    let names: Vec<_> = (0..HOSTS).map(service_address).collect();
    let names = names.join(", ");
    format!(
        "{node}\nstore:\n  pack_age: 1s\nserve:\n  ingest:\n    listen: 0.0.0.0:3025\n    names: [{names}]\n  admin: {{}}"
    )
}

fn host_sections(address: &str, plan: &Plan) -> String {
    let (node, local) = (plan.host_node, plan.local);
    format!(
        "{node}\ncapture:\n  local: {{{local}}}\nforward:\n  service: [\"{address}\"]\n  retry_max: 1s"
    )
}

fn tail(text: String) -> String {
    let at = text.len().saturating_sub(3000);
    text.get(at..).unwrap_or(&text).to_owned()
}
