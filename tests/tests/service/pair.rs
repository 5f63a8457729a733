//! A service and a host that joined it, on loopback.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use hansard_tests::{Daemon, Scratch, free_port, hansard};

/// How long what is in the host's spool may take to be archived once nothing disturbs it.
const SETTLE_WITHIN: Duration = Duration::from_secs(90);

/// Both, running.
pub(crate) struct Pair {
    pub(crate) service: Daemon,
    pub(crate) host: Daemon,
    _scratch: Scratch,
}

impl Pair {
    /// Founds a cluster, joins it, starts both.
    pub(crate) fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let address = format!("127.0.0.1:{}", free_port());
        let mut service = Daemon::new(
            &scratch.join("service"),
            "keeper",
            &service_sections(&address),
        );
        let said = service.must("init", &["--cluster", "test"]);
        let pin = said
            .lines()
            .find_map(|line| line.strip_prefix("authority "));
        let pin = pin
            .unwrap_or_else(|| panic!("no authority in {said}"))
            .to_owned();
        service.start();
        let token = token(&service.runtime());
        let mut host = Daemon::new(&scratch.join("host"), "desk", &host_sections(&address));
        host.must(
            "init",
            &["--join", &address, "--token", &token, "--ca-pin", &pin],
        );
        host.start();
        Self {
            service,
            host,
            _scratch: scratch,
        }
    }

    /// Waits until the service has archived every session that the host began, and stops both.
    pub(crate) fn settle(&mut self, sessions: usize) {
        let since = Instant::now();
        loop {
            let rows = listed(&self.service.runtime());
            let ended = rows
                .iter()
                .filter(|row| row["kind"] == "exec" && row["ended"] == true);
            let ended = ended.count();
            // It lists the end of what is in its spool yet, and that stays there if it is stopped now.
            if ended >= sessions && is_archived(&self.service.runtime()) {
                break;
            }
            let waited = since.elapsed();
            assert!(
                waited < SETTLE_WITHIN,
                "{ended} of {sessions} sessions have their end after {waited:?}\nservice: {}\nhost: {}",
                tail(&self.service.said()),
                tail(&self.host.said())
            );
            thread::sleep(Duration::from_millis(200));
        }
        self.host.stop();
        self.service.stop();
    }
}

/// A service's sections.
pub(crate) fn service_sections(address: &str) -> String {
    format!("store:\n  pack_age: 1s\nserve:\n  ingest:\n    listen: {address}\n  admin: {{}}")
}

/// A host's.
pub(crate) fn host_sections(address: &str) -> String {
    format!(
        "capture:\n  local: {{}}\nforward:\n  service: [\"{address}\"]\n  retry_max: 1s\nserve:\n  admin: {{}}"
    )
}

/// A token that a host joins with.
pub(crate) fn token(runtime: &Path) -> String {
    let made = hansard_at(runtime, &["token", "create", "--role", "host", "--json"]);
    text_of(&made, "token")
}

/// All sessions that a service lists.
pub(crate) fn listed(runtime: &Path) -> Vec<serde_json::Value> {
    let said = hansard_at(runtime, &["ls", "--json", "--all"]);
    said.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Whether a service has archived every segment that is sealed.
pub(crate) fn is_archived(runtime: &Path) -> bool {
    let said = hansard_at(runtime, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&said).unwrap();
    let waiting = &status["segments_waiting"];
    assert!(waiting.is_u64(), "{said}");
    waiting == 0
}

/// Runs the client against a daemon; what it said.
pub(crate) fn hansard_at(runtime: &Path, args: &[&str]) -> String {
    let done = Command::new(hansard())
        .args(args)
        .env("HANSARD_RUNTIME_DIR", runtime)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "hansard {args:?}: {complaint}");
    String::from_utf8(done.stdout).unwrap()
}

fn text_of(json: &str, name: &str) -> String {
    let json: serde_json::Value =
        serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json}"));
    json[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {json}"))
        .to_owned()
}

fn tail(text: &str) -> &str {
    let at = text.len().saturating_sub(3000);
    text.get(at..).unwrap_or(text)
}
