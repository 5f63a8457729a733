//! What Debian's `tlog-rec` wrote into a real journal: played, followed, printed and converted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

mod terminal;

use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use hansard_tests::{Journald, Scratch, hansard, skipped};
use terminal::on_terminal;

/// Its entries. Not by `_COMM`, which an entry lacks whose writer ended before journald looked.
const WRITER: &str = "SYSLOG_IDENTIFIER=tlog-rec";

/// `tlog-rec` in a mount namespace where this journal is the machine's.
fn tlog_rec(journal: &Journald, script: &str) {
    let sockets = journal.runtime();
    let inside = format!(
        "mkdir -p /run/systemd/journal && mount --bind {} /run/systemd/journal && \
         exec tlog-rec --writer=journal --payload=64 --latency=1 -- sh -c '{script}'",
        sockets.display()
    );
    let done = Command::new("unshare")
        .args(["--mount", "sh", "-c", &inside])
        .env("TERM", "xterm")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
}

fn tlog() -> bool {
    let there = Path::new("/usr/bin/tlog-rec").exists();
    if !there {
        skipped("tlog-rec is missing: scripts/needs.sh test");
    }
    there
}

fn read(journal: &Journald, words: &[&str]) -> Output {
    let namespace = format!("--journal-namespace={}", journal.name());
    let (command, words) = words.split_first().unwrap();
    Command::new(hansard())
        .args([command, "--reader=journal", &namespace])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A field of every recording's first message, oldest first.
fn recordings(journal: &Journald) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for entry in journal.entries(&[WRITER]) {
        let entry: serde_json::Value = serde_json::from_str(&entry).unwrap();
        let rec = entry["TLOG_REC"].as_str().unwrap().to_owned();
        if !names.contains(&rec) {
            names.push(rec);
        }
    }
    names
}

#[test]
fn what_tlog_wrote_into_the_journal_is_read() {
    let Some(journal) = Journald::start() else {
        return;
    };
    if !tlog() {
        return;
    }
    let long = "word word word word word word word word word word word word word word";
    tlog_rec(
        &journal,
        &format!("echo first {long}; printf \"\\\\377é\\\\n\""),
    );
    tlog_rec(&journal, "echo second");
    let first = format!("first {long}\n").into_bytes();
    let first: Vec<u8> = [first.as_slice(), &[0xff], "é\n".as_bytes()].concat();
    let _ = journal.wait_for(&[WRITER], 3);

    let shown = read(&journal, &["cat"]);
    assert!(shown.status.success());
    assert_eq!(shown.stdout, first);
    let said = String::from_utf8_lossy(&shown.stderr);
    let names = recordings(&journal);
    assert_eq!(names.len(), 2);
    assert!(
        said.contains(&format!(
            "other recordings of the file are left: {}",
            names[1]
        )),
        "{said}"
    );

    assert_eq!(text(&read(&journal, &["cat", &names[1]])), "second\n");
    let matched = format!("TLOG_REC={}", names[1]);
    assert_eq!(text(&read(&journal, &["cat", "-M", &matched])), "second\n");
    assert_eq!(
        text(&read(&journal, &["cat", "--rec", &names[1]])),
        "second\n"
    );
    assert!(text(&read(&journal, &["info", &names[1]])).contains("root"));

    let scratch = Scratch::new("journal-reader");
    let out = scratch.join("out.tlog");
    let out = out.to_str().unwrap();
    text(&read(&journal, &["convert", "--to=tlog", "journal", out]));
    let played = Command::new(hansard()).args(["cat", out]).output().unwrap();
    assert_eq!(played.stdout, first);

    let none = read(&journal, &["cat", "-M", "TLOG_USER=nobody"]);
    assert_eq!(none.status.code(), Some(2));
    let wrong = read(&journal, &["cat", "-S", "no time at all"]);
    assert_eq!(wrong.status.code(), Some(2));
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(said.contains("Failed to parse timestamp"), "{said}");
}

