//! Tests of what the login's process may say.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::*;
use crate::local::connection::lines;

/// A child of ours that leads a session.
fn child() -> Child {
    let child = Command::new("setsid")
        .args(["sleep", "600"])
        .spawn()
        .unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let leads = || {
        let stat = Process::of(pid).and_then(Process::stat);
        stat.is_some_and(|stat| stat.session == pid)
    };
    while !leads() {
        assert!(Instant::now() < until, "it leads its session");
        std::thread::yield_now();
    }
    child
}

fn started(child: &Child) -> FromClient<'static> {
    FromClient::Started(u64::from(child.id()))
}

/// What is killed at the end for a login of this process and user that says this.
fn program(process: Process, uid: u32, says: &[FromClient]) -> Option<Led> {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let (line, source) = lines(ours).unwrap();
    let mut stub = Stub {
        line: &line,
        source,
        process: Some(process),
        uid,
        hold: None,
        program: None,
        inside: None,
        kills: Some(process),
        outlives: None,
    };
    for message in says {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        theirs.write_all(&bytes).unwrap();
        assert!(matches!(stub.hear(), Word::Nothing));
    }
    drop(theirs);
    assert!(matches!(stub.hear(), Word::Away(_)));
    stub.program.take()
}

#[test]
fn nobody_has_anybody_killed_who_is_not_theirs() {
    let own = Process::of(i32::try_from(std::process::id()).unwrap()).unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let mut children = [child(), child()];
    let says = children.each_ref().map(started);
    let [first, second] = &says;
    let found = program(own, uid, std::slice::from_ref(first)).unwrap();
    let of_first = found.left();
    assert_eq!(of_first.len(), 1);
    // Another one, later, is none that it began with.
    let found = program(own, uid, &[first.clone(), second.clone()]).unwrap();
    assert_eq!(found.left(), of_first);
    // The number of the process that connected is ours by now; and one of another user.
    let before = Process {
        started: own.started - 1,
        ..own
    };
    assert!(program(before, uid, &says).is_none());
    assert!(program(own, uid + 1, &says).is_none());
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
