//! How the proxy signs in at a target: in the ways that its configuration has for it, one after the other,
//! and in no other. Each attempt is on record, and that a credential is used before it is.

use std::sync::Arc;

use hansard_core::Fields;
use russh::MethodKind;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Asked};
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg};
use tokio::time::timeout;

use super::credential::{self, Credential, CredentialKind};
use super::destination::Destination;
use super::hooks::Hooks;
use super::host_keys::Believed;
use super::{Leads, agent};
use crate::ssh::connection::{Connection, Inside};
use crate::ssh::fact;
use crate::ssh::forward::{Places, aside};
use crate::ssh::limits::{QUESTIONS_MAX, TARGET_HANDSHAKE_MAX};

/// A way to sign in at a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// With a certificate of the cluster's authority, for a key that is made for it.
    Certificate,
    /// With the agent of whoever goes there, which they forward (`ssh -A`).
    Agent,
    /// With a credential that is kept here.
    Credential,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Certificate, Self::Agent, Self::Credential];

    /// The word for it, in configurations and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Agent => "agent",
            Self::Credential => "credential",
        }
    }
}

/// Which ways there are for which targets.
pub(super) struct Methods(Vec<(Places, Vec<Method>)>);

impl Methods {
    /// # Errors
    /// A rule that is none.
    pub(super) fn read(rules: &[(Vec<String>, Vec<Method>)]) -> Result<Self, String> {
        let read = rules.iter().map(|(targets, methods)| {
            let places = Places::read(targets)?;
            Ok((places, methods.clone()))
        });
        read.collect::<Result<_, String>>().map(Self)
    }

    /// Those for a target, by how it is asked for. The first rule that has it counts; without one it is the
    /// certificate.
    pub(super) fn of(&self, to: &Destination) -> &[Method] {
        let has = |(places, _): &&(Places, Vec<Method>)| places.has_as_written(&to.host, to.port);
        match self.0.iter().find(has) {
            Some((_, methods)) => methods,
            None => &[Method::Certificate],
        }
    }
}

/// Why a way did not lead in.
pub(super) enum Refused {
    /// The next may be tried, if there is one.
    Next(String),
    /// Nothing is tried after it.
    Over(String),
    /// Nor after this: a credential that is kept cannot be used. Why is for who administrates it; whoever wants to
    /// go there is told that it is so.
    Broken(String),
}

impl Refused {
    /// As it is put on record.
    fn why(&self) -> &str {
        match self {
            Self::Next(why) | Self::Over(why) | Self::Broken(why) => why,
        }
    }

    /// For whoever wants to go there.
    fn words(self) -> String {
        match self {
            Self::Next(why) | Self::Over(why) => why,
            Self::Broken(_) => "the credential that is kept for it cannot be used: tell whoever \
                                administrates it"
                .to_owned(),
        }
    }
}

/// Who goes where, and by whose doing.
pub(super) struct Going<'a> {
    pub(super) connection: &'a Arc<Connection>,
    pub(super) inside: &'a Inside,
    pub(super) to: &'a Destination,
    /// Why its host key is.
    pub(super) believed: Believed,
    /// The client, which has the agent.
    pub(super) back: &'a russh::server::Handle,
}

impl Going<'_> {
    pub(super) fn login(&self) -> &str {
        &self.inside.who.account.name
    }

    /// What every event of it says.
    fn said(&self, method: &str) -> Fields {
        Fields::new()
            .with("addr", self.to.to_string())
            .with("login", self.login())
            .with("method", method)
    }

    /// Puts on record that something is about to be used that is not ours. Without that it is not used.
    pub(super) fn uses(
        &self,
        method: Method,
        said: impl FnOnce(Fields) -> Fields,
    ) -> Result<(), String> {
        let said = said(self.said(method.as_str()));
        let used = fact::auth("credential.use", fact::outcome(said, None));
        self.connection
            .record(used)
            .map_err(|over| over.to_string())
    }

    fn leads(&self) -> Result<&Leads, Refused> {
        let none = || Refused::Over("this is no proxy".to_owned());
        self.connection.node.leads.as_ref().ok_or_else(none)
    }
}

