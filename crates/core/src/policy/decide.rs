//! Deciding by a policy. Lists are turned around first (name → rules), so that a login costs what is
//! said about it, and not what is said about everybody.

use std::collections::BTreeMap;

use super::set::{PolicySet, Refused, Scope, Selector, Settings, Watch};
use super::{BULK_BYTES_SHIPPED, NOTICE_SHIPPED, Policy};
use crate::gate::{Decision, Login};

/// Where a login happens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A policy, ready to decide.
#[derive(Debug, Clone)]
pub struct Decider {
    set: PolicySet,
    /// Rules that name a subject, by what they name, in their order.
    users: Named,
    groups: Named,
    exclude_users: Named,
    exclude_groups: Named,
    /// Rules that are for every subject.
    for_all: Vec<u32>,
}

/// Numbers of rules by a name in them.
type Named = BTreeMap<String, Vec<u32>>;

/// Rules by number, as bits.
struct Marks(Vec<u64>);

impl Marks {
    fn new(rules: usize) -> Self {
        Self(vec![0; rules.div_ceil(64)])
    }

    fn set(&mut self, rules: Option<&Vec<u32>>, on: bool) {
        for rule in rules.into_iter().flatten() {
            let bit = 1u64 << (rule % 64);
            let word = usize::try_from(rule / 64).unwrap_or(usize::MAX);
            if let Some(word) = self.0.get_mut(word) {
                *word = if on { *word | bit } else { *word & !bit };
            }
        }
    }

    /// Those that are set, in their order.
    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let mut word = *word;
            std::iter::from_fn(move || {
                let bit = usize::try_from(word.trailing_zeros()).unwrap_or(64);
                (word != 0).then(|| {
                    word &= word.wrapping_sub(1);
                    at.saturating_mul(64).saturating_add(bit)
                })
            })
        })
    }
}

fn turn<'a>(
    rules: impl Iterator<Item = (u32, &'a Selector)>,
    list: fn(&Selector) -> &Vec<String>,
) -> Named {
    let mut named = Named::new();
    for (number, on) in rules {
        for name in list(on) {
            named.entry(name.clone()).or_default().push(number);
        }
    }
    named
}

impl Decider {
    /// Makes a policy ready.
    ///
    /// # Errors
    /// When the set is beyond a bound, or says something that has no effect.
    pub fn new(set: PolicySet) -> Result<Self, Refused> {
        set.check()?;
        let selectors = || (0u32..).zip(set.rules.iter().map(|rule| &rule.on));
        let names_nobody = |on: &Selector| on.users.is_empty() && on.groups.is_empty();
        let for_all = selectors().filter(|(_, on)| names_nobody(on));
        Ok(Self {
            users: turn(selectors(), |on| &on.users),
            groups: turn(selectors(), |on| &on.groups),
            exclude_users: turn(selectors(), |on| &on.exclude_users),
            exclude_groups: turn(selectors(), |on| &on.exclude_groups),
            for_all: for_all.map(|(number, _)| number).collect(),
            set,
        })
    }

    /// What is shipped: everybody is recorded, as [`Policy::default`] says, with streams bounded
    /// ([`BULK_BYTES_SHIPPED`]).
    #[must_use]
    pub fn shipped() -> Self {
        Self {
            users: Named::new(),
            groups: Named::new(),
            exclude_users: Named::new(),
            exclude_groups: Named::new(),
            for_all: Vec::new(),
            set: PolicySet::default(),
        }
    }

    /// The policy itself.
    #[must_use]
    pub fn set(&self) -> &PolicySet {
        &self.set
    }

    /// Decides: the first rule that matches sets what it names, the defaults the rest.
    #[must_use]
    pub fn decide(&self, who: &Login, host: &Host) -> Decision {
        let subjects = self.of_subject(who);
        let on_host = |number: &usize| {
            let rule = self.set.rules.get(*number);
            rule.is_some_and(|rule| matches_place(&rule.on, &who.kind, host))
        };
        let rule = subjects.iter().find(on_host);
        let rule = rule.and_then(|number| self.set.rules.get(number));
        let (rule, set) = match rule {
            Some(rule) => (rule.name.as_str(), Some(&rule.set)),
            None => ("", None),
        };
        let in_scope = in_scope(&self.set, who);
        decision(&self.set, rule, set, in_scope)
    }

