//! Locks: whoever or whatever is locked has no session, and gets none.

use std::fmt;

use crate::Value;
use crate::id::SessionId;
use crate::session::Session;

/// Longest name of what is locked, bytes. A longer one is refused.
pub const LOCKED_NAME_BYTES_MAX: usize = 253;

/// Roles by which one session may have been let in. [`Lockable::unlockable`] says of one with more.
pub const LOCKED_ROLES_MAX: usize = 256;

/// What a lock is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockKind {
    /// A person.
    User,
    /// Everybody who was let in by a role.
    Role,
    /// An account, on whichever host.
    Login,
    /// A host, by name or identifier.
    Host,
    /// One session, with what is in it.
    Session,
}

impl LockKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::User,
        Self::Role,
        Self::Login,
        Self::Host,
        Self::Session,
    ];

    /// The fixed name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Role => "role",
            Self::Login => "login",
            Self::Host => "host",
            Self::Session => "session",
        }
    }
}

/// Who or what is locked. As text `user:anna`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// What it is.
    pub kind: LockKind,
    /// Its name; of a host or session also its identifier.
    pub name: String,
}

impl Target {
    /// From its two parts.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn of(kind: LockKind, name: &str) -> Result<Self, String> {
        let is_plain = |c: char| !c.is_control();
        if name.is_empty() || name.len() > LOCKED_NAME_BYTES_MAX || !name.chars().all(is_plain) {
            let kind = kind.as_str();
            return Err(format!(
                "the name of a {kind} has 1 to {LOCKED_NAME_BYTES_MAX} bytes and no control characters"
            ));
        }
        if kind == LockKind::Session && name.parse::<SessionId>().is_err() {
            return Err("a session is named by its UUID".to_owned());
        }
        Ok(Self {
            kind,
            name: match kind {
                LockKind::Host | LockKind::Session => name.to_ascii_lowercase(),
                _ => name.to_owned(),
            },
        })
    }

    /// From text.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(kind, name)| {
            let kind = LockKind::ALL.into_iter().find(|k| k.as_str() == kind)?;
            Some((kind, name))
        });
        let (kind, name) = parts.ok_or_else(|| {
            "a lock is for user:NAME, role:NAME, login:NAME, host:NAME or session:ID".to_owned()
        })?;
        Self::of(kind, name)
    }

    /// Whether it is about whoever that is.
    #[must_use]
    pub fn hits(&self, who: &Lockable) -> bool {
        let name = self.name.as_str();
        let is_named = |all: &[String]| all.iter().any(|one| one == name);
        match self.kind {
            // A provider may take a person's name in any case, and say it as it was typed.
            LockKind::User => who.user.eq_ignore_ascii_case(name),
            LockKind::Role => is_named(&who.roles),
            LockKind::Login => who.login == name,
            LockKind::Host => who.hosts.iter().any(|host| host.eq_ignore_ascii_case(name)),
            LockKind::Session => is_named(&who.sessions),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.name)
    }
}

/// What locks are held against: somebody who wants in, or a session. What is empty is not known, and no
/// lock is about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lockable {
    /// The person.
    pub user: String,
    /// The roles that let them in.
    pub roles: Vec<String>,
    /// The account.
    pub login: String,
    /// Names and identifiers of the host.
    pub hosts: Vec<String>,
    /// The session, and what it is in.
    pub sessions: Vec<String>,
}

impl Lockable {
    /// What a session's header says. Of what is longer than any lock's name nothing is kept: no lock is
    /// about it, and whoever sends headers decides how long it is.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        let named = |name: &&str| name.len() <= LOCKED_NAME_BYTES_MAX;
        let owned = |name: Option<&str>| name.filter(named).unwrap_or_default().to_owned();
        let Said {
            user, login, roles, ..
        } = Said::of(session);
        let roles = roles.iter().filter_map(Value::as_text).filter(named);
        let parent = session.parent.iter().map(ToString::to_string);
        Self {
            user: owned(user),
            roles: roles.take(LOCKED_ROLES_MAX).map(str::to_owned).collect(),
            login: owned(login),
            hosts: Said::hosts(session)
                .filter(named)
                .map(str::to_owned)
                .collect(),
            sessions: std::iter::once(session.id.to_string())
                .chain(parent)
                .collect(),
        }
    }

    /// Why not every lock could be held against a session with this header, if so: it names somebody or
    /// something by more than a lock's name may have. Who takes sessions from elsewhere MUST NOT take it:
    /// under such a name it would go on whatever is locked.
    #[must_use]
    pub fn unlockable(session: &Session) -> Option<String> {
        let Said { user, login, roles } = Said::of(session);
        let names = user.into_iter().chain(login).chain(Said::hosts(session));
        let longest = names
            .chain(roles.iter().filter_map(Value::as_text))
            .map(str::len)
            .max();
        if let Some(bytes) = longest.filter(|bytes| *bytes > LOCKED_NAME_BYTES_MAX) {
            return Some(format!(
                "it names its user, a role, its account or its host with {bytes} bytes, and no lock with \
                 more than {LOCKED_NAME_BYTES_MAX}"
            ));
        }
        let count = roles.len();
        (count > LOCKED_ROLES_MAX)
            .then(|| format!("it names {count} roles, where {LOCKED_ROLES_MAX} are the most"))
    }

    /// About how much memory it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let lists = [&self.roles, &self.hosts, &self.sessions];
        let listed = lists.into_iter().flatten();
        let each = |text: &String| text.len().saturating_add(std::mem::size_of::<String>());
        [&self.user, &self.login]
            .into_iter()
            .chain(listed)
            .map(each)
            .fold(0, usize::saturating_add)
    }
}

