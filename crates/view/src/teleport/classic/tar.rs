//! The files of a recording in a tar archive (ustar, pax, GNU's long names), read where they are:
//! nothing is extracted, and no name leads anywhere.

use std::io::{self, Read};

use super::names;
use crate::codec::DecodeError;
use crate::limits::{TAR_MEMBERS_MAX, TAR_NAME_BYTES_MAX};
use crate::parts::{Inputs, Part};
use crate::source::{Cursor, Source, read_exact_at};

const BLOCK: usize = 512;
const BLOCK_BYTES: u64 = 512;

/// Longest name that a file can have.
const FILE_NAME_BYTES_MAX: usize = 255;

/// The regular files of an archive, as if they stood in a directory.
pub struct TarInputs {
    source: Source,
    /// Sorted.
    names: Vec<String>,
    /// Where each is, and how long.
    places: Vec<(u64, u64)>,
}

impl TarInputs {
    /// Lists an archive.
    ///
    /// # Errors
    /// When it is damaged, has more than [`TAR_MEMBERS_MAX`] members, or holds what no recording
    /// has: links, devices, names with `..` or from the root, a name twice. The error says where.
    pub fn new(source: Source) -> Result<Self, DecodeError> {
        let end = source.len()?;
        let mut listed: Vec<(String, (u64, u64))> = Vec::new();
        let (mut offset, mut members) = (0, 0);
        let mut said = Said::default();
        // The last blocks are zeros, or missing where the archive was cut.
        while let Some(block) = block(&source, offset, end)? {
            let header = header(&block).map_err(|what| malformed(offset, what))?;
            let size = said
                .size
                .filter(|_| header.is_member())
                .unwrap_or(header.size);
            members += 1;
            if members > TAR_MEMBERS_MAX {
                return Err(malformed(
                    offset,
                    format!("more than {TAR_MEMBERS_MAX} members, the limit of this reader"),
                ));
            }
            let place = offset + BLOCK_BYTES;
            match header.kind {
                b'x' | b'L' => said
                    .read(&source, &header, place, end)
                    .map_err(|what| malformed(offset, what))?,
                // Names of links (which are refused), and what holds for all members.
                b'K' | b'g' => {}
                b'0' | 0 | b'7' | b'5' => {
                    let name = said.name.take().unwrap_or(header.name);
                    let name = harmless(&name).map_err(|what| malformed(offset, what))?;
                    said = Said::default();
                    if header.kind != b'5' && !name.is_empty() {
                        listed.push((name, (place, size.min(end.saturating_sub(place)))));
                    }
                }
                b'1' | b'2' => {
                    return Err(malformed(
                        offset,
                        "a link in the archive; no recording has one: refused".to_owned(),
                    ));
                }
                _ => {
                    return Err(malformed(
                        offset,
                        "a member that is no regular file; no recording has one: refused"
                            .to_owned(),
                    ));
                }
            }
            let blocks = size.checked_next_multiple_of(BLOCK_BYTES);
            let next = blocks.and_then(|bytes| place.checked_add(bytes));
            offset = next.ok_or_else(|| malformed(offset, "a member of absurd size".to_owned()))?;
        }
        Self::sorted(source, listed)
    }

    fn sorted(source: Source, mut listed: Vec<(String, (u64, u64))>) -> Result<Self, DecodeError> {
        listed.sort_unstable();
        let twice = listed.windows(2).find_map(|pair| match pair {
            [(a, _), (b, (place, _))] if a == b => Some(*place),
            _ => None,
        });
        if let Some(place) = twice {
            let what = "a second member of the same name; which is meant cannot be told: refused";
            return Err(malformed(place - BLOCK_BYTES, what.to_owned()));
        }
        let (names, places) = listed.into_iter().unzip();
        Ok(Self {
            source,
            names,
            places,
        })
    }
}

impl Inputs for TarInputs {
    fn names(&self) -> Option<&[String]> {
        Some(&self.names)
    }

    fn open(&self, part: Part<'_>) -> io::Result<Option<Box<dyn Read>>> {
        let Part::Inside(name) = part else {
            return Ok(None);
        };
        let found = self.names.binary_search_by(|n| n.as_str().cmp(name)).ok();
        Ok(found.and_then(|i| self.places.get(i)).map(|(offset, len)| {
            let reader = Cursor::new(self.source.clone(), *offset).take(*len);
            Box::new(reader) as Box<dyn Read>
        }))
    }
}

/// Whether a file that begins with these bytes is an archive of a classic recording.
#[must_use]
pub fn guess_tar(beginning: &[u8]) -> bool {
    let mut rest = beginning;
    while let Some((block, after)) = rest.split_at_checked(BLOCK) {
        let Ok(header) = header(block) else {
            return false;
        };
        let name = header.name.rsplit('/').next().unwrap_or_default();
        let said = after.get(..usize::try_from(header.size).unwrap_or(usize::MAX));
        match header.kind {
            b'0' | 0 if names::parse(name).is_some() => return true,
            // A long name stands before its member.
            b'x' | b'L' if said.is_some_and(ends_like_ours) => return true,
            b'x' | b'g' | b'L' | b'5' => {}
            _ => return false,
        }
        let blocks = header
            .size
            .div_ceil(BLOCK_BYTES)
            .saturating_mul(BLOCK_BYTES);
        rest = after
            .get(usize::try_from(blocks).unwrap_or(usize::MAX)..)
            .unwrap_or_default();
    }
    false
}

