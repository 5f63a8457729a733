//! A key and everything that is said about it, in one place: the macro [`section!`] makes of it the
//! struct, its defaults, its reader, and the table that `docs/configuration.md` is made from.

use hansard_view::nearest;

use super::tree::{Node, Place, Tree};
use super::{Finding, quoted};

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A single value, described in a few words.
    One(&'static str),
    /// A section that is always there.
    Section(&'static [Key]),
    /// A section that switches something on by being there.
    Switch(&'static [Key]),
    /// A list of single values.
    List(&'static str),
    /// A list of sections.
    Sections(&'static [Key]),
    /// A mapping of names to values.
    Map(&'static str),
}

/// A key of a section.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it is, its unit, and what happens at its bound: the struct's own documentation.
    pub doc: &'static [&'static str],
    /// What it takes.
    pub kind: Kind,
    /// Its default, as it would be written.
    pub default: fn() -> String,
    /// Its smallest and largest value, as they would be written.
    pub bound: Option<fn() -> (String, String)>,
    /// Whether a change takes effect when the daemon is told to reload.
    pub live: bool,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.kind == other.kind
    }
}

impl Eq for Key {}

/// Reading a file: where we are in it, and what was found on the way.
#[derive(Debug, Default)]
pub struct Reading {
    path: Vec<String>,
    /// Everything that is wrong, in the file's order.
    pub(super) findings: Vec<Finding>,
}

/// Most findings that are kept; a file with more is told to be no configuration of ours.
const FINDINGS_MAX: usize = 100;

impl Reading {
    /// The key that is being read: `store.pack_age`.
    pub(super) fn key(&self) -> String {
        self.path.join(".")
    }

    /// Notes something that is wrong with the key that is being read.
    pub(super) fn wrong(&mut self, place: Place, what: impl Into<String>, next: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            let finding = Finding::error(self.key(), what, next).at(place);
            self.findings.push(finding);
        }
    }

    /// Reads a value one level below.
    pub(super) fn below<T: Value>(&mut self, name: impl Into<String>, tree: &Tree) -> Option<T> {
        self.path.push(name.into());
        let value = T::read(tree, self);
        self.path.pop();
        value
    }
}

/// Something a key can take.
pub trait Value: Sized {
    /// What it is, for the page.
    const KIND: Kind;

    /// Reads it. `None` when it is wrong, which was noted then; the default is used to go on.
    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self>;

    /// As it would be written.
    fn shown(&self) -> String;

    /// Calls `each` with every single value below: its key and how it would be written.
    fn flatten(&self, key: &str, each: &mut dyn FnMut(&str, String)) {
        each(key, self.shown());
    }
}

/// A mapping with a fixed set of keys.
pub trait Section: Default {
    /// Its keys, in the order of the page.
    const KEYS: &'static [Key];

    /// Reads one of its keys, if it has it.
    fn read_key(&mut self, name: &str, tree: &Tree, reading: &mut Reading) -> bool;

    /// Calls `each` for every single value.
    fn flatten_keys(&self, key: &str, each: &mut dyn FnMut(&str, String));
}

impl<S: Section> Value for S {
    const KIND: Kind = Kind::Section(S::KEYS);

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let mut section = S::default();
        match &tree.node {
            // `store:` with everything under it commented out is a section all the same.
            Node::Null => {}
            Node::Map(entries) => {
                for (name, place, value) in entries {
                    if !section.read_key(name, value, reading) {
                        unknown(name, *place, S::KEYS, reading);
                    }
                }
            }
            _ => {
                let what = format!("must be a mapping of keys; here is {}", tree.what());
                reading.wrong(tree.place, what, "write its keys indented below it");
                return None;
            }
        }
        Some(section)
    }

    fn shown(&self) -> String {
        "{}".to_owned()
    }

    fn flatten(&self, key: &str, each: &mut dyn FnMut(&str, String)) {
        self.flatten_keys(key, each);
    }
}

