//! What the SSH server is told of forwards.

use hansard_capture::ssh::Forwards;

use super::{Proxy, Ssh};

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

impl Proxy {
    /// What may be forwarded through targets.
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

    /// Whether every rule of where it leads can be read, and of who has which labels.
    ///
    /// # Errors
    /// Which one cannot.
    pub fn check_targets(&self) -> Result<(), String> {
        let labelled = self.target_labels.iter().flat_map(|one| &one.targets);
        let to = self.targets.iter().chain(labelled).cloned().collect();
        Forwards {
            to,
            ..Forwards::default()
        }
        .check()
    }
}
