//! Deciding by a policy: SSSD's words, the first rule that matches, and the same as a naive reading
//! of the rules, over generated ones.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::collections::BTreeMap;

use hansard_core::gate::{Decision, Login};
use hansard_core::policy::decide::{Host, is_like};
use hansard_core::policy::set::{
    NAME_BYTES_MAX, NAMES_MAX, NOTICE_BYTES_MAX, RULE_NAME_BYTES_MAX, RULES_MAX,
};
use hansard_core::policy::{
    BULK_BYTES_SHIPPED, Decider, Policy, PolicySet, Rule, Scope, Selector, Settings,
};
use proptest::prelude::*;

fn names(of: &[&str]) -> Vec<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

fn login(user: &str, uid: u32, groups: &[&str]) -> Login {
    Login {
        user: user.to_owned(),
        uid,
        groups: names(groups),
        kind: "terminal".to_owned(),
    }
}

fn host(name: &str, labels: &[(&str, &str)]) -> Host {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Host {
        name: name.to_owned(),
        labels: labels.iter().map(pair).collect(),
    }
}

fn rule(name: &str, on: Selector, set: Settings) -> Rule {
    Rule {
        name: name.to_owned(),
        on,
        set,
    }
}

fn decide(set: &PolicySet, who: &Login, at: &Host) -> Decision {
    Decider::new(set.clone()).unwrap().decide(who, at)
}

#[test]
fn scopes_are_sssd_s() {
    let recorded = |set: &PolicySet, user: &str, groups: &[&str]| {
        decide(set, &login(user, 1000, groups), &Host::default()).recorded
    };
    let none = PolicySet {
        scope: Scope::None,
        ..PolicySet::default()
    };
    assert!(!recorded(&none, "ann", &["wheel"]));
    let some = PolicySet {
        scope: Scope::Some,
        subjects: Selector {
            users: names(&["ann", "#1001"]),
            groups: names(&["wheel"]),
            ..Selector::default()
        },
        ..PolicySet::default()
    };
    assert!(recorded(&some, "ann", &[]));
    assert!(recorded(&some, "bob", &["users", "wheel"]));
    assert!(!recorded(&some, "bob", &["users"]));
    let by_number = decide(&some, &login("carl", 1001, &[]), &Host::default());
    assert!(by_number.recorded);
    let all = PolicySet {
        scope: Scope::All,
        subjects: Selector {
            exclude_users: names(&["backup"]),
            exclude_groups: names(&["robots"]),
            ..Selector::default()
        },
        ..PolicySet::default()
    };
    assert!(recorded(&all, "ann", &[]));
    assert!(!recorded(&all, "backup", &["wheel"]));
    assert!(!recorded(&all, "r2", &["users", "robots"]));
}

#[test]
fn the_first_rule_that_matches_sets_what_it_names_and_the_defaults_the_rest() {
    let set = PolicySet {
        version: 7,
        scope: Scope::None,
        default: Settings {
            keystrokes: Some(true),
            notice: Some("be good".to_owned()),
            ..Settings::default()
        },
        rules: vec![
            rule(
                "prod",
                Selector {
                    groups: names(&["admins"]),
                    exclude_users: names(&["eve"]),
                    labels: BTreeMap::from([("env".to_owned(), "prod".to_owned())]),
                    ..Selector::default()
                },
                Settings {
                    recorded: Some(true),
                    strict: Some(true),
                    idle_ms_max: Some(900_000),
                    ..Settings::default()
                },
            ),
            rule(
                "web",
                Selector {
                    hosts: names(&["web*"]),
                    ..Selector::default()
                },
                Settings {
                    recorded: Some(true),
                    notice: Some("web".to_owned()),
                    ..Settings::default()
                },
            ),
        ],
        ..PolicySet::default()
    };
    let prod = host("web1", &[("env", "prod")]);
    let first = decide(&set, &login("ann", 1, &["admins"]), &prod);
    assert!(first.recorded && first.policy.strict && first.policy.keystrokes);
    assert_eq!(
        (first.policy.version, first.policy.rule.as_str()),
        (7, "prod")
    );
    assert_eq!(
        (first.policy.idle_ms_max, first.notice.as_str()),
        (900_000, "be good")
    );
    // Excluded from the first rule, so the second decides.
    let second = decide(&set, &login("eve", 2, &["admins"]), &prod);
    assert_eq!(
        (second.policy.rule.as_str(), second.notice.as_str()),
        ("web", "web")
    );
    assert!(!second.policy.strict);
    let nobody = decide(&set, &login("ann", 1, &["admins"]), &host("db1", &[]));
    assert!(!nobody.recorded && nobody.policy.rule.is_empty());
    assert_eq!(nobody.policy.version, 7);
}

