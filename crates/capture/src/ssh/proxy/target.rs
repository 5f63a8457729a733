//! Connections to a target. Whatever runs there has one of its own: the library reads one connection in
//! order, so output that a client does not take would hold back everything else in it, and with it the
//! answers that the client's own connection waits for. What is forwarded shares one.

use std::borrow::Cow;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_core::Fields;
use russh::client::{self, Handle};
use russh::keys::{Algorithm, EcdsaCurve};
use russh::{Preferred, SshId};
use tokio::io::join;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::agent::asks_client;
use super::destination::Destination;
use super::far::FarChannel;
use super::hooks::{Hooks, Judged};
use super::sign_in::{Going, sign_in};
use crate::ssh::connection::{Connection, Inside};
use crate::ssh::fact;
use crate::ssh::forward::{Wanted, aside};
use crate::ssh::gathered::Gathered;
use crate::ssh::limits::{
    ALIVE_EVERY, ALIVE_MAX, PACKET_BYTES, TARGET_ANSWER_MAX, TARGET_HANDSHAKE_MAX, WINDOW_BYTES,
};
use crate::ssh::{access, ciphers, header};

/// A display that was lent: which number it has there is the target's to say.
pub(super) const DISPLAY: Wanted = Wanted::Display {
    number: 0,
    is_single: false,
};

/// A target that somebody was let into.
pub(in crate::ssh) struct Target {
    handle: Handle<Hooks>,
    /// The address that was connected to.
    pub(super) at: SocketAddr,
    /// What it listens at for the client.
    listening: Arc<Mutex<Vec<Wanted>>>,
    /// Without it the client's connection is of no use any more.
    is_needed: Arc<AtomicBool>,
}

/// What a client's connection has of its target.
#[derive(Default)]
pub(in crate::ssh) struct Targets {
    /// Made when somebody signed in, for whatever is asked for first.
    spare: Option<Target>,
    /// For forwards.
    shared: Option<Arc<Target>>,
    /// Closed when the first one is there, where that is made meanwhile.
    coming: Option<watch::Receiver<()>>,
}

impl Targets {
    /// The first connection there, which says whether there is any.
    pub(in crate::ssh) fn first(target: Target) -> Self {
        Self {
            spare: Some(target),
            ..Self::default()
        }
    }

    /// The first one is being made, until what sends this is gone.
    pub(super) fn comes(&mut self, coming: watch::Receiver<()>) {
        self.coming = Some(coming);
    }

    /// The first one is there.
    pub(super) fn has(&mut self, target: Target) {
        self.spare = Some(target);
    }

    /// The address of the connection for forwards, if there is one.
    pub(in crate::ssh) fn at(&self) -> Option<SocketAddr> {
        self.shared.as_ref().map(|target| target.at)
    }

    /// Whether one for forwards is to be had without asking anybody.
    fn is_at_hand(&self) -> bool {
        let spare = self.spare.as_ref();
        self.shared.is_some() || spare.is_some_and(|target| !target.handle.is_closed())
    }
}

/// A connection for something that is to run there.
///
/// # Errors
/// As [`reach`].
pub(in crate::ssh) async fn session(
    connection: &Arc<Connection>,
    inside: &Inside,
    back: russh::server::Handle,
) -> Result<FarChannel, String> {
    let target = fresh(connection, inside, back).await?;
    let asked = Instant::now();
    let channel = answered(target.handle.channel_open_session()).await?;
    connection.of_target.answered(asked.elapsed());
    Ok(FarChannel::new(channel, target))
}

/// The connection for forwards.
///
/// # Errors
/// As [`reach`].
pub(in crate::ssh) async fn shared(
    connection: &Arc<Connection>,
    inside: &Inside,
    back: russh::server::Handle,
) -> Result<Arc<Target>, String> {
    if let Some(shared) = &connection.targets().shared {
        return Ok(Arc::clone(shared));
    }
    let target = Arc::new(fresh(connection, inside, back).await?);
    // Two that are asked for at once may make two: the first stays.
    let shared = Arc::clone(connection.targets().shared.get_or_insert(target));
    shared.is_needed.store(true, Ordering::SeqCst);
    Ok(shared)
}

/// The same for a hook of the client's connection, which goes on only when that returns: it cannot be asked for
/// anything meanwhile.
///
/// # Errors
/// As [`reach`]; and where the client would have to be asked.
pub(in crate::ssh) async fn shared_at_once(
    connection: &Arc<Connection>,
    inside: &Inside,
    back: russh::server::Handle,
) -> Result<Arc<Target>, String> {
    let is_at_hand = connection.targets().is_at_hand();
    if !is_at_hand && asks_client(connection, inside) {
        let why = "the target is signed in to with your agent, which has not happened yet: ask again \
                   when something runs there";
        return Err(why.to_owned());
    }
    shared(connection, inside, back).await
}

/// Has the target listen there no more.
///
/// # Errors
/// It says that it did not.
pub(in crate::ssh) async fn listens_no_more(
    connection: &Connection,
    wanted: &Wanted,
) -> Result<(), String> {
    let shared = connection.targets().shared.clone();
    match shared {
        Some(target) => target.listen_no_more(wanted).await,
        None => Ok(()),
    }
}

