//! Many segments in one immutable object.
//!
//! A pack begins with a head of 16 bytes: `89` `HNPACK` `0a`, the layout's version (1), an attempt
//! (0 unless other bytes were found under the pack's name), six zeros. Segments follow, each exactly
//! as it was sealed, one directly after another. Then comes the table, 140 bytes for each segment,
//! in the order of the segments:
//!
//! | bytes | what |
//! |---|---|
//! | 16 | session |
//! | 4 | segment's number |
//! | 8, 8 | where it begins in the pack, and how long it is |
//! | 32 | digest of the segment before it |
//! | 32 | its own digest |
//! | 32 | SHA-256 of its bytes |
//! | 8 | 1 if the session ends with it, otherwise 0 |
//!
//! and a foot of 48 bytes: where the table begins (8), how many segments it has (4), zeros (4), and
//! SHA-256 over `hansard pack 1`, a zero, the head, the table and the 16 bytes before. Numbers are
//! little-endian. A pack's name is `pack/` and the SHA-256 of all its bytes.
//!
//! A table is a help and no evidence: segments say themselves what they are. Where it is damaged,
//! [`salvage`] finds the segments again.

use hansard_core::SessionId;
use hansard_core::frame::MAGIC;
use hansard_core::reader::{Item, Reader};
use hansard_core::seal::Digest;
use sha2::{Digest as _, Sha256};

use crate::blob::{BlobError, BlobName, BlobStore};
use crate::limits::{BLOB_BYTES_MAX, PACK_SEGMENTS_MAX};
use crate::segment::{SealedSegment, SegmentFacts};

/// Family of packs' names.
pub const FAMILY: &str = "pack";

const HEAD: [u8; 16] = *b"\x89HNPACK\n\x01\0\0\0\0\0\0\0";
/// Where in the head the attempt stands.
const ATTEMPT_AT: usize = 9;
const ENTRY_BYTES: usize = 140;
const FOOT_BYTES: usize = 48;
const DOMAIN: &[u8] = b"hansard pack 1\0";

/// Beginnings without a sound segment behind them after which salvaging gives up: a forger can make
/// each of them cost the length of the pack.
const SALVAGE_FAILURES_MAX: u32 = 1000;

/// What is read at a time of a pack of which some cannot be read: what a bad sector takes along.
const PIECE_BYTES: u64 = 4096;

/// A line of a pack's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The session.
    pub session: SessionId,
    /// The segment's number.
    pub number: u32,
    /// Where it begins in the pack.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// Digest of the segment before it.
    pub predecessor: Digest,
    /// Its digest.
    pub digest: Digest,
    /// SHA-256 of its bytes.
    pub content: Digest,
    /// Whether the session ends with it.
    pub is_final: bool,
}

/// A pack being filled.
#[derive(Debug, Clone)]
pub struct PackBuilder {
    bytes: Vec<u8>,
    facts: Vec<(SegmentFacts, u64, u64)>,
}

/// A pack ready to be written.
#[derive(Debug, Clone)]
pub struct Pack {
    /// All its bytes.
    bytes: Vec<u8>,
    /// Length of head and segments; the table follows.
    segments_end: usize,
    facts: Vec<(SegmentFacts, u64, u64)>,
}

impl Default for PackBuilder {
    fn default() -> Self {
        Self {
            bytes: HEAD.to_vec(),
            facts: Vec::new(),
        }
    }
}

impl PackBuilder {
    /// Adds a segment at the end.
    pub fn push(&mut self, segment: &SealedSegment) {
        let offset = self.bytes.len() as u64;
        self.bytes.extend_from_slice(segment.bytes());
        let facts = segment.facts().clone();
        self.facts
            .push((facts, offset, segment.bytes().len() as u64));
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Bytes of the pack that this segment would end.
    #[must_use]
    pub fn bytes_with(&self, segment: &SealedSegment) -> u64 {
        let lines = self.facts.len().saturating_add(1);
        let table = lines.saturating_mul(ENTRY_BYTES).saturating_add(FOOT_BYTES);
        let segment = segment.bytes().len();
        self.bytes()
            .saturating_add(table.saturating_add(segment) as u64)
    }

    /// Segments so far.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.facts.len()
    }

