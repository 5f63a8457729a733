//! Each line exactly once: whatever crashes, fails, fills up or jumps.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use hansard_core::event::{End, Fact};
use hansard_core::session::ClockQuality;
use hansard_core::{Body, Fields, Policy, Stream};
use hansard_record::disk::Disk as _;
use hansard_record::sim::{Odds, Rng, SimClock, SimDisk};
use hansard_view::document::Counted;

use super::*;
use crate::eventlog::known::Nothing;
use crate::eventlog::tidy::{Ages, Tidy};

mod crashes;
mod days;
mod rebuilt;

const NOON: u64 = 1_795_262_400_000_000_000;
const HOUR: u64 = 3600 * 1_000_000_000;
const DIR: &str = "/log/service-1";

/// A link that is a file with the target in it, so that its steps can be cut short, too.
struct FileLink(SimDisk);

impl Link for FileLink {
    fn point(&self, link: &Path, target: &Path) -> io::Result<()> {
        let beside = PathBuf::from("/beside");
        let _ = self.0.remove(&beside);
        let file = self.0.create_new(&beside)?;
        hansard_record::disk::write_all_at(&*file, 0, target.to_string_lossy().as_bytes())?;
        self.0.rename(&beside, link)
    }
}

fn header(number: u8) -> Session {
    Session {
        id: SessionId::from_bytes([number; 16]),
        parent: None,
        kind: ["terminal", "exec"][usize::from(number % 2)].to_owned(),
        subject: Fields::new().with("user", format!("user-{number}")),
        origin: Fields::new(),
        target: Fields::new().with("server_hostname", "host-1"),
        start_utc_ns: NOON,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: [number; 32],
        recorder: "test".to_owned(),
    }
}

/// A session's events: its header, `inside` others, its end, which makes two documents.
fn events(number: u8, inside: u64) -> Vec<Event> {
    let mut bodies = vec![Body::Start(Box::new(header(number)))];
    for i in 0..inside {
        bodies.push(match i % 3 {
            0 => Body::Data {
                stream: Stream::Output,
                bytes: vec![b'x'; 10],
            },
            1 => Body::Command(Fact {
                event: "session.command".to_owned(),
                fields: Fields::new()
                    .with("path", format!("/bin/{i}\n\u{1b}[2J"))
                    .with("argv", "a".repeat(700)),
            }),
            _ => Body::Resize { cols: 80, rows: 24 },
        });
    }
    bodies.push(Body::End(End::default()));
    let numbered = bodies.into_iter().enumerate();
    numbered
        .map(|(i, body)| Event {
            seq: i as u64,
            at_ns: i as u64 * 1_000_000,
            body,
        })
        .collect()
}

fn lines_of(number: u8, events: &[Event]) -> Vec<String> {
    let mut documents = Documents::resume(known::place(), &header(number), Counted::default());
    let all = events.iter().flat_map(|event| documents.turn(event));
    all.map(|document| document.to_string()).collect()
}

#[derive(Clone)]
struct World {
    disk: SimDisk,
    clock: SimClock,
    notices: Arc<Mutex<Vec<Notice>>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        disk.create_dir(Path::new("/log")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        Self {
            disk,
            clock: SimClock::new(NOON),
            notices: Arc::default(),
        }
    }

    fn with(&self, disk: SimDisk) -> Self {
        Self {
            disk,
            ..self.clone()
        }
    }

    fn open_with(&self, known: impl Known + 'static) -> io::Result<EventLog> {
        let notices = self.notices.clone();
        let parts = Parts {
            disk: Arc::new(self.disk.clone()),
            clock: Arc::new(self.clock.clone()),
            link: Box::new(FileLink(self.disk.clone())),
            known: Box::new(known),
            notify: Box::new(move |notice| notices.lock().unwrap().push(notice)),
        };
        EventLog::open(parts, Path::new("/log"), "service-1")
    }

    fn open(&self) -> io::Result<EventLog> {
        self.open_with(Nothing)
    }

    fn tidy(&self, current: Current, ages: Ages) -> Tidy {
        let (disk, clock) = (Arc::new(self.disk.clone()), Arc::new(self.clock.clone()));
        Tidy::new(disk, clock, Path::new(DIR), current, ages)
    }

    fn names(&self) -> Vec<String> {
        let names = self.disk.list(Path::new(DIR)).unwrap_or_default();
        let names = names.into_iter().map(|name| name.into_string().unwrap());
        names.filter(|name| Day::of_file(name).is_some()).collect()
    }

