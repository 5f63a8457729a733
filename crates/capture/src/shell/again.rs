//! Going on with a login that the last daemon held.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use hansard_core::SessionId;
use hansard_core::event::{Body, Gap};
use hansard_core::policy::OnEnd;
use hansard_record::Recorder;
use hansard_record::handoff::FromDaemon;
use hansard_record::revive::GoesOn;
use hansard_shell::{Held, Options};

use super::Logins;
use super::holding::{Holding, finish};
use super::kept::{Found, Kept, State, forget};
use super::login::{entry, logins, place_of, take};
use super::stub::Stub;
use crate::host::Watched;
use crate::local::connection::{Source, lines};
use crate::local::{Happening, Shared};
use crate::registry::Line;

/// What a recording says whose last daemon let go of its session in order: nothing is missing.
pub const RESTARTED: &str = "the daemon was restarted";

/// What the gap says of one whose last daemon did not.
pub const ENDED_WITHOUT_A_WORD: &str =
    "the daemon ended without a word, and the next one went on with the session";

/// What another gap says of it where host events are recorded.
pub const UNWATCHED: &str = "the daemon that watched the session's processes was gone: nobody knows \
    what they did until the next one found them";

/// What yet another gap says where not all of them could be found, or marked.
pub const NOT_FOUND: &str = "not all of the session's processes could be watched again: what those do \
    that were running is missing";

/// Holds a login again until it is over; the recording has its end when this returns, or yet another
/// daemon goes on with it.
pub(crate) fn go_on(shared: &Shared, found: Found, goes_on: GoesOn) {
    let id = found.session();
    let last_ns = goes_on.last_ns();
    let said = what_is_missing(&found.state, &goes_on);
    let sink = (shared.means.sinks)();
    let (env, options) = (&shared.means.env, shared.config.options);
    let on = (goes_on, found.state.zero_ns);
    let open = &shared.means.open;
    let recorder = open.record_on(&found.state.session, on, sink, env, options);
    let recorder = recorder.and_then(|recorder| {
        recorder.event(said)?;
        Ok(recorder)
    });
    // Before it is told that somebody is there again: what waited for that is seen.
    let watched = recorder.as_ref().ok();
    let watched = watched.and_then(|recorder| watch_again(shared, &found.state, recorder, last_ns));
    let happened = match (recorder, logins(shared)) {
        (Ok(recorder), Ok(logins)) => hold_again(shared, logins, (found, watched), recorder),
        (Ok(recorder), Err(why)) => {
            drop(watched);
            Err((recorder, why.to_owned()))
        }
        (Err(lost), _) => {
            let_go(shared, id);
            let why = lost.to_string();
            (shared.means.tell)(Happening::Lost { session: id, why });
            return;
        }
    };
    let happened = happened.unwrap_or_else(|(recorder, why)| {
        let_go(shared, id);
        let end = hansard_core::event::End {
            reason: why,
            ..Default::default()
        };
        finish(shared, None, (id, recorder), Ok(end))
    });
    if let Ok(logins) = logins(shared) {
        logins.kin.end(id);
    }
    (shared.means.tell)(happened);
    shared.registry.wake();
}

/// Nobody keeps it any more, and the program is hung up.
fn let_go(shared: &Shared, session: SessionId) {
    let logins = shared.logins.as_ref();
    if let Some(by) = logins.and_then(|logins| logins.config.keeper.as_deref()) {
        forget(by, session);
    }
}

