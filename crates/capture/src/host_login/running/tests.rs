//! Tests with processes that take no notice of a hangup.

use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::*;

/// A login's shell that ignores hangups, with a job and with a program of another session below it.
struct Login {
    shell: Child,
    others: Vec<Process>,
}

impl Login {
    fn begin() -> Self {
        let script =
            "trap '' HUP; sleep 600 & echo $!; setsid sleep 600 & echo $!; echo $$; read x";
        let mut shell = Command::new("setsid")
            .args(["sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(shell.stdout.take().unwrap()).lines().take(3);
        let pids = said.map(|line| line.unwrap().parse().unwrap());
        let others = pids.filter_map(Process::of).collect();
        Self { shell, others }
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.shell.id()).unwrap()
    }

    fn running(&self) -> (Running, PipeReader) {
        let (woken, wake) = io::pipe().unwrap();
        let pid = Pid::from_raw(self.pid()).unwrap();
        let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        (Running::new(Some(process), wake), woken)
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        self.others.iter().for_each(|process| process.kill());
        self.shell.wait().unwrap();
    }
}

type Waits = (JoinHandle<Over>, Receiver<()>);

/// Follows it in a thread of its own, and what is told of it.
fn follow(
    running: &std::sync::Arc<Running>,
    woken: PipeReader,
    kill: impl FnMut() -> bool + Send + 'static,
) -> Waits {
    let running = std::sync::Arc::clone(running);
    let (tell, told) = channel();
    let wait = Duration::from_millis(50);
    let waits = std::thread::spawn(move || {
        let told = || tell.send(()).unwrap();
        running.wait(&woken, || false, kill, (wait, told))
    });
    (waits, told)
}

#[test]
fn one_that_takes_no_notice_is_killed_and_gone() {
    let login = Login::begin();
    assert_eq!(login.others.len(), 3);
    let uid = rustix::process::geteuid().as_raw();
    let mut prey = Prey::of(login.pid(), uid).unwrap();
    let (running, woken) = login.running();
    let running = std::sync::Arc::new(running);
    let (waits, _told) = follow(&running, woken, move || prey.kill());
    running.end("user:anna is locked", "");
    running.give_up();
    assert_eq!(waits.join().unwrap(), Over::Ended);
    // All of it when it says so, what made a session of its own below it as well.
    assert!(login.others.iter().all(|process| !process.goes_on()));
}

#[test]
fn one_that_may_not_be_killed_is_told_of_and_followed() {
    let login = Login::begin();
    let (running, woken) = login.running();
    let running = std::sync::Arc::new(running);
    let shell = login.others[2];
    let (waits, told) = follow(&running, woken, move || shell.goes_on());
    running.give_up();
    told.recv().unwrap();
    assert!(!waits.is_finished());
    // Each time somebody ends it, once.
    running.give_up();
    told.recv().unwrap();
    assert!(!waits.is_finished() && shell.goes_on());
    shell.kill();
    assert_eq!(waits.join().unwrap(), Over::Ended);
    assert!(told.recv().is_err());
}

#[test]
fn a_daemon_that_stops_ends_nobody() {
    let login = Login::begin();
    let (running, woken) = login.running();
    let running = std::sync::Arc::new(running);
    let (waits, _told) = follow(&running, woken, || panic!("it is not killed"));
    running.end(THE_DAEMON_STOPS, "");
    assert_eq!(waits.join().unwrap(), Over::Stops);
    assert!(login.others.iter().all(|process| process.goes_on()));
}

#[test]
fn one_that_ends_by_itself_has_ended() {
    let mut login = Login::begin();
    let (running, woken) = login.running();
    let running = std::sync::Arc::new(running);
    let (waits, _told) = follow(&running, woken, || panic!("it is not killed"));
    drop(login.shell.stdin.take());
    assert_eq!(waits.join().unwrap(), Over::Ended);
}
