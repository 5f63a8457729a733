//! A daemon that is not root, with the capabilities that its unit gives it for host events and no others.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use hansard_tests::{copy_program, hansardd, repository};

use crate::found::{Connection, commands, end, is_from, place, session};
use crate::place::{ANNA, CARL, Place};

/// The account that the daemon runs as; nobody has the number.
const DAEMON: u32 = 64_020;

/// What the unit's addition for host events lets it do, `bpf`, `perfmon`.
fn of_unit() -> Vec<String> {
    let file = repository().join("packaging/systemd/host-events.conf");
    let text = fs::read_to_string(file).unwrap();
    let given = |key: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(key));
        let names = lines.flat_map(str::split_whitespace);
        names
            .map(|name| name.strip_prefix("CAP_").unwrap().to_lowercase())
            .collect()
    };
    let ambient = given("AmbientCapabilities=");
    assert_eq!(ambient, given("CapabilityBoundingSet="));
    ambient
}

/// What makes a program of root's the daemon's own: as a unit does, its account, its capabilities, and no way
/// to others.
fn becomes(place: &Place, capabilities: &[&str]) -> Vec<String> {
    let mut set = "-all".to_owned();
    for name in capabilities {
        set += &format!(",+{name}");
    }
    // The program is where others can read it; what comes as its path is left out.
    let program = place.scratch.join("bin/hansardd");
    let run = format!(
        "shift; exec setpriv --reuid={DAEMON} --regid={DAEMON} --clear-groups --no-new-privs \
         --bounding-set={set} --inh-caps={set} --ambient-caps={set} {} \"$@\"",
        program.display()
    );
    let words = ["nsenter", &place.mount(), "sh", "-c", &run, "sh"];
    words.map(str::to_owned).to_vec()
}

/// All of this is the daemon's from now on.
fn give(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type().unwrap().is_dir() {
            true => give(&path),
            false => chown(path, Some(DAEMON), Some(DAEMON)).unwrap(),
        }
    }
    chown(path, Some(DAEMON), Some(DAEMON)).unwrap();
}

#[test]
fn a_daemon_with_the_capabilities_of_its_unit_tells_host_events() {
    let Some(mut place) = place("unprivileged") else {
        return;
    };
    place.daemon.stop();
    let program = place.scratch.join("bin/hansardd");
    copy_program(hansardd(), &program);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    give(&place.daemon.data());
    give(&place.daemon.runtime());

    // Without them it says what is missing, and does not begin.
    for short in [&[][..], &["bpf"], &["perfmon"]] {
        let words = becomes(&place, short);
        place.daemon.put_behind(&words);
        let before = place.daemon.said().len();
        assert!(!place.daemon.try_start(), "{short:?}");
        let said = &place.daemon.said()[before..];
        let why = said.lines().find(|line| line.starts_with("hansardd: "));
        assert!(
            why.is_some_and(|why| why.contains("host events cannot be recorded here")),
            "{short:?}: {said}"
        );
        assert!(said.contains("CAP_BPF and CAP_PERFMON"), "{said}");
    }

    let all = of_unit();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let words = becomes(&place, &all);
    place.daemon.put_behind(&words);
    place.daemon.start();
    let status = fs::read_to_string(format!("/proc/{}/status", place.daemon.pid().unwrap()));
    let status = status.unwrap();
    let line = |key: &str| status.lines().find(|line| line.starts_with(key)).unwrap();
    assert!(
        line("Uid:")
            .split_whitespace()
            .skip(1)
            .all(|uid| uid == DAEMON.to_string())
    );
    let effective = u64::from_str_radix(line("CapEff:").split_whitespace().last().unwrap(), 16);
    assert_eq!(
        effective.unwrap().count_ones() as usize,
        all.len(),
        "{status}"
    );

    // One whom a recorder holds, and one whom the kernel finds: both are others than the daemon.
    for (user, is_held) in [(ANNA, true), (CARL, false)] {
        let script = "/usr/bin/env printf seen; cat /etc/passwd >/dev/null; exit 4";
        let (said, status, from) = Connection::new(&place, &["-T"], user, script).over();
        assert_eq!((said.as_str(), status), ("seen", Some(4)));
        let (start, all) = session(&place, |start| is_from(start, &from));
        assert_eq!(start["login"], user);
        assert_eq!(start["login_program"].is_null(), is_held, "{start:#}");
        let wanted = ["printf", "seen"].map(str::to_owned).to_vec();
        assert!(commands(&all).contains(&wanted), "{all:#?}");
        let opened = all
            .iter()
            .any(|e| e["event"] == "session.disk" && e["path"] == "/etc/passwd");
        assert!(opened, "{all:#?}");
        let gap = all.iter().find(|event| event["event"] == "gap");
        assert_eq!(gap, None);
        assert_eq!(end(&all)["enhanced_recording"], true);
        assert_eq!(end(&all)["exit_status"], 4);
    }
    place.daemon.stop();
}