/// Watches the session's processes again, where host events are recorded: those of the last daemon's marks, if its
/// programs have stayed in the kernel; else new programs know none of them. A kill in here leaves a recording without the gap; its next daemon writes one from
/// the same moment.
fn watch_again(
    shared: &Shared,
    state: &State,
    recorder: &Recorder,
    from_ns: u64,
) -> Option<Watched> {
    let host = shared.config.host.as_ref()?;
    let recorded = (state.session.id, recorder);
    if let Some(watched) = host.take_up(recorded, from_ns, state.watch) {
        return Some(watched);
    }
    let holder = state.login_process();
    let pid = holder.map(|process| process.pid);
    let watched = crate::host::watch(Some(host), (state.uid, pid), recorded, state.watch);
    let missed = watched.as_ref().map(|watched| {
        holder.map_or(1, |process| {
            process.each_thread_below(&mut |thread, held| watched.mark(thread, held))
        })
    });
    host.was_unwatched(recorded, from_ns, UNWATCHED);
    if missed.is_some_and(|missed| missed > 0) {
        host.was_unwatched(recorded, from_ns, NOT_FOUND);
    }
    watched
}

/// What was not read is in the program's terminal still; what was read and is not durable is gone.
fn what_is_missing(state: &State, goes_on: &GoesOn) -> Body {
    match state.paused.as_ref().filter(|_| state.is_durable) {
        Some(_) => Body::Mark {
            label: RESTARTED.to_owned(),
        },
        None => Body::Gap(Gap {
            cause: ENDED_WITHOUT_A_WORD.to_owned(),
            from_ns: goes_on.last_ns(),
            bytes_max: goes_on.loss_bytes_max(),
            ..Gap::default()
        }),
    }
}

/// It is listed, and its process is told.
fn begin(shared: &Shared, state: &State, recorder: &Recorder, line: &Arc<Line>) {
    let who = (state.uid, state.login_process().map(|process| process.pid));
    let running = (recorder.clone(), Arc::clone(line));
    shared
        .registry
        .begin(&state.session, who, running.0, running.1);
    // One that does not hear it is gone, which is heard of.
    let _ = line.say(&FromDaemon::Again);
}

/// An error is the session's end.
fn hold_again(
    shared: &Shared,
    logins: &Logins,
    (found, watched): (Found, Option<Watched>),
    recorder: Recorder,
) -> Result<Happening, (Recorder, String)> {
    let Found {
        state,
        master,
        outer,
        line,
        file,
    } = found;
    let session = state.session.clone();
    let options = Options::from_policy(&session.policy);
    let (name, hold) = take(logins, outer.as_fd(), [Some(state.uid), state.login]);
    let on_its_way = state.paused.clone().unwrap_or_default();
    let held = Held::again(master, &outer, &state.modes, &on_its_way, &options);
    let (line, source): (Arc<Line>, Source) = match lines(UnixStream::from(line)) {
        Ok(both) => both,
        Err(e) => return Err((recorder, e.to_string())),
    };
    let held = match held.map_err(|e| e.to_string()) {
        Ok(held) => held,
        Err(why) => {
            let _ = line.say(&FromDaemon::Lost(why.clone()));
            return Err((recorder, why));
        }
    };
    let process = state.login_process();
    let place = place_of(process, (name, &held), session.parent);
    logins.kin.begin(session.id, place);
    begin(shared, &state, &recorder, &line);
    let user = session.subject.text("user").unwrap_or_default();
    let listed = entry(&held, Some(&outer), user, process.map(|of| of.pid));
    let listed = listed.map(|entry| logins.who.list(entry));
    let (kills, uid) = (state.kills, state.uid);
    let left = (state, logins.places.take());
    let kept = logins.config.keeper.as_ref();
    let kept = kept.and_then(|by| Kept::again(by, file, left).ok());
    if kept.is_some() {
        shared.registry.stays(session.id);
    }
    let stub = Stub {
        line: &line,
        source,
        process,
        uid,
        hold: hold.ok(),
        program: None,
        inside: place.terminal.map(|name| (&logins.kin, (session.id, name))),
        kills: process.filter(|_| kills),
        outlives: kept.is_some().then_some((shared, session.id)),
    };
    let holding = Holding {
        id: session.id,
        options,
        on_end: if kills { OnEnd::Kill } else { OnEnd::Leave },
        recorder,
        listed,
        kept,
        watched,
    };
    Ok(holding.until_over(shared, stub, Ok((held, Some(on_its_way.untyped)))))
}