async fn fresh(
    connection: &Arc<Connection>,
    inside: &Inside,
    back: russh::server::Handle,
) -> Result<Target, String> {
    let coming = connection.targets().coming.clone();
    if let Some(mut coming) = coming {
        // An error is that it has come, or never will; then the connection ends, and nobody tries once more.
        let _ = coming.changed().await;
        if let Some(why) = connection.ender.said() {
            return Err(why);
        }
    }
    let spare = connection.targets().spare.take();
    match spare.filter(|target| !target.handle.is_closed()) {
        Some(target) => Ok(target),
        None => reach(connection, inside, back).await,
    }
}

/// Connects to a target and signs in there. Each step is on record when this returns, whatever came of it.
///
/// # Errors
/// Why nobody is led there, in words.
pub(in crate::ssh) async fn reach(
    connection: &Arc<Connection>,
    inside: &Inside,
    back: russh::server::Handle,
) -> Result<Target, String> {
    let Some(to) = &inside.who.target else {
        let why = "name the machine to go to: LOGIN+HOST, or LOGIN+HOST+PORT";
        return Err(why.to_owned());
    };
    let mut at = None;
    let reached = reached(connection, inside, (to, back), &mut at).await;
    let mut said = Fields::new()
        .with("addr", to.to_string())
        .with("login", inside.who.account.name.as_str());
    if let Some(at) = at {
        // A name may stand for another address the next time.
        said.push("server_addr", header::reached_at(at));
    }
    let said = fact::outcome(said, reached.as_ref().err().map(String::as_str));
    connection
        .record(fact::network("target.connect", said))
        .map_err(|over| over.to_string())?;
    reached.map_err(|why| format!("{to}: {why}"))
}

async fn reached(
    connection: &Arc<Connection>,
    inside: &Inside,
    (to, back): (&Destination, russh::server::Handle),
    connected_to: &mut Option<SocketAddr>,
) -> Result<Target, String> {
    let stream = connected(connection, to).await?;
    let at = stream.peer_addr().map_err(|e| e.to_string())?;
    *connected_to = Some(at);
    let address = at.ip().to_canonical().to_string();
    unlocked(connection, inside, to, &[address])?;
    let leads = connection.node.leads.as_ref().ok_or("this is no proxy")?;
    let config = Arc::new(library(
        &leads.host_keys.kinds(to)?,
        leads.host_keys.has_authorities(),
    ));
    let judged = Judged::default();
    let listening = Arc::new(Mutex::new(Vec::new()));
    let is_needed = Arc::new(AtomicBool::new(false));
    let asked = back.clone();
    let hooks = Hooks::new(
        (Arc::clone(connection), inside.clone(), back),
        to.clone(),
        (
            Arc::clone(&judged),
            Arc::clone(&listening),
            Arc::clone(&is_needed),
        ),
    );
    let stream = tokio::net::TcpStream::from_std(stream).map_err(|e| e.to_string())?;
    let (read, write) = stream.into_split();
    let stream = join(Gathered::new(read), write);
    let shaking = timeout(
        TARGET_HANDSHAKE_MAX,
        client::connect_stream(config, stream, hooks),
    );
    let shaken = shaking.await;
    let judged = judged.lock().unwrap_or_else(PoisonError::into_inner).take();
    let believed = judged.transpose()?;
    let mut handle = shaken
        .map_err(|_| "it did not answer in time".to_owned())?
        .map_err(|e| format!("the handshake failed: {e}"))?;
    let (believed, names) = believed.ok_or("it showed no host key")?;
    unlocked(connection, inside, to, &names)?;
    let going = Going {
        connection,
        inside,
        to,
        believed,
        back: &asked,
    };
    sign_in(&going, &mut handle).await?;
    Ok(Target {
        handle,
        at,
        listening,
        is_needed,
    })
}

/// Whether they are not locked out of the target, which has these names and addresses as well. A lock on one of
/// them that is made later ends the connection.
///
/// # Errors
/// They are; in words for them.
fn unlocked(
    connection: &Connection,
    inside: &Inside,
    to: &Destination,
    also: &[String],
) -> Result<(), String> {
    let registry = &connection.machine().registry;
    // First: a lock that is made meanwhile is seen here, or sees this.
    registry.is_also(inside.session, also);
    let wanted = (inside.who.account.name.as_str(), Some(to));
    access::unlocked_also(&connection.node, &inside.allowed, wanted, also)
}

async fn connected(connection: &Arc<Connection>, to: &Destination) -> Result<TcpStream, String> {
    let node = Arc::clone(&connection.node);
    let (host, port) = (to.host.clone(), to.port);
    let opened = aside(move || match &node.leads {
        Some(leads) => leads.targets.connect(&host, port),
        None => Err(std::io::ErrorKind::Unsupported.into()),
    });
    let opened = tokio::select! {
        opened = opened => opened.map_err(|e| format!("it cannot be reached: {e}")),
        () = connection.closing() => Err("the connection is over".to_owned()),
    };
    opened
}

