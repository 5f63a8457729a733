//! One login, from its first message to the recording's end.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hansard_core::event::Body;
use hansard_core::fields::{Fields, Value};
use hansard_core::policy::OnEnd;
use hansard_core::{Decision, Login as Who, Session, SessionId};
use hansard_record::Recorder;
use hansard_record::handoff::descriptors::send_with;
use hansard_record::handoff::{FromDaemon, Granted, Login};
use hansard_record::open_sessions::{Plan, Survives};
use hansard_shell::{Given, Held, Options, TLOG_SHELL, terminal_device};

use super::holding::Holding;
use super::kept::{Kept, State};
use super::kin::Place;
use super::process::{Process, audit_session};
use super::stub::Stub;
use super::terminals::{self, Hold, Name, path_of};
use super::{Logins, slave, which};
use crate::host::Watched;
use crate::local::connection::Source;
use crate::local::peer::Peer;
use crate::local::{Happening, Shared, THE_DAEMON_STOPS, header};
use crate::registry::Line;
use crate::who::{Entry, Listed};

/// How long a notice waits to be accepted. At the bound the login is refused.
const ACCEPT_WAIT_MAX: Duration = Duration::from_secs(30);

/// The mark in a recording whose user accepted the notice.
const ACCEPTED: &str = "notice accepted";

/// What a login is made of before it begins.
struct Ready {
    terms: Decision,
    held: Held,
    given: Given,
    hold: Option<Hold>,
    listed: Option<Listed>,
    /// The login's process, where what its program leaves running is killed.
    kills: Option<Process>,
    session: Session,
    recorder: Recorder,
    shell: Vec<u8>,
    place: Place,
}

/// What serves logins, or why nothing does.
pub(crate) fn logins(shared: &Shared) -> Result<&Logins, &'static str> {
    let logins = shared.logins.as_ref();
    logins.ok_or("logins are not recorded here (capture.shell is not configured)")
}

/// Serves a login until its recording has ended; an error is what it is told instead.
pub(crate) fn serve(
    shared: &Shared,
    (line, mut source): (&Arc<Line>, Source),
    login: Login,
    peer: &Peer,
) -> Result<(), String> {
    let logins = logins(shared)?;
    let outside = source
        .get_mut()
        .take()
        .ok_or("a login comes with its standard input, output and error")?;
    let Some(ready) = prepare(shared, logins, &login, &outside, peer)? else {
        return pass(logins, line, &user_of(peer), &login.claims.target);
    };
    let id = ready.session.id;
    logins.kin.begin(id, ready.place);
    let who = (peer.uid, peer.pid);
    let running = (ready.recorder.clone(), Arc::clone(line));
    shared
        .registry
        .begin(&ready.session, who, running.0, running.1);
    // One that begins while the daemon stops is not among those that it ends.
    if shared.stopping.load(Ordering::SeqCst) {
        let _ = shared.registry.end(id, THE_DAEMON_STOPS, "");
    }
    let uid = peer.uid;
    (shared.means.tell)(Happening::Began { session: id, uid });
    let happened = hold(shared, (line, source), ready, outside, peer);
    logins.kin.end(id);
    (shared.means.tell)(happened);
    shared.registry.wake();
    Ok(())
}

/// The login goes on as if we were not there.
fn pass(logins: &Logins, line: &Arc<Line>, user: &str, claims: &Fields) -> Result<(), String> {
    let shell = which::shell_of(user, &logins.config, claims).shell;
    let granted = Granted {
        session: None,
        shell: shell.as_os_str().as_bytes().to_vec(),
        terminal: None,
    };
    let said = line.say(&FromDaemon::Granted(granted));
    said.map_err(|e| format!("the login does not listen: {e}"))
}

/// Decides, makes terminals and pipes, and opens the recorder. `None` where nothing is recorded.
fn prepare(
    shared: &Shared,
    logins: &Logins,
    login: &Login,
    outside: &[OwnedFd; 3],
    peer: &Peer,
) -> Result<Option<Ready>, String> {
    let devices = outside.each_ref().map(|fd| terminal_device(fd.as_fd()));
    let outer = devices.iter().position(Option::is_some);
    let who = peer.login(match outer {
        Some(_) => "terminal",
        None => "exec",
    });
    let mut terms = logins.config.gate.admit(&who);
    logins.glass.note(&who, terms.break_glass);
    if !terms.recorded {
        return Ok(None);
    }
    let options = Options::from_policy(&terms.policy);
    let (held, given) = Held::open(outside, &options).map_err(|e| e.to_string())?;
    // Before anybody is told of the new terminal, and before anything runs on it.
    let mut open = Vec::new();
    if let Some(slave) = held.slave()
        && let Err(e) = slave::give(slave, peer.uid)
    {
        open.push(("terminal_not_given", e.to_string()));
    }
    let outer = outer.and_then(|at| outside.get(at));
    let (name, hold) = outer.map_or((None, None), |outer| {
        let (name, hold) = take(logins, outer.as_fd(), [Some(peer.uid), peer.login]);
        let hold = hold.map_err(|e| open.push(("terminal_not_taken", e.to_string())));
        (name, hold.ok())
    });
    let parent = logins.kin.parent(name, peer.process);
    let place = place_of(peer.process, (name, &held), parent);
    let chosen = which::shell_of(&who.user, &logins.config, &login.claims.target);
    let shell = chosen.shell;
    if terms.notice.is_empty() {
        terms.notice = chosen.notice.unwrap_or_default();
    }
    let mut session = described(shared, login, peer, &terms, (&who, &shell))?;
    session.parent = parent;
    for (what, why) in open {
        session.target.push(what, why);
    }
    if logins.injects && held.has_terminal() {
        session.target.push("legacy_tiocsti", true);
    }
    let recorder = open_recorder(shared, &session)?;
    let kills = peer.process.filter(|_| terms.on_end == OnEnd::Kill);
    let pid = peer.process.map(|process| process.pid);
    let listed = entry(&held, outer, &who.user, pid).map(|entry| logins.who.list(entry));
    Ok(Some(Ready {
        terms,
        held,
        given,
        hold,
        listed,
        kills,
        session,
        recorder,
        shell: shell.as_os_str().as_bytes().to_vec(),
        place,
    }))
}

