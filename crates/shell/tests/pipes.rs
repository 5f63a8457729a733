//! Real programs over recorded pipes: every byte, each stream apart, statuses as in a shell.
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
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use outer::{Outer, PATIENCE, Scratch, lives, number_after, probe};
use rustix::process::{Pid, Signal, kill_process};

/// A recorded `sh -c SCRIPT` as a command of a shell, `$REC` before what is recorded.
fn shell(scratch: &Scratch, script: &str) -> Output {
    let rec = format!("{} {} --", probe().display(), scratch.path("log").display());
    Command::new("bash")
        .args(["-c", script])
        .env("REC", rec)
        .output()
        .unwrap()
}

fn recorded(scratch: &Scratch) -> Command {
    let mut command = Command::new(probe());
    command.arg(scratch.path("log")).arg("--");
    command
}

/// Bytes without a pattern, the same for a seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

#[test]
fn streams_stay_apart() {
    let scratch = Scratch::new();
    let out = shell(
        &scratch,
        "printf 'in\\0put' | $REC sh -c 'cat; echo err >&2; exit 7'",
    );
    assert_eq!(out.status.code(), Some(7));
    assert_eq!(
        (out.stdout.as_slice(), out.stderr.as_slice()),
        (&b"in\0put"[..], &b"err\n"[..])
    );
    assert_eq!(scratch.stream("stdin"), b"in\0put");
    assert_eq!(scratch.stream("stdout"), b"in\0put");
    assert_eq!(scratch.stream("stderr"), b"err\n");
    assert_eq!(scratch.stream("output"), b"");
    assert!(!scratch.log().contains("resize"));
}

#[test]
fn two_hundred_times_five_megabytes_through_files_arrive_whole() {
    let scratch = Scratch::new();
    let bytes = noise(7, 5_000_000);
    std::fs::write(scratch.path("in"), &bytes).unwrap();
    for run in 0..200 {
        // What is recorded is compared now and then; it takes longer to write down than to copy.
        let compared = run % 50 == 0;
        let mut command = Command::new(probe());
        command.arg(scratch.path("log"));
        if !compared {
            command.arg("--lean");
        }
        let status = command
            .args(["--", "cat"])
            .stdin(File::open(scratch.path("in")).unwrap())
            .stdout(File::create(scratch.path("out")).unwrap())
            .status()
            .unwrap();
        assert!(status.success());
        let out = std::fs::read(scratch.path("out")).unwrap();
        assert!(out == bytes, "run {run}: {} bytes", out.len());
        if compared {
            assert!(scratch.stream("stdin") == bytes && scratch.stream("stdout") == bytes);
        }
    }
}

