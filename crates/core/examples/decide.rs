//! Measures deciding: `cargo run --release -p hansard-core --example decide -- USERS RULES`. Each
//! user is decided once on one host; half of the rules name users, the others groups, hosts and
//! labels. Prints the time of making the policy ready, of one decision, and of all of them.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hansard_core::gate::Login;
use hansard_core::policy::decide::Host;
use hansard_core::policy::{Decider, PolicySet, Rule, Selector, Settings};

/// What a decision may take.
const BOUND: Duration = Duration::from_millis(1);

fn policy(users: usize, rules: usize) -> PolicySet {
    let rule = |i: usize| {
        let named = |j: usize| format!("user{}", i.wrapping_mul(37).wrapping_add(j) % users.max(1));
        let mut on = Selector::default();
        match i % 4 {
            0 | 1 => on.users = (0..40).map(named).collect(),
            2 => {
                on.groups = vec![format!("group{}", i % 100)];
                on.hosts = vec![format!("web{i}*"), "*.example.org".to_owned()];
            }
            _ => on.labels = BTreeMap::from([("env".to_owned(), format!("stage{i}"))]),
        }
        Rule {
            name: format!("rule {i}"),
            on,
            set: Settings {
                strict: Some(true),
                ..Settings::default()
            },
        }
    };
    PolicySet {
        rules: (0..rules).map(rule).collect(),
        ..PolicySet::default()
    }
}

fn main() {
    let mut args = std::env::args().skip(1).filter_map(|arg| arg.parse().ok());
    let users: usize = args.next().unwrap_or(10_000);
    let rules: usize = args.next().unwrap_or(500);
    let began = Instant::now();
    let decider = match Decider::new(policy(users, rules)) {
        Ok(decider) => decider,
        Err(refused) => {
            println!("refused: {refused}");
            return;
        }
    };
    println!("made ready in {:?}", began.elapsed());
    let host = Host {
        name: "db7.example.net".to_owned(),
        labels: BTreeMap::from([("env".to_owned(), "prod".to_owned())]),
    };
    let (mut took, mut by_rule) = (Vec::with_capacity(users), 0u64);
    let began = Instant::now();
    for user in 0..users {
        let login = Login {
            user: format!("user{user}"),
            uid: u32::try_from(user).unwrap_or(u32::MAX),
            groups: (0..20)
                .map(|g| format!("group{}", user.wrapping_add(g) % 100))
                .collect(),
            kind: "terminal".to_owned(),
        };
        let one = Instant::now();
        let decision = decider.decide(&login, &host);
        took.push(one.elapsed());
        by_rule = by_rule.saturating_add(u64::from(!decision.policy.rule.is_empty()));
    }
    let all = began.elapsed();
    took.sort_unstable();
    // What is longer on a machine with other work is the time that this had to wait for it.
    let at = |share: usize| took.get(users.saturating_mul(share) / 1000).copied();
    let [half, most, longest] =
        [at(500), at(999), took.last().copied()].map(Option::unwrap_or_default);
    let over = took.iter().filter(|one| **one > BOUND).count();
    println!("{users} users, {rules} rules: {all:?} in all, {by_rule} by a rule");
    println!("each: p50 {half:?}, p99.9 {most:?}, longest {longest:?}; {over} over {BOUND:?}");
}
