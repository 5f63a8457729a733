//! Sessions of logins that nobody hands over: of `sshd` and of the console, without a recorder in between.
//!
//! Nothing of what they show is kept, because nobody holds their terminal; what their processes do is, as
//! the kernel saw it, and the header says so. The kernel finds them ([`crate::host`]); one thread for each,
//! from then until its recording has ended.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hansard_core::event::{Body, End, Fact};
use hansard_core::fields::Value;
use hansard_core::limits::FIELDS_MAX;
use hansard_core::policy::{Policy, Watch};
use hansard_core::{Fields, Login, Session, SessionId};
use hansard_record::Recorder;
use hansard_shell::{Exit, account_of, group_of, groups_of, subject_of};

use crate::host::{First, Found};
use crate::local::place::Place;
use crate::local::{Happening, Shared, THE_DAEMON_STOPS};

mod running;

use running::{GONE_WAIT_MAX, Over, Prey, Running};

/// What the header of such a session says of it.
const UNHELD: &str = "nobody holds this login's terminal: host events alone, nothing that it shows";

/// How a recording ends of which the kernel does not say how its program did.
const END_UNKNOWN: &str = "its end is not known";

/// What stands before the name of a terminal.
const DEVICES: &str = "/dev/";

/// Records logins that are found from now on, where they are looked for.
pub(crate) fn listen(shared: &Arc<Shared>) {
    let Some(host) = &shared.config.host else {
        return;
    };
    let shared = Arc::downgrade(shared);
    host.on_login(Box::new(move |found| {
        // Without a daemon that records, and while it stops, nobody is followed.
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let uid = found.arrival.uid;
        let taken = Place::take_any(&shared, uid).and_then(|place| {
            let of_thread = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("found-login".to_owned())
                .spawn(move || {
                    let _place = place;
                    serve(&of_thread, found);
                })
                .map_err(|e| e.to_string())
        });
        if let Err(why) = taken {
            unrecorded(&shared, uid, &why);
        }
    }));
}

/// Follows it until its recording has ended.
fn serve(shared: &Shared, found: Found) {
    let is_stopping = || shared.stopping.load(Ordering::SeqCst);
    let Some(first) = found.settles(is_stopping) else {
        return;
    };
    let uid = found.arrival.uid;
    let opened = match open(shared, &found, &first) {
        Ok(Some(opened)) => opened,
        // Somebody decided that this account is not recorded.
        Ok(None) => return,
        Err(why) => return unrecorded(shared, uid, &why),
    };
    record(shared, found, opened);
}

/// A session, its recorder, and what the policy says of host events.
type Opened = (Session, Recorder, Watch);

fn record(shared: &Shared, found: Found, (session, recorder, watch): Opened) {
    let (id, uid) = (session.id, found.arrival.uid);
    let pid = i32::try_from(found.arrival.pid).ok();
    let process = found.process();
    let (woken, wake) = match io::pipe() {
        Ok(pipe) => pipe,
        Err(e) => {
            let end = End {
                reason: format!("it is not followed: {e}"),
                ..End::default()
            };
            // What cannot be closed is revived by the next start.
            if recorder.close(end).is_ok() {
                let _ = shared.means.open.end(id);
            }
            return unrecorded(shared, uid, &e.to_string());
        }
    };
    // Of the process that is held: whoever has its number after it is gone is not looked for.
    let prey = pid.filter(|_| process.is_some());
    let mut prey = prey.and_then(|pid| Prey::of(pid, uid));
    let runs = Arc::new(Running::new(process, wake));
    let line = Arc::<Running>::clone(&runs);
    shared
        .registry
        .begin(&session, (uid, pid), recorder.clone(), line);
    // One that begins while the daemon stops is not among those that it ends.
    if shared.stopping.load(Ordering::SeqCst) {
        let _ = shared.registry.end(id, THE_DAEMON_STOPS, "");
    }
    (shared.means.tell)(Happening::Began { session: id, uid });
    let watched = found.follow((id, recorder.clone()), watch);
    let over = runs.wait(
        &woken,
        || recorder.has_failed(),
        || prey.as_mut().is_some_and(Prey::kill),
        (GONE_WAIT_MAX, || goes_on(shared, (id, uid))),
    );
    let ended = shared.registry.finish(id);
    let exit = watched.ended();
    let mut end = match exit.map(i64::cast_unsigned) {
        Some(word) => Exit::of_wait(word).end(),
        None => End {
            reason: END_UNKNOWN.to_owned(),
            ..End::default()
        },
    };
    match (over, ended) {
        // Whoever else wanted its end did not get it.
        (Over::Stops, _) => THE_DAEMON_STOPS.clone_into(&mut end.reason),
        (_, Some(ended)) => end.reason = ended.to_string(),
        (_, None) => {}
    }
    let reason = end.reason.clone();
    let closed = recorder.close(end);
    (shared.means.tell)(shared.means.closed(id, reason, closed));
    shared.registry.wake();
}

