//! Other clients: PuTTY's, dropbear's, paramiko, asyncssh as Debian has them, and npm's ssh2. Each runs a command
//! and moves a file, at a node and through the proxy, with a certificate where it can and a plain key otherwise,
//! and nothing is set up for us.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hansard_core::event::Stream;

use crate::debian;
use crate::paramiko::EXEC_AND_SFTP;
use crate::proxied::Behind;
use crate::site::{Site, facts, finished};
use crate::support::{end_of, stream};

const SAYS: &str = "printf out; printf err >&2; cat; exit 7";

/// Debian's, whose packages these clients are of: another that stands first in `PATH` knows none.
pub const PYTHON: &str = "/usr/bin/python3";

/// Whether a program is there; in CI it has to be.
pub fn has(program: &str, args: &[&str]) -> bool {
    let mut tried = Command::new(program);
    let is_there = tried_quietly(tried.args(args).stdin(Stdio::null()));
    assert!(
        is_there || std::env::var_os("CI").is_none(),
        "{program} {args:?} is missing: scripts/needs.sh test"
    );
    if !is_there {
        eprintln!("skipped: {program} {args:?} does not run here");
    }
    is_there
}

fn tried_quietly(command: &mut Command) -> bool {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs a client with something on its standard input; it must end with this status.
fn run(client: &mut Command, given: &[u8], status: i32) -> Vec<u8> {
    client
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut client = client.spawn().unwrap();
    client.stdin.take().unwrap().write_all(given).unwrap();
    let out = finished(client);
    assert_eq!(out.status.code(), Some(status), "{out:?}");
    out.stdout
}

/// What the recording of a command says of it.
fn was_run(site: &Site, given: &[u8]) {
    let exec = site.complete("exec");
    assert_eq!(
        stream(&exec, Stream::Stdout),
        [b"out".as_slice(), given].concat()
    );
    assert_eq!(stream(&exec, Stream::Stderr), b"err");
    assert_eq!(end_of(&exec).exit_status, Some(7));
}

/// What the recording of files says: one came, and went again.
fn was_moved(site: &Site, bytes: u64) {
    let sftp = site.complete("sftp");
    let moved = facts(&sftp, "sftp");
    for way in ["rx", "tx"] {
        let of_size =
            |fact: &hansard_core::event::Fact| fact.fields.get(way) == Some(&bytes.into());
        assert!(moved.iter().any(of_size), "{way}: {moved:?}");
    }
}

fn host_key(site: &Site) -> String {
    let scanned = Command::new("ssh-keyscan")
        .args(["-p", &site.address().port().to_string(), "127.0.0.1"])
        .output()
        .unwrap();
    let path = site.path("scanned");
    fs::write(&path, scanned.stdout).unwrap();
    let shown = Command::new("ssh-keygen").arg("-lf").arg(&path).output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    shown.split(' ').nth(1).unwrap().to_owned()
}

/// A node that lets in the user's plain key.
fn plain() -> (Site, crate::support::TempDir) {
    let keys = crate::support::TempDir::new();
    let file = keys.path().join("authorized");
    let pattern = format!("{}/%u", file.display());
    let site = Site::with(
        |config| {
            config.authorized_keys = true;
            config.authorized_keys_file = pattern;
        },
        |_| {},
    );
    fs::create_dir(&file).unwrap();
    fs::copy(site.path("user.pub"), file.join(&site.account.name)).unwrap();
    (site, keys)
}

/// A proxy in front of Debian's sshd, where there is one.
fn behind() -> Option<Behind> {
    debian::is_there().then(|| Behind::new(|_| {}))
}

/// PuTTY's clients, with the user's key and these options.
fn putty(site: &Site, options: &[&str]) {
    let ppk = site.path("user.ppk");
    let made = Command::new("puttygen")
        .arg(site.path("user"))
        .args(["-O", "private", "-o"])
        .arg(&ppk)
        .status();
    assert!(made.unwrap().success());
    let key = host_key(site);
    let client = |name: &str| {
        let mut client = Command::new(name);
        client
            .args(["-batch", "-noagent", "-hostkey", &key, "-P"])
            .arg(site.address().port().to_string())
            .args(["-l", &site.user, "-i"])
            .arg(&ppk)
            .args(options)
            .env("HOME", site.keys.path());
        client
    };
    let mut plink = client("plink");
    let out = run(plink.args(["-T", "127.0.0.1", SAYS]), b"given", 7);
    assert_eq!(out, b"outgiven");
    was_run(site, b"given");
    let (up, there, back) = (site.path("up"), site.path("there"), site.path("back"));
    fs::write(&up, vec![7; 100_000]).unwrap();
    let batch = format!(
        "put {} {}\nget {} {}\nquit\n",
        up.display(),
        there.display(),
        there.display(),
        back.display()
    );
    run(client("psftp").arg("127.0.0.1"), batch.as_bytes(), 0);
    assert_eq!(fs::read(back).unwrap(), vec![7; 100_000]);
    was_moved(site, 100_000);
}

fn has_putty() -> bool {
    has("plink", &["-V"]) && has("psftp", &["-V"])
}

#[test]
fn putty_at_a_node() {
    if has_putty() {
        let (site, _keys) = plain();
        putty(&site, &[]);
    }
}

#[test]
fn putty_through_the_proxy() {
    if let Some(behind) = behind().filter(|_| has_putty()) {
        let certificate = behind.site.path("user-cert.pub");
        putty(&behind.site, &["-cert", certificate.to_str().unwrap()]);
    }
}

/// Dropbear's client, with the user's key.
fn dropbear(site: &Site, status: i32) -> Vec<u8> {
    let key = site.path("user.dropbear");
    let mut converted = Command::new("dropbearconvert");
    let converted = converted.args(["openssh", "dropbear"]);
    assert!(tried_quietly(converted.arg(site.path("user")).arg(&key)));
    let mut client = Command::new("dbclient");
    client
        .args(["-T", "-y", "-y", "-i"])
        .arg(&key)
        .args(["-p", &site.address().port().to_string()])
        .args(["-l", &site.user, "127.0.0.1", SAYS])
        .env("HOME", site.keys.path());
    run(&mut client, b"given", status)
}

#[test]
fn dropbear_at_a_node() {
    if has("dbclient", &["-V"]) {
        let (site, _keys) = plain();
        assert_eq!(dropbear(&site, 7), b"outgiven");
        was_run(&site, b"given");
    }
}

/// A client without certificates, and at the proxy nothing else lets in: but it passed the name on as it was.
fn was_refused(site: &Site) {
    let refused = site.refusal("only certificates do");
    assert_eq!(refused.fields.text("login"), Some(site.user.as_str()));
}

#[test]
fn dropbear_at_the_proxy_is_told_of_with_the_name_it_gave() {
    let Some(behind) = behind().filter(|_| has("dbclient", &["-V"])) else {
        return;
    };
    assert_eq!(dropbear(&behind.site, 1), b"");
    was_refused(&behind.site);
}

/// What scripts are told: the port, the user's name, the user's key and a directory to work in.
fn arguments(site: &Site, client: &mut Command) {
    client
        .arg(site.address().port().to_string())
        .args([&site.user])
        .arg(site.path("user"))
        .arg(site.keys.path());
}

/// Runs a script to its end.
fn script(site: &Site, client: &mut Command) {
    arguments(site, client);
    assert_eq!(run(client, b"", 0), b"done\n");
    was_run(site, b"given");
    was_moved(site, 100_000);
}

/// The same of Python, at a node and through the proxy.
fn python(module: &str, text: &str) {
    if !has(PYTHON, &["-c", &format!("import {module}")]) {
        return;
    }
    let script = |site: &Site| script(site, Command::new(PYTHON).args(["-c", text]));
    script(&Site::new());
    if let Some(behind) = behind() {
        script(&behind.site);
    }
}

#[test]
fn paramiko() {
    python("paramiko", EXEC_AND_SFTP);
}

#[test]
fn asyncssh() {
    python(
        "asyncssh",
        r"
import sys, asyncio, asyncssh
port, user, key, place = sys.argv[1:]
async def main():
    own = (key, key + '-cert.pub')
    async with asyncssh.connect('127.0.0.1', int(port), username=user, client_keys=[own],
                                known_hosts=None, agent_path=None, config=None) as c:
        r = await c.run('printf out; printf err >&2; cat; exit 7', input='given')
        assert (r.stdout, r.stderr, r.exit_status) == ('outgiven', 'err', 7), r
        open(place + '/up', 'wb').write(b'x' * 100000)
        async with c.start_sftp_client() as s:
            await s.put(place + '/up', place + '/there')
            await s.get(place + '/there', place + '/back')
        assert open(place + '/back', 'rb').read() == b'x' * 100000
asyncio.run(main())
print('done')
",
    );
}

/// npm's ssh2 as `tests/npm/package-lock.json` has it, if it is installed; in CI it has to be.
fn ssh2() -> Option<PathBuf> {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/npm/node_modules/ssh2");
    let is_there = at.is_dir() && has("node", &["--version"]);
    assert!(
        is_there || std::env::var_os("CI").is_none(),
        "{} is missing: make test-clients",
        at.display()
    );
    if !is_there {
        eprintln!("skipped: {} is not there", at.display());
    }
    is_there.then_some(at)
}

/// Runs the script with it.
fn node(site: &Site, ssh2: &Path) -> Command {
    let mut node = Command::new("node");
    node.args(["-e", include_str!("ssh2.js"), "--"])
        .arg(ssh2)
        .env("HOME", site.keys.path());
    node
}

#[test]
fn ssh2_at_a_node() {
    if let Some(ssh2) = ssh2() {
        let (site, _keys) = plain();
        script(&site, &mut node(&site, &ssh2));
    }
}

#[test]
fn ssh2_at_the_proxy_is_told_of_with_the_name_it_gave() {
    let (Some(ssh2), Some(behind)) = (ssh2(), behind()) else {
        return;
    };
    let site = &behind.site;
    let mut client = node(site, &ssh2);
    arguments(site, &mut client);
    assert_eq!(run(&mut client, b"", 1), b"");
    was_refused(site);
}
