//! SSH certificates: what they say is what OpenSSH reads in them.

#![cfg(feature = "authority")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use hansard_identity::Failure;
use hansard_identity::limits::{SSH_LIFE_S_MAX, SSH_PRINCIPALS_MAX};
use hansard_identity::ssh::{KeyLine, SshAuthorities, UserWish};
use support::{NOW, SECOND, Scratch, random};

fn wish() -> UserWish {
    UserWish {
        user: "anna".into(),
        logins: vec!["root".into(), "www-data".into()],
        key: KeyLine::ed25519(&[7; 32]),
        life_s: 3600,
        ..UserWish::default()
    }
}

/// What `ssh-keygen -L` says of a line; it checks the signature on the way.
fn shown(scratch: &Scratch, line: &str) -> String {
    let path = scratch.0.join("some-cert.pub");
    fs::write(&path, format!("{line}\n")).unwrap();
    let shown = Command::new("ssh-keygen")
        .args(["-L", "-f"])
        .arg(&path)
        .env("TZ", "UTC")
        .output()
        .unwrap();
    assert!(shown.status.success(), "{shown:?}");
    String::from_utf8(shown.stdout).unwrap()
}

fn fingerprint(scratch: &Scratch, line: &str) -> String {
    let path = scratch.0.join("some.pub");
    fs::write(&path, format!("{line}\n")).unwrap();
    let shown = Command::new("ssh-keygen")
        .args(["-l", "-f"])
        .arg(&path)
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    shown.split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn openssh_reads_what_was_meant() {
    let scratch = Scratch::new("ssh");
    let random = random(1);
    let authorities = SshAuthorities::open(&scratch.0, &*random).unwrap();
    let issued = authorities
        .issue_user(
            &UserWish {
                source_addresses: vec!["192.0.2.0/24".into(), "2001:db8::1".into()],
                force_command: Some("uptime".into()),
                ..wish()
            },
            NOW,
            &*random,
        )
        .unwrap();
    let said = shown(&scratch, &issued.line);
    for part in [
        "ssh-ed25519-cert-v01@openssh.com user certificate",
        "Key ID: \"anna\"",
        &format!("Serial: {}", issued.serial),
        "from 2026-11-21T07:00:00 to 2026-11-21T09:00:00",
        "root",
        "www-data",
        "force-command uptime",
        "source-address 192.0.2.0/24,2001:db8::1",
        "permit-agent-forwarding",
        "permit-pty",
        "permit-port-forwarding",
        &fingerprint(&scratch, &authorities.user_line()),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(issued.not_after_s, NOW / SECOND + 3600);
    let names = ["node1.example".to_owned(), "192.0.2.7".to_owned()];
    let key = KeyLine::ed25519(&[8; 32]);
    let host = authorities.issue_host(&key, ("node1", &names), 60, NOW, &*random);
    let said = shown(&scratch, &host.unwrap().line);
    for part in [
        "host certificate",
        "node1.example",
        "192.0.2.7",
        &fingerprint(&scratch, &authorities.host_line()),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn every_kind_of_key_that_a_node_takes_is_certified() {
    let scratch = Scratch::new("ssh-kinds");
    let random = random(2);
    let authorities = SshAuthorities::open(&scratch.0, &*random).unwrap();
    for (kind, bits) in [
        ("ed25519", "256"),
        ("ecdsa", "256"),
        ("ecdsa", "384"),
        ("ecdsa", "521"),
    ] {
        let key = scratch.0.join(format!("{kind}-{bits}"));
        let made = Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-t", kind, "-b", bits, "-f"])
            .arg(&key)
            .status();
        assert!(made.unwrap().success());
        let line = fs::read_to_string(key.with_extension("pub")).unwrap();
        let key = line.parse().unwrap();
        let issued = authorities.issue_user(&UserWish { key, ..wish() }, NOW, &*random);
        let said = shown(&scratch, &issued.unwrap().line);
        assert!(said.contains("user certificate"), "{said}");
    }
}

#[test]
fn the_keys_stay_and_are_two() {
    let scratch = Scratch::new("ssh-stay");
    let first = SshAuthorities::open(&scratch.0, &*random(3)).unwrap();
    let again = SshAuthorities::open(&scratch.0, &*random(4)).unwrap();
    assert_eq!(first.user_line(), again.user_line());
    assert_eq!(first.host_line(), again.host_line());
    assert_ne!(first.user_line(), first.host_line());
    fs::write(scratch.0.join("ssh_user.key"), "no key").unwrap();
    let broken = SshAuthorities::open(Path::new(&scratch.0), &*random(5));
    assert!(matches!(broken, Err(Failure::Refused(_))), "{broken:?}");
}

#[test]
fn what_no_certificate_should_say_is_refused() {
    let scratch = Scratch::new("ssh-refused");
    let random = random(6);
    let authorities = SshAuthorities::open(&scratch.0, &*random).unwrap();
    let own: KeyLine = authorities.user_line().parse().unwrap();
    let refused = authorities.issue_user(&UserWish { key: own, ..wish() }, NOW, &*random);
    assert!(matches!(refused, Err(Failure::Refused(_))), "{refused:?}");
    type Change = fn(&mut UserWish);
    let wrong: [(&str, Change); 9] = [
        ("no login", |w| w.logins.clear()),
        ("an empty login", |w| w.logins = vec![String::new()]),
        ("too many logins", |w| {
            w.logins = vec!["a".into(); SSH_PRINCIPALS_MAX + 1];
        }),
        ("no user", |w| w.user.clear()),
        ("no time", |w| w.life_s = 0),
        ("for ever", |w| w.life_s = SSH_LIFE_S_MAX + 1),
        ("no network", |w| {
            w.source_addresses = vec!["10.0.0.0/33".into()]
        }),
        ("two in one", |w| {
            w.source_addresses = vec!["10.0.0.1,0.0.0.0/0".into()]
        }),
        ("an empty command", |w| {
            w.force_command = Some(String::new())
        }),
    ];
    for (what, change) in wrong {
        let mut wish = wish();
        change(&mut wish);
        let refused = authorities.issue_user(&wish, NOW, &*random);
        assert!(
            matches!(refused, Err(Failure::Malformed(_))),
            "{what}: {refused:?}"
        );
    }
}
