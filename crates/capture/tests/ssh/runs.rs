//! What runs, and what is recorded of it.

use std::io::Write as _;
use std::process::Stdio;

use hansard_core::event::{Body, Stream};
use hansard_core::policy::Policy;

use crate::site::{Site, facts, finished};
use crate::support::{end_of, header, shown, stream};

#[test]
fn a_command_is_run_and_recorded_stream_by_stream() {
    let site = Site::new();
    let out = site.run("printf 'a\\000\\377b'; printf 'wrong' >&2; exit 7");
    assert_eq!(out.status.code(), Some(7), "{out:?}");
    assert_eq!(out.stdout, b"a\0\xffb");
    assert_eq!(out.stderr, b"wrong");
    let exec = site.complete("exec");
    assert_eq!(stream(&exec, Stream::Stdout), b"a\0\xffb");
    assert_eq!(stream(&exec, Stream::Stderr), b"wrong");
    let end = end_of(&exec);
    assert_eq!((end.reason.as_str(), end.exit_status), ("exited", Some(7)));
    let connection = site.complete("ssh");
    let (inner, outer) = (header(&exec), header(&connection));
    assert_eq!(inner.parent, Some(outer.id));
    assert_eq!(outer.parent, None);
    for session in [inner, outer] {
        assert_eq!(session.subject.text("user"), Some("anna"));
        assert_eq!(
            session.subject.text("login"),
            Some(site.account.name.as_str())
        );
        let remote = session.origin.text("addr.remote").unwrap();
        assert!(remote.starts_with("127.0.0.1:"), "{remote}");
        let client = session.origin.text("client_version").unwrap();
        assert!(client.starts_with("SSH-2.0-OpenSSH"), "{client}");
        assert_eq!(session.target.text("server_id"), Some("h1"));
    }
    let command = inner.target.text("command").unwrap();
    assert!(command.starts_with("printf"), "{command}");
    let auth = facts(&connection, "auth");
    let last = auth.last().unwrap();
    assert_eq!(last.fields.get("success"), Some(&true.into()));
    for event in ["connect", "handshake", "new_channel", "exec", "disconnect"] {
        assert_eq!(facts(&connection, event).len(), 1, "{event}");
    }
    let agreed = &facts(&connection, "handshake")[0];
    let agreed = agreed.fields.text("message").unwrap();
    assert!(agreed.contains("cipher"), "{agreed}");
    assert!(site.said("auth").is_empty(), "{:?}", site.said("auth"));
}

#[test]
fn a_signal_is_how_a_command_ends() {
    let site = Site::new();
    let out = site.run("kill -TERM $$");
    assert_eq!(out.status.code(), Some(255), "{out:?}");
    let exec = site.complete("exec");
    let end = end_of(&exec);
    assert_eq!(end.signal.as_deref(), Some("TERM"));
    assert_eq!((end.reason.as_str(), end.exit_status), ("signalled", None));
}

#[test]
fn what_is_piped_in_comes_back_byte_for_byte() {
    let site = Site::new();
    // More than the window, the pipe and everything in between together, and not compressible.
    let mut state = 1_u64;
    let sent: Vec<u8> = (0..6 << 20)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    let mut client = site.ssh(&[], &["cat"]);
    let mut client = client.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = client.stdin.take().unwrap();
    let given = sent.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&given));
    let out = finished(client);
    writer.join().unwrap().unwrap();
    assert_eq!(out.status.code(), Some(0), "{:?}", out.stderr);
    assert!(out.stdout == sent, "{} bytes came back", out.stdout.len());
    let exec = site.complete("exec");
    assert!(stream(&exec, Stream::Stdin) == sent);
    assert!(stream(&exec, Stream::Stdout) == sent);
}

