//! The rules from which it is decided who is recorded, and how: scope in SSSD's words, defaults, and
//! rules of which the first that matches decides, each setting only what it names.

use std::collections::BTreeMap;
use std::fmt;

use super::OnLoss;

/// Most rules of a set. A set with more is refused.
pub const RULES_MAX: usize = 10_000;

/// Most names (users, groups, hosts, kinds, labels) in all lists of a set together. A set with more
/// is refused.
pub const NAMES_MAX: usize = 200_000;

/// Longest name of a user, group, host, kind or label, and longest value of a label, in bytes. A set
/// with a longer one is refused.
pub const NAME_BYTES_MAX: usize = 256;

/// Longest name of a rule, in bytes. A set with a longer one is refused.
pub const RULE_NAME_BYTES_MAX: usize = 128;

/// Longest notice, in bytes. A set with a longer one is refused.
pub const NOTICE_BYTES_MAX: usize = 4096;

/// Labels that a rule may name. A set with a rule that names more is refused.
pub const RULE_LABELS_MAX: usize = 32;

/// Who is recorded where no rule says otherwise: SSSD's `session_recording` scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Nobody.
    None,
    /// The users and members of groups that are named.
    Some,
    /// Everybody but the users and members of groups that are excluded.
    #[default]
    All,
}

impl Scope {
    /// The word in a policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Some => "some",
            Self::All => "all",
        }
    }

    /// The scope named by this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::None, Self::Some, Self::All]
            .into_iter()
            .find(|scope| scope.as_str() == word)
    }
}

/// What becomes of what a login left running, when its session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnEnd {
    /// It goes on, as without recording; nothing of it is attached to the terminal any more.
    #[default]
    Leave,
    /// It is killed.
    Kill,
}

impl OnEnd {
    /// The word in a policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leave => "leave",
            Self::Kill => "kill",
        }
    }

    /// The one named by this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Leave, Self::Kill]
            .into_iter()
            .find(|end| end.as_str() == word)
    }
}

/// What host events are told of a session; what is `None` the host's configuration decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watch {
    /// Programs that are started and how they end, and calls that change what a process may do.
    pub command: Option<bool>,
    /// Files that are opened and changed.
    pub disk: Option<bool>,
    /// Connections.
    pub network: Option<bool>,
}

/// Switches and terms that are set, each on its own; what is `None` is decided elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)] // each is what the field of `Policy` or `Decision` of its name says
pub struct Settings {
    pub recorded: Option<bool>,
    pub stdin: Option<bool>,
    pub keystrokes: Option<bool>,
    pub stdout: Option<bool>,
    pub stderr: Option<bool>,
    pub passwords: Option<bool>,
    pub forwarding: Option<bool>,
    pub files: Option<bool>,
    pub on_loss: Option<OnLoss>,
    pub hold_ms_max: Option<u64>,
    pub strict: Option<bool>,
    pub notice: Option<String>,
    pub accept: Option<bool>,
    pub idle_ms_max: Option<u64>,
    pub bulk_bytes_max: Option<u64>,
    pub on_end: Option<OnEnd>,
    pub break_glass: Option<bool>,
    pub watch: Watch,
}

/// Whom a rule is for. An empty selector matches everybody everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// Users by name, or by number as `#1000`.
    pub users: Vec<String>,
    /// Groups: one is enough. With users named too, being one of them is enough.
    pub groups: Vec<String>,
    /// Users for whom the rule is not, whatever else it says.
    pub exclude_users: Vec<String>,
    /// Groups for whose members the rule is not, whatever else it says.
    pub exclude_groups: Vec<String>,
    /// Hosts by name; `*` stands for any run of characters.
    pub hosts: Vec<String>,
    /// Labels that the host must all have, with these values.
    pub labels: BTreeMap<String, String>,
    /// Kinds of session: `terminal`, `exec`.
    pub kinds: Vec<String>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// Its name: unique, not empty. It stands in the header of what it decided.
    pub name: String,
    /// Whom it is for.
    pub on: Selector,
    /// What it sets.
    pub set: Settings,
}

/// A whole policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicySet {
    /// Its version; 0: the configuration of a host, no central policy.
    pub version: u64,
    /// Who is recorded where no rule says otherwise.
    pub scope: Scope,
    /// Users of [`Scope::Some`], and those whom [`Scope::All`] excludes; its other lists are empty.
    pub subjects: Selector,
    /// What holds where no rule sets something else; what is not set here has the shipped default.
    pub default: Settings,
    /// The first that matches decides.
    pub rules: Vec<Rule>,
}

/// Why a set is refused: where, and what is the matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The rule's number from 0; `None` for the set itself.
    pub rule: Option<usize>,
    /// The key.
    pub key: &'static str,
    /// What is the matter with it.
    pub what: String,
    /// What to do about it.
    pub next: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rule) = self.rule {
            write!(f, "rules.{rule}.")?;
        }
        write!(f, "{}: {}; {}", self.key, self.what, self.next)
    }
}

