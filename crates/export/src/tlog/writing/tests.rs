//! The same messages, however often they are made.

use hansard_core::session::ClockQuality;
use hansard_core::{Fields, Policy, Session, SessionId};

use super::*;

const S: u64 = 1_000_000_000;

fn options() -> Options {
    Options {
        payload_bytes: 64,
        latency_ns: 10 * S,
        input: false,
        output: true,
        window: true,
    }
}

fn session() -> Event {
    let session = Session {
        id: SessionId::new_v7(1_700_000_000_000, [3; 10]),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", "anna"),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 1_700_000_000 * S,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: [0; 32],
        recorder: "test".to_owned(),
    };
    Event {
        seq: 0,
        at_ns: 0,
        body: Body::Start(Box::new(session)),
    }
}

/// Output now and then, with pauses on both sides of the latency.
fn events() -> Vec<Event> {
    let mut events = vec![session()];
    let mut at_ns = 0;
    for seq in 1..200u64 {
        at_ns += [S / 10, 3 * S, 11 * S, 9 * S][(seq % 4) as usize];
        let stream = match seq % 7 {
            0 => Stream::Keystrokes,
            _ => Stream::Output,
        };
        let bytes = format!("{seq} é word").repeat((seq % 9) as usize);
        // Half a character, now and then.
        let cut = bytes.len() - usize::from(seq % 5 == 0 && bytes.len() > 3);
        let bytes = bytes.as_bytes()[..cut].to_vec();
        events.push(Event {
            seq,
            at_ns,
            body: Body::Data { stream, bytes },
        });
    }
    events
}

fn sent(writing: &Writing) -> Vec<String> {
    let text = |m: &[u8]| String::from_utf8(m.to_vec()).unwrap();
    writing.ready().map(text).collect()
}

/// All messages of a life in which some were ended early, behind these events.
fn life(early: &[u64]) -> (Vec<String>, Cursor) {
    let mut writing = Writing::new(options(), Cursor::default());
    for event in events() {
        writing.event(&event).unwrap();
        if early.contains(&event.seq) {
            writing.end_early().unwrap();
        }
    }
    writing.end().unwrap();
    (sent(&writing), writing.cursor().clone())
}

#[test]
fn messages_that_are_made_again_are_the_same() {
    let early = [1, 2, 3, 9, 14, 15, 40, 41, 42, 43, 150];
    let (first, cursor) = life(&early);
    assert!(first.len() > 100, "{}", first.len());
    assert!(
        first
            .iter()
            .all(|m| m.contains("\"in_txt\":\"\",") && m.ends_with("}\n"))
    );
    // Only what the recording's own time does not do is kept.
    assert!(cursor.marks.len() < early.len(), "{:?}", cursor.marks);
    assert!(!cursor.marks.is_empty());
    assert_ne!(first, life(&[]).0);

    for last_id in [0, 1, 17, first.len() as u64 - 1, first.len() as u64] {
        let marks = cursor.marks.clone();
        let mut again = Writing::new(options(), Cursor { last_id, marks });
        for event in events() {
            again.event(&event).unwrap();
        }
        again.end().unwrap();
        assert_eq!(sent(&again), first[last_id as usize..], "from {last_id}");
    }
}

#[test]
fn a_crash_anywhere_repeats_and_changes_nothing() {
    let early = [3, 9, 14, 42, 43, 150];
    let (first, _) = life(&early);
    for crash in [4, 10, 14, 43, 44, 151, 199] {
        let mut writing = Writing::new(options(), Cursor::default());
        let mut seen = Vec::new();
        for event in events().into_iter().take_while(|event| event.seq < crash) {
            writing.event(&event).unwrap();
            if early.contains(&event.seq) {
                writing.end_early().unwrap();
            }
            while let Some(message) = sent(&writing).first().cloned() {
                seen.push(message);
                writing.settle();
            }
        }
        let mut again = Writing::new(options(), writing.cursor().clone());
        for event in events() {
            again.event(&event).unwrap();
            if event.seq >= crash && early.contains(&event.seq) {
                again.end_early().unwrap();
            }
        }
        again.end().unwrap();
        seen.extend(sent(&again));
        assert_eq!(seen, first, "crash before event {crash}");
    }
}

#[test]
fn early_ends_are_bounded() {
    let mut writing = Writing::new(options(), Cursor::default());
    writing.event(&session()).unwrap();
    for seq in 1..(MARKS_MAX as u64 + 100) {
        let body = Body::Data {
            stream: Stream::Output,
            bytes: b"#".to_vec(),
        };
        let event = Event {
            seq,
            at_ns: seq,
            body,
        };
        writing.event(&event).unwrap();
        writing.end_early().unwrap();
    }
    assert_eq!(writing.cursor().marks.len(), MARKS_MAX);
    assert!(!writing.waits());
    writing.end().unwrap();
    let written: usize = sent(&writing).iter().map(|m| m.matches('#').count()).sum();
    assert_eq!(written, MARKS_MAX + 99);
}