#[test]
fn any_bytes_pass_both_ways_at_any_pace() {
    for run in 0..200_u64 {
        let scratch = Scratch::new();
        let bytes = noise(run + 1, (run * run * 37 % 400_000) as usize);
        let mut child = recorded(&scratch)
            .args(["sh", "-c", "tee /dev/stderr"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let to_write = bytes.clone();
        let writer = std::thread::spawn(move || {
            for piece in to_write.chunks(1 + (run as usize * 997) % 70_000) {
                stdin.write_all(piece).unwrap();
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let mut out = Vec::new();
        let mut stdout = child.stdout.take().unwrap();
        let mut piece = vec![0; 1 + (run as usize * 1013) % 50_000];
        loop {
            match stdout.read(&mut piece).unwrap() {
                0 => break,
                n => out.extend_from_slice(&piece[..n]),
            }
            if run % 10 == 0 {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        writer.join().unwrap();
        assert!(out == bytes, "run {run}: {} of {}", out.len(), bytes.len());
        assert!(errors.join().unwrap() == bytes, "run {run}");
        assert!(child.wait().unwrap().success());
        for stream in ["stdin", "stdout", "stderr"] {
            assert!(
                scratch.stream(stream) == bytes,
                "run {run}: recorded {stream}"
            );
        }
    }
}

#[test]
fn a_reader_that_leaves_ends_the_writer() {
    let scratch = Scratch::new();
    let out = shell(&scratch, "$REC yes | head -1; echo ${PIPESTATUS[@]}");
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "y\n141 0\n");
    let out = shell(&scratch, "$REC sh -c 'yes; echo status $? >&2' | head -1");
    assert_eq!(String::from_utf8(out.stderr).unwrap(), "status 141\n");
    // Standard error of a program goes on after its standard output was refused.
    let out = shell(
        &scratch,
        "$REC bash -c 'trap \"\" PIPE; yes; echo still >&2' | head -1",
    );
    assert!(String::from_utf8(out.stderr).unwrap().ends_with("still\n"));
}

#[test]
fn a_program_that_stops_reading_does_not_hang() {
    let scratch = Scratch::new();
    let out = shell(&scratch, "yes | $REC head -1; echo ${PIPESTATUS[@]}");
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "y\n141 0\n");
    // Input that nobody wants is left to whoever reads it next.
    let out = shell(&scratch, "(sleep 0.5; echo later) | ($REC true; cat)");
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "later\n");
    let out = shell(
        &scratch,
        "(sleep 1; echo later) | ($REC sh -c 'exec <&-; sleep 2'; cat)",
    );
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "later\n");
}

#[test]
fn no_input_is_the_end_of_input() {
    let scratch = Scratch::new();
    for input in ["</dev/null", "<&-"] {
        let out = shell(&scratch, &format!("$REC sh -c 'cat; echo done' {input}"));
        assert_eq!(String::from_utf8(out.stdout).unwrap(), "done\n", "{input}");
    }
    let out = shell(&scratch, "$REC sh -c 'echo lost; exit 4' >&- 2>&-; echo $?");
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "4\n");
    assert_eq!(scratch.stream("stdout"), b"lost\n");
    let out = shell(
        &scratch,
        // More than its pipe holds and is still recorded once nobody takes it.
        "$REC sh -c 'seq 1 1000000; echo status $? >&2' > /dev/full",
    );
    let errors = String::from_utf8(out.stderr).unwrap();
    assert!(errors.contains("status 141\n"), "{errors}");
    assert_eq!(out.status.code(), Some(125), "{errors}");
}

#[test]
fn exit_statuses_are_a_shells() {
    let scratch = Scratch::new();
    for (script, status) in [("exit 0", 0), ("exit 200", 200), ("kill -SEGV $$", 139)] {
        let out = recorded(&scratch)
            .args(["sh", "-c", script])
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(status), "{script}");
    }
    let out = recorded(&scratch).arg("/nonexistent").output().unwrap();
    assert_eq!(out.status.code(), Some(127));
}

#[test]
fn a_background_job_is_waited_for_and_a_daemon_is_not() {
    let scratch = Scratch::new();
    let began = Instant::now();
    let out = shell(
        &scratch,
        "$REC sh -c '(sleep 1; echo late) & echo soon' | cat",
    );
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "soon\nlate\n");
    assert!(began.elapsed() >= Duration::from_secs(1));

    let noise = "sh -c \"while :; do echo noise; done\"";
    // One that is slower than the noise: what is there at the end waits for it, and nothing else.
    let slow = "while IFS= read -r line; do echo \"$line\"; done";
    for (daemon, reader) in [("sleep 1000", "cat"), (noise, "cat"), (noise, slow)] {
        let began = Instant::now();
        let script = format!(
            "$REC sh -c 'setsid {daemon} & echo pid=$!.; seq 1 10000; echo last' | {reader}"
        );
        let out = shell(&scratch, &script);
        let text = String::from_utf8(out.stdout).unwrap();
        let kept: String = text
            .lines()
            .filter(|l| *l != "noise")
            .map(|l| l.to_owned() + "\n")
            .collect();
        let tail = kept
            .get(kept.len().saturating_sub(60)..)
            .unwrap_or_default();
        assert!(kept.ends_with("9999\n10000\nlast\n"), "{daemon}: {tail:?}");
        assert!(began.elapsed() < PATIENCE, "{daemon}");
        assert_eq!(scratch.stream("stdout"), text.as_bytes());
        // `setsid` forks when it leads a group already, so the daemon is found by its session.
        let _ = kill_process(
            Pid::from_raw(number_after(&text, "pid=")).unwrap(),
            Signal::KILL,
        );
    }
}

#[test]
fn signals_are_passed_on_and_decided_by_the_program() {
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
    ] {
        let scratch = Scratch::new();
        let script = format!(
            "trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.05; done"
        );
        let mut child = recorded(&scratch)
            .args(["bash", "-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut ready = [0; 6];
        stdout.read_exact(&mut ready).unwrap();
        kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, format!("got {name}\n"));
        assert_eq!(child.wait().unwrap().code(), Some(9));
    }
}

