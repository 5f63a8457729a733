//! The capture socket: sessions recorded, ended, refused, lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use hansard_capture::NotRunning;
use hansard_capture::local::{Config, Happening, THE_CLIENT_WENT_AWAY, THE_DAEMON_STOPS};
use hansard_core::event::{Body, End, Fact, Gap, Stream};
use hansard_core::{Fields, OnLoss, SessionId};
use hansard_record::SpoolOptions;
use hansard_record::handoff::{
    FromClient, FromDaemon, HandoffTape, LOSS_BYTES_MAX, NotOpened, OPEN_BYTES_MAX, Open, VERSION,
    read_message,
};
use hansard_record::revive::{Fate, WITHOUT_A_WORD};
use support::{Daemon, TempDir, claims, end_of, gaps, header, shown, wait_for};

fn exited(status: u8) -> End {
    End {
        reason: "exited".into(),
        exit_status: Some(status),
        signal: None,
    }
}

#[test]
fn what_is_handed_over_is_recorded_as_it_is_and_says_who_it_was() {
    let daemon = Daemon::new();
    let tape = daemon.tape();
    let session = tape.session().clone();
    assert!(tape.notice().contains(&session.id.to_string()));
    tape.event(Body::Resize { cols: 80, rows: 24 }).unwrap();
    let truth: Vec<u8> = (0..1_000_000u32)
        .flat_map(|n| (n % 251).to_le_bytes())
        .collect();
    for piece in truth.chunks(70_001) {
        tape.data(Stream::Output, piece).unwrap();
    }
    tape.flush().unwrap();
    assert_eq!(tape.close(exited(3)).unwrap().gaps, 0);

    let events = daemon.complete(session.id);
    assert_eq!(shown(&events), truth);
    assert_eq!(end_of(&events), &exited(3));
    let header = header(&events);
    assert_eq!(header, &session);
    // Who and where is the system's word; what the program says of that is a claim.
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(
        header.subject.get("uid").unwrap().as_uint(),
        Some(u64::from(uid))
    );
    assert_ne!(header.subject.text("user"), Some("somebody-else"));
    assert_eq!(header.origin.text("claimed.user"), Some("somebody-else"));
    assert_eq!(header.origin.text("claimed.addr.remote"), Some("192.0.2.1"));
    assert_eq!(header.origin.text("addr.remote"), None);
    assert_eq!(header.origin.text("term"), Some("xterm"));
    assert_eq!(header.target.text("server_id"), Some("h1"));
    assert_eq!(header.target.text("claimed.server_id"), Some("h2"));
    assert_eq!(header.target.text("command"), Some("top"));
    assert_eq!(header.recorder_key, support::key().public());
    assert_ne!(header.id, claims().id);
    wait_for("the note's removal", || daemon.notes() == 0);
}

#[test]
fn wishes_are_granted_as_configured() {
    for (granted, configured) in [(true, false), (false, false), (false, true)] {
        let daemon = Daemon::with(TempDir::new(), SpoolOptions::default(), |config| {
            config.wishes.keystrokes = granted;
            config.policy.keystrokes = configured;
        });
        let mut wished = claims();
        wished.policy.keystrokes = true;
        wished.policy.on_loss = OnLoss::Continue;
        let tape = HandoffTape::open(&daemon.socket(), wished).unwrap();
        let policy = &tape.session().policy;
        assert_eq!(policy.keystrokes, granted || configured);
        assert_eq!(policy.on_loss, OnLoss::Hold);
        let typed = tape.notice().contains("what you type (hidden");
        assert_eq!(typed, policy.keystrokes, "{}", tape.notice());
        tape.close(exited(0)).unwrap();
    }
}