    fn text(&self, name: &str) -> String {
        let bytes = self.disk.content(&Path::new(DIR).join(name)).unwrap();
        if !name.ends_with(".gz") {
            return String::from_utf8(bytes).unwrap();
        }
        let mut text = String::new();
        let mut inflated = MultiGzDecoder::new(bytes.as_slice());
        inflated.read_to_string(&mut text).unwrap();
        text
    }

    /// Every line of every file, with how often it is there. No file ends in part of one.
    fn lines(&self) -> BTreeMap<String, u64> {
        let mut lines = BTreeMap::new();
        for name in self.names() {
            let text = self.text(&name);
            assert!(text.is_empty() || text.ends_with('\n'), "{name}");
            for line in text.lines() {
                assert!(serde_json::from_str::<serde_json::Value>(line).is_ok());
                *lines.entry(line.to_owned()).or_default() += 1;
            }
        }
        lines
    }

    fn link(&self) -> String {
        String::from_utf8(self.disk.content(Path::new("/log/events.log")).unwrap()).unwrap()
    }
}

fn once(sessions: &[Vec<Event>]) -> BTreeMap<String, u64> {
    let mut lines = BTreeMap::new();
    for (number, events) in (0u8..).zip(sessions) {
        for line in lines_of(number, events) {
            *lines.entry(line).or_default() += 1;
        }
    }
    lines
}

#[test]
fn what_is_given_is_there_once_and_followers_see_it() {
    let world = World::new(1);
    let mut log = world.open().unwrap();
    assert!(world.open().is_err(), "two of them");
    let all = [events(0, 7), events(1, 7)];
    log.events(&header(0), &all[0][..4]).unwrap();
    log.events(&header(1), &all[1]).unwrap();
    assert!(world.lines().is_empty());
    log.tick().unwrap();
    assert_eq!(world.lines().len(), 10);
    log.events(&header(0), &all[0][2..]).unwrap();
    log.events(&header(0), &all[0]).unwrap();
    log.sync().unwrap();
    assert_eq!(world.lines(), once(&all));
    assert!(world.lines().keys().any(|line| line.contains("\"tx\":30")));
    assert_eq!(world.link(), "service-1/2026-11-21.00:00:00.log");
    assert!(world.notices.lock().unwrap().is_empty());

    // Settled and forgotten, also by the one after; but what is settled comes no more.
    log.settled(header(1).id);
    log.events(&header(0), &all[0]).unwrap();
    log.sync().unwrap();
    drop(log);
    let mut log = world.open().unwrap();
    assert_eq!(log.sessions(), 1);
    log.events(&header(0), &all[0]).unwrap();
    log.sync().unwrap();
    assert_eq!(world.lines(), once(&all));
}

#[test]
fn what_never_came_is_told() {
    let world = World::new(2);
    let mut log = world.open().unwrap();
    let all = events(0, 9);
    log.events(&header(0), &all[..3]).unwrap();
    log.events(&header(0), &all[5..]).unwrap();
    log.sync().unwrap();
    let notices = world.notices.lock().unwrap().clone();
    let gap = Notice::Gap {
        session: header(0).id,
        from: 3,
        until: 5,
    };
    assert_eq!(notices, [gap]);
    let Body::Admin(fact) = notices[0].body() else {
        panic!("no event of administration");
    };
    assert_eq!(fact.event, "log.gap");
    assert!(hansard_view::document::catalogue::find("log.gap").is_some());
    assert_eq!(fact.fields.get("from_ei"), Some(&3u64.into()));
}

/// Knows of one session.
struct Knows(u64, Counted);

impl Known for Knows {
    fn known(&self, session: SessionId) -> io::Result<Option<(u64, Counted)>> {
        let is = session == header(0).id;
        Ok(is.then(|| (self.0, self.1.clone())))
    }
}

#[test]
fn without_a_cursor_the_catalog_is_asked() {
    let world = World::new(3);
    let all = events(0, 9);
    let mut log = world.open().unwrap();
    log.events(&header(0), &all[..6]).unwrap();
    log.sync().unwrap();
    let mut documents = Documents::resume(known::place(), &header(0), Counted::default());
    all[..4]
        .iter()
        .for_each(|event| drop(documents.turn(event)));
    let counted = documents.into_counted();
    drop(log);
    world
        .disk
        .remove(&Path::new(DIR).join(cursor::CURSOR))
        .unwrap();

    // Four events are archived, the others come again; two of these are in the file.
    let mut log = world.open_with(Knows(4, counted)).unwrap();
    log.events(&header(0), &all[3..]).unwrap();
    log.sync().unwrap();
    assert_eq!(world.lines(), once(&[all]));
    assert!(world.notices.lock().unwrap().is_empty());
}
