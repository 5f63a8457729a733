//! What leads elsewhere: where a rule allows it, counted and on record; with the account's rights.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

use hansard_capture::ssh::Forwards;
use hansard_core::event::{Event, Fact, Stream};
use hansard_core::policy::Policy;

use crate::debian;
use crate::proxied::Behind;
use crate::site::{PATIENCE, Site, facts, finished};
use crate::support::{end_of, events, header, stream, wait_for};

/// Answers each connection with what came, in capitals, until the other side has said everything.
fn shouting() -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        said.make_ascii_uppercase();
        stream.write_all(&said).unwrap();
    });
    (port, thread)
}

fn site(forwards: Forwards) -> Site {
    Site::with(|config| config.forwards = forwards, |_| {})
}

/// Has the same done at a node, and at a proxy in front of Debian's sshd.
fn in_both_modes(forwards: &Forwards, what: impl Fn(&Site)) {
    what(&site(forwards.clone()));
    if debian::is_there() {
        let behind = Behind::new(|config| config.forwards = forwards.clone());
        what(&behind.site);
    }
}

fn to(places: &[String]) -> Forwards {
    Forwards {
        to: places.to_vec(),
        ..Forwards::default()
    }
}

/// `ssh -W`, with something to say.
fn through(site: &Site, place: &str, words: &[u8]) -> std::process::Output {
    let mut client = site.ssh(&["-W", place], &[]);
    let mut client = client.stdin(Stdio::piped()).spawn().unwrap();
    // One that is refused may be gone before it heard this.
    let _ = client.stdin.take().unwrap().write_all(words);
    finished(client)
}

/// The one event of this name in the connection's recording.
fn only(connection: &[Event], name: &str) -> Fact {
    let found = facts(connection, name);
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0].clone()
}

fn number(fact: &Fact, field: &str) -> u64 {
    let value = fact.fields.get(field).and_then(|value| value.as_uint());
    value.unwrap_or_else(|| panic!("{field}: {fact:?}"))
}

fn failed(fact: &Fact) -> String {
    assert_eq!(fact.fields.get("success"), Some(&false.into()), "{fact:?}");
    fact.fields.text("error").unwrap().to_owned()
}

#[test]
fn a_connection_that_a_rule_allows_is_told_of_with_where_it_led_and_how_much_went_through() {
    let (port, target) = shouting();
    let place = format!("127.0.0.1:{port}");
    let site = site(to(&[format!("127.0.0.0/8:{port}")]));
    let out = through(&site, &place, b"hear me");
    assert_eq!(out.stdout, b"HEAR ME", "{out:?}");
    target.join().unwrap();
    let connection = site.complete("ssh");
    let opened = only(&connection, "port.local");
    assert_eq!(opened.fields.text("addr"), Some(place.as_str()));
    assert_eq!(opened.fields.get("success"), Some(&true.into()));
    let stopped = only(&connection, "port");
    assert_eq!(stopped.fields.text("action"), Some("stop"));
    assert_eq!(stopped.fields.text("addr"), Some(place.as_str()));
    assert_eq!((number(&stopped, "rx"), number(&stopped, "tx")), (7, 7));
    number(&stopped, "duration_ms");
    assert_eq!(
        number(&opened, "channel_id"),
        number(&stopped, "channel_id")
    );
    let kinds: Vec<String> = site.sessions().into_iter().map(|(s, _)| s.kind).collect();
    assert_eq!(kinds, ["ssh"], "its bytes are not kept");
}

