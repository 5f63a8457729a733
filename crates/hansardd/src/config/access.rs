//! Roles as they give access over SSH, and the labels of machines that have no daemon to say theirs.

use std::collections::BTreeMap;

use hansard_capture::ssh::Method;
use hansard_core::ChannelKind;
use hansard_core::access::{Grant, Kept, OWN_NAME};
use hansard_identity::access::{Definition, check_role_name};
use hansard_identity::limits::SSH_LIFE_S_MAX;
use hansard_identity::name::check_name;

use super::key::{Kind, Reading, Value, section};
use super::policy::word;
use super::tree::{Node, Tree};
use super::value::{LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX, Labels, Span};
use super::{Finding, quoted};

section! {
    /// What people may over SSH.
    Access {
        /// What each role gives. A role that is not here gives nothing; what a role does not name it does not
        /// give. `admin`, `auditor`, `reviewer` and `user` may be here as well as others, which users are
        /// given with `hansard user`. Counts for certificates that are issued from then on. At most 1000.
        roles: Vec<AccessRole> = Vec::new() => live;
    }
}

section! {
    /// What one role gives.
    AccessRole {
        /// Its name: letters, digits, `.`, `_` and `-`. Required.
        name: String = String::new();
        /// Accounts that it lets into; `{user}` stands for the name of whoever has it. At most 64 in all of
        /// somebody's roles.
        logins: Vec<String> = Vec::new();
        /// Labels that a host must all have, each with one value or one of several, in which `*` stands for any
        /// run of characters. Each host has its name as the label `name`; `"*": "*"` is every host. Empty: none.
        hosts: Hosts = Hosts::default();
        /// What a connection may be used for: `shell`, `exec` (any command), `sftp` (today's `scp`, too), `scp`
        /// (the old protocol alone), `forward-local` (`ssh -L`, `-D`, `-W`), `forward-remote` (`-R`), `agent`,
        /// `x11`. Forwards need the rules of `capture.ssh` or `capture.proxy` besides.
        channels: Vec<ChannelKind> = Vec::new();
        /// What is kept of its sessions besides what the policy says: `stdin`, `keystrokes`, `forwarding`,
        /// `files`. A role can only have more kept.
        keep: Vec<Kept> = Vec::new();
        /// Whether a session ends when the certificate that opened it does.
        ends_with_certificate: bool = true;
        /// How long a certificate holds at most; of several roles the shortest counts.
        ttl_max: Span = Span::seconds(8 * 3600), in [Span::seconds(60), Span::seconds(SSH_LIFE_S_MAX)];
    }
}

section! {
    /// Labels of machines that the proxy leads to.
    TargetLabels {
        /// Which, as in `targets`, but by the name or address that is asked for alone. At most 1000.
        targets: Vec<String> = Vec::new();
        /// Their labels.
        labels: Labels = Labels::new();
    }
}

section! {
    /// How the proxy signs in at some targets.
    TargetSignIn {
        /// Which, as in `targets`, but by the name or address that is asked for alone. At most 1000.
        targets: Vec<String> = Vec::new();
        /// What is tried, in this order, and nothing else: `certificate` of the cluster's authority; `agent`, that of
        /// whoever goes there (`ssh -A`); `credential`, which is kept for them (`hansard credential`). Required.
        methods: Vec<Method> = Vec::new();
    }
}

impl Value for Method {
    const KIND: Kind = Kind::One("word");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        word(
            tree,
            reading,
            &Self::ALL.map(|method| (method.as_str(), method)),
        )
    }

    fn shown(&self) -> String {
        self.as_str().to_owned()
    }
}

/// Labels of hosts, and the values that one of them must have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hosts(pub BTreeMap<String, Vec<String>>);

impl Value for Hosts {
    const KIND: Kind = Kind::Map("text, or a list of them");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let entries = match &tree.node {
            Node::Null => &[],
            Node::Map(entries) => entries.as_slice(),
            _ => {
                let what = format!("must be labels with their values; here is {}", tree.what());
                let next = "write `env: staging`, or `\"*\": \"*\"` for every host";
                reading.wrong(tree.place, what, next);
                return None;
            }
        };
        if entries.len() > LABELS_MAX {
            let what = format!("more than {LABELS_MAX} labels");
            reading.wrong(tree.place, what, "remove some");
            return None;
        }
        let mut hosts = BTreeMap::new();
        for (name, place, value) in entries {
            if name.is_empty() || name.len() > LABEL_NAME_BYTES_MAX {
                let what = format!("{} is no name of a label", quoted(name));
                let next = format!("it has 1 to {LABEL_NAME_BYTES_MAX} bytes");
                reading.wrong(*place, what, next);
                continue;
            }
            let values: Vec<String> = reading.below(name.as_str(), value)?;
            let is_long = |value: &String| value.len() > LABEL_VALUE_BYTES_MAX;
            if values.is_empty() || values.iter().any(is_long) {
                let what =
                    format!("a label needs a value of at most {LABEL_VALUE_BYTES_MAX} bytes");
                reading.wrong(value.place, what, "write `*` for any value");
                continue;
            }
            hosts.insert(name.clone(), values);
        }
        Some(Self(hosts))
    }

    fn shown(&self) -> String {
        let pairs: Vec<String> = (self.0.iter())
            .map(|(name, values)| format!("{}: {}", quoted(name), values.shown()))
            .collect();
        format!("{{{}}}", pairs.join(", "))
    }
}

