//! A block as bytes: numbers in columns, and a checksum of them and of the texts, which are kept beside them
//! as [`columns`] stores them. Both are compressed together with other blocks, by whoever keeps them.

use std::sync::Arc;

use hansard_core::SessionId;
use hansard_view::text::{Step, What};

use super::block::{Block, Entry, SPANS_MAX, Span, Whose};
use super::columns::{self, Shown};

/// Version of this layout.
const VERSION: u8 = 4;

/// Bytes of the checksum, which stands in front.
const SUM_BYTES: usize = 8;

/// What is wrong with a block's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotABlock;

/// Everything of a block but its texts, and those.
pub(super) fn pack(block: &Block) -> (Vec<u8>, String) {
    let texts = columns::split(&block.texts);
    let mut out = Vec::with_capacity(block.entries.len() * 8 + 256);
    out.extend_from_slice(&[0; SUM_BYTES]);
    lay_out(&mut out, block);
    let sum = sum_of_both(out.get(SUM_BYTES..).unwrap_or(&[]), &texts);
    if let Some(place) = out.first_chunk_mut() {
        *place = sum.to_le_bytes();
    }
    (out, texts)
}

/// A block of which nothing is read yet.
pub(super) struct Packed<'a> {
    numbers: &'a [u8],
    texts: Shown<'a>,
}

impl<'a> Packed<'a> {
    /// What [`pack`] made. Any bytes may be given.
    pub(super) fn of(packed: &'a [u8], texts: &'a str) -> Result<Self, NotABlock> {
        let (told, numbers) = packed.split_first_chunk().ok_or(NotABlock)?;
        if u64::from_le_bytes(*told) != sum_of_both(numbers, texts) {
            return Err(NotABlock);
        }
        let texts = Shown::of(texts).ok_or(NotABlock)?;
        Ok(Self { numbers, texts })
    }

    /// Its texts.
    pub(super) fn texts(&self) -> &Shown<'a> {
        &self.texts
    }

    /// The whole block.
    pub(super) fn unpack(&self) -> Result<Block, NotABlock> {
        let texts = self.texts.whole().ok_or(NotABlock)?;
        read(&mut Bytes(self.numbers), texts.into_owned())
    }
}

fn sum_of_both(numbers: &[u8], texts: &str) -> u64 {
    sum(numbers).rotate_left(1) ^ sum(texts.as_bytes())
}

/// Tells damage, not malice: the index is this machine's own.
fn sum(bytes: &[u8]) -> u64 {
    let turn = |sum: u64, piece: u64| {
        let product = u128::from(sum ^ piece) * 0x9e37_79b9_7f4a_7c15_u128;
        u64::try_from(product >> 64).unwrap_or(0) ^ sum.rotate_left(23) ^ piece.rotate_left(7)
    };
    let (pieces, rest) = bytes.as_chunks::<8>();
    let mut all = pieces.iter().fold(bytes.len() as u64, |all, piece| {
        turn(all, u64::from_le_bytes(*piece))
    });
    for byte in rest {
        all = turn(all, u64::from(*byte));
    }
    all
}