#[test]
fn its_bytes_are_kept_where_the_policy_says_so() {
    let (port, target) = shouting();
    let rule = format!("localhost:{port}");
    let site = Site::with(
        |config| config.forwards = to(std::slice::from_ref(&rule)),
        |local| {
            local.policy = Policy {
                forwarding: true,
                ..Policy::default()
            }
        },
    );
    // More than a window, and than what waits anywhere.
    let words = b"0123456789abcdef".repeat(1 << 18);
    let out = through(&site, &rule, &words);
    target.join().unwrap();
    assert!(out.stdout == words.to_ascii_uppercase());
    let forward = site.complete("forward");
    assert!(stream(&forward, Stream::Stdin) == words);
    assert!(stream(&forward, Stream::Stdout) == words.to_ascii_uppercase());
    let connection = site.complete("ssh");
    let (inner, outer) = (header(&forward), header(&connection));
    assert_eq!(inner.parent, Some(outer.id));
    assert_eq!(inner.target.text("addr"), Some(rule.as_str()));
    assert_eq!(number(&only(&connection, "port"), "rx"), words.len() as u64);
    crate::support::wait_for("no notes", || site.daemon.notes() == 0);
}

#[test]
fn what_no_rule_allows_leads_nowhere() {
    let (port, _) = shouting();
    let site = site(to(&[
        format!("127.0.0.1:{}", port ^ 1),
        "10.0.0.0/8:*".to_owned(),
    ]));
    // By name, too: it stands for no address that a rule has.
    for place in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        let out = through(&site, &place, b"let me in");
        assert_ne!(out.status.code(), Some(0), "{out:?}");
        assert_eq!(out.stdout, b"");
    }
    wait_for("both connections", || {
        site.daemon.server.registry().list().is_empty()
    });
    for (session, _) in site.sessions() {
        let told = only(&site.daemon.complete(session.id), "port.local");
        assert!(failed(&told).contains("no rule"), "{told:?}");
    }
}

#[test]
fn a_certificate_that_does_not_permit_it_forwards_nothing() {
    let (port, _) = shouting();
    let place = format!("127.0.0.1:{port}");
    let site = site(to(&["*:*".to_owned()]));
    let own = site.account.name.clone();
    let refuse = [
        "-I",
        "anna",
        "-n",
        &own,
        "-V",
        "-5m:+1h",
        "-O",
        "no-port-forwarding",
    ];
    site.certify("ca", &refuse);
    assert_ne!(through(&site, &place, b"x").status.code(), Some(0));
    let told = only(&site.complete("ssh"), "port.local");
    assert!(failed(&told).contains("does not permit"), "{told:?}");
}

#[test]
fn a_target_that_does_not_answer_is_told_of() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    drop(listener);
    let site = site(to(&["127.0.0.1:*".to_owned()]));
    assert_ne!(through(&site, &place, b"x").status.code(), Some(0));
    let told = only(&site.complete("ssh"), "port.local");
    assert!(failed(&told).contains("cannot be reached"), "{told:?}");
}

#[test]
fn a_session_inside_a_forward_is_recognised_and_refused_unless_it_is_allowed() {
    for allowed in [false, true] {
        let site = site(Forwards {
            to: vec!["127.0.0.1:*".to_owned()],
            nested: allowed.then(|| "ssh".to_owned()).into_iter().collect(),
            ..Forwards::default()
        });
        let (port, target) = shouting();
        let out = through(&site, &format!("127.0.0.1:{port}"), b"SSH-2.0-inner\r\n");
        assert_eq!(out.stdout.is_empty(), !allowed, "{out:?}");
        target.join().unwrap();
        let stopped = only(&site.complete("ssh"), "port");
        assert_eq!(stopped.fields.text("proto"), Some("ssh"));
        match allowed {
            true => assert_eq!(stopped.fields.get("success"), Some(&true.into())),
            false => assert!(failed(&stopped).contains("ssh is spoken in it")),
        }
    }
}

/// Waits until a client has said this on its standard error; answers the line.
fn said_line(client: &mut Child, part: &str) -> String {
    let stderr = client.stderr.as_mut().unwrap();
    let (mut line, mut byte) = (Vec::new(), [0]);
    while stderr.read(&mut byte).unwrap() == 1 {
        match byte {
            [b'\n'] => {
                let said = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
                if said.contains(part) {
                    return said;
                }
            }
            [byte] => line.push(byte),
        }
    }
    panic!("{part} was never said");
}

