//! Clients that go away at an awkward moment: every recording has its end all the same, and every program its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hansard_capture::local::Decides;
use hansard_core::policy::{OnEnd, Policy, Watch};
use hansard_core::{Decision, Gate, Login};
use rustix::process::{Pid, test_kill_process};

use crate::site::Site;
use crate::support::{end_of, wait_for};

/// What ignores that it is hung up.
const DEAF: &str = "trap '' HUP; echo $$; exec sleep 600";

/// Room for the input of a program that reads none: with what its pipe takes.
const ROOM: usize = 17 * 1024 * 1024;

/// Every session's programs are killed with it.
struct Kills;

impl Gate for Kills {
    fn admit(&self, _: &Login) -> Decision {
        Decision {
            recorded: true,
            policy: Policy::default(),
            notice: String::new(),
            accept: false,
            on_end: OnEnd::Kill,
            break_glass: false,
            watch: Watch::default(),
        }
    }
}

fn where_all_is_killed() -> Site {
    Site::with(|_| {}, |local| local.gate = Some(Decides(Arc::new(Kills))))
}

/// Starts something that says its process's number.
fn begun(site: &Site, options: &[&str], command: &str) -> (Child, ChildStdin, Pid) {
    let mut client = site.ssh(options, &[command]);
    let mut client = client.stdin(Stdio::piped()).spawn().unwrap();
    let stdin = client.stdin.take().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(client.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let pid = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
    (client, stdin, pid)
}

fn vanishes(mut client: Child) {
    client.kill().unwrap();
    client.wait().unwrap();
}

fn is_gone(program: Pid) {
    wait_for("the program's end", || test_kill_process(program).is_err());
}

#[test]
fn a_client_that_vanishes_behind_a_program_that_reads_nothing_leaves_nothing_open() {
    let site = where_all_is_killed();
    let (client, mut stdin, program) = begun(&site, &[], DEAF);
    stdin.write_all(&vec![0; ROOM]).unwrap();
    // Each is a message: more than may be on their way to the program, which has no room.
    for _ in 0..130 {
        stdin.write_all(b"k").unwrap();
        std::thread::sleep(Duration::from_millis(3));
    }
    vanishes(client);
    let exec = site.complete("exec");
    let end = end_of(&exec);
    // Killed in the end, as its policy says: seen to be, or not yet.
    assert!(
        end.signal.as_deref() == Some("KILL") || end.reason == "the client went away",
        "{end:?}"
    );
    site.complete("ssh");
    is_gone(program);
    assert!(site.daemon.server.registry().list().is_empty());
    wait_for("no notes", || site.daemon.notes() == 0);
}

#[test]
fn what_has_not_ended_when_its_connection_is_not_waited_for_any_longer_ends_with_it() {
    /// As long as a connection waits for what runs in it, and somewhat more.
    const WAITED: Duration = Duration::from_millis(10_500);
    let site = where_all_is_killed();
    let shared = site.path("shared");
    let shared = [
        "-oControlMaster=auto".to_owned(),
        format!("-oControlPath={}", shared.display()),
    ];
    let shared: Vec<_> = shared.iter().map(String::as_str).collect();
    let (client, _stdin, quick) = begun(&site, &shared, "echo $$; exec sleep 600");
    let (second, _other, deaf) = begun(&site, &shared, DEAF);
    // Whoever is told of the first one's end is busy, and the connection's thread with it.
    let busy = site.daemon.happened.lock().unwrap();
    vanishes(client);
    vanishes(second);
    wait_for("the first one's end", || {
        site.daemon.server.registry().list().len() == 2
    });
    std::thread::sleep(WAITED);
    drop(busy);
    is_gone(quick);
    is_gone(deaf);
    wait_for("the end of all", || {
        site.daemon.server.registry().list().is_empty() && site.daemon.notes() == 0
    });
    let mut reasons: Vec<_> = site
        .sessions()
        .into_iter()
        .map(|(_, events)| end_of(&events).reason.clone())
        .collect();
    reasons.sort();
    assert!(reasons.iter().any(|reason| reason == "its connection was over, and it was not waited for any longer"), "{reasons:?}");
}
