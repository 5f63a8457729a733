//! What others connect to on this machine for the client: ports, sockets, and its agent.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use hansard_core::{ChannelKind, Fields};
use hansard_shell::Account;
use russh::Channel;
use russh::server::{Handle, Msg};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::opening::{self, as_account};
use super::passing::{Passing, pass};
use super::{addr_of, admitted, ended, ending, kept, place};
use crate::limits::ACCEPT_PAUSE;
use crate::ssh::connection::{Connection, Inside};
use crate::ssh::fact;
use crate::ssh::limits::FORWARD_CONNECT_MAX;
use crate::ssh::proxy;

/// What is to be listened at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ssh) enum Wanted {
    /// An address as the client writes it, and a port; 0: any, and the answer says which.
    Tcp(String, u16),
    /// A path.
    Unix(PathBuf),
    /// A new place for the client's agent.
    Agent,
    /// A new display, which is the client's.
    Display {
        /// Its number, once it is there.
        number: u16,
        /// Whether one connection is all that it takes.
        is_single: bool,
    },
}

/// Something that is listened at, until it is dropped.
pub(in crate::ssh) struct Listening {
    /// What was asked for; with the port that it became.
    pub(in crate::ssh) wanted: Wanted,
    /// Where programs find the agent, or others the socket.
    pub(in crate::ssh) path: Option<PathBuf>,
    tasks: Vec<AbortHandle>,
    account: Account,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        let Some(path) = self.path.take() else {
            return;
        };
        let (account, is_agent) = (self.account.clone(), self.wanted == Wanted::Agent);
        // With the account's rights: what its directory has become meanwhile is the account's to say.
        // A crash before this leaves a socket that nobody answers at.
        opening::later(account, move || {
            std::fs::remove_file(&path)?;
            match path.parent().filter(|_| is_agent) {
                Some(dir) => std::fs::remove_dir(dir),
                None => Ok(()),
            }
        });
    }
}

/// Begins to listen, as the account.
///
/// # Errors
/// Why not, in words.
pub(in crate::ssh) async fn listen(
    connection: &Arc<Connection>,
    inside: &Inside,
    wanted: Wanted,
    handle: Handle,
) -> Result<Listening, String> {
    let account = inside.who.account.clone();
    // The place is for each connection that comes in; that one is free says that listening is allowed.
    let _free = match &wanted {
        Wanted::Tcp(host, port) => {
            admitted(connection, (inside, ChannelKind::ForwardRemote), |rules| {
                // Which port it will be is not known yet: a rule for all of them is needed.
                match port {
                    0 => {
                        let may = |port| rules.may(&rules.listen, host, port);
                        may(0) && may(u16::MAX)
                    }
                    port => rules.may(&rules.listen, host, *port),
                }
            })
        }
        Wanted::Unix(path) => admitted(connection, (inside, ChannelKind::ForwardRemote), |rules| {
            rules.sockets.has(&path.to_string_lossy())
        }),
        Wanted::Agent => agent_admitted(connection, inside).and_then(|()| place(connection)),
        Wanted::Display { .. } => x11_admitted(connection, inside).and_then(|()| place(connection)),
    }?;
    if connection.node.leads.is_some() {
        let target = proxy::shared_at_once(connection, inside, handle).await?;
        return Ok(Listening {
            wanted: target.listen(wanted).await?,
            path: None,
            tasks: Vec::new(),
            account,
        });
    }
    let comes = Comes::new(connection, inside, handle);
    let mut listening = Listening {
        wanted: wanted.clone(),
        path: None,
        tasks: Vec::new(),
        account: account.clone(),
    };
    let opened = opened(&account, wanted, (&comes, &mut listening)).await;
    opened.map_err(|e| format!("nothing can be listened at: {e}"))?;
    Ok(listening)
}

/// Whether programs may use the client's agent.
///
/// # Errors
/// Why not.
pub(in crate::ssh) fn agent_admitted(
    connection: &Connection,
    inside: &Inside,
) -> Result<(), String> {
    inside.may(ChannelKind::Agent)?;
    match (connection.node.rules.agent, inside.allowed.agent) {
        (false, _) => Err("forward_agent is off".to_owned()),
        (_, false) => {
            Err("the certificate or key does not permit that an agent is forwarded".to_owned())
        }
        _ => Ok(()),
    }
}

