//! What somebody may who is let in: what the roles in their certificate say of this host, and whether anybody
//! has locked them out. Asked when they sign in, at each channel and at each forward.

use std::collections::BTreeMap;

use hansard_core::access::{Granted, from_text};
use hansard_core::{Access, ChannelKind, Lockable};
use russh::keys::Certificate;

use super::Node;
use super::channel::Asked;
use super::connection::Inside;
use super::credentials::Allowed;
use super::proxy::Destination;

/// The extension in which it stands what roles give (`hansard_identity::ssh`).
const EXTENSION: &str = "access@hansard";

/// The label that every host has without anybody giving it one: its name.
const NAME: &str = "name";

/// What a certificate carries of roles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Roles {
    /// What they give, as it stands in the certificate; for the one that a target is shown.
    pub(super) text: String,
    /// What of that is given here.
    pub(super) granted: Granted,
}

/// What a certificate says of roles for an account here, or where it leads to.
///
/// # Errors
/// Nobody is let in: what it says cannot be read, or it gives nothing here.
pub(super) fn judge(
    node: &Node,
    certificate: &Certificate,
    (login, to): (&str, Option<&Destination>),
    allowed: Allowed,
) -> Result<Allowed, String> {
    let text = certificate.extensions().get(EXTENSION);
    let Some(text) = text else {
        return without(node, allowed);
    };
    let access = from_text(text)
        .map_err(|e| format!("what the certificate says of roles cannot be read: {e}"))?;
    let is_on_the_way = node.leads.is_some() && to.is_none();
    let granted = match is_on_the_way {
        // Where they go to they are asked again; here nothing but that is open to them.
        true => passing(&access),
        false => access.granted(login, &labels(node, to))?,
    };
    Ok(Allowed {
        until_s: allowed.until_s.filter(|_| granted.ends),
        roles: Some(Roles {
            text: text.clone(),
            granted,
        }),
        ..allowed
    })
}

/// Somebody who comes without roles.
///
/// # Errors
/// That lets nobody in here.
pub(super) fn without(node: &Node, allowed: Allowed) -> Result<Allowed, String> {
    match node.config.roles_only {
        true => Err("it says nothing of roles, and only those let in here".to_owned()),
        false => Ok(allowed),
    }
}

fn passing(access: &Access) -> Granted {
    Granted {
        roles: access.roles().map(str::to_owned).collect(),
        ends: access.grants.iter().any(|grant| grant.ends),
        ..Granted::default()
    }
}

/// The labels of this host, or of the one that it leads to.
fn labels(node: &Node, to: Option<&Destination>) -> BTreeMap<String, String> {
    let (mut labels, name) = match (&node.leads, to) {
        (Some(leads), Some(to)) => (leads.labels_of(to), to.host.clone()),
        _ => (node.config.labels.clone(), node.config.name.clone()),
    };
    labels.entry(NAME.to_owned()).or_insert(name);
    labels
}

/// Whether somebody is locked out here, or of where they go to.
///
/// # Errors
/// They are; in words for them.
pub(super) fn unlocked(
    node: &Node,
    allowed: &Allowed,
    wanted: (&str, Option<&Destination>),
) -> Result<(), String> {
    unlocked_also(node, allowed, wanted, &[])
}

/// The same of a host that has these names and addresses besides.
///
/// # Errors
/// As [`unlocked`].
pub(super) fn unlocked_also(
    node: &Node,
    allowed: &Allowed,
    (login, to): (&str, Option<&Destination>),
    also: &[String],
) -> Result<(), String> {
    let Some(locks) = &node.machine.config.locks else {
        return Ok(());
    };
    let facts = &node.machine.means.facts;
    let own = ["server_hostname", "server_id"].map(|name| facts.text(name));
    let own = own.into_iter().flatten();
    let hosts = to.map(|to| to.host.as_str()).into_iter().chain(own);
    let roles = allowed.roles.iter().flat_map(|roles| &roles.granted.roles);
    let who = Lockable {
        user: allowed.user.clone(),
        roles: roles.cloned().collect(),
        login: login.to_owned(),
        hosts: hosts
            .map(str::to_owned)
            .chain(also.iter().cloned())
            .collect(),
        sessions: Vec::new(),
    };
    match locks.0.locked(&who) {
        Some(why) => Err(why),
        None => Ok(()),
    }
}

impl Inside {
    /// Whether the roles permit this. Who came in without any is asked by the certificate alone.
    ///
    /// # Errors
    /// They do not; in words for whoever wanted it.
    pub(super) fn may(&self, kind: ChannelKind) -> Result<(), String> {
        match &self.allowed.roles {
            Some(roles) => roles.granted.may(kind),
            None => Ok(()),
        }
    }

    /// Whether the roles permit that this is started.
    ///
    /// # Errors
    /// As [`Self::may`].
    pub(super) fn may_start(&self, asked: &Asked) -> Result<(), String> {
        if self.allowed.command.is_some() {
            // Whatever is asked for, a command runs.
            return self.may(ChannelKind::Exec);
        }
        match asked {
            Asked::Shell => self.may(ChannelKind::Shell),
            Asked::Subsystem(_) => self.may(ChannelKind::Sftp),
            Asked::Command(command) => match self.may(ChannelKind::Exec) {
                Err(_) if is_scp(command) => self.may(ChannelKind::Scp),
                done => done,
            },
        }
    }
}

/// Whether a command is what `scp -O` runs on the other side, and cannot be anything else: it goes through a
/// shell, to which some signs mean more.
fn is_scp(command: &[u8]) -> bool {
    let Ok(command) = std::str::from_utf8(command) else {
        return false;
    };
    let is_plain = |c: char| c.is_alphanumeric() || " -_./:@%+,=~".contains(c);
    let mut words = command.split(' ');
    if words.next() != Some("scp") || !command.chars().all(is_plain) {
        return false;
    }
    let words: Vec<&str> = words.collect();
    let end = words.iter().position(|word| *word == "--");
    let options = words.iter().take(end.map_or(words.len(), |end| end + 1));
    let options = options.take_while(|word| word.starts_with('-'));
    let options: Vec<&&str> = options.collect();
    let known = |word: &&&str| {
        let letters = word.strip_prefix('-').unwrap_or_default();
        **word == "--" || (!letters.is_empty() && letters.chars().all(|c| "prvdqtf".contains(c)))
    };
    let says = |what: &str| options.iter().any(|word| **word == what);
    options.iter().all(known) && (says("-t") != says("-f")) && words.len() > options.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scp_itself_counts_as_scp() {
        for good in [
            "scp -t /tmp/x",
            "scp -r -p -f .",
            "scp -v -t -- -odd",
            "scp -d -t dir/",
        ] {
            assert!(is_scp(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "scp",
            "scp -t",
            "scp /tmp/x",
            "scp -t -f x",
            "scp -S sh -t x",
            "scp -oProxyCommand=sh -t x",
            "scp -t x; sh",
            "scp -t x&sh",
            "scp -t $(sh)",
            "scp -t `sh`",
            "scp -t x|sh",
            "scp -t x\nsh",
            "scp -t x>y",
            "scp -t '*'",
            "/bin/scp -t x",
            "scpx -t x",
            "sh -c scp",
        ] {
            assert!(!is_scp(bad.as_bytes()), "{bad}");
        }
        assert!(!is_scp(b"scp -t \xff"));
    }
}
