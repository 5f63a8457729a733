//! Host events while no daemon runs: the programs in the kernel stay, and the next daemon tells what they saw.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::found::{Connection, commands, end, events, is_from, session, watching};
use crate::outer::PATIENCE;
use crate::place::{ANNA, CARL, must, wait_for};
use crate::restart::Managed;

const HOST: &str = "{}\n  host: {enabled: true, logins: true}";

/// Of the place's own mount namespace.
const BPF_FS: &str = "/sys/fs/bpf";

/// Names that are not there, and each only once: more than the ring holds.
const MISSES: u64 = 100_000;

/// Has lost its parent by then, and its terminal; works while no daemon runs.
const ORPHAN: &str = "import os, time
def wait(name):
    while not os.path.exists(name): time.sleep(0.05)
wait('away')
os.system('/usr/bin/env printf unseen >/dev/null')
for n in range(int(open('away').read() or '0')):
    try: open('/none/%d' % n)
    except OSError: pass
open('unseen', 'w').close()
wait('on')
os.system('/usr/bin/env printf by-orphan >/dev/null')
open('orphaned', 'w').close()
";

/// A machine whose programs in the kernel stay, with a manager that starts its daemon again.
fn pinned(name: &str) -> Option<Managed> {
    let mut place = watching(name, HOST)?;
    // As it is where nobody has set anything up.
    let conf = fs::read_to_string(place.scratch.join("sshd.conf")).unwrap();
    let plain = conf.split("Match User").next().unwrap();
    fs::write(place.scratch.join("plain.conf"), plain).unwrap();
    must(&mut place.run(&["mount", "-t", "bpf", "bpf", BPF_FS]));
    place.daemon.stop();
    let config = fs::read_to_string(place.daemon.config()).unwrap();
    let with = format!("logins: true, pinned: true, pin_dir: {BPF_FS}/hansard}}");
    let changed = config.replace("logins: true}", &with);
    assert_ne!(changed, config);
    fs::write(place.daemon.config(), changed).unwrap();
    Some(Managed::on(place))
}