#[test]
fn a_terminal_is_the_accounts_own_and_shows_what_it_shows() {
    let site = Site::new();
    let command =
        "tty; stty size; echo $TERM; test $SSH_TTY = $(tty) && test -O $(tty) && echo own";
    let mut client = site.ssh(&["-tt"], &[command]);
    let out = finished(client.env("TERM", "vt220").spawn().unwrap());
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let said = String::from_utf8(out.stdout.clone()).unwrap();
    assert!(said.starts_with("/dev/pts/"), "{said}");
    assert!(said.contains("\r\nvt220\r\n"), "{said}");
    assert!(said.ends_with("own\r\n"), "{said}");
    let terminal = site.complete("terminal");
    assert_eq!(shown(&terminal), out.stdout);
    assert_eq!(header(&terminal).origin.text("term"), Some("vt220"));
    let is_sized = |event: &hansard_core::Event| matches!(event.body, Body::Resize { .. });
    assert!(terminal.iter().any(is_sized));
    assert_eq!(facts(&site.complete("ssh"), "pty").len(), 1);
}

#[test]
fn a_program_finds_what_belongs_to_the_account_and_nothing_of_the_daemon() {
    let site = Site::new();
    let mut client = site.ssh(
        &["-o", "SetEnv=LC_HANSARD=yes LD_PRELOAD=/no FOO=bar"],
        &["env; pwd; ls /proc/self/fd | wc -l; ulimit -n"],
    );
    let out = finished(client.spawn().unwrap());
    let said = String::from_utf8(out.stdout).unwrap();
    let has = |line: &str| said.lines().any(|l| l == line);
    assert!(has("LC_HANSARD=yes"), "{said}");
    assert!(
        !said.contains("FOO=") && !said.contains("LD_PRELOAD="),
        "{said}"
    );
    assert!(!said.contains("CARGO"), "{said}");
    assert!(has(&format!("USER={}", site.account.name)), "{said}");
    assert!(
        has(&format!("HOME={}", site.account.home.display())),
        "{said}"
    );
    assert!(said.contains("SSH_CONNECTION=127.0.0.1 "), "{said}");
    let connection = site.complete("ssh");
    let env = facts(&connection, "env");
    let outcome = |name: &str| {
        let fact = env.iter().find(|f| f.fields.text("name") == Some(name));
        let fact = fact.unwrap();
        (
            fact.fields.get("success") == Some(&true.into()),
            fact.fields.text("value").map(ToOwned::to_owned),
        )
    };
    assert_eq!(outcome("LC_HANSARD"), (true, Some("yes".into())));
    assert_eq!(outcome("LD_PRELOAD"), (false, None));
    assert_eq!(outcome("FOO"), (false, None));
}

#[test]
fn what_the_policy_does_not_keep_is_not_there_and_the_session_is() {
    let site = Site::with(
        |_| {},
        |local| {
            local.policy = Policy {
                stdout: false,
                stdin: false,
                ..Policy::default()
            }
        },
    );
    let out = site.run("echo out; echo err >&2");
    assert_eq!(out.stdout, b"out\n");
    let exec = site.complete("exec");
    assert_eq!(stream(&exec, Stream::Stdout), b"");
    assert_eq!(stream(&exec, Stream::Stderr), b"err\n");
}

#[test]
fn channels_of_one_connection_are_sessions_of_their_own() {
    let site = Site::new();
    let control = site.path("control");
    let control = format!("ControlPath={}", control.display());
    let master = ["-o", "ControlMaster=yes", "-o", &control, "-N"];
    let mut master = site.ssh(&master, &[]).spawn().unwrap();
    crate::support::wait_for("the control socket", || site.path("control").exists());
    // One after the other, more than there may be at a time: the places of those that are over are free again.
    // Whoever is refused takes a connection of their own, or, as a proxy of the shared one, ends that.
    let shared: [&[&str]; 2] = [&["-o", &control], &["-o", &control, "-O", "proxy"]];
    for number in 0..24 {
        let out = site.ssh(shared[number % 2], &[&format!("echo {number}")]);
        let out = finished({ out }.spawn().unwrap());
        assert_eq!(out.stdout, format!("{number}\n").into_bytes(), "{out:?}");
    }
    let _ = finished(
        site.ssh(&["-o", &control, "-O", "exit"], &[])
            .spawn()
            .unwrap(),
    );
    let _ = master.wait();
    let connection = site.complete("ssh");
    assert_eq!(facts(&connection, "exec").len(), 24);
    let sessions = site.sessions();
    let inside = sessions
        .iter()
        .filter(|(session, _)| session.parent == Some(header(&connection).id));
    assert_eq!(inside.count(), 24);
}
