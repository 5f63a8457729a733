//! The daemon as a process: made, started, asked, told, stopped, and refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod process;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use process::{Machine, status_of};

const STORE: &str = "store: {}\nserve: {admin: {}, metrics: {listen: '127.0.0.1:0'}}\n";

#[test]
fn a_whole_life() {
    let machine = Machine::new("life", STORE);
    let said = machine.must(&["init", "--cluster", "example"]);
    assert!(said.contains("cluster example"), "{said}");
    assert!(said.contains("authority sha256:"), "{said}");
    let daemon = machine.start();
    assert!(
        daemon.heard().contains("STATUS=running: store"),
        "{}",
        daemon.heard()
    );

    let second = machine.run(&["run"]);
    assert_eq!(status_of(&second), 4, "{second:?}");
    let complaint = String::from_utf8_lossy(&second.stderr).into_owned();
    let holder = format!("hansardd run, process {}", daemon.pid());
    assert!(complaint.contains(&holder), "{complaint}");
    let reindex = machine.run(&["reindex"]);
    assert_eq!(status_of(&reindex), 4, "{reindex:?}");

    let (status, heard) = daemon.stop();
    assert_eq!(status, Some(0));
    assert!(heard.contains("STOPPING=1"), "{heard}");
    // And again: what one life leaves, the next one begins with.
    let (status, _) = machine.start().stop();
    assert_eq!(status, Some(0));
}

#[test]
fn nothing_but_init_makes_anything() {
    let machine = Machine::new("uninitialised", STORE);
    for command in ["run", "reindex"] {
        let refused = machine.run(&[command]);
        assert_eq!(status_of(&refused), 3, "{refused:?}");
        let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            complaint.contains("run `hansardd init` first"),
            "{complaint}"
        );
        assert!(!machine.data().exists());
    }
    machine.must(&["init"]);
    let before = fs::read(machine.data().join("hansardd.json")).unwrap();
    let key = fs::read(machine.data().join("keys/host/recorder.key")).unwrap();
    let again = machine.run(&["init"]);
    assert_eq!(status_of(&again), 3, "{again:?}");
    assert_eq!(
        fs::read(machine.data().join("hansardd.json")).unwrap(),
        before
    );
    assert_eq!(
        fs::read(machine.data().join("keys/host/recorder.key")).unwrap(),
        key
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&machine.data()), 0o700);
    assert_eq!(mode(&machine.data().join("keys/host/recorder.key")), 0o600);
    // A store that was taken away is not made anew.
    fs::rename(
        machine.data().join("archive"),
        machine.data().join("elsewhere"),
    )
    .unwrap();
    let refused = machine.run(&["run"]);
    assert_eq!(status_of(&refused), 3, "{refused:?}");
    assert!(!machine.data().join("archive").exists());
}

