//! One program and its session, from its first message to the recording's end.

use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use hansard_core::event::{Body, End, Gap};
use hansard_core::policy::Watch;
use hansard_core::{OnLoss, Session};
use hansard_record::handoff::{
    Closed, DATA_BYTES_MAX, FromClient, FromDaemon, Incoming, LOSS_BYTES_MAX, Login,
    MESSAGE_BYTES_MAX, OPEN_BYTES_MAX, Opened, ReadFailed, read_message,
};
use hansard_record::open_sessions::{Plan, Survives};
use hansard_record::{Lost, Recorder};

use crate::limits::{ANSWER_WAIT_MAX, OPEN_WAIT_MAX};
use crate::local::peer::Peer;
use crate::local::{Happening, Shared, THE_CLIENT_WENT_AWAY, header};
use crate::registry::{Ended, Line};

/// What is read from a program.
pub(crate) type Source = BufReader<Incoming>;

/// What ended the conversation.
enum Over {
    /// The program closed the session.
    Closed(End),
    /// It died, dropped the connection, or does not keep to the protocol; why, in words.
    Away(String),
    /// The recording failed.
    Lost(Lost),
}

/// Serves a connection until its recording has ended.
pub(super) fn serve(shared: &Shared, stream: UnixStream, peer: &Peer) {
    let (line, mut source) = match lines(stream) {
        Ok(both) => both,
        // Without them there is nobody to talk to.
        Err(_) => return,
    };
    let refuse = |line: &Line, why: String| {
        let _ = line.say(&FromDaemon::Refused(why.clone()));
        shared.tell_refused(Some(peer.uid), &why);
    };
    let first = first(&mut source);
    if let Ok(First::Login(_) | First::Open(_)) = first
        && let Some(why) = shared.locked_out(&peer.login("").user)
    {
        return refuse(&line, why);
    }
    match first {
        Ok(First::Login(login)) => {
            if let Err(why) = crate::shell::serve(shared, (&line, source), login, peer) {
                refuse(&line, why);
            }
        }
        Ok(First::Open(claims)) => match open(shared, claims, peer) {
            Ok(opened) => record(shared, (&line, source), opened, peer),
            Err(why) => refuse(&line, why),
        },
        // Nobody logs in: it is no refusal that belongs into the diary.
        Ok(First::Probe) => {
            let _ = line.say(&match crate::shell::logins(shared) {
                Ok(_) => FromDaemon::Ready,
                Err(why) => FromDaemon::Refused(why.to_owned()),
            });
        }
        Err(why) => refuse(&line, why),
    }
}

/// A session that was opened, its recorder, what the policy has to say to the user, and what it says
/// of host events.
type Opening = (Session, Recorder, String, Watch);

/// Records what a program hands over, until its recording has ended.
fn record(
    shared: &Shared,
    (line, mut source): (&Arc<Line>, Source),
    (session, recorder, said, policy): Opening,
    peer: &Peer,
) {
    let id = session.id;
    let who = (peer.uid, peer.pid);
    let running = (recorder.clone(), Arc::<Line>::clone(line));
    shared.registry.begin(&session, who, running.0, running.1);
    // One that begins while the daemon stops is not among those that it ends.
    if shared.stopping.load(std::sync::atomic::Ordering::SeqCst) {
        let _ = shared.registry.end(id, crate::local::THE_DAEMON_STOPS, "");
    }
    let uid = peer.uid;
    (shared.means.tell)(Happening::Began { session: id, uid });
    let lost_max = lost_max(&session);
    let notice = match said.as_str() {
        "" => header::notice(&session),
        said => format!("{said}\n{}", header::notice(&session)),
    };
    let session = Box::new(session);
    // Before the program is told that it may begin: of what it starts nothing is missed.
    let watched = crate::host::watch(shared.config.host.as_ref(), who, (id, &recorder), policy);
    let told = line.say(&FromDaemon::Opened(Opened { session, notice }));
    let mut heard_ns = recorder.now_ns();
    let over = match told.and_then(|()| source.get_ref().socket().set_read_timeout(None)) {
        Ok(()) => relay(&mut source, line, &recorder, &mut heard_ns),
        Err(e) => Over::Away(e.to_string()),
    };
    // The registry's handle goes first: closing waits for nobody who follows.
    let ended = shared.registry.finish(id);
    drop(watched);
    let outcome = finish(&recorder, over, ended, (heard_ns, lost_max));
    drop(recorder);
    let happened = match outcome {
        Ok((reason, closed)) => {
            // Complete and durable: there is nothing to revive. A note that stays is found
            // finished by the next start.
            let _ = shared.means.open.end(id);
            let _ = line.say(&FromDaemon::Closed(closed));
            Happening::Ended {
                session: id,
                reason,
            }
        }
        Err(lost) => {
            let why = lost.to_string();
            let _ = line.say(&FromDaemon::Lost(why.clone()));
            Happening::Lost { session: id, why }
        }
    };
    (shared.means.tell)(happened);
    shared.registry.wake();
}

/// Both directions of a connection.
pub(crate) fn lines(stream: UnixStream) -> io::Result<(Arc<Line>, Source)> {
    stream.set_read_timeout(Some(OPEN_WAIT_MAX))?;
    stream.set_write_timeout(Some(ANSWER_WAIT_MAX))?;
    let line = Arc::new(Line::new(stream.try_clone()?));
    let source = Incoming::new(stream);
    Ok((line, BufReader::with_capacity(DATA_BYTES_MAX, source)))
}

/// How a connection begins.
enum First {
    /// A program hands its session over.
    Open(Box<Session>),
    /// A login hands its terminal over.
    Login(Login),
    /// Somebody wants to know whether logins are served.
    Probe,
}