/// What a header says that locks are about.
struct Said<'a> {
    user: Option<&'a str>,
    login: Option<&'a str>,
    roles: &'a [Value],
}

impl<'a> Said<'a> {
    fn of(session: &'a Session) -> Self {
        let user = session.subject.text("user");
        Self {
            user,
            login: session.subject.text("login").or(user),
            roles: match session.subject.get("user_roles") {
                Some(Value::List(roles)) => roles,
                _ => &[],
            },
        }
    }

    fn hosts(session: &'a Session) -> impl Iterator<Item = &'a str> {
        let names = ["server_hostname", "server_id"].into_iter();
        names.filter_map(|name| session.target.text(name))
    }
}

/// The locks there are.
///
/// An implementation MUST answer at once: it is asked before everything that anybody begins.
pub trait Locks: Send + Sync {
    /// Why this one is locked, as a sentence for them; `None`: by nothing.
    fn locked(&self, who: &Lockable) -> Option<String>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    #[test]
    fn what_no_lock_could_name_is_not_kept_and_said() {
        let header = |user: &str, roles: usize, host: &str| {
            let roles = (0..roles).map(|n| Value::from(format!("r{n}"))).collect();
            Session {
                id: SessionId::from_bytes([1; 16]),
                parent: None,
                kind: "exec".into(),
                subject: Fields::new()
                    .with("user", user)
                    .with("user_roles", Value::List(roles)),
                origin: Fields::new(),
                target: Fields::new().with("server_hostname", host),
                start_utc_ns: 1,
                clock: crate::session::ClockQuality::Unknown,
                policy: crate::Policy::default(),
                recorder_key: [0; 32],
                recorder: String::new(),
            }
        };
        let long = "a".repeat(1_000_000);
        let longest = "a".repeat(LOCKED_NAME_BYTES_MAX);
        assert!(Lockable::unlockable(&header(&longest, LOCKED_ROLES_MAX, &longest)).is_none());
        for wrong in [
            header(&long, 1, "web1"),
            header("anna", 1, &long),
            header("anna", LOCKED_ROLES_MAX + 1, "web1"),
        ] {
            assert!(Lockable::unlockable(&wrong).is_some());
            let kept = Lockable::of(&wrong);
            assert!(kept.memory_bytes() < 16 * 1024, "{}", kept.memory_bytes());
        }
        assert!(header(&long, 1, "web1").memory_bytes() > long.len());
        assert_eq!(Lockable::of(&header("anna", 1, "web1")).user, "anna");
    }

    #[test]
    fn a_lock_is_about_what_it_names_and_nothing_else() {
        let id = "019a0000-0000-7000-8000-000000000000";
        let who = Lockable {
            user: "anna".into(),
            roles: vec!["ops".into()],
            login: "deploy".into(),
            hosts: vec!["web1".into(), "4711".into()],
            sessions: vec![id.into()],
        };
        let hits = |text: &str| Target::parse(text).unwrap().hits(&who);
        for text in [
            "user:anna",
            "role:ops",
            "login:deploy",
            "host:web1",
            "host:WEB1",
            "host:4711",
            "user:Anna",
            "user:ANNA",
        ] {
            assert!(hits(text), "{text}");
            assert!(
                !Target::parse(text).unwrap().hits(&Lockable::default()),
                "{text}"
            );
        }
        assert!(hits(&format!("session:{id}")) && hits(&format!("session:{}", id.to_uppercase())));
        for text in [
            "user:deploy",
            "login:anna",
            "role:anna",
            "host:web",
            "login:Deploy",
            "role:Ops",
            "user:ann",
        ] {
            assert!(!hits(text), "{text}");
        }
        assert_eq!(Target::parse("user:a:b").unwrap().to_string(), "user:a:b");
        for wrong in [
            "",
            "anna",
            "user:",
            "users:anna",
            "session:anna",
            "user:a\nb",
        ] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Target::of(LockKind::User, &"a".repeat(LOCKED_NAME_BYTES_MAX + 1)).is_err());
    }
}
