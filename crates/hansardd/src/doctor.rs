//! `hansardd doctor`: looks at everything the daemon needs and says what is wrong with it and what
//! to do. It changes nothing, and works while the daemon runs.

mod web;

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use hansard_capture::host::{Support, Unsupported, support};
use hansard_core::session::ClockQuality;
use hansard_record::clock::Clock;
use rustix::process::{Resource, getrlimit};

use crate::capacity::{CRITICAL_PERCENT, FULL_PERCENT, Filling, WARNING_PERCENT, disk_of};
use crate::config::{Config, HostPort};
use crate::data_dir::DataDir;
use crate::failure::{plain, shown};
use crate::owner;
use crate::private_keys;

/// Descriptors below which a daemon with many sessions or hosts runs out.
const NOFILE_MIN: u64 = 4096;

/// Longest wait for a socket that somebody has and does not answer.
const CONNECT_TIME: Duration = Duration::from_secs(2);

/// Addresses of one name that are tried; the further ones are not.
const ADDRESSES_MAX: usize = 4;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and somebody should look.
    Warn,
    /// It does not work.
    Fail,
}

impl Verdict {
    /// The word at the beginning of a line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What was found.
    pub verdict: Verdict,
    /// What was looked at.
    pub about: String,
    /// What is the matter, or what it is.
    pub what: String,
    /// What to do; empty when nothing is to be done.
    pub next: String,
}

impl Line {
    fn new(
        verdict: Verdict,
        about: &str,
        what: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            verdict,
            about: about.to_owned(),
            what: what.into(),
            next: next.into(),
        }
    }

    fn ok(about: &str, what: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, about, what, "")
    }
}

/// Looks at everything.
#[must_use]
pub fn examine(config: &Config, clock: &dyn Clock) -> Vec<Line> {
    let dir = DataDir::new(&config.node.data_dir);
    let mut lines = vec![initialised(&dir)];
    let mut places = vec![
        ("data_dir", dir.path().to_owned()),
        ("keys", dir.keys()),
        ("spool", dir.spool()),
        ("quarantine", dir.quarantine()),
    ];
    // A host that keeps nothing itself uses none of these, whatever `init` has made.
    if config.store.is_some() {
        places.extend([
            ("archive", dir.archive()),
            ("catalog", dir.catalog()),
            ("log", dir.log()),
        ]);
    }
    lines.extend(places.iter().map(|(about, path)| private(about, path)));
    lines.extend(keys(&dir));
    lines.extend(strange(&dir));
    lines.extend(quarantined(&dir));
    lines.push(disk(dir.path()));
    lines.push(clock_quality(clock.quality()));
    lines.push(descriptors());
    if config.capture.local.is_some() {
        lines.push(socket(
            "capture socket",
            &config.node.runtime_dir,
            "capture.sock",
        ));
    }
    if config.capture.local.is_some() {
        let host = config.capture.host.as_ref();
        lines.push(host_events(
            host.is_some_and(|host| host.enabled),
            host.is_some_and(|host| host.pinned),
            support(),
        ));
    }
    if config.serve.admin.is_some() {
        lines.push(socket(
            "admin socket",
            &config.node.runtime_dir,
            "admin.sock",
        ));
    }
    if let Some(forward) = &config.forward {
        lines.extend(forward.service.iter().map(reached));
    }
    if let Some(ingest) = &config.serve.ingest {
        lines.push(port("ingest", ingest.listen));
    }
    if let Some(metrics) = &config.serve.metrics {
        lines.push(port("metrics", metrics.listen));
    }
    lines.extend(web::lines(config));
    lines
}

fn initialised(dir: &DataDir) -> Line {
    match dir.mark() {
        Ok(mark) => {
            let (id, cluster) = (&mark.id, &mark.cluster);
            let what = format!("{id} in cluster {cluster}, since {}", mark.created);
            Line::ok("initialised", hansard_view::escape_for_humans(&what))
        }
        Err(failure) => Line::new(Verdict::Fail, "initialised", failure.what, failure.next),
    }
}