    /// Rules that are for this login, wherever it happens.
    fn of_subject(&self, who: &Login) -> Marks {
        let mut marks = Marks::new(self.set.rules.len());
        let number = format!("#{}", who.uid);
        marks.set(Some(&self.for_all), true);
        marks.set(self.users.get(&who.user), true);
        marks.set(self.users.get(&number), true);
        for group in &who.groups {
            marks.set(self.groups.get(group), true);
        }
        marks.set(self.exclude_users.get(&who.user), false);
        marks.set(self.exclude_users.get(&number), false);
        for group in &who.groups {
            marks.set(self.exclude_groups.get(group), false);
        }
        marks
    }
}

/// Whether the scope says that this login is recorded.
fn in_scope(set: &PolicySet, who: &Login) -> bool {
    let of = &set.subjects;
    let number = format!("#{}", who.uid);
    let is_user = |list: &[String]| list.iter().any(|user| *user == who.user || *user == number);
    let is_member = |list: &[String]| list.iter().any(|group| who.groups.contains(group));
    match set.scope {
        Scope::None => false,
        Scope::Some => is_user(&of.users) || is_member(&of.groups),
        Scope::All => !is_user(&of.exclude_users) && !is_member(&of.exclude_groups),
    }
}

fn matches_place(on: &Selector, kind: &str, host: &Host) -> bool {
    let has = |(name, value): (&String, &String)| host.labels.get(name) == Some(value);
    (on.kinds.is_empty() || on.kinds.iter().any(|known| known == kind))
        && on.labels.iter().all(has)
        && (on.hosts.is_empty() || on.hosts.iter().any(|known| is_like(known, &host.name)))
}

/// Whether a name is like a pattern, in which `*` stands for any run of characters. Goes back to the
/// last star only, so it costs at most the product of both lengths.
#[must_use]
pub fn is_like(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0usize, 0usize);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p = p.saturating_add(1);
            }
            Some(known) if known == byte => {
                p = p.saturating_add(1);
                n = n.saturating_add(1);
            }
            _ => {
                let Some((at, from)) = star else {
                    return false;
                };
                let from = from.saturating_add(1);
                star = Some((at, from));
                p = at.saturating_add(1);
                n = from;
            }
        }
    }
    pattern.iter().skip(p).all(|rest| *rest == b'*')
}

/// What a rule sets, else the defaults, else what is shipped.
fn decision(set: &PolicySet, rule: &str, of_rule: Option<&Settings>, in_scope: bool) -> Decision {
    let default = &set.default;
    let shipped = Policy::default();
    let nothing = Settings::default();
    let of_rule = of_rule.unwrap_or(&nothing);
    macro_rules! pick {
        ($key:ident, $shipped:expr) => {
            of_rule
                .$key
                .clone()
                .or_else(|| default.$key.clone())
                .unwrap_or($shipped)
        };
    }
    Decision {
        // The scope is what the defaults say of it, unless they say so themselves.
        recorded: pick!(recorded, in_scope),
        policy: Policy {
            stdin: pick!(stdin, shipped.stdin),
            keystrokes: pick!(keystrokes, shipped.keystrokes),
            stdout: pick!(stdout, shipped.stdout),
            stderr: pick!(stderr, shipped.stderr),
            passwords: pick!(passwords, shipped.passwords),
            forwarding: pick!(forwarding, shipped.forwarding),
            files: pick!(files, shipped.files),
            on_loss: pick!(on_loss, shipped.on_loss),
            hold_ms_max: pick!(hold_ms_max, shipped.hold_ms_max),
            strict: pick!(strict, shipped.strict),
            idle_ms_max: pick!(idle_ms_max, shipped.idle_ms_max),
            bulk_bytes_max: pick!(bulk_bytes_max, BULK_BYTES_SHIPPED),
            version: set.version,
            rule: rule.to_owned(),
        },
        notice: pick!(notice, NOTICE_SHIPPED.to_owned()),
        accept: pick!(accept, false),
        on_end: pick!(on_end, super::OnEnd::default()),
        break_glass: pick!(break_glass, false),
        watch: Watch {
            command: of_rule.watch.command.or(default.watch.command),
            disk: of_rule.watch.disk.or(default.watch.disk),
            network: of_rule.watch.network.or(default.watch.network),
        },
    }
}
