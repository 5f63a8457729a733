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
    words(&whole(entry.to_vec()))
}

fn whole(entry: Entry) -> sudo::Line {
    sudo::Line {
        entry,
        is_whole: true,
    }
}

fn words(line: &sudo::Line) -> Option<String> {
    let Body::Auth(fact) = told(line)? else {
        panic!("something else")
    };
    let success = match fact.fields.get("success") {
        Some(hansard_core::Value::Bool(success)) => *success,
        Some(other) => panic!("{other:?}"),
        None => return Some(format!("{} unknown", fact.event)),
    };
    assert_eq!(success, fact.fields.text("error").is_none());
    if let Some(message) = fact.fields.text("message") {
        return Some(format!("{} {success} {message}", fact.event));
    }
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
    assert_eq!(told(&whole(entry.to_vec())), None);
}

#[test]
fn what_sudo_s_caller_chose_is_not_taken_for_sudo_s_words() {
    let of = |rest: &str| {
        let told = said("sudo", &format!("    anna : {rest}"));
        told.unwrap_or_default()
    };
    // What a directory is called that has no field's name in it is its name.
    assert_eq!(
        of("TTY=pts/1 ; PWD=/a ; command not allowed ; X=1 ; USER=root ; COMMAND=/bin/id"),
        "host.sudo anna|root|-|-|pts/1|/bin/id|/a ; command not allowed ; X=1|-"
    );
    for (is_done, rest) in [
        (
            true,
            "TTY=pts/1 ; PWD=/tmp/a ; command not allowed ; USER=nobody ; COMMAND=/bin/true ; \
             USER=root ; COMMAND=/usr/bin/id",
        ),
        (
            true,
            "TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/bin/echo ; COMMAND=/bin/true",
        ),
        (
            true,
            "TTY=pts/1 ; PWD=/ ; USER=root ; ENV=A=x ; USER=nobody ; COMMAND=/bin/id",
        ),
        // Too early where it stands: it is part of the directory.
        (
            true,
            "TTY=pts/1 ; PWD=/a ; GROUP=b ; USER=root ; COMMAND=/bin/id",
        ),
        (
            true,
            "HOST=h ; PWD=/a ; TTY=x ; USER=root ; COMMAND=/bin/id",
        ),
        (
            false,
            "command not allowed ; TTY=pts/1 ; PWD=/a ; USER=b ; USER=root ; COMMAND=/bin/id",
        ),
        (
            false,
            "unknown user x ; TTY=pts/9 ; PWD=/ ; USER=root ; COMMAND=/bin/id ; TTY=pts/1 ; PWD=/a",
        ),
    ] {
        assert_eq!(of(rest), format!("host.sudo {is_done} {rest}"));
    }
    // Words before the first field are why it was refused, wherever a `=` stands in them.
    assert_eq!(
        of("a=b is not known : x ; PWD=/ ; USER=root ; COMMAND=/bin/id"),
        "host.sudo anna|root|-|-|-|/bin/id|/|a=b is not known : x"
    );
    // Nothing was to be run.
    assert_eq!(of("problem with defaults entries ; TTY=pts/1 ; PWD=/"), "");
    assert_eq!(of("pam_unix(sudo:session): session opened"), "");
    assert_eq!(
        of("(command continued) x ; USER=root ; COMMAND=/bin/id"),
        "host.sudo unknown"
    );
}

#[test]
fn a_line_of_sudo_in_several_entries_is_one() {
    let entry = |pid: &str, message: &str| {
        let fields = [
            ("_UID", "0"),
            ("_COMM", "sudo"),
            ("_PID", pid),
            ("MESSAGE", message),
        ];
        let entry = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        entry.to_vec()
    };
    let all = |lines: Vec<sudo::Line>| {
        let words: Vec<String> = lines.iter().filter_map(words).collect();
        words.join("\n")
    };
    let first = "anna : TTY=pts/1 ; PWD=/a ; USER=nobody ; COMMAND=/bin/true";
    let more = "anna : (command continued) b ; USER=root ; COMMAND=/bin/id";
    let joined = "host.sudo true TTY=pts/1 ; PWD=/a ; USER=nobody ; COMMAND=/bin/true b ; USER=root ; \
                  COMMAND=/bin/id";
    let mut lines = sudo::Lines::default();
    // Another sudo in between, as somebody may start it, is another line.
    assert_eq!(all(lines.take(entry("7", first), 5)), "");
    assert_eq!(all(lines.take(entry("8", first), 6)), "");
    assert_eq!(all(lines.take(entry("7", more), 7)), "");
    let pam = "pam_unix(sudo:session): session opened for user root";
    assert_eq!(all(lines.take(entry("7", pam), 8)), joined);
    // The other one has no more parts, and the time says so.
    assert!(lines.are_waiting());
    assert_eq!(all(lines.due(5 + sudo::WAIT_NS)), "");
    assert_eq!(
        all(lines.due(6 + sudo::WAIT_NS)),
        "host.sudo anna|nobody|-|-|pts/1|/bin/true|/a|-"
    );
    // A part of what was told already is told, and nothing of it believed.
    let late = 6 + 3 * sudo::WAIT_NS;
    assert_eq!(all(lines.take(entry("8", more), late)), "host.sudo unknown");
    lines.due(u64::MAX);
    assert!(!lines.are_waiting());
    // Beyond what waits, and beyond what is kept of one, nobody knows what the fields are.
    let cut = first.strip_prefix("anna : ").unwrap();
    for pid in 0..65 {
        let told = all(lines.take(entry(&pid.to_string(), first), pid));
        let wanted = match pid {
            64 => format!("host.sudo true {cut}"),
            _ => String::new(),
        };
        assert_eq!(told, wanted);
    }
    assert_eq!(lines.rest().len(), 64);
    lines.take(entry("7", first), 1);
    let long = format!("anna : (command continued) {}", "x".repeat(ENTRY_BYTES_MAX));
    lines.take(entry("7", &long), 1);
    lines.take(entry("7", more), 1);
    assert_eq!(all(lines.rest()), format!("host.sudo true {cut}"));
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