/// Everything that its recording says: many events may be listed after their session's end.
fn whole(managed: &Managed, start: &Json) -> Vec<Json> {
    let since = Instant::now();
    loop {
        let all = events(
            &managed.place,
            &["--session", start["sid"].as_str().unwrap()],
        );
        if commands(&all).contains(&printed("unseen")) {
            return all;
        }
        assert!(since.elapsed() < PATIENCE, "{:#?}", gaps(&all));
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn printed(word: &str) -> Vec<String> {
    ["printf", word].map(str::to_owned).to_vec()
}

fn gaps(all: &[Json]) -> Vec<&Json> {
    all.iter().filter(|event| event["event"] == "gap").collect()
}

/// What a login does while its daemon is gone, `misses` of it being looks for files that are not there.
fn is_told_by_the_next_one(name: &str, signal: &str, misses: u64) {
    let Some(managed) = pinned(name) else {
        return;
    };
    let home = managed.place.home(ANNA);
    fs::write(home.join("orphan.py"), ORPHAN).unwrap();
    let mut screen = managed.place.su(ANNA);
    screen.expect("hansard-anna> ");
    screen.type_in(b"(setsid python3 orphan.py </dev/null >/dev/null 2>&1 &)\r");
    screen.type_in(b"/usr/bin/env printf be''fore\r");
    screen.expect("before");
    managed.is_kept("before");
    let away = managed.end(signal);
    fs::write(home.join("away.new"), misses.to_string()).unwrap();
    fs::rename(home.join("away.new"), home.join("away")).unwrap();
    wait_for("work while nobody is there", || {
        home.join("unseen").exists()
    });
    drop(away);
    screen.type_in(b": >on; /usr/bin/env printf af''ter\r");
    screen.expect("after");
    wait_for("orphan", || home.join("orphaned").exists());
    screen.type_in(b"exit 4\r");
    assert_eq!(screen.wait(), 4);

    let (start, _) = session(&managed.place, |start| start["login"] == ANNA);
    let all = whole(&managed, &start);
    let ran = commands(&all);
    for word in ["before", "unseen", "after", "by-orphan"] {
        let times = ran.iter().filter(|argv| **argv == printed(word)).count();
        assert_eq!(times, 1, "{word}: {ran:#?}");
    }
    let late = |word: &str| {
        let it = all
            .iter()
            .find(|event| event["argv"] == Json::from(printed(word)));
        it.unwrap()["delayed_ms"].as_u64()
    };
    assert_eq!(late("before").or(late("after")), None);
    // One gap for what the last daemon may have been told, one with a number for what found no room.
    let of_daemon = |gap: &&&Json| gap["cause"].as_str().unwrap().contains("not yet stored");
    let gaps = gaps(&all);
    assert_eq!(gaps.iter().filter(of_daemon).count(), 1, "{gaps:#?}");
    let lost = gaps.iter().filter(|gap| {
        let cause = gap["cause"].as_str().unwrap();
        assert!(!cause.contains("until the next one found them"), "{gap}");
        cause.contains("faster")
    });
    let lost: u64 = lost.map(|gap| gap["lost_events"].as_u64().unwrap()).sum();
    let missed = all.iter().filter(|event| {
        let path = event["path"].as_str().unwrap_or_default();
        event["event"] == "session.disk" && path.starts_with("/none/")
    });
    let told: u64 = missed.map(|e| e["repeats"].as_u64().unwrap_or(0) + 1).sum();
    if misses > 0 {
        assert!(lost > 0 && told < misses, "{told} and {lost}");
        assert!(told + lost >= misses, "{told} + {lost}");
    } else {
        assert_eq!(lost, 0, "{gaps:#?}");
    }
    wait_for("alarm", || {
        let alarms = events(&managed.place, &["--event", "alarm"]);
        let of_session = alarms.iter().filter(|alarm| {
            let reason = alarm["reason"].as_str().unwrap_or_default();
            alarm["recording"] == start["sid"] && reason.contains("not yet stored")
        });
        of_session.count() == 1
    });
}

#[test]
fn after_a_kill_it_is_told_what_was_done_meanwhile() {
    is_told_by_the_next_one("pinned-killed", "KILL", 0);
}

#[test]
fn after_a_restart_too_and_what_found_no_room_is_counted() {
    is_told_by_the_next_one("pinned-restarted", "TERM", MISSES);
}

#[test]
fn a_login_while_no_daemon_runs_is_a_session_all_the_same() {
    let Some(managed) = pinned("pinned-login") else {
        return;
    };
    let away = managed.end("KILL");
    let script = "/usr/bin/env printf nobody-there; sleep 2; exit 3";
    let (said, status, from) = Connection::new(&managed.place, &["-T"], CARL, script).over();
    assert_eq!((said.as_str(), status), ("nobody-there", Some(3)));
    drop(away);
    let (start, all) = session(&managed.place, |start| is_from(start, &from));
    assert_eq!(start["login"], CARL);
    let ran = commands(&all);
    assert_eq!(ran[0], ["-c", script], "{ran:?}");
    assert!(ran.contains(&printed("nobody-there")), "{ran:?}");
    assert!(gaps(&all).is_empty(), "{all:#?}");
    let first = all.iter().find(|event| event["event"] == "session.command");
    assert!(first.unwrap()["delayed_ms"].as_u64().unwrap() >= 2000);
    assert_eq!(end(&all)["exit_status"], 3);
}

#[test]
fn programs_that_were_told_something_else_are_removed() {
    let Some(mut managed) = pinned("pinned-otherwise") else {
        return;
    };
    let kept = |managed: &Managed| {
        let words = ["find", BPF_FS, "-name", "owners"];
        let found = managed.place.run(&words).output().unwrap().stdout;
        String::from_utf8(found).unwrap()
    };
    let first = kept(&managed);
    assert_eq!(first.lines().count(), 1, "{first}");
    managed.place.daemon.stop();
    // They stay after an end in order, too.
    assert_eq!(kept(&managed), first);
    let config = fs::read_to_string(managed.place.daemon.config()).unwrap();
    let other = config.replace("logins: true,", "logins: false,");
    fs::write(managed.place.daemon.config(), other).unwrap();
    managed.place.daemon.start();
    let second = kept(&managed);
    assert_eq!(second.lines().count(), 1, "{second}");
    assert_ne!(first, second);
    managed.place.daemon.stop();

    // Elsewhere than in a bpf file system nothing can stay, which is no way to begin.
    let elsewhere = config.replace(BPF_FS, "/tmp");
    fs::write(managed.place.daemon.config(), elsewhere).unwrap();
    // Nobody starts it again and again.
    let words = [String::from("nsenter"), managed.place.mount()];
    managed.place.daemon.put_behind(&words);
    assert!(!managed.place.daemon.try_start());
    let said = managed.place.daemon.said();
    assert!(said.contains("is in no bpf file system"), "{said}");
}
