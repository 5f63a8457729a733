//! `ssh host command` behind a real `sshd`: status, signals, streams, and what is left running.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::outer::lives;
use crate::place::{ANNA, CARL, Place, must, wait_for};

#[test]
fn status_signal_and_streams_are_the_commands_own() {
    let Some(place) = Place::new("login-status") else {
        return;
    };
    let done = place
        .ssh(&[], &["echo out; echo err >&2; exit 7"])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(7));
    assert_eq!(
        (done.stdout, done.stderr),
        (b"out\n".to_vec(), b"err\n".to_vec())
    );
    // ssh(1) says 255 of a program that a signal killed, and so it does here; without the recorder
    // it is the same.
    let done = place.ssh(&[], &["kill -KILL $$"]).output().unwrap();
    assert_eq!(done.status.code(), Some(255));
    let rows = place.sessions(2);
    assert_eq!(rows[0]["login"].as_str().unwrap_or(ANNA), ANNA);
    assert!(place.events(&rows[1]).contains("KILL"));
    let verified = place.hansard(&["verify", rows[0]["sid"].as_str().unwrap()]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}

#[test]
fn a_login_on_a_terminal_is_one_and_is_recorded() {
    let Some(place) = Place::new("login-terminal") else {
        return;
    };
    let mut screen = place.on_terminal(&place.ssh(&["-tt"], &[]));
    screen.expect("hansard-anna> ");
    screen.type_in(b"tty; stty size; echo $0 $SHELL; who am i | wc -l\r");
    screen.expect("/dev/pts/");
    screen.expect("24 80");
    screen.expect("-bash /bin/bash");
    screen.resize(100, 30);
    screen.type_in(b"until stty size | grep 30; do sleep 0.1; done\r");
    screen.expect("30 100");
    screen.expect("hansard-anna> ");
    // An interrupt drops what is typed ahead: it waits until the program is there.
    screen.type_in(b"sh -c 'echo started; exec sleep 600'\r");
    screen.expect("started\r");
    screen.type_in(b"\x03");
    screen.expect("hansard-anna> ");
    screen.type_in(b"exit 5\r");
    assert_eq!(screen.wait(), 5);
    let rows = place.sessions(1);
    assert_eq!(rows[0]["kind"], "terminal");
    let events = place.events(&rows[0]);
    assert!(events.contains("-bash /bin/bash"), "{events}");
}

#[test]
fn a_broken_connection_ends_the_session() {
    let Some(place) = Place::new("login-broken") else {
        return;
    };
    let mut command = place.ssh(&["-tt"], &["echo pid=$$.; exec sleep 600"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut out = child.stdout.take().unwrap();
    while !said.contains('.') {
        let mut byte = [0];
        out.read_exact(&mut byte).unwrap();
        said.push(char::from(byte[0]));
    }
    let pid = crate::outer::number_after(&said, "pid=");
    assert!(lives(pid));
    child.kill().unwrap();
    child.wait().unwrap();
    place.sessions(1);
    // The hangup is sent; that it has been heard may be a moment later.
    wait_for("end of the command", || !lives(pid));
}

/// `ssh host < /dev/null &` and `ssh -n`, which hung with tlog; and half of a connection closed.
#[test]
fn an_end_of_input_hangs_nothing() {
    let Some(place) = Place::new("login-eof") else {
        return;
    };
    let done = must(&mut place.ssh(&["-n"], &["cat; echo after"]));
    assert_eq!(done.stdout, b"after\n");
    // Nobody reads what is typed, and nobody ends it: the command's end is the end.
    let mut open = place.ssh(&[], &["echo done"]);
    let mut open = open
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    open.stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(said, "done\n");
    assert!(open.wait().unwrap().success());
    // A shell that is fed its script.
    let mut shell = place.ssh(&["-T"], &[]);
    let mut shell = shell
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    stdin.write_all(b"echo first\necho $0\n").unwrap();
    drop(stdin);
    let said = shell.wait_with_output().unwrap();
    assert_eq!(said.stdout, b"first\n-bash\n");
    place.sessions(3);
}

#[test]
fn a_reader_that_goes_stops_the_writer() {
    let Some(place) = Place::new("login-yes") else {
        return;
    };
    let words: Vec<String> = place
        .ssh_options()
        .iter()
        .map(|word| format!("'{word}'"))
        .collect();
    let script = format!("ssh {} {ANNA}@desk yes | head -n 3", words.join(" "));
    let done = must(Command::new("sh").args(["-c", &script]));
    assert_eq!(done.stdout, b"y\ny\ny\n");
    place.sessions(1);
}

/// An ordinary account that `sshd` makes go through the recorder: commands, logins and SFTP.
#[test]
fn a_forced_command_is_what_was_asked_for() {
    let Some(place) = Place::new("login-forced") else {
        return;
    };
    let ssh = |words: &[&str]| {
        let mut command = Command::new("ssh");
        command
            .args(place.ssh_options())
            .arg(format!("{CARL}@desk"));
        command.args(words).stdin(Stdio::null());
        command
    };
    let done = ssh(&["echo $0 \"a  b\"; exit 3"]).output().unwrap();
    assert_eq!(done.status.code(), Some(3));
    assert_eq!(done.stdout, b"/bin/bash a  b\n");
    let mut login = ssh(&[]);
    let mut login = login
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = login.stdin.take().unwrap();
    stdin.write_all(b"echo $0\n").unwrap();
    drop(stdin);
    assert_eq!(login.wait_with_output().unwrap().stdout, b"-bash\n");
    let mut sftp = Command::new("sftp");
    sftp.args(place.ssh_options())
        .args(["-q", "-b", "-"])
        .arg(format!("{CARL}@desk"));
    let done = crate::place::fed(&mut sftp, b"ls -a\n");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(String::from_utf8_lossy(&done.stdout).contains(".bash_profile"));
    let rows = place.sessions(3);
    assert!(place.events(&rows[0]).contains("a  b"));
}
