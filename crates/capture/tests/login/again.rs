//! What a login hears from a daemon that holds it after another.

use std::io::{BufReader, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use hansard_record::handoff::descriptors::send_with;
use hansard_record::handoff::{
    FromClient, FromDaemon, Granted, Incoming, MESSAGE_BYTES_MAX, OPEN_BYTES_MAX, read_message,
};

use crate::support::TempDir;
use crate::world::{UID, built, copy_program, is_root};

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
