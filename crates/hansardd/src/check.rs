//! Settings that contradict each other, or this machine.
//!
//! What a single key may be is the key's own business ([`crate::config`]); here is what only shows
//! when they are looked at together.

mod web;

use std::net::SocketAddr;
use std::path::Path;

use hansard_capture::shell::{TLOG_CONF, TlogConf};
use hansard_core::policy::OnLoss;

use crate::config::{Config, Finding, Local, Rule, Size, Span, Store};

mod host;
pub mod keys;
mod oidc;
mod shells;
mod ssh;

/// Longest path of a unix socket, bytes, without the zero behind it (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Longest name of a socket in the runtime directory, with the slash before it.
const SOCKET_NAME: &str = "/capture.sock";

/// What the configuration is held against.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Size of the file system that `data_dir` is or will be on; `None` when it is not known.
    pub disk_bytes: Option<u64>,
    /// This machine's name, as recordings will show it.
    pub node_name: String,
    /// What `/etc/tlog/tlog-rec-session.conf` says; `None` where there is none.
    pub tlog: Option<Result<TlogConf, String>>,
    /// What is wrong with files that the configuration names: certificates, keys, secrets, shells.
    pub files: Vec<Finding>,
}

impl Surroundings {
    /// This machine's.
    #[must_use]
    pub fn of_this_machine(config: &Config) -> Self {
        // The directory may not be there yet: the nearest one above it is on the same file system.
        let mut dir = config.node.data_dir.as_path();
        let disk = loop {
            match (rustix::fs::statvfs(dir), dir.parent()) {
                (Ok(disk), _) => break Some(disk),
                (Err(_), Some(above)) => dir = above,
                (Err(_), None) => break None,
            }
        };
        Self {
            disk_bytes: disk.map(|disk| disk.f_blocks.saturating_mul(disk.f_frsize)),
            node_name: config.node_name(),
            tlog: TlogConf::load(Path::new(TLOG_CONF)),
            files: files(config),
        }
    }
}

fn files(config: &Config) -> Vec<Finding> {
    let listed = std::fs::read_to_string("/etc/shells").unwrap_or_default();
    let mut found = crate::web::files::findings(config);
    found.extend(shells::findings(config, &listed, Path::exists));
    found
}

/// Everything that contradicts itself, errors first.
#[must_use]
pub fn check(config: &Config, around: &Surroundings) -> Vec<Finding> {
    let mut found = Vec::new();
    roles(config, &mut found);
    places(config, &mut found);
    spool(config, around, &mut found);
    if let Some(local) = &config.capture.local {
        capture(local, &mut found);
    }
    logins(config, &mut found);
    ssh::ssh(config, &mut found);
    ssh::proxy(config, &mut found);
    found.extend(config.access.check());
    host::host_events(config, &mut found);
    tlog(config, around, &mut found);
    if let Some(store) = &config.store {
        archive(config, store, &mut found);
        for (i, rule) in store.retention.iter().enumerate() {
            retention(config, store, around, (i, rule), &mut found);
        }
    }
    exports(config, &mut found);
    listening(config, &mut found);
    web::web(config, &mut found);
    oidc::oidc(config, &mut found);
    found.extend(around.files.iter().cloned());
    administration(config, &mut found);
    found.sort_by_key(|finding| finding.level);
    found
}

/// What recording logins needs.
fn logins(config: &Config, found: &mut Vec<Finding>) {
    if config.capture.shell.is_none() {
        return;
    }
    if config.capture.local.is_none() {
        found.push(Finding::error(
            "capture.shell",
            "logins come in at capture.sock, which is off",
            "add `local: {}` beside it",
        ));
    }
    let usual = hansard_capture::shell::CAPTURE_SOCKET;
    let dir = Path::new(usual).parent();
    if dir != Some(config.node.runtime_dir.as_path()) {
        found.push(Finding::warning(
            "node.runtime_dir",
            format!("hansard-shell looks for the daemon at {usual}, and nowhere else"),
            "leave runtime_dir at its default where logins are recorded",
        ));
    }
    if !hansard_capture::shell::may_take_terminals() {
        found.push(Finding::warning(
            "capture.shell",
            "as this user a login's terminal cannot be taken: logins are recorded, and each \
             recording says that the terminal could be written to beside it",
            "let the daemon have CAP_CHOWN, CAP_DAC_OVERRIDE and CAP_FOWNER, as \
             packaging/systemd/logins.conf does, and run this check as the daemon runs",
        ));
    }
}