/// Whether a long name in these bytes ends like one of ours.
fn ends_like_ours(said: &[u8]) -> bool {
    let mut lines = said.split(|byte| matches!(byte, 0 | b'\n'));
    lines.any(|line| {
        [&b"events.gz"[..], b".chunks.gz"]
            .iter()
            .any(|end| line.ends_with(end))
    })
}

fn malformed(offset: u64, what: String) -> DecodeError {
    DecodeError::Malformed {
        line: None,
        offset,
        what,
    }
}

/// The block at this offset, unless the archive ends here.
fn block(source: &Source, offset: u64, end: u64) -> Result<Option<Vec<u8>>, DecodeError> {
    if offset
        .checked_add(BLOCK_BYTES)
        .is_none_or(|after| after > end)
    {
        return Ok(None);
    }
    let block = read_exact_at(source.as_ref(), offset, BLOCK)?;
    Ok(block.iter().any(|b| *b != 0).then_some(block))
}

struct Header {
    name: String,
    size: u64,
    kind: u8,
}

impl Header {
    /// Whether it is a member, not something about the next one.
    fn is_member(&self) -> bool {
        !matches!(self.kind, b'x' | b'g' | b'L' | b'K')
    }
}

fn header(block: &[u8]) -> Result<Header, String> {
    let field = |from: usize, len: usize| block.get(from..from + len).unwrap_or_default();
    let sum = octal(field(148, 8));
    let found: u64 = block
        .iter()
        .enumerate()
        .map(|(i, byte)| {
            if (148..156).contains(&i) {
                32
            } else {
                u64::from(*byte)
            }
        })
        .sum();
    if sum != Some(found) {
        return Err("no header of a tar archive here: its sum is wrong".to_owned());
    }
    let mut name = text(field(0, 100));
    let prefix = text(field(345, 155));
    if field(257, 6) == b"ustar\0" && !prefix.is_empty() {
        name = format!("{prefix}/{name}");
    }
    let size = number(field(124, 12)).ok_or("a member whose size is no number")?;
    let kind = block.get(156).copied().unwrap_or(0);
    Ok(Header { name, size, kind })
}

fn text(field: &[u8]) -> String {
    let text = field.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches(['\0', ' ']);
    if digits.is_empty() {
        Some(0)
    } else {
        u64::from_str_radix(digits, 8).ok()
    }
}

/// Octal, or binary where the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    match field.split_first() {
        Some((0x80, rest)) => rest.iter().try_fold(0u64, |n, byte| {
            n.checked_mul(256)?.checked_add(u64::from(*byte))
        }),
        _ => octal(field),
    }
}

/// What was said about the next member before its own header.
#[derive(Default)]
struct Said {
    name: Option<String>,
    size: Option<u64>,
}

impl Said {
    fn read(
        &mut self,
        source: &Source,
        header: &Header,
        place: u64,
        end: u64,
    ) -> Result<(), String> {
        if header.size > TAR_NAME_BYTES_MAX || header.size > end.saturating_sub(place) {
            return Err(format!(
                "an extended header of {} bytes; refused",
                header.size
            ));
        }
        let len = usize::try_from(header.size).unwrap_or(0);
        let bytes =
            read_exact_at(source.as_ref(), place, len).map_err(|e| format!("cannot read: {e}"))?;
        if header.kind == b'L' {
            self.name = Some(text(&bytes));
            return Ok(());
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let record = pax(rest).ok_or("an extended header that is damaged")?;
            match record.key {
                b"path" => self.name = Some(String::from_utf8_lossy(record.value).into_owned()),
                b"size" => {
                    let size = std::str::from_utf8(record.value)
                        .ok()
                        .and_then(|n| n.parse().ok());
                    self.size = Some(size.ok_or("an extended header whose size is no number")?);
                }
                _ => {}
            }
            rest = record.rest;
        }
        Ok(())
    }
}

struct Pax<'a> {
    key: &'a [u8],
    value: &'a [u8],
    rest: &'a [u8],
}

/// One record: its length in decimal, a space, `key=value` and a line feed.
fn pax(bytes: &[u8]) -> Option<Pax<'_>> {
    let space = bytes.iter().position(|b| *b == b' ')?;
    let len: usize = std::str::from_utf8(bytes.get(..space)?)
        .ok()?
        .parse()
        .ok()?;
    let record = bytes.get(space + 1..len)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|b| *b == b'=')?;
    Some(Pax {
        key: record.get(..equals)?,
        value: record.get(equals + 1..)?,
        rest: bytes.get(len..)?,
    })
}

/// The last part of a name that leads nowhere else.
fn harmless(name: &str) -> Result<String, String> {
    if name.starts_with('/') || name.split('/').any(|part| part == "..") || name.contains('\0') {
        let name: String = name.chars().take(80).collect();
        return Err(format!(
            "a member with the name {name:?} leads out of the archive: refused"
        ));
    }
    let last = name
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    if last.len() > FILE_NAME_BYTES_MAX {
        return Err(format!(
            "a name longer than {FILE_NAME_BYTES_MAX} bytes: refused"
        ));
    }
    Ok(if last == "." {
        String::new()
    } else {
        last.to_owned()
    })
}
