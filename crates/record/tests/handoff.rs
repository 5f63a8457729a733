//! The messages of the capture socket: their bytes, hostile ones, and the program's half against a
//! daemon that misbehaves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hansard_core::event::{Body, End, Gap, Stream};
use hansard_core::policy::OnLoss;
use hansard_core::{Fields, Session};
use hansard_record::handoff::{
    BUFFER_BYTES, Closed, DATA_BYTES_MAX, FromClient, FromDaemon, HandoffTape, MESSAGE_BYTES_MAX,
    NotOpened, OPEN_BYTES_MAX, Open, Opened, ReadFailed, SOCKET_BYTES, VERSION, read_message,
};
use proptest::prelude::*;
use support::{TempDir, session};

fn claims() -> Session {
    session(1, OnLoss::Hold, 1000)
}

fn from_client(message: &FromClient<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

fn from_daemon(message: &FromDaemon) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Takes the length off.
fn read_back(bytes: &[u8]) -> Vec<u8> {
    let (mut source, mut buffer) = (bytes, Vec::new());
    assert!(read_message(&mut source, &mut buffer, MESSAGE_BYTES_MAX).unwrap());
    assert!(source.is_empty());
    buffer
}

#[test]
fn the_bytes_are_those_of_the_page() {
    let end = End {
        reason: "exited".into(),
        exit_status: Some(3),
        signal: None,
    };
    let data = FromClient::Data {
        stream: Stream::Output,
        bytes: b"hi",
    };
    let resize = FromClient::Event(Body::Resize { cols: 80, rows: 24 });
    let of_client = [
        (data, "040000000210".to_owned() + "6869"),
        (resize, "06000000030f08501018".to_owned()),
        (FromClient::Flush(300), "040000000408ac02".to_owned()),
        (
            FromClient::Close(end),
            "0b000000050a06657869746564".to_owned() + "1003",
        ),
    ];
    for (message, bytes) in of_client {
        assert_eq!(hex(&from_client(&message)), bytes, "{message:?}");
    }
    let closed = Closed {
        gaps: 1,
        missing_bytes: 2,
        stored_bytes: 300,
    };
    let of_daemon = [
        (FromDaemon::Refused("no".into()), "05000000820a026e6f"),
        (FromDaemon::Durable(300), "040000008308ac02"),
        (FromDaemon::Closed(closed), "080000008408011002"),
        (FromDaemon::Lost("no".into()), "05000000850a026e6f"),
        (
            FromDaemon::End {
                reason: "no".into(),
                by: "me".into(),
            },
            "09000000860a026e6f12026d65",
        ),
        (FromDaemon::Drained { fault: "".into() }, "0100000088"),
        (
            FromDaemon::Drained { fault: "no".into() },
            "05000000880a026e6f",
        ),
    ];
    for (message, bytes) in of_daemon {
        let written = hex(&from_daemon(&message));
        let bytes = match message {
            FromDaemon::Closed(_) => format!("{bytes}18ac02"),
            _ => bytes.to_owned(),
        };
        assert_eq!(written, bytes, "{message:?}");
    }
    // A header is the body of a recording's first event, of which segment.md says every byte.
    let mut header = Vec::new();
    hansard_core::body::encode(&Body::Start(Box::new(claims())), &mut header);
    let open = from_client(&FromClient::Open(Open {
        version: VERSION,
        claims: Box::new(claims()),
    }));
    assert_eq!(
        hex(&open[4..9]),
        format!("01080112{:02x}", 0x80 | (header.len() & 0x7f))
    );
    assert_eq!(open[10..], header);
    let opened = from_daemon(&FromDaemon::Opened(Opened {
        session: Box::new(claims()),
        notice: "so".into(),
    }));
    assert_eq!(hex(&opened[4..6]), "810a");
    assert!(opened.ends_with(b"\x12\x02so"));
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (any::<u16>(), any::<u16>()).prop_map(|(cols, rows)| Body::Resize { cols, rows }),
        ".{0,40}".prop_map(|label| Body::Mark { label }),
        (".{0,20}", any::<u64>()).prop_map(|(cause, from_ns)| Body::Gap(Gap {
            cause,
            from_ns,
            ..Gap::default()
        })),
    ]
}

