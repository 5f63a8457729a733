//! Who asks: the process at the other end of the socket, and the role it has.

pub use hansard_identity::role::Role;

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

/// Who asks, once they were let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The process.
    pub peer: Peer,
    /// The user's name, or `uid N` where the machine has none.
    pub user: String,
    /// The user's name, if the machine has one: what is this user's own is known by it.
    pub account: Option<String>,
    /// The role.
    pub role: Role,
}
