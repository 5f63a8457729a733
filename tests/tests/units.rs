//! The systemd unit: sound, narrow, and letting through what the daemon does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use hansard_tests::{Daemon, Scratch, hansardd, repository, skipped};

/// Exposure that `systemd-analyze security` may find, in tenths; 100 is no protection at all.
const EXPOSURE_MAX: u32 = 20;

fn packaging(name: &str) -> PathBuf {
    repository().join("packaging/systemd").join(name)
}

fn run(program: &str, args: &[&str]) -> Option<Output> {
    Command::new(program).args(args).output().ok()
}

/// Whether a program is there; says so if not.
fn has(program: &str) -> bool {
    let there = run(program, &["--version"]).is_some_and(|done| done.status.success());
    if !there {
        skipped(&format!("{program} is not installed"));
    }
    there
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_unit_is_sound() {
    if !has("systemd-analyze") {
        return;
    }
    let dir = Scratch::new("units");
    let unit = fs::read_to_string(packaging("hansardd.service")).unwrap();
    // The program is where the package puts it, which is not here.
    let program = hansardd().display().to_string();
    let here = dir.join("hansardd.service");
    fs::write(&here, unit.replace("/usr/bin/hansardd", &program)).unwrap();
    // Alone, with what hosts that record logins add, those that watch what sessions do, and SSH servers.
    for name in ["logins.conf", "host-events.conf", "ssh-node.conf", ""] {
        let done = run("systemd-analyze", &["verify", here.to_str().unwrap()]).unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert_eq!(text(&done.stderr), "", "complaints");
        let more = dir.join("hansardd.service.d");
        fs::create_dir_all(&more).unwrap();
        if !name.is_empty() {
            fs::copy(packaging(name), more.join(name)).unwrap();
        }
    }
}

#[test]
fn the_unit_is_narrow() {
    if !has("systemd-analyze") {
        return;
    }
    let unit = packaging("hansardd.service");
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let args = [
        "security",
        "--offline=true",
        &threshold,
        unit.to_str().unwrap(),
    ];
    let done = run("systemd-analyze", &args).unwrap();
    let said = text(&done.stdout);
    assert!(done.status.success(), "{said}");
    assert!(said.contains("Overall exposure level"), "{said}");
}

/// What people run under an SSH server is not to be held by what the daemon takes from itself: each word of
/// the unit that takes something is taken back.
#[test]
fn an_ssh_server_takes_nothing_from_those_who_sign_in() {
    let keys = |name: &str| -> BTreeSet<String> {
        let unit = fs::read_to_string(packaging(name)).unwrap();
        let lines = unit.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| Some(line.split_once('=')?.0.to_owned()))
            .collect()
    };
    let takes = |key: &String| {
        let held = ["Protect", "Private", "Restrict", "SystemCall", "Capability"];
        let held = held.iter().any(|start| key.starts_with(start));
        // What answers a call that is refused counts for none here; starting again is not the sandbox's.
        let apart = ["SystemCallErrorNumber", "RestartPreventExitStatus"];
        held && !apart.contains(&key.as_str())
            || [
                "NoNewPrivileges",
                "LockPersonality",
                "MemoryDenyWriteExecute",
                "RemoveIPC",
            ]
            .contains(&key.as_str())
    };
    let taken: BTreeSet<String> = keys("hansardd.service").into_iter().filter(takes).collect();
    let back = keys("ssh-node.conf");
    let kept: Vec<_> = taken.difference(&back).collect();
    assert!(taken.len() > 15 && kept.is_empty(), "{kept:?}");
}

