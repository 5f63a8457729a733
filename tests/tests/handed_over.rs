//! `hansard rec` without `--out`: the program runs here, a daemon on the machine records it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

mod terminal;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hansard_capture::local::{Config, Means, Server, THE_CLIENT_WENT_AWAY};
use hansard_core::event::{Body, End, Event, Stream};
use hansard_core::reader::{Item, Reader};
use hansard_core::seal::SigningKey;
use hansard_core::verify::{Verdict, verify};
use hansard_core::{Fields, Session, SessionId};
use hansard_record::handoff::{FromClient, FromDaemon, OPEN_BYTES_MAX, Opened, read_message};
use hansard_record::{Environment, OpenSessions, Spool, SpoolOptions};
use hansard_tests::{Scratch, hansard};
use terminal::on_terminal;

/// A daemon's capture side in this process.
struct Daemon {
    scratch: Scratch,
    spool: Spool,
    server: Server,
}

impl Daemon {
    fn new(name: &str) -> Self {
        Self::with(name, SpoolOptions::default(), |_| {})
    }

    fn with(name: &str, options: SpoolOptions, change: impl FnOnce(&mut Config)) -> Self {
        let scratch = Scratch::new(name);
        let env = Environment::real();
        let disk = Arc::clone(&env.disk);
        let spool = Spool::open(&scratch.join("spool"), Arc::clone(&disk), options).unwrap();
        let open = OpenSessions::open(&scratch.join("open"), disk, [1; 16]).unwrap();
        let given = spool.clone();
        let means = Means {
            key: SigningKey::from_seed([7; 32]),
            facts: Fields::new().with("server_hostname", "test-host"),
            recorder: "hansardd test".into(),
            sinks: Box::new(move || Box::new(given.clone())),
            env,
            open,
            tell: Box::new(|_| {}),
        };
        let mut config = Config::at(scratch.join("capture.sock"));
        change(&mut config);
        let server = Server::start(config, means).unwrap();
        Self {
            scratch,
            spool,
            server,
        }
    }

    fn socket(&self) -> String {
        path(&self.scratch.join("capture.sock"))
    }

    /// Every recording that is complete by now.
    fn complete(&self) -> Vec<Vec<Event>> {
        let mut all = BTreeMap::<SessionId, Vec<u8>>::new();
        for pending in self.spool.pending(None, usize::MAX) {
            let part = self.spool.read(&pending).unwrap();
            all.entry(pending.session).or_default().extend(part.bytes());
        }
        all.retain(|_, bytes| verify(bytes.as_slice()).unwrap().verdict == Verdict::Complete);
        all.values().map(|bytes| events(bytes)).collect()
    }

