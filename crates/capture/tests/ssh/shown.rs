//! What a node shows of itself: its certificate, which is exchanged while it serves.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::site::{Site, finished, key};

/// A certificate of the node's key for `127.0.0.1`, that holds so long, as a line.
fn certificate(site: &Site, holds: &str) -> String {
    let port = site.address().port().to_string();
    let scanned = Command::new("ssh-keyscan")
        .args(["-t", "ed25519", "-p", &port, "127.0.0.1"])
        .output()
        .unwrap();
    let scanned = String::from_utf8(scanned.stdout).unwrap();
    let line = scanned.lines().find(|line| !line.starts_with('#')).unwrap();
    let (_, key) = line.split_once(' ').unwrap();
    fs::write(site.path("node.pub"), format!("{key}\n")).unwrap();
    let done = Command::new("ssh-keygen")
        .args([
            "-q",
            "-h",
            "-I",
            "node",
            "-n",
            "127.0.0.1",
            "-V",
            holds,
            "-s",
        ])
        .arg(site.path("host-ca"))
        .arg(site.path("node.pub"))
        .status();
    assert!(done.unwrap().success());
    fs::read_to_string(site.path("node-cert.pub")).unwrap()
}

/// A client that believes the authority of hosts, and nobody else.
fn believing(site: &Site) -> Output {
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-o", "StrictHostKeyChecking=yes"])
        .arg("-o")
        .arg(format!(
            "UserKnownHostsFile={}",
            site.path("known").display()
        ))
        .args(site.options())
        .args(["127.0.0.1", "echo inside"])
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    finished(ssh.spawn().unwrap())
}

#[test]
fn a_certificate_is_exchanged_while_the_node_serves() {
    let site = Site::new();
    key(site.keys.path(), "host-ca");
    let authority = fs::read_to_string(site.path("host-ca.pub")).unwrap();
    fs::write(site.path("known"), format!("@cert-authority * {authority}")).unwrap();
    let shown = site.node.shown();
    let is_believed = |out: Output| out.stdout == b"inside\n";
    assert!(!is_believed(believing(&site)), "a key alone");
    shown.certify(&certificate(&site, "-2d:-1d")).unwrap();
    assert!(!is_believed(believing(&site)), "one that is over");
    let begun = site
        .ssh(&[], &["read line; echo $line"])
        .stdin(Stdio::piped())
        .spawn();
    let mut begun = begun.unwrap();
    site.session("exec");
    shown.certify(&certificate(&site, "-1h:+1d")).unwrap();
    assert!(is_believed(believing(&site)));
    assert!(shown.certify("nonsense").is_err());
    assert!(is_believed(believing(&site)), "what was shown is shown on");
    std::io::Write::write_all(begun.stdin.as_mut().unwrap(), b"still\n").unwrap();
    assert_eq!(finished(begun).stdout, b"still\n", "who was there goes on");
}