#[test]
fn two_at_once_are_listed_followed_and_apart() {
    let daemon = Daemon::new();
    let registry = daemon.server.registry();
    let (one, two) = (daemon.tape(), daemon.tape());
    let listed: Vec<SessionId> = registry.list().iter().map(|r| r.session).collect();
    // Of one millisecond, the order is that of their identifiers.
    let mut begun = [one.session().id, two.session().id];
    begun.sort();
    assert_eq!(listed, begun);
    let first = &registry.list()[0];
    assert_eq!((first.command.as_str(), first.is_ending), ("top", false));
    assert_eq!(first.pid, i32::try_from(std::process::id()).ok());
    thread::scope(|scope| {
        for (tape, byte) in [(&one, 1u8), (&two, 2)] {
            scope.spawn(move || {
                for _ in 0..200 {
                    tape.data(Stream::Output, &[byte; 999]).unwrap();
                }
            });
        }
    });
    one.flush().unwrap();
    // While somebody follows, what happens is there well before the second that is promised; a busy
    // machine is given several chances to show it.
    registry.set_followed(one.session().id, true).unwrap();
    let mut told = 0;
    let is_soon = (0..20).any(|_| {
        let parts = daemon.spool.usage().parts;
        let since = Instant::now();
        one.data(Stream::Output, b"x").unwrap();
        wait_for("a frame", || daemon.spool.usage().parts > parts);
        told += 1;
        since.elapsed() < Duration::from_millis(600)
    });
    assert!(is_soon);
    registry.set_followed(one.session().id, false).unwrap();
    one.close(exited(0)).unwrap();
    two.close(exited(0)).unwrap();
    let first = shown(&daemon.complete(one.session().id));
    assert_eq!(
        (first.len(), first[0], first[199_800]),
        (199_800 + told, 1, b'x')
    );
    assert_eq!(shown(&daemon.complete(two.session().id)), vec![2; 199_800]);
    wait_for("an empty list", || registry.list().is_empty());
    assert_eq!(registry.set_followed(first_id(&one), true), Err(NotRunning));
}

fn first_id(tape: &HandoffTape) -> SessionId {
    tape.session().id
}

#[test]
fn whoever_ends_a_session_is_named_in_its_end() {
    let daemon = Daemon::new();
    let tape = daemon.tape();
    let id = tape.session().id;
    daemon.server.registry().end(id, "not you", "anna").unwrap();
    assert!(daemon.server.registry().list()[0].is_ending);
    wait_for("word", || tape.check().is_err());
    assert!(tape.check().unwrap_err().is_ended);
    tape.close(exited(7)).unwrap();
    let events = daemon.complete(id);
    assert_eq!(end_of(&events).reason, "ended by anna: not you");
    assert_eq!(end_of(&events).exit_status, Some(7));
    assert_eq!(gaps(&events), Vec::<&Gap>::new());
    wait_for("an empty list", || {
        daemon.server.registry().list().is_empty()
    });
    assert_eq!(daemon.server.registry().end(id, "", ""), Err(NotRunning));
}

#[test]
fn a_program_that_does_not_end_is_not_waited_for() {
    let daemon = Daemon::with(TempDir::new(), SpoolOptions::default(), |config| {
        config.end_wait = Duration::from_millis(50);
    });
    let tape = daemon.tape();
    let id = tape.session().id;
    tape.data(Stream::Output, b"before").unwrap();
    tape.flush().unwrap();
    daemon.server.registry().end(id, "enough", "").unwrap();
    let events = daemon.complete(id);
    assert_eq!(shown(&events), b"before");
    assert_eq!(end_of(&events).reason, "enough");
    assert_eq!(gaps(&events)[0].bytes_max, Some(LOSS_BYTES_MAX));
    // The recording is complete, and says what of it is missing.
    wait_for("word", || tape.check().is_err());
    assert_eq!(tape.close(exited(0)).unwrap().gaps, 1);
}

