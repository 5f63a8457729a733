//! The thread that fills the full-text index: what it finds by itself, and what it is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hansard_core::SessionId;
use hansard_store::Catalog;
use hansard_store::catalog::{Burial, Buried, Retention};
use hansard_store::index::{Limits, search};
use hansard_view::question::Question;
use hansardd::api::seams::{Asked, Searching};
use hansardd::behind::Searched;
use hansardd::bell::Bell;
use hansardd::indexing::{News, Parts, Running, Shelf, start};
use hansardd::journal::{Journal, Style};
use hansardd::keeper::Projecting;
use support::{Life, Shape, World, events_of, id, parts};

/// How long anything may take that happens by itself, on a machine that does other things besides.
const WITHIN: Duration = Duration::from_secs(60);

/// An index of a life, being filled.
struct Indexing {
    dir: PathBuf,
    shelf: Shelf,
    news: Arc<News>,
    running: Arc<Running>,
}

impl Indexing {
    fn of(life: &Life) -> Self {
        Self::resting(life, WITHIN)
    }

    fn resting(life: &Life, rest_after: Duration) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("hansardd-indexing-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let (shelf, why) = Shelf::open(&dir).unwrap();
        assert_eq!(why, None);
        let news = Arc::<News>::default();
        let clock = Arc::new(life.world.clock.clone());
        let running = start(Parts {
            followed: life.followed(),
            catalog: Arc::new(life.world.catalog.clone()),
            news: Arc::clone(&news),
            shelf: shelf.clone(),
            journal: Journal::new(Style::Plain, Box::new(std::io::sink()), clock),
            key: [0; 32],
            rest_after,
        });
        Self {
            dir,
            shelf,
            news,
            running: Arc::new(running.unwrap()),
        }
    }

    /// Whether anything of a session is found.
    fn has(&self, session: SessionId) -> bool {
        let question = Question::parse(&format!("/./ session:{session}"), 0).unwrap();
        let index = self.shelf.index().unwrap();
        let within = (None, Limits::default());
        let found = search(&*index, &question, None, within, &|| false).unwrap();
        !found.sessions.is_empty()
    }

    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            let figures = self.running.figures();
            assert!(began.elapsed() < WITHIN, "{what}: {figures:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Indexing {
    fn drop(&mut self) {
        self.running.stop();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A crash may leave a session archived of which there is no row yet: neither the keeper tells it again
/// nor is it in the catalog when that is gone through.
#[test]
fn what_was_archived_and_had_no_rows_is_found_once_it_has() {
    let world = World::new();
    let mut before = world.life();
    before.put(&parts(1, Shape::of(2, 2)));
    before.settle();
    drop(before);
    let life = world.life();
    let indexing = Indexing::of(&life);
    indexing.until("everything is compared", |it| {
        it.running.figures().is_caught_up
    });
    assert!(!indexing.has(id(1)), "there was no row of it");
    let news = Arc::clone(&indexing.news);
    let told = Box::new(move |session| news.came(session));
    let (projector, live) = (world.projector(), life.live.clone());
    let projecting = Projecting::start(projector, live, Bell::default(), told).unwrap();
    indexing.until("the session is found", |it| it.has(id(1)));
    projecting.stop();
}

#[test]
fn what_is_told_of_again_is_not_read_again() {
    let world = World::new();
    let mut life = world.life();
    let (first, second) = (parts(1, Shape::of(3, 2)), parts(2, Shape::of(1, 2)));
    let indexing = Indexing::of(&life);
    life.put(&first);
    indexing.news.came(id(1));
    let events = |parts: &[_]| events_of(parts).len() as u64;
    // So many were read, and nothing is to be read: as of one turn, which is told when it is over.
    let is_over = |it: &Indexing, least: u64| {
        let figures = it.running.figures();
        figures.sessions == 0 && figures.events >= least
    };
    indexing.until("the first is indexed", |it| is_over(it, events(&first)));
    indexing.news.came(id(1));
    life.put(&second);
    indexing.news.came(id(2));
    let both = events(&first) + events(&second);
    indexing.until("the second is found", |it| {
        it.has(id(2)) && is_over(it, both)
    });
    let read = indexing.running.figures().events;
    assert_eq!(read, both);
}

#[test]
fn what_rests_between_any_two_frames_is_read_once_and_whole() {
    let world = World::new();
    let mut life = world.life();
    let indexing = Indexing::resting(&life, Duration::ZERO);
    let recording = parts(4, Shape::of(3, 3));
    for (before, part) in recording.iter().enumerate() {
        life.put(std::slice::from_ref(part));
        indexing.news.came(id(4));
        let events = events_of(&recording[..=before]).len() as u64;
        indexing.until("what came is indexed", |it| {
            it.running.figures().events >= events
        });
    }
    indexing.until("it is over", |it| {
        it.running.figures().sessions == 0 && it.has(id(4))
    });
    let read = indexing.running.figures().events;
    assert_eq!(read, events_of(&recording).len() as u64);
}

/// The thread says how it is after each turn. While one takes long, or none comes any more, what came since is
/// not in the index, and nobody is told that it were.
#[test]
fn what_waits_for_a_turn_is_not_caught_up_with() {
    let world = World::new();
    let mut life = world.life();
    let indexing = Indexing::of(&life);
    indexing.until("everything is compared", |it| {
        it.running.figures().is_caught_up
    });
    indexing.running.stop();
    assert!(indexing.running.figures().is_caught_up);
    life.put(&parts(1, Shape::of(1, 2)));
    indexing.news.came(id(1));
    indexing.until("it is known that something is missing", |it| {
        !it.running.figures().is_caught_up
    });
    assert!(!indexing.has(id(1)));
}

/// The index hears of a deletion from the daemon's own recording, and where it is in trouble does not hear of it.
#[test]
fn what_is_deleted_is_not_found_though_the_index_has_it() {
    let world = World::new();
    let mut life = world.life();
    let indexing = Indexing::of(&life);
    for n in [1, 2] {
        life.put(&parts(n, Shape::of(1, 2)));
        indexing.news.came(id(n));
    }
    life.settle();
    world.projector().run_all().unwrap();
    indexing.until("both are indexed", |it| it.has(id(1)) && it.has(id(2)));
    let searched = Searched {
        shelf: indexing.shelf.clone(),
        indexing: Arc::clone(&indexing.running),
        clock: Arc::new(world.clock.clone()),
        catalog: Arc::new(world.catalog.clone()) as Arc<dyn Catalog>,
        live: life.live.clone(),
    };
    let question = Question::parse("/./", 0).unwrap();
    let found = || {
        let asked = Asked {
            owner: None,
            question: &question,
            after: None,
            limits: Limits::default(),
        };
        let found = searched.search(&asked).unwrap();
        found
            .sessions
            .iter()
            .map(|of| of.whose.session)
            .collect::<Vec<_>>()
    };
    let mut both = found();
    both.sort();
    assert_eq!(both, [id(1), id(2)]);
    let burial = Burial {
        by: "a rule".to_owned(),
        why: "old".to_owned(),
        utc_ns: 1,
    };
    let buried = world.catalog.bury(id(1), &burial).unwrap();
    assert!(matches!(buried, Buried::Done(_)), "{buried:?}");
    assert!(indexing.has(id(1)), "the index heard of nothing");
    assert_eq!(found(), [id(2)]);
}
