//! One connection: a thread of its own with a runtime of its own, so that whoever is held back because
//! the record cannot be made durable holds back nobody else.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hansard_core::event::End;
use hansard_core::{Body, Fields, SessionId};
use hansard_record::Recorder;
use hansard_shell::Keeper;
use russh::Disconnect;
use russh::server::{RunningSession, run_stream};
use tokio::io::{AsyncRead, AsyncWrite, join};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::alive::{Felt, Gone, Pulse, Watch, asked_after};
use super::credentials::Allowed;
use super::distance::Distance;
use super::ender::Ender;
use super::fact;
use super::forward::aside;
use super::gathered::Gathered;
use super::handler::Handler;
use super::header::{self, About, OfMachine, Who};
use super::limits::{CHANNELS_END_MAX, FORWARD_BYTES_MAX, FORWARDS_MAX};
use super::over::Over;
use super::preface::Prefaced;
use super::proxy::{Destination, Targets};
use super::relay::Unread;
use super::room::Room;
use super::witness;
use super::{Node, door::Place};
use crate::local::{Happening, THE_CLIENT_WENT_AWAY};

mod sighted;

/// What the parts of a connection share.
pub(super) struct Connection {
    pub(super) node: Arc<Node>,
    pub(super) remote: SocketAddr,
    pub(super) local: SocketAddr,
    /// Where it leads, if that was said before anybody signed in (`ssh -J`).
    pub(super) inside_of: Option<Destination>,
    /// What it has of the target that it leads to.
    targets: Mutex<Targets>,
    /// Ends it as a whole.
    pub(super) ender: Arc<Ender>,
    /// Its place among those who have not signed in; given up when they have.
    place: Mutex<Place>,
    /// Places for forwards.
    pub(super) forwards: Arc<Semaphore>,
    /// Bytes of forwards that may wait.
    pub(super) forwarded: Room,
    /// How far away the client is.
    pub(super) distance: Distance,
    /// How far away the target is, where this leads to one.
    pub(super) of_target: Distance,
    /// Whether it is over, for what would go on without it.
    is_closing: watch::Sender<bool>,
    /// Rings when the library refused something that no hook is told of.
    sighted: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    inside: Option<Inside>,
    /// Attempts that say nothing as long as one that counts follows: `none`, keys that were offered.
    tried: Vec<Body>,
    /// What was agreed on, as the library says it.
    agreed: String,
    /// Why it ends, where that is known.
    reason: Option<String>,
    tasks: Vec<JoinHandle<()>>,
    /// What runs in its channels, and whether anybody reads what that says.
    read: Vec<(u32, Weak<Unread>)>,
}

/// A connection whose user is in.
#[derive(Clone)]
pub(super) struct Inside {
    pub(super) who: Arc<Who>,
    pub(super) allowed: Arc<Allowed>,
    pub(super) session: SessionId,
    pub(super) recorder: Recorder,
    /// Whether what goes through forwards is kept, besides that and where it does.
    pub(super) keeps_forwards: bool,
}

