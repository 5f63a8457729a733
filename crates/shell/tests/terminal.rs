//! Real programs on a recorded terminal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs
)]

mod outer;

use std::time::{Duration, Instant};

use outer::{Outer, Scratch, lives, number_after, probe};
use rustix::process::Signal;

const BASH: [&str; 4] = ["bash", "--norc", "--noprofile", "-i"];

#[test]
fn exit_statuses_are_a_shells() {
    for (script, status) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
    ] {
        let mut outer = Outer::start(&[], &["sh", "-c", script]);
        assert_eq!(outer.wait(), status, "{script}");
        assert!(outer.is_restored(), "{script}");
    }
    let mut outer = Outer::start(&[], &["/nonexistent/program"]);
    assert_eq!(outer.wait(), 127);
    assert!(outer.is_restored());
    let mut outer = Outer::start(&[], &["/etc/passwd"]);
    assert_eq!(outer.wait(), 126);
}

#[test]
fn what_is_shown_is_what_is_recorded() {
    let script = "printf '\\033[31mred\\033[0m\\n'; printf '\\377\\000\\200'; seq 1 20000";
    let mut outer = Outer::start(&[], &["sh", "-c", script]);
    assert_eq!(outer.wait(), 0);
    let mut wanted = b"\x1b[31mred\x1b[0m\r\n\xff\x00\x80".to_vec();
    for n in 1..=20000 {
        wanted.extend_from_slice(format!("{n}\r\n").as_bytes());
    }
    assert_eq!(outer.seen, wanted);
    assert_eq!(outer.scratch.stream("output"), wanted);
    assert!(outer.scratch.log().starts_with("resize 80x24\n"));
    assert!(outer.scratch.log().ends_with("end exited\n"));
}

#[test]
fn the_program_has_a_controlling_terminal_of_its_own() {
    let script = "tty; ps -o tty=,sid=,pid= -p $$; echo to the terminal > /dev/tty; \
                  [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all";
    let mut outer = Outer::start(&[], &["sh", "-c", script]);
    assert_eq!(outer.wait(), 0);
    let text = outer.text();
    let own = rustix::termios::ttyname(&outer.slave, Vec::new()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("/dev/pts/"), "{text}");
    assert_ne!(lines[0], own.to_str().unwrap());
    let ps: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(format!("/dev/{}", ps[0]), lines[0]);
    assert_eq!(ps[1], ps[2], "leads its session");
    assert_eq!(lines[2..], ["to the terminal", "all"]);
}

#[test]
fn no_descriptor_of_the_recorder_reaches_the_program() {
    // Whatever the test itself inherited is passed on, as it would be without a recorder.
    let script = "ls -1 /proc/self/fd";
    let bare = ["sh", "-c", script].map(Into::into).to_vec();
    let mut bare = Outer::with(Scratch::new(), bare, |_| {});
    assert_eq!(bare.wait(), 0);
    let mut outer = Outer::start(&["--keystrokes"], &["sh", "-c", script]);
    assert_eq!(outer.wait(), 0);
    assert_eq!(outer.text(), bare.text());
}

#[test]
fn job_control_works_inside() {
    let mut outer = Outer::start(&[], &BASH);
    outer.expect("ps1> ");
    // It says that it is there, and that it goes on: before that the terminal is the shell's, which heeds no key
    // to stop. One process without a child: a shell that stands in its vfork(2) cannot stop when its child has.
    outer.type_in(
        br#"perl -e '$|=1; $SIG{CONT}=sub{print "o"."n\n"}; print "the"."re\n"; sleep 1 while 1'"#,
    );
    outer.type_in(b"\r");
    outer.expect("there\r\n");
    outer.type_in(b"\x1a");
    outer.expect("Stopped");
    outer.expect("ps1> ");
    outer.type_in(b"jobs; fg\r");
    outer.expect("Stopped");
    outer.expect("on\r\n");
    outer.type_in(b"\x03");
    outer.expect("ps1> ");
    outer.type_in(b"echo status $?\r");
    outer.expect("status 130");
    outer.type_in(b"exit 5\r");
    assert_eq!(outer.wait(), 5);
    assert!(outer.is_restored());
    assert_eq!(outer.scratch.stream("output"), outer.seen);
    assert_eq!(outer.scratch.stream("keystrokes"), b"");
}

#[test]
fn an_end_of_file_key_ends_the_shell() {
    let mut outer = Outer::start(&[], &["sh", "-c", "cat; echo after"]);
    outer.until("raw", Outer::is_raw);
    outer.type_in(b"line\r\x04");
    assert_eq!(outer.wait(), 0);
    assert!(
        outer.text().ends_with("line\r\nline\r\nafter\r\n"),
        "{}",
        outer.text()
    );
}

