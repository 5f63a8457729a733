//! Byte for byte through SSH, to the node and through the proxy to Debian's own sshd: what clients send and
//! get is what is recorded. Within the policy's `bulk` all of it is compared, beyond it what trickled, in its
//! place, and the digest that the recording has of the rest.
//!
//! `make test` moves 4 MiB each way; `HANSARD_TORTURE=1024` says how many MiB. Each transfer happens twice: without
//! a bound, and with one of a quarter of the size.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    unreachable_pub,
    dead_code
)]

#[path = "../../../crates/capture/tests/ssh/debian.rs"]
mod debian;
#[path = "../service/pair.rs"]
mod pair;

mod kept;
mod place;

use std::fs;

use kept::{Kept, sha256};
use place::{Mode, Place, READY};

/// A transfer: what it is called, the kind of its session, the client's words, and what is typed: a file.
struct Transfer<'a> {
    name: String,
    kind: &'a str,
    words: Vec<String>,
    stdin: Option<&'a str>,
    /// What has to be equal afterwards, besides what is recorded.
    same: &'a [&'a str],
}

impl<'a> Transfer<'a> {
    fn new(name: &str, kind: &'a str, words: &[&str], same: &'a [&'a str]) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            words: words.iter().map(|&word| word.to_owned()).collect(),
            stdin: None,
            same,
        }
    }

    fn fed(mut self) -> Self {
        self.stdin = Some("sent");
        self
    }
}

/// Does it with each bound, and compares.
fn moved(place: &Place, transfer: &Transfer<'_>) {
    for bulk in [0, place.bytes / 4] {
        place.keep(bulk);
        let _ = fs::remove_file(place.path("there"));
        let _ = fs::remove_file(place.path("back"));
        let (sid, seconds) = place.transfer(transfer);
        let kept = Kept::of(place, &sid);
        // A terminal's is kept whole: whoever filled the bound could go on unseen.
        let bulk = if transfer.kind == "terminal" { 0 } else { bulk };
        let bounds = (bulk, seconds);
        let up = match transfer.kind {
            "terminal" => 0,
            _ => kept.compared(&["stdin"], &place.path("up"), bounds),
        };
        let down = kept.compared(&["stdout", "output"], &place.path("down"), bounds);
        let apart = kept.compared(&["stderr"], &place.path("apart"), bounds);
        for name in transfer.same {
            assert!(
                sha256(&place.path(name)) == place.digest,
                "{}: {name} is not what was sent",
                transfer.name
            );
        }
        if transfer.kind == "sftp" {
            place.has_digest(&sid);
        }
        println!(
            "{:5} {:18} bulk {bulk:10}: {:.1} s; up {up}, down {down}, apart {apart} bytes",
            place.mode.name(),
            transfer.name,
            seconds
        );
    }
}

fn commands(mode: Mode) {
    let Some(place) = Place::new("bytes-commands", mode) else {
        return;
    };
    let (sent, there) = (place.shown("sent"), place.shown("there"));
    let out = format!("cat {sent}");
    let out = Transfer::new("exec out", "exec", &["gate", &out], &["down"]);
    moved(&place, &out);
    let errors = format!("cat {sent} >&2");
    let errors = Transfer::new("exec errors", "exec", &["gate", &errors], &["apart"]);
    moved(&place, &errors);
    let taken = format!("cat >{there}");
    let taken = Transfer::new("exec in", "exec", &["gate", &taken], &["there"]);
    moved(&place, &taken.fed());
    let both = format!("cat | tee {there} | cat");
    let both = Transfer::new("pipes", "exec", &["gate", &both], &["there", "down"]);
    moved(&place, &both.fed());
}

fn terminals(mode: Mode) {
    let Some(place) = Place::new("bytes-terminals", mode) else {
        return;
    };
    let (sent, there) = (place.shown("sent"), place.shown("there"));
    let out = format!("stty raw -echo; cat {sent}");
    let words = ["-tt", "-e", "none", "gate", &out];
    moved(
        &place,
        &Transfer::new("pty out", "terminal", &words, &["down"]),
    );
    let taken = format!(
        "stty raw -echo; printf {READY}; head -c {} >{there}",
        place.bytes
    );
    let words = ["-tt", "-e", "none", "gate", &taken];
    let taken = Transfer::new("pty in", "terminal", &words, &["there"]);
    moved(&place, &taken.fed());
}

fn files(mode: Mode) {
    let Some(place) = Place::new("bytes-files", mode) else {
        return;
    };
    let (sent, there) = (place.shown("sent"), place.shown("there"));
    let (back, program) = (place.shown("back"), place.shown("ssh"));
    for (verb, to, same) in [("put", &there, "there"), ("get", &back, "back")] {
        let batch = place.shown("batch");
        fs::write(&batch, format!("{verb} {sent} {to}\n")).unwrap();
        let words = ["sftp", "-q", "-S", &program, "-b", &batch, "gate"];
        let name = format!("sftp {verb}");
        moved(&place, &Transfer::new(&name, "sftp", &words, &[same]));
    }
    let (to, from) = (format!("gate:{there}"), format!("gate:{sent}"));
    for (flag, kind) in [("-s", "sftp"), ("-O", "exec")] {
        for (from, to, same) in [(&sent, &to, "there"), (&from, &back, "back")] {
            let words = ["scp", "-q", flag, "-S", &program, from, to];
            let name = format!("scp {flag} {same}");
            moved(&place, &Transfer::new(&name, kind, &words, &[same]));
        }
    }
}

fn trees(mode: Mode) {
    let Some(place) = Place::new("bytes-trees", mode) else {
        return;
    };
    let (sent, back, program) = (place.shown("sent"), place.shown("back"), place.shown("ssh"));
    let to = format!("gate:{}", place.shown("there"));
    let from = format!("gate:{sent}");
    for (from, to, same) in [(&sent, &to, "there"), (&from, &back, "back")] {
        let words = ["rsync", "-W", "-e", &program, from, to];
        let name = format!("rsync {same}");
        moved(&place, &Transfer::new(&name, "exec", &words, &[same]));
    }
}

#[test]
fn commands_at_the_node() {
    commands(Mode::Node);
}

#[test]
fn commands_through_the_proxy() {
    commands(Mode::Proxy);
}

#[test]
fn terminals_at_the_node() {
    terminals(Mode::Node);
}

#[test]
fn terminals_through_the_proxy() {
    terminals(Mode::Proxy);
}

#[test]
fn files_at_the_node() {
    files(Mode::Node);
}

#[test]
fn files_through_the_proxy() {
    files(Mode::Proxy);
}

#[test]
fn trees_at_the_node() {
    trees(Mode::Node);
}

#[test]
fn trees_through_the_proxy() {
    trees(Mode::Proxy);
}