impl Connection {
    /// Its place is among those of people who have signed in.
    pub(super) fn is_known(&self) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.is_known();
    }

    /// Returns when the connection is over.
    pub(super) async fn closing(&self) {
        // Fails when there is no sender, which stands beside this.
        let _ = self.is_closing.subscribe().wait_for(|is| *is).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn targets(&self) -> MutexGuard<'_, Targets> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn machine(&self) -> &OfMachine {
        &self.node.machine
    }

    /// Who is in; an error before anybody is, which no channel is opened in.
    pub(super) fn inside(&self) -> Result<Inside, Over> {
        self.state().inside.clone().ok_or(Over::NotInside)
    }

    /// Who opens sessions for programs of whoever is in.
    pub(super) fn keeper(&self) -> Option<Keeper> {
        let keeper = self.node.config.keeper.as_ref();
        keeper.map(|keeper| keeper.of(header::canonical(self.remote).ip().to_string()))
    }

    /// Records something of the connection: in its own recording, or, while nobody is in, in the host's.
    pub(super) fn record(&self, body: Body) -> Result<(), Over> {
        let inside = self.state().inside.clone();
        match inside {
            Some(inside) => inside.recorder.event(body).map_err(Over::Lost),
            None => {
                (self.machine().means.tell)(Happening::Said(body));
                Ok(())
            }
        }
    }

    /// An attempt that counts only if nothing better follows.
    pub(super) fn tried(&self, body: Body) {
        self.state().tried.push(body);
    }

    /// It ends as soon as nothing runs in it any more, and at the bound anyway.
    pub(super) fn ends_when_idle(self: &Arc<Self>, why: String) {
        const LOOK_EVERY: Duration = Duration::from_millis(20);
        let connection = Arc::clone(self);
        tokio::spawn(async move {
            let until = Instant::now() + CHANNELS_END_MAX;
            let is_idle = || connection.state().tasks.iter().all(JoinHandle::is_finished);
            while !is_idle() && Instant::now() < until {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            crate::registry::Runs::end(&*connection.ender, &why, "");
        });
    }

    pub(super) fn keep(&self, task: JoinHandle<()>) {
        let mut state = self.state();
        // Those that ended need not be waited for.
        state.tasks.retain(|task| !task.is_finished());
        state.tasks.push(task);
    }

    /// Notes why it ends; the first reason stays.
    pub(super) fn ends_because(&self, reason: &str) {
        self.state().reason.get_or_insert(reason.to_owned());
    }

    /// Opens the connection's recording. Nothing that a client does from here on is unrecorded.
    pub(super) fn enter(&self, who: Who, allowed: Allowed) -> Result<(), Over> {
        let about = About {
            kind: "ssh",
            ..About::default()
        };
        let opened = header::open(self.machine(), &who, about).map_err(Over::Unrecorded)?;
        let (session, recorder) = (&opened.session, opened.recorder);
        let line = Arc::<Ender>::clone(&self.ender);
        let registry = &self.machine().registry;
        registry.begin(session, (who.account.uid, None), recorder.clone(), line);
        (self.machine().means.tell)(Happening::Began {
            session: session.id,
            uid: who.account.uid,
        });
        let agreed = Fields::new().with("message", self.state().agreed.as_str());
        let mut said = fact::outcome(allowed.said.clone(), None);
        said.push("method", allowed.method);
        let tried = std::mem::take(&mut self.state().tried);
        // From here on whoever ends the connection finds its recording, and brings it to an end.
        self.state().inside = Some(Inside {
            who: Arc::new(who),
            allowed: Arc::new(allowed),
            session: session.id,
            recorder: recorder.clone(),
            keeps_forwards: opened.session.policy.forwarding,
        });
        // When it is over is known from here on.
        self.ender.wake();
        let connected = fact::network("connect", fact::outcome(Fields::new(), None));
        let agreed = fact::auth("handshake", fact::outcome(agreed, None));
        let let_in = fact::auth("auth", said);
        [connected, agreed]
            .into_iter()
            .chain(tried)
            .chain([let_in])
            .try_for_each(|body| recorder.event(body))
            .map_err(Over::Lost)
    }
}

/// What a connection goes through.
pub(super) enum Wire {
    /// The network.
    Outside(std::net::TcpStream),
    /// A forward of another connection, whose client believes to be at this target.
    Inside {
        stream: UnixStream,
        /// From where to where the other one goes.
        of: (SocketAddr, SocketAddr),
        to: Destination,
    },
}

impl Wire {
    fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        match self {
            Self::Outside(stream) => Some((stream.peer_addr().ok()?, stream.local_addr().ok()?)),
            Self::Inside { of, .. } => Some(*of),
        }
    }
}

/// Serves a connection until it is over and everything of it is recorded.
pub(super) fn serve(node: &Arc<Node>, wire: Wire, place: Place) {
    let Some((remote, local)) = wire.ends() else {
        return;
    };
    let inside_of = match &wire {
        Wire::Outside(_) => None,
        Wire::Inside { to, .. } => Some(to.clone()),
    };
    let connection = Arc::new(Connection {
        node: Arc::clone(node),
        remote,
        local,
        inside_of,
        targets: Mutex::default(),
        ender: Arc::new(Ender::default()),
        place: Mutex::new(place),
        forwards: Arc::new(Semaphore::new(FORWARDS_MAX)),
        forwarded: Room::new(FORWARD_BYTES_MAX),
        distance: Distance::default(),
        of_target: Distance::default(),
        is_closing: watch::Sender::new(false),
        sighted: witness::attach(),
        state: Mutex::new(State::default()),
    });
    super::sys::answers_soon();
    // Signing in goes deeper than anything after it, and most of a connection's life nothing happens.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .on_thread_park(hansard_record::memory::give_back_stack)
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        connection.ends_because("no runtime to be had");
        return connection.over();
    };
    let id = node.enders.put(&connection.ender);
    runtime.block_on(talk(&connection, wire));
    node.enders.remove(id);
    // Dropping the runtime ends what is left in it; what belongs to it was recorded before.
    drop(runtime);
    connection.over();
}

