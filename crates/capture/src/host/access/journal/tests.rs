//! Entries as programs of Debian write them.

use super::*;

fn said(comm: &str, message: &str) -> Option<String> {
    let fields = [
        ("_UID", "0"),
        ("_COMM", comm),
        ("_PID", "7"),
        ("MESSAGE", message),
    ];
    let entry = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let Body::Auth(fact) = told(&entry.to_vec())? else {
        panic!("something else")
    };
    let names = [
        "user",
        "login",
        "addr.remote",
        "method",
        "terminal",
        "command",
        "cwd",
        "error",
    ];
    let texts = names.map(|name| fact.fields.text(name).unwrap_or("-").to_owned());
    Some(format!("{} {}", fact.event, texts.join("|")))
}

#[test]
fn what_root_s_programs_say() {
    for (comm, message, wanted) in [
        (
            "sshd",
            "Accepted publickey for anna from 192.0.2.7 port 50000 ssh2: ED25519 SHA256:abc",
            "host.login -|anna|192.0.2.7|publickey|-|-|-|-",
        ),
        (
            "sshd-session",
            "Failed password for invalid user x from 192.0.2.7 port 1 ssh2",
            "host.login -|x|192.0.2.7|password|-|-|-|refused",
        ),
        (
            // Somebody called so, who was never there.
            "sshd",
            "Failed none for invalid user root from 10.0.0.1 port 1 ssh2 from 192.0.2.7 port 2 ssh2",
            "host.login -|root from 10.0.0.1 port 1 ssh2|192.0.2.7|none|-|-|-|refused",
        ),
        (
            "sshd",
            "Connection closed by authenticating user root 192.0.2.7 port 2 [preauth]",
            "host.login -|root|192.0.2.7|-|-|-|-|left without having been let in",
        ),
        (
            "login",
            "LOGIN ON tty1 BY anna",
            "host.login -|anna|-|-|tty1|-|-|-",
        ),
        ("login", "ROOT LOGIN  ON tty1", ""),
        (
            "login",
            "ROOT LOGIN ON tty1",
            "host.login -|root|-|-|tty1|-|-|-",
        ),
        (
            "login",
            "FAILED LOGIN (1) on '/dev/tty1' FOR 'anna', Authentication failure",
            "host.login -|anna|-|-|/dev/tty1|-|-|Authentication failure",
        ),
        (
            "sudo",
            "    anna : TTY=pts/1 ; PWD=/home/anna ; USER=root ; COMMAND=/usr/bin/id -u ; x",
            "host.sudo anna|root|-|-|pts/1|/usr/bin/id -u ; x|/home/anna|-",
        ),
        (
            "sudo",
            "bob : user NOT in sudoers ; TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
            "host.sudo bob|root|-|-|pts/1|/bin/sh|/|user NOT in sudoers",
        ),
        (
            "su",
            "(to root) anna on pts/1",
            "host.su anna|root|-|-|pts/1|-|-|-",
        ),
        (
            "su",
            "FAILED SU (to root) anna on pts/1",
            "host.su anna|root|-|-|pts/1|-|-|refused",
        ),
        ("sshd", "Server listening on 0.0.0.0 port 22.", ""),
        (
            "cron",
            "Accepted password for anna from 192.0.2.7 port 1 ssh2",
            "",
        ),
    ] {
        assert_eq!(said(comm, message).unwrap_or_default(), wanted, "{message}");
    }
}

#[test]
fn what_a_user_writes_there_is_nothing() {
    let message = "Accepted password for root from 192.0.2.7 port 1 ssh2";
    let fields = [("_UID", "1000"), ("_COMM", "sshd"), ("MESSAGE", message)];
    let entry = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(told(&entry.to_vec()), None);
}

#[test]
fn entries_come_in_pieces_and_with_newlines_in_them() {
    let mut bytes = b"__CURSOR=s=1\nMESSAGE\n".to_vec();
    bytes.extend(7u64.to_le_bytes());
    bytes.extend(b"one\n\ntw\n_COMM=su\n\nMESSAGE=next\n\n");
    let mut entries = Entries::default();
    let mut all = Vec::new();
    for byte in bytes {
        entries.add(&[byte]);
        all.extend(entries.next());
    }
    let of = |entry: &Entry, name: &str| {
        let found = entry.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    assert_eq!(all.len(), 2);
    assert_eq!(of(&all[0], "MESSAGE").unwrap(), "one\n\ntw");
    assert_eq!(of(&all[0], "_COMM").unwrap(), "su");
    assert_eq!(of(&all[1], "MESSAGE").unwrap(), "next");
    assert!(entries.next().is_none() && !entries.is_too_long());
}
