//! Rules for manifests: who may import whom, how many crates come along, why each is here.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::process::Command;

use hansard_tests::{repository, skipped};

use crate::assert_none;
use crate::tree::files;

/// Who may import whom: ARCHITECTURE.md's table, with the crates that are to come.
const MAY_IMPORT: [(&str, &[&str]); 10] = [
    ("core", &[]),
    ("record", &["core"]),
    ("view", &["core"]),
    ("shell", &["core", "record"]),
    ("capture", &["core", "record", "shell"]),
    ("store", &["core", "view"]),
    ("identity", &["core"]),
    ("export", &["core", "view"]),
    ("hansard", &["core", "record", "shell", "view", "identity"]),
    (
        "hansardd",
        &[
            "core", "record", "view", "shell", "capture", "store", "identity", "export",
        ],
    ),
];

/// Third-party crates that come along when only this crate is built, at most. At the limit: argue
/// in CONTRIBUTING.md for raising it, or do without.
const TREE_CRATES_MAX: [(&str, usize); 2] = [("hansard-core", 20), ("hansard", 170)];

/// Tables of a manifest: their header, and the `key = value` lines under it.
type Tables = BTreeMap<String, Vec<(String, String)>>;

fn manifest(path: &str) -> Option<Tables> {
    let text = files().iter().find(|f| f.path == path)?.text()?;
    let mut tables = Tables::new();
    let mut current = String::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
    {
        if let Some(header) = line.strip_prefix('[').and_then(|l| l.split(']').next()) {
            current = header.trim_matches(['[', ']']).to_owned();
            tables.entry(current.clone()).or_default();
        } else if let Some((key, value)) = line.split_once('=') {
            let pair = (key.trim().to_owned(), value.trim().to_owned());
            tables.entry(current.clone()).or_default().push(pair);
        }
    }
    Some(tables)
}

/// The crates under `crates/`, by directory.
fn crates() -> Vec<(String, Tables)> {
    let directories: BTreeSet<&str> = files()
        .iter()
        .filter_map(|f| f.path.strip_prefix("crates/")?.split_once('/'))
        .map(|(directory, _)| directory)
        .collect();
    directories
        .into_iter()
        .map(|d| {
            let tables = manifest(&format!("crates/{d}/Cargo.toml"));
            (
                d.to_owned(),
                tables.unwrap_or_else(|| panic!("crates/{d} has no Cargo.toml")),
            )
        })
        .collect()
}

/// Names of the dependencies in a table, without `.workspace` and the like.
fn names<'a>(tables: &'a Tables, table: &str) -> Vec<&'a str> {
    let pairs = tables.get(table).map_or(&[][..], Vec::as_slice);
    pairs
        .iter()
        .map(|(key, _)| key.split('.').next().unwrap_or(key))
        .collect()
}

const DEPENDENCY_TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

#[test]
fn crates_import_only_what_they_may() {
    let mut breaches = Vec::new();
    for (directory, tables) in crates() {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == directory) else {
            breaches.push(format!(
                "crates/{directory} is not on the architecture page"
            ));
            continue;
        };
        for table in DEPENDENCY_TABLES {
            for name in names(&tables, table) {
                let ours = name
                    .strip_prefix("hansard-")
                    .or((name == "hansard").then_some(name));
                if ours.is_some_and(|ours| !allowed.contains(&ours)) {
                    breaches.push(format!("{directory} must not import {name}"));
                }
            }
        }
    }
    assert_none("imports follow the architecture page", &breaches);
}

#[test]
fn only_shell_asks_for_ptys() {
    let breaches: Vec<String> = crates()
        .into_iter()
        .filter(|(directory, _)| directory != "shell")
        .filter(|(_, tables)| {
            let all = tables.get("dependencies").into_iter().flatten();
            all.into_iter().any(|(_, value)| value.contains("\"pty\""))
        })
        .map(|(directory, _)| directory)
        .collect();
    assert_none(
        "only shell may switch on the feature that opens ptys",
        &breaches,
    );
}

#[test]
fn manifests_follow_the_workspace() {
    let mut breaches = Vec::new();
    let ours = crates()
        .into_iter()
        .map(|(d, t)| (format!("crates/{d}"), t));
    let tests = manifest("tests/Cargo.toml").map(|t| ("tests".to_owned(), t));
    for (path, tables) in ours.chain(tests) {
        let lints = tables
            .get("lints")
            .is_some_and(|l| l.contains(&("workspace".into(), "true".into())));
        if !lints {
            breaches.push(format!("{path}: needs [lints] workspace = true"));
        }
        for table in DEPENDENCY_TABLES {
            for (key, value) in tables.get(table).into_iter().flatten() {
                if !key.ends_with(".workspace") && !value.contains("workspace = true") {
                    breaches.push(format!("{path}: {key} must take its version from the root"));
                }
            }
        }
    }
    assert_none("lints and versions come from the root manifest", &breaches);
}

#[test]
fn every_dependency_is_argued_for() {
    let Some(root) = manifest("Cargo.toml") else {
        return;
    };
    let contributing = files()
        .iter()
        .find(|f| f.path == "CONTRIBUTING.md")
        .unwrap();
    let rows: BTreeSet<&str> = contributing
        .text()
        .unwrap()
        .lines()
        .filter_map(|l| l.strip_prefix("| `")?.split('`').next())
        .collect();
    let mut breaches = Vec::new();
    for name in names(&root, "workspace.dependencies") {
        if !name.starts_with("hansard") && !rows.contains(name) {
            breaches.push(name.to_owned());
        }
    }
    assert_none(
        "every dependency has its line in CONTRIBUTING.md",
        &breaches,
    );
    let used = crates()
        .iter()
        .flat_map(|(_, t)| {
            DEPENDENCY_TABLES.map(|table| {
                names(t, table)
                    .into_iter()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
        })
        .flatten()
        .collect::<BTreeSet<String>>();
    let tests = manifest("tests/Cargo.toml").unwrap_or_default();
    let unused: Vec<String> = names(&root, "workspace.dependencies")
        .into_iter()
        .filter(|n| !used.contains(*n))
        .filter(|n| {
            !DEPENDENCY_TABLES
                .iter()
                .any(|table| names(&tests, table).contains(n))
        })
        .map(str::to_owned)
        .collect();
    assert_none(
        "every dependency of the root manifest is used by a crate",
        &unused,
    );
}

#[test]
fn few_crates_come_along() {
    let mut breaches = Vec::new();
    for (package, most) in TREE_CRATES_MAX {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let tree = Command::new(cargo)
            .current_dir(repository())
            .args([
                "tree",
                "--locked",
                "--offline",
                "-p",
                package,
                "-e",
                "normal,no-proc-macro",
            ])
            .args(["--prefix", "none", "--format", "{p}"])
            .output()
            .expect("cargo starts");
        if !tree.status.success() {
            return skipped(&String::from_utf8_lossy(&tree.stderr));
        }
        let all = String::from_utf8_lossy(&tree.stdout);
        let foreign: BTreeSet<&str> = all
            .lines()
            .filter_map(|l| l.split(' ').next())
            .filter(|n| !n.is_empty() && !n.starts_with("hansard"))
            .collect();
        if foreign.len() > most {
            breaches.push(format!(
                "{package}: {} crates, {most} are the most: {foreign:?}",
                foreign.len()
            ));
        }
    }
    assert_none("few crates come along", &breaches);
}
