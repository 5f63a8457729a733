//! Logins without a terminal: commands, byte for byte, as if nobody were between.

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Output, Stdio};
use std::time::Instant;

use hansard_capture::local::THE_DAEMON_STOPS;
use hansard_core::Stream;

use crate::outer::PATIENCE;
use crate::support::{end_of, header, stream, wait_for};
use crate::world::World;

fn piped(world: &World, args: &[&str]) -> Child {
    let mut command = world.command(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn run(world: &World, args: &[&str], input: Vec<u8>) -> Output {
    let mut child = piped(world, args);
    let mut stdin = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || {
        // A program that does not read it all is no failure.
        let _ = stdin.write_all(&input);
    });
    let done = child.wait_with_output().unwrap();
    writing.join().unwrap();
    done
}

/// Bytes of every value, in no order that compresses.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut all = Vec::with_capacity(bytes);
    while all.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        all.extend_from_slice(&state.to_le_bytes());
    }
    all.truncate(bytes);
    all
}

#[test]
fn a_command_is_byte_for_byte_and_its_streams_are_apart() {
    let Some(world) = World::new() else { return };
    let input = noise(3_000_001);
    let script = "cat; printf 'to\\000stderr' >&2; exit 4";
    let done = run(&world, &["sh", "-c", script], input.clone());
    assert_eq!(done.status.code(), Some(4));
    assert!(done.stdout == input, "{} bytes", done.stdout.len());
    assert_eq!(done.stderr, b"to\0stderr");
    let events = world.only();
    let header = header(&events);
    assert_eq!(header.kind, "exec");
    assert_eq!(header.target.text("command"), Some(script));
    assert!(stream(&events, Stream::Stdin) == input);
    assert!(stream(&events, Stream::Stdout) == input);
    assert_eq!(stream(&events, Stream::Stderr), b"to\0stderr");
    assert_eq!(end_of(&events).exit_status, Some(4));
}

#[test]
fn short_commands_lose_nothing_in_two_hundred_runs() {
    let Some(world) = World::new() else { return };
    for n in 0..200 {
        let size = 1 + n * 997;
        let script = format!("head -c {size} /dev/zero | tr '\\000' x; echo end >&2");
        let done = run(&world, &["sh", "-c", &script], Vec::new());
        assert_eq!(done.stdout.len(), size, "run {n}");
        assert!(done.stdout.iter().all(|byte| *byte == b'x'));
        assert_eq!(done.stderr, b"end\n", "run {n}");
        assert!(done.status.success());
    }
}

#[test]
fn an_end_of_input_is_passed_on_and_so_is_a_reader_that_goes() {
    let Some(world) = World::new() else { return };
    // Both ways stay usable on their own: a word in, a word out, then the end.
    let mut child = piped(
        &world,
        &["sh", "-c", "read a; echo got $a; cat >/dev/null; echo eof"],
    );
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"word\n").unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut got = [0; 9];
    stdout.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"got word\n");
    drop(stdin);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "eof\n");
    assert!(child.wait().unwrap().success());

    // `yes | head`: whoever writes on hears that nobody reads.
    let script = "trap '' PIPE; while echo y; do :; done 2>/dev/null; echo over >&2; exit 9";
    let mut child = piped(&world, &["sh", "-c", script]);
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 4]).unwrap();
    drop(stdout);
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.stderr, b"over\n");
    assert_eq!(done.status.code(), Some(9));
}

#[test]
fn a_program_that_a_signal_kills_is_killed_for_its_parent_as_well() {
    let Some(world) = World::new() else { return };
    let done = run(&world, &["sh", "-c", "kill -SEGV $$"], Vec::new());
    assert_eq!(done.status.signal(), Some(11));
    assert!(!done.status.core_dumped());
    let events = world.only();
    assert_eq!(end_of(&events).signal.as_deref(), Some("SEGV"));
    // Also by the one that nobody can ask about.
    let done = run(&world, &["sh", "-c", "kill -KILL $$"], Vec::new());
    assert_eq!(done.status.signal(), Some(9));
}