#[test]
fn a_set_beyond_a_bound_or_without_effect_is_refused() {
    let refused = |set: PolicySet| Decider::new(set).unwrap_err().to_string();
    let with_rule = |name: &str, on: Selector, set: Settings| PolicySet {
        rules: vec![rule(name, on, set)],
        ..PolicySet::default()
    };
    let plain = |name: &str| rule(name, Selector::default(), Settings::default());
    let many = |n: usize| PolicySet {
        rules: (0..n).map(|i| plain(&i.to_string())).collect(),
        ..PolicySet::default()
    };
    assert!(Decider::new(many(RULES_MAX)).is_ok());
    assert!(refused(many(RULES_MAX + 1)).contains("more than 10000 rules"));
    let users = |users: Vec<String>| Selector {
        users,
        ..Selector::default()
    };
    let of_names = |n: usize| with_rule("r", users(vec!["u".to_owned(); n]), Settings::default());
    assert!(Decider::new(of_names(NAMES_MAX)).is_ok());
    assert!(refused(of_names(NAMES_MAX + 1)).contains("names in all"));
    let long = users(vec!["u".repeat(NAME_BYTES_MAX + 1)]);
    assert!(refused(with_rule("r", long, Settings::default())).starts_with("rules.0.users: "));
    let number = users(names(&["#x"]));
    assert!(refused(with_rule("r", number, Settings::default())).contains("no number"));
    let notice = Settings {
        notice: Some("n".repeat(NOTICE_BYTES_MAX + 1)),
        ..Settings::default()
    };
    assert!(refused(with_rule("r", Selector::default(), notice)).contains("rules.0.notice"));
    for name in ["", &"n".repeat(RULE_NAME_BYTES_MAX + 1)] {
        let set = with_rule(name, Selector::default(), Settings::default());
        assert!(refused(set).contains("rules.0.name"));
    }
    let twice = PolicySet {
        rules: vec![plain("a"), plain("a")],
        ..PolicySet::default()
    };
    assert!(refused(twice).contains("rules.1.name"));
    let scoped = |scope, subjects| PolicySet {
        scope,
        subjects,
        ..PolicySet::default()
    };
    let excluding = || Selector {
        exclude_groups: names(&["g"]),
        ..Selector::default()
    };
    let both = Selector {
        users: names(&["a"]),
        ..excluding()
    };
    assert!(refused(scoped(Scope::Some, Selector::default())).starts_with("scope: "));
    assert!(refused(scoped(Scope::Some, both)).starts_with("exclude_users: "));
    assert!(refused(scoped(Scope::None, excluding())).starts_with("exclude_users: "));
    assert!(refused(scoped(Scope::All, users(names(&["a"])))).starts_with("users: "));
}

/// The rules as they read, one after the other.
fn naive(set: &PolicySet, who: &Login, at: &Host) -> (bool, String, Option<bool>) {
    let number = format!("#{}", who.uid);
    let user_in = |list: &[String]| list.contains(&who.user) || list.contains(&number);
    let group_in = |list: &[String]| who.groups.iter().any(|group| list.contains(group));
    for rule in &set.rules {
        let on = &rule.on;
        if user_in(&on.exclude_users) || group_in(&on.exclude_groups) {
            continue;
        }
        let anyone = on.users.is_empty() && on.groups.is_empty();
        let subject = anyone || user_in(&on.users) || group_in(&on.groups);
        let labels = on.labels.iter().all(|(k, v)| at.labels.get(k) == Some(v));
        let place = on.hosts.is_empty() || on.hosts.iter().any(|h| like(h, &at.name));
        let kind = on.kinds.is_empty() || on.kinds.contains(&who.kind);
        if subject && labels && place && kind {
            let recorded = rule.set.recorded.unwrap_or_else(|| scoped(set, who));
            let strict = rule.set.strict.or(set.default.strict);
            return (recorded, rule.name.clone(), strict);
        }
    }
    (scoped(set, who), String::new(), set.default.strict)
}

fn scoped(set: &PolicySet, who: &Login) -> bool {
    let number = format!("#{}", who.uid);
    let of = &set.subjects;
    let some = of.users.contains(&who.user)
        || of.users.contains(&number)
        || of.groups.iter().any(|group| who.groups.contains(group));
    let excluded = of.exclude_users.contains(&who.user)
        || of.exclude_users.contains(&number)
        || of
            .exclude_groups
            .iter()
            .any(|group| who.groups.contains(group));
    match set.scope {
        Scope::None => false,
        Scope::Some => some,
        Scope::All => !excluded,
    }
}

fn like(pattern: &str, name: &str) -> bool {
    match pattern.chars().next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            (0..=name.len()).any(|i| name.is_char_boundary(i) && like(rest, &name[i..]))
        }
        Some(c) => name
            .strip_prefix(c)
            .is_some_and(|rest| like(&pattern[c.len_utf8()..], rest)),
    }
}