impl Value for ChannelKind {
    const KIND: Kind = Kind::One("word");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        word(tree, reading, &Self::ALL.map(|kind| (kind.as_str(), kind)))
    }

    fn shown(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Value for Kept {
    const KIND: Kind = Kind::One("word");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        word(tree, reading, &Self::ALL.map(|kept| (kept.as_str(), kept)))
    }

    fn shown(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Access {
    /// The roles, as certificates are issued by them.
    #[must_use]
    pub fn definitions(&self) -> Vec<Definition> {
        self.roles.iter().map(AccessRole::definition).collect()
    }

    /// What is wrong with the roles as a whole, and what has no effect.
    #[must_use]
    pub fn check(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (at, role) in self.roles.iter().enumerate() {
            let key = |name: &str| format!("access.roles.{at}.{name}");
            if let Err(why) = check_role_name(&role.name) {
                let next = "give it a name of letters, digits, '.', '_' and '-'";
                found.push(Finding::error(key("name"), why.to_string(), next));
            }
            if self
                .roles
                .iter()
                .take(at)
                .any(|other| other.name == role.name)
            {
                let what = format!("a second role of the name {}", quoted(&role.name));
                found.push(Finding::error(key("name"), what, "rename one of them"));
            }
            for login in role.logins.iter().filter(|login| *login != OWN_NAME) {
                if let Err(why) = check_name(login) {
                    let what = format!("{}: {why}", quoted(login));
                    let next = "name an account, or write {user}";
                    found.push(Finding::error(key("logins"), what, next));
                }
            }
            let empty = [
                ("logins", role.logins.is_empty()),
                ("hosts", role.hosts.0.is_empty()),
                ("channels", role.channels.is_empty()),
            ];
            for (name, _) in empty.iter().filter(|(_, is_empty)| *is_empty) {
                let what = "without any the role gives nothing";
                found.push(Finding::warning(
                    key(name),
                    what,
                    "name some, or take the role out",
                ));
            }
        }
        found
    }
}

impl AccessRole {
    fn definition(&self) -> Definition {
        Definition {
            grant: Grant {
                role: self.name.clone(),
                logins: self.logins.clone(),
                hosts: self.hosts.0.clone(),
                channels: self.channels.clone(),
                kept: self.keep.clone(),
                ends: self.ends_with_certificate,
            },
            life_s_max: self.ttl_max.as_millis() / 1000,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Level};

    fn wrong(roles: &str) -> String {
        let (config, findings) = Config::parse(&format!("access: {{roles: [{roles}]}}"));
        let checked = config.access.check();
        let mut all = findings
            .iter()
            .chain(&checked)
            .filter(|f| f.level == Level::Error);
        all.next().map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn a_role_is_read_as_it_is_written() {
        let text = "access:\n  roles:\n  - name: ops\n    logins: [deploy, \"{user}\"]\n    hosts: {env: [staging, test], \
            \"*\": \"*\"}\n    channels: [shell, forward-local]\n    keep: keystrokes\n    \
            ends_with_certificate: false\n    ttl_max: 1h\n  - name: user\n";
        let (config, findings) = Config::parse(text);
        assert_eq!(findings, []);
        let [ops, user] = &*config.access.definitions() else {
            panic!("two roles")
        };
        assert_eq!(ops.grant.hosts["env"], ["staging", "test"]);
        assert_eq!(ops.grant.hosts["*"], ["*"]);
        assert_eq!((ops.grant.channels.len(), ops.grant.kept.len()), (2, 1));
        assert_eq!((ops.grant.ends, ops.life_s_max), (false, 3600));
        assert_eq!((user.grant.ends, user.life_s_max), (true, 8 * 3600));
        assert!(user.grant.hosts.is_empty() && user.grant.channels.is_empty());
        let warned = config.access.check();
        assert_eq!(warned.len(), 3);
        assert!(warned.iter().all(|finding| finding.level == Level::Warning));
    }

    #[test]
    fn what_no_role_can_be_says_where_and_what_to_do() {
        for (role, part) in [
            ("{}", "access.roles.0.name"),
            ("{name: 'a b'}", "access.roles.0.name"),
            ("{name: a}, {name: a}", "access.roles.1.name"),
            ("{name: a, channels: [shel]}", "did you mean shell?"),
            ("{name: a, keep: [all]}", "access.roles.0.keep.0"),
            ("{name: a, hosts: every}", "access.roles.0.hosts"),
            ("{name: a, hosts: {env: []}}", "access.roles.0.hosts"),
            ("{name: a, logins: ['a/b']}", "access.roles.0.logins"),
            ("{name: a, ttl_max: 8d}", "access.roles.0.ttl_max"),
            ("{name: a, login: [b]}", "did you mean logins?"),
        ] {
            let said = wrong(role);
            assert!(said.contains(part), "{role}: {said}");
        }
        assert_eq!(
            wrong("{name: a, logins: [b], hosts: {env: x}, channels: [exec]}"),
            ""
        );
    }
}
