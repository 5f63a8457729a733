//! The compressed stream of a segment.

use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

use super::LEVEL_BULK;
use crate::writer::WriteError;

/// Size of the bulk level's hash table, 2 to this power entries, and its shortest match: smaller
/// and shorter than zstd's own for the level. Of what pours over a terminal, coloured logs come out
/// 2.5 % smaller and source code 5 % larger, both a little faster (`examples/core_speed`).
const BULK_HASH_LOG: u32 = 13;
const BULK_MATCH_MIN: u32 = 5;

/// Sizes of the calm level's tables, 2 to this power entries: zstd's own for the level take 5 MB of
/// memory for each session, these a tenth of it, for half a percent on the disk (`examples/core_calm`).
const CALM_HASH_LOG: u32 = 16;
const CALM_CHAIN_LOG: u32 = 16;

/// History that a frame may refer back to, 2 to this power bytes: all of an ordinary segment.
const WINDOW_LOG: u32 = 20;

/// Compresses one stream after another. It has memory for its tables only while it is at work: half a megabyte, which
/// is much for a session that does nothing.
pub(super) struct Compressor {
    level: i32,
    context: Option<CCtx<'static>>,
}

impl Compressor {
    pub(super) fn new(level: i32) -> Self {
        Self {
            level,
            context: None,
        }
    }

    /// Starts a new stream, which lasts for one segment.
    pub(super) fn begin(&mut self, level: i32) -> Result<(), WriteError> {
        self.level = level;
        match &mut self.context {
            Some(context) => prepare(context, level),
            None => Ok(()),
        }
    }

    /// Gives its memory back. The stream that was begun last MUST be empty.
    pub(super) fn rest(&mut self) {
        self.context = None;
    }

    fn context(&mut self) -> Result<&mut CCtx<'static>, WriteError> {
        if self.context.is_none() {
            let mut context = CCtx::try_create()
                .ok_or_else(|| WriteError::Compression("no memory for the compressor".into()))?;
            prepare(&mut context, self.level)?;
            self.context = Some(context);
        }
        let missing = || WriteError::Compression("no compressor".into());
        self.context.as_mut().ok_or_else(missing)
    }

    /// Compresses a piece of a frame; with `flush`, so that a reader has all of it.
    pub(super) fn piece(
        &mut self,
        out: &mut Vec<u8>,
        piece: &[u8],
        flush: bool,
    ) -> Result<(), WriteError> {
        let context = self.context()?;
        let directive = if flush {
            ZSTD_EndDirective::ZSTD_e_flush
        } else {
            ZSTD_EndDirective::ZSTD_e_continue
        };
        let mut input = InBuffer::around(piece);
        loop {
            if out.capacity() - out.len() < 1024 {
                out.reserve(64 * 1024);
            }
            let pos = out.len();
            let mut output = OutBuffer::around_pos(out, pos);
            let left = context
                .compress_stream2(&mut output, &mut input, directive)
                .map_err(zstd_error)?;
            let done = if flush {
                left == 0
            } else {
                input.pos() == piece.len()
            };
            if done {
                return Ok(());
            }
        }
    }
}

fn zstd_error(code: usize) -> WriteError {
    WriteError::Compression(zstd_safe::get_error_name(code).to_owned())
}

fn prepare(context: &mut CCtx<'static>, level: i32) -> Result<(), WriteError> {
    context
        .reset(ResetDirective::SessionAndParameters)
        .map_err(zstd_error)?;
    let common = [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(WINDOW_LOG),
        CParameter::ContentSizeFlag(false),
        CParameter::ChecksumFlag(false),
    ];
    let tables = match level {
        LEVEL_BULK => [
            CParameter::HashLog(BULK_HASH_LOG),
            CParameter::MinMatch(BULK_MATCH_MIN),
        ],
        _ => [
            CParameter::HashLog(CALM_HASH_LOG),
            CParameter::ChainLog(CALM_CHAIN_LOG),
        ],
    };
    for parameter in common.into_iter().chain(tables) {
        context.set_parameter(parameter).map_err(zstd_error)?;
    }
    Ok(())
}