/// From the first byte to the last.
async fn talk(connection: &Arc<Connection>, wire: Wire) {
    let grace = connection.node.config.login_grace;
    let began = Instant::now();
    let handler = Handler::new(Arc::clone(connection));
    let running = timeout(grace, begun(connection, wire, handler)).await;
    match running {
        Ok(Ok(begun)) => until_over(connection, begun, began + grace).await,
        Ok(Err(over)) => connection.ends_because(&over.to_string()),
        Err(_) => connection.ends_because("it said nothing until the time to sign in was over"),
    }
    let _ = connection
        .seen(true)
        .map_err(|lost| connection.ends_because(&lost.to_string()));
    connection.is_closing.send_replace(true);
    let tasks = std::mem::take(&mut connection.state().tasks);
    let until = Instant::now() + CHANNELS_END_MAX;
    for task in tasks {
        // One that does not end in time is dropped with the runtime, and ends its recording then.
        let _ = tokio::time::timeout_at(until, task).await;
    }
}

/// A connection that has begun, and what is watched of it beside the library.
type Begun = (RunningSession<Handler>, Watch);

async fn begun(connection: &Connection, wire: Wire, handler: Handler) -> Result<Begun, Over> {
    let node = &connection.node;
    let pulse = Arc::<Pulse>::default();
    match wire {
        Wire::Outside(stream) => {
            stream.set_nonblocking(true).map_err(Over::unusable)?;
            stream.set_nodelay(true).map_err(Over::unusable)?;
            asked_after(&stream).map_err(Over::unusable)?;
            let watch = Watch::new(&stream, &pulse).map_err(Over::unusable)?;
            let stream = tokio::net::TcpStream::from_std(stream).map_err(Over::unusable)?;
            let (read, write) = stream.into_split();
            let stream = felt(read, write, &pulse);
            let running = run_stream(node.russh(), stream, handler).await?;
            Ok((running, watch))
        }
        Wire::Inside { stream, to, .. } => {
            stream.set_nonblocking(true).map_err(Over::unusable)?;
            let watch = Watch::new(&stream, &pulse).map_err(Over::unusable)?;
            let stream = tokio::net::UnixStream::from_std(stream).map_err(Over::unusable)?;
            // It is put on record, which may take a disk's time.
            let of = Arc::clone(node);
            let certified =
                aside(move || Ok(of.leads.as_ref().and_then(|leads| leads.certified(&to))));
            let certified = certified.await.map_err(Over::unusable)?;
            let config = match certified {
                Some(line) => {
                    Arc::new(super::library(&node.config, Some(&line)).map_err(Over::Unrecorded)?)
                }
                None => node.russh(),
            };
            let (read, write) = stream.into_split();
            let stream = felt(read, write, &pulse);
            let running = run_stream(config, stream, handler).await?;
            Ok((running, watch))
        }
    }
}

/// Both halves of a stream, as the library has them.
fn felt<R, W>(
    read: R,
    write: W,
    pulse: &Arc<Pulse>,
) -> impl AsyncRead + AsyncWrite + Unpin + Send + use<R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let read = Prefaced::new(Gathered::new(read));
    join(Felt::new(read, pulse), Felt::new(write, pulse))
}

