//! What single values look like in the file, and lists and mappings of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hansard_core::policy::OnLoss;
use hansard_view::nearest;

use super::key::{Key, Kind, Reading, Value};
use super::quoted;
use super::tree::{Node, Tree};

/// Longest single value, bytes; a longer one is refused.
pub const VALUE_BYTES_MAX: usize = 4096;

/// Most elements of a list; more is refused.
pub const LIST_LEN_MAX: usize = 1000;

/// Most labels of a node, or of a rule's `match`; more is refused.
pub const LABELS_MAX: usize = 32;

/// Longest name of a label, bytes; a longer one is refused.
pub const LABEL_NAME_BYTES_MAX: usize = 64;

/// Longest value of a label, bytes; a longer one is refused.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;

/// Port of the ingest service, where an address names none.
pub const INGEST_PORT: u16 = 3025;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// So many KiB.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// So many MiB.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// So many GiB.
    #[must_use]
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }
}

/// A length of time that is kept as it is written: `30s`, `24h`, `365d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    /// So many milliseconds.
    #[must_use]
    pub const fn millis(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }

    /// So many days.
    #[must_use]
    pub const fn days(n: u64) -> Self {
        Self(Duration::from_secs(n.saturating_mul(24 * 60 * 60)))
    }

    /// In milliseconds, as many as a number holds.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A name or address of a host, and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// A DNS name or an address (an IPv6 address without brackets).
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Names and their values, in the order of the names.
pub type Labels = BTreeMap<String, String>;

/// Units of time, longest first, in milliseconds.
const TIME_UNITS: [(&str, u64); 6] = [
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Units of sizes, largest first.
const SIZE_UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// The text of a single value, or a note that there is none.
pub(super) fn text<'a>(tree: &'a Tree, wanted: &str, reading: &mut Reading) -> Option<&'a str> {
    match &tree.node {
        Node::Scalar(text) if text.len() <= VALUE_BYTES_MAX => Some(text),
        Node::Scalar(_) => {
            let what = format!("longer than {VALUE_BYTES_MAX} bytes");
            reading.wrong(tree.place, what, format!("write {wanted}"));
            None
        }
        _ => {
            let what = format!("must be {wanted}; here is {}", tree.what());
            reading.wrong(tree.place, what, format!("write {wanted}"));
            None
        }
    }
}

/// Reads a single value with `parse`, which says what is wrong if it is.
fn one<T>(
    tree: &Tree,
    reading: &mut Reading,
    wanted: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let text = text(tree, wanted, reading)?;
    let value = parse(text);
    if value.is_none() {
        let what = format!("{} is not {wanted}", quoted(text));
        reading.wrong(tree.place, what, format!("write {wanted}"));
    }
    value
}

/// Number and unit pairs, `1h30m`, added up.
fn with_units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(digits)?;
        let number: u64 = number.parse().ok()?;
        let end = after.find(|c: char| c.is_ascii_digit());
        let (unit, next) = after.split_at_checked(end.unwrap_or(after.len()))?;
        let (_, each) = units.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.checked_mul(*each)?)?;
        rest = next;
    }
    (!text.is_empty()).then_some(sum)
}

/// A number in the largest unit that divides it.
fn shown_with(number: u64, units: &[(&str, u64)], nothing: &str) -> String {
    let unit = units.iter().find(|(_, each)| number.is_multiple_of(*each));
    match unit {
        Some((name, each)) if number > 0 => format!("{}{name}", number / each),
        _ => nothing.to_owned(),
    }
}

impl Value for Size {
    const KIND: Kind = Kind::One("size");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let wanted = "a size with its unit (B, KiB, MiB, GiB, TiB), as 64MiB";
        one(tree, reading, wanted, |text| {
            with_units(text, &SIZE_UNITS).map(Size)
        })
    }

    fn shown(&self) -> String {
        shown_with(self.0, &SIZE_UNITS, "0B")
    }
}

impl Value for Span {
    const KIND: Kind = Kind::One("duration");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let wanted = "a duration with its unit (ms, s, m, h, d, w), as 30s or 1h30m";
        one(tree, reading, wanted, |text| {
            with_units(text, &TIME_UNITS).map(|ms| Self(Duration::from_millis(ms)))
        })
    }

    fn shown(&self) -> String {
        // Weeks are read and not written: 365d is easier to compare than 52w1d.
        let units = TIME_UNITS.get(1..).unwrap_or_default();
        shown_with(self.as_millis(), units, "0s")
    }
}

impl Value for bool {
    const KIND: Kind = Kind::One("true or false");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        one(tree, reading, "true or false", |text| text.parse().ok())
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Value for u32 {
    const KIND: Kind = Kind::One("number");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let wanted = "a whole number from 0 to 4294967295";
        one(tree, reading, wanted, |text| match text.as_bytes() {
            [b'0'..=b'9', ..] => text.parse().ok(),
            _ => None,
        })
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    const KIND: Kind = Kind::One("text");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        text(tree, "text", reading).map(ToOwned::to_owned)
    }

    fn shown(&self) -> String {
        match self.is_empty() {
            true => String::new(),
            false => quoted(self),
        }
    }
}

