//! What is lost is counted.

use std::sync::{Arc, Condvar, Mutex};

use hansard_capture::host::{Config, HostEvents};
use hansard_core::{Part, Receipt, Sink, SinkError};
use hansard_record::FileSink;

use super::support::gaps;
use super::watching::{World, host, int, text, tricks};

/// Opens of files whose names differ, so that none is a repeat.
const ACTIONS: u64 = 20_000;

#[test]
fn so_many_actions_are_so_many_records_and_counted_losses() {
    let Some(host) = host() else { return };
    let torture = std::env::var("HANSARD_TORTURE").ok();
    let actions = torture.map_or(ACTIONS, |number| number.parse().unwrap());
    let script = format!("{} misses $DIR/none {actions}", tricks().display());
    let told = World::new(host, &script).told();
    let of_program = told.facts("session.disk");
    let misses = of_program.iter().filter(|fact| {
        text(&fact.fields, "path").starts_with(&told.at("none"))
            && int(&fact.fields, "return_code") == Some(-2)
    });
    let told_of = misses.map(|fact| int(&fact.fields, "repeats").unwrap_or(1));
    let told_of = u64::try_from(told_of.sum::<i64>()).unwrap();
    let lost: u64 = gaps(&told.events).iter().filter_map(|gap| gap.events).sum();
    if lost == 0 {
        assert_eq!(told_of, actions);
    } else {
        // Among those that are lost may be others, and none of these is told of twice.
        assert!(
            told_of <= actions && told_of + lost >= actions,
            "{told_of} + {lost}"
        );
    }
}

/// A disk that takes nothing until it is let go.
struct Stuck {
    sink: FileSink,
    go: Arc<(Mutex<bool>, Condvar)>,
}

impl Sink for Stuck {
    fn put(&mut self, parts: &[Part]) -> Result<Receipt, SinkError> {
        let (goes, told) = &*self.go;
        let goes = goes.lock().unwrap();
        drop(told.wait_while(goes, |goes| !*goes).unwrap());
        self.sink.put(parts)
    }
}

#[test]
fn a_disk_that_stands_still_makes_a_gap_with_a_number() {
    let Some(_) = host() else { return };
    // Nothing else of this process is to wait for this disk.
    let host = HostEvents::start(Config::default(), Box::new(|_| {})).unwrap();
    let actions = 200_000;
    let script = format!("{} misses $DIR/none {actions}", tricks().display());
    // The header is durable before anything waits.
    let go = Arc::new((Mutex::new(true), Condvar::new()));
    let set = |goes: bool| {
        *go.0.lock().unwrap() = goes;
        go.1.notify_all();
    };
    let of_sink = Arc::clone(&go);
    let mut world = World::waiting(&host, &script, |sink| Box::new(Stuck { sink, go: of_sink }));
    set(false);
    world.go();
    world.wait();
    set(true);
    let told = world.told();
    let of_program = told.facts("session.disk");
    let none = told.at("none");
    let misses = of_program
        .iter()
        .filter(|fact| text(&fact.fields, "path").starts_with(&none));
    let told_of = u64::try_from(misses.count()).unwrap();
    let gaps = gaps(&told.events);
    let lost: u64 = gaps.iter().filter_map(|gap| gap.events).sum();
    assert!(
        told_of > 0 && told_of < actions && lost > 0,
        "{told_of} and {lost}"
    );
    // Lost with them may be the few things that the shell and the loader did.
    let all = told_of + lost;
    assert!(all >= actions && all < actions + 200, "{told_of} + {lost}");
    assert!(gaps[0].cause.contains("faster"), "{:?}", gaps[0]);
}
