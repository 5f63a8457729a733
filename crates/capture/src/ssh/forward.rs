//! Forwards: connections to and from this machine, sockets and agents that go through an SSH connection.
//! What no rule allows is refused. What is allowed stands in the connection's recording with where it
//! led, how much went through and for how long; its bytes in a recording of their own, where the policy
//! says `forwarding`.
//!
//! - `rules`: where they may lead; `opening`: sockets, with the account's rights
//! - `listening`: what others connect to; `passing`: the bytes; `nested`: what is spoken in them

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use hansard_core::{ChannelKind, Fields, SessionId};
use hansard_record::Recorder;
use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio::sync::OwnedSemaphorePermit;

use super::connection::{Connection, Inside};
use super::ender::Ender;
use super::header::{self, About, Opened};
use super::proxy::{self, Destination};
use super::{fact, over::Over};
use crate::local::Happening;

mod listening;
mod nested;
mod opening;
mod passing;
mod rules;

pub(super) use listening::{Comes, Listening, Wanted, agent_admitted, listen, x11_admitted};
use opening::as_account;
pub(super) use opening::aside;
use passing::{Passing, pass};
use rules::Paths;
pub(super) use rules::Places;

/// What may be forwarded. Nothing, as shipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwards {
    /// Where clients may connect to from here, as `HOST:PORT`: a name, `*.NAME`, an address, a network or
    /// `*`; a number, a range or `*`. A name that no rule has may still stand for an address that one has.
    pub to: Vec<String>,
    /// Where clients may have this machine listen for them, in the same form.
    pub listen: Vec<String>,
    /// Sockets that clients may connect to or listen at: paths, or beginnings with a `*` behind.
    pub sockets: Vec<String>,
    /// Whether programs may use the agent of whoever started them.
    pub agent: bool,
    /// Whether programs may open windows at the client (X11).
    pub x11: bool,
    /// Protocols that may be spoken inside a forward though they are sessions of their own: `ssh`, `rdp`,
    /// `postgres`, `mysql`.
    pub nested: Vec<String>,
}

/// The same, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rules {
    to: Places,
    listen: Places,
    sockets: Paths,
    pub(super) agent: bool,
    pub(super) x11: bool,
    /// Whether names are looked up on another machine.
    is_elsewhere: bool,
}

impl Rules {
    /// # Errors
    /// Which rule cannot be read.
    pub(super) fn read(forwards: &Forwards, is_elsewhere: bool) -> Result<Self, String> {
        let unknown = |name: &&String| !nested::REFUSED.contains(&name.as_str());
        if let Some(name) = forwards.nested.iter().find(unknown) {
            return Err(format!(
                "{name:?} is no protocol that is recognised inside a forward: {}",
                nested::REFUSED.join(", ")
            ));
        }
        Ok(Self {
            to: Places::read(&forwards.to)?,
            listen: Places::read(&forwards.listen)?,
            sockets: Paths::read(&forwards.sockets)?,
            agent: forwards.agent,
            x11: forwards.x11,
            is_elsewhere,
        })
    }
}

impl Rules {
    /// Whether some of the rules allow a host and a port.
    fn may(&self, places: &Places, host: &str, port: u16) -> bool {
        match self.is_elsewhere {
            true => places.has_as_written(host, port),
            false => places.may(host, port),
        }
    }
}

impl Forwards {
    /// Whether every rule can be read.
    ///
    /// # Errors
    /// Which one cannot.
    pub fn check(&self) -> Result<(), String> {
        Rules::read(self, false).map(drop)
    }
}

/// A forward's place among those of its connection, until it is dropped.
pub(super) type Tally = OwnedSemaphorePermit;

/// Where what goes through a forward is kept.
pub(super) struct Kept {
    session: SessionId,
    recorder: Recorder,
    ender: Arc<Ender>,
}

/// Where somebody wants to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum To {
    Tcp(String, u16),
    Unix(PathBuf),
}

/// Why somebody may not forward; what is asked for beyond the rules is refused with one of these.
pub(super) const NOT_ALLOWED: &str =
    "no rule of capture.ssh.forward_to, forward_listen or forward_sockets allows it";
