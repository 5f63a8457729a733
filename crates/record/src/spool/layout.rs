//! How entries lie in a spool file. See [`crate::spool`] for the layout in words.

use std::io;

use hansard_core::frame::{Frame, Part, Place};
use hansard_core::limits::FRAME_STORED_BYTES_MAX;
use hansard_core::{Seal, SessionId};
use sha2::{Digest as _, Sha256};

use crate::disk::{DiskFile, read_full_at};
use crate::order::Spot;

/// First bytes of a spool file; the last one is the layout's version.
const FILE_MAGIC: [u8; 8] = *b"HNSSPL\0\x01";

/// First bytes of an entry.
const ENTRY_MAGIC: [u8; 4] = [0x8e, b'H', b'S', b'E'];

/// Bytes before the first entry: magic and the file's number.
pub(super) const FILE_HEAD_BYTES: u64 = 16;

/// Bytes of an entry before its part.
pub(super) const ENTRY_HEAD_BYTES: usize = 56;

/// Head without its check.
const CHECKED_BYTES: usize = 40;

/// Longest part; an entry that says it is longer is no entry.
const PART_BYTES_MAX: usize = FRAME_STORED_BYTES_MAX + 128 * 1024;

/// Stands for a seal where a frame has its index.
const SEAL: u32 = u32::MAX;

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

/// The first bytes of the file with this number.
pub(super) fn file_head(number: u64) -> Vec<u8> {
    let mut head = FILE_MAGIC.to_vec();
    head.extend_from_slice(&number.to_le_bytes());
    head
}

/// Appends an entry to `out`, to be written at `offset` of the file with this number.
pub(super) fn encode(
    out: &mut Vec<u8>,
    number: u64,
    offset: u64,
    synced: u64,
    part: &Part,
    digest: &Digest,
) {
    let begin = out.len();
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
    let check = entry_check(number, offset, out.get(begin..).unwrap_or_default(), digest);
    out.extend_from_slice(&check);
    out.extend_from_slice(part.bytes());
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

/// The entry at this offset, if a sound one stands there.
pub(super) fn entry_at(
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
    /// Where what is known to be good ends; everything after it was never durable.
    pub(super) end: u64,
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
pub(super) fn scan(file: &dyn DiskFile, number: u64) -> io::Result<Scan> {
    let size = file.size()?;
    let (mut found, mut bad) = (Vec::new(), Vec::new());
    let (mut at, mut promised) = (FILE_HEAD_BYTES, 0u64);
    while at < size {
        match entry_at(file, number, at)? {
            Some((entry, _)) => {
                promised = promised.max(entry.synced);
                at = entry.end();
                found.push(entry);
            }
            None => {
                bad.push(at);
                at = next_magic(file, at.saturating_add(1), size)?;
            }
        }
    }
    let torn = bad.iter().copied().find(|spot| *spot >= promised);
    let end = torn.unwrap_or(size.max(FILE_HEAD_BYTES)).min(size);
    found.retain(|entry| entry.end() <= end);
    bad.retain(|spot| *spot < promised);
    Ok(Scan {
        entries: found,
        end,
        damaged: bad,
    })
}

/// The next place at which an entry could begin, or the file's end.
fn next_magic(file: &dyn DiskFile, from: u64, size: u64) -> io::Result<u64> {
    const WINDOW_BYTES: usize = 64 * 1024;
    let mut window = vec![0u8; WINDOW_BYTES];
    let mut at = from;
    while at < size {
        let n = read_full_at(file, at, &mut window)?;
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
