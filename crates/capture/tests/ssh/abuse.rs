//! Peers that take more than their share, or try to come in by what is no door.

use std::io::Read as _;

use hansard_core::event::Stream;

use crate::paramiko;
use crate::site::{Site, facts, finished};
use crate::support::{stream, wait_for};

#[test]
fn what_is_weak_is_not_agreed_on() {
    let site = Site::new();
    // Each comes as far as to the exchange of keys and no further: its own client would take it.
    let tried = std::cell::Cell::new(0);
    let ended = || {
        tried.set(tried.get() + 1);
        wait_for("its end", || site.said("disconnect").len() == tried.get());
    };
    for weak in [
        "KexAlgorithms=diffie-hellman-group1-sha1",
        "KexAlgorithms=diffie-hellman-group14-sha1",
        "KexAlgorithms=diffie-hellman-group-exchange-sha1",
        "Ciphers=3des-cbc",
        "Ciphers=aes128-cbc",
        "HostKeyAlgorithms=ssh-rsa",
    ] {
        let out = finished(site.ssh(&["-o", weak], &["echo in"]).spawn().unwrap());
        assert_eq!(out.status.code(), Some(255), "{weak}");
        ended();
    }
    // With a cipher that needs one.
    for weak in ["MACs=hmac-md5", "MACs=hmac-sha1-96"] {
        let options = ["-o", "Ciphers=aes256-ctr", "-o", weak];
        let out = finished(site.ssh(&options, &["echo in"]).spawn().unwrap());
        assert_eq!(out.status.code(), Some(255), "{weak}");
        ended();
    }
    assert!(site.sessions().is_empty());
    // Compression is offered by nobody here, so nothing can be blown up by it.
    let out = finished(site.ssh(&["-C"], &["echo in"]).spawn().unwrap());
    assert_eq!(out.stdout, b"in\n");
    let agreed = &facts(&site.complete("ssh"), "handshake")[0];
    let agreed = agreed.fields.text("message").unwrap();
    assert!(!agreed.contains("zlib"), "{agreed}");
}

#[test]
fn keys_that_are_changed_all_the_time_change_no_byte() {
    let site = Site::new();
    let options = ["-o", "RekeyLimit=32K"];
    let command = "head -c 1000000 /dev/zero | tr '\\0' x";
    let out = finished(site.ssh(&options, &[command]).spawn().unwrap());
    assert_eq!(out.status.code(), Some(0), "{:?}", out.stderr);
    assert!(out.stdout == vec![b'x'; 1_000_000]);
    assert!(stream(&site.complete("exec"), Stream::Stdout) == out.stdout);
}

#[test]
fn a_reader_that_stops_reading_holds_back_its_own_program_and_nobody_else() {
    let site = Site::new();
    let mut reader = site.ssh(&[], &["yes"]).spawn().unwrap();
    let exec = site.session("exec");
    let mut some = [0; 1024];
    let mut stdout = reader.stdout.take().unwrap();
    stdout.read_exact(&mut some).unwrap();
    // Its pipe is full, and so is everything up to the program: nothing more is recorded.
    let recorded = || {
        stream(
            &crate::support::events(&site.daemon.recording(exec)),
            Stream::Stdout,
        )
    };
    let mut before = 0;
    wait_for("it is held back", || {
        let now = recorded().len();
        std::thread::sleep(std::time::Duration::from_millis(200));
        now > 0 && now == std::mem::replace(&mut before, now)
    });
    assert_eq!(site.run("echo others").stdout, b"others\n");
    site.daemon
        .server
        .registry()
        .end(exec, "enough", "bea")
        .unwrap();
    site.daemon.complete(exec);
    drop(stdout);
    let _ = reader.kill();
    finished(reader);
}

/// The beginning of each script of paramiko's.
const CONNECTED: &str = "t = connected()";

#[test]
fn an_offer_without_a_signature_lets_in_nobody() {
    if !paramiko::is_there() {
        return;
    }
    let site = Site::new();
    let offer = r"
import time
try:
    t.auth_none(user)
except paramiko.BadAuthenticationType:
    pass
blob = own.public_blob
for signature in [[], [b'']]:
    t._send_message(message(50, user, 'ssh-connection', 'publickey', bool(signature), blob.key_type, blob.key_blob, *signature))
t._send_message(message(90, 'session', 0, 1 << 20, 1 << 15))
for _ in range(600):
    if not t.is_active():
        break
    time.sleep(0.1)
assert not t.is_active(), 'it was not thrown out'
print('done')
";
    paramiko::run(&site, &format!("{CONNECTED}{offer}"));
    wait_for("its end", || !site.said("disconnect").is_empty());
    assert!(site.sessions().is_empty());
    assert_eq!(site.run("echo in").stdout, b"in\n");
}

#[test]
fn channels_beyond_the_bound_are_refused_and_the_others_go_on() {
    if !paramiko::is_there() {
        return;
    }
    let site = Site::new();
    let flood = r"
t.auth_publickey(user, own)
kept = [t.open_session(timeout=60) for _ in range(10)]
refused = 0
for _ in range(200):
    try:
        t.open_session(timeout=60)
    except paramiko.ChannelException:
        refused += 1
assert refused == 200, refused
kept[9].exec_command('echo still')
assert kept[9].makefile('rb').read() == b'still\n'
kept[0].close()
for _ in range(600):
    try:
        t.open_session(timeout=60)
        break
    except paramiko.ChannelException:
        pass
else:
    sys.exit('no place became free')
t.close()
print('done')
";
    paramiko::run(&site, &format!("{CONNECTED}{flood}"));
    let connection = site.complete("ssh");
    let refused = facts(&connection, "new_channel")
        .into_iter()
        .filter(|fact| {
            fact.fields
                .text("error")
                .is_some_and(|why| why.contains("no more may be"))
        });
    assert!(refused.count() >= 200);
}

#[test]
fn keys_without_end_are_not_tried_without_end() {
    if !paramiko::is_there() {
        return;
    }
    let site = Site::new();
    let offers = r"
import os, time
try:
    t.auth_none(user)
except paramiko.BadAuthenticationType:
    pass
for _ in range(64):
    blob = message(0, 'ssh-ed25519', os.urandom(32)).asbytes()[1:]
    t._send_message(message(50, user, 'ssh-connection', 'publickey', False, 'ssh-ed25519', blob))
for _ in range(600):
    if not t.is_active():
        break
    time.sleep(0.1)
assert not t.is_active(), 'it was not thrown out'
print('done')
";
    paramiko::run(&site, &format!("{CONNECTED}{offers}"));
    wait_for("its end", || !site.said("disconnect").is_empty());
    assert!(site.sessions().is_empty());
}
