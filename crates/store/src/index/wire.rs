//! A block as bytes: numbers in columns, then texts, compressed together, with a checksum.

use std::sync::Arc;

use hansard_core::SessionId;
use hansard_view::text::{Step, What};
use zstd_safe::{CCtx, CParameter};

use super::block::{Block, Entry, SPANS_MAX, Span, Whose};

/// Version of this layout.
const VERSION: u8 = 1;

/// Most bytes of a block; one that says to have more is damaged. Blocks of ours have a tenth of it.
const BLOCK_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Level of compression: a block is written once and read often.
const LEVEL: i32 = 7;

/// What is wrong with a block's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotABlock;

/// Compresses blocks, one after another.
pub(super) struct Packer(CCtx<'static>);

impl Packer {
    pub(super) fn new() -> Self {
        let mut context = CCtx::create();
        // Both are always taken by this library; without them blocks would be larger, or unchecked.
        let _ = context.set_parameter(CParameter::CompressionLevel(LEVEL));
        let _ = context.set_parameter(CParameter::ChecksumFlag(true));
        Self(context)
    }

    /// # Errors
    /// When there is no memory to be had.
    pub(super) fn pack(&mut self, block: &Block) -> Result<Vec<u8>, String> {
        let raw = lay_out(block);
        let mut packed = Vec::with_capacity(zstd_safe::compress_bound(raw.len()));
        self.0
            .compress2(&mut packed, &raw)
            .map_err(|code| zstd_safe::get_error_name(code).to_owned())?;
        Ok(packed)
    }
}

/// Any bytes may be given.
pub(super) fn unpack(packed: &[u8]) -> Result<Block, NotABlock> {
    let size = zstd_safe::get_frame_content_size(packed);
    let size = size.ok().flatten().ok_or(NotABlock)?;
    if size > BLOCK_BYTES_MAX {
        return Err(NotABlock);
    }
    let mut raw = Vec::with_capacity(usize::try_from(size).map_err(|_| NotABlock)?);
    zstd_safe::decompress(&mut raw, packed).map_err(|_| NotABlock)?;
    read(&mut Bytes(&raw))
}

fn lay_out(block: &Block) -> Vec<u8> {
    let mut out = Vec::with_capacity(block.texts.len() + block.entries.len() * 8 + 256);
    out.push(VERSION);
    out.extend_from_slice(block.whose.session.as_bytes());
    for text in [&block.whose.user, &block.whose.host, &block.whose.kind] {
        number(&mut out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
    number(&mut out, block.whose.start_utc_ns);
    number(&mut out, u64::from(block.number));
    let flags = [block.is_open, block.is_last, block.is_capped];
    number(&mut out, bits(&flags));
    number(&mut out, block.span.first_ns);
    number(
        &mut out,
        block.span.last_ns.saturating_sub(block.span.first_ns),
    );
    number(&mut out, block.entries.len() as u64);
    for entry in &block.entries {
        let flags = [entry.is_concealed, entry.is_blended, entry.is_cut];
        out.push(entry.what.code());
        number(&mut out, bits(&flags));
        number(&mut out, u64::from(entry.bytes));
    }
    for entry in &block.entries {
        number(&mut out, entry.spans.len() as u64);
        let mut before = block.span.first_ns;
        for span in &entry.spans {
            number(&mut out, span.first_ns.saturating_sub(before));
            number(&mut out, span.last_ns.saturating_sub(span.first_ns));
            before = span.last_ns;
        }
        number(&mut out, entry.steps.len() as u64);
        let (mut chars, mut at_ns) = (0, block.span.first_ns);
        for step in &entry.steps {
            number(&mut out, u64::from(step.chars.saturating_sub(chars)));
            number(&mut out, step.at_ns.saturating_sub(at_ns));
            (chars, at_ns) = (step.chars, step.at_ns);
        }
    }
    number(&mut out, block.texts.len() as u64);
    out.extend_from_slice(block.texts.as_bytes());
    out
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

    fn short(&mut self) -> Result<u32, NotABlock> {
        u32::try_from(self.number()?).map_err(|_| NotABlock)
    }

    fn text(&mut self) -> Result<String, NotABlock> {
        let bytes = self.count()?;
        let text = std::str::from_utf8(self.take(bytes)?);
        text.map(str::to_owned).map_err(|_| NotABlock)
    }
}

fn read(bytes: &mut Bytes<'_>) -> Result<Block, NotABlock> {
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
    let count = bytes.count()?;
    // Grown as it is read: nothing is allocated for what a number says.
    let mut entries = Vec::new();
    for _ in 0..count {
        let what = What::of_code(bytes.byte()?).ok_or(NotABlock)?;
        let flags = bytes.number()?;
        entries.push(Entry {
            what,
            bytes: bytes.short()?,
            is_concealed: flags & 1 != 0,
            is_blended: flags & 2 != 0,
            is_cut: flags & 4 != 0,
            spans: Vec::new(),
            steps: Vec::new(),
        });
    }
    for entry in &mut entries {
        times(bytes, entry, first_ns)?;
    }
    let texts = bytes.text()?;
    let mut end = 0usize;
    for entry in &entries {
        end = end.saturating_add(usize::try_from(entry.bytes).map_err(|_| NotABlock)?);
        if !texts.is_char_boundary(end) {
            return Err(NotABlock);
        }
    }
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

fn times(bytes: &mut Bytes<'_>, entry: &mut Entry, first_ns: u64) -> Result<(), NotABlock> {
    let spans = bytes.count()?;
    if spans == 0 || spans > SPANS_MAX {
        return Err(NotABlock);
    }
    let mut before = first_ns;
    for _ in 0..spans {
        let first_ns = before.saturating_add(bytes.number()?);
        let last_ns = first_ns.saturating_add(bytes.number()?);
        entry.spans.push(Span { first_ns, last_ns });
        before = last_ns;
    }
    let (mut chars, mut at_ns) = (0u32, first_ns);
    for _ in 0..bytes.count()? {
        chars = chars.saturating_add(bytes.short()?);
        at_ns = at_ns.saturating_add(bytes.number()?);
        entry.steps.push(Step { chars, at_ns });
    }
    Ok(())
}