/// Signs in. The target's host key was believed before.
///
/// # Errors
/// Why nobody is let in, in words for whoever wants to go there.
pub(super) async fn sign_in(going: &Going<'_>, handle: &mut Handle<Hooks>) -> Result<(), String> {
    let methods = match going.leads() {
        Ok(leads) => leads.methods.of(going.to).to_vec(),
        Err(refused) => return Err(refused.words()),
    };
    let mut whys = Vec::new();
    for method in methods {
        let (said, tried) = match method {
            Method::Certificate => with_certificate(going, handle).await,
            Method::Agent => agent::sign_in(going, handle).await,
            Method::Credential => with_credential(going, handle).await,
        };
        let mut fields = going.said(method.as_str());
        for (name, value) in said.iter() {
            fields.push(name, value.clone());
        }
        let why = tried.as_ref().err().map(Refused::why);
        let told = fact::auth("target.auth", fact::outcome(fields, why));
        let told = going.connection.record(told);
        told.map_err(|over| over.to_string())?;
        match tried {
            Ok(()) => return Ok(()),
            Err(refused) => {
                let is_over = !matches!(refused, Refused::Next(_));
                whys.push(refused.words());
                if is_over {
                    break;
                }
            }
        }
    }
    Err(match whys.is_empty() {
        true => "no way to sign in there is configured (capture.proxy.target_sign_in)".to_owned(),
        false => whys.join("; "),
    })
}

/// What a way came to, and what is to be said of it.
pub(super) type Tried = (Fields, Result<(), Refused>);

/// What the target answers, in time.
pub(super) async fn answered<T, E: std::fmt::Display>(
    asking: impl Future<Output = Result<T, E>>,
) -> Result<T, Refused> {
    match timeout(TARGET_HANDSHAKE_MAX, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(e)) => Err(Refused::Over(format!("signing in failed: {e}"))),
        Err(_) => Err(Refused::Over("it did not answer in time".to_owned())),
    }
}

async fn with_certificate(going: &Going<'_>, handle: &mut Handle<Hooks>) -> Tried {
    let (key, certificate) = match certified(going.connection, going.inside).await {
        Ok(made) => made,
        Err(why) => return (Fields::new(), Err(Refused::Over(why))),
    };
    let fingerprint = key.public_key().fingerprint(HashAlg::Sha256).to_string();
    let said = Fields::new().with("key", fingerprint);
    let login = going.login().to_owned();
    let signing = handle.authenticate_openssh_cert(login, Arc::new(key), certificate);
    let tried = match answered(signing).await {
        Ok(AuthResult::Success) => Ok(()),
        Ok(_) => Err(Refused::Next(
            "it does not take the certificate: does it trust the cluster's authority \
             (TrustedUserCAKeys), and has it such an account?"
                .to_owned(),
        )),
        Err(refused) => Err(refused),
    };
    (said, tried)
}

/// A key for this one connection, and a certificate for it. Neither is ever written down, and that
/// there is one is on record by then, which may take a disk's time.
async fn certified(
    connection: &Arc<Connection>,
    inside: &Inside,
) -> Result<(PrivateKey, Certificate), String> {
    let mut seed = [0; 32];
    let environment = &connection.machine().means.env;
    let filled = environment.random.fill(&mut seed);
    filled.map_err(|e| format!("no randomness for a key: {e}"))?;
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    let line = key.public_key().to_openssh().map_err(|e| e.to_string())?;
    let (node, who) = (Arc::clone(&connection.node), Arc::clone(&inside.who));
    let allowed = Arc::clone(&inside.allowed);
    let certified = aside(move || match &node.leads {
        Some(leads) => Ok(leads.certify.user(&super::Wanted {
            user: &who.user,
            login: &who.account.name,
            key: &line,
            access: allowed.roles.as_ref().map(|roles| roles.text.as_str()),
        })),
        None => Err(std::io::ErrorKind::Unsupported.into()),
    });
    let line = certified.await.map_err(|e| e.to_string())??;
    let certificate = Certificate::from_openssh(&line);
    let certificate = certificate.map_err(|e| format!("its certificate cannot be read: {e}"))?;
    Ok((key, certificate))
}

async fn with_credential(going: &Going<'_>, handle: &mut Handle<Hooks>) -> Tried {
    let credential = match opened(going).await {
        Ok(credential) => credential,
        Err((said, refused)) => return (said, Err(refused)),
    };
    let said = credential.said(Fields::new());
    let kind = credential.kind;
    if let Err(refused) = may_be_given(going, kind) {
        return (said, Err(refused));
    }
    let used = going.uses(Method::Credential, |fields| credential.said(fields));
    let tried = match (used, kind) {
        (Err(why), _) => Err(Refused::Over(why)),
        (Ok(()), CredentialKind::Key) => with_key(going.login(), &credential, handle).await,
        (Ok(()), CredentialKind::Password) => {
            with_password(going.login(), &credential, handle).await
        }
    };
    (said, tried)
}