proptest! {
    #[test]
    fn what_is_said_is_heard(
        event in body(), bytes in proptest::collection::vec(any::<u8>(), 1..200),
        n in any::<u64>(), text in ".{0,40}", status in any::<Option<u8>>(),
    ) {
        let end = End { reason: text.clone(), exit_status: status, signal: None };
        let said = [
            FromClient::Data { stream: Stream::Keystrokes, bytes: &bytes },
            FromClient::Event(event),
            FromClient::Flush(n),
            FromClient::Close(end),
            FromClient::Open(Open { version: VERSION, claims: Box::new(claims()) }),
        ];
        for message in said {
            let heard = read_back(&from_client(&message));
            prop_assert_eq!(FromClient::decode(&heard).unwrap(), message);
        }
        let said = [
            FromDaemon::Refused(text.clone()),
            FromDaemon::Lost(text.clone()),
            FromDaemon::Drained { fault: text.clone() },
            FromDaemon::Durable(n),
            FromDaemon::Closed(Closed { gaps: n, missing_bytes: n / 2, stored_bytes: 1 }),
            FromDaemon::End { reason: text.clone(), by: text.clone() },
            FromDaemon::Opened(Opened { session: Box::new(claims()), notice: text }),
        ];
        for message in said {
            let heard = read_back(&from_daemon(&message));
            prop_assert_eq!(FromDaemon::decode(&heard).unwrap(), message);
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (mut source, mut buffer) = (bytes.as_slice(), Vec::new());
        while let Ok(true) = read_message(&mut source, &mut buffer, 200) {
            prop_assert!(!buffer.is_empty() && buffer.len() <= 200);
            let _ = FromClient::decode(&buffer);
            let _ = FromDaemon::decode(&buffer);
        }
        for kind in [1u8, 2, 3, 4, 5, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86] {
            let message = [&[kind], bytes.as_slice()].concat();
            if let Ok(heard) = FromClient::decode(&message) {
                let again = read_back(&from_client(&heard));
                prop_assert_eq!(FromClient::decode(&again).unwrap(), heard);
            }
            if let Ok(heard) = FromDaemon::decode(&message) {
                let again = read_back(&from_daemon(&heard));
                prop_assert_eq!(FromDaemon::decode(&again).unwrap(), heard);
            }
        }
    }
}

#[test]
fn a_length_is_believed_only_within_its_bound_and_costs_nothing_before() {
    let mut buffer = Vec::new();
    for length in [0u32, 201, u32::MAX] {
        let bytes = length.to_le_bytes();
        let outcome = read_message(&mut bytes.as_slice(), &mut buffer, 200);
        assert!(matches!(outcome, Err(ReadFailed::Malformed(_))), "{length}");
    }
    let mut bytes = u32::try_from(MESSAGE_BYTES_MAX)
        .unwrap()
        .to_le_bytes()
        .to_vec();
    bytes.push(2);
    let outcome = read_message(&mut bytes.as_slice(), &mut buffer, MESSAGE_BYTES_MAX);
    assert!(matches!(outcome, Err(ReadFailed::Io(_))));
    assert!(buffer.capacity() < 64 * 1024, "{}", buffer.capacity());
    assert!(!read_message(&mut [].as_slice(), &mut buffer, 200).unwrap());
    let outcome = read_message(&mut [1, 0].as_slice(), &mut buffer, 200);
    assert!(matches!(outcome, Err(ReadFailed::Io(_))));
}

#[test]
fn another_version_is_named_and_its_claims_are_not_read() {
    let mut m = hansard_core::wire::MessageWriter::new();
    m.uint(1, 7).bytes(2, b"what version 7 says");
    let message = [vec![1], m.finish()].concat();
    let error = FromClient::decode(&message).unwrap_err().0;
    assert!(
        error.contains("version 7") && error.contains("version 1"),
        "{error}"
    );
    // Also where it is said behind claims that could be read.
    let claims = claims();
    let open = FromClient::Open(Open {
        version: VERSION,
        claims: Box::new(claims),
    });
    let mut twice = hansard_core::wire::MessageWriter::new();
    twice.uint(1, 7);
    let message = [read_back(&from_client(&open)), twice.finish()].concat();
    let error = FromClient::decode(&message).unwrap_err().0;
    assert!(error.contains("version 7"), "{error}");
}

/// A daemon that does what a test says, for one connection.
struct Fake {
    _dir: TempDir,
    socket: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    fn new(act: impl FnOnce(UnixStream) + Send + 'static) -> Self {
        let dir = TempDir::new("handoff");
        let socket = dir.path().join("capture.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let thread = thread::spawn(move || act(listener.accept().unwrap().0));
        Self {
            _dir: dir,
            socket,
            thread: Some(thread),
        }
    }

    fn tape(&self) -> HandoffTape {
        HandoffTape::open(&self.socket, claims()).unwrap()
    }

    fn join(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

fn opens(stream: &mut UnixStream, on_loss: OnLoss, hold_ms: u64) {
    let mut buffer = Vec::new();
    assert!(read_message(stream, &mut buffer, OPEN_BYTES_MAX).unwrap());
    let FromClient::Open(open) = FromClient::decode(&buffer).unwrap() else {
        panic!("no opening")
    };
    assert_eq!(open.claims.target, claims().target);
    let opened = Opened {
        session: Box::new(session(9, on_loss, hold_ms)),
        notice: "recorded".into(),
    };
    stream
        .write_all(&from_daemon(&FromDaemon::Opened(opened)))
        .unwrap();
}

fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !so() {
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "waited for {what}"
        );
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn in_order_and_flushed_and_closed() {
    let fake = Fake::new(|mut stream| {
        opens(&mut stream, OnLoss::Hold, 1000);
        let (mut buffer, mut data) = (Vec::new(), Vec::new());
        loop {
            assert!(read_message(&mut stream, &mut buffer, MESSAGE_BYTES_MAX).unwrap());
            let answer = match FromClient::decode(&buffer).unwrap() {
                FromClient::Data { bytes, .. } => {
                    assert!(bytes.len() <= DATA_BYTES_MAX);
                    data.extend_from_slice(bytes);
                    continue;
                }
                FromClient::Flush(n) => FromDaemon::Durable(n),
                FromClient::Event(Body::Mark { label }) => {
                    assert_eq!(label, data.len().to_string());
                    continue;
                }
                FromClient::Close(end) => {
                    assert_eq!(end.exit_status, Some(3));
                    FromDaemon::Closed(Closed {
                        stored_bytes: data.len() as u64,
                        ..Closed::default()
                    })
                }
                other => panic!("{other:?}"),
            };
            stream.write_all(&from_daemon(&answer)).unwrap();
            if matches!(answer, FromDaemon::Closed(_)) {
                return;
            }
        }
    });
    let tape = fake.tape();
    assert_eq!(
        (tape.notice(), tape.session().id),
        ("recorded", session(9, OnLoss::Hold, 0).id)
    );
    tape.data(Stream::Output, &vec![7; 300_000]).unwrap();
    let label = "300000".into();
    tape.event(Body::Mark { label }).unwrap();
    tape.flush().unwrap();
    tape.data(Stream::Output, b"x").unwrap();
    tape.check().unwrap();
    let end = End {
        exit_status: Some(3),
        ..End::default()
    };
    assert_eq!(tape.close(end).unwrap().stored_bytes, 300_001);
    drop(tape);
    fake.join();
}

#[test]
fn a_daemon_that_goes_is_noticed_by_a_quiet_program_at_once() {
    let fake = Fake::new(|mut stream| opens(&mut stream, OnLoss::Hold, 30_000));
    let tape = fake.tape();
    wait_for("the bell", || tape.check().is_err());
    let mut bell = [rustix::event::PollFd::from_borrowed_fd(
        tape.bell(),
        rustix::event::PollFlags::IN,
    )];
    assert_eq!(rustix::event::poll(&mut bell, None).unwrap(), 1);
    for outcome in [
        tape.data(Stream::Output, b"x"),
        tape.flush(),
        tape.close(End::default()).map(drop),
    ] {
        let gone = outcome.unwrap_err();
        assert!(gone.why.contains("daemon") && !gone.is_ended, "{gone}");
    }
    fake.join();
}

#[test]
fn what_the_daemon_says_is_passed_on() {
    let fake = Fake::new(|mut stream| {
        opens(&mut stream, OnLoss::Hold, 30_000);
        let lost = FromDaemon::Lost("the spool is full".into());
        stream.write_all(&from_daemon(&lost)).unwrap();
    });
    let tape = fake.tape();
    wait_for("word", || tape.check().is_err());
    assert_eq!(tape.check().unwrap_err().why, "the spool is full");
    fake.join();

    let fake = Fake::new(|mut stream| {
        opens(&mut stream, OnLoss::Hold, 30_000);
        let (reason, by) = ("enough".into(), "anna".into());
        stream
            .write_all(&from_daemon(&FromDaemon::End { reason, by }))
            .unwrap();
        let mut buffer = Vec::new();
        assert!(read_message(&mut stream, &mut buffer, MESSAGE_BYTES_MAX).unwrap());
        assert!(matches!(
            FromClient::decode(&buffer),
            Ok(FromClient::Close(_))
        ));
        let closed = FromDaemon::Closed(Closed::default());
        stream.write_all(&from_daemon(&closed)).unwrap();
    });
    let tape = fake.tape();
    wait_for("word", || tape.check().is_err());
    let gone = tape.data(Stream::Output, b"x").unwrap_err();
    assert!(gone.is_ended);
    assert_eq!(gone.why, "ended by anna: enough");
    tape.close(End::default()).unwrap();
    fake.join();
}

#[test]
fn the_buffer_is_bounded_and_a_silent_daemon_is_given_up() {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let fake = Fake::new(move |mut stream| {
        opens(&mut stream, OnLoss::Hold, 0);
        // It takes nothing and says nothing, until the test is over.
        let _ = wait.recv();
    });
    let tape = fake.tape();
    let piece = vec![1; 16 * 1024];
    let mut taken = 0;
    let since = Instant::now();
    let gone = loop {
        match tape.data(Stream::Output, &piece) {
            Ok(()) => taken += piece.len(),
            Err(gone) => break gone,
        }
    };
    assert!(gone.why.contains("no answer"), "{gone}");
    assert!(
        since.elapsed() >= Duration::from_secs(4),
        "{:?}",
        since.elapsed()
    );
    let most = 2 * BUFFER_BYTES + 2 * SOCKET_BYTES + piece.len();
    assert!((BUFFER_BYTES..=most).contains(&taken), "{taken}");
    drop(tape);
    drop(done);
    fake.join();
}

#[test]
fn going_on_unrecorded_is_said_at_the_end() {
    let fake = Fake::new(|mut stream| opens(&mut stream, OnLoss::Continue, 0));
    let tape = fake.tape();
    let mut bell = [rustix::event::PollFd::from_borrowed_fd(
        tape.bell(),
        rustix::event::PollFlags::IN,
    )];
    rustix::event::poll(&mut bell, None).unwrap();
    tape.check().unwrap();
    tape.data(Stream::Output, &[0; 1000]).unwrap();
    tape.flush().unwrap();
    let gone = tape.close(End::default()).unwrap_err();
    assert!(gone.why.contains("1000 bytes"), "{gone}");
    fake.join();
}

#[test]
fn who_does_not_open_says_why() {
    let dir = TempDir::new("handoff");
    let nowhere = HandoffTape::open(&dir.path().join("capture.sock"), claims());
    assert!(matches!(nowhere, Err(NotOpened::NoDaemon(_))));
    // Refused before the opening was read: the word gets through all the same.
    let fake = Fake::new(|mut stream| {
        let refused = FromDaemon::Refused("too many".into());
        stream.write_all(&from_daemon(&refused)).unwrap();
    });
    let refused = HandoffTape::open(&fake.socket, claims());
    assert!(matches!(refused, Err(NotOpened::Refused(why)) if why == "too many"));
    fake.join();
    for nonsense in [
        b"HTTP/1.1 400 Bad Request\r\n".to_vec(),
        vec![2, 0, 0, 0, 0x83, 8],
    ] {
        let fake = Fake::new(move |mut stream| {
            let mut opening = [0; 16];
            stream.read_exact(&mut opening).unwrap();
            stream.write_all(&nonsense).unwrap();
        });
        let outcome = HandoffTape::open(&fake.socket, claims());
        assert!(matches!(outcome, Err(NotOpened::Broken(_))));
        fake.join();
    }
}

#[test]
fn an_opening_with_everything_a_shell_describes_fits() {
    let mut claims = claims();
    claims.target = Fields::new()
        .with("command", "x".repeat(64 * 1024))
        .with("cwd", "y".repeat(4096));
    let open = FromClient::Open(Open {
        version: VERSION,
        claims: Box::new(claims),
    });
    assert!(from_client(&open).len() < OPEN_BYTES_MAX);
}
