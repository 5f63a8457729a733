//! Other clients, as Debian has them: PuTTY's, dropbear's, paramiko, asyncssh. Each runs a command and
//! moves a file, with a certificate where it can and a plain key otherwise, and nothing is set up for us.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use hansard_core::event::Stream;

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

/// Lets in the user's plain key.
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

#[test]
fn putty() {
    if !has("plink", &["-V"]) || !has("psftp", &["-V"]) {
        return;
    }
    let (site, _keys) = plain();
    let ppk = site.path("user.ppk");
    let made = Command::new("puttygen")
        .arg(site.path("user"))
        .args(["-O", "private", "-o"])
        .arg(&ppk)
        .status();
    assert!(made.unwrap().success());
    let key = host_key(&site);
    let client = |name: &str| {
        let mut client = Command::new(name);
        client
            .args(["-batch", "-noagent", "-hostkey", &key, "-P"])
            .arg(site.address().port().to_string())
            .args(["-l", &site.account.name, "-i"])
            .arg(&ppk)
            .env("HOME", site.keys.path());
        client
    };
    let mut plink = client("plink");
    let out = run(plink.args(["-T", "127.0.0.1", SAYS]), b"given", 7);
    assert_eq!(out, b"outgiven");
    was_run(&site, b"given");
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
    was_moved(&site, 100_000);
}

#[test]
fn dropbear() {
    if !has("dbclient", &["-V"]) {
        return;
    }
    let (site, _keys) = plain();
    let key = site.path("user.dropbear");
    let mut converted = Command::new("dropbearconvert");
    let converted = converted.args(["openssh", "dropbear"]);
    assert!(tried_quietly(converted.arg(site.path("user")).arg(&key)));
    let mut client = Command::new("dbclient");
    client
        .args(["-T", "-y", "-y", "-i"])
        .arg(&key)
        .args(["-p", &site.address().port().to_string()])
        .args(["-l", &site.account.name, "127.0.0.1", SAYS])
        .env("HOME", site.keys.path());
    assert_eq!(run(&mut client, b"given", 7), b"outgiven");
    was_run(&site, b"given");
}

/// Runs a script with the node's port, the account, the user's key and a directory to work in.
fn python(site: &Site, script: &str) {
    let mut client = Command::new(PYTHON);
    client
        .args(["-c", script])
        .arg(site.address().port().to_string())
        .args([&site.account.name])
        .arg(site.path("user"))
        .arg(site.keys.path());
    assert_eq!(run(&mut client, b"", 0), b"done\n");
    was_run(site, b"given");
    was_moved(site, 100_000);
}

#[test]
fn paramiko() {
    if !has(PYTHON, &["-c", "import paramiko"]) {
        return;
    }
    python(
        &Site::new(),
        r"
import sys, paramiko
port, user, key, place = sys.argv[1:]
own = paramiko.Ed25519Key.from_private_key_file(key)
own.load_certificate(key + '-cert.pub')
c = paramiko.SSHClient()
c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
c.connect('127.0.0.1', port=int(port), username=user, pkey=own, allow_agent=False, look_for_keys=False)
i, o, e = c.exec_command('printf out; printf err >&2; cat; exit 7')
i.write('given'); i.flush(); i.channel.shutdown_write()
assert (o.read(), e.read(), o.channel.recv_exit_status()) == (b'outgiven', b'err', 7)
open(place + '/up', 'wb').write(b'x' * 100000)
s = c.open_sftp()
s.put(place + '/up', place + '/there')
s.get(place + '/there', place + '/back')
assert open(place + '/back', 'rb').read() == b'x' * 100000
s.close(); c.close()
print('done')
",
    );
}

#[test]
fn asyncssh() {
    if !has(PYTHON, &["-c", "import asyncssh"]) {
        return;
    }
    python(
        &Site::new(),
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