#[test]
fn a_key_that_is_gone_or_that_others_can_reach_is_told_and_not_made_anew() {
    let machine = Machine::new("keys", STORE);
    machine.must(&["init"]);
    machine.start().stop();
    let keys = machine.data().join("keys");
    let refused = |name: &str, words: &str| {
        let refused = machine.run(&["run"]);
        assert_eq!(status_of(&refused), 3, "{name}: {refused:?}");
        let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(complaint.contains(words), "{name}: {complaint}");
        let looked = machine.run(&["doctor"]);
        let said = String::from_utf8_lossy(&looked.stdout).into_owned();
        let told = said.lines().find(|line| line.contains("private keys"));
        assert!(told.is_some_and(|line| line.contains(name)), "{said}");
        assert_eq!(status_of(&looked), 1, "{said}");
        let checked = machine.run(&["check"]);
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        let told = said.lines().find(|line| line.contains("node.data_dir"));
        assert!(told.is_some_and(|line| line.contains(name)), "{said}");
        assert_eq!(status_of(&checked), 2, "{said}");
    };
    assert_eq!(status_of(&machine.run(&["check"])), 0);
    for name in [
        "authority/authority.key",
        "authority/people.key",
        "authority/ssh_user.key",
        "authority/ssh_host.key",
        "host/tls.key",
        "host/recorder.key",
    ] {
        let (path, aside) = (keys.join(name), keys.join("aside"));
        fs::rename(&path, &aside).unwrap();
        refused(name, &format!("{name}: the key is gone: put the file back"));
        assert!(!path.exists(), "{name}");
        fs::rename(&aside, &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        refused(name, "others than its owner may read or write (mode 0640)");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    // With all of them as they were it starts, and with one that is given up on purpose.
    machine.start().stop();
    fs::remove_file(keys.join("authority/ssh_host.key")).unwrap();
    fs::remove_file(keys.join("authority/ssh_host.pub")).unwrap();
    machine.start().stop();
    assert!(keys.join("authority/ssh_host.key").exists());
}

#[test]
fn a_killed_daemon_starts_again_by_itself() {
    let machine = Machine::new("killed", STORE);
    machine.must(&["init"]);
    for _ in 0..3 {
        machine.start().kill();
    }
    let daemon = machine.start();
    let (status, _) = daemon.stop();
    assert_eq!(status, Some(0));
    assert!(
        machine.said().contains("its recorder had died"),
        "{}",
        machine.said()
    );
}

#[test]
fn a_catalog_that_is_damaged_is_built_anew() {
    let machine = Machine::new("damaged", STORE);
    machine.must(&["init"]);
    let catalog = machine.data().join("catalog/catalog.sqlite");
    let damage = || {
        let mut bytes = fs::read(&catalog).unwrap();
        let end = bytes.len().min(4096);
        bytes[..end].fill(0x5a);
        fs::write(&catalog, bytes).unwrap();
    };
    damage();
    let said = machine.must(&["reindex"]);
    assert!(said.contains("the old catalog is"), "{said}");
    assert!(said.contains("packs"), "{said}");
    let (status, _) = machine.start().stop();
    assert_eq!(status, Some(0));
    assert!(
        !machine.said().contains("was built anew"),
        "{}",
        machine.said()
    );
    damage();
    let (status, _) = machine.start().stop();
    assert_eq!(status, Some(0));
    assert!(
        machine.said().contains("was built anew"),
        "{}",
        machine.said()
    );
    // Interrupted while it was at it: the next start finishes.
    fs::write(machine.data().join("catalog/rebuilding"), "").unwrap();
    let (status, _) = machine.start().stop();
    assert_eq!(status, Some(0));
    assert!(!machine.data().join("catalog/rebuilding").exists());
}

#[test]
fn metrics_are_served() {
    let machine = Machine::new("metrics", STORE);
    machine.must(&["init"]);
    let daemon = machine.start();
    // The port was the kernel's choice; the log says which.
    let address = machine.address_of("metrics");
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/readyz").ends_with("ok\n"));
    assert!(get("/healthz").ends_with("ok\n"));
    let metrics = get("/metrics");
    for name in [
        "hansard_spool_bytes ",
        "hansard_spool_max_bytes 1073741824",
        "hansard_archive_waits_segments ",
        "hansard_sync_seconds_count ",
        "hansard_disk_free_bytes{disk=\"spool\"}",
        "hansard_fullness{what=\"spool\"} 0",
    ] {
        assert!(metrics.contains(name), "{name}\n{metrics}");
    }
    daemon.stop();
}

#[test]
fn a_reload_takes_what_it_can_and_refuses_what_is_wrong() {
    let machine = Machine::new("reload", STORE);
    machine.must(&["init"]);
    let mut daemon = machine.start();
    machine.configure(
        &format!("{STORE}capture: {{local: {{}}}}\n").replace("store: {}", "store: {pack_age: 5s}"),
    );
    daemon.reload();
    machine.wait_for("some changes take effect at the next start only");
    assert!(
        machine.said().contains("capture.local"),
        "{}",
        machine.said()
    );
    // Roles take effect at once, for connections from then on.
    assert_eq!(asked(&machine, "/v1/sessions").0, 200);
    let nobody = "{roles: {admin: {users: []}, user: {users: []}}}";
    machine.configure(&STORE.replace("admin: {}", &format!("admin: {nobody}")));
    daemon.reload();
    assert_eq!(asked(&machine, "/v1/sessions").0, 403);
    machine.configure("store: {pack_agee: 5s}");
    daemon.reload();
    machine.wait_for("the configuration has errors and is not used");
    assert!(
        machine.said().contains("did you mean pack_age?"),
        "{}",
        machine.said()
    );
    let (status, heard) = daemon.stop();
    assert_eq!(status, Some(0));
    assert_eq!(heard.matches("RELOADING=1").count(), 3, "{heard}");
    assert_eq!(heard.matches("READY=1").count(), 4, "{heard}");
}

#[test]
fn the_watchdog_is_fed() {
    let machine = Machine::new("watchdog", STORE).with_env("WATCHDOG_USEC", "200000");
    machine.must(&["init"]);
    let mut daemon = machine.start();
    daemon.hear_until(|heard| heard.matches("WATCHDOG=1").count() >= 3);
    daemon.stop();
}

#[test]
fn check_and_doctor_answer_people_and_programs() {
    let machine = Machine::new("check", STORE);
    let fine = machine.run(&["check"]);
    assert_eq!(status_of(&fine), 0, "{fine:?}");
    machine.configure("store: {}\nforward: {service: [a.example]}\nserve: {admin: {}}");
    let wrong = machine.run(&["check", "--json"]);
    assert_eq!(status_of(&wrong), 2);
    let json: serde_json::Value = serde_json::from_slice(&wrong.stdout).unwrap();
    assert_eq!(json["ok"], false);
    assert_eq!(json["findings"][0]["key"], "forward");
    assert_eq!(status_of(&machine.run(&["run"])), 2);
    machine.configure("store: {}\nserve: {admin: {}}");
    let sick = machine.run(&["doctor"]);
    assert_eq!(status_of(&sick), 1, "{sick:?}");
    let said = String::from_utf8_lossy(&sick.stdout).into_owned();
    assert!(said.contains("fail  initialised:"), "{said}");
    machine.must(&["init"]);
    let well = machine.run(&["doctor", "--json"]);
    assert_eq!(status_of(&well), 0, "{well:?}");
    let json: serde_json::Value = serde_json::from_slice(&well.stdout).unwrap();
    assert_eq!(json["ok"], true, "{json}");
    assert!(json["lines"].as_array().unwrap().len() > 8);
    // A certificate that is gone is one line, and everything else is looked at all the same.
    let tls = "listen: '127.0.0.1:0', tls: {cert_file: /none.pem, key_file: /none.key}";
    machine.configure(&format!(
        "store: {{}}\nserve: {{admin: {{}}, web: {{{tls}}}}}"
    ));
    let sick = machine.run(&["doctor"]);
    assert_eq!(status_of(&sick), 1, "{sick:?}");
    let said = String::from_utf8_lossy(&sick.stdout).into_owned();
    assert!(
        said.contains("fail  web: serve.web.tls.cert_file: /none.pem: "),
        "{said}"
    );
    assert!(said.contains("ok    private keys: "), "{said}");
    // What contradicts itself is refused as before.
    machine.configure("store: {}\nserve: {admin: {}, web: {listen: '0.0.0.0:0'}}");
    let wrong = machine.run(&["doctor"]);
    assert_eq!(status_of(&wrong), 2, "{wrong:?}");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("in the open"));
}

#[test]
fn all_in_one_writes_a_configuration_once() {
    let machine = Machine::new("all-in-one", STORE);
    let config = machine.dir().join("etc/hansard.yaml");
    // Its data_dir is the system's: only the file is looked at, and what is there stays.
    let said = machine.run_with(&config, &["check"]);
    assert_eq!(status_of(&said), 2, "not there yet: {said:?}");
    fs::create_dir(config.parent().unwrap()).unwrap();
    let own = fs::read_to_string(machine.config()).unwrap();
    fs::write(&config, &own).unwrap();
    let said = machine.run_with(&config, &["init", "--all-in-one"]);
    assert_eq!(status_of(&said), 0, "{said:?}");
    assert!(String::from_utf8_lossy(&said.stdout).contains("is there already"));
    assert_eq!(fs::read_to_string(&config).unwrap(), own);
}

#[test]
fn pages_and_completions() {
    let machine = Machine::new("pages", STORE);
    let dir = machine.dir().join("man");
    let made = machine.bare(&["man", dir.to_str().unwrap()]);
    assert_eq!(status_of(&made), 0, "{made:?}");
    let page = fs::read_to_string(dir.join("hansardd-init.8")).unwrap();
    assert!(page.contains("ca\\-pin"), "{page}");
    let script = machine.bare(&["completions", "bash"]);
    assert!(String::from_utf8_lossy(&script.stdout).contains("reindex"));
}

/// One request to the admin socket; status and body.
fn asked(machine: &Machine, path: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(machine.dir().join("run/admin.sock")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: hansard\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

#[test]
fn everything_on_one_machine() {
    let machine = Machine::new(
        "all",
        "capture: {local: {}}\nstore: {pack_age: 1s}\nserve: {admin: {}, metrics: {listen: '127.0.0.1:0'}}\n",
    );
    machine.must(&["init"]);
    let daemon = machine.start();
    let (status, answer) = asked(&machine, "/v1/status");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"server_hostname\":\"web-1\""), "{answer}");
    // The daemon's own recording is told to the event log as it is written.
    let log = machine.data().join("log/events.log");
    machine.wait_until(|| {
        let lines = fs::read_to_string(&log).unwrap_or_default();
        lines.contains("\"event\":\"daemon.start\"")
    });
    machine.wait_until(|| asked(&machine, "/v1/sessions").1.contains("\"service\""));
    // And what was asked is in it, too.
    machine.wait_until(|| {
        asked(&machine, "/v1/events?limit=50")
            .1
            .contains("daemon.start")
    });
    let doctor = machine.must(&["doctor"]);
    assert!(doctor.contains("capture.sock answers"), "{doctor}");
    assert!(doctor.contains("admin.sock answers"), "{doctor}");
    let (status, _) = daemon.stop();
    assert_eq!(status, Some(0), "{}", machine.said());
    // How full the disk under the test is, is not its concern.
    let said = machine.said();
    let wrong = |line: &&str| line.contains(" error: ") && !line.contains("it fills up");
    assert_eq!(said.lines().find(wrong), None, "{said}");
    let lines = fs::read_to_string(&log).unwrap();
    let starts = lines.matches("\"event\":\"daemon.start\"").count();
    assert_eq!(starts, 1, "{lines}");
    // The next life has told the last one's end, once.
    let daemon = machine.start();
    machine.wait_until(|| {
        let lines = fs::read_to_string(&log).unwrap();
        lines.matches("\"event\":\"daemon.start\"").count() == 2
            && lines.matches("\"event\":\"daemon.stop\"").count() == 1
    });
    daemon.kill();
    let daemon = machine.start();
    machine.wait_until(|| {
        let lines = fs::read_to_string(&log).unwrap();
        lines.matches("\"event\":\"daemon.start\"").count() == 3
            && lines.contains("\"event\":\"recording.recovered\"")
    });
    let (status, _) = daemon.stop();
    assert_eq!(status, Some(0), "{}", machine.said());
    // Both are made again from the archive, and the next life goes on.
    let said = machine.must(&["reindex", "--event-log"]);
    assert!(said.contains("event log: "), "{said}");
    let daemon = machine.start();
    machine.wait_until(|| {
        let lines = fs::read_to_string(&log).unwrap();
        lines.matches("\"event\":\"daemon.start\"").count() == 4
    });
    daemon.stop();
}
