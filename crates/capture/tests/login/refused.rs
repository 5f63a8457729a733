//! Logins whose streams fail: what was written is on record, what is said and how it ends.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;

use hansard_core::Stream;

use crate::outer::full_pipe;
use crate::support::{end_of, stream, wait_for};
use crate::world::World;

/// More than is read at once, in one write.
const IN_ONE_WRITE: &str = "dd if=/dev/zero bs=100000 count=1 status=none";

/// A directory in which the user can say how far they are.
fn open_to_all(world: &World) -> PathBuf {
    let dir = world.daemon.dir.path().join("said");
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

#[test]
fn a_full_disk_is_said_and_is_no_success() {
    let Some(world) = World::new() else { return };
    let mut command = world.command(&["sh", "-c", IN_ONE_WRITE]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let done = command.stdin(Stdio::null()).stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(125), "{said}");
    let wanted = "standard output: No space left on device";
    assert!(said.contains(wanted), "{said}");
    let events = world.only();
    assert_eq!(stream(&events, Stream::Stdout).len(), 100_000);
    let end = end_of(&events);
    let reason = format!("exited; {wanted}");
    assert!(end.reason.starts_with(&reason), "{}", end.reason);
    assert_eq!(end.exit_status, Some(0), "that is the program's");
}

#[test]
fn what_waits_in_the_pipe_is_recorded_when_the_reader_or_the_login_goes() {
    for is_killed in [false, true] {
        let Some(world) = World::new() else { return };
        let done = open_to_all(&world).join("done");
        let script = format!("{IN_ONE_WRITE}; : > {}", done.display());
        let (reader, writer) = full_pipe();
        let mut command = world.command(&["sh", "-c", &script]);
        command.stdin(Stdio::null()).stdout(writer);
        let mut child = command.spawn().unwrap();
        drop(command);
        wait_for("the program's end", || done.exists());
        if is_killed {
            child.kill().unwrap();
        } else {
            drop(reader);
        }
        let status = child.wait().unwrap();
        assert_eq!(status.code(), (!is_killed).then_some(0));
        world.wait_for_end();
        let kept = stream(&world.only(), Stream::Stdout);
        assert_eq!(kept.len(), 100_000, "killed: {is_killed}");
    }
}

#[test]
fn a_terminal_that_goes_away_leaves_what_was_written_on_record() {
    let Some(world) = World::new() else { return };
    let dir = open_to_all(&world);
    let [ready, done] = ["ready", "done"].map(|name| dir.join(name));
    // The first byte is what the login holds when nobody takes it; a terminal has room for the rest.
    let script = format!(
        "stty -echo -opost; : > {}; read go; printf .; sleep 0.5; \
         dd if=/dev/zero bs=6000 count=1 status=none; : > {}",
        ready.display(),
        done.display()
    );
    let mut screen = world.login_as(&[], &["sh", "-c", &script]);
    wait_for("the program", || ready.exists());
    screen.fill();
    screen.type_in(b"\r");
    wait_for("the program's end", || done.exists());
    screen.hang_up();
    world.wait_for_end();
    assert_eq!(stream(&world.only(), Stream::Output).len(), 6001);
}

#[test]
fn input_that_cannot_be_read_is_not_taken_for_its_end() {
    let Some(world) = World::new() else { return };
    // A directory: the program hears it itself.
    let mut command = world.command(&["sh", "-c", "cat"]);
    let done = command.stdin(File::open("/").unwrap()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("Is a directory"), "{said}");
    world.wait_for_end();

    // Whoever leaves what was sent to them unread resets the connection.
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"unread").unwrap();
    ours.write_all(b"half").unwrap();
    drop(ours);
    let mut command = world.command(&["sh", "-c", "cat"]);
    let done = command.stdin(OwnedFd::from(theirs)).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(
        (done.status.code(), &*done.stdout),
        (Some(125), &b"half"[..])
    );
    assert!(said.contains("standard input: Connection reset"), "{said}");
}
