//! Channels to a target that the client has to help to sign in to, with its agent: they are opened beside the
//! hooks, since its connection goes on only when those return.

use std::sync::{Arc, Mutex, PoisonError};

use hansard_core::Fields;
use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelOpenFailure};

use super::Handler;
use crate::registry::Runs as _;
use crate::ssh::channel::{Coming, Waiting};
use crate::ssh::connection::Connection;
use crate::ssh::fact;
use crate::ssh::over::Over;
use crate::ssh::proxy;

impl Handler {
    /// Whether the client has a part in signing in at its target.
    pub(super) fn asks_client(&self) -> Result<bool, Over> {
        let inside = self.connection.inside()?;
        Ok(proxy::asks_client(&self.connection, &inside))
    }

    /// Opens a channel when the one at the target is open. Nothing can be asked for in it before the client hears
    /// of that.
    pub(super) fn open_meanwhile(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        handle: Handle,
    ) -> Result<(), Over> {
        self.connection.handled()?;
        let id = channel.id();
        let coming = Coming::new(Mutex::new(None));
        let waiting = Waiting::for_one_that_comes(channel, Arc::clone(&coming));
        self.open.push((id, waiting.place()));
        self.waiting.insert(id, waiting);
        let connection = Arc::clone(&self.connection);
        let opening = opened(connection, (id.number(), coming), reply, handle);
        self.connection.keep(tokio::spawn(opening));
        Ok(())
    }
}

async fn opened(
    connection: Arc<Connection>,
    (number, coming): (u32, Coming),
    reply: ChannelOpenHandle,
    handle: Handle,
) {
    let reached = async {
        let inside = connection.inside().map_err(|over| over.to_string())?;
        tokio::select! {
            far = proxy::session(&connection, &inside, handle) => far,
            () = connection.closing() => Err("the connection is over".to_owned()),
        }
    };
    let reached = reached.await;
    let fields = Fields::new().with("channelType", "session");
    let refused = reached.as_ref().err().map(String::as_str);
    let fields = match refused {
        None => fact::of_channel(number, fields, None),
        Some(_) => fact::outcome(fields, refused),
    };
    if let Err(over) = connection.record(fact::channel("new_channel", fields)) {
        return connection.ender.end(&over.to_string(), "");
    }
    match reached {
        Ok(far) => {
            *coming.lock().unwrap_or_else(PoisonError::into_inner) = Some(far);
            reply.accept().await;
        }
        // The client is told why the connection ends; after a refusal it would end it itself and hear nothing.
        Err(_) if connection.ender.said().is_some() => connection.closing().await,
        Err(_) => {
            let why = ChannelOpenFailure::ConnectFailed;
            reply.reject(why).await;
        }
    }
}
