//! A recording that is damaged while it is kept: whoever looks is told.

use super::*;

/// A recording on a medium that loses some of it.
#[derive(Clone)]
struct Rotting(Arc<Mutex<Vec<u8>>>);

impl Rotting {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(recording(long))))
    }

    /// What is in the middle is something else from now on.
    fn rot(&self) {
        let mut bytes = self.0.lock().unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 16].fill(0xa5);
    }

    fn player(&self, dir: &Path) -> Player {
        let from = Arc::new(self.clone());
        Player::new(from, &dir.join("copies"), &dir.join("keyframes")).unwrap()
    }
}

impl hansard_view::source::ReadAt for Rotting {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.lock().unwrap().read_at(buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        hansard_view::source::ReadAt::len(&*self.0.lock().unwrap())
    }
}

impl Recordings for Rotting {
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

fn directory(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("hansardd-player-{name}-{}", std::process::id()))
}

fn stretch(player: &Player, from_ms: u64, until_ms: u64) -> Stretch {
    let found = player.stretch(id(), from_ms * 1_000_000, until_ms * 1_000_000);
    found.unwrap().unwrap()
}

#[test]
fn a_damaged_place_is_a_gap_at_its_moment_and_counted_in_each_answer_that_passes_it() {
    let dir = directory("damaged");
    let recording = Rotting::new();
    let player = recording.player(&dir);
    let sound = player.timeline(id()).unwrap().unwrap();
    let find = |player: &Player| player.find(id(), "line 7", 0).unwrap().unwrap();
    let sound_findings = find(&player);
    assert_eq!(sound_findings.damages, 0);
    assert_eq!((sound.damages, sound.happenings.len()), (0, 0));
    recording.rot();
    fs::remove_dir_all(&dir).unwrap();
    let player = recording.player(&dir);
    let timeline = player.timeline(id()).unwrap().unwrap();
    let [gap] = timeline.happenings.as_slice() else {
        panic!("{timeline:?}");
    };
    assert_eq!((timeline.damages, gap.lane), (1, "gaps"));
    assert!(gap.label.starts_with("damaged at byte "), "{gap:?}");
    // In the middle of what was printed up to 1.5 s, and there is less of it.
    assert!((500_000_000..1_000_000_000).contains(&gap.at_ns), "{gap:?}");
    assert!(timeline.output.iter().sum::<u64>() < sound.output.iter().sum());
    let gap_ms = gap.at_ns / 1_000_000;
    assert_eq!(stretch(&player, 0, gap_ms / 2).damages, 0);
    assert_eq!(stretch(&player, 0, 16_000).damages, 1);
    // Lines that were there before are not found, which the answer says.
    let found = find(&player);
    assert!(found.findings.len() < sound_findings.findings.len());
    assert_eq!(found.until_ns, None);
    assert_eq!(found.damages, 1);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn nobody_skips_a_damaged_place_as_idle() {
    let dir = directory("damaged-idle");
    // What is silent for two seconds and more is idle, unless it is not known to be silent.
    let bytes = super::recording(|push| {
        let noise = |n: u64| {
            let mut state = n;
            let mut next = || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
            };
            (0..100_000).map(|_| next()).collect::<String>()
        };
        for n in 0..5 {
            push(3 * n * SECOND_NS, &data(&noise(n)));
        }
    });
    let recording = Rotting(Arc::new(Mutex::new(bytes)));
    let of = |name: &str| {
        let player = recording.player(&dir.join(name));
        player.timeline(id()).unwrap().unwrap()
    };
    let sound = of("sound");
    recording.rot();
    let rotten = of("rotten");
    let gap = rotten.happenings.first().unwrap();
    let is_across = |(from, until): &(u64, u64)| *from <= gap.at_ns && *until > gap.at_ns;
    let across = |of: &Timeline| of.idle.iter().filter(|idle| is_across(idle)).count();
    assert_eq!((sound.idle.len(), across(&sound)), (5, 1), "{gap:?}");
    assert_eq!(across(&rotten), 0, "{:?}", rotten.idle);
    // What is known to be silent stays idle, up to the damage and behind it.
    let ends = |of: &Timeline| (of.idle.first().copied(), of.idle.last().copied());
    assert_eq!(ends(&rotten), ends(&sound));
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn damage_that_came_later_ends_what_was_kept_at_the_first_look_that_meets_it() {
    let dir = directory("rot");
    let recording = Rotting::new();
    let before = recording.player(&dir);
    assert!(before.prepare(id(), &|| false).unwrap());
    recording.rot();
    // Another start, and one that had it ready already.
    for player in [&recording.player(&dir), &before] {
        assert_eq!(player.timeline(id()).unwrap().unwrap().damages, 0);
        // What is sound is shown from what is kept.
        assert_eq!(stretch(player, 0, 10).damages, 0);
        assert_eq!(player.timeline(id()).unwrap().unwrap().damages, 0);
        assert_eq!(stretch(player, 0, 16_000).damages, 1);
        assert_eq!(names(&dir), Vec::<String>::new());
        let timeline = player.timeline(id()).unwrap().unwrap();
        assert_eq!((timeline.damages, timeline.happenings.len()), (1, 1));
        // Made anew once, not for each who looks; and kept nowhere.
        stretch(player, 0, 16_000);
        player.find(id(), "line ", 0).unwrap();
        assert!(Arc::ptr_eq(
            &timeline,
            &player.timeline(id()).unwrap().unwrap()
        ));
        assert_eq!(names(&dir), Vec::<String>::new());
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_search_ends_what_was_kept_too() {
    let dir = directory("rot-found");
    let recording = Rotting::new();
    let player = recording.player(&dir);
    assert!(player.prepare(id(), &|| false).unwrap());
    recording.rot();
    assert_eq!(player.find(id(), "line ", 0).unwrap().unwrap().damages, 1);
    assert_eq!(player.timeline(id()).unwrap().unwrap().damages, 1);
    assert_eq!(names(&dir), Vec::<String>::new());
    fs::remove_dir_all(&dir).unwrap();
}

fn damaged(places: u64) -> Damaged {
    let what = "segment 0: a blob is gone".to_owned();
    Damaged { places, what }
}

#[test]
fn nothing_made_before_a_check_found_damage_is_shown_after_it() {
    let dir = directory("rot-checked");
    let recording = Rotting::new();
    let before = recording.player(&dir);
    assert!(before.prepare(id(), &|| false).unwrap());
    recording.rot();
    assert_eq!(before.timeline(id()).unwrap().unwrap().damages, 0);
    before.checked(id(), Some(&damaged(1)));
    assert_eq!(names(&dir), [format!("{}.damaged", id())]);
    // Nobody looked at the damaged place itself, here or after another start.
    for player in [&before, &recording.player(&dir)] {
        let timeline = player.timeline(id()).unwrap().unwrap();
        assert_eq!((timeline.damages, timeline.happenings.len()), (1, 1));
        let label = &timeline.happenings[0].label;
        assert!(label.starts_with("damaged at byte "), "{label}");
        assert!(player.prepare(id(), &|| false).unwrap());
        assert_eq!(names(&dir), [format!("{}.damaged", id())]);
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn damage_that_reading_does_not_show_is_said_until_a_check_finds_none() {
    let dir = directory("checked-unseen");
    let recording = Rotting::new();
    let player = recording.player(&dir);
    assert!(player.prepare(id(), &|| false).unwrap());
    player.checked(id(), Some(&damaged(3)));
    for player in [&player, &recording.player(&dir)] {
        let timeline = player.timeline(id()).unwrap().unwrap();
        let [gap] = timeline.happenings.as_slice() else {
            panic!("{timeline:?}");
        };
        assert_eq!((timeline.damages, gap.lane), (3, "gaps"));
        assert_eq!(gap.at_ns, timeline.duration_ns);
        assert!(
            gap.label.ends_with(": segment 0: a blob is gone"),
            "{gap:?}"
        );
    }
    // Somebody was making it ready while it was noted.
    let other = directory("checked-meanwhile");
    assert!(recording.player(&other).prepare(id(), &|| false).unwrap());
    for end in ["idx", "timeline"] {
        let name = format!("keyframes/{}.{end}", id());
        fs::copy(other.join(&name), dir.join(&name)).unwrap();
    }
    let timeline = recording.player(&dir).timeline(id()).unwrap().unwrap();
    assert_eq!(timeline.damages, 3);
    // A note that nobody can read is no good news.
    fs::write(dir.join(format!("keyframes/{}.damaged", id())), "[1").unwrap();
    let timeline = recording.player(&dir).timeline(id()).unwrap().unwrap();
    assert_eq!(timeline.damages, 1);
    player.checked(id(), None);
    assert_eq!(names(&dir), Vec::<String>::new());
    let timeline = player.timeline(id()).unwrap().unwrap();
    assert_eq!((timeline.damages, timeline.happenings.len()), (0, 0));
    // What is intact and was so stays as it is.
    player.checked(id(), None);
    let again = player.timeline(id()).unwrap().unwrap();
    assert!(Arc::ptr_eq(&timeline, &again));
    // What is noted of a session goes with it.
    player.checked(id(), Some(&damaged(1)));
    player.forget(id());
    assert_eq!(names(&dir), Vec::<String>::new());
    fs::remove_dir_all(&other).unwrap();
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn what_a_check_found_stays_while_the_session_is_there() {
    let dir = directory("checked-swept");
    let (bytes, other) = (recording(long), SessionId::new_v7(1, [2; 10]));
    // One goes on; of the other nothing is known any more.
    let player = playing(bytes, false, &dir);
    player.checked(id(), Some(&damaged(1)));
    player.checked(other, Some(&damaged(1)));
    player.sweep(&|| false);
    assert_eq!(names(&dir), [format!("{}.damaged", id())]);
    assert_eq!(player.timeline(id()).unwrap().unwrap().damages, 1);
    fs::remove_dir_all(&dir).unwrap();
}
