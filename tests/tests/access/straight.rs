//! The client's own SSH, which takes commands without a terminal: bytes both ways as they are, the status, and who
//! hosts are. What it does not do, ssh(1) does.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use crate::place::{Person, Place, finished, said, wait_for};

/// More than a window of OpenSSH's, and nothing that repeats.
fn much() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    std::iter::repeat_with(next)
        .take(5 * 1024 * 1024 / 8)
        .flat_map(u64::to_le_bytes)
        .collect()
}

/// So many connections came until now, each of them the own client's or none: it prefers AES, and OpenSSH's does not.
fn are_own(place: &Place, is_own: bool, count: usize) {
    let mut all = Vec::new();
    wait_for("all connections' events", || {
        all = place.events("handshake");
        all.len() >= count
    });
    assert_eq!(all.len(), count, "{all:?}");
    for one in &all {
        let agreed = one["message"].as_str().unwrap();
        assert_eq!(agreed.contains("chacha20"), !is_own, "{agreed}");
    }
}

/// A command, with a file for its input and another for its output: what it says does not fit into a pipe.
fn through(
    person: &Person<'_>,
    mut command: Command,
    (from, to): (&str, &str),
) -> (Option<i32>, Vec<u8>) {
    let to = person.home.join(to);
    command
        .stdin(File::open(person.home.join(from)).unwrap())
        .stdout(File::create(&to).unwrap());
    let out = finished(command.spawn().unwrap());
    assert!(out.stderr.is_empty(), "{}", said(&out));
    (out.status.code(), fs::read(to).unwrap())
}

#[test]
fn a_command_gets_its_bytes_and_says_its_own() {
    let place = Place::new("access-straight");
    place.user("anna", &["operators"], &["--no-totp"]);
    let anna = place.person("anna");
    anna.signed_in();
    let much = much();
    fs::write(anna.home.join("much"), &much).unwrap();
    for (name, command) in [
        ("node", anna.node(&["127.0.0.1", "cat; exit 7"])),
        ("proxy", anna.proxy(&["cat; exit 7"])),
    ] {
        let (status, got) = through(&anna, command, ("much", name));
        assert_eq!(status, Some(7), "{name}");
        assert!(got == much, "{name}: {} bytes of {}", got.len(), much.len());
    }
    let out = finished(
        anna.node(&["127.0.0.1", "echo out; echo err >&2; kill -9 $$"])
            .spawn()
            .unwrap(),
    );
    assert_eq!((&*out.stdout, &*out.stderr), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(out.status.code(), Some(255));
    // One that nobody reads any more ends, by itself or because it goes on and on.
    for (command, status) in [("yes", 255), ("seq 100000; sleep 1; echo on; exit 3", 3)] {
        let mut poured = anna.node(&["127.0.0.1", command]).spawn().unwrap();
        drop(poured.stdout.take());
        let out = finished(poured);
        assert_eq!(out.status.code(), Some(status), "{command}: {out:?}");
        assert!(out.stderr.is_empty(), "{command}: {out:?}");
    }
    are_own(&place, true, 5);
}

#[test]
fn what_is_lost_at_this_end_is_told_whatever_became_of_the_command() {
    let place = Place::new("access-lost");
    place.user("anna", &["operators"], &["--no-totp"]);
    let anna = place.person("anna");
    anna.signed_in();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut command = anna.node(&["127.0.0.1", "echo lost; exit 0"]);
    let out = finished(command.stdout(full()).spawn().unwrap());
    assert_eq!(out.status.code(), Some(255), "{out:?}");
    let words = "standard output was not written to its end: No space left on device";
    assert!(said(&out).contains(words), "{out:?}");
    // A directory can be opened, and not be read.
    let mut command = anna.node(&["127.0.0.1", "cat; echo an end"]);
    let directory = File::open(&anna.home).unwrap();
    let out = finished(command.stdin(directory).spawn().unwrap());
    assert_eq!(out.status.code(), Some(255), "{out:?}");
    let words = "standard input was not read to its end: Is a directory";
    assert!(
        out.stdout.is_empty() && said(&out).contains(words),
        "{out:?}"
    );
    // As nohup(1) leaves it: there is none.
    let mut command = anna.node(&["127.0.0.1", "cat; echo an end"]);
    let none = File::options().write(true).open("/dev/null").unwrap();
    let out = finished(command.stdin(none).spawn().unwrap());
    assert_eq!(out.stdout, b"an end\n", "{out:?}");
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    are_own(&place, true, 3);
}

#[test]
fn what_it_does_not_do_ssh_does_and_nobody_is_believed_without_a_certificate() {
    let place = Place::new("access-left");
    place.user("anna", &["operators"], &["--no-totp"]);
    let anna = place.person("anna");
    anna.signed_in();
    // A setting of one's own that the own client does not have.
    let own = anna.home.join(".ssh");
    fs::create_dir(&own).unwrap();
    let config = anna.file("ssh_config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("~/.ssh/config", own.join("config").to_str().unwrap()),
    )
    .unwrap();
    fs::write(own.join("config"), "Compression yes\n").unwrap();
    let out = finished(anna.node(&["127.0.0.1", "echo by ssh"]).spawn().unwrap());
    assert_eq!(out.stdout, b"by ssh\n", "{out:?}");
    are_own(&place, false, 1);
    fs::remove_file(own.join("config")).unwrap();
    // Another cluster's authority: neither of them goes there, and ssh says why.
    let other = anna.home.join("other");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&other)
        .stdout(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let authority = fs::read_to_string(other.with_extension("pub")).unwrap();
    fs::write(
        anna.file("known_hosts"),
        format!("@cert-authority * {authority}"),
    )
    .unwrap();
    let out = finished(anna.node(&["127.0.0.1", "echo nobody"]).spawn().unwrap());
    assert_eq!(out.status.code(), Some(255), "{out:?}");
    assert!(
        out.stdout.is_empty() && said(&out).contains("Host key verification failed"),
        "{out:?}"
    );
}