/// Reads the opening message; an error is what the program is told.
fn first(source: &mut Source) -> Result<First, String> {
    let mut buffer = Vec::new();
    match read_message(source, &mut buffer, OPEN_BYTES_MAX) {
        Ok(true) => {}
        Ok(false) => return Err("the connection was closed before a session began".to_owned()),
        Err(e) => return Err(format!("no session was opened: {e}")),
    }
    match FromClient::decode(&buffer) {
        Ok(FromClient::Open(open)) => {
            // None belong to it; what came all the same is closed.
            source.get_mut().take::<0>();
            Ok(First::Open(open.claims))
        }
        Ok(FromClient::Login(login)) => Ok(First::Login(login)),
        Ok(FromClient::Probe) => Ok(First::Probe),
        Ok(_) => Err("a session must be opened first".to_owned()),
        Err(e) => Err(format!("the opening message is not understood: {e}")),
    }
}

/// Opens the recorder; an error is what the program is told.
fn open(shared: &Shared, claims: Box<Session>, peer: &Peer) -> Result<Opening, String> {
    let (config, means) = (&shared.config, &shared.means);
    // Whoever hands a session over wants it recorded: whether it has to be is not asked.
    let decided = config.gate.as_ref().map(|gate| {
        let who = peer.login(&claims.kind);
        gate.0.admit(&who)
    });
    let configured = decided.as_ref().map_or(&config.policy, |d| &d.policy);
    let policy = header::in_force(configured, config.wishes, &claims.policy);
    let session = header::session(*claims, peer, means, policy)?;
    let loss = config.options.loss_bytes_max(&session);
    let plan = Plan {
        survives: Survives::Kill,
        loss_bytes_max: loss.map(|loss| loss.saturating_add(LOSS_BYTES_MAX)),
    };
    let (key, sink) = (means.key.clone(), (means.sinks)());
    let how = (config.options, plan);
    let recorder = means
        .open
        .record(session.clone(), key, sink, &means.env, how)
        .map_err(|lost| lost.to_string())?;
    let watch = decided.as_ref().map(|decided| decided.watch);
    let said = decided.map(|decided| decided.notice).unwrap_or_default();
    Ok((session, recorder, said, watch.unwrap_or_default()))
}

/// Hands everything to the recorder, until one side ends it.
fn relay(source: &mut Source, line: &Line, recorder: &Recorder, heard_ns: &mut u64) -> Over {
    let mut buffer = Vec::new();
    loop {
        match read_message(source, &mut buffer, MESSAGE_BYTES_MAX) {
            Ok(true) => *heard_ns = recorder.now_ns(),
            Ok(false) => return Over::Away(THE_CLIENT_WENT_AWAY.to_owned()),
            Err(ReadFailed::Io(_)) => return Over::Away(THE_CLIENT_WENT_AWAY.to_owned()),
            Err(ReadFailed::Malformed(what)) => return broken(&what.0),
        }
        let taken = match FromClient::decode(&buffer) {
            Ok(FromClient::Data { stream, bytes }) => recorder.data(stream, bytes),
            Ok(FromClient::Event(body @ (Body::Resize { .. } | Body::Mark { .. }))) => {
                recorder.event(body)
            }
            // Whatever else there is, is for the daemon to say.
            Ok(FromClient::Event(body)) => {
                return broken(&format!("a program may not say `{}`", body.family()));
            }
            Ok(FromClient::Flush(number)) => match recorder.flush() {
                Ok(()) if line.say(&FromDaemon::Durable(number)).is_err() => {
                    return Over::Away(THE_CLIENT_WENT_AWAY.to_owned());
                }
                flushed => flushed,
            },
            Ok(FromClient::Close(end)) => return Over::Closed(end),
            Ok(FromClient::Open(_) | FromClient::Login(_)) => return broken("a second opening"),
            Ok(_) => return broken("a login's word, where there is none"),
            Err(what) => return broken(&what.0),
        };
        if let Err(lost) = taken {
            return Over::Lost(lost);
        }
    }
}

fn broken(what: &str) -> Over {
    Over::Away(format!("the client does not keep to the protocol: {what}"))
}

/// Most bytes that a program takes with it when it goes without a word. One that may go on unrecorded may
/// have done so for long: it alone counted that, so nobody knows.
fn lost_max(session: &Session) -> Option<u64> {
    (session.policy.on_loss != OnLoss::Continue).then_some(LOSS_BYTES_MAX)
}

/// Brings the recording to its end; answers the reason it gives.
fn finish(
    recorder: &Recorder,
    over: Over,
    ended: Option<Ended>,
    (heard_ns, lost_max): (u64, Option<u64>),
) -> Result<(String, Closed), Lost> {
    let is_away = matches!(over, Over::Away(_));
    let mut end = match over {
        Over::Closed(end) => end,
        Over::Lost(lost) => return Err(lost),
        Over::Away(why) => {
            let gap = Gap {
                cause: why.clone(),
                from_ns: heard_ns,
                bytes_max: lost_max,
                ..Gap::default()
            };
            recorder.event(Body::Gap(gap))?;
            End {
                reason: why,
                ..End::default()
            }
        }
    };
    if let Some(ended) = ended {
        end.reason = ended.to_string();
    }
    let reason = end.reason.clone();
    let summary = recorder.close(end)?;
    let closed = Closed {
        gaps: summary.gaps.saturating_add(u64::from(is_away)),
        missing_bytes: summary.missing.bytes,
        stored_bytes: summary.stored_bytes,
    };
    Ok((reason, closed))
}