/// The next connection, and where it comes from.
async fn accepted(listener: &TcpListener) -> (std::net::TcpStream, SocketAddr) {
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            // No descriptors left, or the like: those who connect wait meanwhile.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        if let Ok(stream) = stream.into_std() {
            return (stream, from);
        }
    }
}

/// Whether programs may open windows at the client.
///
/// # Errors
/// Why not.
pub(in crate::ssh) fn x11_admitted(connection: &Connection, inside: &Inside) -> Result<(), String> {
    inside.may(ChannelKind::X11)?;
    match (connection.node.rules.x11, inside.allowed.x11) {
        (false, _) => Err("forward_x11 is off".to_owned()),
        (_, false) => Err("the certificate or key does not permit X11".to_owned()),
        _ => Ok(()),
    }
}

async fn opened(
    account: &Account,
    wanted: Wanted,
    (comes, listening): (&Comes, &mut Listening),
) -> std::io::Result<()> {
    match wanted {
        Wanted::Tcp(host, port) => {
            let (node, asked) = (Arc::clone(&comes.connection.node), host.clone());
            let listeners = as_account(account, move || {
                opening::listen(&asked, port, &node.rules.listen)
            })
            .await?;
            for listener in listeners {
                let port = listener.local_addr()?.port();
                listening.wanted = Wanted::Tcp(host.clone(), port);
                let listener = TcpListener::from_std(listener)?;
                let task = tokio::spawn(comes.clone().tcp(listener, (host.clone(), port)));
                listening.tasks.push(task.abort_handle());
            }
        }
        Wanted::Unix(path) => {
            let at = path.clone();
            let listener = as_account(account, move || opening::listen_unix(&at)).await?;
            listening.path = Some(path.clone());
            let listener = UnixListener::from_std(listener)?;
            let task = tokio::spawn(comes.clone().unix(listener, Some(path)));
            listening.tasks.push(task.abort_handle());
        }
        Wanted::Agent => {
            let mut random = [0; 10];
            let environment = &comes.connection.machine().means.env;
            environment.random.fill(&mut random)?;
            let word: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            let opening = as_account(account, move || opening::listen_for_agent(&word));
            let (listener, path) = opening.await?;
            listening.path = Some(path);
            let listener = UnixListener::from_std(listener)?;
            let task = tokio::spawn(comes.clone().unix(listener, None));
            listening.tasks.push(task.abort_handle());
        }
        Wanted::Display { is_single, .. } => {
            let (listeners, number) = as_account(account, opening::listen_as_display).await?;
            listening.wanted = Wanted::Display { number, is_single };
            for listener in listeners {
                let listener = TcpListener::from_std(listener)?;
                let task = tokio::spawn(comes.clone().display(listener, is_single));
                listening.tasks.push(task.abort_handle());
            }
        }
    }
    Ok(())
}

/// Takes whoever connects.
#[derive(Clone)]
pub(in crate::ssh) struct Comes {
    connection: Arc<Connection>,
    inside: Inside,
    handle: Handle,
}

/// Somebody who connected, and how the client is asked to take them.
struct Came {
    from: OwnedFd,
    /// The event that tells of it, and what it says.
    event: (&'static str, Fields),
    asks: Asks,
}

enum Asks {
    Tcp((String, u16), SocketAddr),
    Unix(String),
    Agent,
    Display(SocketAddr),
}

impl Comes {
    pub(in crate::ssh) fn new(
        connection: &Arc<Connection>,
        inside: &Inside,
        handle: Handle,
    ) -> Self {
        Self {
            connection: Arc::clone(connection),
            inside: inside.clone(),
            handle,
        }
    }