impl Value for PathBuf {
    const KIND: Kind = Kind::One("absolute path");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        one(tree, reading, "an absolute path", |text| {
            let path = Self::from(text);
            let plain =
                !text.contains('\0') && !path.components().any(|part| part.as_os_str() == "..");
            (path.is_absolute() && plain).then_some(path)
        })
    }

    fn shown(&self) -> String {
        self.to_string_lossy().into_owned().shown()
    }
}

impl Value for SocketAddr {
    const KIND: Kind = Kind::One("address:port");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let wanted = "an IP address and a port, as 127.0.0.1:3081 or [::]:3025";
        one(tree, reading, wanted, |text| text.parse().ok())
    }

    fn shown(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Value for OnLoss {
    const KIND: Kind = Kind::One("`end`, `hold` or `continue`");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let text = text(tree, "end, hold or continue", reading)?;
        let value = Self::parse(text);
        if value.is_none() {
            let next = match nearest(text, ["end", "hold", "continue"]) {
                Some(word) => format!("did you mean {word}?"),
                None => "write end, hold or continue".to_owned(),
            };
            let what = format!("{} is none of end, hold, continue", quoted(text));
            reading.wrong(tree.place, what, next);
        }
        value
    }

    fn shown(&self) -> String {
        self.as_str().to_owned()
    }
}

impl HostPort {
    /// Reads `host`, `host:port`, `192.0.2.7:3025`, `[2001:db8::7]:3025`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (
                    host,
                    rest.strip_prefix(':').or(rest.is_empty().then_some("")),
                )
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port).filter(|port| !port.is_empty())),
                None => (text, Some("")),
            },
        };
        let port = match port? {
            "" => INGEST_PORT,
            port => port.parse().ok().filter(|port| *port > 0)?,
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        let is_host = !host.is_empty() && host.len() <= 253 && host.chars().all(fits);
        is_host.then(|| Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Value for HostPort {
    const KIND: Kind = Kind::One("host:port");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let wanted = "a host and a port, as recordings.example.org:3025";
        one(tree, reading, wanted, Self::parse)
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// A list of single values, or of sections; one alone may be written without the list.
impl<T: Value> Value for Vec<T> {
    const KIND: Kind = match T::KIND {
        Kind::One(what) => Kind::List(what),
        Kind::Section(keys) => Kind::Sections(keys),
        other => other,
    };

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let items = match &tree.node {
            Node::List(items) => items.as_slice(),
            Node::Null => &[],
            Node::Scalar(_) | Node::Map(_) => std::slice::from_ref(tree),
        };
        if items.len() > LIST_LEN_MAX {
            let what = format!("more than {LIST_LEN_MAX} elements");
            reading.wrong(tree.place, what, "remove some");
            return None;
        }
        let mut values = Vec::new();
        for (i, item) in items.iter().enumerate() {
            values.extend(reading.below::<T>(i.to_string(), item));
        }
        Some(values)
    }

    fn shown(&self) -> String {
        let shown: Vec<String> = self.iter().map(Value::shown).collect();
        format!("[{}]", shown.join(", "))
    }

    fn flatten(&self, key: &str, each: &mut dyn FnMut(&str, String)) {
        match T::KIND {
            Kind::Section(_) => {
                for (i, value) in self.iter().enumerate() {
                    value.flatten(&format!("{key}.{i}"), each);
                }
            }
            _ => each(key, self.shown()),
        }
    }
}

impl Value for Labels {
    const KIND: Kind = Kind::Map("text");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let entries = match &tree.node {
            Node::Null => &[],
            Node::Map(entries) => entries.as_slice(),
            _ => {
                let what = format!("must be a mapping of labels; here is {}", tree.what());
                reading.wrong(tree.place, what, "write `name: value` indented below it");
                return None;
            }
        };
        if entries.len() > LABELS_MAX {
            let what = format!("more than {LABELS_MAX} labels");
            reading.wrong(tree.place, what, "remove some");
            return None;
        }
        let mut labels = Self::new();
        for (name, place, value) in entries {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-._/".contains(c);
            let is_name = (1..=LABEL_NAME_BYTES_MAX).contains(&name.len());
            if !is_name || !name.chars().all(fits) {
                let what = format!("{} is no name of a label", quoted(name));
                let next =
                    format!("use letters, digits and -._/, at most {LABEL_NAME_BYTES_MAX} of them");
                reading.wrong(*place, what, next);
                continue;
            }
            let Some(text) = reading.below::<String>(name.as_str(), value) else {
                continue;
            };
            if text.len() > LABEL_VALUE_BYTES_MAX {
                let what = format!("longer than {LABEL_VALUE_BYTES_MAX} bytes");
                reading.wrong(value.place, what, "shorten it");
                continue;
            }
            labels.insert(name.clone(), text);
        }
        Some(labels)
    }

    fn shown(&self) -> String {
        let pairs: Vec<String> = self
            .iter()
            .map(|(name, value)| format!("{name}: {}", quoted(value)))
            .collect();
        format!("{{{}}}", pairs.join(", "))
    }
}

/// The keys of a kind that has some.
#[must_use]
pub fn keys_of(kind: Kind) -> &'static [Key] {
    match kind {
        Kind::Section(keys) | Kind::Switch(keys) | Kind::Sections(keys) => keys,
        Kind::One(_) | Kind::List(_) | Kind::Map(_) => &[],
    }
}

#[cfg(test)]
mod tests;
