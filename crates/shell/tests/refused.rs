//! Streams that fail: what was written is on record, what is said and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs
)]

mod outer;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use outer::{Outer, PATIENCE, Scratch, full_pipe, probe};

fn recorded(scratch: &Scratch, program: &[&str]) -> Command {
    let mut command = Command::new(probe());
    command.arg(scratch.path("log")).arg("--").args(program);
    command.stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "still not there: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// What the program is to leave in its pipe: more than is read at once, and in one write.
const IN_ONE_WRITE: &str = "dd if=/dev/zero bs=100000 count=1 status=none";

#[test]
fn a_full_disk_is_said_and_is_no_success() {
    for program in ["echo a", IN_ONE_WRITE] {
        let scratch = Scratch::new();
        let mut command = recorded(&scratch, &["sh", "-c", program]);
        let out = command.stdout(full()).output().unwrap();
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(125), "{said}");
        let wanted = "standard output: No space left on device";
        assert!(said.contains(wanted), "{said}");
        // All that was written is on record, also what was never read before the disk was full.
        let bare = Command::new("sh").args(["-c", program]).output().unwrap();
        assert!(scratch.stream("stdout") == bare.stdout, "{program}");
        let end = format!("end exited; {wanted}");
        assert!(scratch.log().lines().last().unwrap().starts_with(&end));
    }
    // Standard error is told apart; the program's own status does not hide it.
    let scratch = Scratch::new();
    let mut command = recorded(&scratch, &["sh", "-c", "echo b >&2; exit 3"]);
    let out = command.stderr(full()).output().unwrap();
    assert_eq!(out.status.code(), Some(125));
    assert_eq!(scratch.stream("stderr"), b"b\n");
    let log = scratch.log();
    assert!(
        log.contains("end exited; standard error: No space"),
        "{log}"
    );
}

#[test]
fn what_waits_in_the_pipe_when_the_reader_leaves_is_recorded() {
    let scratch = Scratch::new();
    let script = format!("{IN_ONE_WRITE}; : > {}", scratch.path("done").display());
    // Nothing is taken of what is written: it stands in the program's pipe until the reader leaves.
    let (reader, writer) = full_pipe();
    let mut command = recorded(&scratch, &["sh", "-c", &script]);
    let mut child = command
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(command);
    wait_for("the program's end", || scratch.path("done").exists());
    drop(reader);
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    // As in a pipeline without us: it had written all it had to write, and nothing is amiss.
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
    assert_eq!(scratch.stream("stdout").len(), 100_000);
}

#[test]
fn every_write_that_succeeded_is_recorded_when_the_reader_leaves() {
    // It counts what the system took from it, which is what it has produced.
    let script = "trap '' PIPE; n=0; while echo line $n 2>/dev/null; do n=$((n+1)); done; \
                  echo $n >&2";
    for _ in 0..20 {
        let scratch = Scratch::new();
        let mut command = recorded(&scratch, &["bash", "-c", script]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 6]).unwrap();
        drop(stdout);
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        assert!(status.success());
        let written: usize = text(&stderr).trim().parse().unwrap();
        let lines: String = (0..written).map(|n| format!("line {n}\n")).collect();
        let kept = text(&scratch.stream("stdout"));
        assert!(kept == lines, "{} of {written}", kept.lines().count());
    }
}

#[test]
fn a_socket_whose_reader_leaves_ends_the_writer_and_is_no_fault() {
    let scratch = Scratch::new();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut command = recorded(&scratch, &["yes"]);
    command.stdout(OwnedFd::from(theirs)).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    drop(command);
    ours.read_exact(&mut [0; 2]).unwrap();
    drop(ours);
    let out = child.wait_with_output().unwrap();
    assert_eq!(
        (out.status.code(), text(&out.stderr).as_str()),
        (Some(141), "")
    );
    assert!(scratch.log().ends_with("end signalled\n"));
}

#[test]
fn input_that_cannot_be_read_is_the_programs_to_find_out() {
    let run = |command: &mut Command, input: File| command.stdin(input).output().unwrap();
    let scratch = Scratch::new();
    let written = || File::create(scratch.path("input")).unwrap();
    let directory = || File::open("/").unwrap();
    for (input, again) in [(directory(), directory()), (written(), written())] {
        let bare = run(&mut Command::new("cat"), input);
        assert_eq!(bare.status.code(), Some(1));
        let out = run(&mut recorded(&scratch, &["cat"]), again);
        assert_eq!(out, bare);
    }
    // Whoever reads nothing has nothing to find out.
    let out = run(&mut recorded(&scratch, &["true"]), directory());
    assert_eq!((out.status.code(), out.stderr.len()), (Some(0), 0));
}

#[test]
fn input_that_fails_is_not_taken_for_its_end() {
    let scratch = Scratch::new();
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    // Whoever leaves what was sent to them unread resets the connection.
    theirs.write_all(b"unread").unwrap();
    ours.write_all(b"half").unwrap();
    drop(ours);
    let mut command = recorded(&scratch, &["cat"]);
    let out = command.stdin(OwnedFd::from(theirs)).output().unwrap();
    let said = text(&out.stderr);
    assert_eq!(out.stdout, b"half");
    assert_eq!(out.status.code(), Some(125), "{said}");
    assert!(said.contains("standard input: Connection reset"), "{said}");
    assert_eq!(scratch.stream("stdin"), b"half");
}

#[test]
fn a_terminal_that_goes_away_leaves_what_was_written_on_record() {
    let scratch = Scratch::new();
    let [ready, done] = ["ready", "done"].map(|name| scratch.path(name));
    let script = format!(
        "trap '' HUP; stty -echo -opost; : > {}; read go; \
         dd if=/dev/zero bs=15000 count=1 status=none; : > {}",
        ready.display(),
        done.display()
    );
    let log = scratch.path("log").into_os_string();
    let mut args = vec![probe().into_os_string(), log];
    args.extend(["--", "sh", "-c", &script].map(Into::into));
    let mut screen = Outer::with(scratch, args, |_| {});
    wait_for("the program", || ready.exists());
    screen.fill();
    screen.type_in(b"\r");
    wait_for("the program's end", || done.exists());
    screen.hang_up();
    wait_for("the recorder's end", || {
        screen.child.try_wait().unwrap().is_some()
    });
    assert_eq!(screen.scratch.stream("output").len(), 15_000);
}