    /// The pack, with its table.
    #[must_use]
    pub fn finish(self) -> Pack {
        let segments_end = self.bytes.len();
        let mut pack = Pack {
            bytes: self.bytes,
            segments_end,
            facts: self.facts,
        };
        pack.put_table();
        pack
    }
}

impl Pack {
    /// The name, which is the digest of all bytes.
    ///
    /// # Errors
    /// None in practice: a digest always makes a name.
    pub fn name(&self) -> Result<BlobName, BlobError> {
        BlobName::of_digest(FAMILY, &Sha256::digest(&self.bytes).into())
    }

    /// All bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is in it: facts, offset and length of each segment, in order.
    #[must_use]
    pub fn segments(&self) -> &[(SegmentFacts, u64, u64)] {
        &self.facts
    }

    /// Gives the pack another digest and so another name, because the one it has is taken by bytes
    /// that are not its own.
    pub fn rename(&mut self, attempt: u8) {
        if let Some(byte) = self.bytes.get_mut(ATTEMPT_AT) {
            *byte = attempt;
        }
        self.put_table();
    }

    fn put_table(&mut self) {
        self.bytes.truncate(self.segments_end);
        for (facts, offset, bytes) in &self.facts {
            self.bytes.extend_from_slice(facts.session.as_bytes());
            self.bytes.extend_from_slice(&facts.number.to_le_bytes());
            self.bytes.extend_from_slice(&offset.to_le_bytes());
            self.bytes.extend_from_slice(&bytes.to_le_bytes());
            self.bytes.extend_from_slice(&facts.predecessor);
            self.bytes.extend_from_slice(&facts.digest);
            self.bytes.extend_from_slice(&facts.content);
            self.bytes
                .extend_from_slice(&u64::from(facts.is_final).to_le_bytes());
        }
        let table = self.segments_end as u64;
        // More than 65,536 segments are never put into one pack.
        let count = u32::try_from(self.facts.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&table.to_le_bytes());
        self.bytes.extend_from_slice(&count.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        let check = check(
            self.bytes.get(..HEAD.len()).unwrap_or_default(),
            self.bytes.get(self.segments_end..).unwrap_or_default(),
        );
        self.bytes.extend_from_slice(&check);
    }
}

/// The check of a pack's head, and of its table with the foot up to the check.
fn check(head: &[u8], table: &[u8]) -> Digest {
    Sha256::new_with_prefix(DOMAIN)
        .chain_update(head)
        .chain_update(table)
        .finalize()
        .into()
}

/// Why a pack's table could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableError {
    /// The store failed; asking again may help.
    Store(BlobError),
    /// The table is not what was written.
    Damaged(String),
}

impl From<BlobError> for TableError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Unreadable(why) => Self::Damaged(why),
            error => Self::Store(error),
        }
    }
}

fn damaged<T>(why: &str) -> Result<T, TableError> {
    Err(TableError::Damaged(why.to_owned()))
}

/// Reads a pack's table: its foot, then as much as the foot says, inside the limits.
///
/// # Errors
/// See [`TableError`].
pub fn read_table(store: &dyn BlobStore, name: &BlobName) -> Result<Vec<Entry>, TableError> {
    let size = store.size(name)?;
    let foot_at = size.saturating_sub(FOOT_BYTES as u64);
    let foot = store.read(name, foot_at..size)?;
    let (Some(table_at), Some(count)) = (u64_at(&foot, 0), u32_at(&foot, 8)) else {
        return damaged("a pack too short for its foot");
    };
    let table_bytes = u64::from(count) * ENTRY_BYTES as u64;
    let fits = count as usize <= PACK_SEGMENTS_MAX
        && table_at >= HEAD.len() as u64
        && table_at.checked_add(table_bytes) == Some(foot_at);
    if !fits {
        return damaged("a pack's foot does not fit its length");
    }
    let head = store.read(name, 0..HEAD.len() as u64)?;
    let mut table = store.read(name, table_at..foot_at)?;
    let split = foot.split_at_checked(16).unwrap_or_default();
    table.extend_from_slice(split.0);
    if check(&head, &table) != split.1 {
        return damaged("a pack's table does not match its check");
    }
    let entries = table.chunks_exact(ENTRY_BYTES).take(count as usize);
    let entries: Option<Vec<Entry>> = entries.map(|line| entry(line, table_at)).collect();
    entries.ok_or_else(|| TableError::Damaged("a pack's table points outside of it".to_owned()))
}