#[test]
fn a_program_that_dies_leaves_a_gap_and_an_end() {
    let daemon = Daemon::new();
    let tape = daemon.tape();
    let id = tape.session().id;
    tape.data(Stream::Output, b"last words").unwrap();
    tape.flush().unwrap();
    drop(tape);
    let events = daemon.complete(id);
    assert_eq!(shown(&events), b"last words");
    let gap = gaps(&events)[0];
    assert_eq!(gap.cause, THE_CLIENT_WENT_AWAY);
    assert_eq!((gap.bytes, gap.bytes_max), (None, Some(LOSS_BYTES_MAX)));
    assert_eq!(end_of(&events).reason, THE_CLIENT_WENT_AWAY);
    wait_for("word of it", || {
        daemon.has_told(|what| matches!(what, Happening::Ended { session, .. } if *session == id))
    });
}

/// A program that may go on unrecorded may have done so before it went, and nobody but itself has counted
/// how much that was: the recording does not say that it was little.
#[test]
fn a_program_that_may_go_on_unrecorded_leaves_a_gap_of_which_nobody_knows_how_large_it_is() {
    let daemon = Daemon::with(TempDir::new(), SpoolOptions::default(), |config| {
        config.policy.on_loss = OnLoss::Continue;
    });
    let tape = daemon.tape();
    let id = tape.session().id;
    tape.data(Stream::Output, b"last words").unwrap();
    tape.flush().unwrap();
    drop(tape);
    let events = daemon.complete(id);
    let gap = gaps(&events)[0];
    assert_eq!(gap.cause, THE_CLIENT_WENT_AWAY);
    assert_eq!((gap.bytes, gap.bytes_max), (None, None));
}

/// Speaks to the socket without the program's half.
fn says(daemon: &Daemon, message: &[u8]) -> FromDaemon {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    stream.write_all(message).unwrap();
    hears(&mut stream)
}

fn hears(stream: &mut UnixStream) -> FromDaemon {
    let mut buffer = Vec::new();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert!(read_message(stream, &mut buffer, OPEN_BYTES_MAX).unwrap());
    FromDaemon::decode(&buffer).unwrap()
}

fn opening(kind: &str) -> Vec<u8> {
    let mut claims = claims();
    claims.kind = kind.into();
    let mut out = Vec::new();
    FromClient::Open(Open {
        version: VERSION,
        claims: Box::new(claims),
    })
    .encode(&mut out);
    out
}

#[test]
fn nonsense_is_refused_and_recorded_nowhere() {
    let daemon = Daemon::new();
    let mut flush = Vec::new();
    FromClient::Flush(1).encode(&mut flush);
    let hostile: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[5, 0, 0, 0, 1, 8, 9, 18, 0],
        &[1, 0, 0, 0, 0x77],
        &flush,
        &opening("service"),
    ];
    let since = Instant::now();
    for message in hostile {
        let answer = says(&daemon, message);
        assert!(matches!(answer, FromDaemon::Refused(_)), "{answer:?}");
    }
    assert!(support::recordings(&daemon.spool).is_empty());
    assert_eq!(daemon.notes(), 0);
    // Told once, and the others with the next one that comes a second later.
    thread::sleep(Duration::from_millis(1010));
    says(&daemon, &flush);
    let times = || {
        let told = daemon.happened.lock().unwrap().clone();
        let times = told.iter().map(|what| match what {
            Happening::Refused { times, .. } => *times,
            other => panic!("{other:?}"),
        });
        times.collect::<Vec<_>>()
    };
    let all = hostile.len() as u64 + 1;
    wait_for("word of all", || times().iter().sum::<u64>() == all);
    // Once a second at most: on a machine that is held up more than one passes meanwhile.
    let seconds = since.elapsed().as_secs();
    assert_eq!(times()[0], 1);
    assert!(
        times().len() as u64 <= 1 + seconds,
        "{:?} in {seconds} s",
        times()
    );
}

#[test]
fn who_asks_for_logins_where_none_are_served_is_told_so() {
    let daemon = Daemon::new();
    let mut probe = Vec::new();
    FromClient::Probe.encode(&mut probe);
    match says(&daemon, &probe) {
        FromDaemon::Refused(why) => assert!(why.contains("capture.shell"), "{why}"),
        answer => panic!("{answer:?}"),
    }
    // A refusal behind it is the first in the diary.
    let mut flush = Vec::new();
    FromClient::Flush(1).encode(&mut flush);
    says(&daemon, &flush);
    wait_for("word of it", || daemon.happened.lock().unwrap().len() == 1);
    assert!(daemon.has_told(|what| matches!(what, Happening::Refused { times: 1, .. })));
}

