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
use super::kin::Place;
use super::login::{entry, logins, take};
use super::process::audit_session;
use super::remains::Root;
use super::stub::Stub;
use super::terminals;
use crate::local::connection::{Source, lines};
use crate::local::{Happening, Shared};
use crate::registry::Line;

/// What a recording says whose last daemon let go of its session in order: nothing is missing.
pub const RESTARTED: &str = "the daemon was restarted";

/// What the gap says of one whose last daemon did not.
pub const ENDED_WITHOUT_A_WORD: &str =
    "the daemon ended without a word, and the next one went on with the session";

/// What another gap says of it where host events are recorded.
pub const UNWATCHED: &str = "host events are not recorded from here on: the daemon that watched \
    the session's processes is gone";

/// Holds a login again until it is over; the recording has its end when this returns, or yet another
/// daemon goes on with it.
pub(crate) fn go_on(shared: &Shared, found: Found, goes_on: GoesOn) {
    let id = found.session();
    let unwatched = unwatched(shared, goes_on.last_ns());
    let said = what_is_missing(&found.state, &goes_on);
    let mut said = std::iter::once(said).chain(unwatched);
    let sink = (shared.means.sinks)();
    let (env, options) = (&shared.means.env, shared.config.options);
    let on = (goes_on, found.state.zero_ns);
    let open = &shared.means.open;
    let recorder = open.record_on(&found.state.session, on, sink, env, options);
    let recorder = recorder.and_then(|recorder| {
        said.try_for_each(|said| recorder.event(said))?;
        Ok(recorder)
    });
    let happened = match (recorder, logins(shared)) {
        (Ok(recorder), Ok(logins)) => hold_again(shared, logins, found, recorder),
        (Ok(recorder), Err(why)) => Err((recorder, why.to_owned())),
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

/// The gap where host events are recorded: the new daemon does not know the session's processes.
fn unwatched(shared: &Shared, from_ns: u64) -> Option<Body> {
    shared.config.host.as_ref().map(|_| {
        Body::Gap(Gap {
            cause: UNWATCHED.to_owned(),
            from_ns,
            ..Gap::default()
        })
    })
}

/// What was not read is in the program's terminal still; what was read and is not durable is gone.
fn what_is_missing(state: &State, goes_on: &GoesOn) -> Body {
    match &state.paused {
        Some(_) => Body::Mark {
            label: RESTARTED.to_owned(),
        },
        None => Body::Gap(Gap {
            cause: ENDED_WITHOUT_A_WORD.to_owned(),
            from_ns: goes_on.last_ns(),
            bytes_max: Some(goes_on.loss_bytes_max()),
            ..Gap::default()
        }),
    }
}

/// It is listed, and its process is told.
fn begin(shared: &Shared, state: &State, recorder: &Recorder, line: &Arc<Line>) {
    let who = (state.uid, state.pid());
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
    found: Found,
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
    let pid = state.pid();
    let place = Place {
        pid,
        outer: name,
        terminal: held.slave().and_then(terminals::name_of),
        audit: pid.and_then(audit_session),
    };
    let inside = place.terminal.map(|terminal| (&logins.kin, terminal));
    logins.kin.begin(session.id, place);
    begin(shared, &state, &recorder, &line);
    let user = session.subject.text("user").unwrap_or_default().to_owned();
    let listed = entry(&held, Some(&outer), &user, pid).map(|entry| logins.who.list(entry));
    let kills = state.kills;
    let by = logins.config.keeper.as_ref();
    let place = logins.places.take();
    let kept = by.and_then(|by| Kept::again(by, file, (state, place)).ok());
    if kept.is_some() {
        shared.registry.stays(session.id);
    }
    let stub = Stub {
        line: &line,
        source,
        pid,
        hold: hold.ok(),
        program: None,
        inside,
        kills: pid.filter(|_| kills).and_then(Root::of),
        stopping: kept.is_some().then_some(&shared.stopping),
    };
    let holding = Holding {
        id: session.id,
        options,
        on_end: if kills { OnEnd::Kill } else { OnEnd::Leave },
        recorder,
        listed,
        kept,
        // It watches what a login starts, and this one has started long ago.
        watched: None,
    };
    Ok(holding.until_over(shared, stub, Ok((held, on_its_way.untyped))))
}
