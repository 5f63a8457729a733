//! How sessions are ended that do not end by themselves.

use hansard_capture::local::THE_DAEMON_STOPS;
use hansard_core::Decision;
use hansard_core::policy::OnEnd;
use rustix::process::Signal;

use crate::outer::{Outer, lives, number_after};
use crate::support::{end_of, shown, wait_for};
use crate::terminal::owner_of;
use crate::world::{TTY, UID, World, everything};

/// A login shell with a job in the background that ignores hangups; the job's process.
fn with_job(screen: &mut Outer) -> i32 {
    screen.expect("$ ");
    screen.type_in(b"(trap '' HUP; while :; do sleep 1; done) & echo job=$!.\r");
    screen.expect("job=");
    screen.until("the job's number", |s| {
        s.text().matches("job=").count() == 2
            && s.text().rsplit("job=").next().unwrap().contains('.')
    });
    let text = screen.text();
    number_after(text.rsplit_once("echo job").unwrap().1, "job=")
}

#[test]
fn what_is_left_is_left_without_a_terminal() {
    let Some(world) = World::new() else { return };
    let mut screen = world.login();
    let job = with_job(&mut screen);
    screen.type_in(b"exit\r");
    assert_eq!(screen.wait(), 0);
    world.wait_for_end();
    assert!(lives(job));
    let terminal = std::fs::read_link(format!("/proc/{job}/fd/0")).unwrap();
    let opened = std::fs::File::open(&terminal);
    assert!(opened.is_err(), "its terminal is gone: {opened:?}");
    rustix::process::kill_process(rustix::process::Pid::from_raw(job).unwrap(), Signal::KILL)
        .unwrap();
}

#[test]
fn what_is_left_is_killed_where_the_policy_says_so() {
    let decision = Decision {
        on_end: OnEnd::Kill,
        ..everything()
    };
    let Some(world) = World::deciding(decision) else {
        return;
    };
    let mut screen = world.login();
    let job = with_job(&mut screen);
    // One that leaves session, group, terminal and parent, with nothing of the login's environment.
    let script = "echo job=$$. >&3; exec >/dev/null 3>&1; while :; do sleep 1; done";
    let line = format!("(setsid env -i PATH=$PATH sh -c '{script}' 3>&1 </dev/null &)\r");
    let seen = screen.text().len();
    screen.type_in(line.as_bytes());
    screen.until("the daemon's number", |s| {
        let said = s.text()[seen..]
            .rsplit_once("job=")
            .map(|(_, n)| n.contains('.'));
        said == Some(true) && s.text()[seen..].matches("job=").count() == 2
    });
    let daemon = number_after(
        screen.text()[seen..].split_once("echo job").unwrap().1,
        "job=",
    );
    assert!(lives(job) && lives(daemon));
    let parent = std::fs::read_to_string(format!("/proc/{daemon}/stat")).unwrap();
    let parent: i32 = parent.split(' ').nth(3).unwrap().parse().unwrap();
    assert_ne!(
        parent, 1,
        "whoever is left without a parent gets the login's process"
    );
    screen.type_in(b"exit\r");
    assert_eq!(screen.wait(), 0);
    world.wait_for_end();
    wait_for("the jobs' end", || !lives(job) && !lives(daemon));
}

#[test]
fn an_administrator_ends_a_session() {
    let Some(world) = World::new() else { return };
    let mut screen = world.login();
    screen.expect("$ ");
    let registry = world.daemon.server.registry();
    registry.end(world.running(), "enough", "root").unwrap();
    assert_eq!(screen.wait(), 129);
    assert!(
        screen.text().contains("the session was ended: enough"),
        "{}",
        screen.text()
    );
    assert!(screen.is_restored());
    assert_eq!(end_of(&world.only()).reason, "ended by root: enough");
    assert_eq!(owner_of(&screen), (UID, TTY, 0o620));
}

#[test]
fn a_daemon_that_stops_ends_its_sessions_and_says_why() {
    let Some(world) = World::new() else { return };
    let mut screen = world.login();
    screen.expect("$ ");
    let World { daemon, .. } = world;
    let spool = daemon.spool.clone();
    let id = daemon.server.registry().list()[0].session;
    assert_eq!(daemon.server.stop(), 0);
    assert_eq!(screen.wait(), 129);
    assert!(
        screen.text().contains(THE_DAEMON_STOPS),
        "{}",
        screen.text()
    );
    assert!(screen.is_restored());
    assert_eq!(owner_of(&screen), (UID, TTY, 0o620));
    let bytes = crate::support::recordings(&spool).remove(&id).unwrap();
    let events = crate::support::events(&bytes);
    assert_eq!(end_of(&events).reason, THE_DAEMON_STOPS);
}

#[test]
fn without_a_daemon_nobody_logs_in() {
    let Some(world) = World::new() else { return };
    let socket = world.daemon.dir.path().join("nobody.sock");
    let own = format!("exec {} {} -sh", world.program.display(), socket.display());
    let done = std::process::Command::new("sh")
        .args(["-c", &own])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(125));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.contains("no daemon is there"), "{said}");
}

