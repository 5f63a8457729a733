//! How entries lie in a spool file. See [`crate::spool`] for the layout in words.

use std::io;

use hansard_core::frame::{Frame, Part, Place};
use hansard_core::limits::FRAME_STORED_BYTES_MAX;
use hansard_core::{Seal, SessionId};
use sha2::{Digest as _, Sha256};

use crate::disk::{DiskFile, is_lost, read_full_at};
use crate::order::Spot;

/// First bytes of a spool file; the last one is the layout's version.
const FILE_MAGIC: [u8; 8] = *b"HNSSPL\0\x01";

/// First bytes of an entry.
const ENTRY_MAGIC: [u8; 4] = [0x8e, b'H', b'S', b'E'];

/// Bytes of a file's head around its claims: magic, number and count before them, check after.
const HEAD_BYTES: usize = 8 + 8 + 4 + 16;

/// Bytes of one claim.
const CLAIM_BYTES: usize = 16;

/// Most claims in a head; a head that says it has more is no head.
const CLAIMS_MAX: usize = 65_536;

/// Bytes of an entry before its part.
pub(super) const ENTRY_HEAD_BYTES: usize = 56;

/// Head without its check.
const CHECKED_BYTES: usize = 40;

/// Longest part; an entry that says it is longer is no entry.
const PART_BYTES_MAX: usize = FRAME_STORED_BYTES_MAX + 128 * 1024;

/// Stands for a seal where a frame has its index.
const SEAL: u32 = u32::MAX;

const HEAD_DOMAIN: &[u8] = b"hansard spool file 1\0";

const DOMAIN: &[u8] = b"hansard spool entry 1\0";

/// The first half of a SHA-256: enough that nobody finds a second part with it.
pub(super) type Digest = [u8; 16];

/// The digest of a part's bytes.
pub(super) fn part_digest(bytes: &[u8]) -> Digest {
    half(&Sha256::digest(bytes).into())
}

fn half(digest: &[u8; 32]) -> Digest {
    let mut out = [0u8; 16];
    out.iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = *from);
    out
}

/// An entry as found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) session: SessionId,
    pub(super) spot: Spot,
    pub(super) offset: u64,
    pub(super) part_len: usize,
    /// Bytes of the file that were durable when this entry was written.
    pub(super) synced: u64,
    pub(super) digest: Digest,
}

impl Entry {
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(entry_len(self.part_len))
    }
}

/// Bytes that a part takes in a file.
pub(super) fn entry_len(part_len: usize) -> u64 {
    (ENTRY_HEAD_BYTES as u64).saturating_add(part_len as u64)
}

/// How many bytes of which other files were durable, at least, when a file was begun.
pub(super) type Claims = Vec<(u64, u64)>;

/// The first bytes of the file with this number.
pub(super) fn file_head(number: u64, claims: &[(u64, u64)]) -> Vec<u8> {
    let claims = claims
        .get(claims.len().saturating_sub(CLAIMS_MAX)..)
        .unwrap_or_default();
    let mut head = FILE_MAGIC.to_vec();
    head.extend_from_slice(&number.to_le_bytes());
    head.extend_from_slice(&u32::try_from(claims.len()).unwrap_or(0).to_le_bytes());
    for (other, durable) in claims {
        head.extend_from_slice(&other.to_le_bytes());
        head.extend_from_slice(&durable.to_le_bytes());
    }
    let check = head_check(&head);
    head.extend_from_slice(&check);
    head
}

fn head_check(head: &[u8]) -> Digest {
    half(
        &Sha256::new_with_prefix(HEAD_DOMAIN)
            .chain_update(head)
            .finalize()
            .into(),
    )
}