/// `make install` puts everything in place that the manual's first lines use.
#[test]
fn what_is_installed_is_whole() {
    let dir = Scratch::new("units-install");
    let program = hansard_tests::hansard().display().to_string();
    if hansardd().display().to_string() != format!("{program}d") {
        skipped("the programs are not beside each other");
        return;
    }
    let done = Command::new("make")
        .current_dir(repository())
        .args(["install", "PREFIX=/opt/h"])
        .arg(format!("RELEASE={program}"))
        .arg(format!("DESTDIR={}", dir.path().display()))
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    for name in [
        "bin/hansard",
        "bin/hansardd",
        "bin/hansard-shell",
        "lib/sysusers.d/hansard.conf",
        "lib/tmpfiles.d/hansard.conf",
        "share/man/man1/hansard-rec.1",
        "share/man/man8/hansardd-init.8",
        "share/doc/hansard/operations.md",
        "share/doc/hansard/systemd/logins.conf",
    ] {
        assert!(dir.path().join("opt/h").join(name).is_file(), "{name}");
    }
    let unit = dir.path().join("opt/h/lib/systemd/system/hansardd.service");
    let unit = fs::read_to_string(unit).unwrap();
    assert!(
        unit.contains("ExecStart=/opt/h/bin/hansardd run\n"),
        "{unit}"
    );
    // What the daemon runs by itself has no page.
    let own = dir
        .path()
        .join("opt/h/share/man/man8/hansardd-keep-session.8");
    assert!(!own.exists());
}

#[test]
fn the_user_can_be_made() {
    if !has("systemd-sysusers") {
        return;
    }
    let file = packaging("hansard.sysusers");
    let done = run("systemd-sysusers", &["--dry-run", file.to_str().unwrap()]).unwrap();
    let said = text(&done.stdout) + &text(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(!said.contains("Failed"), "{said}");
}

/// The system calls of a set as systemd knows them, with those of the sets inside it.
fn calls_of(set: &str, found: &mut BTreeSet<String>) {
    let done = run("systemd-analyze", &["syscall-filter", set]).unwrap();
    assert!(done.status.success(), "{set}");
    for line in text(&done.stdout).lines().skip(1).map(str::trim) {
        match line.chars().next() {
            None | Some('#') => {}
            Some('@') => calls_of(line, found),
            Some(_) => {
                found.insert(line.to_owned());
            }
        }
    }
}

/// What the unit's filter lets through: a first line of what is allowed, then what is taken away.
fn filter() -> BTreeSet<String> {
    let unit = fs::read_to_string(packaging("hansardd.service")).unwrap();
    let mut allowed = BTreeSet::new();
    for line in unit
        .lines()
        .filter_map(|l| l.strip_prefix("SystemCallFilter="))
    {
        let mut calls = BTreeSet::new();
        let sets = line.trim_start_matches('~').split_whitespace();
        sets.for_each(|set| match set.starts_with('@') {
            true => calls_of(set, &mut calls),
            false => drop(calls.insert(set.to_owned())),
        });
        match line.starts_with('~') {
            true => allowed.retain(|call| !calls.contains(call)),
            false => allowed.extend(calls),
        }
    }
    assert!(allowed.contains("openat") && !allowed.contains("mount"));
    allowed
}

#[test]
fn the_filter_lets_through_what_the_daemon_does() {
    if !has("systemd-analyze") || !has("strace") {
        return;
    }
    let dir = Scratch::new("units-calls");
    let sections = "capture: {local: {}}\nstore: {pack_age: 1s}\n\
        serve: {admin: {}, ingest: {listen: '127.0.0.1:0'}, metrics: {listen: '127.0.0.1:0'}}";
    let daemon = Daemon::new(dir.path(), "units", sections);
    fs::create_dir_all(daemon.runtime()).unwrap();
    daemon.must("init", &[]);
    let trace = dir.join("trace");
    let words = ["strace", "-f", "-qq", "-o", trace.to_str().unwrap()];
    let mut daemon = daemon.behind(&words);
    daemon.start();
    daemon.stop();
    let allowed = filter();
    let mut refused = BTreeSet::new();
    for line in fs::read_to_string(&trace).unwrap().lines() {
        // PID name(arguments) = result, and lines about signals, exits and what was interrupted.
        let Some((_, call)) = line.split_once(' ') else {
            continue;
        };
        let Some((name, _)) = call.trim_start().split_once('(') else {
            continue;
        };
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.is_empty() && name.chars().all(is_name) && !allowed.contains(name) {
            refused.insert(name.to_owned());
        }
    }
    // SQLite gives its log to the owner of its file where it runs as root, which the unit does not.
    refused.remove("fchown");
    // Threads that work for who looks on stand back where they may, and compete where they may not.
    refused.remove("setpriority");
    // Nor is it worth a call more that recorders leave the processor to who passes output on.
    refused.remove("sched_setscheduler");
    assert_eq!(refused, BTreeSet::new(), "refused by the unit's filter");
}
