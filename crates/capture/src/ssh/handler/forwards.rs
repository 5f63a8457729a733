//! What is asked for that leads elsewhere: connections, sockets, ports and the client's agent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hansard_core::Fields;
use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelId};

use super::Handler;
use crate::ssh::fact;
use crate::ssh::forward::{Direct, NOT_ALLOWED, To, Wanted, agent_admitted, listen, x11_admitted};
use crate::ssh::limits::LISTENING_MAX;
use crate::ssh::over::Over;
use crate::ssh::proxy;
use crate::ssh::x11::Display;

/// Where a connection is to go and where it came from, as an event says it.
pub(super) fn network_fields(host: &str, port: u32, from: &str, from_port: u32) -> Fields {
    Fields::new()
        .with("addr", format!("{host}:{port}"))
        .with("OriginatorHost", from)
        .with("OriginatorPort", u64::from(from_port))
}

/// What may be asked for, if it is anything that can be.
pub(super) fn tcp(host: &str, port: u32) -> Option<(String, u16)> {
    let port = u16::try_from(port).ok()?;
    Some((host.to_owned(), port))
}

impl Handler {
    /// A channel that is to lead somewhere; without a place to lead to it is refused.
    pub(super) async fn direct(
        &self,
        (kind, event, fields): (&'static str, &'static str, Fields),
        to: Option<To>,
        (channel, reply): (Channel<Msg>, ChannelOpenHandle),
        handle: Handle,
    ) -> Result<(), Over> {
        let direct = Direct {
            connection: Arc::clone(&self.connection),
            inside: self.connection.inside()?,
            channel,
            reply,
            handle,
            kind,
            event: (event, fields),
        };
        // Port 0 is nobody's.
        direct.begin(to.unwrap_or(To::Tcp(String::new(), 0))).await
    }

    /// Something is to be listened at for the client. Answers whether it is, and at which port.
    pub(super) async fn listens(
        &mut self,
        wanted: Option<Wanted>,
        (event, fields): (&str, Fields),
        handle: Handle,
    ) -> Result<Option<u16>, Over> {
        self.connection.handled()?;
        let inside = self.connection.inside()?;
        let listening = match wanted {
            None => Err(NOT_ALLOWED.to_owned()),
            Some(_) if self.listening.len() >= LISTENING_MAX => {
                Err(format!("{LISTENING_MAX} are listened at, no more may be"))
            }
            Some(wanted) => listen(&self.connection, &inside, wanted, handle).await,
        };
        let refused = listening.as_ref().err().map(String::as_str);
        let mut fields = fields;
        let port = match listening.as_ref().map(|listening| &listening.wanted) {
            Ok(Wanted::Tcp(_, port)) => *port,
            _ => 0,
        };
        if port != 0 {
            fields.push("BindPort", u64::from(port));
        }
        let fields = fact::outcome(fields, refused);
        self.connection.record(fact::channel(event, fields))?;
        Ok(listening.ok().map(|listening| {
            self.listening.push(listening);
            port
        }))
    }

    /// It is not to be listened at any more. Answers whether it was.
    pub(super) async fn listens_no_more(
        &mut self,
        wanted: Option<&Wanted>,
        (event, fields): (&str, Fields),
        missing: &str,
    ) -> Result<bool, Over> {
        self.connection.handled()?;
        let before = self.listening.len();
        self.listening
            .retain(|listening| Some(&listening.wanted) != wanted);
        let was = self.listening.len() < before;
        if let Some(wanted) = wanted.filter(|_| was && self.connection.node.leads.is_some()) {
            // What comes in is refused from here on, whatever the target makes of it.
            let _ = proxy::listens_no_more(&self.connection, wanted).await;
        }
        let fields = fact::outcome(fields, (!was).then_some(missing));
        self.connection.record(fact::channel(event, fields))?;
        Ok(was)
    }

    /// Programs in a channel are to find the client's agent. Its socket is one for the whole connection.
    pub(super) async fn agent(&mut self, channel: ChannelId, handle: Handle) -> Result<bool, Over> {
        let number = channel.number();
        let fields = Fields::new().with("channel_id", u64::from(number));
        if self.connection.node.leads.is_some() {
            return self.agent_there(channel, fields).await;
        }
        if self.agent_path().is_some() {
            self.connection.handled()?;
            let fields = fact::outcome(fields, None);
            self.connection
                .record(fact::channel("agent-forward", fields))?;
        } else {
            let event = ("agent-forward", fields);
            self.listens(Some(Wanted::Agent), event, handle).await?;
        }
        let path = self.agent_path().map(Path::to_path_buf);
        if let (Some(path), Some(waiting)) = (&path, self.waiting.get_mut(&channel)) {
            waiting.has_agent(path);
        }
        Ok(path.is_some())
    }

    /// The same of programs on a target.
    async fn agent_there(&mut self, channel: ChannelId, fields: Fields) -> Result<bool, Over> {
        self.connection.handled()?;
        let inside = self.connection.inside()?;
        let lent = match (
            agent_admitted(&self.connection, &inside),
            self.waiting.get_mut(&channel),
        ) {
            (Err(why), _) => Err(why),
            (_, None) => Err("something runs in the channel already".to_owned()),
            (Ok(()), Some(waiting)) => waiting.lends_agent().await,
        };
        let fields = fact::outcome(fields, lent.as_ref().err().map(String::as_str));
        let told = fact::channel("agent-forward", fields);
        self.connection.record(told)?;
        Ok(lent.is_ok())
    }

    /// Programs in a channel are to open windows at the client. Each channel has a display of its own, with the
    /// cookie that the client has made for it.
    pub(super) async fn display(
        &mut self,
        channel: ChannelId,
        asked: Result<Display, String>,
        handle: Handle,
    ) -> Result<(), String> {
        let inside = self.connection.inside().map_err(|over| over.to_string())?;
        x11_admitted(&self.connection, &inside)?;
        let asked = asked?;
        let runs_already = || "something runs in the channel already".to_owned();
        let waiting = self.waiting.get_mut(&channel).ok_or_else(runs_already)?;
        if self.connection.node.leads.is_some() {
            return waiting.lends_display(&asked).await;
        }
        // One for each channel, so they have that bound.
        if waiting.is_shown() {
            return Err("the channel has a display already".to_owned());
        }
        let wanted = Wanted::Display {
            number: 0,
            is_single: asked.is_single,
        };
        let listening = listen(&self.connection, &inside, wanted, handle).await?;
        let Wanted::Display { number, .. } = listening.wanted else {
            return Err("there is no display to be had".to_owned());
        };
        asked.noted(&inside.who.account, number).await?;
        waiting.has_display(asked.name(number), listening);
        Ok(())
    }

    fn agent_path(&self) -> Option<&Path> {
        let mut all = self.listening.iter();
        let agent = all.find(|listening| listening.wanted == Wanted::Agent)?;
        agent.path.as_deref()
    }
}

/// A socket's path, as a place to listen at.
pub(super) fn at(path: &str) -> Wanted {
    Wanted::Unix(PathBuf::from(path))
}