#[test]
fn a_program_says_nothing_that_is_the_daemons_to_say() {
    let daemon = Daemon::new();
    let fact = Fact {
        event: "user.create".into(),
        fields: Fields::new(),
    };
    let forbidden = [
        Body::Admin(fact.clone()),
        Body::Auth(fact),
        Body::Gap(Gap::default()),
        Body::End(End::default()),
        Body::Start(Box::new(claims())),
    ];
    for body in forbidden {
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        let mut bytes = opening("terminal");
        FromClient::Data {
            stream: Stream::Output,
            bytes: b"before",
        }
        .encode(&mut bytes);
        FromClient::Event(body).encode(&mut bytes);
        stream.write_all(&bytes).unwrap();
        let FromDaemon::Opened(opened) = hears(&mut stream) else {
            panic!("not opened")
        };
        let events = daemon.complete(opened.session.id);
        assert_eq!(shown(&events), b"before");
        assert!(end_of(&events).reason.contains("protocol"), "{events:?}");
        assert_eq!(events.len(), 4);
    }
}

#[test]
fn one_connection_too_many_is_told_so_and_the_others_go_on() {
    let daemon = Daemon::with(TempDir::new(), SpoolOptions::default(), |config| {
        config.connections_of_user_max = 2;
    });
    let (one, two) = (daemon.tape(), daemon.tape());
    let refused = HandoffTape::open(&daemon.socket(), claims());
    let Err(NotOpened::Refused(why)) = refused else {
        panic!("not refused")
    };
    assert!(why.starts_with("2 sessions of yours"), "{why}");
    wait_for("word of it", || {
        daemon.has_told(|what| matches!(what, Happening::Refused { uid: Some(_), .. }))
    });
    one.close(exited(0)).unwrap();
    drop(one);
    let mut three = None;
    wait_for("the place to be free", || {
        three = HandoffTape::open(&daemon.socket(), claims()).ok();
        three.is_some()
    });
    two.close(exited(0)).unwrap();
    three.unwrap().close(exited(0)).unwrap();

    let daemon = Daemon::with(TempDir::new(), SpoolOptions::default(), |config| {
        config.connections_max = 0;
    });
    let refused = HandoffTape::open(&daemon.socket(), claims());
    let Err(NotOpened::Refused(why)) = refused else {
        panic!("not refused")
    };
    assert!(why.contains("(capture.local.sessions_max)"), "{why}");
}

#[test]
fn who_has_many_connections_leaves_places_for_others() {
    let daemon = Daemon::with(TempDir::new(), SpoolOptions::default(), |config| {
        config.connections_max = 20;
    });
    // Also those that say nothing.
    let silent: Vec<_> = (0..10)
        .map(|_| UnixStream::connect(daemon.socket()).unwrap())
        .collect();
    let refused = HandoffTape::open(&daemon.socket(), claims());
    let Err(NotOpened::Refused(why)) = refused else {
        panic!("not refused")
    };
    assert!(why.contains("the last 10 places"), "{why}");
    drop(silent);
}

