//! What tlog is known to fail at, one test each: truncated pipes, streams in one, stale locks, the
//! second terminal of a login, a missing locale, a missing `/run/utmp`. (`ssh -n`, which hung:
//! `commands.rs`.)

use std::fs;
use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use crate::place::{ANNA, Place, fed, must, noise};

/// The last bytes of a command that ends at once were lost when its reader was slow.
#[test]
fn nothing_is_cut_off_at_the_end() {
    let Some(place) = Place::new("login-cut") else {
        return;
    };
    let input = noise(3, 900_000);
    fs::write(place.home(ANNA).join("data"), &input).unwrap();
    let words: Vec<String> = place
        .ssh_options()
        .iter()
        .map(|word| format!("'{word}'"))
        .collect();
    let script = format!(
        "ssh {} {ANNA}@desk 'cat data; echo end >&2' | (sleep 1; cat)",
        words.join(" ")
    );
    let done = must(std::process::Command::new("sh").args(["-c", &script]));
    assert!(done.stdout == input, "{} bytes", done.stdout.len());
    assert_eq!(done.stderr, b"end\n");
}

/// It left after 40 seconds, with the program's status, and what a slow reader had not taken was gone.
#[test]
fn a_reader_may_take_its_time() {
    let Some(place) = Place::new("login-slow") else {
        return;
    };
    let input = noise(4, 3_000_000);
    fs::write(place.home(ANNA).join("data"), &input).unwrap();
    let mut ssh = place.ssh(&[], &["cat data"]);
    let mut ssh = ssh
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(45));
    let mut read = Vec::new();
    ssh.stdout.take().unwrap().read_to_end(&mut read).unwrap();
    assert!(read == input, "{} bytes", read.len());
    assert!(ssh.wait().unwrap().success());
}

/// Standard error came out of standard output.
#[test]
fn standard_error_is_not_standard_output() {
    let Some(place) = Place::new("login-streams") else {
        return;
    };
    let script = "for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done; cat >&2";
    let done = fed(&mut place.ssh(&[], &[script]), b"in\n");
    assert_eq!(done.stdout, b"o1\no2\no3\no4\no5\n");
    assert_eq!(done.stderr, b"e1\ne2\ne3\ne4\ne5\nin\n");
    let rows = place.sessions(1);
    let events = place.events(&rows[0]);
    for what in ["stdin", "stdout", "stderr"] {
        assert!(events.contains(what), "{what} is not in {events}");
    }
}

/// A lock that a killed recorder left made the next login go by unrecorded; so did the lock of a
/// login that goes on: the second terminal.
#[test]
fn a_killed_login_and_a_second_terminal_change_nothing() {
    let Some(place) = Place::new("login-lock") else {
        return;
    };
    let mut first = place.su(ANNA);
    first.expect("hansard-anna> ");
    first.type_in(b"kill -9 $PPID\r");
    first.wait();
    let mut second = place.su(ANNA);
    second.expect("hansard-anna> ");
    let mut third = place.su(ANNA);
    third.expect("hansard-anna> ");
    // The killed login's parts are no lock to the next one, nor is the second to the third: of the
    // same user, of one audit session even.
    for screen in [&mut third, &mut second] {
        screen.type_in(b"exit\r");
        assert_eq!(screen.wait(), 0);
    }
    let rows = place.sessions(3);
    assert!(rows.iter().all(|row| row["kind"] == "terminal"));
}

/// Without the locale that the environment names, tlog did not start, and nobody got in.
#[test]
fn a_locale_that_is_not_there_keeps_nobody_out() {
    let Some(place) = Place::new("login-locale") else {
        return;
    };
    for locale in ["xx_XX.UTF-8", "C", "", "de_DE.ISO-8859-1"] {
        let mut command = place.ssh(&["-o", "SendEnv=LC_ALL"], &["printf '\\303\\274\\377'"]);
        let done = must(command.env("LC_ALL", locale));
        assert_eq!(done.stdout, b"\xc3\xbc\xff", "LC_ALL={locale}");
    }
    place.sessions(4);
}

/// Without the list of who is logged in, tlog did not record on a terminal.
#[test]
fn no_list_of_who_is_logged_in_is_needed() {
    let Some(place) = Place::new("login-utmp") else {
        return;
    };
    let listed = place.run(&["test", "-e", "/run/utmp"]).status().unwrap();
    assert!(!listed.success(), "this machine has none");
    let mut screen = place.su(ANNA);
    screen.expect("hansard-anna> ");
    screen.type_in(b"exit 3\r");
    assert_eq!(screen.wait(), 3);
    assert_eq!(place.sessions(1)[0]["kind"], "terminal");
}
