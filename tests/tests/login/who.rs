//! Who is logged in, as the machine's list says (`who`): a login's new terminal stands in it, until the
//! session is over, however that comes.

use std::path::Path;
use std::time::{Duration, Instant};

use hansard_tests::skipped;

use crate::outer::{Outer, PATIENCE};
use crate::place::{ANNA, Place, must};

/// Makes the list, with the login's own terminal in it as `sshd` would have put it there.
const LISTED: &str = r#"line=$(tty); line=${line#/dev/}
printf '[7] [%05d] [%-4s] [%-8s] [%-12s] [%-20s] [%-15s] [%s]\n' $$ "${line#p}" hansard-anna $line \
    far.example.org 192.0.2.7 '2026-01-01T00:00:00,000000+00:00' | utmpdump -r >/run/utmp
exec su - hansard-anna"#;

fn log_in(place: &Place) -> Outer {
    let mut screen = place.on_terminal(&place.run(&["sh", "-c", LISTED]));
    screen.expect("hansard-anna> ");
    screen
}

/// The entries of those who are logged in.
fn listed(place: &Place) -> Vec<String> {
    let dumped = must(&mut place.run(&["utmpdump", "/run/utmp"])).stdout;
    let dumped = String::from_utf8(dumped).unwrap();
    let rows = dumped.lines().filter(|row| row.starts_with("[7]"));
    rows.map(str::to_owned).collect()
}

fn place(name: &str) -> Option<Place> {
    if !Path::new("/usr/bin/utmpdump").exists() || !Path::new("/usr/bin/who").exists() {
        skipped("no utmpdump or who");
        return None;
    }
    Place::new(name)
}

#[test]
fn a_login_is_in_the_list_with_where_it_came_from_until_it_ends() {
    let Some(place) = place("login-who") else {
        return;
    };
    let mut screen = log_in(&place);
    screen.type_in(b"who am i; tty\r");
    screen.expect("\rhansard-anna pts/");
    screen.expect("(far.example.org)\r");
    let rows = listed(&place);
    assert_eq!(rows.len(), 2, "{rows:?}");
    for row in &rows {
        assert!(row.contains("192.0.2.7") && row.contains(ANNA), "{row}");
    }
    screen.type_in(b"exit\r");
    assert_eq!(screen.wait(), 0);
    place.sessions(1);
    assert_eq!(listed(&place), rows[..1], "the outer one is as it was");
}

#[test]
fn the_start_after_a_kill_takes_it_out() {
    let Some(mut place) = place("login-who-kill") else {
        return;
    };
    let mut screen = log_in(&place);
    let rows = listed(&place);
    assert_eq!(rows.len(), 2, "{rows:?}");
    place.daemon.kill();
    screen.wait();
    assert_eq!(listed(&place), rows);
    place.daemon.start();
    let since = Instant::now();
    while listed(&place) != rows[..1] {
        assert!(since.elapsed() < PATIENCE, "{:?}", listed(&place));
        std::thread::sleep(Duration::from_millis(50));
    }
}
