//! What is listed before the catalog has it: each row once, in order, whatever page one asks for, and
//! gone from memory when the catalog has it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use hansard_core::frame::Part;
use hansard_store::catalog::{Catalog, EventRow, Query, SessionRow};
use hansard_store::project::Projector;
use hansard_view::document::Counted;
use hansardd::bell::Bell;
use hansardd::keeper::Projecting;
use hansardd::live::Live;
use hansardd::live::listing::{events, sessions};
use support::{Life, Shape, World, id, interleave, mix, parts};

fn recordings(count: u64) -> Vec<Vec<Part>> {
    (0..count)
        .map(|n| {
            let shape = Shape::of(1 + (n % 4) as u32, 1 + (n % 3) as u32);
            let ends = n % 5 != 0;
            parts(n, Shape { ends, ..shape })
        })
        .collect()
}

/// Everything that the catalog lists by itself once all is projected. Segments without a seal are
/// not in it.
fn all_sessions(catalog: &dyn Catalog, live: &Live, query: &Query) -> Vec<SessionRow> {
    let (mut rows, mut query) = (Vec::new(), query.clone());
    loop {
        let listing = sessions(catalog, live, &query).unwrap();
        assert!(listing.page.rows.len() <= query.rows_max());
        rows.extend(listing.page.rows.into_iter().map(as_listed));
        query.after = listing.page.next;
        if query.after.is_none() {
            return rows;
        }
    }
}

/// Without what the projector keeps in a row for itself.
fn as_listed(row: SessionRow) -> SessionRow {
    SessionRow {
        counted: Counted::default(),
        ..row
    }
}

fn all_events(catalog: &dyn Catalog, live: &Live, query: &Query) -> Vec<EventRow> {
    let (mut rows, mut query) = (Vec::new(), query.clone());
    loop {
        let listing = events(catalog, live, &query).unwrap();
        assert!(listing.complete);
        assert!(listing.page.rows.len() <= query.rows_max());
        rows.extend(listing.page.rows);
        query.after = listing.page.next;
        if query.after.is_none() {
            return rows;
        }
    }
}

fn project_some(life: &Life, projector: &mut Projector, segments: usize) {
    projector.run(segments).unwrap();
    for (session, segment) in projector.done() {
        life.live.projected(*session, *segment);
    }
}

fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for limit in [1, 3, 7, 0] {
        for newest_first in [false, true] {
            let plain = Query {
                limit,
                newest_first,
                ..Query::default()
            };
            queries.push(Query {
                user: Some("user-3".to_owned()),
                ..plain.clone()
            });
            queries.push(Query {
                session: Some(id(4)),
                ..plain.clone()
            });
            queries.push(plain);
        }
    }
    queries
}

#[test]
fn listings_are_the_same_before_and_after_they_are_projected() {
    let recordings = recordings(23);
    let world = World::new();
    let mut life = world.life();
    life.put(&interleave(&recordings, 9));
    life.settle();
    let mut projector = world.projector();
    let mut wanted = Vec::new();
    for query in queries() {
        let live = &life.live;
        wanted.push((
            all_sessions(&world.catalog, live, &query),
            all_events(&world.catalog, live, &query),
        ));
    }
    assert_eq!(wanted.last().unwrap().0.len(), 23);
    for step in 0..20 {
        project_some(&life, &mut projector, 1 + (mix(step) % 7) as usize);
        for (query, (sessions, events)) in queries().iter().zip(&wanted) {
            let live = &life.live;
            assert_eq!(
                &all_sessions(&world.catalog, live, query),
                sessions,
                "{step} {query:?}"
            );
            assert_eq!(
                &all_events(&world.catalog, live, query),
                events,
                "{step} {query:?}"
            );
        }
    }
    assert!(world.catalog.unprojected(1).unwrap().is_empty());
    // What ended is forgotten; of the others only their unsealed tails are still kept.
    let open = recordings
        .iter()
        .enumerate()
        .filter(|(n, _)| n % 5 == 0)
        .count();
    assert_eq!(life.live.usage().0, open);
}