#[test]
fn a_full_spool_ends_the_session_and_the_next_start_its_recording() {
    let small = SpoolOptions {
        bytes_max: 600_000,
        ..SpoolOptions::default()
    };
    let daemon = Daemon::with(TempDir::new(), small, |config| {
        config.policy.hold_ms_max = 300;
    });
    let tape = daemon.tape();
    let id = tape.session().id;
    // Noise, which does not get smaller.
    let mut noise = hansard_record::sim::Rng::new(1);
    let mut pieces = std::iter::from_fn(|| {
        Some(
            (0..1024)
                .flat_map(|_| noise.next_u64().to_le_bytes())
                .collect::<Vec<u8>>(),
        )
    });
    let mut given = pieces.next().unwrap();
    tape.data(Stream::Output, &given).unwrap();
    tape.flush().unwrap();
    let gone = loop {
        let piece = pieces.next().unwrap();
        match tape.data(Stream::Output, &piece) {
            Ok(()) => given.extend(piece),
            Err(gone) => break gone,
        }
        assert!(given.len() < 64 << 20, "the spool never fills");
    };
    assert!(gone.why.contains("is full"), "{gone}");
    assert!(tape.close(exited(0)).is_err());
    wait_for("word of it", || {
        daemon.has_told(|what| matches!(what, Happening::Lost { session, .. } if *session == id))
    });
    let Daemon {
        dir,
        server,
        spool,
        open,
        ..
    } = daemon;
    assert_eq!(server.stop(), 0);
    drop((spool, open));

    let daemon = Daemon::with(dir, SpoolOptions::default(), |_| {});
    assert!(
        matches!(daemon.revival.fate(id), Fate::Complete(_)),
        "{:?}",
        daemon.revival
    );
    let events = daemon.complete(id);
    let kept = shown(&events);
    assert!(!kept.is_empty() && given.starts_with(&kept));
    let gap = gaps(&events)[0];
    assert!(
        gap.bytes_max.unwrap() >= (given.len() - kept.len()) as u64,
        "{gap:?}"
    );
    assert_eq!(end_of(&events).reason, WITHOUT_A_WORD);
}

#[test]
fn a_daemon_that_stops_brings_all_to_their_ends() {
    let daemon = Daemon::with(TempDir::new(), SpoolOptions::default(), |config| {
        config.stop_wait = Duration::from_millis(100);
    });
    let (good, deaf) = (daemon.tape(), daemon.tape());
    let ids = [good.session().id, deaf.session().id];
    deaf.data(Stream::Output, b"sent").unwrap();
    deaf.flush().unwrap();
    let closes = thread::spawn(move || {
        wait_for("word", || good.check().is_err());
        good.close(exited(1)).unwrap();
    });
    let (socket, spool) = (daemon.socket(), daemon.spool.clone());
    assert_eq!(daemon.server.stop(), 0);
    closes.join().unwrap();
    assert!(!socket.exists());
    let recorded = support::recordings(&spool);
    let ends = ids.map(|id| end_of(&support::events(&recorded[&id])).clone());
    assert_eq!(ends.clone().map(|end| end.reason), [THE_DAEMON_STOPS; 2]);
    assert_eq!(ends.map(|end| end.exit_status), [Some(1), None]);
    assert!(deaf.check().is_err());
}

#[test]
fn only_a_socket_that_nobody_answers_at_is_taken_over() {
    let dir = TempDir::new();
    let socket = dir.path().join("capture.sock");
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let daemon = Daemon::with(dir, SpoolOptions::default(), |_| {});
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    daemon.tape().close(exited(0)).unwrap();

    let other = Daemon::with(TempDir::new(), SpoolOptions::default(), |_| {});
    let means = |daemon: &Daemon| hansard_capture::local::Means {
        key: support::key(),
        facts: Fields::new(),
        recorder: String::new(),
        sinks: Box::new(|| Box::new(hansard_record::MemorySink::new())),
        env: hansard_record::Environment::real(),
        open: daemon.open.clone(),
        tell: Box::new(|_| {}),
    };
    let taken = Config::at(socket);
    let outcome = hansard_capture::local::Server::start(taken, means(&other))
        .err()
        .unwrap();
    assert_eq!(outcome.kind(), std::io::ErrorKind::AddrInUse, "{outcome}");
    let file = other.dir.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let outcome = hansard_capture::local::Server::start(Config::at(file.clone()), means(&other));
    assert!(outcome.is_err());
    let mut kept = String::new();
    std::fs::File::open(file)
        .unwrap()
        .read_to_string(&mut kept)
        .unwrap();
    assert_eq!(kept, "precious");
}
