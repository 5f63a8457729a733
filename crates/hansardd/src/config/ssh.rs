//! What the SSH server is told of forwards.

use std::path::Path;

use hansard_capture::ssh::Forwards;

use super::{Proxy, Ssh};

/// Where services of PAM are, the administrator's first.
const PAM: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];

/// The service of ours, and the one that is asked where it is not there.
const SERVICES: [&str; 2] = ["hansard", "sshd"];

impl Ssh {
    /// The service of PAM that is asked, if any is, and whether there is such a file.
    #[must_use]
    pub fn pam_service(&self) -> Option<(String, bool)> {
        let is_there = |name: &str| PAM.iter().any(|dir| Path::new(dir).join(name).is_file());
        match self.pam.as_str() {
            "off" => None,
            "auto" => {
                let found = SERVICES.into_iter().find(|name| is_there(name));
                Some((found.unwrap_or(SERVICES[0]).to_owned(), found.is_some()))
            }
            name => Some((name.to_owned(), is_there(name))),
        }
    }

    /// Whether what is written there can be a service's name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_pam(&self) -> Result<(), String> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        match !self.pam.is_empty() && !self.pam.starts_with('.') && self.pam.bytes().all(is_part) {
            true => Ok(()),
            false => Err(format!("{:?} is no name of a file in /etc/pam.d", self.pam)),
        }
    }

    /// What may be forwarded, as the server takes it.
    #[must_use]
    pub fn forwards(&self) -> Forwards {
        Forwards {
            to: self.forward_to.clone(),
            listen: self.forward_listen.clone(),
            sockets: self.forward_sockets.clone(),
            agent: self.forward_agent,
            x11: self.forward_x11,
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
            x11: self.forward_x11,
            nested: self.forward_nested.clone(),
        }
    }

    /// Whether every rule of where it leads can be read, of who has which labels, and of how it gets in.
    ///
    /// # Errors
    /// Which one cannot.
    pub fn check_targets(&self) -> Result<(), String> {
        if self.target_sign_in.iter().any(|one| one.methods.is_empty()) {
            return Err(
                "target_sign_in: methods are missing: nobody would get in there".to_owned(),
            );
        }
        let labelled = self.target_labels.iter().flat_map(|one| &one.targets);
        let signed = self.target_sign_in.iter().flat_map(|one| &one.targets);
        let to = self.targets.iter().chain(labelled).chain(signed);
        let to = to.cloned().collect();
        Forwards {
            to,
            ..Forwards::default()
        }
        .check()
    }
}
