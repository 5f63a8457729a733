//! `hansard convert`: a recording into another format, through a temporary name.

use std::io::{self, BufWriter};

use hansard_view::codec::CopyError;
use hansard_view::{Clip, EncodeError, Encoder, copy};

use crate::cli::ConvertArgs;
use crate::draft::{Draft, OUT_BYTES};
use crate::failure::{Failure, STATUS_WRONG_USE, shown};
use crate::key;
use crate::originals::Originals;
use crate::source::Source;

/// Converts; what was sound before damage is in the output, and the status says so.
pub(crate) fn run(args: &ConvertArgs) -> Result<u8, Failure> {
    let key = key::signing_key(args.key.as_deref())?;
    let mut source = Source::open(&args.input, &args.read, "converting")?;
    if args.output.as_os_str() == "-" {
        let out = BufWriter::with_capacity(OUT_BYTES, io::stdout().lock());
        let Some(mut encoder) = args.to.encoder(out, key) else {
            let message = format!("{} cannot be written to standard output", args.to);
            return Err(Failure::new(STATUS_WRONG_USE, message)
                .hint("it is more than one file: name it, and the others stand beside it"));
        };
        let copied = cut(args, &mut source, &mut *encoder);
        return finish(args, source, copied);
    }
    let originals = Originals::new(&args.input, &args.read, source.format());
    let draft = Draft::new(&args.output, args.to.beside(), args.force, &originals)?;
    let copied = match args.to.create(Box::new(draft.outputs()), key) {
        Ok(mut encoder) => cut(args, &mut source, &mut *encoder),
        Err(error) => Err(CopyError::Write(error)),
    };
    if source.has_begun() && !matches!(copied, Err(CopyError::Write(_))) {
        draft.keep()?;
    }
    finish(args, source, copied)
}

/// All of it, or what was asked for.
fn cut(
    args: &ConvertArgs,
    source: &mut Source,
    encoder: &mut dyn Encoder,
) -> Result<u64, CopyError> {
    let Some(stretch) = args.clip else {
        return copy(source, encoder);
    };
    let mut clip = Clip::new(source, stretch.from.at_ns(), stretch.until.at_ns());
    copy(&mut clip, encoder)
}

fn finish(
    args: &ConvertArgs,
    source: Source,
    copied: Result<u64, CopyError>,
) -> Result<u8, Failure> {
    match copied {
        Ok(0) => Err(crate::source::not_a_recording(&args.input)),
        Ok(_) => Ok(source.finish()),
        Err(CopyError::Read(error)) => {
            let begun = source.has_begun();
            let failure = source.failure(&error);
            source.finish();
            Err(if begun {
                failure.also("everything before that was converted")
            } else {
                failure
            })
        }
        Err(CopyError::Write(EncodeError::Io(error)))
            if error.kind() == io::ErrorKind::BrokenPipe =>
        {
            Err(Failure::broken_pipe())
        }
        Err(CopyError::Write(EncodeError::Io(error))) => Err(Failure::about(&args.output, &error)),
        Err(CopyError::Write(error)) => Err(Failure::new(
            STATUS_WRONG_USE,
            format!("{}: {error}", shown(&args.output)),
        )),
    }
}