/// What a machine that ran tlog says, or Cockpit's page, and does not count.
fn tlog(config: &Config, around: &Surroundings, found: &mut Vec<Finding>) {
    let about = |key: &str| format!("{TLOG_CONF}: {key}");
    match &around.tlog {
        Some(_) if config.capture.shell.is_none() => {}
        Some(Ok(conf)) => found.extend(conf.remarks.iter().map(|remark| {
            let what = format!("it does not count: {}", remark.why);
            Finding::warning(about(&remark.key), what, remark.next.clone())
        })),
        Some(Err(why)) => {
            let what = format!("nothing of it counts: {why}");
            let next = "mend it, or remove it; logins by tlog's name go on without";
            found.push(Finding::warning(TLOG_CONF, what, next));
        }
        None => {}
    }
}

/// What is sent on to others.
fn exports(config: &Config, found: &mut Vec<Finding>) {
    let Some(tlog) = &config.export.tlog else {
        return;
    };
    if config.store.is_none() {
        found.push(Finding::error(
            "export.tlog",
            "messages of tlog are made where recordings are kept, which this machine does not do",
            "switch it on at the service, or remove it here",
        ));
    }
    if tlog.log.input {
        found.push(Finding::warning(
            "export.tlog.log.input",
            "whoever reads where tlog's messages go reads what was typed and piped in",
            "leave it off, or let nobody else read there",
        ));
    }
}

/// Which roles go together.
fn roles(config: &Config, found: &mut Vec<Finding>) {
    let serves_anything = config.serve.ingest.is_some()
        || config.serve.metrics.is_some()
        || config.serve.admin.is_some();
    let (keeps, sends) = (config.store.is_some(), config.forward.is_some());
    if keeps && sends {
        found.push(Finding::error(
            "forward",
            "recordings cannot be both kept here (store) and sent to a service (forward): only one \
             of them may say that the spool can forget",
            "remove one of the two sections",
        ));
    }
    if !keeps && !sends {
        let (key, what) = match &config.capture.local {
            Some(_) => ("capture.local", "what is recorded here has nowhere to go"),
            None => ("", "no role is switched on that keeps or sends anything"),
        };
        let next = "add `store: {}` to keep recordings here, or `forward` with the address of a \
                    service to send them";
        found.push(Finding::error(key, what, next));
    }
    if config.serve.ingest.is_some() && !keeps {
        found.push(Finding::error(
            "serve.ingest",
            "hosts would send recordings that this machine does not keep",
            "add `store: {}`, or remove serve.ingest",
        ));
    }
    if let Some(forward) = &config.forward {
        if forward.service.is_empty() {
            found.push(Finding::error(
                "forward.service",
                "it is required and not set",
                "write the service's address, as recordings.example.org:3025",
            ));
        }
        let mut seen = std::collections::BTreeSet::new();
        for address in forward
            .service
            .iter()
            .filter(|address| !seen.insert(*address))
        {
            found.push(Finding::warning(
                "forward.service",
                format!("{address} is there twice"),
                "remove one of them; the addresses are tried in turn anyway",
            ));
        }
    }
    if keeps && config.serve.admin.is_none() {
        found.push(Finding::warning(
            "serve.admin",
            "nobody can list or play what is kept here: the socket for it is off",
            "add `serve: {admin: {}}`",
        ));
    }
    if !serves_anything && !keeps {
        found.push(Finding::warning(
            "serve.metrics",
            "nothing tells how much waits in the spool",
            "add `serve: {metrics: {}}`",
        ));
    }
}

