//! Process numbers that are given again: who connected may be gone, and somebody else have its number.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hansard_core::fields::Fields;
use hansard_core::policy::Policy;
use hansard_core::session::ClockQuality;
use hansard_core::{Session, SessionId};
use hansard_record::handoff::descriptors::send_with;
use hansard_record::handoff::{FromClient, Login, VERSION};
use hansard_tests::skipped;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::found::threads;
use crate::outer::PATIENCE;
use crate::place::Place;

/// Where a system lets the next number be chosen (with checkpoints, CRIU).
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// How often a number is tried for: others start programs, too.
const TRIES_MAX: usize = 2000;

/// A connection of an ordinary user's process, which has ended since; and its number.
fn passed_on(place: &Place) -> (UnixStream, u32) {
    let flags = SocketFlags::CLOEXEC;
    let ours = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    let path = place.daemon.runtime().join("capture.sock");
    let script = "import os, signal, socket, sys\n\
                  os.setresuid(64011, 64011, 64011)\n\
                  socket.socket(fileno=0).connect(sys.argv[1])\n\
                  print(os.getpid(), flush=True)\n\
                  signal.pause()";
    let path = path.to_str().unwrap();
    let mut command = place.run(&["python3", "-c", script, path]);
    let mut process = command
        .stdin(ours.try_clone().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let stdout = process.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut said).unwrap();
    assert_eq!(said, format!("{}\n", process.id()));
    // The daemon has seen who it is once it has a thread for the connection.
    let since = Instant::now();
    while threads(place, "capture-session") == 0 {
        assert!(since.elapsed() < PATIENCE, "{}", place.daemon.said());
        std::thread::sleep(Duration::from_millis(5));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    (UnixStream::from(ours), process.id())
}

/// A process of root's with this number, and the number of its child, which leads a session.
fn with_number(number: u32) -> (Child, u32) {
    for _ in 0..TRIES_MAX {
        fs::write(LAST_PID, (number - 1).to_string()).unwrap();
        let mut process = Command::new("sh")
            .args(["-c", "read x; setsid sleep 600 & echo $!; read x"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        if process.id() != number {
            process.kill().unwrap();
            process.wait().unwrap();
            continue;
        }
        process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut said = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut said).unwrap();
        let child = said.trim().parse().unwrap();
        let since = Instant::now();
        while stat(child)[3] != child.to_string() {
            assert!(since.elapsed() < PATIENCE, "it leads a session");
            std::thread::yield_now();
        }
        return (process, child);
    }
    panic!("nobody gets the number {number}");
}

/// What stands behind the name in `/proc/PID/stat`: state, parent, group, session.
fn stat(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let (_, rest) = text.rsplit_once(')').unwrap_or_default();
    let words = rest.split_ascii_whitespace().map(str::to_owned);
    words.chain(std::iter::repeat_n(String::new(), 4)).collect()
}

fn claims() -> Session {
    Session {
        id: SessionId::from_bytes([0; 16]),
        parent: None,
        kind: "exec".to_owned(),
        subject: Fields::new(),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 0,
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: [0; 32],
        recorder: String::new(),
    }
}

#[test]
fn a_number_that_is_somebody_else_s_by_now_has_nobody_killed() {
    let Some(place) = Place::with("login-numbers", ", kill_remains: true", "{}") else {
        return;
    };
    if fs::OpenOptions::new().write(true).open(LAST_PID).is_err() {
        return skipped("the next process number cannot be chosen here");
    }
    let (mut connection, number) = passed_on(&place);
    let (mut process, child) = with_number(number);
    let mut hello = Vec::new();
    let login = Login {
        version: VERSION,
        claims: Box::new(claims()),
    };
    FromClient::Login(login).encode(&mut hello);
    let null: OwnedFd = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .unwrap()
        .into();
    send_with(&connection, &hello, &[null.as_fd(); 3]).unwrap();
    // It is granted.
    assert!(connection.read(&mut [0; 64]).unwrap() > 0);
    let mut started = Vec::new();
    FromClient::Started(u64::from(child)).encode(&mut started);
    connection.write_all(&started).unwrap();
    drop(connection);
    let rows = place.sessions(1);
    assert_eq!(rows[0]["kind"], "exec", "{rows:#?}");
    // Killed it would be a zombie: nobody has waited for it. (Whether it sleeps yet is the machine's business.)
    let [state, parent, ..] = &stat(child)[..] else {
        panic!("it is gone");
    };
    assert_ne!(state, "Z");
    assert_eq!(*parent, number.to_string());
    let _ = Command::new("kill").arg(child.to_string()).status();
    drop(process.stdin.take());
    process.wait().unwrap();
}
