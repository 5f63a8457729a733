//! A recording of a known shape, played.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hansard_core::event::{End, Fact};
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Fields, Policy, Stream};

use hansard_core::Body;
use hansard_view::picture::Change;

use super::*;
use crate::api::seams::Verified;

mod damage;
mod finding;

const SECOND_NS: u64 = 1_000_000_000;

/// A recording, and whether it is archived as a whole.
struct One(Vec<u8>, AtomicBool);

impl Recordings for One {
    fn open(&self, session: SessionId) -> Result<Option<Box<dyn Read + Send>>, Trouble> {
        let is_it = session == id();
        Ok(is_it.then(|| Box::new(io::Cursor::new(self.0.clone())) as Box<dyn Read + Send>))
    }

    fn whole(&self, session: SessionId) -> Result<Option<Source>, Trouble> {
        let is_it = session == id() && self.1.load(Ordering::SeqCst);
        Ok(is_it.then(|| Arc::new(self.0.clone()) as Source))
    }

    fn verify(&self, _: SessionId) -> Result<Option<Verified>, Trouble> {
        Ok(None)
    }
}

fn id() -> SessionId {
    SessionId::new_v7(1_795_248_000_000, [1; 10])
}

fn data(text: &str) -> Body {
    Body::Data {
        stream: Stream::Output,
        bytes: text.as_bytes().to_vec(),
    }
}

/// A recording on a terminal of 20 columns and 5 rows, of what is pushed, up to second 16.
fn recording(fill: impl FnOnce(&mut dyn FnMut(u64, &Body))) -> Vec<u8> {
    let key = SigningKey::from_seed([7; 32]);
    let session = Session {
        id: id(),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", "ada"),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 1_795_248_000 * SECOND_NS,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "test".to_owned(),
    };
    let mut writer = SegmentWriter::new(session, key, Bounds::default()).unwrap();
    let mut push = |at_ns: u64, body: &Body| writer.push(at_ns, body).unwrap();
    push(0, &Body::Resize { cols: 20, rows: 5 });
    fill(&mut push);
    let end = End {
        reason: "exited".to_owned(),
        exit_status: Some(0),
        signal: None,
    };
    writer.finish(16 * SECOND_NS, &end).unwrap();
    let parts = writer.parts();
    parts
        .iter()
        .flat_map(|part| part.bytes().to_vec())
        .collect()
}

fn over(name: &str, fill: impl FnOnce(&mut dyn FnMut(u64, &Body))) -> (Player, PathBuf) {
    let dir = std::env::temp_dir().join(format!("hansardd-player-{name}-{}", std::process::id()));
    let player = playing(recording(fill), false, &dir);
    (player, dir)
}

fn playing(bytes: Vec<u8>, is_whole: bool, dir: &Path) -> Player {
    let from = Arc::new(One(bytes, AtomicBool::new(is_whole)));
    Player::new(from, &dir.join("copies"), &dir.join("keyframes")).unwrap()
}

/// Ten seconds of lines, five seconds of nothing, a command, a last line.
fn player(name: &str) -> (Player, PathBuf) {
    over(name, |push| {
        for n in 0..100u64 {
            push(n * SECOND_NS / 10, &data(&format!("line {n}\r\n")));
        }
        let fields = Fields::new()
            .with("path", "/bin/ls")
            .with("password", "hidden");
        let event = "session.command".to_owned();
        push(15 * SECOND_NS, &Body::Command(Fact { event, fields }));
        push(15 * SECOND_NS, &data("\x1b[31mlast\x1b[m"));
    })
}

fn rows(frames: &[(u64, Change)]) -> Vec<String> {
    let mut rows = vec![String::new(); 5];
    for (_, change) in frames {
        for (n, runs) in &change.rows {
            rows[usize::from(*n)] = runs.iter().map(|run| run.text.as_str()).collect();
        }
    }
    rows
}

