//! A program that reads nothing holds up nobody but its own session.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use hansard_record::handoff::{MESSAGE_BYTES_MAX, read_message};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn end() -> FromDaemon {
    FromDaemon::End {
        reason: "enough".to_owned(),
        by: String::new(),
    }
}

/// Both ends of a connection into which nothing more fits; its writer would wait for ever.
fn full() -> (Arc<Line>, UnixStream) {
    let (own, other) = UnixStream::pair().unwrap();
    own.set_nonblocking(true).unwrap();
    let mut word = Vec::new();
    FromDaemon::Durable(7).encode(&mut word);
    while matches!((&own).write(&word), Ok(n) if n == word.len()) {}
    own.set_nonblocking(false).unwrap();
    (Arc::new(Line::new(own)), other)
}

/// Fails instead of waiting for ever.
fn at_once(line: &Arc<Line>, what: fn(&Line)) {
    let (done, is_done) = channel();
    let line = Arc::clone(line);
    thread::spawn(move || {
        what(&line);
        let _ = done.send(());
    });
    is_done.recv_timeout(PATIENCE).expect("it does not wait");
}

#[test]
fn who_reads_nothing_is_not_waited_for() {
    let (line, mut other) = full();
    at_once(&line, |line| line.say_at_once(&end()));
    // Their connection is over: what was said before is still there, and nothing half.
    let mut rest = Vec::new();
    other.read_to_end(&mut rest).unwrap();
    let mut word = Vec::new();
    FromDaemon::Durable(7).encode(&mut word);
    assert!(rest.chunks(word.len()).all(|chunk| chunk == word));
}

#[test]
fn a_session_that_waits_for_its_program_holds_up_nobody() {
    let (line, mut other) = full();
    let (done, is_done) = channel();
    let writer = Arc::clone(&line);
    let waiting = thread::spawn(move || {
        let said = writer.say(&FromDaemon::Yielded);
        let _ = done.send(());
        said
    });
    // Until it waits: who writes holds the lock.
    while line.writing.try_lock().is_ok() {
        thread::yield_now();
    }
    at_once(&line, |line| line.say_at_once(&end()));
    at_once(&line, Runs::give_up);
    assert!(is_done.try_recv().is_err(), "it still waits");
    // As soon as there is room, both are said, one after the other.
    let mut message = Vec::new();
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = Vec::new();
    while !matches!(said.last(), Some(FromDaemon::End { .. })) {
        assert!(read_message(&mut other, &mut message, MESSAGE_BYTES_MAX).unwrap());
        said.push(FromDaemon::decode(&message).unwrap());
    }
    assert!(matches!(
        said.as_slice(),
        [.., FromDaemon::Yielded, FromDaemon::End { .. }]
    ));
    waiting.join().unwrap().unwrap();
}