fn entry(line: &[u8], table_at: u64) -> Option<Entry> {
    let entry = Entry {
        session: SessionId::from_bytes(array_at(line, 0)?),
        number: u32_at(line, 16)?,
        offset: u64_at(line, 20)?,
        bytes: u64_at(line, 28)?,
        predecessor: array_at(line, 36)?,
        digest: array_at(line, 68)?,
        content: array_at(line, 100)?,
        is_final: u64_at(line, 132)? != 0,
    };
    let end = entry.offset.checked_add(entry.bytes)?;
    (entry.offset >= HEAD.len() as u64 && end <= table_at).then_some(entry)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

/// Finds the sound segments of a pack whose table is damaged, by looking for where segments begin. What
/// cannot be read costs the segments it is in.
///
/// # Errors
/// What the store says.
pub fn salvage(store: &dyn BlobStore, name: &BlobName) -> Result<Vec<Entry>, BlobError> {
    let bytes = match store.read(name, 0..BLOB_BYTES_MAX as u64) {
        Err(BlobError::Unreadable(_)) => read_in_pieces(store, name)?,
        read => read?,
    };
    let mut found = Vec::new();
    let (mut at, mut failures) = (0usize, 0u32);
    while let Some(rest) = bytes.get(at..) {
        let Some(begin) = rest.windows(MAGIC.len()).position(|w| w == MAGIC) else {
            break;
        };
        let begin = at.saturating_add(begin);
        match segment_at(&bytes, begin) {
            Some(entry) if found.len() < PACK_SEGMENTS_MAX => {
                at = begin.saturating_add(usize::try_from(entry.bytes).unwrap_or(usize::MAX));
                found.push(entry);
            }
            None if failures < SALVAGE_FAILURES_MAX => {
                failures += 1;
                at = begin.saturating_add(1);
            }
            _ => break,
        }
    }
    Ok(found)
}

/// A pack's bytes, with zeros in place of what cannot be read.
fn read_in_pieces(store: &dyn BlobStore, name: &BlobName) -> Result<Vec<u8>, BlobError> {
    let size = match store.size(name) {
        Err(BlobError::Unreadable(_)) => 0,
        size => size?.min(BLOB_BYTES_MAX as u64),
    };
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < size {
        let end = at.saturating_add(PIECE_BYTES).min(size);
        match store.read(name, at..end) {
            Err(BlobError::Unreadable(_)) => {}
            read => bytes.extend(read?),
        }
        at = end;
        bytes.resize(usize::try_from(end).unwrap_or(BLOB_BYTES_MAX), 0);
    }
    Ok(bytes)
}

/// The sound segment that begins here, if one does.
fn segment_at(bytes: &[u8], begin: usize) -> Option<Entry> {
    let rest = bytes.get(begin..)?;
    let end = sealed_end(rest)?;
    let segment = SealedSegment::from_bytes(rest.get(..end)?.to_vec()).ok()?;
    let facts = segment.facts();
    Some(Entry {
        session: facts.session,
        number: facts.number,
        offset: begin as u64,
        bytes: end as u64,
        predecessor: facts.predecessor,
        digest: facts.digest,
        content: facts.content,
        is_final: facts.is_final,
    })
}

/// Where the first seal ends, if nothing before it is damaged.
fn sealed_end(bytes: &[u8]) -> Option<usize> {
    let mut reader = Reader::resume(bytes, 0).skip_decoding();
    loop {
        match reader.next_item().ok()? {
            Item::Frame(_) => {}
            Item::Seal(seal) => return usize::try_from(seal.end).ok(),
            Item::Damage(_) | Item::End(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::memory::MemoryBlobs;
    use hansard_core::event::{End, Stream};
    use hansard_core::seal::SigningKey;
    use hansard_core::session::{ClockQuality, Session};
    use hansard_core::writer::{Bounds, SegmentWriter};
    use hansard_core::{Fields, Policy};

    /// A session of one segment.
    fn segment(number: u8) -> SealedSegment {
        let key = SigningKey::from_seed([number; 32]);
        let session = Session {
            id: SessionId::from_bytes([number; 16]),
            parent: None,
            kind: "terminal".to_owned(),
            subject: Fields::new(),
            origin: Fields::new(),
            target: Fields::new(),
            start_utc_ns: 0,
            clock: ClockQuality::Unknown,
            policy: Policy::default(),
            recorder_key: key.public(),
            recorder: "test".to_owned(),
        };
        let mut writer = SegmentWriter::new(session, key, Bounds::default()).unwrap();
        writer.push_data(1, Stream::Output, b"hello").unwrap();
        writer.finish(2, &End::default()).unwrap();
        SealedSegment::from_parts(&writer.parts()).unwrap()
    }

    fn pack(count: u8) -> Pack {
        let mut builder = PackBuilder::default();
        (0..count).for_each(|n| builder.push(&segment(n)));
        builder.finish()
    }

    fn stored(bytes: &[u8]) -> (MemoryBlobs, BlobName) {
        let (store, name) = (MemoryBlobs::default(), BlobName::parse("pack/00").unwrap());
        store.put(&name, bytes).unwrap();
        (store, name)
    }

    #[test]
    fn a_table_says_what_is_in_a_pack() {
        let mut pack = pack(5);
        let first_name = pack.name().unwrap();
        for attempt in [0, 1] {
            pack.rename(attempt);
            assert_eq!(pack.name().unwrap() == first_name, attempt == 0);
            let (store, name) = stored(pack.bytes());
            let entries = read_table(&store, &name).unwrap();
            assert_eq!(entries.len(), 5);
            for (n, entry) in (0u8..).zip(&entries) {
                let bytes = store
                    .read(&name, entry.offset..entry.offset + entry.bytes)
                    .unwrap();
                assert_eq!(bytes, segment(n).bytes());
                assert_eq!(entry.content, segment(n).facts().content);
                assert!(entry.is_final);
            }
            assert_eq!(salvage(&store, &name).unwrap(), entries);
        }
    }

    #[test]
    fn a_table_that_was_touched_is_not_believed() {
        let pack = pack(3);
        let whole = pack.bytes();
        let wanted = read_table(&stored(whole).0, &stored(whole).1).unwrap();
        for at in (0..HEAD.len()).chain(pack.segments_end..whole.len()) {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1 << (at % 8);
            let (store, name) = stored(&bytes);
            let read = read_table(&store, &name);
            assert!(
                matches!(read, Err(TableError::Damaged(_))),
                "byte {at}: {read:?}"
            );
            assert_eq!(salvage(&store, &name).unwrap(), wanted);
        }
        for end in 0..whole.len() {
            let (store, name) = stored(&whole[..end]);
            let read = read_table(&store, &name);
            assert!(
                matches!(read, Err(TableError::Damaged(_))),
                "{end} bytes: {read:?}"
            );
        }
        // Cut off inside the third segment: the first two are there.
        let (store, name) = stored(&whole[..wanted[2].offset as usize + 30]);
        assert_eq!(salvage(&store, &name).unwrap(), wanted[..2]);
    }

    #[test]
    fn lengths_that_are_absurd_are_not_followed() {
        let pack = pack(1);
        for (at, value) in [(0, u64::MAX), (8, u64::from(u32::MAX))] {
            let mut bytes = pack.bytes().to_vec();
            let foot = bytes.len() - FOOT_BYTES + at;
            bytes[foot..foot + 4].copy_from_slice(&value.to_le_bytes()[..4]);
            let (store, name) = stored(&bytes);
            assert!(matches!(
                read_table(&store, &name),
                Err(TableError::Damaged(_))
            ));
        }
    }
}
