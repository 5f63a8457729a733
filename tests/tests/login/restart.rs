//! Logins that outlive the daemon: a stand-in for systemd keeps their descriptors (`manager.py`) and
//! starts the daemon again, which goes on in the same recording.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::outer::{Outer, PATIENCE};
use crate::place::{ANNA, Place, must};

/// A machine whose daemon has a manager with a descriptor store.
pub(crate) struct Managed {
    pub(crate) place: Place,
    dir: PathBuf,
}

impl Managed {
    fn new(name: &str) -> Option<Self> {
        Some(Self::on(Place::new(name)?))
    }

    pub(crate) fn on(mut place: Place) -> Self {
        place.daemon.stop();
        let dir = place.scratch.join("manager");
        fs::create_dir(&dir).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/login/manager.py");
        let words = ["python3", script, dir.to_str().unwrap(), "nsenter"];
        let mut words: Vec<String> = words.map(str::to_owned).to_vec();
        words.push(place.mount());
        place.daemon.put_behind(&words);
        place.daemon.start();
        Self { place, dir }
    }

    /// Ends the daemon by this signal, and none is there when this is back.
    pub(crate) fn end(&self, signal: &str) -> Away<'_> {
        fs::write(self.dir.join("hold"), "").unwrap();
        let pid = self.pid();
        must(Command::new("kill").args(["-s", signal, &pid]));
        let since = Instant::now();
        while fs::exists(format!("/proc/{pid}")).unwrap() {
            assert!(since.elapsed() < PATIENCE, "{}", self.place.daemon.said());
            std::thread::sleep(Duration::from_millis(10));
        }
        Away { of: self, pid }
    }

    fn pid(&self) -> String {
        fs::read_to_string(self.dir.join("daemon.pid")).unwrap()
    }

    /// Waits until so much of a live session is durable.
    pub(crate) fn is_kept(&self, what: &str) {
        let since = Instant::now();
        loop {
            let listed = self.place.hansard(&["ls", "--json", "--all"]).stdout;
            let listed = String::from_utf8(listed).unwrap();
            let rows = listed
                .lines()
                .map(|line| serde_json::from_str(line).unwrap());
            let mut rows = rows.filter(|row: &serde_json::Value| row["kind"] == "terminal");
            if rows.any(|row| self.so_far(&row).contains(what)) {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "{what}: {listed}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What is durable of a session that has no end yet.
    fn so_far(&self, session: &serde_json::Value) -> String {
        let file = self.place.scratch.join("so-far");
        let _ = fs::remove_file(&file);
        let id = session["sid"].as_str().unwrap();
        let words = ["convert", "--to", "jsonl", id, file.to_str().unwrap()];
        self.place.hansard(&words);
        fs::read_to_string(file).unwrap_or_default()
    }

    fn terminals_taken(&self) -> usize {
        let dir = self.place.daemon.runtime().join("terminals");
        fs::read_dir(dir).unwrap().count()
    }
}

/// While no daemon is there; the next one starts when this is dropped.
pub(crate) struct Away<'a> {
    of: &'a Managed,
    pid: String,
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        fs::remove_file(self.of.dir.join("hold")).unwrap();
        let since = Instant::now();
        while self.of.pid() == self.pid {
            assert!(since.elapsed() < PATIENCE, "no other daemon");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// One login over two ends of the daemon: of the first nothing is known beforehand.
fn goes_on(managed: &Managed, signal: &str) -> Outer {
    let mut screen = managed.place.su(ANNA);
    screen.expect("hansard-anna> ");
    screen.type_in(b"echo be''fore; tty; sleep 0.2; echo $$ >~/shell\r");
    screen.expect("before\r\n/dev/pts/");
    managed.is_kept("before");
    let away = managed.end(signal);
    // It runs, it waits, and nobody sees it.
    screen.type_in(b"echo dur''ing; stty size\r");
    assert!(!screen.text().contains("during"));
    assert_eq!(
        managed.terminals_taken(),
        1,
        "the outer terminal stays taken"
    );
    drop(away);
    screen.expect("during\r\n");
    screen.type_in(b"echo af''ter; [ $$ = $(cat ~/shell) ] && echo sa''me\r");
    screen.expect("after\r\n");
    screen.expect("same\r\n");
    screen
}

/// The one recording of it, as events.
fn whole(managed: &Managed) -> String {
    let rows = managed.place.sessions(1);
    let events = managed.place.events(&rows[0]);
    for what in ["before", "during", "after", "same"] {
        assert!(events.contains(what), "{what} is not in {events}");
    }
    let file = managed.place.scratch.join("whole.hansard");
    let file = file.to_str().unwrap();
    let id = rows[0]["sid"].as_str().unwrap();
    must(
        &mut managed
            .place
            .hansard_command(&["convert", "--to", "hansard", id, file]),
    );
    let verified = managed.place.hansard(&["verify", file]);
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert_eq!(verified.status.code(), Some(0), "{said}");
    assert_eq!(managed.terminals_taken(), 0);
    events
}

#[test]
fn a_login_goes_on_when_the_daemon_was_killed() {
    let Some(managed) = Managed::new("login-killed") else {
        return;
    };
    let mut screen = goes_on(&managed, "KILL");
    screen.type_in(b"exit 7\r");
    assert_eq!(screen.wait(), 7);
    let events = whole(&managed);
    assert!(events.contains("the next one went on"), "{events}");
}

#[test]
fn a_login_goes_on_when_the_daemon_is_restarted_and_nothing_is_missing() {
    let Some(mut managed) = Managed::new("login-restarted") else {
        return;
    };
    let mut screen = goes_on(&managed, "TERM");
    // Another login, by pipes, is over with the daemon, and says why.
    let mut piped = managed.place.run(&["su", ANNA, "-c", "echo in; cat"]);
    let mut piped = piped
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut read = [0; 3];
    std::io::Read::read_exact(piped.stdout.as_mut().unwrap(), &mut read).unwrap();
    // Its program ends while nobody is there who could be told.
    screen.type_in(b"until [ -e ~/away ]; do sleep 0.1; done; echo la''st; exit 6\r");
    screen.expect("echo la''st; exit 6\r\n");
    let away = managed.end("TERM");
    fs::write(managed.place.home(ANNA).join("away"), "").unwrap();
    assert!(!piped.wait().unwrap().success());
    let shell = fs::read_to_string(managed.place.home(ANNA).join("shell")).unwrap();
    let since = Instant::now();
    while fs::exists(format!("/proc/{}", shell.trim())).unwrap() {
        assert!(since.elapsed() < PATIENCE, "the shell ends by itself");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(away);
    screen.expect("last\r\n");
    assert_eq!(screen.wait(), 6);
    let rows = managed.place.sessions(2);
    let events = rows.iter().map(|row| managed.place.events(row));
    let (terminal, exec): (Vec<_>, Vec<_>) = events.partition(|events| events.contains("before"));
    assert!(exec[0].contains("the daemon stops"), "{}", exec[0]);
    assert_eq!(terminal[0].matches("the daemon was restarted").count(), 2);
    assert!(!terminal[0].contains(r#""event":"gap""#), "{}", terminal[0]);
    assert!(terminal[0].contains("last"), "{}", terminal[0]);

    // A manager that lets go: the kernel hangs up, and the next start ends the recording.
    let mut screen = managed.place.su(ANNA);
    screen.expect("hansard-anna> ");
    managed.place.daemon.kill();
    assert_eq!(screen.wait(), 125);
    assert!(
        screen.text().contains("the daemon is gone"),
        "{}",
        screen.text()
    );
    managed.place.daemon.start();
    managed.place.sessions(3);
    assert_eq!(managed.terminals_taken(), 0);
}