/// The length of a file's head and what it claims, if it is sound.
pub(super) fn read_head(file: &dyn DiskFile, number: u64) -> io::Result<Option<(u64, Claims)>> {
    let mut start = [0u8; 20];
    if read_full_at(file, 0, &mut start)? < start.len() {
        return Ok(None);
    }
    let claims = start
        .last_chunk::<4>()
        .map_or(0, |count| u32::from_le_bytes(*count));
    let Some(count) = usize::try_from(claims)
        .ok()
        .filter(|count| *count <= CLAIMS_MAX)
    else {
        return Ok(None);
    };
    let mut head = vec![0u8; HEAD_BYTES + count * CLAIM_BYTES];
    if read_full_at(file, 0, &mut head)? < head.len() {
        return Ok(None);
    }
    let mut claims = Claims::new();
    let pairs = head
        .get(start.len()..)
        .unwrap_or_default()
        .chunks_exact(CLAIM_BYTES)
        .take(count);
    for pair in pairs {
        if let (Some(other), Some(durable)) = (pair.first_chunk::<8>(), pair.last_chunk::<8>()) {
            claims.push((u64::from_le_bytes(*other), u64::from_le_bytes(*durable)));
        }
    }
    let sound = head == file_head(number, &claims);
    Ok(sound.then_some((head.len() as u64, claims)))
}

/// Appends an entry to `out`, which is going to be written at `begin` of the file with this
/// number, `synced` bytes of which are durable.
pub(super) fn encode(
    out: &mut Vec<u8>,
    (number, begin, synced): (u64, u64, u64),
    part: &Part,
    digest: &Digest,
) -> Entry {
    let from = out.len();
    let offset = begin.saturating_add(from as u64);
    let place = match part.place() {
        Place::Frame(index) => index,
        Place::Seal => SEAL,
    };
    out.extend_from_slice(&ENTRY_MAGIC);
    // A part that is longer than `u32` can say was refused before; see `fits`.
    out.extend_from_slice(
        &u32::try_from(part.bytes().len())
            .unwrap_or(u32::MAX)
            .to_le_bytes(),
    );
    out.extend_from_slice(part.session().as_bytes());
    out.extend_from_slice(&part.segment().to_le_bytes());
    out.extend_from_slice(&place.to_le_bytes());
    out.extend_from_slice(&synced.to_le_bytes());
    let check = entry_check(number, offset, out.get(from..).unwrap_or_default(), digest);
    out.extend_from_slice(&check);
    out.extend_from_slice(part.bytes());
    let (session, spot, part_len) = (part.session(), Spot::of(part), part.bytes().len());
    Entry {
        session,
        spot,
        offset,
        part_len,
        synced,
        digest: *digest,
    }
}

/// Whether the layout can hold this part.
pub(super) fn fits(part: &Part) -> bool {
    part.bytes().len() <= PART_BYTES_MAX && part.place() != Place::Frame(SEAL)
}

/// What guards an entry: it covers its head, its part and where it stands, so that neither a torn
/// write nor an old block that the file system hands out again passes for an entry.
fn entry_check(number: u64, offset: u64, head: &[u8], digest: &Digest) -> Digest {
    let mut hash = Sha256::new_with_prefix(DOMAIN);
    hash.update(number.to_le_bytes());
    hash.update(offset.to_le_bytes());
    hash.update(head);
    hash.update(digest);
    half(&hash.finalize().into())
}

/// The entry at this offset, if a sound one stands there that can be read.
pub(super) fn entry_at(
    file: &dyn DiskFile,
    number: u64,
    offset: u64,
) -> io::Result<Option<(Entry, Vec<u8>)>> {
    match read_entry(file, number, offset) {
        // A bad sector: as if other bytes stood there. What is around it can be read.
        Err(e) if is_lost(&e) => Ok(None),
        read => read,
    }
}

fn read_entry(
    file: &dyn DiskFile,
    number: u64,
    offset: u64,
) -> io::Result<Option<(Entry, Vec<u8>)>> {
    let mut head = [0u8; ENTRY_HEAD_BYTES];
    if read_full_at(file, offset, &mut head)? < ENTRY_HEAD_BYTES {
        return Ok(None);
    }
    let Some((mut entry, check)) = parse_head(&head, offset) else {
        return Ok(None);
    };
    let mut bytes = vec![0u8; entry.part_len];
    let part_offset = offset.saturating_add(ENTRY_HEAD_BYTES as u64);
    if read_full_at(file, part_offset, &mut bytes)? < entry.part_len {
        return Ok(None);
    }
    entry.digest = part_digest(&bytes);
    let (checked, _) = head.split_at(CHECKED_BYTES);
    let sound = entry_check(number, offset, checked, &entry.digest) == check;
    Ok(sound.then_some((entry, bytes)))
}

