//! `docs/configuration.md`, made from the table of keys.

use std::fmt::Write as _;

use super::key::{Key, Kind, Section as _};
use super::policy::{Defaults, PolicyText, RuleText};
use super::value::keys_of;
use super::{ALL_IN_ONE, Config};

const HEAD: &str = "\
# Configuration

`hansardd` reads one YAML file, `/etc/hansard/hansard.yaml` or what `--config` names. `hansardd check`
says what is wrong with it, and what is allowed but strange. This page is made from the structs in the
code (`crates/hansardd/src/config/sections.rs`); a test compares them, and `HANSARD_BLESS=1 cargo test
-p hansardd --test configuration` writes the page anew.

- **A role is switched on by its section**, even an empty one (`store: {}`, or `store:` alone), and is
  off without it.
- **A key that nobody knows is an error** that names the nearest known one. So is a key that stands
  twice. Anchors, aliases, tags and further documents are refused. A file has at most 1 MiB, and is at
  most 16 levels deep.
- **Durations** have their unit: `250ms`, `30s`, `5m`, `24h`, `365d`, `2w`, `1h30m`. **Sizes** too:
  `512B`, `64KiB`, `5MiB`, `1GiB`, `1TiB`.
- **A list of one** may be written without the list.
- **Reload:** `systemctl reload hansardd` (SIGHUP) reads the file again. Keys marked so take effect then;
  any other that changed is named in the log and takes effect at the next start. A file with an error
  changes nothing. Each reload is an event.
- **Secrets** do not stand in this file. Keys are in `data_dir/keys`, and a join token is given to
  `hansardd init`.
";

/// The page.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(HEAD);
    out.push_str("\nWithout a file, it is as if this were there:\n\n```yaml\n");
    out.push_str(ALL_IN_ONE);
    out.push_str("```\n");
    section(&mut out, "", Config::KEYS);
    out
}

/// The tables of `docs/policy.md`: what a policy may say.
#[must_use]
pub fn policy_tables() -> String {
    let mut out = String::from("### In the policy itself\n");
    table(&mut out, PolicyText::KEYS, policy_row);
    out.push_str("\n### `rules`, each element: whom it is for\n");
    let (terms, own): (Vec<&Key>, Vec<&Key>) = RuleText::KEYS
        .iter()
        .partition(|key| Defaults::KEYS.iter().any(|term| term.name == key.name));
    table(&mut out, own, policy_row);
    out.push_str("\n### In `default`, and in each element of `rules`: what holds\n");
    table(&mut out, terms, policy_row);
    out
}

fn table<'a>(
    out: &mut String,
    keys: impl IntoIterator<Item = &'a Key>,
    row: fn(&mut String, &Key),
) {
    out.push_str("\n| key | takes | bounds | what it is |\n|---|---|---|---|\n");
    keys.into_iter().for_each(|key| row(out, key));
}

fn policy_row(out: &mut String, key: &Key) {
    let takes = match key.kind {
        Kind::One(what) => what.to_owned(),
        Kind::List(what) => format!("list of: {what}"),
        Kind::Map(what) => format!("mapping of names to {what}"),
        Kind::Section(_) | Kind::Switch(_) => "section".to_owned(),
        Kind::Sections(_) => "list of sections".to_owned(),
    };
    let bounds = key.bound.map_or_else(String::new, |bound| {
        let (low, high) = bound();
        format!("{low} – {high}")
    });
    let _ = writeln!(
        out,
        "| `{}` | {takes} | {bounds} | {} |",
        key.name,
        text(key)
    );
}

/// One section and those inside it.
fn section(out: &mut String, path: &str, keys: &[Key]) {
    if !path.is_empty() {
        let _ = write!(
            out,
            "\n| key | takes | default | bounds | reload | what it is |\n|---|---|---|---|---|---|\n"
        );
        keys.iter().for_each(|key| row(out, key));
    }
    for key in keys {
        let inside = keys_of(key.kind);
        if inside.is_empty() {
            continue;
        }
        let path = match path {
            "" => key.name.to_owned(),
            path => format!("{path}.{}", key.name),
        };
        let each = match key.kind {
            Kind::Sections(_) => ", each element",
            _ => "",
        };
        let _ = write!(out, "\n## `{path}`{each}\n\n{}\n", text(key));
        section(out, &path, inside);
    }
}

fn row(out: &mut String, key: &Key) {
    let default = (key.default)();
    let (takes, default) = match key.kind {
        Kind::One(what) => (what.to_owned(), default),
        Kind::List(what) => (format!("list of: {what}"), default),
        Kind::Map(what) => (format!("mapping of names to {what}"), default),
        Kind::Section(_) => ("section".to_owned(), "as below".to_owned()),
        Kind::Switch(_) => ("section".to_owned(), "absent: off".to_owned()),
        Kind::Sections(_) => ("list of sections".to_owned(), default),
    };
    let default = match (key.kind, default.as_str()) {
        (Kind::Section(_) | Kind::Switch(_), words) => words.to_owned(),
        (_, "") => "empty".to_owned(),
        (_, value) => format!("`{value}`"),
    };
    let bounds = match key.bound {
        Some(bound) => {
            let (low, high) = bound();
            format!("{low} – {high}")
        }
        None => String::new(),
    };
    let reload = if key.live { "yes" } else { "" };
    let _ = writeln!(
        out,
        "| `{}` | {takes} | {default} | {bounds} | {reload} | {} |",
        key.name,
        text(key)
    );
}

/// The documentation as one paragraph.
fn text(key: &Key) -> String {
    let lines: Vec<&str> = key.doc.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}