/// Opens its recording; `None` where the policy says that it is not recorded.
fn open(shared: &Shared, found: &Found, first: &First) -> Result<Option<Opened>, String> {
    let (config, means) = (&shared.config, &shared.means);
    let kind = match found.arrival.terminal {
        Some(_) => "terminal",
        None => "exec",
    };
    let decided = config
        .gate
        .as_ref()
        .map(|gate| gate.0.admit(&who(found.arrival.uid, kind)));
    // What happens inside a session that is recorded is recorded.
    let is_wanted = decided.as_ref().is_none_or(|decided| decided.recorded);
    if !is_wanted && found.arrival.outer.is_none() {
        return Ok(None);
    }
    let policy = decided.as_ref().map_or(&config.policy, |d| &d.policy);
    let session = header(shared, found, (kind, first), contentless(policy))?;
    let recorder = means.record(&session, config.options)?;
    let watch = decided.map(|decided| decided.watch).unwrap_or_default();
    Ok(Some((session, recorder, watch)))
}

fn who(uid: u32, kind: &str) -> Login {
    let account = account_of(uid);
    let groups = account.as_ref().map(groups_of).unwrap_or_default();
    let groups = groups.into_iter();
    Login {
        user: account.map_or_else(|| uid.to_string(), |account| account.name),
        uid,
        groups: groups
            .map(|gid| group_of(gid).unwrap_or_else(|| gid.to_string()))
            .collect(),
        kind: kind.to_owned(),
    }
}

/// Nobody holds its terminal: there is nothing of it to keep, and nothing that would be idle.
fn contentless(policy: &Policy) -> Policy {
    Policy {
        stdin: false,
        keystrokes: false,
        stdout: false,
        stderr: false,
        files: false,
        forwarding: false,
        idle_ms_max: 0,
        ..policy.clone()
    }
}

fn header(
    shared: &Shared,
    found: &Found,
    (kind, first): (&str, &First),
    policy: Policy,
) -> Result<Session, String> {
    let (means, arrival) = (&shared.means, &found.arrival);
    let start_utc_ns = means.env.clock.utc_ns();
    let mut random = [0; 10];
    let filled = means.env.random.fill(&mut random);
    filled.map_err(|e| format!("no randomness for an id: {e}"))?;
    let mut origin = Fields::new();
    if let Some(connection) = &arrival.connection {
        origin.push("proto", "ssh");
        let mut words = connection.split(' ');
        for name in ["addr.remote", "addr.local"] {
            if let (Some(address), Some(port)) = (words.next(), words.next()) {
                origin.push(name, together(address, port));
            }
        }
        origin.push("ssh_connection", connection.as_str());
    }
    if let Some(terminal) = &arrival.terminal {
        // The kernel's name of it has no directory.
        let device = match terminal.strip_prefix("pts") {
            Some(number) => format!("{DEVICES}pts/{number}"),
            None => format!("{DEVICES}{terminal}"),
        };
        origin.push("tty", device);
    }
    origin.push("pid", u64::from(arrival.pid));
    if let Some(number) = arrival.audit_session {
        origin.push("audit_session_id", u64::from(number));
    }
    let mut target = means.facts.clone();
    target.push("reason", UNHELD);
    target.push("login_program", arrival.door.as_str());
    target.push("shell", first.path.as_str());
    if !first.argv.is_empty() {
        let argv = first.argv.iter().take(FIELDS_MAX);
        let argv = argv.map(|word| Value::from(word.as_str()));
        target.push("argv", Value::List(argv.collect()));
    }
    target.push(
        "command",
        match first.argv.as_slice() {
            // As a shell is told to run something.
            [_, flag, command] if flag == "-c" => command.as_str(),
            _ => first.path.as_str(),
        },
    );
    Ok(Session {
        id: SessionId::new_v7(start_utc_ns / 1_000_000, random),
        parent: arrival.outer,
        kind: kind.to_owned(),
        subject: subject_of(arrival.uid, arrival.login_uid),
        origin,
        target,
        start_utc_ns,
        clock: means.env.clock.quality(),
        policy,
        recorder_key: means.key.public(),
        recorder: means.recorder.clone(),
    })
}

fn together(address: &str, port: &str) -> String {
    match address.contains(':') {
        true => format!("[{address}]:{port}"),
        false => format!("{address}:{port}"),
    }
}

/// A login goes on that nobody follows: an alarm, because it is not refused.
fn unrecorded(shared: &Shared, uid: u32, why: &str) {
    let what = format!(
        "a login without a recorder goes on, of uid {uid}, and what it does is not recorded"
    );
    alarm(shared, format!("{what}: {why}"));
}

/// A login goes on that somebody has ended. Its recording does, too.
fn goes_on(shared: &Shared, (session, uid): (SessionId, u32)) {
    let what = format!("a login without a recorder, of uid {uid}, was to be ended, and goes on");
    let why = "the daemon could not kill all of its processes (it must be root, or have CAP_KILL)";
    alarm(
        shared,
        format!("{what}: {why}; session {session} is still recorded"),
    );
}

fn alarm(shared: &Shared, reason: String) {
    let fields = Fields::new()
        .with("alarm", "host_events")
        .with("reason", reason);
    (shared.means.tell)(Happening::Said(Body::Admin(Fact {
        event: "alarm".to_owned(),
        fields,
    })));
}
