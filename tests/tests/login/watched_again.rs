//! Host events of a login that outlives the daemon: the next one finds its processes again.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{PidfdFlags, pidfd_open};

use crate::found::{commands, events, session, watching};
use crate::outer::PATIENCE;
use crate::place::ANNA;
use crate::restart::Managed;

const HOST: &str = "{}\n  host: {enabled: true}";

/// Runs from before the daemon's end: a thread that is not the process's first one waits, and opens a file.
const THREADS: &str = "import os, threading, time
def late():
    open('began', 'w').close()
    while not os.path.exists('on'): time.sleep(0.05)
    open('/etc/hostname').close()
    os.system('/usr/bin/env printf by-thread >/dev/null')
    open('threaded', 'w').close()
threading.Thread(target=late).start()
";

/// Has lost its parent by then, and its terminal.
const ORPHAN: &str = "while [ ! -e away ]; do sleep 0.05; done
/usr/bin/env printf unseen >/dev/null
: >unseen
while [ ! -e on ]; do sleep 0.05; done
/usr/bin/env printf by-orphan >/dev/null
: >orphaned
";

/// Whether this kernel has descriptors of threads (Linux 6.9).
fn names_threads() -> bool {
    let flags = PidfdFlags::from_bits_retain(0o200);
    pidfd_open(rustix::process::getpid(), flags).is_ok()
}

fn goes_on_and_is_watched(name: &str, signal: &str) {
    let Some(place) = watching(name, HOST) else {
        return;
    };
    let managed = Managed::on(place);
    let home = managed.place.home(ANNA);
    let exists = |name: &str| {
        let since = Instant::now();
        while !home.join(name).exists() {
            assert!(since.elapsed() < PATIENCE, "no {name}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    fs::write(home.join("threads.py"), THREADS).unwrap();
    fs::write(home.join("orphan.sh"), ORPHAN).unwrap();
    let mut screen = managed.place.su(ANNA);
    screen.expect("hansard-anna> ");
    screen.type_in(b"(setsid sh orphan.sh </dev/null >/dev/null 2>&1 &)\r");
    screen.type_in(b"(python3 threads.py &); /usr/bin/env printf be''fore\r");
    screen.expect("before");
    exists("began");
    managed.is_kept("before");
    let away = managed.end(signal);
    fs::write(home.join("away"), "").unwrap();
    exists("unseen");
    // It waits.
    screen.type_in(b"/usr/bin/env printf dur''ing\r");
    drop(away);
    screen.expect("during");
    screen.type_in(b": >on; /usr/bin/env printf af''ter\r");
    screen.expect("after");
    exists("threaded");
    exists("orphaned");
    screen.type_in(b"exit 4\r");
    assert_eq!(screen.wait(), 4);

    let (start, all) = session(&managed.place, |start| start["login"] == ANNA);
    let ran = commands(&all);
    let mut words = vec!["before", "during", "after", "by-orphan"];
    words.extend(names_threads().then_some("by-thread"));
    for word in words {
        let wanted = ["printf", word].map(str::to_owned).to_vec();
        assert!(ran.contains(&wanted), "{word}: {ran:#?}");
    }
    let by_thread = all.iter().any(|event| {
        event["event"] == "session.disk"
            && event["path"] == "/etc/hostname"
            && event["program"]
                .as_str()
                .unwrap_or_default()
                .contains("python")
    });
    assert_eq!(by_thread, names_threads(), "{all:#?}");
    let gaps: Vec<_> = all.iter().filter(|event| event["event"] == "gap").collect();
    let of_host: Vec<_> = gaps
        .iter()
        .filter(|gap| gap["cause"].as_str().unwrap().contains("was gone"))
        .collect();
    assert_eq!(of_host.len(), 1, "{gaps:#?}");
    // What could not be found again is said to be missing, and nothing else.
    let of_processes = gaps
        .iter()
        .any(|gap| gap["cause"].as_str().unwrap().contains("not all"));
    assert_eq!(of_processes, !names_threads(), "{gaps:#?}");
    let since = Instant::now();
    loop {
        let alarms = events(&managed.place, &["--event", "alarm"]);
        let of_session = alarms.iter().filter(|alarm| {
            let reason = alarm["reason"].as_str().unwrap_or_default();
            alarm["recording"] == start["sid"] && reason.contains(" s at most")
        });
        if of_session.count() == 1 + usize::from(!names_threads()) {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "{alarms:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn after_a_kill_the_processes_of_a_login_are_watched_again() {
    goes_on_and_is_watched("watched-killed", "KILL");
}

#[test]
fn after_a_restart_too() {
    goes_on_and_is_watched("watched-restarted", "TERM");
}