/// Whether the target may see it. Whoever a password is given to has it, so it is for one whose host key somebody
/// confirmed: else it would go to whoever answers first. A key stays here, and signs for this session alone.
fn may_be_given(going: &Going<'_>, kind: CredentialKind) -> Result<(), Refused> {
    let is_confirmed = going.leads()?.host_keys.is_confirmed(going.believed);
    match kind {
        CredentialKind::Password if !is_confirmed => Err(Refused::Over(
            "its host key was never confirmed by an administrator, so the password that is kept for it is not \
             given to it: have its key certified, or write it into known_hosts and switch first_use off \
             (capture.proxy)"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}

/// The credential for where somebody goes. One that is there and cannot be opened is no reason to try anything
/// else: somebody may have seen to that.
async fn opened(going: &Going<'_>) -> Result<Credential, (Fields, Refused)> {
    let nothing = |refused| (Fields::new(), refused);
    let leads = going.leads().map_err(nothing)?;
    let missing = || {
        let words = format!("no credential is kept for {} there", going.login());
        nothing(Refused::Next(words))
    };
    let kept = leads.credentials.as_ref().ok_or_else(missing)?;
    let chosen = credential::chosen(&**kept, going.login(), going.to).ok_or_else(missing)?;
    let name = chosen.0.clone();
    let (kept, login) = (Arc::clone(kept), going.login().to_owned());
    // It lies on a disk.
    let opened = aside(move || Ok(kept.reveal(&chosen.0, (&chosen.1, &login)))).await;
    let opened = opened.map_err(|e| e.to_string()).and_then(|opened| opened);
    opened.map_err(|why| (Fields::new().with("name", name), Refused::Broken(why)))
}

async fn with_key(
    login: &str,
    credential: &Credential,
    handle: &mut Handle<Hooks>,
) -> Result<(), Refused> {
    let key = credential.key().map_err(Refused::Broken)?;
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    let signing = handle.authenticate_publickey(login, key);
    let answer = answered(signing).await?;
    judged(answer.success(), credential)
}

/// A target that lets somebody in is asked first how it does: a password that is given in the wrong way counts
/// as a wrong one there.
async fn with_password(
    login: &str,
    credential: &Credential,
    handle: &mut Handle<Hooks>,
) -> Result<(), Refused> {
    let password = credential.password().map_err(Refused::Broken)?;
    let ways = match answered(handle.authenticate_none(login)).await? {
        AuthResult::Success => return Ok(()),
        AuthResult::Failure {
            remaining_methods, ..
        } => remaining_methods,
    };
    if ways.contains(&MethodKind::Password) {
        let answer = answered(handle.authenticate_password(login, password)).await?;
        return judged(answer.success(), credential);
    }
    if !ways.contains(&MethodKind::KeyboardInteractive) {
        let words = "it takes neither a password nor answers";
        return Err(Refused::Next(words.to_owned()));
    }
    let asking = handle.authenticate_keyboard_interactive_start(login, None);
    let mut asked = answered(asking).await?;
    let mut is_given = false;
    for _ in 0..QUESTIONS_MAX {
        let answers = match &asked {
            Asked::Success => return Ok(()),
            Asked::Failure { .. } => return judged(false, credential),
            Asked::InfoRequest { prompts, .. } => match prompts.as_slice() {
                [] => Vec::new(),
                [one] if !one.echo && !is_given => {
                    is_given = true;
                    vec![password.to_owned()]
                }
                _ => {
                    let words = "it asks for more than a password";
                    return Err(Refused::Next(words.to_owned()));
                }
            },
        };
        let answering = handle.authenticate_keyboard_interactive_respond(answers);
        asked = answered(answering).await?;
    }
    Err(Refused::Next("it does not stop asking".to_owned()))
}

fn judged(is_in: bool, credential: &Credential) -> Result<(), Refused> {
    match is_in {
        true => Ok(()),
        false => Err(Refused::Next(format!(
            "it does not take the credential {} ({}) that is kept for it: tell whoever administrates it",
            credential.name, credential.fingerprint
        ))),
    }
}