#[test]
fn by_itself_the_catalog_lists_the_same_of_what_ended() {
    let recordings: Vec<Vec<Part>> = (0..9).map(|n| parts(n, Shape::of(3, 2))).collect();
    let world = World::new();
    let mut life = world.life();
    life.put(&interleave(&recordings, 2));
    life.settle();
    let query = Query::default();
    let (before, rows) = (
        all_sessions(&world.catalog, &life.live, &query),
        all_events(&world.catalog, &life.live, &query),
    );
    world.projector().run_all().unwrap();
    let after = world.catalog.sessions(&query).unwrap().rows;
    let after: Vec<SessionRow> = after.into_iter().map(as_listed).collect();
    assert_eq!(after, before);
    assert_eq!(world.catalog.events(&query).unwrap().rows, rows);
}

#[test]
fn beyond_its_bounds_a_listing_says_that_it_is_not_complete() {
    let world = World::new();
    let mut life = world.life();
    life.put(&parts(2, Shape::of(1, 2)));
    life.settle();
    // A session with more events than are kept for one.
    let long = long_recording(9000);
    for batch in long.chunks(64) {
        life.put(batch);
        life.keeper.step();
    }
    life.settle();
    let (rows, complete) = life.live.events(&Query::default());
    assert!(!complete && !rows.is_empty());
    let other = Query {
        session: Some(id(2)),
        ..Query::default()
    };
    assert!(life.live.events(&other).1, "others are not concerned");
    let (_, bytes) = life.live.usage();
    assert!(bytes <= 1024 * 1024 + 10_000, "{bytes}");
    let mut projector = world.projector();
    while !world.catalog.unprojected(1).unwrap().is_empty() {
        project_some(&life, &mut projector, 100);
    }
    assert!(life.live.events(&Query::default()).1);
    assert_eq!(life.live.usage(), (0, 0));
}

fn long_recording(marks: u64) -> Vec<Part> {
    use hansard_core::Body;
    use hansard_core::event::End;
    use hansard_core::writer::{Bounds, SegmentWriter};
    let key = support::key(1);
    let mut writer = SegmentWriter::new(support::header(1, &key), key, Bounds::default()).unwrap();
    for i in 0..marks {
        let label = format!("{i} {:x}", mix(i)).repeat(4);
        writer.push(i * 1000, &Body::Mark { label }).unwrap();
    }
    writer.finish(marks * 1000, &End::default()).unwrap();
    writer.parts()
}

#[test]
fn the_projector_thread_wakes_up_and_empties_it() {
    let recordings: Vec<Vec<Part>> = (0..9).map(|n| parts(n, Shape::of(3, 2))).collect();
    let world = World::new();
    let mut life = world.life();
    let settled: Bell = life.keeper.settled_bell();
    let nobody = Box::new(|_| {});
    let (projector, live) = (world.projector(), life.live.clone());
    let projecting = Projecting::start(projector, live, settled, nobody).unwrap();
    life.put(&interleave(&recordings, 2));
    life.settle();
    let began = std::time::Instant::now();
    while life.live.usage() != (0, 0) {
        assert!(began.elapsed().as_secs() < 20, "{:?}", projecting.figures());
        std::thread::yield_now();
    }
    let began = std::time::Instant::now();
    while projecting.figures().segments < 27 {
        assert!(began.elapsed().as_secs() < 20);
        std::thread::yield_now();
    }
    assert!(projecting.is_running());
}

#[test]
fn the_recorder_is_told_of_the_first_follower_and_of_the_last() {
    use std::sync::{Arc, Mutex};
    let told = Arc::new(Mutex::new(Vec::new()));
    let of_control = told.clone();
    let control = Arc::new(move |session, on| of_control.lock().unwrap().push((session, on)));
    let clock = Arc::new(hansard_record::sim::SimClock::new(0));
    let live = Live::new(clock, control);
    let (a, b) = (live.watch(id(1)), live.watch(id(1)));
    let c = live.watch(id(2));
    drop(a);
    drop(b);
    drop(c);
    let wanted = [(id(1), true), (id(2), true), (id(1), false), (id(2), false)];
    assert_eq!(*told.lock().unwrap(), wanted);
    let many: Vec<_> = (0..).map_while(|n| live.watch(id(n % 7))).collect();
    assert_eq!(many.len(), hansardd::live::FOLLOWERS_MAX);
}