#[test]
fn who_may_log_in_without_a_daemon_is_noted_at_each_login() {
    for may in [true, false] {
        let decision = Decision {
            break_glass: may,
            ..everything()
        };
        let Some(world) = World::deciding(decision) else {
            return;
        };
        let note = world.daemon.dir.path().join(format!("break-glass/{UID}"));
        if !may {
            std::fs::write(&note, b"").unwrap();
        }
        let done = world.command(&["sh", "-c", "exit 3"]).output().unwrap();
        assert_eq!(done.status.code(), Some(3));
        assert_eq!(note.exists(), may);
    }
}

#[test]
fn a_terminal_that_goes_away_ends_the_session() {
    let Some(world) = World::new() else { return };
    let mut screen = world.login();
    screen.expect("$ ");
    screen.type_in(b"echo here\r");
    screen.expect("\nhere");
    let Outer { master, slave, .. } = &mut screen;
    // As when a connection breaks: nobody holds the other end any more.
    let null = || {
        rustix::fs::open(
            "/dev/null",
            rustix::fs::OFlags::RDWR,
            rustix::fs::Mode::empty(),
        )
    };
    *slave = null().unwrap();
    *master = null().unwrap();
    world.wait_for_end();
    let events = world.only();
    assert_eq!(end_of(&events).reason, "hangup");
    assert!(String::from_utf8_lossy(&shown(&events)).contains("here"));
    wait_for("the login's end", || {
        screen.child.try_wait().unwrap().is_some()
    });
}

#[test]
fn nothing_for_too_long_ends_the_session() {
    let mut decision = everything();
    decision.policy.idle_ms_max = 1_500;
    let Some(world) = World::deciding(decision) else {
        return;
    };
    let mut screen = world.login();
    screen.expect("$ ");
    assert_eq!(screen.wait(), 129);
    assert_eq!(end_of(&world.only()).reason, "nothing happened for 1.5 s");
}

#[test]
fn a_killed_daemon_leaves_no_session_and_its_terminals_are_given_back() {
    let Some(world) = World::new() else { return };
    let own = world.daemon.dir.path();
    // Another daemon, as a process of its own.
    let dir = own.join("killed");
    std::fs::create_dir(&dir).unwrap();
    let mut example = std::env::current_exe().unwrap();
    example.pop();
    example.pop();
    example.push("examples/capture_daemon");
    let mut daemon = std::process::Command::new(example)
        .arg(&dir)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let socket = dir.join("capture.sock");
    wait_for("the other daemon", || socket.exists());
    let mut screen = world.login_at(&socket, &[], &["-sh"]);
    screen.expect("$ ");
    assert_eq!(owner_of(&screen).0, 0);
    screen.type_in(b"echo pid=$$.\r");
    screen.expect("\npid=");
    screen.until("the number", |s| {
        s.text().rsplit("pid=").next().unwrap().contains('.')
    });
    let shell = number_after(screen.text().rsplit_once("\npid").unwrap().1, "=");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert_eq!(screen.wait(), 125);
    assert!(
        screen.text().contains("the daemon is gone"),
        "{}",
        screen.text()
    );
    assert!(screen.is_restored(), "the login's process does that");
    wait_for("the shell's end", || !lives(shell));
    assert_eq!(owner_of(&screen).0, 0, "only the next daemon can");
    let again = hansard_capture::shell::Terminals::open(&dir.join("terminals")).unwrap();
    assert_eq!((again.1.given_back, again.1.gone), (1, 0));
    assert_eq!(owner_of(&screen), (UID, TTY, 0o620));
    // What is noted of a terminal that is another's by now is not done.
    let note = dir.join("terminals/note");
    let dev = std::os::unix::fs::MetadataExt::dev(&std::fs::metadata("/dev/null").unwrap());
    let rdev = std::os::unix::fs::MetadataExt::rdev(&std::fs::metadata("/dev/null").unwrap());
    std::fs::write(&note, format!("{UID} {TTY} 400 {dev} {rdev} 7 /dev/null\n")).unwrap();
    let again = hansard_capture::shell::Terminals::open(&dir.join("terminals")).unwrap();
    assert_eq!((again.1.given_back, again.1.gone), (0, 1));
    assert!(!note.exists());
}

#[test]
fn who_asks_for_logins_is_told_that_they_are_served() {
    use hansard_record::handoff::{FromClient, FromDaemon, OPEN_BYTES_MAX, read_message};
    let Some(world) = World::new() else { return };
    let mut stream = std::os::unix::net::UnixStream::connect(world.daemon.socket()).unwrap();
    let mut message = Vec::new();
    FromClient::Probe.encode(&mut message);
    std::io::Write::write_all(&mut stream, &message).unwrap();
    assert!(read_message(&mut stream, &mut message, OPEN_BYTES_MAX).unwrap());
    assert_eq!(FromDaemon::decode(&message).unwrap(), FromDaemon::Ready);
    assert!(!read_message(&mut stream, &mut message, OPEN_BYTES_MAX).unwrap());
    assert!(world.gate.asked.lock().unwrap().is_empty());
}