/// Where other logins find this one: the session that it is inside of, and the terminals that it came on and that it has.
pub(super) fn place_of(
    process: Option<Process>,
    (outer, held): (Option<Name>, &Held),
    parent: Option<SessionId>,
) -> Place {
    Place {
        process,
        outer,
        terminal: held.slave().and_then(terminals::name_of),
        audit: process.and_then(|of| of.asked(audit_session)?),
        parent,
    }
}

/// Takes the terminal that a login came on, which is its user's, or that of whoever became this
/// user there; and what it is known by, if it was found.
pub(super) fn take(
    logins: &Logins,
    outer: BorrowedFd<'_>,
    users: [Option<u32>; 2],
) -> (Option<Name>, std::io::Result<Hold>) {
    let users: Vec<u32> = users.into_iter().flatten().collect();
    match logins.terminals.find(outer, &users) {
        Ok(terminal) => (Some(terminal.name()), logins.terminals.take(terminal)),
        Err(e) => (None, Err(e)),
    }
}

/// What the list of who is logged in is to say of a login's new terminal.
pub(super) fn entry(
    held: &Held,
    outer: Option<&OwnedFd>,
    user: &str,
    pid: Option<i32>,
) -> Option<Entry> {
    let line = |path: &Path| {
        let line = path.strip_prefix("/dev").ok()?.to_str()?;
        (line != "tty").then(|| line.to_owned())
    };
    Some(Entry {
        line: line(&path_of(&held.slave()?).ok()?)?,
        user: user.to_owned(),
        pid: pid?,
        outer: outer.and_then(|outer| line(&path_of(outer).ok()?)),
        from: None,
    })
}

fn user_of(peer: &Peer) -> String {
    let name = peer.subject.text("user").unwrap_or_default();
    name.to_owned()
}

/// The header: what the system says, and what the login claims.
fn described(
    shared: &Shared,
    login: &Login,
    peer: &Peer,
    terms: &Decision,
    (who, shell): (&Who, &Path),
) -> Result<Session, String> {
    let mut claims = (*login.claims).clone();
    claims.kind.clone_from(&who.kind);
    claims.target = with_shell(&claims.target, shell);
    header::session(claims, peer, &shared.means, terms.policy.clone())
}

/// The login did not know which shell it is to be.
fn with_shell(claims: &Fields, shell: &Path) -> Fields {
    let named = Value::from_os_bytes(shell.as_os_str().as_bytes());
    let mut target = Fields::new();
    for (name, value) in claims.iter() {
        match (name, value) {
            ("argv", Value::List(argv)) => {
                let rest = argv.iter().skip(1).cloned();
                let argv: Vec<Value> = std::iter::once(named.clone()).chain(rest).collect();
                target.push("command", command(&argv));
                target.push("argv", Value::List(argv));
            }
            ("command" | "shell" | TLOG_SHELL, _) => {}
            _ => target.push(name, value.clone()),
        }
    }
    target.push("shell", named);
    target
}

/// What is run, for a list: of `bash -c WORDS` the words.
fn command(argv: &[Value]) -> Value {
    match argv {
        [_, dash, command, ..] if dash.as_text() == Some("-c") => command.clone(),
        _ => {
            let words: Vec<&str> = argv.iter().filter_map(Value::as_text).collect();
            Value::Text(words.join(" "))
        }
    }
}

fn open_recorder(shared: &Shared, session: &Session) -> Result<Recorder, String> {
    let (config, means) = (&shared.config, &shared.means);
    let plan = Plan {
        survives: Survives::Kill,
        loss_bytes_max: config.options.loss_bytes_max(session),
    };
    let (key, sink) = (means.key.clone(), (means.sinks)());
    means
        .open
        .record(
            session.clone(),
            key,
            sink,
            &means.env,
            (config.options, plan),
        )
        .map_err(|lost| lost.to_string())
}

