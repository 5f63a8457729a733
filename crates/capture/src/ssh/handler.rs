//! The library's hooks. Each does three things: it says that the message is seen, it records what was
//! asked for and what came of it, and only then does it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use hansard_core::Fields;
use hansard_shell::Answer;
use russh::keys::Certificate;
use russh::server::{
    Auth, ChannelOpenHandle, Handler as Hooks, Msg, PublicKeyOffer, Response, Session,
    VerifiedPublicKey,
};
use russh::{Channel, ChannelId, Pty, Sig};

use super::access;
use super::channel::{Asked, Waiting};
use super::connection::Connection;
use super::credentials::{self, Allowed, Attempt, judge};
use super::fact;
use super::forward::{Listening, To, Wanted};
use super::limits::{CHANNELS_MAX, OFFERS_MAX};
use super::over::Over;
use super::proxy::Destination;
use super::x11::Display;

mod answers;
mod forwards;
mod meanwhile;
mod questions;

pub(super) use answers::now_s;
use answers::plain_offer_bytes;
use forwards::{at, network_fields, tcp};
use questions::Askings;

/// Somebody who was let in: the account, where to, and what they may.
type Coming = (String, Option<Destination>, Allowed);

/// The hooks of one connection.
pub(super) struct Handler {
    connection: Arc<Connection>,
    /// Whoever was let in, until the recording of the connection is open.
    coming: Option<Coming>,
    /// Whoever is being asked who they are.
    asking: Askings,
    /// Why somebody is not let in who has proven who they are.
    denied: Option<String>,
    offers: usize,
    /// Channels in which nothing runs yet.
    waiting: HashMap<ChannelId, Waiting>,
    /// Places of channels in which nothing could be started, until the client closes them.
    idle: HashMap<ChannelId, Arc<()>>,
    /// All that are open, each until the client has closed it or what ran in it is over: of a channel that was
    /// closed on this side first, no hook is told that the client did so, too.
    open: Vec<(ChannelId, Weak<()>)>,
    /// What is listened at for the client; not any more when this is dropped.
    listening: Vec<Listening>,
}

impl Handler {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self {
            connection,
            coming: None,
            asking: Askings::default(),
            denied: None,
            offers: 0,
            waiting: HashMap::new(),
            idle: HashMap::new(),
            open: Vec::new(),
            listening: Vec::new(),
        }
    }
}

impl Hooks for Handler {
    type Error = Over;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Over> {
        self.connection.handled()?;
        let said = fact::outcome(self.attempt(user, "none"), Some("it is no way to sign in"));
        self.connection.tried(fact::auth("auth", said));
        Ok(Auth::reject())
    }

