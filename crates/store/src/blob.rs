//! Write-once bytes under checked names. Not trusted: whoever reads checks what was read.

use std::fmt;
use std::ops::Range;

use hansard_core::seal::Digest;

pub mod conformance;
pub mod fs;
pub mod memory;

/// Longest family of a name, in bytes.
const FAMILY_BYTES_MAX: usize = 16;

/// Shortest and longest stem of a name, in bytes.
const STEM_BYTES: std::ops::RangeInclusive<usize> = 2..=120;

/// A blob's name: a family, a slash, and a stem that usually is a digest. A family has lower-case
/// letters only; a stem has lower-case letters, digits, dots and dashes and begins with a letter or
/// digit. So no name climbs out of a directory, hides, or differs from another by case only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName(String);

impl BlobName {
    /// The name that is written so.
    ///
    /// # Errors
    /// `Refused` when it is no name.
    pub fn parse(text: &str) -> Result<Self, BlobError> {
        let is_stem = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
        let fits = text.split_once('/').is_some_and(|(family, stem)| {
            is_family(family)
                && STEM_BYTES.contains(&stem.len())
                && stem.bytes().all(is_stem)
                && !stem.starts_with(['.', '-'])
        });
        if fits {
            return Ok(Self(text.to_owned()));
        }
        Err(BlobError::Refused(format!(
            "{:?} is no name of a blob",
            text.chars().take(200).collect::<String>()
        )))
    }

    /// The name for bytes with this digest.
    ///
    /// # Errors
    /// `Refused` when the family is none.
    pub fn of_digest(family: &str, digest: &Digest) -> Result<Self, BlobError> {
        Self::parse(&format!("{family}/{}", hex(digest)))
    }

    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What comes before the slash.
    #[must_use]
    pub fn family(&self) -> &str {
        self.0.split_once('/').map_or("", |(family, _)| family)
    }

    /// What comes after the slash.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, stem)| stem)
    }
}

/// Whether this may be a family of names.
fn is_family(text: &str) -> bool {
    (1..=FAMILY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_lowercase())
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Why a store did not do what it was asked, sorted by what the caller does about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobError {
    /// Not now; it may or may not have been done. Ask the same again later.
    Retry(String),
    /// Other bytes are under this name. Never repeat; raise an alarm.
    Conflict(String),
    /// Never: a name or a size that this store does not take.
    Refused(String),
    /// There is no blob of this name.
    NotFound(String),
    /// It is there, and these bytes of it cannot be read: a bad sector, a file system that is damaged
    /// there. Asking again does not help: they are as good as lost, and nothing else is.
    Unreadable(String),
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(why) | Self::Refused(why) | Self::Unreadable(why) => f.write_str(why),
            Self::Conflict(why) => write!(f, "conflict: {why}"),
            Self::NotFound(name) => write!(f, "there is no blob {name}"),
        }
    }
}

impl std::error::Error for BlobError {}

/// A blob in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: BlobName,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Keeps bytes that never change.
///
/// Contract, in the words of RFC 2119:
///
/// - `put` MUST NOT return `Ok` before the bytes and their name are durable, so that losing power
///   one instruction later loses neither. It may be called from many threads at once, and SHOULD
///   then share the cost of durability between them.
/// - Putting the same bytes again MUST succeed and change nothing, before and after a crash. Putting
///   other bytes under a taken name MUST fail with [`BlobError::Conflict`] and change nothing.
/// - A blob MUST be there whole or not at all, whenever and by whomever it is looked at.
/// - After `Retry` nothing is known: the blob may be there, durable or not, or absent. The caller
///   repeats; a repeat that succeeds MUST mean durable, whatever became of the attempt before.
/// - `list` MUST answer in the order of names, beginning after the one given, and leave out none
///   that was put before the call, also where it cannot be read any more (its length is 0 then).
/// - `delete` is for retention alone. It MUST succeed where there is nothing to delete.
/// - A store need not notice that its medium changed a blob. Readers check.
pub trait BlobStore: Send + Sync {
    /// Makes a blob durable. See the trait for the contract.
    ///
    /// # Errors
    /// As sorted by [`BlobError`]; `Refused` beyond [`crate::limits::BLOB_BYTES_MAX`].
    fn put(&self, name: &BlobName, bytes: &[u8]) -> Result<(), BlobError>;

    /// The bytes of this range; fewer only where the blob ends before it does.
    ///
    /// # Errors
    /// `NotFound`, `Retry`; `Refused` for a range of more than [`crate::limits::BLOB_BYTES_MAX`];
    /// `Unreadable` where the medium has lost some of this range, which says nothing of another.
    fn read(&self, name: &BlobName, range: Range<u64>) -> Result<Vec<u8>, BlobError>;

    /// Length in bytes.
    ///
    /// # Errors
    /// `NotFound`, `Retry`, `Unreadable`.
    fn size(&self, name: &BlobName) -> Result<u64, BlobError>;

    /// The next blobs of a family, in the order of their names, after this one; at most `limit` of
    /// them, and fewer only at the end.
    ///
    /// # Errors
    /// `Retry`; `Refused` where the family is none.
    fn list(
        &self,
        family: &str,
        after: Option<&BlobName>,
        limit: usize,
    ) -> Result<Vec<Listed>, BlobError>;

    /// Removes a blob for good, durably.
    ///
    /// # Errors
    /// `Retry`.
    fn delete(&self, name: &BlobName) -> Result<(), BlobError>;
}