#[test]
fn a_port_of_the_machine_leads_to_the_client_where_a_rule_allows_it() {
    let forwards = Forwards {
        listen: vec!["127.0.0.0/8:*".to_owned()],
        ..Forwards::default()
    };
    in_both_modes(&forwards, a_port_leads_to_the_client);
}

fn a_port_leads_to_the_client(site: &Site) {
    let (port, target) = shouting();
    let asked = format!("127.0.0.1:0:127.0.0.1:{port}");
    let mut client = std::process::Command::new("ssh");
    // The site's own options make it say less; the first of two settings counts.
    let client = client.args(["-F", "none", "-o", "LogLevel=INFO"]);
    let client = client.args(site.options()).args(["-N", "-R", &asked]);
    let client = client.arg("127.0.0.1").stdin(Stdio::null());
    let mut client = client.stderr(Stdio::piped()).spawn().unwrap();
    // Not from the record: the client must know it, too.
    let line = said_line(&mut client, "Allocated port");
    let given: u16 = line.split(' ').nth(2).unwrap().parse().unwrap();
    let connection = site.session("ssh");
    let mut guest = TcpStream::connect(("127.0.0.1", given)).unwrap();
    guest.set_read_timeout(Some(PATIENCE)).unwrap();
    guest.write_all(b"knock").unwrap();
    guest.shutdown(std::net::Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    guest.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"KNOCK");
    target.join().unwrap();
    let has_stopped = || !facts(&events(&site.daemon.recording(connection)), "port").is_empty();
    wait_for("its end", has_stopped);
    client.kill().unwrap();
    finished(client);
    let connection = site.complete("ssh");
    let listens = only(&connection, "port.remote");
    assert_eq!(number(&listens, "BindPort"), u64::from(given));
    let came = only(&connection, "port.remote_conn");
    assert_eq!(came.fields.get("success"), Some(&true.into()), "{came:?}");
    let stopped = only(&connection, "port");
    // From the client's side: it was sent the knock, and said it louder.
    assert_eq!((number(&stopped, "rx"), number(&stopped, "tx")), (5, 5));
    let gone = || TcpStream::connect(("127.0.0.1", given)).is_err();
    wait_for("nobody listens any more", gone);
}