/// A directory that is this user's, and nobody else's to read.
fn private(about: &str, path: &Path) -> Line {
    let what = shown(path);
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(e) => {
            let next = match e.kind() {
                io::ErrorKind::NotFound => "run `hansardd init`, or bring it back".to_owned(),
                _ => owner::denied(path),
            };
            return Line::new(Verdict::Fail, about, format!("{what}: {}", plain(&e)), next);
        }
    };
    let us = rustix::process::geteuid().as_raw();
    if !metadata.is_dir() {
        return Line::new(
            Verdict::Fail,
            about,
            format!("{what} is no directory"),
            "move it away",
        );
    }
    if metadata.uid() != us && us != 0 {
        let (owner, us) = (owner::called(metadata.uid()), owner::called(us));
        let what = format!("{what} belongs to {owner}, this is {us}");
        return Line::new(Verdict::Fail, about, what, format!("run it as {owner}"));
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o777;
        let next = format!("chmod 700 {what}");
        let what = format!("{what} can be reached by others (mode {mode:o})");
        return Line::new(Verdict::Fail, about, what, next);
    }
    Line::ok(about, what)
}

/// One line for each private key that is wrong, or one that says that none is.
fn keys(dir: &DataDir) -> Vec<Line> {
    let about = "private keys";
    let found = private_keys::look(&dir.keys());
    if found.faults.is_empty() && found.sound > 0 {
        let what = format!("{}, each its owner's alone", found.sound);
        return vec![Line::ok(about, what)];
    }
    let fail = |fault: private_keys::Fault| Line::new(Verdict::Fail, about, fault.what, fault.next);
    found.faults.into_iter().map(fail).collect()
}

/// What another account made there, the daemon cannot use.
fn strange(dir: &DataDir) -> Option<Line> {
    let (number, one) = owner::strange(dir.path())?;
    let (path, owner) = (
        shown(dir.path()),
        fs::metadata(dir.path()).ok().map(|dir| dir.uid()),
    );
    let owner = owner::called(owner?);
    let what = format!(
        "{number} files do not belong to {owner}, {} first",
        shown(&one)
    );
    let next = format!("stop the daemon, and as root: chown -R {owner} {path}");
    Some(Line::new(Verdict::Fail, "owner", what, next))
}

/// What was put aside is waiting for somebody to look at it.
fn quarantined(dir: &DataDir) -> Option<Line> {
    let path = dir.quarantine();
    let number = fs::read_dir(&path).ok()?.flatten().count();
    let what = format!("{number} sessions put aside in {}", shown(&path));
    (number > 0).then(|| {
        let next = "see the alarm events, and move them away when they are understood";
        Line::new(Verdict::Warn, "quarantined", what, next)
    })
}

fn disk(path: &Path) -> Line {
    let disk = match disk_of(path) {
        Ok(disk) => disk,
        Err(e) => {
            let what = format!("{}: {}", shown(path), plain(&e));
            return Line::new(Verdict::Fail, "disk", what, "run `hansardd init`");
        }
    };
    let (bytes, inodes) = (disk.bytes.percent(), disk.inodes.percent());
    let what = format!("{bytes} % of bytes and {inodes} % of inodes in use");
    let fullest = Filling::percent(disk.bytes).max(disk.inodes.percent());
    let next = "make room, or shorten store.retention";
    match fullest {
        FULL_PERCENT.. => Line::new(Verdict::Fail, "disk", what, next),
        CRITICAL_PERCENT.. | WARNING_PERCENT.. => Line::new(Verdict::Warn, "disk", what, next),
        _ => Line::ok("disk", what),
    }
}

fn clock_quality(quality: ClockQuality) -> Line {
    match quality {
        ClockQuality::Synchronised => Line::ok("clock", "synchronised"),
        ClockQuality::Unsynchronised => Line::new(
            Verdict::Warn,
            "clock",
            "the kernel says that it is not synchronised",
            "run an NTP client (chrony, systemd-timesyncd): recordings say how far times can be \
             trusted",
        ),
        ClockQuality::Unknown => Line::new(
            Verdict::Warn,
            "clock",
            "nobody says whether it is synchronised",
            "in a container, look at the host's clock",
        ),
    }
}

fn descriptors() -> Line {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let what = format!("{limit} descriptors");
    match limit < NOFILE_MIN {
        true => Line::new(
            Verdict::Warn,
            "limits",
            what,
            "set LimitNOFILE=65536 in the unit: every session and every host costs one or two",
        ),
        false => Line::ok("limits", what),
    }
}