/// How the library works towards a target whose keys are of these kinds; none: any.
fn library(kinds: &[Algorithm], with_certificates: bool) -> client::Config {
    let all = [
        Algorithm::Ed25519,
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP384,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP521,
        },
    ];
    let known = all
        .iter()
        .filter(|kind| kinds.is_empty() || kinds.contains(kind));
    let mut preferred = Preferred {
        key: Cow::Owned(known.cloned().collect()),
        ..ciphers::preferred()
    };
    if with_certificates {
        preferred.host_key_certificates = Cow::Owned(all.to_vec());
    }
    let name = concat!("SSH-2.0-Hansard_", env!("CARGO_PKG_VERSION"));
    client::Config {
        client_id: SshId::Standard(name.into()),
        window_size: WINDOW_BYTES,
        maximum_packet_size: u32::try_from(PACKET_BYTES).unwrap_or(u32::MAX),
        preferred,
        inactivity_timeout: None,
        keepalive_interval: Some(ALIVE_EVERY),
        keepalive_max: ALIVE_MAX,
        nodelay: true,
        ..client::Config::default()
    }
}

fn refused(error: &russh::Error) -> String {
    format!("the target refused it: {error}")
}

/// Waits for an answer of the target, but not for ever.
async fn answered<T>(asking: impl Future<Output = Result<T, russh::Error>>) -> Result<T, String> {
    match timeout(TARGET_ANSWER_MAX, asking).await {
        Ok(answer) => answer.map_err(|e| refused(&e)),
        Err(_) => Err("the target did not answer".to_owned()),
    }
}

impl Target {
    fn listening(&self) -> MutexGuard<'_, Vec<Wanted>> {
        self.listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Programs there may use the client's agent.
    pub(super) fn lends_agent(&self) {
        self.listening().push(Wanted::Agent);
    }

    /// Programs there may open windows at the client.
    pub(super) fn lends_display(&self) {
        self.listening().push(DISPLAY);
    }

    /// Says goodbye.
    pub(super) async fn leave(&self) {
        let bye = self
            .handle
            .disconnect(russh::Disconnect::ByApplication, "", "");
        let _ = timeout(TARGET_ANSWER_MAX, bye).await;
    }

    /// A connection from there.
    pub(in crate::ssh) async fn direct(
        &self,
        to: &crate::ssh::forward::To,
        (from, from_port): (&str, u32),
    ) -> Result<russh::Channel<client::Msg>, String> {
        use crate::ssh::forward::To;
        match to {
            To::Tcp(host, port) => {
                let port = u32::from(*port);
                answered(
                    self.handle
                        .channel_open_direct_tcpip(host, port, from, from_port),
                )
                .await
            }
            To::Unix(path) => {
                let path = path.to_string_lossy().into_owned();
                answered(self.handle.channel_open_direct_streamlocal(path)).await
            }
        }
    }

    /// Has it listen. Answers for what it listens then: the port may be its choice.
    pub(in crate::ssh) async fn listen(&self, wanted: Wanted) -> Result<Wanted, String> {
        // Before it is asked: somebody may connect there before its answer is here.
        self.listening().push(wanted.clone());
        let listens = self.asked_to_listen(wanted.clone()).await;
        let mut listening = self.listening();
        if let Some(at) = listening.iter().position(|known| *known == wanted) {
            listening.remove(at);
        }
        listening.extend(listens.clone().ok());
        listens
    }

    async fn asked_to_listen(&self, wanted: Wanted) -> Result<Wanted, String> {
        Ok(match wanted {
            Wanted::Tcp(host, port) => {
                let asked = self.handle.tcpip_forward(host.as_str(), u32::from(port));
                let chosen = answered(asked).await?;
                let chosen = u16::try_from(chosen).ok().filter(|chosen| *chosen != 0);
                Wanted::Tcp(host, chosen.unwrap_or(port))
            }
            Wanted::Unix(path) => {
                let at = path.to_string_lossy().into_owned();
                answered(self.handle.streamlocal_forward(at)).await?;
                Wanted::Unix(path)
            }
            Wanted::Agent | Wanted::Display { .. } => {
                return Err("that is asked for in a channel".to_owned());
            }
        })
    }

    /// It is to listen there no more.
    pub(in crate::ssh) async fn listen_no_more(&self, wanted: &Wanted) -> Result<(), String> {
        // What comes in from here on is refused, whatever the target thinks.
        self.listening().retain(|listens| listens != wanted);
        match wanted {
            Wanted::Tcp(host, port) => {
                let asked = self
                    .handle
                    .cancel_tcpip_forward(host.as_str(), u32::from(*port));
                answered(asked).await
            }
            Wanted::Unix(path) => {
                let at = path.to_string_lossy().into_owned();
                answered(self.handle.cancel_streamlocal_forward(at)).await
            }
            Wanted::Agent | Wanted::Display { .. } => Ok(()),
        }
    }
}