/// Until the client is gone, somebody ends it, or its time is over.
async fn until_over(connection: &Arc<Connection>, (mut running, watch): Begun, in_by: Instant) {
    let handle = running.handle();
    let gone = watch.gone();
    tokio::pin!(gone);
    loop {
        let inside = connection.inside().ok();
        let deadline = match &inside {
            None => Some(in_by),
            Some(inside) => inside.allowed.until_s.and_then(instant_of),
        };
        let far = Instant::now() + Duration::from_secs(3600);
        tokio::select! {
            over = &mut running => {
                let reason = match over {
                    Ok(()) => THE_CLIENT_WENT_AWAY.to_owned(),
                    Err(over) if over.is_early_eof() => format!("{THE_CLIENT_WENT_AWAY}: early eof"),
                    Err(over) => over.to_string(),
                };
                return connection.ends_because(&reason);
            }
            gone = &mut gone => {
                // Nothing is said to whom nothing reaches; the library ends with what is left here.
                return connection.ends_because(&match gone {
                    Gone::HungUp => THE_CLIENT_WENT_AWAY.to_owned(),
                    Gone::TakesNothing => format!("{THE_CLIENT_WENT_AWAY}: it takes nothing of what is sent"),
                });
            }
            () = connection.sighted.notified() => {
                if let Err(over) = connection.seen(false) {
                    return disconnect(connection, (&handle, running), &over.to_string()).await;
                }
            }
            () = connection.ender.heard() => {
                let why = connection.ender.said();
                if let Some(why) = why {
                    return disconnect(connection, (&handle, running), &why).await;
                }
            }
            () = sleep_until(deadline.unwrap_or(far)) => {
                let Some(_) = deadline.filter(|at| *at <= Instant::now()) else { continue };
                let is_in = connection.inside().is_ok();
                let why = match (inside.is_some(), is_in) {
                    (true, _) => "the certificate is over",
                    // Somebody who came in at the last moment.
                    (false, true) => continue,
                    (false, false) => "nobody had signed in when the time for it was over",
                };
                return disconnect(connection, (&handle, running), why).await;
            }
        }
    }
}

/// Ends it by our doing, and tells the client why, if it listens; it need not.
async fn disconnect(
    connection: &Connection,
    (handle, running): (&russh::server::Handle, RunningSession<Handler>),
    why: &str,
) {
    const TOLD_MAX: Duration = Duration::from_secs(1);
    connection.ends_because(why);
    let said = handle.disconnect(Disconnect::ByApplication, why.to_owned(), String::new());
    let _ = timeout(TOLD_MAX, said).await;
    // The library sends it in its next turn, which may wait for the end of a failed attempt, and ends.
    let _ = timeout(TOLD_MAX, running).await;
    if connection.inside().is_ok() {
        // Where nothing can be recorded any more, that is why it ends.
        let gone = Fields::new().with("reason", why);
        let _ = connection.record(fact::channel("client.disconnect", gone));
    }
}

/// `None` of a time that no clock reaches, which a certificate may name as well as "forever".
fn instant_of(utc_s: u64) -> Option<Instant> {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(utc_s))?;
    let left = at.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now().checked_add(left)
}

impl Connection {
    /// Brings the recording to its end, or tells the host's own of a connection that came to nothing.
    fn over(&self) {
        let state = std::mem::take(&mut *self.state());
        let reason = state
            .reason
            .unwrap_or_else(|| THE_CLIENT_WENT_AWAY.to_owned());
        let tell = &self.machine().means.tell;
        let Some(inside) = state.inside else {
            for body in state.tried {
                tell(Happening::Said(body));
            }
            let fields = Fields::new()
                .with("addr.remote", header::canonical(self.remote).to_string())
                .with("reason", reason.as_str());
            let body = fact::network("disconnect", fields.with("success", false));
            return tell(Happening::Said(body));
        };
        let registry = &self.machine().registry;
        let session = inside.session;
        let reason = match registry.finish(session) {
            Some(ended) => ended.to_string(),
            None => reason,
        };
        let gone = Fields::new().with("reason", reason.as_str());
        let closed = inside
            .recorder
            .event(fact::network("disconnect", gone))
            .and_then(|()| {
                inside.recorder.close(End {
                    reason: reason.clone(),
                    ..End::default()
                })
            });
        tell(match closed {
            Ok(_) => {
                let _ = self.machine().means.open.end(session);
                Happening::Ended { session, reason }
            }
            Err(lost) => Happening::Lost {
                session,
                why: lost.to_string(),
            },
        });
        registry.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, instant_of};

    /// A certificate's end is any number that its authority has signed.
    #[test]
    fn an_end_that_no_clock_reaches_is_none() {
        for utc_s in [1 << 63, u64::MAX - 1] {
            assert_eq!(instant_of(utc_s), None);
        }
        assert!(instant_of(0).is_some_and(|at| at <= Instant::now()));
        assert!(instant_of(4_102_444_800).is_some_and(|at| at > Instant::now()));
    }
}
