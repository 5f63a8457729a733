//! What a target asks for: that its key is believed, and channels to the client. It gets no other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hansard_core::Fields;
use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelId, ChannelOpenFailure};

use super::destination::Destination;
use super::far::stream_of;
use super::host_keys::Believed;
use super::target::DISPLAY;
use crate::registry::Runs as _;
use crate::ssh::connection::{Connection, Inside};
use crate::ssh::forward::{Comes, Wanted};
use crate::ssh::handler::now_s;
use crate::ssh::over::Over;
use crate::ssh::{credentials, fact};

/// Why the target's key is believed, or is not, for whoever waits for the handshake.
/// A key that is believed comes with the names that the target has by it.
pub(super) type Judged = Arc<Mutex<Option<Result<(Believed, Vec<String>), String>>>>;

/// The hooks of one target.
pub(super) struct Hooks {
    connection: Arc<Connection>,
    comes: Comes,
    to: Destination,
    judged: Judged,
    listening: Arc<Mutex<Vec<Wanted>>>,
    is_needed: Arc<AtomicBool>,
}

const UNASKED: &str = "nobody asked the target for it";

impl Hooks {
    pub(super) fn new(
        (connection, inside, back): (Arc<Connection>, Inside, russh::server::Handle),
        to: Destination,
        (judged, listening, is_needed): (Judged, Arc<Mutex<Vec<Wanted>>>, Arc<AtomicBool>),
    ) -> Self {
        let comes = Comes::new(&connection, &inside, back);
        Self {
            connection,
            comes,
            to,
            judged,
            listening,
            is_needed,
        }
    }

    fn listens(&self, is_it: impl Fn(&Wanted) -> bool) -> Option<Wanted> {
        let listening = self
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listening.iter().find(|wanted| is_it(wanted)).cloned()
    }

    /// Refuses a channel, which is an event.
    async fn refuse(
        &self,
        kind: &str,
        fields: Fields,
        reply: ChannelOpenHandle,
    ) -> Result<(), Over> {
        let fields = fields.with("channelType", kind).with("from_target", true);
        let fields = fact::outcome(fields, Some(UNASKED));
        self.connection
            .record(fact::channel("new_channel", fields))?;
        reply
            .reject(ChannelOpenFailure::AdministrativelyProhibited)
            .await;
        Ok(())
    }

    /// Leads a channel on to the client, as a forward of the connection.
    async fn lead(
        &self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        event: (&'static str, Fields),
        wanted: Wanted,
    ) -> Result<(), Over> {
        match stream_of(channel) {
            Ok(from) => {
                reply.accept().await;
                self.comes.take_back(from, event, wanted);
            }
            Err(_) => reply.reject(ChannelOpenFailure::ResourceShortage).await,
        }
        Ok(())
    }
}

impl Handler for Hooks {
    type Error = Over;

    fn adjust_window(&mut self, _: ChannelId, _: u32) -> u32 {
        self.connection.of_target.window()
    }

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Over> {
        let Some(leads) = &self.connection.node.leads else {
            return Ok(false);
        };
        let judged = leads.host_keys.judge(&self.to, shown, now_s());
        let key = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => credentials::shown(key.key_data()),
            PublicKeyOrCertificate::Certificate(certificate) => {
                credentials::shown(certificate.public_key())
            }
        };
        let mut fields = Fields::new()
            .with("addr", self.to.to_string())
            .with("key", key);
        if let Ok(believed) = &judged {
            fields.push("reason", believed.word());
        }
        let refused = judged.as_ref().err().map(String::as_str);
        let fields = fact::outcome(fields, refused);
        self.connection.record(fact::auth("host_key", fields))?;
        let is_believed = judged.is_ok();
        let judged = judged.and_then(|believed| {
            let names = leads.host_keys.names(shown, believed)?;
            Ok((believed, names))
        });
        *self.judged.lock().unwrap_or_else(PoisonError::into_inner) = Some(judged);
        Ok(is_believed)
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        from: &str,
        from_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Over> {
        let fields = Fields::new()
            .with("addr", format!("{host}:{port}"))
            .with("OriginatorHost", from)
            .with("OriginatorPort", u64::from(from_port));
        let wanted = self.listens(|wanted| {
            matches!(wanted, Wanted::Tcp(name, at) if name == host && u32::from(*at) == port)
        });
        match wanted {
            None => self.refuse("forwarded-tcpip", fields, reply).await,
            Some(wanted) => {
                let event = ("port.remote_conn", fields);
                self.lead(channel, reply, event, wanted).await
            }
        }
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Over> {
        let fields = Fields::new().with("Path", path);
        let wanted = self.listens(|wanted| *wanted == Wanted::Unix(path.into()));
        match wanted {
            None => {
                let kind = "forwarded-streamlocal@openssh.com";
                self.refuse(kind, fields, reply).await
            }
            Some(wanted) => {
                let event = ("new_channel_forwarded_streamlocal", fields);
                self.lead(channel, reply, event, wanted).await
            }
        }
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Over> {
        match self.listens(|wanted| *wanted == Wanted::Agent) {
            None => {
                self.refuse("auth-agent@openssh.com", Fields::new(), reply)
                    .await
            }
            Some(wanted) => {
                let event = ("agent-forward", Fields::new());
                self.lead(channel, reply, event, wanted).await
            }
        }
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Over> {
        self.refuse("session", Fields::new(), reply).await
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Over> {
        let fields = Fields::new().with("addr", format!("{host}:{port}"));
        self.refuse("direct-tcpip", fields, reply).await
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Over> {
        let kind = "direct-streamlocal@openssh.com";
        let fields = Fields::new().with("Path", path);
        self.refuse(kind, fields, reply).await
    }

    async fn server_channel_open_x11(
        &mut self,
        channel: Channel<Msg>,
        from: &str,
        port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Over> {
        let fields = Fields::new()
            .with("addr", "x11")
            .with("OriginatorHost", from)
            .with("OriginatorPort", u64::from(port));
        match self.listens(|wanted| *wanted == DISPLAY) {
            None => self.refuse("x11", fields, reply).await,
            Some(wanted) => {
                let event = ("x11-forward", fields);
                self.lead(channel, reply, event, wanted).await
            }
        }
    }

    async fn should_accept_unknown_server_channel(
        &mut self,
        _: russh::ChannelId,
        kind: &str,
    ) -> bool {
        let fields = Fields::new()
            .with("channelType", kind)
            .with("from_target", true);
        let fields = fact::outcome(fields, Some(UNASKED));
        let told = self.connection.record(fact::channel("new_channel", fields));
        if let Err(over) = told {
            self.connection.ender.end(&over.to_string(), "");
        }
        false
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Over>) -> Result<(), Over> {
        let why = match &reason {
            DisconnectReason::ReceivedDisconnect(_) => "the target ended the connection".to_owned(),
            DisconnectReason::Error(error) => format!("the target is gone: {error}"),
        };
        // What it said before still goes to the client.
        if self.is_needed.load(Ordering::SeqCst) {
            self.connection.ends_when_idle(why);
        }
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(error) => Err(error),
        }
    }
}
