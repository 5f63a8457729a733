//! A client of which nobody reads what it prints any more: `ssh HOST yes | head`. The program learns it as from
//! any pipe, at a node and through the proxy.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

use hansard_core::event::Event;

use crate::debian;
use crate::proxied::Behind;
use crate::site::{Site, facts, finished};
use crate::support::{end_of, wait_for};

/// Runs it, reads a line and reads no more. Answers its recording and the connection's.
fn read_once(site: &Site, options: &[&str], command: &str) -> [Vec<Event>; 2] {
    // Its input stays open, as at a terminal: one that had both ended would close the channel.
    let mut client = site.ssh(options, &[command]);
    let mut client = client.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(client.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), "y");
    drop(stdout);
    finished(client);
    let kind = if options.is_empty() {
        "exec"
    } else {
        "terminal"
    };
    [site.complete(kind), site.complete("ssh")]
}

fn was_told(connection: &[Event]) {
    let asked = facts(connection, "channel_request");
    let asked: Vec<_> = asked
        .iter()
        .filter(|fact| fact.fields.text("requestType") == Some("eow@openssh.com"))
        .collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].fields.get("success"), Some(&true.into()));
    assert!(asked[0].fields.get("channel_id").is_some());
}

/// Says much, and says little.
const COMMANDS: [&str; 2] = ["yes", "while echo y; do sleep 0.1; done"];

#[test]
fn a_program_that_nobody_reads_ends_as_at_a_pipe() {
    for command in COMMANDS {
        let [exec, connection] = read_once(&Site::new(), &[], command);
        let end = end_of(&exec);
        // The shell that runs the second one tells that its `echo` failed.
        assert!(
            end.signal.as_deref() == Some("PIPE") || end.exit_status.is_some(),
            "{end:?}"
        );
        was_told(&connection);
    }
}

#[test]
fn a_program_of_a_target_that_nobody_reads_ends_as_well() {
    if !debian::is_there() {
        return;
    }
    for command in COMMANDS {
        let behind = Behind::new(|_| {});
        let [exec, connection] = read_once(&behind.site, &[], command);
        assert_eq!(end_of(&exec).reason, "nobody read its output any more");
        was_told(&connection);
    }
}

#[test]
fn a_terminal_that_nobody_looks_at_is_hung_up() {
    let [terminal, connection] = read_once(&Site::new(), &["-tt"], "yes");
    assert_eq!(end_of(&terminal).reason, "nobody read its output any more");
    was_told(&connection);
}

#[test]
fn of_several_that_may_be_meant_none_is_ended() {
    let site = Site::new();
    let socket = site.path("control");
    let path = format!("ControlPath={}", socket.display());
    let mut master = site.ssh(&["-o", &path, "-M", "-N"], &[]).spawn().unwrap();
    wait_for("the master", || socket.exists());
    let run = |command: &str| {
        let mut client = site.ssh(&["-o", &path], &[command]);
        let mut client = client.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(client.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        (client, stdout)
    };
    let (mut speaks, mut heard) = run("echo y; exec sleep 600");
    let (mut floods, unheard) = run("yes");
    drop(unheard);
    let connection = site.session("ssh");
    let events = || crate::support::events(&site.daemon.recording(connection));
    wait_for("its request", || {
        !facts(&events(), "channel_request").is_empty()
    });
    let asked = facts(&events(), "channel_request").remove(0);
    assert_eq!(
        asked.fields.get("success"),
        Some(&false.into()),
        "{asked:?}"
    );
    let still_there = site.daemon.server.registry().list();
    assert_eq!(
        still_there.len(),
        3,
        "{still_there:?} {:#?}",
        site.sessions()
    );
    for client in [&mut floods, &mut speaks, &mut master] {
        client.kill().unwrap();
        client.wait().unwrap();
    }
    let _ = heard.read_line(&mut String::new());
    site.complete("ssh");
}

/// Much goes in, and nothing is taken of what comes out until all of that waits somewhere: more than any
/// window and buffer holds. Then everything is.
fn says_it_all_late(site: &Site) {
    const BYTES: usize = 48 << 20;
    let mut client = site.ssh(&[], &["cat"]);
    let mut client = client.stdin(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (client.stdin.take().unwrap(), client.stdout.take().unwrap());
    let given = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&given);
    let giving = std::thread::spawn(move || {
        let block = [b'x'; 1 << 16];
        for _ in 0..BYTES / block.len() {
            stdin.write_all(&block).unwrap();
            count.fetch_add(block.len(), std::sync::atomic::Ordering::SeqCst);
        }
    });
    let now = || given.load(std::sync::atomic::Ordering::SeqCst);
    // More than the node takes in at once: it holds the client back by now.
    wait_for("much is given", || now() > 20 << 20);
    let mut taken = 0;
    let mut block = vec![0; 1 << 16];
    loop {
        match stdout.read(&mut block).unwrap() {
            0 => break,
            len => taken += len,
        }
    }
    giving.join().unwrap();
    assert_eq!(taken, BYTES);
    assert_eq!(finished(client).status.code(), Some(0));
}

#[test]
fn a_reader_that_comes_late_gets_everything() {
    says_it_all_late(&Site::new());
}

#[test]
fn a_reader_that_comes_late_gets_everything_from_a_target() {
    if debian::is_there() {
        says_it_all_late(&Behind::new(|_| {}).site);
    }
}