const NOT_CERTIFIED: &str = "the certificate or key does not permit forwarding";

impl To {
    /// Whether it may be connected to.
    fn is_allowed(&self, rules: &Rules) -> bool {
        match self {
            Self::Tcp(host, port) => rules.may(&rules.to, host, *port),
            Self::Unix(path) => rules.sockets.has(&path.to_string_lossy()),
        }
    }
}

/// Whether whoever is in may forward this, and its place if so.
pub(super) fn admitted(
    connection: &Connection,
    (inside, kind): (&Inside, ChannelKind),
    is_allowed: impl FnOnce(&Rules) -> bool,
) -> Result<Tally, String> {
    inside.may(kind)?;
    if !inside.allowed.forwarding {
        return Err(NOT_CERTIFIED.to_owned());
    }
    if !is_allowed(&connection.node.rules) {
        return Err(NOT_ALLOWED.to_owned());
    }
    place(connection)
}

/// A place for one more forward.
pub(super) fn place(connection: &Connection) -> Result<Tally, String> {
    let places = Arc::clone(&connection.forwards);
    let full = "this connection has as many forwards as one may have";
    places.try_acquire_owned().map_err(|_| full.to_owned())
}

/// A channel that is to lead somewhere.
pub(super) struct Direct {
    pub(super) connection: Arc<Connection>,
    pub(super) inside: Inside,
    pub(super) channel: Channel<Msg>,
    pub(super) reply: ChannelOpenHandle,
    /// The client's connection, for what comes back from a target.
    pub(super) handle: Handle,
    /// Its type.
    pub(super) kind: &'static str,
    /// The event that tells of it, and what it says.
    pub(super) event: (&'static str, Fields),
}

impl Direct {
    /// Opens it, or refuses it and says why; what follows is a task of the connection.
    pub(super) async fn begin(self, to: To) -> Result<(), Over> {
        self.connection.handled()?;
        let admitted = match self.jumps(&to) {
            // Where to is judged again inside, with who wants to go there.
            Some(to) => to.and_then(|_| place(&self.connection)),
            None => {
                let wanted = (&self.inside, ChannelKind::ForwardLocal);
                admitted(&self.connection, wanted, |rules| to.is_allowed(rules))
            }
        };
        match admitted {
            Ok(tally) => {
                let connection = Arc::clone(&self.connection);
                connection.keep(tokio::spawn(self.lead(to, tally)));
                Ok(())
            }
            Err(why) => {
                self.told(Some(&why))?;
                let reason = ChannelOpenFailure::AdministrativelyProhibited;
                self.reply.reject(reason).await;
                Ok(())
            }
        }
    }

    /// Where somebody goes through the proxy who has not said so with their name: `ssh -J`. An error: they may
    /// not.
    fn jumps(&self, to: &To) -> Option<Result<Destination, String>> {
        let leads = self.connection.node.leads.as_ref()?;
        match to {
            To::Tcp(host, port) if self.inside.who.target.is_none() => {
                let to = Destination::of(host, *port);
                Some(to.and_then(|to| leads.may(&to).map(|()| to)))
            }
            _ => None,
        }
    }

    async fn lead(self, to: To, tally: Tally) {
        let is_ours = self.jumps(&to).is_some();
        let opened = tokio::select! {
            opened = opened(&self, &to) => opened,
            () = self.connection.closing() => Err("the connection is over".to_owned()),
        };
        let number = self.channel.id().number();
        let opened = opened.and_then(|target| {
            let addr = addr_of(&self.event.1);
            // What is recorded inside is not kept once more, and enciphered.
            let kept = match is_ours {
                true => None,
                false => kept(&self.connection, &self.inside, (addr, number))?,
            };
            Ok((target, kept))
        });
        let told = self.told(opened.as_ref().err().map(String::as_str));
        if let Err(over) = &told {
            return ended(&self.connection, over);
        }
        match opened {
            Err(_) => self.reply.reject(ChannelOpenFailure::ConnectFailed).await,
            Ok((target, kept)) => {
                self.reply.accept().await;
                let about = ending(self.event.1, number);
                pass(Passing {
                    connection: self.connection,
                    channel: self.channel,
                    target,
                    about,
                    kept,
                    tally,
                    is_ours,
                })
                .await;
            }
        }
    }

