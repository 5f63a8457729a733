//! Signing in at a target with the agent of whoever goes there (`ssh -A`). It is asked for its keys and for
//! signatures over this one session with a target whose host key was believed, and each is on record before.
//! Programs on the target do not reach it: that is `forward_agent`'s to allow.
//!
//! What asks the client has to happen beside the hooks of its connection, which goes on only when they return.

use std::sync::Arc;
use std::time::Duration;

use hansard_core::{ChannelKind, Fields};
use russh::Signer;
use russh::client::Handle;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg};
use russh::server::Msg;
use russh::{ChannelStream, SendError};
use tokio::sync::watch;
use tokio::time::timeout;

use super::hooks::Hooks;
use super::sign_in::{Going, Method, Refused, Tried};
use super::target::reach;
use crate::registry::Runs as _;
use crate::ssh::connection::{Connection, Inside};
use crate::ssh::credentials;
use crate::ssh::limits::{
    AGENT_ANSWER_MAX, AGENT_KEYS_MAX, FORWARD_CONNECT_MAX, TARGET_HANDSHAKE_MAX,
};

/// How long one key may take: the target answers twice, and the agent once.
const STEP_MAX: Duration = AGENT_ANSWER_MAX.saturating_add(TARGET_HANDSHAKE_MAX.saturating_mul(2));

const LATE: &str = "your agent did not answer in time";

/// Why there is no signature.
pub(super) enum NotSigned {
    /// The target is gone.
    Gone,
    /// The agent did not sign.
    Agent,
    /// It did not answer in time: what it says from here on may be the answer to that.
    Late,
    /// It cannot be put on record.
    Unrecorded(String),
}

impl From<SendError> for NotSigned {
    fn from(_: SendError) -> Self {
        Self::Gone
    }
}

/// The agent, asked for one target.
struct Asking<'a> {
    going: &'a Going<'a>,
    agent: AgentClient<ChannelStream<Msg>>,
}

impl Signer for Asking<'_> {
    type Error = NotSigned;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, NotSigned> {
        let shown = shown(key);
        let said = |fields: Fields| fields.with("key", shown);
        let used = self.going.uses(Method::Agent, said);
        used.map_err(NotSigned::Unrecorded)?;
        let signing = self.agent.sign_request(key, hash, to_sign);
        let signed = timeout(AGENT_ANSWER_MAX, signing).await;
        match signed {
            Ok(signed) => signed.map_err(|_| NotSigned::Agent),
            Err(_) => Err(NotSigned::Late),
        }
    }
}

fn shown(key: &AgentIdentity) -> String {
    credentials::shown(key.public_key().key_data())
}

/// Signs in with the keys that the agent has, in its order.
pub(super) async fn sign_in(going: &Going<'_>, handle: &mut Handle<Hooks>) -> Tried {
    let mut said = Fields::new();
    let tried = tried(going, handle, &mut said).await;
    (said, tried)
}

async fn tried(
    going: &Going<'_>,
    handle: &mut Handle<Hooks>,
    said: &mut Fields,
) -> Result<(), Refused> {
    permitted(going.inside).map_err(Refused::Next)?;
    let agent = opened(going).await.map_err(Refused::Next)?;
    let mut asking = Asking { going, agent };
    let known = timeout(AGENT_ANSWER_MAX, asking.agent.request_identities()).await;
    let known = match known {
        Ok(Ok(known)) => known,
        Ok(Err(_)) => return next("your agent does not say which keys it has"),
        Err(_) => return next(LATE),
    };
    if known.is_empty() {
        return next("your agent has no key (ssh-add)");
    }
    let (mut is_declined, count) = (false, known.len());
    for key in known.into_iter().take(AGENT_KEYS_MAX) {
        let fingerprint = shown(&key);
        let step = with_key(going.login(), key, handle, &mut asking);
        // The target's answers and the agent's; the bound of the latter's is its own.
        let Ok(tried) = timeout(STEP_MAX, step).await else {
            return Err(Refused::Over("it did not answer in time".to_owned()));
        };
        match tried {
            Ok(true) => {
                said.push("key", fingerprint);
                return Ok(());
            }
            Ok(false) => {}
            Err(NotSigned::Agent) => is_declined = true,
            Err(NotSigned::Late) => return next(LATE),
            Err(NotSigned::Gone) => {
                return Err(Refused::Over("it ended the connection".to_owned()));
            }
            Err(NotSigned::Unrecorded(why)) => return Err(Refused::Over(why)),
        }
    }
    next(match (is_declined, count > AGENT_KEYS_MAX) {
        (true, _) => "your agent did not sign",
        (false, true) => "it takes none of the first keys of your agent, and no more are tried",
        (false, false) => "it takes none of the keys of your agent",
    })
}

fn next(why: &str) -> Result<(), Refused> {
    Err(Refused::Next(why.to_owned()))
}

/// Whether somebody's agent may be asked.
fn permitted(inside: &Inside) -> Result<(), String> {
    inside.may(ChannelKind::Agent)?;
    match inside.allowed.agent {
        true => Ok(()),
        false => Err("your certificate does not permit that your agent is used".to_owned()),
    }
}

/// A channel to the client's agent.
async fn opened(going: &Going<'_>) -> Result<AgentClient<ChannelStream<Msg>>, String> {
    let asked = timeout(FORWARD_CONNECT_MAX, going.back.channel_open_agent()).await;
    match asked {
        Ok(Ok(channel)) => Ok(AgentClient::connect(channel.into_stream())),
        _ => Err("your agent is needed, and was not forwarded: use ssh -A".to_owned()),
    }
}

/// Whether the target lets in with this key. It is asked first, so that the agent signs for a key that counts.
async fn with_key(
    login: &str,
    key: AgentIdentity,
    handle: &mut Handle<Hooks>,
    asking: &mut Asking<'_>,
) -> Result<bool, NotSigned> {
    let is_rsa = |algorithm: Algorithm| matches!(algorithm, Algorithm::Rsa { .. });
    let hash = is_rsa(key.public_key().algorithm()).then_some(HashAlg::Sha512);
    let answer = match key {
        AgentIdentity::PublicKey { key, .. } => {
            handle
                .authenticate_publickey_with(login, key, hash, asking)
                .await?
        }
        AgentIdentity::Certificate { certificate, .. } => {
            handle
                .authenticate_certificate_with(login, certificate, hash, asking)
                .await?
        }
    };
    Ok(answer.success())
}

/// Whether the client has a part in signing in where somebody goes.
pub(in crate::ssh) fn asks_client(connection: &Connection, inside: &Inside) -> bool {
    let (Some(leads), Some(to)) = (&connection.node.leads, &inside.who.target) else {
        return false;
    };
    leads.methods.of(to).contains(&Method::Agent)
}

/// Connects to the target while the client's connection goes on. Whoever needs it waits for that; where it
/// cannot be reached the connection ends, and its user is told why.
pub(in crate::ssh) fn reach_meanwhile(
    connection: &Arc<Connection>,
    inside: Inside,
    back: russh::server::Handle,
) {
    let (going, is_there) = watch::channel(());
    connection.targets().comes(is_there);
    let of_task = Arc::clone(connection);
    connection.keep(tokio::spawn(async move {
        let reached = tokio::select! {
            reached = reach(&of_task, &inside, back) => reached,
            () = of_task.closing() => return,
        };
        match reached {
            Ok(target) => of_task.targets().has(target),
            Err(why) => of_task.ender.end(&why, ""),
        }
        // Those who wait hear it now.
        drop(going);
    }));
}