impl<S: Section> Value for Option<S> {
    const KIND: Kind = Kind::Switch(S::KEYS);

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        S::read(tree, reading).map(Some)
    }

    fn shown(&self) -> String {
        match self {
            Some(_) => "on",
            None => "off",
        }
        .to_owned()
    }

    fn flatten(&self, key: &str, each: &mut dyn FnMut(&str, String)) {
        each(key, self.shown());
        if let Some(section) = self {
            section.flatten(key, each);
        }
    }
}

/// Notes a key that nobody knows, and which known one it is nearest to. What it was given is never
/// shown: it may be a secret in the wrong place.
fn unknown(name: &str, place: Place, keys: &[Key], reading: &mut Reading) {
    let nearest = nearest(name, keys.iter().map(|key| key.name));
    let next = match nearest {
        Some(known) => format!("did you mean {known}?"),
        None => {
            let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
            format!("known here: {}", known.join(", "))
        }
    };
    let what = format!("no such key: {}", quoted(name));
    reading.wrong(place, what, next);
}

/// Declares a section. Each key has its documentation, name, type and default; behind the default may
/// stand its bound, `, in [low, high]`, and `=> live` if a reload is enough to change it.
macro_rules! section {
    ($(#[$about:meta])* $name:ident {
        $($(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr
            $(, in [$low:expr, $high:expr])? $(=> $live:ident)?;)+
    }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $key: $type,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl $crate::config::key::Section for $name {
            const KEYS: &'static [$crate::config::key::Key] = &[
                $($crate::config::key::Key {
                    name: stringify!($key),
                    doc: &[$($doc),+],
                    kind: <$type as $crate::config::key::Value>::KIND,
                    default: || $crate::config::key::Value::shown(&Self::default().$key),
                    bound: section!(@bound $type $(, $low, $high)?),
                    live: section!(@live $($live)?),
                },)+
            ];

            fn read_key(
                &mut self,
                name: &str,
                tree: &$crate::config::tree::Tree,
                reading: &mut $crate::config::key::Reading,
            ) -> bool {
                match name {
                    $(stringify!($key) => {
                        if let Some(value) = reading.below(name, tree) {
                            section!(@check value: $type, tree, reading, name $(, $low, $high)?);
                            self.$key = value;
                        }
                    })+
                    _ => return false,
                }
                true
            }

            fn flatten_keys(&self, key: &str, each: &mut dyn FnMut(&str, String)) {
                $(let below = match key {
                    "" => stringify!($key).to_owned(),
                    key => format!("{key}.{}", stringify!($key)),
                };
                $crate::config::key::Value::flatten(&self.$key, &below, each);)+
            }
        }
    };
    (@bound $type:ty) => { None };
    (@bound $type:ty, $low:expr, $high:expr) => {
        Some(|| {
            let (low, high): ($type, $type) = ($low, $high);
            ($crate::config::key::Value::shown(&low), $crate::config::key::Value::shown(&high))
        })
    };
    (@live) => { false };
    (@live live) => { true };
    (@check $value:ident: $type:ty, $tree:ident, $reading:ident, $name:ident) => {};
    (@check $value:ident: $type:ty, $tree:ident, $reading:ident, $name:ident, $low:expr, $high:expr) => {
        let (low, high): ($type, $type) = ($low, $high);
        $reading.within($name, $tree, &$value, &low, &high);
    };
}
pub(super) use section;

impl Reading {
    /// Notes a value outside its bound.
    pub(super) fn within<T: Value + PartialOrd>(
        &mut self,
        name: &str,
        tree: &Tree,
        value: &T,
        low: &T,
        high: &T,
    ) {
        if value < low || value > high {
            let (low, high) = (low.shown(), high.shown());
            let what = format!("{} is not within {low} and {high}", value.shown());
            self.path.push(name.to_owned());
            self.wrong(tree.place, what, "choose a value within its bound");
            self.path.pop();
        }
    }
}
