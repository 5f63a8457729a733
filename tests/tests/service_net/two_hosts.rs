//! Two hosts join from their own networks, and what the service's client does with their sessions.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use hansard_tests::Daemon;

use crate::audit::Kept;
use crate::cluster::{Cluster, NAMES, Plan};
use crate::load::{Load, capture_socket};

#[test]
fn two_hosts_in_their_own_networks() {
    let Some(mut cluster) = Cluster::new("two-hosts", &Plan::default()) else {
        return;
    };
    cluster.until("both hosts are connected", |cluster| {
        NAMES
            .iter()
            .all(|name| cluster.host_row(name)["connected"] == true)
    });
    shown_and_read(&cluster);
    followed_and_killed(&cluster);
    locked_out(&cluster);
    not_its_own(&mut cluster);
    // And in numbers, both at once.
    let load = Load::new();
    let sockets = cluster
        .hosts
        .iter()
        .map(|host| capture_socket(&host.runtime()));
    let sockets: Vec<_> = sockets.collect();
    thread::scope(|scope| {
        for socket in &sockets {
            scope.spawn(|| load.run(socket));
        }
        thread::sleep(Duration::from_millis(700));
        load.stop();
    });
    let outcomes = load.outcomes();
    cluster.settle(&outcomes);
    let data = cluster.service.data();
    let tally = Kept::open(&data).check(&outcomes, &data);
    println!("two hosts: {tally:?}");
    assert_eq!(tally.produced, tally.recorded);
    assert!(outcomes.iter().all(|outcome| outcome.closed));
}

/// The session whose command has this word in it, once it has ended.
fn session_of(cluster: &Cluster, word: &str) -> serde_json::Value {
    let mut found = None;
    cluster.until(&format!("{word} is listed with its end"), |cluster| {
        found = find(cluster, word).filter(|row| row["ended"] == true);
        found.is_some()
    });
    found.unwrap()
}

fn find(cluster: &Cluster, word: &str) -> Option<serde_json::Value> {
    let rows = cluster.sessions();
    rows.into_iter().find(|row| {
        row["title"]
            .as_str()
            .is_some_and(|title| title.contains(word))
    })
}

fn id_of(row: &serde_json::Value) -> String {
    row["sid"].as_str().unwrap().to_owned()
}

/// `ls`, `cat` and `verify` of a session of each host.
fn shown_and_read(cluster: &Cluster) {
    for (host, name) in NAMES.iter().enumerate() {
        let done = cluster.record(host, &format!("echo from-{name}"));
        assert!(done.status.success(), "{done:?}");
        let row = session_of(cluster, &format!("from-{name}"));
        assert_eq!(row["server_hostname"], *name);
        assert_eq!(row["exit_status"], 0);
        let id = id_of(&row);
        assert_eq!(cluster.must(&["cat", &id]), format!("from-{name}\n"));
        let report = cluster.must(&["verify", &id]);
        assert!(report.contains("complete"), "{report}");
        let listed = cluster.must(&["ls", "--host", name]);
        assert!(listed.contains(&id), "{listed}");
        let other = cluster.must(&["ls", "--host", NAMES[1 - host]]);
        assert!(!other.contains(&id), "{other}");
    }
}

/// `follow` shows what happens as it happens; `kill` at the service ends it on its host.
fn followed_and_killed(cluster: &Cluster) {
    let mut command = cluster.client_at(1);
    let script = "echo watch-me; read word; echo heard-$word; exec sleep 600";
    command.args(["rec", "--", "sh", "-c", script]);
    let mut program = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut row = None;
    cluster.until("a running session is listed", |cluster| {
        row = find(cluster, "watch-me");
        row.is_some()
    });
    let row = row.unwrap();
    assert_eq!(row["ended"], false);
    let id = id_of(&row);
    let mut follower = std::process::Command::new(hansard_tests::hansard());
    let mut follower = follower
        .args(["follow", &id, "--reason", "a test"])
        .env("HANSARD_RUNTIME_DIR", cluster.service.runtime())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = BufReader::new(follower.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("watch-me") {
        assert!(
            seen.read_line(&mut line).unwrap() > 0,
            "it ends with {line}"
        );
    }
    program.stdin.as_mut().unwrap().write_all(b"you\n").unwrap();
    while !line.contains("heard-you") {
        assert!(
            seen.read_line(&mut line).unwrap() > 0,
            "it ends with {line}"
        );
    }
    cluster.must(&["kill", &id, "--reason", "seen enough"]);
    let ended = program.wait().unwrap();
    assert!(!ended.success(), "{ended}");
    let mut rest = String::new();
    seen.read_to_string(&mut rest).unwrap();
    assert!(follower.wait().unwrap().success(), "{rest}");
    let row = session_of(cluster, "watch-me");
    let reason = row["reason"].as_str().unwrap();
    assert!(reason.contains("seen enough"), "{reason}");
    cluster.must(&["verify", &id]);
}

/// A host that is locked out is cut, keeps what it records, and sends it when the lock is lifted;
/// the other one notices nothing.
fn locked_out(cluster: &Cluster) {
    let host = cluster.host_row(NAMES[0])["host_id"]
        .as_str()
        .unwrap()
        .to_owned();
    cluster.must(&["host", "lock", &host, "--reason", "stolen"]);
    cluster.until("the locked host is cut off", |cluster| {
        let row = cluster.host_row(NAMES[0]);
        row["locked"] == true && row["connected"] == false
    });
    assert!(cluster.record(0, "echo behind-bars").status.success());
    assert!(cluster.record(1, "echo at-large").status.success());
    session_of(cluster, "at-large");
    // It tries again after at most a second, and is turned away each time.
    thread::sleep(Duration::from_millis(1200));
    assert_eq!(find(cluster, "behind-bars"), None);
    assert_eq!(cluster.host_row(NAMES[0])["connected"], false);
    cluster.must(&["host", "unlock", &host]);
    let row = session_of(cluster, "behind-bars");
    assert_eq!(row["server_hostname"], NAMES[0]);
}

/// A host offers what another one recorded, byte for byte from its spool: it is refused with an
/// alarm, and the owner's own offer is taken.
fn not_its_own(cluster: &mut Cluster) {
    let [thief, owner] = [0, 1];
    // What the thief has is at the service before its spool is replaced.
    cluster.hosts[thief].stop();
    cluster.service.stop();
    assert!(cluster.record(owner, "echo mine-alone").status.success());
    cluster.hosts[owner].stop();
    let spool = |daemon: &Daemon| daemon.data().join("spool");
    replace(&spool(&cluster.hosts[thief]), &spool(&cluster.hosts[owner]));
    cluster.service.start();
    cluster.hosts[thief].start();
    let aside = cluster.hosts[thief].data().join("quarantine");
    cluster.until(
        "the service refuses it, and the thief puts it aside",
        |cluster| {
            let names = fs::read_dir(&aside).map_or(0, Iterator::count);
            let alarms = cluster.must(&["events", "--event", "alarm", "--json"]);
            names > 0 && alarms.contains("\"recording\"")
        },
    );
    assert_eq!(find(cluster, "mine-alone"), None);
    cluster.hosts[owner].start();
    let row = session_of(cluster, "mine-alone");
    assert_eq!(row["server_hostname"], NAMES[owner]);
    cluster.must(&["verify", &id_of(&row)]);
}

/// The files of a spool instead of those of another.
fn replace(old: &Path, new: &Path) {
    fs::remove_dir_all(old).unwrap();
    fs::create_dir(old).unwrap();
    for file in fs::read_dir(new).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), old.join(file.file_name())).unwrap();
    }
}
