//! Windows of programs at the client: what an X server says and hears arrives as it is, by a cookie that the
//! program's side never had, and is on record as any forward.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use hansard_capture::ssh::Forwards;
use hansard_core::event::Stream;

use crate::clients::{PYTHON, has};
use crate::debian;
use crate::proxied::Behind;
use crate::site::{Site, facts, finished};
use crate::support::{end_of, stream};

/// What the client's own display asks for.
const COOKIE: [u8; 16] = *b"0123456789abcdef";

/// What a program sends behind its greeting, and hears again.
const BYTES: usize = 300_000;

/// A program with a window, as far as this matters: finds its display and cookie, greets, and sends.
const PROGRAM: &str = r#"
import os, re, socket, struct, subprocess, sys
display = os.environ['DISPLAY']
number = int(re.fullmatch(r'localhost:(\d+)\.\d+', display).group(1))
line = subprocess.run(['xauth', 'list', 'unix:%d' % number], capture_output=True, text=True).stdout.split()
protocol, cookie = line[1].encode(), bytes.fromhex(line[2])
assert cookie != b'0123456789abcdef', 'the real one has left the client'
pad = lambda b: b + b'\0' * (-len(b) % 4)
s = socket.create_connection(('localhost', 6000 + number))
s.sendall(struct.pack('<BxHHHHxx', 0x6c, 11, 0, len(protocol), len(cookie)) + pad(protocol) + pad(cookie))
sent = bytes(range(256)) * (300000 // 256 + 1)
sent = sent[:300000]
s.sendall(sent)
heard = b''
while True:
    more = s.recv(65536)
    if not more: break
    heard += more
subprocess.run(['xauth', '-q', 'remove', 'unix:%d' % number])
assert heard == sent[::-1], (len(heard), heard[:20])
print('shown')
"#;

/// The X server of the client: takes one program with the right cookie, and answers with what it said, from
/// behind. Answers its display's number.
fn server() -> (u16, std::thread::JoinHandle<()>) {
    let listener = loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if listener.local_addr().unwrap().port() > 6000 {
            break listener;
        }
    };
    let number = listener.local_addr().unwrap().port() - 6000;
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut greeting = [0; 12 + 20 + 16];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!(greeting[0], b'l');
        assert_eq!(&greeting[12..30], b"MIT-MAGIC-COOKIE-1");
        assert_eq!(greeting[32..], COOKIE, "not the one that the client has");
        // OpenSSH's client ends both directions of such a channel with one.
        let mut said = vec![0; BYTES];
        stream.read_exact(&mut said).unwrap();
        said.reverse();
        stream.write_all(&said).unwrap();
    });
    (number, thread)
}

fn forwards(is_allowed: bool) -> Forwards {
    Forwards {
        x11: is_allowed,
        ..Forwards::default()
    }
}

/// `ssh -Y` with a display of the client's own, running this.
fn shown(site: &Site, number: u16, command: &str) -> std::process::Output {
    let authority = site.path("xauthority");
    let hex: String = COOKIE.iter().map(|byte| format!("{byte:02x}")).collect();
    let display = format!("127.0.0.1:{number}");
    let added = Command::new("xauth")
        .args(["-q", "-f"])
        .arg(&authority)
        .args(["add", &display, ".", &hex])
        .stderr(Stdio::null())
        .status();
    assert!(added.unwrap().success());
    let mut ssh = site.ssh(&["-Y"], &[command]);
    ssh.env("DISPLAY", &display).env("XAUTHORITY", &authority);
    finished(ssh.spawn().unwrap())
}

fn has_xauth() -> bool {
    has("xauth", &["-V"]) && has(PYTHON, &["-c", ""])
}

fn a_window_is_shown(site: &Site) {
    let (number, server) = server();
    let program = site.path("program.py");
    fs::write(&program, PROGRAM).unwrap();
    let out = shown(site, number, &format!("{PYTHON} {}", program.display()));
    assert_eq!(out.stdout, b"shown\n", "{out:?}");
    server.join().unwrap();
    let connection = site.complete("ssh");
    let asked = facts(&connection, "x11-forward");
    assert_eq!(asked.len(), 2, "asked for, and used once: {asked:?}");
    for fact in &asked {
        assert_eq!(fact.fields.get("success"), Some(&true.into()), "{fact:?}");
    }
    let stopped = facts(&connection, "port").remove(0);
    // From the client came the answer; to it went a greeting as well.
    assert_eq!(stopped.fields.get("rx"), Some(&(BYTES as u64).into()));
    assert_eq!(stopped.fields.get("tx"), Some(&(BYTES as u64 + 48).into()));
    let kept = site.complete("forward");
    assert_eq!(stream(&kept, Stream::Stdout).len(), BYTES + 48);
    assert_eq!(stream(&kept, Stream::Stdin).len(), BYTES);
    assert_eq!(end_of(&site.complete("exec")).exit_status, Some(0));
    let all = format!("{connection:?}");
    assert!(!all.contains("30313233"), "the cookie is on record: {all}");
}

#[test]
fn a_window_is_shown_where_that_is_allowed_and_its_bytes_are_on_record() {
    if has_xauth() {
        let site = Site::with(
            |config| config.forwards = forwards(true),
            |local| local.policy.forwarding = true,
        );
        a_window_is_shown(&site);
    }
}

#[test]
fn a_window_of_a_target_is_shown_as_well() {
    if has_xauth() && debian::is_there() {
        let behind = Behind::with(
            |config| config.forwards = forwards(true),
            |policy| policy.forwarding = true,
        );
        a_window_is_shown(&behind.site);
    }
}

#[test]
fn nothing_is_shown_where_it_is_not_allowed() {
    if !has_xauth() {
        return;
    }
    let permits = ["-O", "no-x11-forwarding"];
    for (is_allowed, options, why) in [
        (false, &[][..], "forward_x11 is off"),
        (true, &permits[..], "does not permit X11"),
    ] {
        let site = Site::with(|config| config.forwards = forwards(is_allowed), |_| {});
        let own = site.account.name.clone();
        let certified = ["-I", "anna", "-n", &own, "-V", "-5m:+1h"];
        site.certify("ca", &[&certified[..], options].concat());
        let out = shown(&site, 1, "echo ${DISPLAY:-none}");
        assert_eq!(out.stdout, b"none\n", "{out:?}");
        let asked = facts(&site.complete("ssh"), "x11-forward").remove(0);
        assert!(
            asked.fields.text("error").unwrap().contains(why),
            "{asked:?}"
        );
    }
}