#[test]
fn the_window_size_follows() {
    let script = "trap 'echo told' WINCH; while :; do stty size; sleep 0.05; done";
    let mut outer = Outer::start(&[], &["bash", "-c", script]);
    outer.expect("24 80");
    outer.resize(101, 33);
    outer.expect("told");
    outer.expect("33 101");
    outer.resize(1, 1);
    outer.expect("1 1");
    outer.resize(65535, 65535);
    outer.expect("65535 65535");
    outer.signal(Signal::TERM);
    outer.wait();
    let log = outer.scratch.log();
    let sizes: Vec<&str> = log
        .lines()
        .filter(|line| line.starts_with("resize"))
        .collect();
    assert_eq!(
        sizes,
        [
            "resize 80x24",
            "resize 101x33",
            "resize 1x1",
            "resize 65535x65535"
        ]
    );
}

#[test]
fn a_flood_of_sizes_is_survived() {
    let mut outer = Outer::start(&[], &["cat"]);
    outer.until("raw", Outer::is_raw);
    for n in 0..100_000_u32 {
        outer.resize((n % 500) as u16 + 1, 24);
    }
    outer.resize(123, 45);
    outer.until("last size", |outer| {
        outer.scratch.log().contains("resize 123x45")
    });
    outer.type_in(b"\x04");
    assert_eq!(outer.wait(), 0);
}

#[test]
fn an_editor_works() {
    let scratch = Scratch::new();
    let file = scratch.path("text");
    let mut outer = Outer::start(&[], &["vi", "-u", "NONE", file.to_str().unwrap()]);
    outer.expect("text");
    outer.type_in(b"ihello from vi\x1b");
    outer.expect("hello from vi");
    outer.resize(60, 20);
    outer.type_in(b":wq\r");
    assert_eq!(outer.wait(), 0);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "hello from vi\n");
    assert!(outer.is_restored());
    assert_eq!(outer.scratch.stream("output"), outer.seen);
}

#[test]
fn signals_to_the_recorder_end_the_session_and_restore_the_terminal() {
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
    ] {
        // An interactive shell ignores most of them.
        let mut outer = Outer::start(&[], &BASH);
        outer.expect("ps1> ");
        assert!(outer.is_raw());
        outer.type_in(b"echo pid=$$.\r");
        outer.expect("pid=$$.");
        outer.expect("ps1> ");
        let shell = number_after(outer.text().split_once("$$.").unwrap().1, "pid=");
        outer.signal(signal);
        let status = outer.wait();
        assert!(status > 128 || status == 0, "SIG{name}: {status}");
        assert!(outer.is_restored(), "SIG{name}");
        assert!(!lives(shell), "SIG{name}");
        assert!(
            outer
                .scratch
                .log()
                .contains(&format!("end recorder ended by SIG{name}"))
        );
    }
}

#[test]
fn a_program_that_ignores_every_signal_is_killed() {
    let script = "trap '' TERM HUP INT; echo ready; while :; do sleep 0.1; done";
    let mut outer = Outer::start(&[], &["bash", "-c", script]);
    outer.expect("ready");
    outer.signal(Signal::TERM);
    assert_eq!(outer.wait(), 137);
    assert!(outer.is_restored());
}

#[test]
fn a_panic_an_abort_and_a_lost_record_restore_the_terminal() {
    for (flag, status) in [
        ("--panic-after", 101),
        ("--abort-after", 134),
        ("--lose-after", 125),
    ] {
        let script = "echo first; sleep 0.2; while :; do echo more; sleep 0.01; done";
        let mut outer = Outer::start(&[flag, "100"], &["sh", "-c", script]);
        assert_eq!(outer.wait(), status, "{flag}");
        assert!(outer.is_restored(), "{flag}");
        assert!(outer.text().starts_with("first\r\n"));
    }
}

#[test]
fn after_a_lost_record_nothing_is_shown_and_the_program_is_ended() {
    let script = "trap '' HUP; echo pid=$$.; sleep 0.3; while :; do echo unrecorded; done";
    let mut outer = Outer::start(&["--lose-after", "5000"], &["bash", "-c", script]);
    let began = Instant::now();
    assert_eq!(outer.wait(), 125);
    assert!(began.elapsed() > Duration::from_secs(1), "it had its grace");
    assert!(!lives(number_after(&outer.text(), "pid=")));
    let shown = outer.text();
    assert!(
        shown.ends_with("cannot be recorded: told to lose\r\n"),
        "{shown}"
    );
    let recorded = String::from_utf8(outer.scratch.stream("output")).unwrap();
    assert!(
        shown.starts_with(&recorded),
        "everything recorded was shown"
    );
    assert!(
        shown.len() - recorded.len() < 200,
        "and nothing else: {}",
        shown.len()
    );
}

