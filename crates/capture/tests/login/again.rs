//! What a login hears from a daemon that holds it after another.

use std::io::{BufReader, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use hansard_capture::shell::Keeps;
use hansard_core::event::{Body, Event};
use hansard_record::handoff::descriptors::send_with;
use hansard_record::handoff::{
    FromClient, FromDaemon, Granted, Incoming, MESSAGE_BYTES_MAX, OPEN_BYTES_MAX, read_message,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{TempDir, end_of, events, recordings};
use crate::world::{UID, World, built, copy_program, is_root};

/// The next daemon hears of the program's end what the last one was told, delivers, and is done, all before the login
/// has heard that there is another. It has nobody to tell again then, and still ends as its program did.
#[test]
fn a_daemon_that_is_done_before_it_is_answered_leaves_the_program_its_status() {
    if !is_root() {
        return;
    }
    let dir = TempDir::new();
    let open = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(dir.path(), open(0o755)).unwrap();
    let (program, socket) = (dir.path().join("login_shell"), dir.path().join("socket"));
    copy_program(&built("login_shell"), &program);
    let listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, open(0o666)).unwrap();
    let (uid, gid) = (format!("--reuid={UID}"), format!("--regid={UID}"));
    let mut login = Command::new("setpriv")
        .args([&uid, &gid, "--clear-groups"])
        .arg(program)
        .arg(&socket)
        .args(["hansard-shell", "-c", "exit 6"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();

    let mut line = BufReader::new(Incoming::new(listener.accept().unwrap().0));
    let mut message = Vec::new();
    assert!(read_message(&mut line, &mut message, OPEN_BYTES_MAX).unwrap());
    let Ok(FromClient::Login(hello)) = FromClient::decode(&message) else {
        panic!("no login");
    };
    let outside: [OwnedFd; 3] = line.get_mut().take().unwrap();
    let mut granted = Vec::new();
    FromDaemon::Granted(Granted {
        session: Some(hello.claims),
        shell: b"/bin/sh".to_vec(),
        terminal: None,
    })
    .encode(&mut granted);
    let socket = line.get_ref().socket().try_clone().unwrap();
    send_with(&socket, &granted, &outside.each_ref().map(|fd| fd.as_fd())).unwrap();
    while !matches!(FromClient::decode(&message), Ok(FromClient::Close(_))) {
        assert!(read_message(&mut line, &mut message, MESSAGE_BYTES_MAX).unwrap());
    }
    // Nobody can be told anything any more when it hears this.
    socket.shutdown(Shutdown::Read).unwrap();
    let mut last = Vec::new();
    FromDaemon::Again.encode(&mut last);
    let fault = String::new();
    FromDaemon::Drained { fault }.encode(&mut last);
    (&socket).write_all(&last).unwrap();
    drop((socket, line));
    assert_eq!(login.wait().unwrap().code(), Some(6));
}

/// Whoever keeps descriptors for the next daemon, which never comes.
#[derive(Default)]
struct Keeper(Mutex<Vec<(String, OwnedFd)>>);

impl Keeps for Keeper {
    fn descriptors_max(&self) -> usize {
        64
    }

    fn keep(&self, name: &str, fd: BorrowedFd<'_>) -> std::io::Result<()> {
        let kept = (name.to_owned(), fd.try_clone_to_owned()?);
        self.0.lock().unwrap().push(kept);
        Ok(())
    }

    fn forget(&self, name: &str) {
        self.0.lock().unwrap().retain(|(kept, _)| kept != name);
    }
}

/// A login that is kept, the daemon's stop while its process says nothing, and what is kept then; beforehand, somebody
/// ends it or not.
fn stopped(reason: Option<&str>) -> Option<(usize, Vec<Event>)> {
    let keeper = Arc::new(Keeper::default());
    let world = World::kept(Arc::clone(&keeper) as Arc<dyn Keeps>)?;
    let mut screen = world.login();
    screen.expect("$ ");
    let session = world.running();
    let pid = world.daemon.server.registry().list()[0].pid.unwrap();
    let pid = Pid::from_raw(pid).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    if let Some(reason) = reason {
        let registry = world.daemon.server.registry();
        registry.end(session, reason, "root").unwrap();
    }
    let World { daemon, .. } = world;
    let spool = daemon.spool.clone();
    assert_eq!(daemon.server.stop(), 0);
    if reason.is_some() {
        assert!(screen.is_restored());
    }
    let kept = keeper.0.lock().unwrap().len();
    let bytes = recordings(&spool).remove(&session).unwrap();
    Some((kept, events(&bytes)))
}

#[test]
fn a_session_that_somebody_ended_is_not_left_to_the_next_daemon() {
    let Some((kept, events)) = stopped(Some("enough")) else {
        return;
    };
    assert_eq!(end_of(&events).reason, "ended by root: enough");
    assert_eq!(kept, 0);
    let Some((kept, events)) = stopped(None) else {
        return;
    };
    assert!(!matches!(events.last().unwrap().body, Body::End(_)));
    assert_eq!(kept, 4);
}