impl std::error::Error for Refused {}

impl Selector {
    /// Its lists of names.
    fn lists(&self) -> [(&'static str, &[String]); 6] {
        [
            ("users", &self.users),
            ("groups", &self.groups),
            ("exclude_users", &self.exclude_users),
            ("exclude_groups", &self.exclude_groups),
            ("hosts", &self.hosts),
            ("kinds", &self.kinds),
        ]
    }

    /// Names in it, or what is wrong with one.
    fn check(&self) -> Result<usize, (&'static str, String, &'static str)> {
        let mut names = self.labels.len();
        for (key, list) in self.lists() {
            names = names.saturating_add(list.len());
            for name in list {
                if name.is_empty() {
                    return Err((key, "an empty name".to_owned(), "leave it out"));
                }
                if name.len() > NAME_BYTES_MAX {
                    let what = format!("a name longer than {NAME_BYTES_MAX} bytes");
                    return Err((key, what, "shorten it"));
                }
            }
        }
        for name in self.users.iter().chain(&self.exclude_users) {
            if let Some(number) = name.strip_prefix('#')
                && number.parse::<u32>().is_err()
            {
                let what = "behind `#` stands no number of a user".to_owned();
                return Err(("users", what, "write `#1000`, or the name without `#`"));
            }
        }
        let long = |text: &String| text.len() > NAME_BYTES_MAX;
        if self
            .labels
            .iter()
            .any(|(name, value)| long(name) || long(value))
        {
            let what = format!("a name or value longer than {NAME_BYTES_MAX} bytes");
            return Err(("labels", what, "shorten it"));
        }
        if self.labels.len() > RULE_LABELS_MAX {
            let what = format!("more than {RULE_LABELS_MAX} labels");
            return Err(("labels", what, "name the host instead"));
        }
        Ok(names)
    }
}

impl PolicySet {
    /// Whether the set is within its bounds and says nothing that has no effect.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), Refused> {
        let refuse = |rule: Option<usize>| {
            move |(key, what, next): (&'static str, String, &'static str)| Refused {
                rule,
                key,
                what,
                next,
            }
        };
        let own = refuse(None);
        if self.rules.len() > RULES_MAX {
            let what = format!("more than {RULES_MAX} rules");
            return Err(own((
                "rules",
                what,
                "put users into groups, hosts under labels",
            )));
        }
        let mut names = self.subjects.check().map_err(own)?;
        self.check_scope().map_err(own)?;
        check_settings(&self.default).map_err(own)?;
        let mut seen = std::collections::BTreeSet::new();
        for (number, rule) in self.rules.iter().enumerate() {
            let of_rule = refuse(Some(number));
            names = names.saturating_add(rule.on.check().map_err(of_rule)?);
            check_settings(&rule.set).map_err(of_rule)?;
            let length = rule.name.len();
            if length == 0 || length > RULE_NAME_BYTES_MAX {
                let what = format!("a rule needs a name of 1 to {RULE_NAME_BYTES_MAX} bytes");
                return Err(of_rule(("name", what, "give it one")));
            }
            if !seen.insert(rule.name.as_str()) {
                let what = format!("a second rule of the name {:?}", rule.name);
                return Err(of_rule(("name", what, "rename one of them")));
            }
        }
        if names > NAMES_MAX {
            let what = format!("more than {NAMES_MAX} names in all");
            return Err(own((
                "rules",
                what,
                "put users into groups, hosts under labels",
            )));
        }
        Ok(())
    }

    /// SSSD looks at exclusions with `all` only, and at users and groups with `some` only. What has
    /// no effect is refused: whoever wrote it thinks that it has one.
    fn check_scope(&self) -> Result<(), (&'static str, String, &'static str)> {
        let Selector {
            users,
            groups,
            exclude_users,
            exclude_groups,
            ..
        } = &self.subjects;
        let names_some = !users.is_empty() || !groups.is_empty();
        let excludes = !exclude_users.is_empty() || !exclude_groups.is_empty();
        let wrong = |key, what: &str, next| Err((key, what.to_owned(), next));
        match self.scope {
            Scope::Some if !names_some => wrong(
                "scope",
                "`some` without users and groups is nobody",
                "name them, or write `none`",
            ),
            Scope::All | Scope::None if names_some => wrong(
                "users",
                "users and groups have an effect with `scope: some` only",
                "write `scope: some`, or take them out",
            ),
            Scope::Some | Scope::None if excludes => wrong(
                "exclude_users",
                "exclusions have an effect with `scope: all` only",
                "write `scope: all`, or take them out",
            ),
            _ => Ok(()),
        }
    }
}

fn check_settings(set: &Settings) -> Result<(), (&'static str, String, &'static str)> {
    let notice = set.notice.as_ref().map_or(0, String::len);
    if notice > NOTICE_BYTES_MAX {
        let what = format!("longer than {NOTICE_BYTES_MAX} bytes");
        return Err(("notice", what, "shorten it, and say where the rest stands"));
    }
    Ok(())
}
