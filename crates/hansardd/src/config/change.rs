//! What is different between two configurations, and whether a reload is enough for it.

use std::collections::BTreeMap;

use super::Config;
use super::key::{Key, Kind, Section as _, Value as _};

/// A key with another value than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key: `capture.local.hold`.
    pub key: String,
    /// What it was; `None` where its section was not there.
    pub before: Option<String>,
    /// What it is; `None` where its section is not there any more.
    pub after: Option<String>,
    /// Whether it takes effect at a reload; otherwise at the next start.
    pub live: bool,
}

/// The differences, in the order of their keys.
#[must_use]
pub fn changes(before: &Config, after: &Config) -> Vec<Change> {
    let (before, after) = (flat(before), flat(after));
    let keys = before
        .keys()
        .chain(after.keys().filter(|key| !before.contains_key(*key)));
    let mut changes: Vec<Change> = keys
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| Change {
            key: key.clone(),
            before: before.get(key).cloned(),
            after: after.get(key).cloned(),
            // A section that comes or goes is a role that is switched, which takes a start.
            live: before.contains_key(key) == after.contains_key(key) && is_live(key)
                || key_of(key).is_some_and(|(_, inside_live)| inside_live),
        })
        .collect();
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes
}

fn flat(config: &Config) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    config.flatten("", &mut |key, value| {
        flat.insert(key.to_owned(), value);
    });
    flat
}

fn is_live(path: &str) -> bool {
    key_of(path).is_some_and(|(key, inside_live)| key.live || inside_live)
}

/// The key at this path, and whether a key above it is live as a whole.
fn key_of(path: &str) -> Option<(&'static Key, bool)> {
    let mut keys = Config::KEYS;
    let mut found: Option<&'static Key> = None;
    let mut inside_live = false;
    for name in path.split('.') {
        // The number of an element, or the name of a label.
        let Some(key) = keys.iter().find(|key| key.name == name) else {
            continue;
        };
        inside_live |= found.is_some_and(|above| above.live);
        keys = super::value::keys_of(key.kind);
        if let Kind::Switch(_) = key.kind {
            inside_live = false;
        }
        found = Some(key);
    }
    found.map(|key| (key, inside_live))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(before: &str, after: &str) -> Vec<(String, bool)> {
        let parse = |text| {
            let (config, findings) = Config::parse(text);
            assert_eq!(findings, []);
            config
        };
        changes(&parse(before), &parse(after))
            .into_iter()
            .map(|change| (change.key, change.live))
            .collect()
    }

    #[test]
    fn a_reload_changes_some_keys_and_a_start_the_rest() {
        let before = "capture: {local: {}}\nstore: {}\nserve: {admin: {}}\n";
        let after = "capture: {local: {hold: 5s}}\nstore: {pack_age: 5s}\n\
            serve: {admin: {roles: {auditor: {groups: [audit]}}}}\n";
        let changed = |key: &str, live| (key.to_owned(), live);
        assert_eq!(
            between(before, after),
            [
                changed("capture.local.hold", true),
                changed("serve.admin.roles.auditor.groups", true),
                changed("store.pack_age", false),
            ]
        );
        assert_eq!(between(before, before), []);
    }

    #[test]
    fn rules_change_at_a_reload_and_roles_of_the_process_at_a_start() {
        let rules = between("store: {}", "store: {retention: [{keep: 30d}]}");
        assert!(
            !rules.is_empty() && rules.iter().all(|(_, live)| *live),
            "{rules:?}"
        );
        let role = between("store: {}", "store: {}\nserve: {ingest: {}}");
        assert!(
            role.contains(&("serve.ingest".to_owned(), false)),
            "{role:?}"
        );
        assert!(role.iter().all(|(_, live)| !live), "{role:?}");
        let local = between("capture: {}", "capture: {local: {}}");
        assert!(local.contains(&("capture.local".to_owned(), false)));
        assert!(
            local.contains(&("capture.local.hold".to_owned(), false)),
            "{local:?}"
        );
    }
}