#[test]
fn without_input_nothing_hangs() {
    let Some(world) = World::new() else { return };
    let since = Instant::now();
    // `ssh -n`: standard input is /dev/null, or closed altogether.
    let mut command = world.command(&["sh", "-c", "cat; echo done"]);
    let done = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(done.stdout, b"done\n");
    let words = world.words(&[], &["sh", "-c", "echo done"]);
    let done = std::process::Command::new("sh")
        .args(["-c", "exec \"$@\" <&- 2>&-", "sh"])
        .args(words)
        .output()
        .unwrap();
    assert_eq!(done.stdout, b"done\n");
    assert!(since.elapsed() < PATIENCE);
}

#[test]
fn a_background_job_writes_on_after_the_command_has_ended() {
    let Some(world) = World::new() else { return };
    let dir = world.daemon.dir.path();
    let fifo = dir.join("fifo");
    let made = std::process::Command::new("mkfifo")
        .args(["-m", "666"])
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());
    let script = format!(
        "(read x < {}; echo late $x) & echo early; exit 6",
        fifo.display()
    );
    let mut child = piped(&world, &["sh", "-c", &script]);
    drop(child.stdin.take());
    let status = child.wait().unwrap();
    assert_eq!(
        status.code(),
        Some(6),
        "the command's end is not waited with"
    );
    let session = world.running();
    std::fs::write(&fifo, "word\n").unwrap();
    let mut all = String::new();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut all).unwrap();
    assert_eq!(all, "early\nlate word\n");
    world.wait_for_end();
    let events = world.daemon.complete(session);
    assert_eq!(stream(&events, Stream::Stdout), all.as_bytes());
    assert_eq!(end_of(&events).exit_status, Some(6));
}

/// A command that has ended and left a job that holds its output.
fn left_job(world: &World) -> Child {
    let script = "trap '' HUP; sleep 600 & echo $!; exit 6";
    let mut child = piped(world, &["sh", "-c", script]);
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(6));
    child
}

/// Ends the job, which whoever is under test does not.
fn end_job(child: &mut Child) {
    let mut said = [0; 32];
    let n = child.stdout.as_mut().unwrap().read(&mut said).unwrap();
    let job = String::from_utf8_lossy(&said[..n]).trim().to_owned();
    let done = std::process::Command::new("kill").arg(job).status();
    assert!(done.unwrap().success());
}

#[test]
fn a_session_that_only_a_job_keeps_open_is_ended() {
    let Some(world) = World::new() else { return };
    let mut child = left_job(&world);
    let session = world.running();
    let registry = world.daemon.server.registry();
    registry.end(session, "enough", "root").unwrap();
    world.wait_for_end();
    let events = world.daemon.complete(session);
    assert_eq!(end_of(&events).reason, "ended by root: enough");
    assert_eq!(end_of(&events).exit_status, Some(6));
    end_job(&mut child);
}

#[test]
fn a_session_that_only_a_job_keeps_open_does_not_hold_up_the_daemons_stop() {
    let Some(world) = World::new() else { return };
    let mut child = left_job(&world);
    let session = world.running();
    let World { daemon, .. } = world;
    let spool = daemon.spool.clone();
    assert_eq!(daemon.server.stop(), 0);
    let bytes = crate::support::recordings(&spool).remove(&session);
    let events = crate::support::events(&bytes.unwrap());
    assert_eq!(end_of(&events).reason, THE_DAEMON_STOPS);
    end_job(&mut child);
}

#[test]
fn several_commands_at_a_time_are_several_sessions() {
    let Some(world) = World::new() else { return };
    let mut all: Vec<Child> = (0..8)
        .map(|n| piped(&world, &["sh", "-c", &format!("cat; exit {n}")]))
        .collect();
    let registry = world.daemon.server.registry();
    wait_for("all", || registry.list().len() == 8);
    for (n, child) in all.iter_mut().enumerate() {
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(n as i32));
    }
    world.wait_for_end();
    let recordings = crate::support::recordings(&world.daemon.spool);
    assert_eq!(recordings.len(), 8);
}
