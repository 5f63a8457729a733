//! The catalogue as a page for people: `docs/events.md`.

use std::fmt::Write as _;

use super::catalogue::{COMMON, Code, Field, Kind, PATTERNS, Row, TABLES, When, Whose};

const INTRODUCTION: &str = r#"# Events

Every event of a recording but the bytes of its streams becomes a flat JSON document: one line of an
event log, one row of a search. Names, codes and fields are Teleport's where it has them, so that what
reads Teleport's audit log reads this; the rest is Hansard's own, and its codes begin with H. This page
is made from the catalogue in the code (`crates/view/src/document/catalogue.rs`); a test compares them,
and `HANSARD_BLESS=1 cargo test -p hansard-view --test documents` writes the page anew.

- **Order and identity.** `time` is the session's start and the monotonic time since, so a clock that is
  set moves no event. `ei` is the event's number in its session. `uid` is made from session, number and
  ordinal: the same for the same event for ever, and no other's. Keep documents under `uid`. A code
  counts together with its event; Teleport uses some twice.
- **Several from one.** A session's end makes two documents with the same `ei`: the end, and
  `session.data` with what went through. Teleport gives that one a number of its own, 2147483646.
- **Types.** A field has one type wherever it stands. What an event says beyond this catalogue, or with a
  value of another type, stands as text under `x.NAME`, a second value of a name as `x.NAME` too. Numbers
  can be as large as 18446744073709551615.
- **What is not text.** Bytes that are no UTF-8 show as U+FFFD, and `NAME.base64` beside has them exactly;
  of a list with such an element, all elements. A list inside a list is shown as JSON.
- **Arguments.** `argv` is without the program's own name, which `path` and `program` say;
  `initial_command` has it. A capture records `argv` of a `session.command` like that already.
- **Outcome.** A failure has its own code where there is one: `success` is false, `error` or `exitError`
  says something, or `exitCode` is not 0. Where an imported recording says the code itself, and the event
  has it, that is taken.
- **Imports.** What a Teleport recording says of itself (`session.start`, `session.end`, `session.data`,
  `resize`) is told as `channel.other` with that `event_name`, beside what every recording says of itself:
  so there is one `session.start` for each session. Its own numbers, identifiers and times stand under
  `source.NAME`.
- **Bounds.** A document is at most 64 KiB long; a text 4 KiB (256 bytes for who and where), a list 256
  elements and 16 KiB. What was cut is named in `truncated`, what found no room in `left_out`. The
  recording has it all.
- **Secrets.** Passwords, answers given at sign-in, X11 cookies, bytes of streams and messages that were
  kept as they are never stand in a document, whatever the recording holds: `withheld` names them.
- **Hostile strings.** Everything comes from outside and is escaped as JSON: a document is one line,
  whatever stands in it. Whoever shows a text to people must still escape what a terminal obeys.
"#;

/// The page.
#[must_use]
pub fn page() -> String {
    let mut out = INTRODUCTION.to_owned();
    out.push_str("\n## Fields of every event\n\n");
    fields_table(&mut out, COMMON.iter().chain(&PATTERNS));
    let mut told = Vec::new();
    for (heading, rows) in TABLES {
        let _ = write!(out, "\n## {heading}\n");
        for row in rows {
            event(&mut out, row, &mut told);
        }
    }
    out
}

/// Fields that a group must have to be told once only, and named after that.
const TOLD_ONCE_MIN: usize = 4;

/// One event; `told` holds the groups of fields that stand further up, and where.
fn event(out: &mut String, row: &'static Row, told: &mut Vec<(&'static [Field], &'static str)>) {
    let _ = write!(
        out,
        "\n### {}\n\n{} {} family `{}`.\n\n",
        row.name,
        row.about,
        match row.whose {
            Whose::Teleport => "Teleport's name;",
            Whose::Hansard => "Hansard's name;",
        },
        row.family
    );
    for code in row.codes {
        let _ = writeln!(out, "- `{}`: {}{}", code.code, code.about, when(code));
    }
    let (mut new, mut old) = (Vec::new(), Vec::new());
    for group in row.fields {
        let same = |(known, _): &&(&[Field], &str)| {
            let names = known.iter().zip(*group);
            known.len() == group.len() && names.into_iter().all(|(a, b)| a.name == b.name)
        };
        match told.iter().find(same) {
            Some((_, place)) if group.len() >= TOLD_ONCE_MIN => old.push((*group, *place)),
            _ => {
                new.extend(*group);
                told.push((group, row.name));
            }
        }
    }
    if !new.is_empty() {
        out.push('\n');
        fields_table(out, new.into_iter());
    }
    for (group, place) in old {
        let names: Vec<_> = group.iter().map(|field| field.name).collect();
        let names = names.join("`, `");
        let anchor: String = place.chars().filter(|c| *c != '.').collect();
        let _ = write!(out, "\nAs in [{place}](#{anchor}): `{names}`.\n");
    }
}

fn when(code: &Code) -> String {
    let mut text = String::new();
    if let Some((field, value)) = code.case {
        let _ = write!(text, "; `{field}` is `{value}`");
    }
    if code.when == When::Named {
        text.push_str("; only where whoever told of it said so");
    }
    text
}

fn fields_table<'a>(out: &mut String, fields: impl Iterator<Item = &'a Field>) {
    out.push_str("| field | type | whose | what it says |\n|---|---|---|---|\n");
    let mut seen = Vec::new();
    for field in fields {
        if seen.contains(&field.name) {
            continue;
        }
        seen.push(field.name);
        let kind = match field.kind {
            Kind::Text => "text",
            Kind::Texts => "texts",
            Kind::Uint | Kind::Int => "number",
            Kind::Bool => "true, false",
            Kind::Time => "time",
            Kind::Withheld => "withheld",
        };
        let whose = match field.whose {
            Whose::Teleport => "Teleport",
            Whose::Hansard => "Hansard",
        };
        let unit = match field.unit {
            "" => String::new(),
            unit => format!(" ({unit})"),
        };
        let _ = writeln!(
            out,
            "| `{}` | {kind}{unit} | {whose} | {} |",
            field.name, field.about
        );
    }
}
