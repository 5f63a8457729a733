//! Tests of what is kept of a login, and of what is found of it.

use std::os::unix::net::UnixStream;
use std::sync::Mutex;

use hansard_core::fields::Fields;
use hansard_core::policy::Policy;
use hansard_core::session::ClockQuality;

use super::*;

/// Remembers what it was told to forget.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Keeps for Told {
    fn descriptors_max(&self) -> usize {
        9
    }

    fn keep(&self, _: &str, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    fn forget(&self, name: &str) {
        self.0.lock().unwrap().push(name.to_owned());
    }
}

fn session(n: u8) -> Session {
    Session {
        id: SessionId::new_v7(1_700_000_000_000, [n; 10]),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", "anna"),
        origin: Fields::new(),
        target: Fields::new().with("command", "/bin/bash"),
        start_utc_ns: 1_700_000_000_000_000_000,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: [7; 32],
        recorder: "test".to_owned(),
    }
}

fn state(n: u8, paused: Option<OnItsWay>) -> State {
    State {
        session: session(n),
        uid: 1000,
        process: Some(Process {
            pid: 4711,
            started: 99,
        }),
        login: Some(0),
        zero_ns: 12_345,
        modes: "1 2 3 4 5 6".to_owned(),
        kills: true,
        watch: Watch {
            command: Some(n == 1),
            disk: None,
            network: Some(n == 2),
        },
        is_durable: paused.is_some(),
        paused,
    }
}

fn file(bytes: &[u8]) -> OwnedFd {
    let file = File::from(memfd_create("test", MemfdFlags::CLOEXEC).unwrap());
    file.write_all_at(bytes, 0).unwrap();
    file.into()
}

fn any() -> OwnedFd {
    UnixStream::pair().unwrap().0.into()
}

#[test]
fn a_state_is_read_as_it_was_written() {
    let on_its_way = OnItsWay {
        unshown: b"out\xff".to_vec(),
        untyped: Vec::new(),
    };
    let not_durable = State {
        is_durable: false,
        ..state(2, Some(on_its_way.clone()))
    };
    for state in [state(1, None), state(2, Some(on_its_way)), not_durable] {
        assert_eq!(State::decode(&state.encode()), Some(state.clone()));
        assert_eq!(State::read(&file(&state.encode())), Some(state));
    }
    for n in 0..state(1, None).encode().len() {
        assert_eq!(State::decode(&state(1, None).encode()[..n]), None, "{n}");
    }
}

#[test]
fn whole_logins_are_found_and_the_rest_is_forgotten() {
    let told = Told::default();
    let mut handed = vec![
        ("stored".to_owned(), any()),
        ("hansard-x".to_owned(), any()),
    ];
    let mut give = |n: u8, roles: &[&str], bytes: &[u8]| {
        for role in roles {
            let fd = match *role {
                "state" => file(bytes),
                _ => any(),
            };
            handed.push((name(session(n).id, role), fd));
        }
    };
    give(1, &ROLES, &state(1, None).encode());
    give(2, &["master", "outer", "state"], &state(2, None).encode());
    give(3, &ROLES, b"torn");
    // Another one's state under this name.
    give(4, &ROLES, &state(1, None).encode());
    let found = Found::all(handed, &told);
    let sessions: Vec<SessionId> = found.iter().map(Found::session).collect();
    assert_eq!(sessions, [session(1).id]);
    let told = told.0.into_inner().unwrap();
    assert_eq!(told.len(), 3 * ROLES.len());
    assert!(
        told.iter()
            .all(|name| !name.contains(&session(1).id.to_string()))
    );
}

#[test]
fn no_more_are_kept_than_there_is_room_for() {
    let told = Told::default();
    let places = Places::of(Some(&told));
    let (one, two) = (places.take(), places.take());
    assert!(one.is_some() && two.is_some() && places.take().is_none());
    drop(one);
    assert!(places.take().is_some() && Places::of(None).take().is_none());
}