    /// The only recording, once it is complete.
    fn only(&self) -> Vec<Event> {
        wait_for("a complete recording", || !self.complete().is_empty());
        let mut all = self.complete();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    fn running(&self) -> SessionId {
        let registry = self.server.registry();
        wait_for("a session", || !registry.list().is_empty());
        registry.list()[0].session
    }
}

fn path(path: &std::path::Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn events(bytes: &[u8]) -> Vec<Event> {
    let mut reader = Reader::new(bytes);
    let mut events = Vec::new();
    loop {
        match reader.next_item().unwrap() {
            Item::Frame(frame) => events.extend(frame.events),
            Item::Seal(_) => {}
            Item::Damage(damage) => panic!("{damage}"),
            Item::End(_) => return events,
        }
    }
}

fn stream(events: &[Event], wanted: Stream) -> Vec<u8> {
    let mut all = Vec::new();
    for event in events {
        if let Body::Data { stream, bytes } = &event.body
            && *stream == wanted
        {
            all.extend_from_slice(bytes);
        }
    }
    all
}

fn end_of(events: &[Event]) -> &End {
    match &events.last().unwrap().body {
        Body::End(end) => end,
        other => panic!("{other:?}"),
    }
}

fn header(events: &[Event]) -> &Session {
    match &events[0].body {
        Body::Start(session) => session,
        other => panic!("{other:?}"),
    }
}

fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !so() {
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "waited for {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

fn program() -> String {
    path(hansard())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_terminal_session_is_recorded_byte_for_byte() {
    let daemon = Daemon::new("handed");
    let (hansard, socket) = (program(), daemon.socket());
    let script = "printf 'name? '; read x; printf 'hello %s\\n' \"$x\"; stty size; \
                  read y; stty size; seq 1 2000; exit 7";
    let command = [
        &hansard, "rec", "--quiet", "--socket", &socket, "--title", "a try", "--", "sh", "-c",
        script,
    ];
    let steps = [("name? ", "anna\r", None), ("24 80", "\r", Some((100, 30)))];
    let output = on_terminal(&command, &steps);
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        shown.contains("hello anna") && shown.ends_with("2000\r\n"),
        "{shown}"
    );

    let events = daemon.only();
    assert_eq!(stream(&events, Stream::Output), output.stdout);
    assert_eq!(end_of(&events).exit_status, Some(7));
    let sizes = events.iter().filter_map(|event| match event.body {
        Body::Resize { cols, rows } => Some((cols, rows)),
        _ => None,
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [(80, 24), (100, 30)]);
    let header = header(&events);
    assert_eq!(header.kind, "terminal");
    assert_eq!(header.target.text("title"), Some("a try"));
    assert_eq!(header.target.text("server_hostname"), Some("test-host"));
    assert!(header.subject.text("user").is_some());
    assert_eq!(stream(&events, Stream::Keystrokes), b"");
}

#[test]
fn two_programs_in_pipes_at_once_keep_their_streams_and_statuses() {
    let daemon = Daemon::new("handed");
    let runs: Vec<_> = [("1", 3), ("5", 4)]
        .into_iter()
        .map(|(first, status)| {
            let script = format!("cat; seq {first} 60000; echo oops >&2; exit {status}");
            let mut child = Command::new(hansard())
                .args(["rec", "--quiet", "--", "sh", "-c", &script])
                .env("HANSARD_RUNTIME_DIR", daemon.scratch.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(format!("in {first}\n").as_bytes()).unwrap();
            (first, status, child)
        })
        .collect();
    let outputs: Vec<_> = runs
        .into_iter()
        .map(|(first, status, child)| (first, status, child.wait_with_output().unwrap()))
        .collect();
    let recorded = daemon.complete();
    assert_eq!(recorded.len(), 2);
    for (first, status, output) in outputs {
        assert_eq!(output.status.code(), Some(status), "{}", said(&output));
        assert_eq!(output.stderr, b"oops\n");
        let input = format!("in {first}\n").into_bytes();
        let ours = recorded.iter().find(|r| stream(r, Stream::Stdin) == input);
        let ours = ours.expect("its recording");
        assert_eq!(stream(ours, Stream::Stdout), output.stdout);
        assert_eq!(stream(ours, Stream::Stderr), output.stderr);
        assert_eq!(end_of(ours).exit_status, u8::try_from(status).ok());
        assert_eq!(header(ours).kind, "exec");
    }
}

#[test]
fn what_is_in_force_is_said_before_and_obeyed() {
    let daemon = Daemon::with("handed", SpoolOptions::default(), |config| {
        config.policy.keystrokes = true;
        config.policy.stdin = false;
        config.wishes.stdin = false;
    });
    let run = Command::new(hansard())
        .args(["rec", "--socket", &daemon.socket(), "--", "true"])
        .output()
        .unwrap();
    let first = said(&run);
    let id = daemon.only()[0].clone();
    let Body::Start(session) = id.body else {
        panic!()
    };
    assert!(
        first.contains("its output and errors (its input is not)"),
        "{first}"
    );
    assert!(first.contains(&format!("as {}", session.id)), "{first}");

    let daemon = Daemon::with("handed", SpoolOptions::default(), |config| {
        config.policy.keystrokes = true;
    });
    let (hansard, socket) = (program(), daemon.socket());
    let command = [
        &hansard,
        "rec",
        "--socket",
        &socket,
        "--",
        "sh",
        "-c",
        "echo go; read x",
    ];
    let output = on_terminal(&command, &[("go", "typed\r", None)]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        shown.contains("what you type (hidden input is not)"),
        "{shown}"
    );
    assert_eq!(stream(&daemon.only(), Stream::Keystrokes), b"typed\r");
}

#[test]
fn without_a_daemon_it_says_what_to_do() {
    let scratch = Scratch::new("handed");
    let run = Command::new(hansard())
        .args(["rec", "--", "touch", &path(&scratch.join("ran"))])
        .env("HANSARD_RUNTIME_DIR", scratch.path())
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(125));
    let text = said(&run);
    assert!(
        text.contains("no daemon") && text.contains("capture.sock"),
        "{text}"
    );
    assert!(
        text.contains("hint: start hansardd") && text.contains("--out"),
        "{text}"
    );
    assert!(!scratch.join("ran").exists(), "it ran unrecorded");
    for wrong in [
        &["--key", "k"][..],
        &["--on-loss", "end"],
        &["--out", "f", "--socket", "s"],
    ] {
        let run = Command::new(hansard())
            .arg("rec")
            .args(wrong)
            .args(["--", "true"])
            .output();
        assert_eq!(run.unwrap().status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_quiet_session_that_an_auditor_ends_ends_at_once_and_says_who() {
    let daemon = Daemon::new("handed");
    let (hansard, socket) = (program(), daemon.socket());
    let run = thread::spawn(move || {
        let command = [&hansard, "rec", "--socket", &socket, "--", "sleep", "60"];
        let since = Instant::now();
        (on_terminal(&command, &[]), since.elapsed())
    });
    let id = daemon.running();
    daemon
        .server
        .registry()
        .end(id, "not you\x1b[2J", "anna")
        .unwrap();
    let (output, took) = run.join().unwrap();
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!(output.status.code(), Some(129));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        shown.contains("the session was ended: ended by anna: not you"),
        "{shown}"
    );
    assert!(!shown.contains('\x1b'), "{shown:?}");
    let events = daemon.only();
    assert!(end_of(&events).reason.starts_with("ended by anna: not you"));
}

#[test]
fn a_program_killed_hard_leaves_a_recording_that_says_so() {
    let daemon = Daemon::new("handed");
    let mut child = Command::new(hansard())
        .args(["rec", "--quiet", "--socket", &daemon.socket()])
        .args(["--", "sh", "-c", "echo alive; exec sleep 60"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = [0; 6];
    child.stdout.take().unwrap().read_exact(&mut shown).unwrap();
    let id = daemon.running();
    let held = || {
        daemon
            .spool
            .pending(None, usize::MAX)
            .iter()
            .filter(|p| p.session == id)
            .count()
    };
    wait_for("the first words", || held() > 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let events = daemon.only();
    assert_eq!(stream(&events, Stream::Stdout), b"alive\n");
    assert_eq!(end_of(&events).reason, THE_CLIENT_WENT_AWAY);
    assert!(matches!(&events[events.len() - 2].body, Body::Gap(gap) if gap.bytes_max.is_some()));
}

#[test]
fn a_full_spool_ends_the_session() {
    let small = SpoolOptions {
        bytes_max: 600_000,
        ..SpoolOptions::default()
    };
    let daemon = Daemon::with("handed", small, |config| config.policy.hold_ms_max = 200);
    let run = Command::new(hansard())
        .args(["rec", "--quiet", "--socket", &daemon.socket()])
        .args(["--", "cat", "/dev/urandom"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(125));
    let text = said(&run);
    assert!(
        text.contains("is full") && text.contains("cannot be recorded"),
        "{text}"
    );
}

#[test]
fn a_daemon_that_dies_ends_even_a_quiet_session_at_once() {
    let scratch = Scratch::new("handed");
    let socket = scratch.join("capture.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let dies = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = Vec::new();
        assert!(read_message(&mut stream, &mut buffer, OPEN_BYTES_MAX).unwrap());
        let Ok(FromClient::Open(open)) = FromClient::decode(&buffer) else {
            panic!("no opening")
        };
        let opened = FromDaemon::Opened(Opened {
            session: open.claims,
            notice: String::new(),
        });
        let mut answer = Vec::new();
        opened.encode(&mut answer);
        stream.write_all(&answer).unwrap();
        // Until the program is running: its terminal's size is its first word.
        assert!(read_message(&mut stream, &mut buffer, OPEN_BYTES_MAX).unwrap());
    });
    let (hansard, socket): (String, PathBuf) = (program(), socket);
    let socket = path(&socket);
    let command = [&hansard, "rec", "--socket", &socket, "--", "sleep", "60"];
    let since = Instant::now();
    let output = on_terminal(&command, &[]);
    dies.join().unwrap();
    assert!(
        since.elapsed() < Duration::from_secs(15),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(output.status.code(), Some(125));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        shown.contains("the daemon") && shown.contains("hint: "),
        "{shown}"
    );
}
