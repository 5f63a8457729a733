//! Files over SFTP, and scp, with Debian's clients as they are.

use std::process::{Command, Stdio};

use hansard_core::event::{Fact, Stream};

use crate::site::{Site, facts, finished};
use crate::support::{TempDir, end_of, header, stream};

/// A batch of sftp(1)'s commands; answers whether it went well.
fn sftp(site: &Site, batch: &str) -> bool {
    let file = site.path("batch");
    std::fs::write(&file, batch).unwrap();
    let client = Command::new("sftp")
        .args(["-F", "none", "-q", "-b"])
        .arg(&file)
        .args(site.options())
        .arg("127.0.0.1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    finished(client).status.success()
}

fn digest(bytes: &[u8]) -> String {
    let dir = TempDir::new();
    let file = dir.path().join("file");
    std::fs::write(&file, bytes).unwrap();
    let out = Command::new("sha256sum").arg(&file).output().unwrap();
    String::from_utf8(out.stdout).unwrap()[..64].to_owned()
}

/// The event of this path and action.
fn of<'a>(facts: &'a [Fact], action: &str, path: &str) -> &'a Fact {
    let is_it = |fact: &&Fact| {
        fact.fields.text("action") == Some(action) && fact.fields.text("path") == Some(path)
    };
    let found = facts.iter().find(is_it);
    found.unwrap_or_else(|| panic!("{action} {path}: {facts:#?}"))
}

#[test]
fn every_file_is_an_event_with_its_way_its_size_and_its_digest() {
    let site = Site::new();
    let dir = TempDir::new();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let content: Vec<u8> = (0..1_000_003_u32)
        .map(|n| (n.wrapping_mul(n) >> 7) as u8)
        .collect();
    std::fs::write(at("local"), &content).unwrap();
    let batch = format!(
        "put {local} {up}\nget {up} {down}\nmkdir {sub}\nrename {up} {moved}\nsymlink {moved} {link}\n\
         chmod 600 {moved}\nrm {moved}\nrmdir {sub}\n-get {missing} {down}\n",
        local = at("local"),
        up = at("up"),
        down = at("down"),
        sub = at("sub"),
        moved = at("moved"),
        link = at("link"),
        missing = at("missing"),
    );
    assert!(sftp(&site, &batch));
    assert!(std::fs::read(at("down")).unwrap() == content);
    let events = site.complete("sftp");
    let facts_ = facts(&events, "sftp");
    let digest = digest(&content);
    let len = content.len() as u64;
    // The same file twice: up, then down.
    let of_file: Vec<&Fact> = facts_
        .iter()
        .filter(|f| {
            f.fields.text("path") == Some(&at("up")) && f.fields.text("action") == Some("1")
        })
        .collect();
    assert_eq!(of_file.len(), 2, "{facts_:#?}");
    for (fact, field) in of_file.into_iter().zip(["rx", "tx"]) {
        assert_eq!(fact.fields.get(field), Some(&len.into()), "{fact:?}");
        assert_eq!(fact.fields.text("sha256"), Some(digest.as_str()));
        assert_eq!(fact.fields.get("success"), Some(&true.into()));
    }
    let moved = of(&facts_, "16", &at("up"));
    assert_eq!(moved.fields.text("target_path"), Some(at("moved").as_str()));
    for (action, path) in [
        ("12", "sub"),
        ("7", "moved"),
        ("11", "moved"),
        ("13", "sub"),
    ] {
        let fact = of(&facts_, action, &at(path));
        assert_eq!(fact.fields.get("success"), Some(&true.into()), "{fact:?}");
    }
    assert_eq!(
        of(&facts_, "18", &at("moved")).fields.text("target_path"),
        Some(at("link").as_str())
    );
    let summary = &facts(&events, "sftp_summary")[0];
    assert_eq!(summary.fields.get("rx"), Some(&len.into()));
    // Content is not kept unless somebody says so.
    assert!(
        stream(&events, Stream::Stdin).is_empty() && stream(&events, Stream::Stdout).is_empty()
    );
    assert_eq!(header(&events).target.text("subsystem"), Some("sftp"));
    assert_eq!(end_of(&events).exit_status, Some(0));
}

#[test]
fn scp_copies_both_ways_by_both_protocols() {
    let site = Site::new();
    let dir = TempDir::new();
    let content = b"a file\n".repeat(10_000);
    std::fs::write(dir.path().join("local"), &content).unwrap();
    let digest = digest(&content);
    for (number, protocol) in ["-s", "-O"].into_iter().enumerate() {
        for is_up in [true, false] {
            let name = format!("copy{number}{is_up}");
            let remote = |name: &str| format!("127.0.0.1:{}", dir.path().join(name).display());
            let local = |name: &str| dir.path().join(name).display().to_string();
            let (from, to) = match is_up {
                true => (local("local"), remote(&name)),
                false => (remote("local"), local(&name)),
            };
            let client = Command::new("scp")
                .args(["-F", "none", "-q", protocol])
                .args(site.options())
                .args([from, to])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let out = finished(client);
            assert!(out.status.success(), "{protocol} {is_up}: {out:?}");
            assert!(std::fs::read(dir.path().join(&name)).unwrap() == content);
        }
    }
    crate::support::wait_for("four connections that are over", || {
        site.daemon.server.registry().list().is_empty() && site.sessions().len() == 8
    });
    let all: Vec<_> = site.sessions().into_iter().collect();
    let of_sftp = all.iter().filter(|(session, _)| session.kind == "sftp");
    let files = of_sftp.flat_map(|(_, events)| facts(events, "sftp"));
    let digests = files.filter(|f| f.fields.text("sha256") == Some(digest.as_str()));
    assert_eq!(digests.count(), 2);
    // By the old protocol a file is bytes of the command, and recorded as such.
    let kept = all
        .iter()
        .filter(|(session, _)| session.kind == "exec")
        .flat_map(|(_, events)| {
            [
                stream(events, Stream::Stdin),
                stream(events, Stream::Stdout),
            ]
        });
    let has_file = |bytes: &Vec<u8>| bytes.windows(content.len()).any(|w| w == content);
    assert_eq!(kept.filter(has_file).count(), 2);
}

#[test]
fn what_is_no_sftp_ends_its_session() {
    use std::io::Write as _;
    let site = Site::new();
    let mut client = site.ssh(&["-s"], &["sftp"]);
    let mut client = client.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(&[0xff; 64]).unwrap();
    let out = finished(client);
    assert!(!out.status.success());
    let end = site.complete("sftp");
    let end = end_of(&end);
    assert!(end.reason.contains("SFTP cannot be read"), "{end:?}");
}