/// What this kernel can tell of what sessions do.
fn host_events(are_on: bool, are_pinned: bool, support: Result<Support, Unsupported>) -> Line {
    let about = "host events";
    let off = "off (capture.host.enabled)";
    match support {
        Ok(support) => {
            let less = |unseen: bool| {
                let which = support.missing.iter();
                let which = which.filter(move |missing| missing.is_unseen() == unseen);
                which.map(ToString::to_string).collect::<Vec<_>>()
            };
            let missing = less(true);
            let backend = support.backend;
            let mut what = format!("this kernel can tell them, by {backend}");
            let less = less(false);
            if !less.is_empty() {
                what = format!("{what}; without {}", less.join(", and "));
            }
            match (are_on, are_pinned) {
                (false, _) => what = format!("{what}; {off}"),
                (true, true) => {}
                (true, false) => {
                    what = format!("{what}; not while no daemon runs (capture.host.pinned is off)");
                }
            }
            if missing.is_empty() {
                return Line::ok(about, what);
            }
            let what = format!("{what}, but not {}", missing.join(", "));
            Line::new(Verdict::Warn, about, what, "see docs/host-events.md")
        }
        Err(why) if are_on => Line::new(Verdict::Fail, about, why.to_string(), why.next),
        Err(why) => Line::ok(about, format!("{off}; {why}")),
    }
}

/// A socket in the runtime directory: served, absent, or left behind.
fn socket(about: &str, dir: &Path, name: &str) -> Line {
    let path = dir.join(name);
    let what = shown(&path);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            let what = format!("{what} is there and is no socket");
            Line::new(Verdict::Fail, about, what, "move it away")
        }
        Ok(_) => match UnixStream::connect(&path) {
            Ok(_) => Line::ok(about, format!("{what} answers")),
            Err(e) => Line::new(
                Verdict::Warn,
                about,
                format!("{what}: {}", plain(&e)),
                "the daemon does not run; it was killed if it was not stopped",
            ),
        },
        Err(_) => Line::new(
            Verdict::Warn,
            about,
            format!("{what} is not there"),
            "the daemon does not run: systemctl start hansardd",
        ),
    }
}

/// A service that recordings are sent to: whether anybody takes connections there. Who it is, only
/// the daemon asks.
fn reached(service: &HostPort) -> Line {
    let (about, named) = ("service", service.to_string());
    let next = "until it is reached, what is recorded waits in the spool: see the network, and the \
                service";
    let addresses = match named.to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(e) => {
            let what = format!("{named}: {}", plain(&e));
            return Line::new(Verdict::Warn, about, what, next);
        }
    };
    let mut why = "it has no address".to_owned();
    for address in addresses.take(ADDRESSES_MAX) {
        match TcpStream::connect_timeout(&address, CONNECT_TIME) {
            Ok(_) => return Line::ok(about, format!("{named} takes connections")),
            Err(e) => why = plain(&e),
        }
    }
    Line::new(Verdict::Warn, about, format!("{named}: {why}"), next)
}

/// A port: served, free, or not to be had.
fn port(about: &str, listen: SocketAddr) -> Line {
    match TcpListener::bind(listen) {
        Ok(_) => Line::new(
            Verdict::Warn,
            about,
            format!("nobody listens at {listen}"),
            "the daemon does not run: systemctl start hansardd",
        ),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            let mut to = listen;
            if listen.ip().is_unspecified() {
                to.set_ip(match listen.is_ipv4() {
                    true => std::net::Ipv4Addr::LOCALHOST.into(),
                    false => std::net::Ipv6Addr::LOCALHOST.into(),
                });
            }
            match TcpStream::connect_timeout(&to, CONNECT_TIME) {
                Ok(_) => Line::ok(about, format!("{listen} answers")),
                Err(e) => Line::new(
                    Verdict::Fail,
                    about,
                    format!("{listen} is taken and does not answer: {}", plain(&e)),
                    "see who has it: ss -tlnp",
                ),
            }
        }
        Err(e) => Line::new(
            Verdict::Fail,
            about,
            format!("{listen}: {}", plain(&e)),
            "choose an address of this machine and a port from 1024 on",
        ),
    }
}

#[cfg(test)]
mod tests;