/// Grants the login and holds it until it is over; the recording has its end when this returns.
fn hold(
    shared: &Shared,
    (line, source): (&Arc<Line>, Source),
    mut ready: Ready,
    outside: [OwnedFd; 3],
    peer: &Peer,
) -> Happening {
    let granted = welcome(&source, &ready);
    if let Err(why) = &granted {
        ready.hold = None;
        let _ = line.say(&FromDaemon::Refused(why.clone()));
    }
    let watched = watch(shared, &ready, peer);
    let granted = granted.and_then(|()| grant(&source, &ready));
    // Ours are others by now; these would keep pipes open that their owners wait to see closed.
    drop(outside);
    let kept = keep(shared, &source, &ready, peer).filter(|_| granted.is_ok());
    if kept.is_some() {
        shared.registry.stays(ready.session.id);
    }
    let Ready {
        terms,
        held,
        given,
        hold,
        listed,
        kills,
        recorder,
        session,
        place,
        ..
    } = ready;
    drop(given);
    let kin = shared.logins.as_ref().map(|logins| &logins.kin);
    if let (Some(kin), Err(_)) = (kin, &granted) {
        kin.lets_go(session.id);
    }
    let stub = Stub {
        line,
        source,
        process: peer.process,
        uid: peer.uid,
        hold,
        program: None,
        inside: kin.zip(place.terminal.map(|name| (session.id, name))),
        kills,
        outlives: kept.is_some().then_some((shared, session.id)),
    };
    let holding = Holding {
        id: session.id,
        options: Options::from_policy(&terms.policy),
        on_end: terms.on_end,
        recorder,
        listed,
        kept,
        watched,
    };
    let begun = granted.map(|()| (held, None));
    holding.until_over(shared, stub, begun)
}

/// Before the login is told which shell to start: of what it does nothing is missed.
fn watch(shared: &Shared, ready: &Ready, peer: &Peer) -> Option<Watched> {
    let host = shared.config.host.as_ref();
    let recorded = (ready.session.id, &ready.recorder);
    crate::host::watch(host, (peer.uid, peer.pid), recorded, ready.terms.watch)
}

/// Has the login kept for a daemon after this one, where somebody does that.
fn keep(shared: &Shared, source: &Source, ready: &Ready, peer: &Peer) -> Option<Kept> {
    let logins = shared.logins.as_ref()?;
    let (by, line) = (
        logins.config.keeper.as_ref()?,
        source.get_ref().socket().as_fd(),
    );
    let kills = ready.terms.on_end == OnEnd::Kill;
    let about = (ready.recorder.zero_ns(), kills, ready.terms.watch);
    let state = State::of(&ready.session, peer, &ready.held, about);
    // One more than that ends with the daemon.
    let place = logins.places.take()?;
    Kept::keep(by, &ready.held, line, (state, place))
}

/// Says that the session is recorded; where that must be accepted, not before somebody has.
fn welcome(source: &Source, ready: &Ready) -> Result<(), String> {
    if ready.terms.notice.is_empty() && !ready.terms.accept {
        return Ok(());
    }
    let notice = &ready.terms.notice;
    let kept = header::notice(&ready.session);
    ready.held.show(&format!("{notice}\n{kept}\n"));
    // A command has nobody who could be asked.
    if !ready.terms.accept || !ready.held.has_terminal() {
        return Ok(());
    }
    ready
        .held
        .show("Press Enter to accept this, Ctrl-C to leave.\n");
    let login = source.get_ref().socket().as_fd();
    if !ready.held.wait_for_enter(login, ACCEPT_WAIT_MAX) {
        return Err("the notice was not accepted".to_owned());
    }
    let label = ACCEPTED.to_owned();
    let kept = ready.recorder.event(Body::Mark { label });
    kept.map_err(|lost| lost.to_string())
}

fn grant(source: &Source, ready: &Ready) -> Result<(), String> {
    let mut message = Vec::new();
    FromDaemon::Granted(Granted {
        session: Some(Box::new(ready.session.clone())),
        shell: ready.shell.clone(),
        terminal: ready.given.terminal.map(u64::from),
    })
    .encode(&mut message);
    let given = ready.given.descriptors.each_ref().map(AsFd::as_fd);
    send_with(source.get_ref().socket(), &message, &given)
        .map_err(|e| format!("the login does not listen: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_the_real_shell() {
        let argv = |words: &[&str]| {
            let list = words.iter().map(|word| Value::from(*word)).collect();
            Fields::new()
                .with("argv", Value::List(list))
                .with("command", "x")
                .with("shell", "/evil")
        };
        let target = with_shell(&argv(&["", "-c", "ls -l"]), Path::new("/bin/bash"));
        assert_eq!(target.text("command"), Some("ls -l"));
        assert_eq!(target.text("shell"), Some("/bin/bash"));
        let target = with_shell(&argv(&[""]), Path::new("/bin/zsh"));
        assert_eq!(target.text("command"), Some("/bin/zsh"));
    }
}