/// Takes a head apart; the part's digest is still to come.
fn parse_head(head: &[u8; ENTRY_HEAD_BYTES], offset: u64) -> Option<(Entry, Digest)> {
    let rest = head.strip_prefix(&ENTRY_MAGIC)?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (session, rest) = rest.split_first_chunk::<16>()?;
    let (segment, rest) = rest.split_first_chunk::<4>()?;
    let (place, rest) = rest.split_first_chunk::<4>()?;
    let (synced, rest) = rest.split_first_chunk::<8>()?;
    let (check, _) = rest.split_first_chunk::<16>()?;
    let part_len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    if part_len > PART_BYTES_MAX {
        return None;
    }
    let place = match u32::from_le_bytes(*place) {
        SEAL => Place::Seal,
        index => Place::Frame(index),
    };
    let entry = Entry {
        session: SessionId::from_bytes(*session),
        spot: Spot {
            segment: u32::from_le_bytes(*segment),
            place,
        },
        offset,
        part_len,
        synced: u64::from_le_bytes(*synced),
        digest: Digest::default(),
    };
    Some((entry, *check))
}

/// The part that was put, byte for byte.
pub(super) fn part_of(entry: &Entry, bytes: Vec<u8>) -> Part {
    let (session, segment) = (entry.session, entry.spot.segment);
    match entry.spot.place {
        Place::Frame(index) => Part::Frame(Frame {
            session,
            segment,
            index,
            bytes,
        }),
        Place::Seal => Part::Seal(Seal {
            session,
            segment,
            bytes,
        }),
    }
}

/// What a whole file holds.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) entries: Vec<Entry>,
    /// Where the sound entries end; everything after them was never durable.
    pub(super) end: u64,
    /// Bytes that an entry says were durable. What lies between here and `end` can be read, and
    /// nobody knows whether it is on the medium: a sync of it may have failed before.
    pub(super) proven: u64,
    /// Places below it where something durable has been damaged since.
    pub(super) damaged: Vec<u64>,
}

/// Reads a file from its beginning.
///
/// A spot without a sound entry is either a tail that a loss of power tore, or damage to what was
/// durable. Every entry says how much was durable when it was written; so what lies below the
/// highest such word is damage, and is kept around; what lies above was never promised to anybody.
/// Entries above such a spot are dropped with it, even sound ones: a sender was told nothing about
/// them, will offer them again, and expects that at most the beginning of them is there.
///
/// `claim` is how much a later file says was durable of this one.
pub(super) fn scan(file: &dyn DiskFile, number: u64, claim: Option<u64>) -> io::Result<Scan> {
    let size = file.size()?;
    let (mut found, mut bad) = (Vec::new(), Vec::new());
    let mut promised = claim.unwrap_or(0);
    // What cannot be read was not torn by a crash: it is damage, and what is behind it stays.
    let is_damage = |e: io::Error| match is_lost(&e) {
        true => Ok(true),
        false => Err(e),
    };
    let mut at = match read_head(file, number) {
        Ok(Some((head_len, _))) => head_len,
        bytes => {
            if bytes.map_or_else(is_damage, |_| Ok(false))? {
                promised = promised.max(1);
            }
            bad.push(0);
            next_magic(file, 0, size)?
        }
    };
    while at < size {
        match read_entry(file, number, at) {
            Ok(Some((entry, _))) => {
                promised = promised.max(entry.synced);
                at = entry.end();
                found.push(entry);
            }
            bytes => {
                if bytes.map_or_else(is_damage, |_| Ok(false))? {
                    promised = promised.max(at.saturating_add(1));
                }
                bad.push(at);
                at = next_magic(file, at.saturating_add(1), size)?;
            }
        }
    }
    let torn = bad.iter().copied().find(|spot| *spot >= promised);
    let end = torn.unwrap_or(size);
    found.retain(|entry| entry.end() <= end);
    bad.retain(|spot| *spot < promised);
    let proven = promised.min(end);
    Ok(Scan {
        entries: found,
        end,
        proven,
        damaged: bad,
    })
}