#[test]
fn play_from_the_journal() {
    let Some(journal) = Journald::start() else {
        return;
    };
    if !tlog() {
        return;
    }
    tlog_rec(&journal, "echo one; echo two");
    let _ = journal.wait_for(&[WRITER], 1);
    let namespace = format!("-N{}", journal.name());
    let play = [
        hansard().to_str().unwrap(),
        "play",
        "--reader=journal",
        &namespace,
    ];
    let shown = on_terminal(&play, &[("two", "", None), ("end", "q", None)]);
    assert!(shown.status.success(), "{}", shown.stderr.escape_ascii());
}

/// A message of tlog of the recording `a-b-c`.
fn message(id: u64, pos_ms: u64, shown: &str) -> String {
    let count = shown.chars().count();
    format!(
        "{{\"ver\":\"2.3\",\"host\":\"h\",\"rec\":\"a-b-c\",\"user\":\"anna\",\"term\":\"xterm\",\
         \"session\":5,\"id\":{id},\"pos\":{pos_ms},\"time\":1795213487.155,\
         \"timing\":\"=80x24>{count}\",\"in_txt\":\"\",\"in_bin\":[],\"out_txt\":\"{shown}\",\
         \"out_bin\":[]}}"
    )
}

#[test]
fn following_shows_what_comes_later() {
    let Some(journal) = Journald::start() else {
        return;
    };
    let socket = UnixDatagram::unbound().unwrap();
    let send = |id, shown| {
        let entry = format!("MESSAGE={}\nTLOG_REC=a-b-c\n", message(id, id * 10, shown));
        socket.send_to(entry.as_bytes(), journal.socket()).unwrap();
    };
    send(1, "early");
    let _ = journal.wait_for(&["TLOG_REC=a-b-c"], 1);
    let namespace = format!("-N{}", journal.name());
    let play = ["play", "--follow", "--reader=journal", &namespace, "a-b-c"];
    let play: Vec<&str> = [hansard().to_str().unwrap()]
        .into_iter()
        .chain(play)
        .collect();
    thread::scope(|scope| {
        let playing = scope.spawn(|| {
            let steps = [
                ("early", "", None),
                ("later", "", None),
                ("last", "q", None),
            ];
            on_terminal(&play, &steps)
        });
        // Whenever these come, before or after what is played begins to wait: they are shown.
        thread::sleep(Duration::from_millis(300));
        send(2, "later");
        thread::sleep(Duration::from_millis(300));
        send(3, "last");
        let shown = playing.join().unwrap();
        assert!(shown.status.success(), "{}", shown.stderr.escape_ascii());
    });
}

#[test]
fn a_file_is_followed_as_it_is_appended_to() {
    let scratch = Scratch::new("growing-tlog");
    let path = scratch.join("session.log");
    let mut file = fs::File::create(&path).unwrap();
    writeln!(file, "{}", message(1, 0, "early")).unwrap();
    let play = [
        hansard().to_str().unwrap(),
        "play",
        "--follow",
        path.to_str().unwrap(),
    ];
    thread::scope(|scope| {
        let playing = scope.spawn(|| {
            let steps = [("early", "", None), ("later", "q", None)];
            on_terminal(&play, &steps)
        });
        thread::sleep(Duration::from_millis(300));
        // A message that is written in two halves is one message.
        let later = message(2, 20, "later");
        let (half, rest) = later.split_at(50);
        write!(file, "{half}").unwrap();
        thread::sleep(Duration::from_millis(300));
        writeln!(file, "{rest}").unwrap();
        let shown = playing.join().unwrap();
        assert!(shown.status.success(), "{}", shown.stderr.escape_ascii());
    });

    let mut file = fs::File::create(&path).unwrap();
    writeln!(file, "{}\nthis is no message", message(1, 0, "early")).unwrap();
    let shown = on_terminal(&play, &[("early", "", None)]);
    assert_eq!(shown.status.code(), Some(3));
    let said = String::from_utf8_lossy(&shown.stdout);
    assert!(said.contains("line 2 (offset"), "{said}");
}