    /// What came of it, under its own name and as a channel.
    fn told(&self, refused: Option<&str>) -> Result<(), Over> {
        let number = self.channel.id().number();
        let (event, fields) = &self.event;
        let said = fact::of_channel(number, fields.clone(), refused);
        self.connection.record(fact::channel(event, said))?;
        let said = fields.clone().with("channelType", self.kind);
        let said = fact::of_channel(number, said, refused);
        self.connection.record(fact::channel("new_channel", said))
    }
}

/// Opens what is wanted, as the account.
async fn opened(direct: &Direct, to: &To) -> Result<OwnedFd, String> {
    let unreachable = |e: std::io::Error| format!("it cannot be reached: {e}");
    if direct.connection.node.leads.is_some() {
        return opened_there(direct, to).await;
    }
    opened_here(direct, to).await.map_err(unreachable)
}

/// Through the target; or to the target itself, where the proxy answers for it.
async fn opened_there(direct: &Direct, to: &To) -> Result<OwnedFd, String> {
    let unreachable = |e: std::io::Error| format!("it cannot be reached: {e}");
    if let Some(to) = direct.jumps(to) {
        return proxy::jump(&direct.connection, &to?).map_err(unreachable);
    }
    let (connection, inside) = (&direct.connection, &direct.inside);
    let target = proxy::shared(connection, inside, direct.handle.clone()).await?;
    let fields = &direct.event.1;
    let from = fields.text("OriginatorHost").unwrap_or_default();
    let port = match fields.get("OriginatorPort") {
        Some(hansard_core::Value::Uint(port)) => u32::try_from(*port).unwrap_or(0),
        _ => 0,
    };
    let channel = target.direct(to, (from, port)).await?;
    proxy::stream_of(channel).map_err(unreachable)
}

async fn opened_here(direct: &Direct, to: &To) -> std::io::Result<OwnedFd> {
    let account = &direct.inside.who.account;
    match to.clone() {
        To::Tcp(host, port) => {
            let node = Arc::clone(&direct.connection.node);
            let connect = move || opening::tcp(&host, port, &node.rules.to);
            as_account(account, connect)
                .await
                .map(|stream: TcpStream| stream.into())
        }
        To::Unix(path) => {
            let stream = as_account(account, move || opening::unix(&path)).await?;
            Ok(stream.into())
        }
    }
}

/// Where a forward leads.
fn addr_of(fields: &Fields) -> String {
    let addr = fields.text("addr").or(fields.text("Path"));
    addr.unwrap_or("agent").to_owned()
}

/// What the event of its end says, whatever it began as.
fn ending(fields: Fields, number: u32) -> Fields {
    let addr = addr_of(&fields);
    let fields = match fields.get("addr") {
        Some(_) => fields,
        None => fields.with("addr", addr),
    };
    fields.with("channel_id", u64::from(number))
}

/// Nothing more can be recorded of the connection: it ends.
fn ended(connection: &Connection, over: &Over) {
    crate::registry::Runs::end(&*connection.ender, &over.to_string(), "");
}

/// Opens a recording for what goes through, where the policy keeps that.
fn kept(
    connection: &Connection,
    inside: &Inside,
    (addr, number): (String, u32),
) -> Result<Option<Kept>, String> {
    if !inside.keeps_forwards {
        return Ok(None);
    }
    let machine = connection.machine();
    let about = About {
        kind: "forward",
        parent: Some(inside.session),
        channel: Some(number),
        addr: Some(addr),
        reached: connection.targets().at(),
        ..About::default()
    };
    let Opened {
        session, recorder, ..
    } = header::open(machine, &inside.who, about)?;
    let ender = Arc::new(Ender::default());
    let line = Arc::<Ender>::clone(&ender);
    let uid = inside.who.account.uid;
    machine
        .registry
        .begin(&session, (uid, None), recorder.clone(), line);
    (machine.means.tell)(Happening::Began {
        session: session.id,
        uid,
    });
    Ok(Some(Kept {
        session: session.id,
        recorder,
        ender,
    }))
}
