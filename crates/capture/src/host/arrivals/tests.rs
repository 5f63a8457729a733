//! Logins as the kernel tells of them, and what waits for their recordings.

use super::super::record::tests::made;
use super::*;

const EXEC: u32 = 1;
const EXIT: u32 = 3;
const LOGIN: u32 = 17;

fn take(waiting: &Waiting, bytes: &[u8]) {
    waiting.take(bytes, &Record::parse(bytes).unwrap());
}

fn program(path: &[u8], asked: &[u8]) -> Vec<u8> {
    made(EXEC, 0, [path, asked, b"/\0", b"-sh\0"])
}

#[test]
fn what_the_door_says_of_a_login_is_read() {
    let environment =
        b"HOME=/root\0SSH_CONNECTION=bad\0SSH_CONNECTION=192.0.2.7 50000 192.0.2.1 22\0X=1\0";
    let bytes = made(
        LOGIN,
        16,
        [b"sshd\0sbin\0usr\0", b"pts3\0", b"", environment],
    );
    let arrival = Arrival::of(&Record::parse(&bytes).unwrap(), None);
    assert_eq!(arrival.door, "/usr/sbin/sshd");
    assert_eq!(arrival.terminal.as_deref(), Some("pts3"));
    assert_eq!(
        arrival.connection.as_deref(),
        Some("192.0.2.7 50000 192.0.2.1 22")
    );
    assert_eq!((arrival.login_uid, arrival.audit_session), (None, None));
    let bytes = made(LOGIN, 16, [b"login\0", b"", b"", b""]);
    let arrival = Arrival::of(&Record::parse(&bytes).unwrap(), None);
    assert_eq!((arrival.terminal, arrival.connection), (None, None));
}

#[test]
fn the_rest_of_a_variable_that_was_cut_says_nothing_of_the_connection() {
    let connection = |environment: &[u8]| {
        let mut bytes = made(LOGIN, 16, [b"sshd\0", b"", b"", environment]);
        // args[6]: they are longer than what is here.
        bytes[80..88].copy_from_slice(&20_000u64.to_ne_bytes());
        Arrival::of(&Record::parse(&bytes).unwrap(), None).connection
    };
    assert_eq!(connection(b"SSH_CONNECTION=lie\0USER=eve\0"), None);
    assert_eq!(connection(b"SSH_CONNECTION=lie"), None);
    let whole = connection(b"SSH_CONNECTION=lie\0SSH_CONNECTION=true\0TERM=dumb\0");
    assert_eq!(whole.as_deref(), Some("true"));
}

#[test]
fn a_recorder_is_known_by_its_file_and_by_the_names_it_has() {
    for (path, asked, is_one) in [
        ("/usr/bin/hansard-shell\0", "/usr/bin/hansard-shell\0", true),
        ("/usr/bin/hansard\0", "/usr/bin/hansard-shell\0", true),
        ("/usr/bin/hansard\0", "/usr/bin/tlog-rec-session\0", true),
        ("/usr/bin/hansard\0", "/usr/bin/hansard\0", false),
        // Whatever it calls itself, it is what it is.
        ("/usr/bin/dash\0", "/home/eve/hansard-shell\0", false),
    ] {
        let bytes = program(path.as_bytes(), asked.as_bytes());
        assert_eq!(
            is_recorder(&Record::parse(&bytes).unwrap()),
            is_one,
            "{path}"
        );
    }
}

#[test]
fn what_waits_is_kept_up_to_a_bound_and_what_is_beyond_is_counted() {
    let waiting = Waiting::new(10);
    let long = vec![b'x'; 16 * 1024];
    let bytes = made(EXEC, 0, [b"/bin/sh\0", b"", b"", &long]);
    let fit = WAITING_BYTES_MAX / bytes.len();
    for _ in 0..fit + 5 {
        take(&waiting, &bytes);
    }
    let state = lock(&waiting.state);
    assert_eq!((state.records.len(), state.missed), (fit, 5));
    drop(state);
    waiting.is_elsewhere();
    take(&waiting, &bytes);
    assert!(lock(&waiting.state).records.is_empty());
}

#[test]
fn the_end_of_what_was_started_is_seen_and_of_nothing_else() {
    let waiting = Waiting::new(10);
    take(&waiting, &program(b"/bin/sh\0", b"sh\0"));
    let mut other = made(EXIT, 0, [b"", b"", b"", b""]);
    other[108..112].copy_from_slice(&11u32.to_ne_bytes());
    take(&waiting, &other);
    assert!(!lock(&waiting.state).is_over);
    take(&waiting, &made(EXIT, 0, [b"", b"", b"", b""]));
    let state = lock(&waiting.state);
    assert!(state.is_over && !state.is_of_recorder);
    assert_eq!((state.programs, state.records.len()), (1, 3));
}
