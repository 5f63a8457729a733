//! What the SSH server is told of forwards.

use hansard_capture::ssh::Forwards;

use super::Ssh;

impl Ssh {
    /// What may be forwarded, as the server takes it.
    #[must_use]
    pub fn forwards(&self) -> Forwards {
        Forwards {
            to: self.forward_to.clone(),
            listen: self.forward_listen.clone(),
            sockets: self.forward_sockets.clone(),
            agent: self.forward_agent,
            nested: self.forward_nested.clone(),
        }
    }
}
