//! Flat named facts: what an event says besides bytes, under the names the field already uses
//! (Teleport's flat JSON names where it has one: `user`, `login`, `addr.remote`, …).

/// One value of a field. Bytes stay bytes: text is only what was valid UTF-8 at its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// UTF-8 text.
    Text(String),
    /// Arbitrary bytes (a path or argument that is not UTF-8).
    Bytes(Vec<u8>),
    /// An unsigned number.
    Uint(u64),
    /// A signed number.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// Several values, nested at most [`crate::limits::VALUE_DEPTH_MAX`] deep.
    List(Vec<Value>),
}

impl Value {
    /// Text where the bytes are valid UTF-8, bytes otherwise.
    #[must_use]
    pub fn from_os_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes(bytes.to_owned()),
        }
    }

    /// About how much memory it takes.
    fn memory_bytes(&self) -> usize {
        let behind = match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(values) => values
                .iter()
                .map(Self::memory_bytes)
                .fold(0, usize::saturating_add),
            Self::Uint(_) | Self::Int(_) | Self::Bool(_) => 0,
        };
        behind.saturating_add(std::mem::size_of::<Self>())
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The unsigned number, if it is one.
    #[must_use]
    pub fn as_uint(&self) -> Option<u64> {
        match self {
            Self::Uint(n) => Some(*n),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::Uint(n)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

/// Named values in the order they were said. A name may stand more than once; [`Fields::get`]
/// answers with the first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields(Vec<(String, Value)>);

impl Fields {
    /// No fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field at the end.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.push((name.into(), value.into()));
    }

    /// The same with one field more, for building in one expression.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.push(name, value);
        self
    }

    /// The first value under this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The first value under this name, if it is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_text)
    }

    /// The fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v))
    }

    /// About how much memory they take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let each = |(name, value): &(String, Value)| {
            let name = name.len().saturating_add(std::mem::size_of::<String>());
            name.saturating_add(value.memory_bytes())
        };
        self.0.iter().map(each).fold(0, usize::saturating_add)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