fn lay_out(out: &mut Vec<u8>, block: &Block) {
    out.push(VERSION);
    out.extend_from_slice(block.whose.session.as_bytes());
    for text in [&block.whose.user, &block.whose.host, &block.whose.kind] {
        number(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
    number(out, block.whose.start_utc_ns);
    number(out, u64::from(block.number));
    let flags = [block.is_open, block.is_last, block.is_capped];
    number(out, bits(&flags));
    number(out, block.span.first_ns);
    number(out, block.span.last_ns.saturating_sub(block.span.first_ns));
    let moments = Moments::of(block);
    moments.lay_out(out);
    number(out, block.entries.len() as u64);
    let kinds = block.entries.iter().map(|entry| {
        let flags = bits(&[entry.is_concealed, entry.is_blended, entry.is_cut]);
        u64::from(entry.what.code()) | (flags << FLAGS_AT)
    });
    column(out, kinds);
    // Where each text ends is seen in the texts: lengths would be larger than all other numbers.
    let inside = block.entries().map(|(_, text)| text.matches('\n').count());
    column(out, inside.map(|count| count as u64));
    lay_out_times(out, block, &moments);
}

/// Above the kind of an entry, in its number, are its flags.
const FLAGS_AT: u32 = 4;

/// A number of each entry: one for all, where it is the same, which is read much sooner.
fn column(out: &mut Vec<u8>, all: impl Iterator<Item = u64> + Clone) {
    let first = all.clone().next().unwrap_or(0);
    let is_same = all.clone().all(|n| n == first);
    out.push(u8::from(is_same));
    match is_same {
        true => number(out, first),
        false => all.for_each(|n| number(out, n)),
    }
}

/// Moments in columns, each as its place among all of them: what one write brought to the screen has
/// the same moments, and a column of the same small numbers compresses to nothing.
fn lay_out_times(out: &mut Vec<u8>, block: &Block, moments: &Moments) {
    column(out, block.entries.iter().map(|e| e.spans.len() as u64));
    let mut before = 0;
    for span in block.entries.iter().flat_map(|entry| &entry.spans) {
        let at = moments.place(span.first_ns);
        number(out, signed(at, before));
        before = at;
    }
    for span in block.entries.iter().flat_map(|entry| &entry.spans) {
        let (first, last) = (moments.place(span.first_ns), moments.place(span.last_ns));
        number(out, last.saturating_sub(first));
    }
    column(out, block.entries.iter().map(|e| e.steps.len() as u64));
    for entry in &block.entries {
        let first = entry.spans.first().map_or(0, |span| span.first_ns);
        let (mut chars, mut before) = (0, moments.place(first));
        for step in &entry.steps {
            let at = moments.place(step.at_ns);
            number(out, u64::from(step.chars.saturating_sub(chars)));
            number(out, signed(at, before));
            (chars, before) = (step.chars, at);
        }
    }
}

/// Every moment of a block, once and in order.
struct Moments(Vec<u64>);

impl Moments {
    fn of(block: &Block) -> Self {
        let mut all = Vec::with_capacity(block.entries.len());
        for entry in &block.entries {
            all.extend(entry.spans.iter().flat_map(|s| [s.first_ns, s.last_ns]));
            all.extend(entry.steps.iter().map(|step| step.at_ns));
        }
        all.sort_unstable();
        all.dedup();
        Self(all)
    }

    fn lay_out(&self, out: &mut Vec<u8>) {
        number(out, self.0.len() as u64);
        let mut before = 0;
        for at_ns in &self.0 {
            number(out, at_ns.saturating_sub(before));
            before = *at_ns;
        }
    }

    fn read(bytes: &mut Bytes<'_>) -> Result<Self, NotABlock> {
        let (mut all, mut before) = (Vec::new(), 0u64);
        for _ in 0..bytes.count()? {
            before = before.saturating_add(bytes.number()?);
            all.push(before);
        }
        Ok(Self(all))
    }

    fn place(&self, at_ns: u64) -> u64 {
        let (Ok(at) | Err(at)) = self.0.binary_search(&at_ns);
        at as u64
    }

    fn at(&self, place: u64) -> Result<u64, NotABlock> {
        let place = usize::try_from(place).map_err(|_| NotABlock)?;
        self.0.get(place).copied().ok_or(NotABlock)
    }
}

/// How much further one place is than another, forwards even and backwards odd.
fn signed(at: u64, before: u64) -> u64 {
    match at.checked_sub(before) {
        Some(on) => on << 1,
        None => ((before - at) << 1) - 1,
    }
}

fn moved(before: u64, signed: u64) -> Result<u64, NotABlock> {
    let by = signed >> 1;
    match signed & 1 {
        0 => before.checked_add(by),
        _ => before.checked_sub(by.saturating_add(1)),
    }
    .ok_or(NotABlock)
}

fn bits(flags: &[bool]) -> u64 {
    let set = flags.iter().enumerate().filter(|(_, on)| **on);
    set.map(|(at, _)| 1 << at).sum()
}

/// Seven bits in each byte, the lowest first.
fn number(out: &mut Vec<u8>, mut n: u64) {
    loop {
        let low = u8::try_from(n & 0x7f).unwrap_or(0);
        n >>= 7;
        if n == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], NotABlock> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(NotABlock)?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, NotABlock> {
        self.take(1)?.first().copied().ok_or(NotABlock)
    }

    fn number(&mut self) -> Result<u64, NotABlock> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(NotABlock)
    }

    fn count(&mut self) -> Result<usize, NotABlock> {
        usize::try_from(self.number()?).map_err(|_| NotABlock)
    }

    /// What [`column`] wrote.
    fn column(&mut self, count: usize) -> Result<Vec<u64>, NotABlock> {
        match self.byte()? {
            1 => Ok(vec![self.number()?; count]),
            _ => (0..count).map(|_| self.number()).collect(),
        }
    }

    fn short(&mut self) -> Result<u32, NotABlock> {
        u32::try_from(self.number()?).map_err(|_| NotABlock)
    }

    fn text(&mut self) -> Result<String, NotABlock> {
        let bytes = self.count()?;
        let text = std::str::from_utf8(self.take(bytes)?);
        text.map(str::to_owned).map_err(|_| NotABlock)
    }
}

fn read(bytes: &mut Bytes<'_>, texts: String) -> Result<Block, NotABlock> {
    if bytes.byte()? != VERSION {
        return Err(NotABlock);
    }
    let id: [u8; 16] = bytes.take(16)?.try_into().map_err(|_| NotABlock)?;
    let whose = Whose {
        session: SessionId::from_bytes(id),
        user: bytes.text()?,
        host: bytes.text()?,
        kind: bytes.text()?,
        start_utc_ns: bytes.number()?,
    };
    let block_number = bytes.short()?;
    let flags = bytes.number()?;
    let first_ns = bytes.number()?;
    let last_ns = first_ns.saturating_add(bytes.number()?);
    let moments = Moments::read(bytes)?;
    let count = bytes.count()?;
    // Behind each is a line feed: nothing is allocated for what a number says.
    if count > texts.len() {
        return Err(NotABlock);
    }
    let mut entries = Vec::with_capacity(count);
    for kind in bytes.column(count)? {
        let flags = kind >> FLAGS_AT;
        let what = u8::try_from(kind & ((1 << FLAGS_AT) - 1)).map_err(|_| NotABlock)?;
        entries.push(Entry {
            what: What::of_code(what).ok_or(NotABlock)?,
            bytes: 0,
            is_concealed: flags & 1 != 0,
            is_blended: flags & 2 != 0,
            is_cut: flags & 4 != 0,
            spans: Vec::new(),
            steps: Vec::new(),
        });
    }
    read_lengths(bytes, &mut entries, &texts)?;
    read_times(bytes, &mut entries, &moments)?;
    Ok(Block {
        whose: Arc::new(whose),
        number: block_number,
        is_open: flags & 1 != 0,
        is_last: flags & 2 != 0,
        is_capped: flags & 4 != 0,
        span: Span { first_ns, last_ns },
        entries,
        texts,
    })
}

/// Every text has a line feed behind it, and a number says how many are inside of it.
fn read_lengths(
    bytes: &mut Bytes<'_>,
    entries: &mut [Entry],
    texts: &str,
) -> Result<(), NotABlock> {
    let mut rest = texts;
    for (inside, entry) in bytes.column(entries.len())?.into_iter().zip(entries) {
        let inside = usize::try_from(inside).map_err(|_| NotABlock)?;
        let (end, _) = rest.match_indices('\n').nth(inside).ok_or(NotABlock)?;
        entry.bytes = u32::try_from(end).map_err(|_| NotABlock)?;
        rest = rest.get(end + 1..).ok_or(NotABlock)?;
    }
    match rest.is_empty() {
        true => Ok(()),
        false => Err(NotABlock),
    }
}

fn read_times(
    bytes: &mut Bytes<'_>,
    entries: &mut [Entry],
    moments: &Moments,
) -> Result<(), NotABlock> {
    let mut counts = Vec::with_capacity(entries.len());
    for spans in bytes.column(entries.len())? {
        match usize::try_from(spans) {
            Ok(spans @ 1..=SPANS_MAX) => counts.push(spans),
            _ => return Err(NotABlock),
        }
    }
    let mut place = 0;
    let mut firsts = Vec::with_capacity(entries.len());
    for _ in 0..counts.iter().sum() {
        place = moved(place, bytes.number()?)?;
        firsts.push(place);
    }
    let mut firsts = firsts.into_iter();
    for (entry, spans) in entries.iter_mut().zip(&counts) {
        for first in firsts.by_ref().take(*spans) {
            let last = first.checked_add(bytes.number()?).ok_or(NotABlock)?;
            entry.spans.push(Span {
                first_ns: moments.at(first)?,
                last_ns: moments.at(last)?,
            });
        }
    }
    let steps = bytes.column(entries.len())?;
    for (entry, steps) in entries.iter_mut().zip(steps) {
        let first = entry.spans.first().map_or(0, |span| span.first_ns);
        let (mut chars, mut place) = (0u32, moments.place(first));
        for _ in 0..steps {
            chars = chars.saturating_add(bytes.short()?);
            place = moved(place, bytes.number()?)?;
            let at_ns = moments.at(place)?;
            entry.steps.push(Step { chars, at_ns });
        }
    }
    Ok(())
}