/// Directories.
fn places(config: &Config, found: &mut Vec<Finding>) {
    let (data, runtime) = (&config.node.data_dir, &config.node.runtime_dir);
    if data.starts_with(runtime) || runtime.starts_with(data) {
        found.push(Finding::error(
            "node.runtime_dir",
            "data_dir and runtime_dir are in each other, and a restart empties runtime_dir",
            "choose two directories apart, as /var/lib/hansard and /run/hansard",
        ));
    }
    let longest = runtime.as_os_str().len().saturating_add(SOCKET_NAME.len());
    if longest > SOCKET_PATH_BYTES_MAX {
        found.push(Finding::error(
            "node.runtime_dir",
            format!("too long: a socket's path may have {SOCKET_PATH_BYTES_MAX} bytes"),
            "choose a shorter one, as /run/hansard",
        ));
    }
    for (key, dir) in [("node.data_dir", data), ("node.runtime_dir", runtime)] {
        let shared = [
            "/", "/tmp", "/var/tmp", "/etc", "/home", "/root", "/var", "/run", "/usr",
        ];
        if shared.iter().any(|shared| dir == Path::new(shared)) {
            found.push(Finding::error(
                key,
                "it belongs to others, and hansardd needs one of its own",
                "choose a directory below it",
            ));
        }
    }
}

/// The spool and the disk under it.
fn spool(config: &Config, around: &Surroundings, found: &mut Vec<Finding>) {
    let (all, one) = (
        config.node.spool_bytes_max,
        config.node.spool_file_bytes_max,
    );
    if one.0 > all.0 / 4 {
        found.push(Finding::warning(
            "node.spool_file_bytes_max",
            "more than a quarter of spool_bytes_max: a file is freed as a whole, so little of the \
             spool can be used",
            "make it smaller, or spool_bytes_max larger",
        ));
    }
    let Some(disk) = around.disk_bytes.filter(|disk| *disk > 0) else {
        return;
    };
    let size = shown(disk);
    if all.0 > disk {
        found.push(Finding::error(
            "node.spool_bytes_max",
            format!("larger than the disk of data_dir, which has {size}"),
            "make it smaller: a full disk stops more than the spool",
        ));
    } else if all.0 > disk / 2 {
        found.push(Finding::warning(
            "node.spool_bytes_max",
            format!("more than half of the disk of data_dir, which has {size}"),
            "make it smaller, or give data_dir a disk of its own",
        ));
    }
}

/// What is recorded of local sessions.
fn capture(local: &Local, found: &mut Vec<Finding>) {
    let at = |name: &str| format!("capture.local.{name}");
    if local.strict && local.on_loss == OnLoss::Continue {
        found.push(Finding::error(
            at("strict"),
            "strict shows nothing before it is durable, and on_loss: continue goes on when nothing \
             can be made durable",
            "choose on_loss: hold or end, or strict: false",
        ));
    }
    if local.on_loss != OnLoss::Hold && local.hold != Local::default().hold {
        found.push(Finding::warning(
            at("hold"),
            format!("it has no effect with on_loss: {}", local.on_loss.as_str()),
            "remove it, or choose on_loss: hold",
        ));
    }
    if local.notice.is_empty() {
        let what = match local.keystrokes || local.stdin {
            true => "what people type or pipe in is kept, and they are not told",
            false => "people are recorded and not told",
        };
        found.push(Finding::warning(
            at("notice"),
            what,
            "say it in notice, or see to it that they are told otherwise",
        ));
    }
    if !(local.stdin || local.keystrokes || local.stdout || local.stderr) {
        found.push(Finding::warning(
            at("stdout"),
            "every stream is off: a recording says only that there was a session",
            "switch on what is to be kept, or remove capture.local",
        ));
    }
}

/// Packs, and the event log's files.
fn archive(config: &Config, store: &Store, found: &mut Vec<Finding>) {
    if store.pack_bytes.0 > config.node.spool_bytes_max.0 / 2 {
        found.push(Finding::warning(
            "store.pack_bytes",
            "more than half of the spool must wait before a pack is full",
            "make it smaller, or node.spool_bytes_max larger",
        ));
    }
    if store.event_log.compress_after >= store.event_log.keep {
        found.push(Finding::warning(
            "store.event_log.compress_after",
            "files are removed before they are compressed",
            "make it shorter than store.event_log.keep",
        ));
    }
}

