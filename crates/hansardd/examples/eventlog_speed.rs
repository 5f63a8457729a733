//! What the event log takes in a second: lines, synced every thousand. Prints figures and asserts
//! nothing about them.
//!
//! `cargo run --release -p hansardd --example eventlog_speed -- [DIRECTORY]`

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use hansard_core::event::Fact;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::{Body, Event, Fields, Policy, SessionId, Value};
use hansard_record::clock::RealClock;
use hansard_record::real_disk::RealDisk;
use hansardd::eventlog::known::Nothing;
use hansardd::eventlog::link::SymbolicLink;
use hansardd::eventlog::{EventLog, Parts};

/// Sessions that take turns.
const SESSIONS: u8 = 100;
/// Events of one turn.
const EVENTS: u64 = 100;
/// Turns of each.
const TURNS: u64 = 20;

fn main() {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let root = given.unwrap_or_else(std::env::temp_dir);
    let root = root.join(format!("hansard-eventlog-speed-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let parts = Parts {
        disk: Arc::new(RealDisk),
        clock: Arc::new(RealClock),
        link: Box::new(SymbolicLink),
        known: Box::new(Nothing),
        notify: Box::new(drop),
    };
    let mut log = EventLog::open(parts, &root, "speed").unwrap();
    let sessions: Vec<Session> = (0..SESSIONS).map(header).collect();
    let start = Instant::now();
    for turn in 0..TURNS {
        let events: Vec<Event> = (turn * EVENTS..(turn + 1) * EVENTS).map(event).collect();
        for (i, session) in sessions.iter().enumerate() {
            log.events(session, &events).unwrap();
            if i % 10 == 9 {
                log.sync().unwrap();
            }
        }
    }
    let took = start.elapsed().as_secs_f64();
    let lines = u64::from(SESSIONS) * EVENTS * TURNS;
    #[allow(clippy::cast_precision_loss)]
    let rate = lines as f64 / took;
    println!(
        "{lines} lines in {took:.2} s: {rate:.0} lines/s, {} syncs",
        TURNS * 10
    );
    std::fs::remove_dir_all(&root).unwrap();
}

fn event(seq: u64) -> Event {
    let argv = ["--flag", "value", "/some/path/of/a/file"].map(Value::from);
    Event {
        seq,
        at_ns: seq * 1_000_000,
        body: Body::Command(Fact {
            event: "session.command".to_owned(),
            fields: Fields::new()
                .with("pid", seq)
                .with("ppid", 1u64)
                .with("program", "program")
                .with("path", "/usr/bin/program")
                .with("return_code", 0u64)
                .with("argv", Value::List(argv.to_vec())),
        }),
    }
}

fn header(number: u8) -> Session {
    Session {
        id: SessionId::from_bytes([number; 16]),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new()
            .with("user", format!("user-{number}"))
            .with("login", "root"),
        origin: Fields::new().with("addr.remote", "192.0.2.7:4711"),
        target: Fields::new()
            .with("server_hostname", "host-1")
            .with("server_id", "id-1"),
        start_utc_ns: 1_795_262_400_000_000_000,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: [number; 32],
        recorder: "speed".to_owned(),
    }
}