fn some_of(words: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop::sample::select(words).prop_map(str::to_owned), 0..3)
}

const USERS: &[&str] = &["a", "b", "c", "#1", "#2"];
const GROUPS: &[&str] = &["g", "h", "i"];
const HOSTS: &[&str] = &["web*", "w*1", "*", "db1", "**2"];

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let pair = (
        prop::sample::select(&["env", "tier"][..]),
        prop::sample::select(&["x", "y"][..]),
    );
    let pair = pair.prop_map(|(k, v)| (k.to_owned(), v.to_owned()));
    prop::collection::btree_map(pair.clone().prop_map(|p| p.0), pair.prop_map(|p| p.1), 0..2)
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let on = (
        some_of(USERS),
        some_of(GROUPS),
        some_of(USERS),
        some_of(GROUPS),
        some_of(HOSTS),
        labels(),
        some_of(&["terminal", "exec"]),
    );
    let on = on.prop_map(
        |(users, groups, exclude_users, exclude_groups, hosts, labels, kinds)| Selector {
            users,
            groups,
            exclude_users,
            exclude_groups,
            hosts,
            labels,
            kinds,
        },
    );
    let set = (any::<Option<bool>>(), any::<Option<bool>>());
    let set = set.prop_map(|(recorded, strict)| Settings {
        recorded,
        strict,
        ..Settings::default()
    });
    let rule = (on, set).prop_map(|(on, set)| Rule {
        name: String::new(),
        on,
        set,
    });
    prop::collection::vec(rule, 0..80).prop_map(|mut rules| {
        for (i, rule) in rules.iter_mut().enumerate() {
            rule.name = format!("rule {i}");
        }
        rules
    })
}

fn subjects() -> impl Strategy<Value = (Scope, Selector)> {
    (0..3, some_of(USERS), some_of(GROUPS)).prop_map(|(scope, users, groups)| {
        match (scope, users.is_empty() && groups.is_empty()) {
            (0, _) | (1, true) => (Scope::None, Selector::default()),
            (1, false) => (
                Scope::Some,
                Selector {
                    users,
                    groups,
                    ..Selector::default()
                },
            ),
            _ => (
                Scope::All,
                Selector {
                    exclude_users: users,
                    exclude_groups: groups,
                    ..Selector::default()
                },
            ),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn it_is_what_the_rules_say_one_after_the_other(
        (scope, subjects) in subjects(),
        rules in rules(),
        strict in any::<Option<bool>>(),
        (user, uid) in (prop::sample::select(&["a", "b", "d"][..]), 0u32..4),
        groups in some_of(GROUPS),
        (name, labels) in (prop::sample::select(&["web1", "w1", "db1", "x2"][..]), labels()),
        kind in prop::sample::select(&["terminal", "exec"][..]),
    ) {
        let set = PolicySet {
            version: 3,
            scope,
            subjects,
            default: Settings { strict, ..Settings::default() },
            rules,
        };
        let who = Login { user: user.to_owned(), uid, groups, kind: kind.to_owned() };
        let at = Host { name: name.to_owned(), labels };
        let decided = decide(&set, &who, &at);
        let (recorded, rule, strict) = naive(&set, &who, &at);
        prop_assert_eq!(decided.recorded, recorded);
        prop_assert_eq!(decided.policy.rule, rule);
        prop_assert_eq!(decided.policy.strict, strict.unwrap_or(false));
    }

    #[test]
    fn patterns_are_what_they_read_like(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
        prop_assert_eq!(is_like(&pattern, &name), like(&pattern, &name));
    }
}

#[test]
fn streams_are_bounded_as_shipped_unless_something_says_otherwise() {
    let bulk = |of_default: Option<u64>, of_rule: Option<u64>| {
        let of = |bulk_bytes_max| Settings {
            bulk_bytes_max,
            ..Settings::default()
        };
        let set = PolicySet {
            default: of(of_default),
            rules: vec![rule("all", Selector::default(), of(of_rule))],
            ..PolicySet::default()
        };
        let decision = decide(&set, &login("ann", 1, &[]), &Host::default());
        decision.policy.bulk_bytes_max
    };
    assert_eq!(bulk(None, None), BULK_BYTES_SHIPPED);
    assert_eq!(bulk(Some(0), None), 0);
    assert_eq!(bulk(Some(0), Some(5)), 5);
    assert_eq!(bulk(Some(7), Some(0)), 0);
    let shipped = Decider::shipped().decide(&login("ann", 1, &[]), &Host::default());
    assert_eq!(shipped.policy.bulk_bytes_max, BULK_BYTES_SHIPPED);
    // Whoever records for themselves, and a header that says nothing: no bound.
    assert_eq!(Policy::default().bulk_bytes_max, 0);
}