    /// Takes what a target leads back.
    pub(in crate::ssh) fn take_back(
        &self,
        from: OwnedFd,
        event: (&'static str, Fields),
        wanted: Wanted,
    ) {
        let asks = match wanted {
            Wanted::Tcp(host, port) => Asks::Tcp((host, port), originator(&event.1)),
            Wanted::Unix(path) => Asks::Unix(path.to_string_lossy().into_owned()),
            Wanted::Agent => Asks::Agent,
            Wanted::Display { .. } => Asks::Display(originator(&event.1)),
        };
        self.take(Came { from, event, asks });
    }

    async fn tcp(self, listener: TcpListener, (host, port): (String, u16)) {
        loop {
            let (stream, from) = accepted(&listener).await;
            let fields = Fields::new()
                .with("addr", format!("{host}:{port}"))
                .with("OriginatorHost", from.ip().to_string())
                .with("OriginatorPort", u64::from(from.port()));
            self.take(Came {
                from: stream.into(),
                event: ("port.remote_conn", fields),
                asks: Asks::Tcp((host.clone(), port), from),
            });
        }
    }

    /// Of a display.
    async fn display(self, listener: TcpListener, is_single: bool) {
        let at = listener.local_addr().map(|at| at.to_string());
        let at = at.unwrap_or_default();
        loop {
            let (stream, from) = accepted(&listener).await;
            let fields = Fields::new()
                .with("addr", at.as_str())
                .with("OriginatorHost", from.ip().to_string())
                .with("OriginatorPort", u64::from(from.port()));
            self.take(Came {
                from: stream.into(),
                event: ("x11-forward", fields),
                asks: Asks::Display(from),
            });
            if is_single {
                return;
            }
        }
    }

    /// Of a socket at this path; without one, of the agent.
    async fn unix(self, listener: UnixListener, path: Option<PathBuf>) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let Ok(stream) = stream.into_std() else {
                continue;
            };
            let path = path
                .as_ref()
                .map(|path| path.to_string_lossy().into_owned());
            let (event, asks) = match path {
                Some(path) => {
                    let fields = Fields::new().with("Path", path.as_str());
                    let event = ("new_channel_forwarded_streamlocal", fields);
                    (event, Asks::Unix(path))
                }
                None => (("agent-forward", Fields::new()), Asks::Agent),
            };
            self.take(Came {
                from: stream.into(),
                event,
                asks,
            });
        }
    }

    /// As a task of the connection.
    fn take(&self, came: Came) {
        let task = tokio::spawn(self.clone().lead(came));
        self.connection.keep(task);
    }

    async fn lead(self, came: Came) {
        let tally = place(&self.connection);
        let asked = async {
            let tally = tally?;
            let asked = tokio::select! {
                asked = timeout(FORWARD_CONNECT_MAX, self.ask(&came.asks)) => asked,
                () = self.connection.closing() => return Err("the connection is over".to_owned()),
            };
            let channel = asked
                .map_err(|_| "the client did not answer".to_owned())?
                .map_err(|e| format!("the client did not take it: {e}"))?;
            let about = (addr_of(&came.event.1), channel.id().number());
            match kept(&self.connection, &self.inside, about) {
                Ok(kept) => Ok((tally, channel, kept)),
                Err(why) => {
                    let _ = channel.close().await;
                    Err(why)
                }
            }
        };
        let asked: Result<_, String> = asked.await;
        let (event, fields) = came.event;
        let refused = asked.as_ref().err().map(String::as_str);
        let told = match &asked {
            Ok((_, channel, _)) => fact::of_channel(channel.id().number(), fields.clone(), None),
            Err(_) => fact::outcome(fields.clone(), refused),
        };
        if let Err(over) = self.connection.record(fact::channel(event, told)) {
            return ended(&self.connection, &over);
        }
        let Ok((tally, channel, kept)) = asked else {
            return;
        };
        let about = ending(fields, channel.id().number());
        pass(Passing {
            connection: self.connection,
            channel,
            target: came.from,
            about,
            kept,
            tally,
            is_ours: false,
        })
        .await;
    }

    async fn ask(&self, asks: &Asks) -> Result<Channel<Msg>, russh::Error> {
        match asks {
            Asks::Tcp((host, port), from) => {
                self.handle
                    .channel_open_forwarded_tcpip(
                        host.as_str(),
                        u32::from(*port),
                        from.ip().to_string(),
                        u32::from(from.port()),
                    )
                    .await
            }
            Asks::Unix(path) => {
                self.handle
                    .channel_open_forwarded_streamlocal(path.as_str())
                    .await
            }
            Asks::Agent => self.handle.channel_open_agent().await,
            Asks::Display(from) => {
                self.handle
                    .channel_open_x11(from.ip().to_string(), u32::from(from.port()))
                    .await
            }
        }
    }
}

/// Where somebody who connected comes from, as an event has it.
fn originator(fields: &Fields) -> SocketAddr {
    let ip = fields.text("OriginatorHost").and_then(|ip| ip.parse().ok());
    let ip = ip.unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
    let port = match fields.get("OriginatorPort") {
        Some(hansard_core::Value::Uint(port)) => u16::try_from(*port).unwrap_or(0),
        _ => 0,
    };
    SocketAddr::new(ip, port)
}