#[test]
fn a_port_that_is_given_up_is_not_listened_at_any_more() {
    let site = site(Forwards {
        listen: vec!["127.0.0.1:*".to_owned()],
        ..Forwards::default()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let given_up = async {
        let handle = crate::coverage::signed_in(&site).await;
        let port = handle.tcpip_forward("127.0.0.1", 0).await.unwrap();
        let at = ("127.0.0.1", u16::try_from(port).unwrap());
        assert!(TcpListener::bind(at).is_err(), "somebody is there");
        handle
            .cancel_tcpip_forward("127.0.0.1", port)
            .await
            .unwrap();
        // Told twice, the second is refused.
        assert!(
            handle
                .cancel_tcpip_forward("127.0.0.1", port)
                .await
                .is_err()
        );
        at
    };
    let asked = async { tokio::time::timeout(PATIENCE, given_up).await };
    let at = runtime.block_on(asked).unwrap();
    drop(runtime);
    wait_for("nobody is there", || TcpListener::bind(at).is_ok());
    let connection = site.complete("ssh");
    let told: Vec<bool> = facts(&connection, "port.cancel")
        .iter()
        .map(|fact| fact.fields.get("success") == Some(&true.into()))
        .collect();
    assert_eq!(told, [true, false]);
}

#[test]
fn a_port_that_no_rule_allows_is_not_listened_at() {
    let site = site(Forwards {
        listen: vec!["127.0.0.1:1-1023".to_owned()],
        ..Forwards::default()
    });
    let options = [
        "-N",
        "-R",
        "127.0.0.1:0:127.0.0.1:9",
        "-o",
        "ExitOnForwardFailure=yes",
    ];
    let out = finished(site.ssh(&options, &[]).spawn().unwrap());
    assert_eq!(out.status.code(), Some(255), "{out:?}");
    let told = only(&site.complete("ssh"), "port.remote");
    assert!(failed(&told).contains("no rule"), "{told:?}");
}

/// Connects as soon as somebody listens: a socket is there before they do.
fn connected(path: &std::path::Path) -> UnixStream {
    let mut guest = None;
    wait_for("somebody listens", || {
        guest = UnixStream::connect(path).ok();
        guest.is_some()
    });
    guest.unwrap()
}

#[test]
fn sockets_are_forwarded_both_ways() {
    let dir = crate::support::TempDir::new();
    let forwards = Forwards {
        sockets: vec![format!("{}/*", dir.path().display())],
        ..Forwards::default()
    };
    let mode = std::cell::Cell::new("node");
    in_both_modes(&forwards, |site| {
        let place = dir.path().join(mode.replace("proxy"));
        fs::create_dir(&place).unwrap();
        sockets_lead_both_ways(site, &place);
        // Debian's sshd leaves its sockets where they were.
        if site.user == site.account.name {
            wait_for("its socket is gone", || !place.join("here").exists());
        }
    });
}

fn sockets_lead_both_ways(site: &Site, dir: &std::path::Path) {
    let (there, here) = (dir.join("there"), dir.join("here"));
    let listener = UnixListener::bind(&there).unwrap();
    let target = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        stream.write_all(format!("{said}, too").as_bytes()).unwrap();
    });
    // What connects here comes out at the client, which leads it back to the other one.
    let client_side = dir.join("client");
    let up = format!("{}:{}", here.display(), client_side.display());
    let down = format!("{}:{}", client_side.display(), there.display());
    let client = site
        .ssh(&["-N", "-L", &down, "-R", &up], &[])
        .spawn()
        .unwrap();
    wait_for("the client's socket", || client_side.exists());
    let mut guest = connected(&here);
    let mode = fs::metadata(&here).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    guest.set_read_timeout(Some(PATIENCE)).unwrap();
    guest.write_all(b"me").unwrap();
    guest.shutdown(std::net::Shutdown::Write).unwrap();
    let mut heard = String::new();
    guest.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "me, too");
    target.join().unwrap();
    let registry = site.daemon.server.registry();
    registry.end(site.session("ssh"), "enough", "bea").unwrap();
    finished(client);
    let connection = site.complete("ssh");
    for event in [
        "forward_streamlocal",
        "new_channel_forwarded_streamlocal",
        "new_channel_direct_streamlocal",
    ] {
        let told = only(&connection, event);
        assert_eq!(told.fields.get("success"), Some(&true.into()), "{told:?}");
    }
    assert_eq!(facts(&connection, "port").len(), 2);
}

#[test]
fn an_end_from_outside_is_the_forwards_end_too_and_stands_in_the_record() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let site = site(to(&["127.0.0.1:*".to_owned()]));
    let mut client = site.ssh(&["-W", &place], &[]);
    let mut client = client.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(b"hello").unwrap();
    let (mut target, _) = listener.accept().unwrap();
    target.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = [0; 5];
    target.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    let registry = site.daemon.server.registry();
    registry.end(site.session("ssh"), "enough", "bea").unwrap();
    finished(client);
    drop(stdin);
    assert_eq!(target.read(&mut heard).unwrap_or(0), 0);
    let connection = site.complete("ssh");
    assert_eq!(end_of(&connection).reason, "ended by bea: enough");
    let stopped = only(&connection, "port");
    assert_eq!(number(&stopped, "rx"), 5);
}

#[test]
fn an_agent_is_reached_by_programs_of_the_session_and_only_if_that_is_allowed() {
    for allowed in [true, false] {
        let forwards = Forwards {
            agent: allowed,
            ..Forwards::default()
        };
        in_both_modes(&forwards, |site| an_agent_is_reached(site, allowed));
    }
}