#[test]
fn a_killed_recorder_ends_the_program_at_its_next_write() {
    let scratch = Scratch::new();
    let mut child = recorded(&scratch)
        .args([
            "sh",
            "-c",
            "echo pid=$$.; while :; do echo more; sleep 0.05; done",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = [0; 12];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut text)
        .unwrap();
    let pid = number_after(&String::from_utf8_lossy(&text), "pid=");
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let deadline = Instant::now() + outer::PATIENCE;
    while lives(pid) {
        assert!(
            Instant::now() < deadline,
            "the program outlives its recorder"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_lost_record_ends_the_program() {
    let scratch = Scratch::new();
    let out = Command::new(probe())
        .arg(scratch.path("log"))
        .args(["--lose-after", "1000", "--", "bash", "-c"])
        .arg("trap '' HUP PIPE; while :; do echo more; sleep 0.01; done")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(125));
    assert!(
        out.stdout == scratch.stream("stdout"),
        "what is not recorded is not passed on"
    );
    assert!(String::from_utf8_lossy(&out.stderr).contains("cannot be recorded"));
}

#[test]
fn no_descriptor_of_the_recorder_reaches_the_program() {
    let script = "ls -1 /proc/self/fd";
    let scratch = Scratch::new();
    let bare = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let out = recorded(&scratch)
        .args(["sh", "-c", script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(out.stdout, bare.stdout);
}

#[test]
fn sockets_work_as_standard_streams() {
    let scratch = Scratch::new();
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let copy = std::os::fd::OwnedFd::from(theirs.try_clone().unwrap());
    let mut command = recorded(&scratch);
    command
        .arg("cat")
        .stdin(copy)
        .stdout(std::os::fd::OwnedFd::from(theirs));
    let mut child = command.spawn().unwrap();
    drop(command);
    let bytes = noise(3, 2_000_000);
    let (mut writer, to_write) = (ours.try_clone().unwrap(), bytes.clone());
    let writing = std::thread::spawn(move || {
        writer.write_all(&to_write).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut echoed = Vec::new();
    ours.read_to_end(&mut echoed).unwrap();
    writing.join().unwrap();
    assert!(echoed == bytes);
    assert!(child.wait().unwrap().success());
}

#[test]
fn flags_of_shared_descriptors_are_not_changed() {
    let scratch = Scratch::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let (from, to) = std::io::pipe().unwrap();
    drop(to);
    let status = recorded(&scratch)
        .arg("true")
        .stdin(from.try_clone().unwrap())
        .stdout(writer.try_clone().unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    for fd in [
        rustix::fs::fcntl_getfl(&writer).unwrap(),
        rustix::fs::fcntl_getfl(&from).unwrap(),
    ] {
        assert!(!fd.contains(rustix::fs::OFlags::NONBLOCK));
    }
    drop(reader);
}

#[test]
fn a_terminal_on_one_side_only_is_no_terminal_session() {
    // Output to a terminal, input from a pipe.
    let scratch = Scratch::new();
    let line = format!(
        "echo piped | {} {} -- sh -c 'cat; test -t 1 || echo no terminal'",
        probe().display(),
        scratch.path("log").display()
    );
    let mut outer = Outer::with(
        scratch,
        ["sh", "-c", &line].map(Into::into).to_vec(),
        |_| {},
    );
    assert_eq!(outer.wait(), 0);
    assert_eq!(outer.text(), "piped\r\nno terminal\r\n");
    assert_eq!(outer.scratch.stream("stdin"), b"piped\n");
    assert_eq!(outer.scratch.stream("stdout"), b"piped\nno terminal\n");

    // Input from a terminal, output to a pipe; keys are not kept, so the program has the terminal.
    let scratch = Scratch::new();
    let line = format!(
        "{} {} -- sh -c 'test -t 0 && read line && echo got $line' | cat",
        probe().display(),
        scratch.path("log").display()
    );
    let mut outer = Outer::with(
        scratch,
        ["sh", "-c", &line].map(Into::into).to_vec(),
        |_| {},
    );
    std::thread::sleep(Duration::from_millis(200));
    outer.type_in(b"typed\r");
    assert_eq!(outer.wait(), 0);
    assert_eq!(outer.text(), "typed\r\ngot typed\r\n");
    assert_eq!(outer.scratch.stream("stdin"), b"");
    assert_eq!(outer.scratch.stream("keystrokes"), b"");
}

#[test]
fn an_interrupt_key_reaches_the_program_once() {
    let scratch = Scratch::new();
    let line = format!(
        "trap '' INT; {} {} -- bash -c 'n=0; trap \"n=\\$((n+1))\" INT; echo ready; \
         until [ $n != 0 ]; do sleep 0.1; done; \
         for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done; echo interrupts $n' | cat",
        probe().display(),
        scratch.path("log").display()
    );
    // The shell ignores it only for itself: the recorded bash sets a trap, so it is not inherited
    // as ignored by a non-interactive shell's rule; hence the trap is set through python-free means.
    let line = line.replace("trap '' INT; ", "");
    let mut outer = Outer::with(
        scratch,
        ["bash", "-c", &line].map(Into::into).to_vec(),
        |_| {},
    );
    outer.expect("ready");
    outer.type_in(b"\x03");
    outer.until("the end is recorded", |outer| {
        outer.scratch.log().contains("\nend ")
    });
    outer.wait();
    let text = String::from_utf8(outer.scratch.stream("stdout")).unwrap();
    assert_eq!(text, "ready\ninterrupts 1\n");
}
