//! Clients that go away at an awkward moment: every recording has its end all the same, and every program its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hansard_capture::local::Decides;
use hansard_core::event::Body;
use hansard_core::policy::{OnEnd, Policy, Watch};
use hansard_core::{Decision, Gate, Login};
use rustix::process::{Pid, test_kill_process};

use crate::paramiko;
use crate::site::{Site, facts, finished};
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
    /// As long as a connection waits for what runs in it, and more: it begins that in its own time.
    const WAITED: Duration = Duration::from_millis(13_000);
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

/// A program that reads nothing, and more than is taken for it: so much, in packets as large as they come, that its room is
/// full twice, and then more messages than wait in a queue. Then it is gone, with nothing unread here.
const STUFFED: &str = r"
import fcntl, os, struct, termios, time
t = connected()
t.auth_publickey(user, own)
c = t.open_session(timeout=60)
c.exec_command('sleep 600')
def data(length):
    t._send_user_message(message(94, c.remote_chanid, bytes(length)))
for _ in range(2 * 17 * 5):
    data((1 << 20) // 5)
for _ in range(130):
    data(1)
# What is still to be sent when it goes may never be: it waits until the other side has all of it.
while struct.unpack('i', fcntl.ioctl(t.sock, termios.TIOCOUTQ, bytes(4)))[0]:
    time.sleep(0.01)
print('done', flush=True)
os._exit(0)
";

#[test]
fn a_client_that_vanishes_while_nothing_is_read_of_it_is_missed() {
    if !paramiko::is_there() {
        return;
    }
    let site = Site::new();
    paramiko::run(&site, STUFFED);
    wait_for("the end of all", || {
        site.daemon.server.registry().list().is_empty()
    });
    let connection = site.complete("ssh");
    assert_eq!(end_of(&connection).reason, "the client went away");
    site.complete("exec");
}

#[test]
fn a_client_that_says_much_before_it_asks_for_anything_is_heard() {
    let site = Site::new();
    let mut client = site.ssh(&["-oSendEnv=LC_*"], &["echo $LC_X1"]);
    for n in 0..200 {
        client.env(format!("LC_X{n}"), "set");
    }
    let out = finished(client.spawn().unwrap());
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let asked = facts(&site.complete("ssh"), "env");
    assert!(asked.len() >= 200, "{}", asked.len());
}

/// Input before there is a program, and afterwards; a window that is opened in a hundred steps, too.
const EARLY: &str = r"
t = connected()
t.auth_publickey(user, own)
c = t.open_session(timeout=60)
for n in range(300):
    t._send_user_message(message(93, c.remote_chanid, 1))
    t._send_user_message(message(94, c.remote_chanid, b'%d\n' % n))
c.exec_command('cat')
c.sendall(b'and then\n')
c.shutdown_write()
expected = b''.join(b'%d\n' % n for n in range(300)) + b'and then\n'
came = c.makefile('rb').read()
assert came == expected, came
t.close()
t = connected()
t.auth_publickey(user, own)
c = t.open_session(timeout=60)
try:
    for n in range(100):
        t._send_user_message(message(94, c.remote_chanid, bytes(32768)))
except (OSError, EOFError):
    pass
t.join(60)
assert not t.is_active()
print('done')
";

#[test]
fn input_before_there_is_a_program_is_the_programs_up_to_a_bound() {
    if !paramiko::is_there() {
        return;
    }
    let site = Site::new();
    paramiko::run(&site, EARLY);
    let mut reasons = Vec::new();
    wait_for("both ends", || {
        let sessions = site.sessions();
        let ended = sessions.iter().filter_map(|(session, events)| {
            let is_over = matches!(events.last()?.body, Body::End(_));
            (session.kind == "ssh" && is_over).then(|| end_of(events).reason.clone())
        });
        reasons = ended.collect();
        reasons.len() == 2
    });
    let early = "it sent more into a channel than is kept before anything is asked to run there";
    assert!(reasons.iter().any(|reason| reason == early), "{reasons:?}");
}