    async fn auth_password(&mut self, user: &str, _: &str) -> Result<Auth, Over> {
        self.connection.handled()?;
        let said = self.attempt(user, "password");
        let said = fact::outcome(said, Some("passwords let nobody in here"));
        self.connection.record(fact::auth("auth", said))?;
        Ok(Auth::reject())
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Over> {
        let bytes = super::witness::offered();
        self.connection.seen(false)?;
        self.offers += 1;
        if self.offers > OFFERS_MAX {
            return Err(Over::TooMany);
        }
        let said = self.attempt(user, "publickey");
        let said = said.with("key", credentials::shown(offer.public_key.key_data()));
        // Of a certificate the library shows its key alone: whether that lets in is judged when whoever
        // has it has proven so. An offer of the key itself is known by its length.
        if bytes == plain_offer_bytes(user, offer.public_key)
            && let Err(why) = self.plain(user, offer.public_key).await
        {
            let said = fact::outcome(said, Some(&why));
            self.connection.tried(fact::auth("auth", said));
            return Ok(Auth::reject());
        }
        self.connection.tried(fact::auth("auth", said));
        Ok(Auth::Accept)
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Over> {
        self.connection.handled()?;
        let judged = self.plain(user, key.public_key).await;
        let said = self.attempt(user, "publickey");
        let said = said.with("key", credentials::shown(key.public_key.key_data()));
        self.judged(user, judged, said)
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
    ) -> Result<Auth, Over> {
        self.connection.handled()?;
        let mut denied = None;
        let judged = self.asked(user).and_then(|(login, to)| {
            let node = &self.connection.node;
            let attempt = Attempt {
                login: answers::login_of(certificate, login, node.leads.is_some() && to.is_none()),
                from: self.connection.remote.ip(),
                now_s: now_s(),
            };
            let allowed = judge(certificate, &node.authorities, attempt)?;
            let wanted = (attempt.login, to.as_ref());
            let permitted = access::judge(node, certificate, wanted, allowed)
                .and_then(|allowed| access::unlocked(node, &allowed, wanted).map(|()| allowed));
            permitted.inspect_err(|why| denied = Some(why.clone()))
        });
        let said = self
            .attempt(user, "publickey")
            .with("key", credentials::shown(certificate.public_key()))
            .with("serial", format!("{:016x}", certificate.serial()))
            .with("name", certificate.key_id());
        match denied {
            Some(why) => self.deny(why, said),
            None => self.judged(user, judged, said),
        }
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _: &str,
        answers: Option<Response<'a>>,
    ) -> Result<Auth, Over> {
        self.connection.handled()?;
        let answers = answers.map(|all| all.map(|one| Answer(one.to_vec())).collect());
        self.questioned(user, answers).await
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Over> {
        self.lets_in(session).await
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Over> {
        // Before anything is waited for: until then it counts as refused.
        super::witness::claim();
        self.connection.inside()?;
        let number = channel.id().number();
        self.waiting.retain(|_, waiting| !waiting.is_forsaken());
        self.open.retain(|(_, place)| place.strong_count() > 0);
        if self.open.len() >= CHANNELS_MAX {
            let why = format!("{CHANNELS_MAX} channels are open, no more may be");
            return self.refuse("session", reply, Fields::new(), &why).await;
        }
        if self.asks_client()? {
            return self.open_meanwhile(channel, reply, session.handle());
        }
        let far = match self.far(session.handle()).await {
            Ok(far) => far,
            Err(why) => return self.refuse("session", reply, Fields::new(), &why).await,
        };
        self.connection.handled()?;
        let fields = Fields::new().with("channelType", "session");
        let fields = fact::of_channel(number, fields, None);
        self.connection
            .record(fact::channel("new_channel", fields))?;
        let (id, waiting) = (channel.id(), Waiting::new(channel, far));
        self.open.push((id, waiting.place()));
        self.waiting.insert(id, waiting);
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        from: &str,
        port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Over> {
        let fields = network_fields("", 0, from, port);
        let why = "only a server opens such a channel";
        self.refuse("x11", reply, fields, why).await
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        from: &str,
        from_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Over> {
        let fields = network_fields(host, port, from, from_port);
        let to = tcp(host, port).map(|(host, port)| To::Tcp(host, port));
        let what = ("direct-tcpip", "port.local", fields);
        self.direct(what, to, (channel, reply), session.handle())
            .await
    }

    async fn channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        host: &str,
        port: u32,
        from: &str,
        from_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Over> {
        let fields = network_fields(host, port, from, from_port);
        let why = "only a server opens such a channel";
        self.refuse("forwarded-tcpip", reply, fields, why).await
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Over> {
        let kind = "direct-streamlocal@openssh.com";
        let fields = Fields::new().with("Path", path);
        let what = (kind, "new_channel_direct_streamlocal", fields);
        let to = Some(To::Unix(path.into()));
        self.direct(what, to, (channel, reply), session.handle())
            .await
    }

    fn adjust_window(&mut self, _: ChannelId, _: u32) -> u32 {
        self.connection.distance.window()
    }

    async fn data(&mut self, channel: ChannelId, _: &[u8], _: &mut Session) -> Result<(), Over> {
        self.came_in(channel)
    }

    async fn extended_data(
        &mut self,
        channel: ChannelId,
        _: u32,
        _: &[u8],
        _: &mut Session,
    ) -> Result<(), Over> {
        self.came_in(channel)
    }

    async fn channel_eof(&mut self, channel: ChannelId, _: &mut Session) -> Result<(), Over> {
        self.came_in(channel)
    }

    async fn window_adjusted(
        &mut self,
        channel: ChannelId,
        _: u32,
        _: &mut Session,
    ) -> Result<(), Over> {
        self.came_in(channel)
    }

    async fn channel_close(&mut self, channel: ChannelId, _: &mut Session) -> Result<(), Over> {
        self.connection.seen(false)?;
        self.open.retain(|(open, _)| *open != channel);
        self.waiting.remove(&channel);
        self.idle.remove(&channel);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        cols: u32,
        rows: u32,
        width: u32,
        height: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Over> {
        self.handled_in(channel)?;
        let inside = self.connection.inside()?;
        let fields = Fields::new()
            .with("term", term)
            .with("columns", u64::from(cols))
            .with("rows", u64::from(rows))
            .with("width", u64::from(width))
            .with("height", u64::from(height));
        let size = [cols, rows, width, height];
        let modes = modes.iter().map(|(mode, value)| (*mode as u8, *value));
        let outcome = match self.waiting.get_mut(&channel) {
            _ if !inside.allowed.terminal => {
                Err("the certificate or key does not permit a terminal".to_owned())
            }
            None => Err("something runs in the channel already".to_owned()),
            Some(waiting) => waiting.terminal(term, size, modes.collect()).await,
        };
        self.answer(channel, session, ("pty", fields), outcome)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        is_single: bool,
        protocol: &str,
        cookie: &str,
        screen: u32,
        session: &mut Session,
    ) -> Result<(), Over> {
        self.handled_in(channel)?;
        let asked = Display::read((protocol, cookie), is_single, screen);
        let outcome = self.display(channel, asked, session.handle()).await;
        // The cookie is a secret, and whatever stands in its place may be one.
        let fields = Fields::new().with("single_connection", is_single);
        self.answer(channel, session, ("x11-forward", fields), outcome)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Over> {
        self.handled_in(channel)?;
        let outcome = match self.waiting.get_mut(&channel) {
            None => Err("something runs in the channel already".to_owned()),
            Some(waiting) => {
                let patterns = &self.connection.node.config.accept_env;
                waiting.set(name, value, patterns).await
            }
        };
        let mut fields = Fields::new().with("name", name);
        // What is not let through may be anything, a secret among it.
        if outcome.is_ok() {
            fields.push("value", value);
        }
        self.answer(channel, session, ("env", fields), outcome)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Over> {
        self.start(channel, Asked::Shell, session, ("shell", Fields::new()))
            .await
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Over> {
        let shown = String::from_utf8_lossy(command).into_owned();
        let fields = Fields::new().with("command", shown);
        let asked = Asked::Command(command.to_vec());
        self.start(channel, asked, session, ("exec", fields)).await
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Over> {
        let fields = Fields::new().with("name", name);
        let asked = Asked::Subsystem(name.to_owned());
        self.start(channel, asked, session, ("subsystem", fields))
            .await
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &mut Session,
    ) -> Result<(), Over> {
        // The channel's own recording has it, where it takes effect.
        self.handled_in(channel)
    }

    async fn signal(&mut self, channel: ChannelId, _: Sig, _: &mut Session) -> Result<(), Over> {
        self.handled_in(channel)
    }

    async fn agent_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<bool, Over> {
        self.came_in(channel)?;
        self.agent(channel, session.handle()).await
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Over> {
        let fields = Fields::new().with("addr", format!("{address}:{port}"));
        let wanted = tcp(address, *port).map(|(host, port)| Wanted::Tcp(host, port));
        let listens = self
            .listens(wanted, ("port.remote", fields), session.handle())
            .await?;
        if let Some(at) = listens {
            *port = u32::from(at);
        }
        Ok(listens.is_some())
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _: &mut Session,
    ) -> Result<bool, Over> {
        let fields = Fields::new()
            .with("BindHost", address)
            .with("BindPort", u64::from(port));
        let wanted = tcp(address, port).map(|(host, port)| Wanted::Tcp(host, port));
        let missing = "no such port is forwarded";
        self.listens_no_more(wanted.as_ref(), ("port.cancel", fields), missing)
            .await
    }

    async fn streamlocal_forward(
        &mut self,
        path: &str,
        session: &mut Session,
    ) -> Result<bool, Over> {
        let event = ("forward_streamlocal", Fields::new().with("Path", path));
        let listens = self
            .listens(Some(at(path)), event, session.handle())
            .await?;
        Ok(listens.is_some())
    }

    async fn cancel_streamlocal_forward(
        &mut self,
        path: &str,
        _: &mut Session,
    ) -> Result<bool, Over> {
        let fields = Fields::new().with("Path", path);
        let event = ("cancel_forward_streamlocal", fields);
        self.listens_no_more(Some(&at(path)), event, "no such socket is forwarded")
            .await
    }
}
