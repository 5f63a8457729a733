//! Tests with processes that lead sessions of their own.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

/// A user who is not root: as root, whoever has nothing.
fn user() -> u32 {
    let own = rustix::process::geteuid();
    if own.is_root() { 65534 } else { own.as_raw() }
}

/// A shell of that user's, of a session of its own, and a program in its background.
struct Session {
    shell: Child,
    background: Process,
}

impl Session {
    fn begin() -> Self {
        let mut command = Command::new("setsid");
        command
            .args(["sh", "-c", "sleep 600 & echo $!; read x"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if rustix::process::geteuid().is_root() {
            command.uid(user());
        }
        let mut shell = command.spawn().unwrap();
        let mut line = String::new();
        // It says so once it leads its session.
        let said = BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line);
        assert!(said.unwrap() > 0);
        let background = Process::of(line.trim().parse().unwrap()).unwrap();
        Self { shell, background }
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.shell.id()).unwrap()
    }

    fn led(&self) -> Led {
        Led::by(self.pid(), user()).unwrap()
    }

    /// Ends the shell; what it left running goes on.
    fn leave(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().unwrap();
        assert!(self.goes_on());
    }

    fn goes_on(&self) -> bool {
        self.background.goes_on()
    }

    fn is_killed(&self) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.goes_on() {
            assert!(Instant::now() < until, "it is killed");
            std::thread::yield_now();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.background.kill();
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn own() -> Process {
    Process::of(i32::try_from(std::process::id()).unwrap()).unwrap()
}

#[test]
fn a_program_is_a_child_of_the_very_process_and_its_user_s() {
    let session = Session::begin();
    let (pid, uid) = (session.pid(), user());
    assert!(Led::by_child(pid, own(), uid).is_some());
    // Whoever had our number before us did not start it.
    let before = Process {
        started: own().started - 1,
        ..own()
    };
    assert!(Led::by_child(pid, before, uid).is_none());
    assert!(Led::by_child(pid, own(), uid + 1).is_none());
    // One that leads nothing, and somebody else's child.
    assert!(Led::by_child(session.background.pid, own(), uid).is_none());
    assert!(Led::by_child(pid, session.background, uid).is_none());
}

#[test]
fn a_session_is_killed_as_long_as_it_is_known() {
    let mut session = Session::begin();
    assert_eq!(session.led().kill(), 2);
    session.is_killed();
    session.shell.wait().unwrap();

    // Its leader is gone; who was seen in it before is it still, whosever they are.
    let mut session = Session::begin();
    let mut led = session.led();
    led.look();
    led.uid += 1;
    session.leave();
    assert_eq!(led.left(), [session.background]);
    assert_eq!(led.kill(), 1);
    session.is_killed();

    // Nobody was seen: those of its user.
    let mut session = Session::begin();
    let mut led = session.led();
    session.leave();
    assert_eq!(led.kill(), 1);
    session.is_killed();
}

#[test]
fn a_session_of_a_number_that_was_another_s_is_left_alone() {
    let mut session = Session::begin();
    // One of this number was known before, and has ended since.
    let of = |uid| {
        let mut led = session.led();
        led.leader.started -= 1;
        led.known.insert(Process {
            started: session.background.started - 1,
            ..session.background
        });
        led.uid = uid;
        led
    };
    let (same, mut others, mut roots) = (of(user()), of(user() + 1), of(0));
    assert!(same.left().is_empty());
    assert_eq!(of(user()).kill(), 0);
    // And its leader has gone already, so that nobody can tell.
    session.leave();
    assert_eq!(others.kill(), 0);
    assert_eq!(roots.kill(), 0);
    assert!(session.goes_on());
}
