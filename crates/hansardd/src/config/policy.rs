//! The text of a policy: YAML, read as the configuration is, with every error at its line and key.
//! `docs/policy.md` has the table of its keys, made from the structs here.

use hansard_core::policy::set::RULES_MAX;
use hansard_core::policy::{Decider, OnEnd, OnLoss, PolicySet, Scope, Selector, Settings, Watch};
use hansard_view::nearest;

use super::key::{Kind, Reading, Value, section};
use super::tree::{Node, Place, Tree, parse_within};
use super::value::{Labels, Size, Span};
use super::{Finding, quoted};

/// Longest text of a policy, bytes. A longer one is refused, by the service and by a host.
pub const POLICY_BYTES_MAX: usize = 1024 * 1024;

/// Most mappings, lists and scalars of a policy together. A policy with more is refused.
pub const POLICY_NODES_MAX: usize = 600_000;

/// What may be set and need not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Set<T>(pub Option<T>);

impl<T: Value> Value for Set<T> {
    const KIND: Kind = T::KIND;

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        T::read(tree, reading).map(|value| Self(Some(value)))
    }

    fn shown(&self) -> String {
        self.0.as_ref().map(Value::shown).unwrap_or_default()
    }
}

/// A rule's list, which is longer than lists of the configuration may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules(pub Vec<RuleText>);