/// The next place at which an entry could begin, or the file's end.
fn next_magic(file: &dyn DiskFile, from: u64, size: u64) -> io::Result<u64> {
    const WINDOW_BYTES: usize = 64 * 1024;
    /// What a disk loses at a time, at least.
    const SECTOR_BYTES: usize = 512;
    let mut window = vec![0u8; WINDOW_BYTES];
    let mut at = from;
    while at < size {
        let n = match read_full_at(file, at, &mut window) {
            Err(e) if is_lost(&e) => {
                // On in small steps, so that no more is passed over than cannot be read.
                let piece = window.get_mut(..SECTOR_BYTES).unwrap_or_default();
                match read_full_at(file, at, piece) {
                    Err(e) if is_lost(&e) => {
                        let begun = at % SECTOR_BYTES as u64;
                        at = at.saturating_add(SECTOR_BYTES as u64 - begun);
                        continue;
                    }
                    read => read?,
                }
            }
            read => read?,
        };
        let read = window.get(..n).unwrap_or_default();
        if let Some(i) = read
            .windows(ENTRY_MAGIC.len())
            .position(|w| w == ENTRY_MAGIC)
        {
            return Ok(at.saturating_add(i as u64));
        }
        // The magic may lie across two windows.
        let step = n.saturating_sub(ENTRY_MAGIC.len() - 1);
        if step == 0 {
            break;
        }
        at = at.saturating_add(step as u64);
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::conformance::sample_parts;
    use crate::disk::{Disk, write_all_at};
    use crate::sim::SimDisk;

    fn file_with(bytes: &[u8]) -> Arc<dyn DiskFile> {
        let file = SimDisk::new(1).create_new(Path::new("/f")).unwrap();
        write_all_at(&*file, 0, bytes).unwrap();
        file
    }

    fn file_of(number: u64, parts: &[Part]) -> Vec<u8> {
        let mut bytes = file_head(number, &[]);
        for part in parts {
            encode(&mut bytes, (number, 0, 0), part, &part_digest(part.bytes()));
        }
        bytes
    }

    #[test]
    fn an_entry_is_one_only_where_it_was_written() {
        let parts = sample_parts(1).unwrap();
        let bytes = file_of(7, &parts[..3]);
        let file = file_with(&bytes);
        assert!(entry_at(&*file, 7, HEAD_BYTES as u64).unwrap().is_some());
        assert!(
            entry_at(&*file, 8, HEAD_BYTES as u64).unwrap().is_none(),
            "of another file"
        );
        let mut moved = file_head(7, &[]);
        moved.extend_from_slice(&[0; 100]);
        moved.extend_from_slice(&bytes[HEAD_BYTES..]);
        assert!(
            entry_at(&*file_with(&moved), 7, HEAD_BYTES as u64 + 100)
                .unwrap()
                .is_none(),
            "of another offset"
        );
    }

    #[test]
    fn every_bit_of_an_entry_counts() {
        let parts = sample_parts(1).unwrap();
        let bytes = file_of(7, &parts[1..2]);
        for bit in HEAD_BYTES * 8..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                entry_at(&*file_with(&flipped), 7, HEAD_BYTES as u64)
                    .unwrap()
                    .is_none(),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_scan_ends_at_the_first_torn_entry_and_takes_nothing_after_it() {
        let parts = sample_parts(1).unwrap();
        let bytes = file_of(7, &parts[..9]);
        let whole = scan(&*file_with(&bytes), 7, None).unwrap();
        assert_eq!((whole.entries.len(), whole.end), (9, bytes.len() as u64));
        for torn in 0..9 {
            let mut bytes = bytes.clone();
            let entry = &whole.entries[torn];
            let end = entry.end() as usize;
            bytes[end - 7..end].fill(0);
            let found = scan(&*file_with(&bytes), 7, None).unwrap();
            assert_eq!(found.entries, whole.entries[..torn]);
            assert_eq!(found.end, entry.offset);
            assert!(found.damaged.is_empty());
        }
    }
}