#[test]
fn every_moment_is_there_and_stretches_fit_together() {
    let (player, dir) = player("moments");
    let at = |from: u64, until: u64| {
        let found = player.stretch(id(), from * SECOND_NS / 10, until * SECOND_NS / 10);
        found.unwrap().unwrap()
    };
    let found = at(50, 50);
    assert_eq!(found.frames.len(), 1);
    assert_eq!(found.frames[0].1.size, Some((20, 5)));
    assert_eq!(
        rows(&found.frames),
        ["line 47", "line 48", "line 49", "line 50", ""]
    );
    assert_eq!(found.next_ns, Some(51 * SECOND_NS / 10));
    // Every answer says how long it is, so that nobody has to wait for the timeline to know that.
    assert_eq!(found.duration_ns, 16 * SECOND_NS);
    // The stretch from the beginning ends with the screen that a seek finds.
    assert_eq!(rows(&at(0, 50).frames), rows(&found.frames));
    assert_eq!(at(0, 50).frames.len(), 51);
    let last = at(100, 300);
    assert_eq!(
        (last.next_ns, rows(&last.frames)[4].as_str()),
        (None, "last")
    );
    assert!(
        player
            .stretch(SessionId::new_v7(1, [2; 10]), 0, 0)
            .unwrap()
            .is_none()
    );
    for of in ["copies", "keyframes"] {
        let left = fs::read_dir(dir.join(of)).unwrap().count();
        assert_eq!(left, 0, "{of}: copies have no names");
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_stretch_with_much_output_ends_early_and_the_next_goes_on() {
    let line = format!("{}\r\n", "x".repeat(98)).repeat(300);
    let (player, dir) = over("much", |push| {
        for n in 0..200u64 {
            push(n * 1_000_000, &data(&line));
        }
        push(SECOND_NS, &data("the end"));
    });
    let (mut from_ns, mut stretches) = (0, 0);
    let last = loop {
        let found = player
            .stretch(id(), from_ns, 10 * SECOND_NS)
            .unwrap()
            .unwrap();
        stretches += 1;
        // The recording ends later.
        if found.next_ns.is_none_or(|next_ns| next_ns > 10 * SECOND_NS) {
            break found;
        }
        assert!(found.until_ns > from_ns, "it goes on");
        from_ns = found.until_ns;
    };
    assert!(
        (3..=5).contains(&stretches),
        "{stretches} stretches of 6 MB"
    );
    assert_eq!(rows(&last.frames)[4], "the end");
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn the_timeline_says_when_something_was_shown_and_what_happened() {
    let (player, dir) = player("timeline");
    let timeline = player.timeline(id()).unwrap().unwrap();
    assert_eq!(
        (timeline.duration_ns, timeline.is_whole),
        (16 * SECOND_NS, true)
    );
    assert_eq!(timeline.idle, [(99 * SECOND_NS / 10, 15 * SECOND_NS)]);
    let bytes: u64 = timeline.output.iter().sum();
    assert_eq!(
        bytes,
        (0..100)
            .map(|n| format!("line {n}\r\n").len() as u64)
            .sum::<u64>()
            + 12
    );
    assert!(timeline.output[..380].iter().filter(|n| **n > 0).count() == 100);
    let [command] = timeline.happenings.as_slice() else {
        panic!("{timeline:?}");
    };
    assert_eq!((command.lane, command.at_ns), ("commands", 15 * SECOND_NS));
    assert_eq!(command.label, "session.command path=/bin/ls");
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_text_is_found_when_it_came() {
    let (player, dir) = player("find");
    let find = |from_ns| player.find(id(), "line 4", from_ns).unwrap().unwrap();
    let found = find(0);
    assert_eq!((found.findings.len(), found.until_ns), (11, None));
    assert_eq!(found.findings[0].at_ns, 4 * SECOND_NS / 10);
    assert_eq!(find(45 * SECOND_NS / 10).findings.len(), 4);
    fs::remove_dir_all(&dir).unwrap();
}

/// So much output that it is made ready ahead: letters that do not compress.
fn long(push: &mut dyn FnMut(u64, &Body)) {
    let mut state = 7u64;
    for n in 0..150u64 {
        let line: String = (0..5000)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
            })
            .collect();
        push(n * 10_000_000, &data(&format!("{line}\r\nline {n}")));
    }
}

fn names(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir.join("keyframes")).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Whether somebody reads, and whether they may.
type Gate = Arc<(Mutex<(bool, bool)>, std::sync::Condvar)>;

/// A recording that a thread of one name reads only once the gate is open.
#[derive(Clone)]
struct Held(Arc<Vec<u8>>, Gate);

const HELD_READER: &str = "who searches";

impl hansard_view::source::ReadAt for Held {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if std::thread::current().name() == Some(HELD_READER) {
            let (gate, turns) = &*self.1;
            let mut gate = gate.lock().unwrap();
            gate.0 = true;
            turns.notify_all();
            drop(turns.wait_while(gate, |(_, open)| !*open).unwrap());
        }
        self.0.read_at(buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        hansard_view::source::ReadAt::len(&*self.0)
    }
}

impl Recordings for Held {
    fn open(&self, _: SessionId) -> Result<Option<Box<dyn Read + Send>>, Trouble> {
        Ok(None)
    }

    fn whole(&self, _: SessionId) -> Result<Option<Source>, Trouble> {
        Ok(Some(Arc::new(self.clone())))
    }

    fn verify(&self, _: SessionId) -> Result<Option<Verified>, Trouble> {
        Ok(None)
    }
}

#[test]
fn a_moment_is_shown_while_somebody_searches_the_same_recording() {
    let dir = std::env::temp_dir().join(format!("hansardd-player-both-{}", std::process::id()));
    let gate = Gate::default();
    let from = Arc::new(Held(Arc::new(recording(long)), Arc::clone(&gate)));
    let player = Player::new(from, &dir.join("copies"), &dir.join("keyframes")).unwrap();
    player.timeline(id()).unwrap();
    let player = Arc::new(player);
    let searching = Arc::clone(&player);
    let search = std::thread::Builder::new()
        .name(HELD_READER.to_owned())
        .spawn(move || searching.find(id(), "line 140", SECOND_NS))
        .unwrap();
    let (state, turns) = &*gate;
    let reads = turns.wait_while(state.lock().unwrap(), |(reads, _)| !*reads);
    drop(reads.unwrap());
    // It stands there until the screen has come.
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || said.send(player.stretch(id(), 1_400_000_000, 1_400_000_000)));
    let shown = heard.recv_timeout(Duration::from_secs(60));
    state.lock().unwrap().1 = true;
    turns.notify_all();
    let shown = shown.expect("a screen while the search goes on").unwrap();
    assert_eq!(rows(&shown.unwrap().frames)[4], "line 140");
    let found = search.join().unwrap().unwrap().unwrap();
    assert_eq!(found.findings.first().unwrap().at_ns, 1_400_000_000);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn keyframes_of_what_is_over_are_kept_and_the_next_player_reads_them() {
    let dir = std::env::temp_dir().join(format!("hansardd-player-kept-{}", std::process::id()));
    let bytes = recording(long);
    let (copied, whole) = (
        playing(bytes.clone(), false, &dir.join("copied")),
        playing(bytes.clone(), true, &dir),
    );
    // While it is not archived as a whole, nothing is made ahead.
    assert!(!copied.prepare(id(), &|| false).unwrap());
    assert!(matches!(
        whole.prepare(id(), &|| true),
        Err(Trouble::Retry(_))
    ));
    // Nor does a stop wait for what is under way: each time it is asked a little later, at every step.
    let (asked, mut last) = (std::cell::Cell::new(0), 0);
    for steps in 1.. {
        asked.set(0);
        let made = whole.prepare(id(), &|| {
            asked.set(asked.get() + 1);
            asked.get() >= steps
        });
        if asked.get() < steps {
            assert!(made.unwrap());
            break;
        }
        assert!(matches!(made, Err(Trouble::Retry(_))), "{steps}");
        assert_eq!(names(&dir), Vec::<String>::new(), "{steps}");
        last = steps;
    }
    assert!(last > 10, "asked {last} times only");
    let both = [format!("{}.idx", id()), format!("{}.timeline", id())];
    assert_eq!(names(&dir), both);
    let made = fs::metadata(dir.join("keyframes").join(&both[0])).unwrap();

    let again = playing(bytes.clone(), true, &dir);
    for at in [0, 3, 777, 1400, 16_000] {
        let [one, two] = [&copied, &again].map(|player| {
            let found = player.stretch(id(), at * 1_000_000, (at + 50) * 1_000_000);
            found.unwrap().unwrap()
        });
        assert_eq!(one, two, "at {at} ms");
    }
    assert_eq!(
        copied.timeline(id()).unwrap(),
        again.timeline(id()).unwrap()
    );
    let kept = fs::metadata(dir.join("keyframes").join(&both[0])).unwrap();
    assert_eq!(kept.modified().unwrap(), made.modified().unwrap());
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn keyframes_of_what_was_played_before_it_was_archived_are_kept_too() {
    let dir = std::env::temp_dir().join(format!("hansardd-player-early-{}", std::process::id()));
    let from = Arc::new(One(recording(long), AtomicBool::new(false)));
    let recordings: Arc<dyn Recordings> = from.clone();
    let player = Player::new(recordings, &dir.join("copies"), &dir.join("keyframes")).unwrap();
    let at = |ms: u64| {
        let found = player.stretch(id(), ms * 1_000_000, (ms + 50) * 1_000_000);
        found.unwrap().unwrap()
    };
    let early = at(777);
    assert!(!player.prepare(id(), &|| false).unwrap());
    from.1.store(true, Ordering::SeqCst);
    assert!(player.prepare(id(), &|| false).unwrap());
    assert_eq!(names(&dir).len(), 2, "as it was archived by then");
    assert_eq!(at(777), early);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn keyframes_that_are_damaged_or_of_another_recording_are_made_again() {
    let dir = std::env::temp_dir().join(format!("hansardd-player-doubt-{}", std::process::id()));
    let bytes = recording(long);
    playing(bytes.clone(), true, &dir)
        .prepare(id(), &|| false)
        .unwrap();
    let index = dir.join("keyframes").join(format!("{}.idx", id()));
    let timeline = dir.join("keyframes").join(format!("{}.timeline", id()));
    let (sound, length) = (
        fs::read(&index).unwrap(),
        fs::read(&timeline).unwrap().len(),
    );
    let screen = |player: &Player| {
        let found = player.stretch(id(), 1_400_000_000, 1_400_000_000);
        found.map(|found| rows(&found.unwrap().frames)[4].clone())
    };
    // The end of it, and then its timeline: seen when they are opened.
    fs::write(&index, &sound[..sound.len() - 1]).unwrap();
    assert_eq!(
        screen(&playing(bytes.clone(), true, &dir)).unwrap(),
        "line 140"
    );
    assert_eq!(fs::read(&index).unwrap(), sound);
    fs::write(&timeline, "nonsense").unwrap();
    assert_eq!(
        screen(&playing(bytes.clone(), true, &dir)).unwrap(),
        "line 140"
    );
    assert_eq!(fs::read(&timeline).unwrap().len(), length);
    // All keyframes: seen when a moment is wanted, and made again for who asks next.
    let mut rotten = sound.clone();
    rotten[8..sound.len() / 3].fill(7);
    fs::write(&index, &rotten).unwrap();
    let player = playing(bytes, true, &dir);
    assert!(matches!(screen(&player), Err(Trouble::Retry(_))));
    assert_eq!(screen(&player).unwrap(), "line 140");
    assert_eq!(fs::read(&index).unwrap(), sound);
    // Of another recording of that name.
    let other = recording(|push| push(SECOND_NS, &data("line other")));
    assert_eq!(screen(&playing(other, true, &dir)).unwrap(), "");
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn what_is_deleted_leaves_no_screen_behind() {
    let dir = std::env::temp_dir().join(format!("hansardd-player-gone-{}", std::process::id()));
    let bytes = recording(long);
    let player = playing(bytes.clone(), true, &dir);
    assert!(player.prepare(id(), &|| false).unwrap());
    player.forget(id());
    assert_eq!(names(&dir), Vec::<String>::new());
    // One that was deleted while nobody listened, and what a crash left half done.
    assert!(player.prepare(id(), &|| false).unwrap());
    fs::write(dir.join("keyframes/x.idx.part"), "half").unwrap();
    let kept = playing(bytes.clone(), true, &dir);
    kept.sweep(&|| false);
    assert_eq!(names(&dir).len(), 2);
    playing(bytes, false, &dir).sweep(&|| false);
    assert_eq!(names(&dir), Vec::<String>::new());
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn what_takes_long_to_be_made_ready_keeps_others_waiting_for_some_seconds_only() {
    let making = Mutex::default();
    let now = Instant::now();
    let first = Turn::take(&making, now).unwrap();
    let second = Turn::take(&making, now).unwrap();
    assert!(Turn::take(&making, now + MAKING_LONG / 2).is_none());
    let later = now + MAKING_LONG;
    let others = [Turn::take(&making, later), Turn::take(&making, later)];
    assert!(others.iter().all(Option::is_some));
    assert!(Turn::take(&making, later).is_none());
    // However long they take, there is a bound.
    let much_later = later + MAKING_LONG;
    let last = [
        Turn::take(&making, much_later),
        Turn::take(&making, much_later),
    ];
    assert!(last.iter().all(Option::is_some));
    let in_the_end = much_later + MAKING_LONG;
    assert!(Turn::take(&making, in_the_end).is_none());
    drop((first, second));
    let next = Turn::take(&making, in_the_end);
    assert!(next.is_some());
    drop((others, last, next));
    assert_eq!(making.lock().unwrap().begun.len(), 0);
}
