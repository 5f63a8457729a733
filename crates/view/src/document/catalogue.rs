//! Every event that a document can be, its codes, and every field that can stand in one.
//!
//! Codes are not unique by themselves in Teleport: what counts is (event, code). Ours begin with H.
//!
//! To add an event, add a row; the tests tell what contradicts another row, and how to write the
//! page `docs/events.md` anew.

use std::collections::HashMap;
use std::sync::LazyLock;

mod admin;
mod events;
mod every;
mod fields;
mod imported;
mod ours;
mod service;

pub use every::{COMMON, PATTERNS, PLACES};
use every::{NOTES, OWN, WITHHELD};

/// Who gave a thing its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Teleport has it under this name.
    Teleport,
    /// Teleport has none; the name is ours.
    Hansard,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// A whole number from 0 to 2^64-1.
    Uint,
    /// A whole number from -2^63 to 2^63-1.
    Int,
    /// `true` or `false`.
    Bool,
    /// A moment: text as RFC 3339 has it.
    Time,
    /// Never put into a document, only named in `withheld`.
    Withheld,
}

/// A field of documents.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name, dots and all; in [`PATTERNS`] with a `*` for any text.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What a number counts; empty where that is plain or nothing.
    pub unit: &'static str,
    /// Who named it.
    pub whose: Whose,
    /// What it says, in words.
    pub about: &'static str,
}

/// When an event has a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Whatever came of it.
    Any,
    /// It succeeded, or nothing says that it did not.
    Success,
    /// It failed or was refused.
    Failure,
    /// Nothing says yet what comes of it.
    Unsaid,
    /// Only where whoever told of the event named the code.
    Named,
}

/// A code of an event.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// The code: group, number, and I, W or E (information, warning, error) at its end.
    pub code: &'static str,
    /// When the event has it.
    pub when: When,
    /// A field and the value that it must have as well.
    pub case: Option<(&'static str, &'static str)>,
    /// What it means, in words.
    pub about: &'static str,
}

/// An event that a document can be.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Who named it.
    pub whose: Whose,
    /// Our family of events that it belongs to.
    pub family: &'static str,
    /// What it is, in words.
    pub about: &'static str,
    /// Its codes; there is at least one.
    pub codes: &'static [Code],
    /// Its own fields, in groups, besides [`COMMON`].
    pub fields: &'static [&'static [Field]],
}

/// The tables, under the headings of the page.
pub const TABLES: [(&str, &[Row]); 6] = [
    ("Sessions and channels", &events::SESSIONS),
    ("Commands, files, network, requests", &events::INSIDE),
    ("Signing in and administration", &admin::ROWS),
    ("Hansard's own", &ours::ROWS),
    ("Of hosts and services themselves", &service::ROWS),
    ("Of imported ContainerSSH logs", &imported::ROWS),
];

/// Names that are made from a recording's own events (header, sizes, end); a fact that uses one
/// must not pass for them.
pub const MADE: [&str; 16] = [
    "session.start",
    "session.end",
    "session.data",
    "app.session.start",
    "app.session.end",
    "db.session.start",
    "db.session.end",
    "windows.desktop.session.start",
    "windows.desktop.session.end",
    "recording.start",
    "recording.end",
    "resize",
    "gap",
    "mark",
    "clock",
    "unknown",
];

/// Every event.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.iter().flat_map(|(_, rows)| rows.iter())
}

/// The event of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Row> {
    static BY_NAME: LazyLock<HashMap<&str, &Row>> =
        LazyLock::new(|| rows().map(|row| (row.name, row)).collect());
    BY_NAME.get(name).copied()
}

/// What is special about a field's name, whatever the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    /// It says which document it is.
    Own,
    /// It says what is missing from it.
    Note,
    /// It does not belong into one.
    Withheld,
}

/// What is special about this field's name.
pub(super) fn special(name: &str) -> Option<Special> {
    static BY_NAME: LazyLock<HashMap<&str, Special>> = LazyLock::new(|| {
        let own = OWN.map(|name| (name, Special::Own));
        let notes = NOTES.map(|name| (name, Special::Note));
        let withheld = WITHHELD.map(|field| (field.name, Special::Withheld));
        own.into_iter().chain(notes).chain(withheld).collect()
    });
    BY_NAME.get(name).copied()
}

/// The field of this name that every document can have.
fn common(name: &str) -> Option<&'static Field> {
    static BY_NAME: LazyLock<HashMap<&str, &Field>> =
        LazyLock::new(|| COMMON.iter().map(|field| (field.name, field)).collect());
    BY_NAME.get(name).copied()
}

impl Row {
    /// The field of this name that the event can have, its own or one that all have.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        let own = self.fields.iter().flat_map(|group| group.iter());
        own.into_iter()
            .find(|field| field.name == name)
            .or_else(|| common(name))
    }

    /// The code that fits best: `said` if the event has it, else by case and outcome (`None`: not
    /// said). `matches` tells whether a field has a value.
    #[must_use]
    pub fn code(
        &self,
        said: Option<&str>,
        outcome: Option<bool>,
        matches: impl Fn(&str, &str) -> bool,
    ) -> &'static str {
        if let Some(code) = self.codes.iter().find(|code| Some(code.code) == said) {
            return code.code;
        }
        let mut best: Option<(u8, &'static str)> = None;
        for code in self.codes {
            let by_outcome = match (code.when, outcome) {
                (When::Named, _) => continue,
                (When::Failure, Some(false))
                | (When::Success, Some(true))
                | (When::Unsaid, None) => 2,
                (When::Success, None) | (When::Any, _) => 1,
                _ => continue,
            };
            let by_case = match code.case {
                Some((field, value)) if matches(field, value) => 4,
                Some(_) => continue,
                None => 0,
            };
            let score = by_outcome + by_case;
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, code.code));
            }
        }
        match (best, self.codes.first()) {
            (Some((_, code)), _) => code,
            (None, Some(first)) => first.code,
            (None, None) => "",
        }
    }
}

/// A field that Teleport has.
const fn t(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field {
        name,
        kind,
        unit: "",
        whose: Whose::Teleport,
        about,
    }
}

/// A field of ours.
const fn h(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field {
        name,
        kind,
        unit: "",
        whose: Whose::Hansard,
        about,
    }
}

impl Field {
    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }
}

const fn code(code: &'static str, when: When, about: &'static str) -> Code {
    Code {
        code,
        when,
        case: None,
        about,
    }
}

/// Whatever came of it.
const fn any(c: &'static str, about: &'static str) -> Code {
    code(c, When::Any, about)
}

const fn ok(c: &'static str, about: &'static str) -> Code {
    code(c, When::Success, about)
}

const fn failed(c: &'static str, about: &'static str) -> Code {
    code(c, When::Failure, about)
}

impl Code {
    /// Only where this field has this value.
    const fn case(mut self, field: &'static str, value: &'static str) -> Self {
        self.case = Some((field, value));
        self
    }
}

const fn row(
    (whose, name): (Whose, &'static str),
    family: &'static str,
    about: &'static str,
    codes: &'static [Code],
    fields: &'static [&'static [Field]],
) -> Row {
    Row {
        name,
        whose,
        family,
        about,
        codes,
        fields,
    }
}

/// An event that Teleport has.
const fn their(name: &'static str) -> (Whose, &'static str) {
    (Whose::Teleport, name)
}

/// An event of ours.
const fn our(name: &'static str) -> (Whose, &'static str) {
    (Whose::Hansard, name)
}
