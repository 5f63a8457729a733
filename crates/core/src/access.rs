//! What a person's roles give over SSH: which accounts, on which hosts, through which kinds of channels.
//! Whoever certifies a person writes it into the certificate ([`text`]); whoever lets them in decides by it.
//!
//! **Nothing is given that is not named**: a role without hosts gives no host, one without channels a
//! connection in which nothing can be asked for.

use std::collections::BTreeMap;

use crate::policy::Policy;
use crate::policy::decide::is_like;

mod text;

pub use text::{Unreadable, from_text, to_text};

/// Most roles in one certificate. More are refused when it is made and when it is read.
pub const GRANTS_MAX: usize = 64;

/// Longest text of what is given, bytes. A longer one is refused when a certificate is made and when it is read.
pub const ACCESS_BYTES_MAX: usize = 8 * 1024;

/// What stands in a list of logins for the name of whoever has the role.
pub const OWN_NAME: &str = "{user}";

/// What a connection may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChannelKind {
    /// The account's shell, with or without a terminal.
    Shell,
    /// Any command.
    Exec,
    /// Files by SFTP, and with it today's `scp`.
    Sftp,
    /// Files by the old protocol of `scp`, and no other command.
    Scp,
    /// Connections from the host on, `ssh -L`, `-D` and `-W`, sockets too.
    ForwardLocal,
    /// Connections back to the client, `ssh -R`, sockets too.
    ForwardRemote,
    /// The client's agent, `ssh -A`.
    Agent,
    /// The client's screen, `ssh -X`.
    X11,
}

impl ChannelKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Shell,
        Self::Exec,
        Self::Sftp,
        Self::Scp,
        Self::ForwardLocal,
        Self::ForwardRemote,
        Self::Agent,
        Self::X11,
    ];

    /// The word in a role.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Exec => "exec",
            Self::Sftp => "sftp",
            Self::Scp => "scp",
            Self::ForwardLocal => "forward-local",
            Self::ForwardRemote => "forward-remote",
            Self::Agent => "agent",
            Self::X11 => "x11",
        }
    }

    /// The one named by this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What is kept of a session though its policy would not keep it. A role can only have more kept, never less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kept {
    /// What is piped into a program.
    Stdin,
    /// What is typed at a terminal.
    Keystrokes,
    /// Bytes inside forwarded connections.
    Forwarding,
    /// Content of transferred files.
    Files,
}

impl Kept {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stdin, Self::Keystrokes, Self::Forwarding, Self::Files];

    /// The word in a role, which is that of a policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdin => "stdin",
            Self::Keystrokes => "keystrokes",
            Self::Forwarding => "forwarding",
            Self::Files => "files",
        }
    }

    /// The one named by this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kept| kept.as_str() == word)
    }
}

/// What one role gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// The role.
    pub role: String,
    /// Accounts that it lets into, by name.
    pub logins: Vec<String>,
    /// Labels that a host must all have, each with one of these values; in a value `*` stands for any run
    /// of characters. The label `*` is one that every host has. None: no host.
    pub hosts: BTreeMap<String, Vec<String>>,
    /// What a connection may be used for.
    pub channels: Vec<ChannelKind>,
    /// What is kept besides what the policy says.
    pub kept: Vec<Kept>,
    /// Whether a session ends when the certificate that opened it does.
    pub ends: bool,
}

/// What all roles of somebody give.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// One for each role.
    pub grants: Vec<Grant>,
}

/// What somebody may in one account of one host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Granted {
    /// The roles that let them in, in their order.
    pub roles: Vec<String>,
    /// What the connection may be used for: what any of those roles says.
    pub channels: Vec<ChannelKind>,
    /// What is kept besides what the policy says: what any of those roles says.
    pub kept: Vec<Kept>,
    /// Whether it ends with the certificate: if any of those roles says so.
    pub ends: bool,
}

impl Grant {
    /// Whether it lets into this account.
    fn has_login(&self, login: &str) -> bool {
        self.logins.iter().any(|known| known == login)
    }

    /// Whether it is for a host with these labels.
    #[must_use]
    pub fn has_host(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |(name, values): (&String, &Vec<String>)| {
            let value = match name.as_str() {
                "*" => "",
                name => match labels.get(name) {
                    Some(value) => value,
                    None => return false,
                },
            };
            values.iter().any(|pattern| is_like(pattern, value))
        };
        !self.hosts.is_empty() && self.hosts.iter().all(has)
    }
}

impl Access {
    /// What somebody may in this account of a host with these labels.
    ///
    /// # Errors
    /// No role lets them in; in words for whoever wanted to.
    pub fn granted(
        &self,
        login: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Granted, String> {
        let mut granted = Granted::default();
        let of_login = self.grants.iter().filter(|grant| grant.has_login(login));
        for grant in of_login.filter(|grant| grant.has_host(labels)) {
            granted.roles.push(grant.role.clone());
            granted.channels.extend(&grant.channels);
            granted.kept.extend(&grant.kept);
            granted.ends |= grant.ends;
        }
        if granted.roles.is_empty() {
            let roles: Vec<&str> = self.roles().collect();
            let roles = match roles.as_slice() {
                [] => "you have no role".to_owned(),
                [one] => format!("your role {one} does not let you"),
                more => format!("none of your roles {} lets you", more.join(", ")),
            };
            return Err(format!("{roles} into the account {login:?} on this host"));
        }
        granted.channels.sort_unstable();
        granted.channels.dedup();
        granted.kept.sort_unstable();
        granted.kept.dedup();
        Ok(granted)
    }

    /// The roles, in their order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.grants.iter().map(|grant| grant.role.as_str())
    }

    /// Accounts that any of the roles lets into, each once.
    #[must_use]
    pub fn logins(&self) -> Vec<String> {
        let mut logins: Vec<String> = Vec::new();
        for login in self.grants.iter().flat_map(|grant| &grant.logins) {
            if !logins.contains(login) {
                logins.push(login.clone());
            }
        }
        logins
    }

    /// Whether any of the roles gives one of these on any host.
    #[must_use]
    pub fn gives_any(&self, kinds: &[ChannelKind]) -> bool {
        let mut all = self.grants.iter().flat_map(|grant| &grant.channels);
        all.any(|kind| kinds.contains(kind))
    }
}

impl Granted {
    /// Whether the connection may be used for this.
    ///
    /// # Errors
    /// It may not; in words for whoever wanted to.
    pub fn may(&self, kind: ChannelKind) -> Result<(), String> {
        if self.channels.contains(&kind) {
            return Ok(());
        }
        let roles = match self.roles.as_slice() {
            [] => "you have no role that permits".to_owned(),
            [one] => format!("your role {one} does not permit"),
            more => format!("none of your roles {} permits", more.join(", ")),
        };
        Err(format!("{roles} {}", kind.as_str()))
    }

    /// A policy, with what is kept besides.
    pub fn keep(&self, policy: &mut Policy) {
        for kept in &self.kept {
            match kept {
                Kept::Stdin => policy.stdin = true,
                Kept::Keystrokes => policy.keystrokes = true,
                Kept::Forwarding => policy.forwarding = true,
                Kept::Files => policy.files = true,
            }
        }
    }
}

#[cfg(test)]
mod tests;