/// One rule of retention.
fn retention(
    config: &Config,
    store: &Store,
    around: &Surroundings,
    (i, rule): (usize, &Rule),
    found: &mut Vec<Finding>,
) {
    let at = |name: &str| format!("store.retention.{i}.{name}");
    if rule.keep == Span::seconds(0) {
        found.push(Finding::error(
            at("keep"),
            "it is required and not set",
            "write how long, as 365d; remove the rule to keep for ever",
        ));
    } else if rule.keep <= store.pack_age {
        found.push(Finding::error(
            at("keep"),
            "recordings would be removed before they are archived (store.pack_age)",
            "make it longer",
        ));
    }
    let earlier = store.retention.get(..i).unwrap_or_default();
    if let Some(first) = earlier.iter().position(|earlier| covers(earlier, rule)) {
        found.push(Finding::warning(
            format!("store.retention.{i}"),
            format!("it never applies: rule {first} matches everything that it does"),
            "put it before that one, or remove it",
        ));
    }
    if config.serve.ingest.is_some() {
        return; // Hosts that join bring labels and names that are not known here.
    }
    for (name, value) in &rule.labels {
        if config.node.labels.get(name) != Some(value) {
            found.push(Finding::warning(
                at("labels"),
                format!(
                    "no host has the label {}: this one does not, and others cannot report here",
                    hansard_view::escape_for_humans(name)
                ),
                "set it in node.labels, or remove the rule",
            ));
        }
    }
    if !rule.host.is_empty() && rule.host != around.node_name {
        found.push(Finding::warning(
            at("host"),
            "no host has this name: this one does not, and others cannot report here",
            "correct the name, or remove the rule",
        ));
    }
}

/// Whether every recording that `later` matches is matched by `earlier`.
fn covers(earlier: &Rule, later: &Rule) -> bool {
    let wider = |earlier: &str, later: &str| earlier.is_empty() || earlier == later;
    let labels = earlier.labels.iter();
    wider(&earlier.kind, &later.kind)
        && wider(&earlier.host, &later.host)
        && wider(&earlier.user, &later.user)
        && labels
            .clone()
            .all(|(name, value)| later.labels.get(name) == Some(value))
}

/// Addresses.
fn listening(config: &Config, found: &mut Vec<Finding>) {
    let metrics = config.serve.metrics.as_ref().map(|metrics| metrics.listen);
    let ingest = config.serve.ingest.as_ref().map(|ingest| ingest.listen);
    if let (Some(metrics), Some(ingest)) = (metrics, ingest)
        && overlap(metrics, ingest)
    {
        found.push(Finding::error(
            "serve.metrics.listen",
            "the same address as serve.ingest.listen",
            "give one of them another port; the usual ones are 3081 and 3025",
        ));
    }
    if metrics.is_some_and(|metrics| !metrics.ip().is_loopback()) {
        found.push(Finding::warning(
            "serve.metrics.listen",
            "everybody who reaches this address can read the metrics",
            "use 127.0.0.1 or [::1], or let a firewall or a proxy guard it",
        ));
    }
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip(), other.ip());
    // `[::]` takes IPv4, too.
    let any = |ip: std::net::IpAddr, other: std::net::IpAddr| {
        ip.is_unspecified() && (ip.is_ipv6() || other.is_ipv4())
    };
    one.port() != 0 && one.port() == other.port() && (a == b || any(a, b) || any(b, a))
}

/// Who may administrate.
fn administration(config: &Config, found: &mut Vec<Finding>) {
    let Some(admin) = &config.serve.admin else {
        return;
    };
    let members = &admin.roles.admin;
    if members.users.is_empty() && members.groups.is_empty() {
        found.push(Finding::warning(
            "serve.admin.roles.admin",
            "nobody has the role: no host can join, no session can be ended",
            "name an account or a group",
        ));
    }
    let roles = [("admin", members), ("auditor", &admin.roles.auditor)];
    for (name, members) in roles {
        if members.users.iter().any(|user| user == "*") {
            found.push(Finding::warning(
                format!("serve.admin.roles.{name}.users"),
                "everybody on this machine may see every recording",
                "name accounts or groups instead of `*`",
            ));
        }
    }
}

/// Bytes in the largest unit that leaves a number of at least one.
fn shown(bytes: u64) -> String {
    use crate::config::key::Value as _;
    let unit = [Size::gib(1).0, Size::mib(1).0, Size::kib(1).0]
        .into_iter()
        .find(|unit| bytes >= *unit)
        .unwrap_or(1);
    Size(bytes - bytes % unit).shown()
}

#[cfg(test)]
mod tests;