#[test]
fn the_terminals_end_hangs_the_program_up() {
    let mut outer = Outer::start(&[], &["bash", "-c", "echo pid=$$.; sleep 1000"]);
    outer.expect("pid=");
    outer.expect(".");
    let pid = number_after(&outer.text(), "pid=");
    assert!(lives(pid));
    // Closing the master is what a terminal window does when it closes.
    let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::CLOEXEC;
    outer.master = rustix::pty::openpt(flags).unwrap();
    let deadline = Instant::now() + outer::PATIENCE;
    while outer.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the recorder does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!lives(pid));
    assert!(
        outer.scratch.log().ends_with("end hangup\n"),
        "{}",
        outer.scratch.log()
    );
}

#[test]
fn killing_the_recorder_hangs_the_program_up() {
    let mut outer = Outer::start(&[], &["bash", "-c", "echo pid=$$.; sleep 1000"]);
    outer.expect("pid=");
    outer.expect(".");
    let pid = number_after(&outer.text(), "pid=");
    outer.signal(Signal::KILL);
    assert_eq!(outer.wait(), 137);
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
fn a_background_process_that_holds_the_terminal_does_not_hold_the_session() {
    for program in ["sleep 1000", "while :; do echo noise; done"] {
        let script = format!("trap '' HUP; ({program}) & echo pid=$!.; echo last");
        let mut outer = Outer::start(&[], &["bash", "-c", &script]);
        assert_eq!(outer.wait(), 0, "{program}");
        let text = outer.text();
        assert!(text.contains("last\r\n"), "{program}: {text}");
        let pid = rustix::process::Pid::from_raw(number_after(&text, "pid=")).unwrap();
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

#[test]
fn all_that_was_written_before_the_end_is_shown() {
    for run in 0..50 {
        let mut outer = Outer::start(&[], &["sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x"]);
        assert_eq!(outer.wait(), 0);
        assert_eq!(outer.seen.len(), 100_000, "run {run}");
        assert_eq!(outer.scratch.stream("output").len(), 100_000, "run {run}");
    }
}

#[test]
fn strict_mode_shows_nothing_before_it_is_durable() {
    let mut outer = Outer::start(
        &["--strict"],
        &["sh", "-c", "echo one; sleep 0.2; echo two"],
    );
    assert_eq!(outer.wait(), 0);
    let log = outer.scratch.log();
    let mut lines = log.lines().skip_while(|line| !line.starts_with("output"));
    while let Some(line) = lines.next() {
        if line.starts_with("output") {
            assert_eq!(lines.next(), Some("flush"), "{log}");
        }
    }
}

#[test]
fn output_that_is_not_kept_is_shown_and_not_recorded() {
    let mut outer = Outer::start(&["--no-stdout"], &["echo", "unkept"]);
    assert_eq!(outer.wait(), 0);
    assert_eq!(outer.text(), "unkept\r\n");
    assert_eq!(outer.scratch.log(), "resize 80x24\nend exited\n");
}

#[test]
fn standard_error_in_a_file_stays_apart() {
    let scratch = Scratch::new();
    let errors = scratch.path("errors");
    let file = std::fs::File::create(&errors).unwrap();
    let mut args = vec![
        probe().into_os_string(),
        scratch.path("log").into_os_string(),
    ];
    args.extend(["--", "sh", "-c", "echo out; echo err >&2"].map(Into::into));
    let mut outer = Outer::with(scratch, args, |command| {
        command.stderr(file);
    });
    assert_eq!(outer.wait(), 0);
    assert_eq!(outer.text(), "out\r\n");
    assert_eq!(std::fs::read_to_string(errors).unwrap(), "err\n");
    assert_eq!(outer.scratch.stream("stderr"), b"err\n");
}

#[test]
fn the_recorder_is_stopped_and_continued_by_the_shell_around_it() {
    let scratch = Scratch::new();
    let mut outer = Outer::with(scratch, BASH.map(Into::into).to_vec(), |_| {});
    outer.expect("ps1> ");
    let line = format!(
        "{} {} -- sh -c 'echo inside; cat'\r",
        probe().display(),
        outer.scratch.path("log").display()
    );
    outer.type_in(line.as_bytes());
    outer.expect("inside\r\n");
    outer.until("raw", Outer::is_raw);
    let children = format!("/proc/{0}/task/{0}/children", outer.child.id());
    let recorder: i32 = std::fs::read_to_string(children)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let recorder = rustix::process::Pid::from_raw(recorder).unwrap();
    for signal in [Signal::TSTP, Signal::STOP] {
        rustix::process::kill_process(recorder, signal).unwrap();
        outer.expect("Stopped");
        outer.expect("ps1> ");
        outer.type_in(b"echo out$((1+1))side\r");
        outer.expect("out2side");
        outer.expect("ps1> ");
        outer.type_in(b"fg\r");
        outer.expect("cat'\r\n");
        outer.until("raw again", Outer::is_raw);
        outer.type_in(b"still here\r");
        outer.expect("still here\r\nstill here\r\n");
    }
    outer.type_in(b"\x04");
    outer.expect("ps1> ");
    outer.type_in(b"exit 9\r");
    assert_eq!(outer.wait(), 9);
}

#[test]
fn limits_hit_neither_the_recorder_nor_go_missing_for_the_program() {
    let scratch = Scratch::new();
    let line = format!(
        "ulimit -S -f 8; ulimit -S -n 20; exec {} {} -- sh -c 'ulimit -S -f; ulimit -S -n; seq 1 20000'",
        probe().display(),
        scratch.path("log").display()
    );
    let mut outer = Outer::with(
        scratch,
        ["bash", "-c", &line].map(Into::into).to_vec(),
        |_| {},
    );
    assert_eq!(outer.wait(), 0);
    assert!(
        outer.text().starts_with("16\r\n20\r\n1\r\n"),
        "{}",
        &outer.text()[..20]
    );
    assert!(outer.text().ends_with("20000\r\n"));
    assert_eq!(outer.scratch.stream("output"), outer.seen);
}

#[test]
fn signals_held_back_or_ignored_before_are_so_for_the_program_only() {
    let scratch = Scratch::new();
    let line = format!(
        "exec env --block-signal=CHLD,TERM,WINCH --ignore-signal=USR1,HUP {} {} -- \
         grep -E 'SigBlk|SigIgn' /proc/self/status",
        probe().display(),
        scratch.path("log").display()
    );
    let mut outer = Outer::with(
        scratch,
        ["bash", "-c", &line].map(Into::into).to_vec(),
        |_| {},
    );
    assert_eq!(outer.wait(), 0, "{}", outer.text());
    let text = outer.text();
    let mask = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        u64::from_str_radix(line.rsplit('\t').next().unwrap().trim(), 16).unwrap()
    };
    let bit = |signal: Signal| 1_u64 << (signal.as_raw() - 1);
    assert_eq!(
        mask("SigBlk"),
        bit(Signal::CHILD) | bit(Signal::TERM) | bit(Signal::WINCH),
        "{text}"
    );
    assert_eq!(
        mask("SigIgn") & bit(Signal::HUP),
        bit(Signal::HUP),
        "{text}"
    );
    assert_eq!(mask("SigIgn") & bit(Signal::XFSZ), 0, "{text}");
    assert_eq!(mask("SigIgn") & bit(Signal::PIPE), 0, "{text}");
}

#[test]
fn a_large_paste_arrives_whole() {
    let paste: Vec<u8> = (0..300_000_u64)
        .map(|n| b'a' + (n * n / 7 % 26) as u8)
        .collect();
    let mut cksum = std::process::Command::new("cksum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut cksum.stdin.take().unwrap(), &paste).unwrap();
    let wanted = String::from_utf8(cksum.wait_with_output().unwrap().stdout).unwrap();
    // Shown by the terminal, and by nobody.
    for (echo, recorded) in [("echo", paste.as_slice()), ("-echo", b"")] {
        let script =
            format!("stty raw {echo}; echo go; sleep 0.5; head -c 300000 | cksum; stty -raw echo");
        let mut outer = Outer::start(&["--keystrokes"], &["sh", "-c", &script]);
        outer.expect("go");
        for piece in paste.chunks(1000) {
            outer.type_in(piece);
            while outer.read(Duration::ZERO) {}
        }
        assert_eq!(outer.wait(), 0);
        assert!(outer.text().contains(wanted.trim()), "{echo}");
        let kept = outer.scratch.stream("keystrokes");
        assert!(kept == recorded, "{echo}: {} bytes", kept.len());
    }
}