fn an_agent_is_reached(site: &Site, allowed: bool) {
    let socket = site.path("agent");
    let mut agent = std::process::Command::new("ssh-agent");
    let agent = agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null());
    let mut agent = agent.spawn().unwrap();
    wait_for("the agent", || UnixStream::connect(&socket).is_ok());
    let added = std::process::Command::new("ssh-add")
        .args(["-q"])
        .arg(site.path("user"))
        .env("SSH_AUTH_SOCK", &socket)
        .stderr(Stdio::null())
        .status();
    assert!(added.unwrap().success());
    // The site's own options say that there is no agent; the first of two settings counts.
    let own = format!("IdentityAgent={}", socket.display());
    let mut client = std::process::Command::new("ssh");
    client.args(["-F", "none", "-A", "-o", &own]);
    client
        .args(site.options())
        .args([
            "127.0.0.1",
            "ssh-add -l; ls -ld $(dirname ${SSH_AUTH_SOCK:-/none/x})",
        ])
        .env("SSH_AUTH_SOCK", &socket)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let out = finished(client.spawn().unwrap());
    agent.kill().unwrap();
    agent.wait().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(said.contains("ED25519"), allowed, "{out:?}");
    let connection = site.complete("ssh");
    let asked = facts(&connection, "agent-forward");
    match allowed {
        true => {
            assert!(said.contains("drwx------"), "{said}");
            assert_eq!(asked.len(), 2, "asked for, and used once: {asked:?}");
            let stopped = only(&connection, "port");
            assert_eq!(stopped.fields.text("addr"), Some("agent"));
        }
        false => assert!(failed(&asked[0]).contains("forward_agent")),
    }
}

#[test]
fn what_is_opened_is_opened_with_the_accounts_rights() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be somebody else");
        return;
    }
    let dir = crate::support::TempDir::new();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (own, open) = (dir.path().join("own"), dir.path().join("open"));
    let site = site(Forwards {
        sockets: vec![format!("{}/*", dir.path().display())],
        to: vec!["127.0.0.1:*".to_owned()],
        ..Forwards::default()
    });
    site.certify("ca", &["-I", "anna", "-n", "nobody", "-V", "-5m:+1h"]);
    let listeners = [&own, &open].map(|path| UnixListener::bind(path).unwrap());
    fs::set_permissions(&own, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
    let reached = |path: &std::path::Path| {
        let client_side = site.path("client-side");
        let _ = fs::remove_file(&client_side);
        let leads = format!("{}:{}", client_side.display(), path.display());
        let options = ["-l", "nobody", "-N", "-L", &leads];
        let mut client = std::process::Command::new("ssh");
        client
            .args(["-F", "none"])
            .args(options)
            .args(site.options());
        let client = client.arg("127.0.0.1").stdin(Stdio::null());
        let mut client = client.stderr(Stdio::null()).spawn().unwrap();
        let mut guest = connected(&client_side);
        guest.set_read_timeout(Some(PATIENCE)).unwrap();
        // One that is refused may be gone before it heard this.
        let _ = guest.write_all(b"x");
        let is_in = match path == open {
            true => {
                let (stream, _) = listeners[1].accept().unwrap();
                let peer = rustix::net::sockopt::socket_peercred(&stream).unwrap();
                assert_ne!(peer.uid.as_raw(), 0, "it is not the daemon that connects");
                true
            }
            // The client closes what is refused.
            false => guest.read(&mut [0]).unwrap_or(0) != 0,
        };
        client.kill().unwrap();
        client.wait().unwrap();
        is_in
    };
    assert!(reached(&open));
    assert!(!reached(&own));
    wait_for("both ends", || {
        site.daemon.server.registry().list().is_empty()
    });
    let told: Vec<Fact> = site
        .sessions()
        .into_iter()
        .flat_map(|(session, _)| {
            let connection = site.daemon.complete(session.id);
            facts(&connection, "new_channel_direct_streamlocal")
        })
        .collect();
    let why = |fact: &Fact| fact.fields.text("error").unwrap_or_default().to_owned();
    let denied = told.iter().filter(|fact| why(fact).contains("denied"));
    assert_eq!(denied.count(), 1, "{told:#?}");
}
