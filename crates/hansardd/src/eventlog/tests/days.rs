//! Days, clocks that jump, compression and removal.

use super::*;
use crate::eventlog::day::DAY_NS;

const YEARS: u64 = 3652 * DAY_NS;

fn give(log: &mut EventLog, number: u8) {
    log.events(&header(number), &events(number, 3)).unwrap();
    log.sync().unwrap();
}

#[test]
fn a_line_goes_to_the_day_of_its_arrival_whatever_the_clock_does() {
    let world = World::new(1);
    let mut log = world.open().unwrap();
    give(&mut log, 0);
    world.clock.advance(12 * HOUR - 1);
    give(&mut log, 1);
    world.clock.advance(1);
    give(&mut log, 2);
    world.clock.set_utc_ns(NOON + YEARS);
    give(&mut log, 3);
    let ages = Ages {
        compress_after_ns: Some(7 * DAY_NS),
        keep_ns: Some(30 * DAY_NS),
    };
    let mut tidy = world.tidy(log.current(), ages);
    let mut removed = Vec::new();
    // The clock was seen before it jumped, but for the first run nobody knows: ten years are too much.
    let tidied = tidy.run(&mut |notice| removed.push(notice)).unwrap();
    assert!(tidied.jump.is_some() && tidied.removed == 0, "{tidied:?}");
    assert_eq!(tidied.compressed, 2);
    world.clock.set_utc_ns(NOON);
    give(&mut log, 4);
    log.tick().unwrap();
    assert_eq!(world.link(), "service-1/2026-11-21.00:00:00.log");
    let sessions: Vec<_> = (0..5).map(|n| events(n, 3)).collect();
    assert_eq!(world.lines(), once(&sessions));
    let names = [
        "2026-11-21.00:00:00.log",
        "2026-11-21.00:00:00.log.gz",
        "2026-11-22.00:00:00.log.gz",
        "2036-11-20.00:00:00.log",
    ];
    assert_eq!(world.names(), names);

    // The day that came back gets a second compressed file.
    world.clock.set_utc_ns(NOON + 10 * DAY_NS);
    give(&mut log, 5);
    assert_eq!(tidy.run(&mut |_| {}).unwrap().compressed, 1);
    assert!(
        world
            .names()
            .contains(&"2026-11-21.00:00:00.log.1.gz".to_owned())
    );
    assert!(removed.is_empty());
    let sessions: Vec<_> = (0..6).map(|n| events(n, 3)).collect();
    assert_eq!(world.lines(), once(&sessions));
}

#[test]
fn old_files_are_removed_when_the_clock_is_believed_and_somebody_is_told() {
    let world = World::new(2);
    let mut log = world.open().unwrap();
    let ages = Ages {
        compress_after_ns: Some(DAY_NS),
        keep_ns: Some(5 * DAY_NS),
    };
    let mut tidy = world.tidy(log.current(), ages);
    let mut told = Vec::new();
    for number in 0..10u8 {
        give(&mut log, number);
        tidy.run(&mut |notice| {
            let Notice::Removed { name, bytes, .. } = &notice else {
                panic!("{notice:?}");
            };
            // It is still there.
            assert_eq!(
                world
                    .disk
                    .content(&Path::new(DIR).join(name))
                    .unwrap()
                    .len() as u64,
                *bytes
            );
            told.push(notice);
        })
        .unwrap();
        world.clock.advance(DAY_NS);
    }
    assert_eq!(told.len(), 4, "{told:?}");
    let names = world.names();
    assert_eq!(names.len(), 6, "{names:?}");
    assert!(names[..4].iter().all(|name| name.ends_with(".gz")));
    assert!(names[4..].iter().all(|name| name.ends_with(".log")));
    assert!(hansard_view::document::catalogue::find("log.removed").is_some());
}

#[test]
fn a_file_that_is_open_is_never_tidied_away() {
    let world = World::new(3);
    let mut log = world.open().unwrap();
    give(&mut log, 0);
    // The clock goes on, and nothing comes: the file is old and open.
    world.clock.advance(3 * DAY_NS);
    let ages = Ages {
        compress_after_ns: Some(0),
        keep_ns: Some(0),
    };
    let mut tidy = world.tidy(log.current(), ages);
    let tidied = tidy.run(&mut |_| {}).unwrap();
    assert_eq!((tidied.compressed, tidied.removed), (0, 0));
    log.tick().unwrap();
    assert_eq!(tidy.run(&mut |_| {}).unwrap().removed, 1);
    assert_eq!(world.names(), ["2026-11-24.00:00:00.log"]);
}

#[test]
fn on_a_real_disk_the_link_names_the_file_of_today_and_can_be_followed() {
    let root = std::env::temp_dir().join(format!("hansard-eventlog-{}", std::process::id()));
    std::fs::create_dir(&root).unwrap();
    let clock = SimClock::new(NOON);
    let open = || {
        let parts = Parts {
            disk: Arc::new(hansard_record::real_disk::RealDisk),
            clock: Arc::new(clock.clone()),
            link: Box::new(link::SymbolicLink),
            known: Box::new(Nothing),
            notify: Box::new(|notice| panic!("{notice:?}")),
        };
        EventLog::open(parts, &root, "service-1").unwrap()
    };
    let mut log = open();
    log.events(&header(0), &events(0, 3)).unwrap();
    log.tick().unwrap();
    let read = || std::fs::read_to_string(root.join(LINK)).unwrap();
    let first = read();
    assert_eq!(
        first.lines().collect::<Vec<_>>(),
        lines_of(0, &events(0, 3))
    );
    // Killed without a word: what was written is there, and comes again in vain.
    drop(log);
    let mut log = open();
    log.events(&header(0), &events(0, 3)).unwrap();
    log.sync().unwrap();
    assert_eq!(read(), first);
    clock.advance(DAY_NS);
    log.tick().unwrap();
    assert_eq!(read(), "");
    let target = std::fs::read_link(root.join(LINK)).unwrap();
    assert_eq!(target, Path::new("service-1/2026-11-22.00:00:00.log"));
    std::fs::remove_dir_all(&root).unwrap();
}
