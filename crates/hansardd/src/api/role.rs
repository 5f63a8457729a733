//! Who asks: the process at the other end of the socket, whoever is signed in in a browser, and the
//! role that they have; or whoever has a link.

use std::net::IpAddr;
use std::sync::Arc;

use hansard_identity::oidc::Rule;
pub use hansard_identity::role::Role;
use hansard_identity::share::{Over, Share};
use hansard_identity::users::Standing;

use super::problem::Problem;

/// The process at the other end of the admin socket, as the kernel names it. Never what a client
/// says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Number of the user that it ran as when it connected.
    pub uid: u32,
    /// Number of that user's group.
    pub gid: u32,
    /// Number of the process, if the kernel says it.
    pub pid: Option<i32>,
}

/// What the machine and the configuration know of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// The user's name, if the machine has one.
    pub user: Option<String>,
    /// The role, if there is one. Without one nothing is answered.
    pub role: Option<Role>,
}

/// Somebody whom a provider vouches for, and no user of this service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// The provider's name.
    pub provider: String,
    /// What people read.
    pub display: String,
    /// Who it is.
    pub issuer: String,
    /// Who they are for it: for ever the same, and nobody else.
    pub subject: String,
    /// The name that they have here.
    pub user: String,
    /// The rule that gives them their role.
    pub rule: Rule,
}

/// Somebody who is signed in, in a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// The user.
    pub user: String,
    /// The role that the user has now.
    pub role: Role,
    /// What their being signed in stands on: what takes longer than that holds is not theirs any more.
    pub standing: Standing,
    /// Address of the browser, or of a proxy that is not trusted to say it.
    pub address: IpAddr,
    /// Origin of the page that asks, one of ours.
    pub origin: String,
    /// Who vouches for them, if they are no user of this service.
    pub outside: Option<Arc<Outside>>,
    /// Whether they come with a certificate, and not with what a password, code or passkey gave them now: what
    /// somebody signs in with later is not theirs to change.
    pub is_certified: bool,
}

/// Somebody without an account, who has a link to one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The link.
    pub share: Share,
    /// Address of the browser, or of a proxy that is not trusted to say it.
    pub address: IpAddr,
    /// Why the link opens nothing any more, if it does not.
    pub over: Option<Over>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// A process of this machine.
    Process(Peer),
    /// A browser, in which somebody is signed in.
    Browser(Visitor),
    /// Somebody who has a link.
    Link(Guest),
}

impl Asker {
    /// Who it is, in a few words for the service's log.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Process(peer) => format!("uid {}", peer.uid),
            Self::Browser(visitor) => format!("{} at {}", visitor.user, visitor.address),
            Self::Link(guest) => format!("link {}", guest.share.id),
        }
    }
}

/// Says who is at the other end as it is now, or why it is nobody any more: asked again by who waited for them.
/// Of a process, that is asked of the machine.
#[derive(Clone)]
pub struct Still(pub Arc<dyn Fn() -> Result<Asker, Problem> + Send + Sync>);

/// Who asks, once they were let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// At which end of what.
    pub asker: Asker,
    /// The user's name, or `uid N` where the machine has none.
    pub user: String,
    /// The user's name, if there is one: what is this user's own is known by it.
    pub account: Option<String>,
    /// The role; the lowest for who has a link, which decides alone what that opens.
    pub role: Role,
}
