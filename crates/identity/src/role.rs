//! The four roles, and who has which on the machine itself.

use std::fmt;
use std::str::FromStr;

/// What somebody may do at a service. The order is that of their power: a higher role may
/// everything that a lower one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Sees own sessions.
    User,
    /// Sees sessions that were given for review.
    Reviewer,
    /// Sees everything, changes nothing.
    Auditor,
    /// Sees everything, and administers.
    Admin,
}

impl Role {
    /// All of them, the most powerful first.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Auditor, Self::Reviewer, Self::User];

    /// The fixed name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::Reviewer => "reviewer",
            Self::User => "user",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text was not the name of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotARole;

impl fmt::Display for NotARole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a role (admin, auditor, reviewer, user)")
    }
}

impl std::error::Error for NotARole {}

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, NotARole> {
        let role = Self::ALL.into_iter().find(|r| r.as_str() == text);
        role.ok_or(NotARole)
    }
}

/// Who is at the other end of a socket on this machine, as the kernel and the machine's own tables
/// of users and groups say. Never what a client says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// Number of the user.
    pub uid: u32,
    /// The user's name, if the machine knows one.
    pub user: Option<String>,
    /// Numbers of all groups of the process or user.
    pub gids: Vec<u32>,
    /// Names of those groups, as far as the machine knows them.
    pub groups: Vec<String>,
}

/// Who has a role: names, or numbers written in decimal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holders {
    /// Users.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
}

impl Holders {
    /// A name of digits only is a number and never a name, so that nobody becomes another by
    /// naming an account like a number.
    fn hold(&self, who: &Credentials) -> bool {
        let is = |entry: &str, number: u32, name: Option<&str>| {
            if entry.bytes().all(|c| c.is_ascii_digit()) {
                entry.parse() == Ok(number)
            } else {
                name == Some(entry)
            }
        };
        let user = |entry: &String| is(entry, who.uid, who.user.as_deref());
        let group = |entry: &String| {
            who.gids.iter().any(|gid| is(entry, *gid, None))
                || who
                    .groups
                    .iter()
                    .any(|name| !entry.bytes().all(|c| c.is_ascii_digit()) && name == entry)
        };
        self.users.iter().any(user) || self.groups.iter().any(group)
    }
}

/// Who has which role on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// Administrators.
    pub admin: Holders,
    /// Auditors.
    pub auditor: Holders,
    /// Reviewers.
    pub reviewer: Holders,
    /// Users.
    pub user: Holders,
    /// The role of everybody else, if they have one.
    pub others: Option<Role>,
}

impl Default for Roles {
    /// Root administers; nobody else has a role.
    fn default() -> Self {
        Self {
            admin: Holders {
                users: vec!["0".to_owned()],
                groups: Vec::new(),
            },
            auditor: Holders::default(),
            reviewer: Holders::default(),
            user: Holders::default(),
            others: None,
        }
    }
}

impl Roles {
    /// The highest role that somebody has, if any.
    #[must_use]
    pub fn of(&self, who: &Credentials) -> Option<Role> {
        let held = Role::ALL
            .into_iter()
            .find(|role| self.holders(*role).hold(who));
        held.max(self.others)
    }

    /// Who is named for a role.
    #[must_use]
    pub fn holders(&self, role: Role) -> &Holders {
        match role {
            Role::Admin => &self.admin,
            Role::Auditor => &self.auditor,
            Role::Reviewer => &self.reviewer,
            Role::User => &self.user,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(uid: u32, user: &str, gids: &[u32], groups: &[&str]) -> Credentials {
        Credentials {
            uid,
            user: Some(user.to_owned()),
            gids: gids.to_vec(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        }
    }

    #[test]
    fn names_are_fixed() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        for bad in ["Admin", "root", "", "admin "] {
            assert_eq!(bad.parse::<Role>(), Err(NotARole));
        }
        assert!(Role::Admin > Role::Auditor && Role::Auditor > Role::Reviewer);
        assert!(Role::Reviewer > Role::User);
    }

    #[test]
    fn the_highest_role_counts() {
        let mut roles = Roles::default();
        assert_eq!(
            roles.of(&who(0, "root", &[0], &["root"])),
            Some(Role::Admin)
        );
        let ada = who(1000, "ada", &[1000, 27], &["ada", "audit"]);
        assert_eq!(roles.of(&ada), None);
        roles.user.groups.push("ada".into());
        assert_eq!(roles.of(&ada), Some(Role::User));
        roles.auditor.groups.push("audit".into());
        assert_eq!(roles.of(&ada), Some(Role::Auditor));
        roles.others = Some(Role::User);
        assert_eq!(roles.of(&ada), Some(Role::Auditor));
        assert_eq!(roles.of(&who(7, "x", &[], &[])), Some(Role::User));
        roles.admin.groups.push("27".into());
        assert_eq!(roles.of(&ada), Some(Role::Admin));
    }

    #[test]
    fn an_account_named_like_a_number_is_not_that_number() {
        let mut roles = Roles::default();
        roles.auditor.groups.push("27".into());
        let sly = who(4711, "0", &[5000], &["27"]);
        assert_eq!(roles.of(&sly), None);
        let empty = who(4711, "", &[5000], &[""]);
        roles.auditor.users.push(String::new());
        assert_eq!(roles.of(&empty), None);
    }
}
