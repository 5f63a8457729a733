//! The compressed stream of a segment.

use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, InBuffer, OutBuffer};

use crate::writer::WriteError;

pub(super) fn zstd_error(code: usize) -> WriteError {
    WriteError::Compression(zstd_safe::get_error_name(code).to_owned())
}

/// Compresses a piece of a frame; with `flush`, so that a reader has all of it.
pub(super) fn compress_piece(
    compressor: &mut CCtx<'static>,
    out: &mut Vec<u8>,
    piece: &[u8],
    flush: bool,
) -> Result<(), WriteError> {
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
        let left = compressor
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