impl Value for Rules {
    const KIND: Kind = Kind::Sections(<RuleText as super::key::Section>::KEYS);

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let items = match &tree.node {
            Node::List(items) => items.as_slice(),
            Node::Null => &[],
            Node::Scalar(_) | Node::Map(_) => std::slice::from_ref(tree),
        };
        if items.len() > RULES_MAX {
            let what = format!("more than {RULES_MAX} rules");
            reading.wrong(
                tree.place,
                what,
                "put users into groups, hosts under labels",
            );
            return None;
        }
        let mut rules = Vec::new();
        for (i, item) in items.iter().enumerate() {
            rules.extend(reading.below::<RuleText>(i.to_string(), item));
        }
        Some(Self(rules))
    }

    fn shown(&self) -> String {
        "[]".to_owned()
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(
    tree: &Tree,
    reading: &mut Reading,
    known: &[(&'static str, T)],
) -> Option<T> {
    let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    let words = words.join(", ");
    let Node::Scalar(text) = &tree.node else {
        let what = format!("must be one of {words}; here is {}", tree.what());
        reading.wrong(tree.place, what, format!("write one of {words}"));
        return None;
    };
    let found = known.iter().find(|(word, _)| word == text);
    if found.is_none() {
        let next = match nearest(text, known.iter().map(|(word, _)| *word)) {
            Some(word) => format!("did you mean {word}?"),
            None => format!("write one of {words}"),
        };
        let what = format!("{} is none of {words}", quoted(text));
        reading.wrong(tree.place, what, next);
    }
    found.map(|(_, value)| *value)
}

impl Value for Scope {
    const KIND: Kind = Kind::One("`none`, `some` or `all`");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let known = [Self::None, Self::Some, Self::All].map(|scope| (scope.as_str(), scope));
        word(tree, reading, &known)
    }

    fn shown(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Value for OnEnd {
    const KIND: Kind = Kind::One("`leave` or `kill`");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        word(
            tree,
            reading,
            &[Self::Leave, Self::Kill].map(|end| (end.as_str(), end)),
        )
    }

    fn shown(&self) -> String {
        self.as_str().to_owned()
    }
}

/// Declares a section that has keys of its own, and after them the switches and terms that the
/// defaults and every rule can set.
macro_rules! setting {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        section! {
            $(#[$about])*
            $name {
                $($own)*
                /// Keep what a program shows on a terminal or writes to a pipe.
                stdout: Set<bool> = Set(None);
                /// Keep what a program writes to standard error when that is a pipe of its own.
                stderr: Set<bool> = Set(None);
                /// Keep what is piped into a program (no terminal).
                stdin: Set<bool> = Set(None);
                /// Keep what is typed at a terminal; what a terminal hides is never kept.
                keystrokes: Set<bool> = Set(None);
                /// Keep credentials inside protocols.
                passwords: Set<bool> = Set(None);
                /// Keep bytes inside forwarded connections.
                forwarding: Set<bool> = Set(None);
                /// Keep the content of transferred files.
                files: Set<bool> = Set(None);
                /// What happens to a session while its record cannot be made durable: `hold` it back
                /// for at most `hold`, then end it; `end` it at once; or let it `continue` with a gap.
                on_loss: Set<OnLoss> = Set(None);
                /// Longest time that a session is held back before it is ended.
                hold: Set<Span> = Set(None), in [Set(Some(Span::millis(100))), Set(Some(Span::seconds(3600)))];
                /// Nothing is shown to the user before it is durable.
                strict: Set<bool> = Set(None);
                /// What the user is shown before the first byte. At most 4096 bytes.
                notice: Set<String> = Set(None);
                /// Whether the user must accept the notice before the session goes on.
                accept: Set<bool> = Set(None);
                /// How long a session may go without an event (output, input that is kept, a new
                /// size) before it is ended. `0s`: for ever.
                idle: Set<Span> = Set(None), in [Set(Some(Span::seconds(0))), Set(Some(Span::days(365)))];
                /// Most bytes of one stream that are kept, without a terminal. Of what follows, what
                /// trickles is kept; what pours is counted and hashed, and the recording says so.
                /// As shipped 16MiB; `0B`: no bound.
                bulk: Set<Size> = Set(None), in [Set(Some(Size(0))), Set(Some(Size::gib(1024 * 1024)))];
                /// What becomes of what a login left running when its session ends.
                on_end: Set<OnEnd> = Set(None);
                /// The account may log in where nobody can record it from outside: it is recorded in
                /// its own process then, and flagged.
                break_glass: Set<bool> = Set(None);
                /// Tell of programs that the session starts, where the host records host events.
                /// What is not said the host's configuration decides (`capture.host.command`).
                command: Set<bool> = Set(None);
                /// The same for files.
                disk: Set<bool> = Set(None);
                /// The same for connections.
                network: Set<bool> = Set(None);
            }
        }

        impl $name {
            /// What it sets.
            fn settings(&self, recorded: Option<bool>) -> Settings {
                Settings {
                    recorded,
                    stdin: self.stdin.0,
                    keystrokes: self.keystrokes.0,
                    stdout: self.stdout.0,
                    stderr: self.stderr.0,
                    passwords: self.passwords.0,
                    forwarding: self.forwarding.0,
                    files: self.files.0,
                    on_loss: self.on_loss.0,
                    hold_ms_max: self.hold.0.map(Span::as_millis),
                    strict: self.strict.0,
                    notice: self.notice.0.clone(),
                    accept: self.accept.0,
                    idle_ms_max: self.idle.0.map(Span::as_millis),
                    bulk_bytes_max: self.bulk.0.map(|size| size.0),
                    on_end: self.on_end.0,
                    break_glass: self.break_glass.0,
                    watch: Watch {
                        command: self.command.0,
                        disk: self.disk.0,
                        network: self.network.0,
                    },
                }
            }
        }
    };
}

section! {
    /// A policy.
    PolicyText {
        /// Who is recorded where no rule says `record`: SSSD's words. `none`: nobody. `some`: `users`
        /// and members of `groups`. `all`: everybody but `exclude_users` and members of
        /// `exclude_groups`.
        scope: Scope = Scope::All;
        /// With `scope: some`: accounts, by name or as `#1000`. At most 1000.
        users: Vec<String> = Vec::new();
        /// With `scope: some`: groups. At most 1000.
        groups: Vec<String> = Vec::new();
        /// With `scope: all`: accounts that are not recorded. At most 1000.
        exclude_users: Vec<String> = Vec::new();
        /// With `scope: all`: groups whose members are not recorded. At most 1000.
        exclude_groups: Vec<String> = Vec::new();
        /// What holds where the rule that decides does not set it; what is not set here either is as
        /// shipped.
        default: Defaults = Defaults::default();
        /// The first rule that matches a login decides, and only it. At most 10,000.
        rules: Rules = Rules::default();
    }
}

setting! {
    /// What holds where the rule that decides does not set it.
    Defaults {}
}

setting! {
    /// One rule. It matches a login if everything matches that it names.
    RuleText {
        /// Its name, once in a policy; the header of a recording says which rule decided. Required.
        name: String = String::new();
        /// Accounts, by name or as `#1000`. With `groups` too, either is enough. Empty, with `groups`
        /// empty: anybody.
        users: Vec<String> = Vec::new();
        /// Groups: being in one is enough.
        groups: Vec<String> = Vec::new();
        /// Accounts for which the rule is not, whatever else it names.
        exclude_users: Vec<String> = Vec::new();
        /// Groups for whose members the rule is not, whatever else it names.
        exclude_groups: Vec<String> = Vec::new();
        /// Hosts by name; `*` stands for any run of characters. Empty: any host.
        hosts: Vec<String> = Vec::new();
        /// Labels that the host must have, all of them. Empty: any host.
        labels: Labels = Labels::new();
        /// Kinds of session: `terminal`, `exec`. Empty: any.
        kinds: Vec<String> = Vec::new();
        /// Whether the session is recorded. Without it `scope` says.
        record: Set<bool> = Set(None);
    }
}

impl PolicyText {
    fn set(&self, version: u64) -> PolicySet {
        let rule = |rule: &RuleText| hansard_core::policy::Rule {
            name: rule.name.clone(),
            on: Selector {
                users: rule.users.clone(),
                groups: rule.groups.clone(),
                exclude_users: rule.exclude_users.clone(),
                exclude_groups: rule.exclude_groups.clone(),
                hosts: rule.hosts.clone(),
                labels: rule.labels.clone(),
                kinds: rule.kinds.clone(),
            },
            set: rule.settings(rule.record.0),
        };
        PolicySet {
            version,
            scope: self.scope,
            subjects: Selector {
                users: self.users.clone(),
                groups: self.groups.clone(),
                exclude_users: self.exclude_users.clone(),
                exclude_groups: self.exclude_groups.clone(),
                ..Selector::default()
            },
            default: self.default.settings(None),
            rules: self.rules.0.iter().map(rule).collect(),
        }
    }
}

/// Reads a policy and makes it ready.
///
/// # Errors
/// Everything that is wrong with it, each with its line and key; at least one.
pub fn read(text: &str, version: u64) -> Result<Decider, Vec<Finding>> {
    if text.len() > POLICY_BYTES_MAX {
        let what = format!("longer than {POLICY_BYTES_MAX} bytes");
        let next = "put users into groups, hosts under labels";
        return Err(vec![Finding::error("", what, next)]);
    }
    let tree = parse_within(text, POLICY_NODES_MAX).map_err(|malformed| {
        let finding = Finding::error("", malformed.what, malformed.next);
        vec![finding.at(malformed.place)]
    })?;
    let mut reading = Reading::default();
    let read = PolicyText::read(&tree, &mut reading).unwrap_or_default();
    if !reading.findings.is_empty() {
        return Err(reading.findings);
    }
    Decider::new(read.set(version)).map_err(|refused| {
        let key = match refused.rule {
            Some(rule) => format!("rules.{rule}.{}", refused.key),
            None => refused.key.to_owned(),
        };
        let place: Place = tree.at(&key).place;
        vec![Finding::error(key, refused.what, refused.next).at(place)]
    })
}
