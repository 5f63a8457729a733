//! `hansard convert`: a recording into another format, through a temporary name.

use std::io::{self, BufWriter};

use hansard_view::codec::CopyError;
use hansard_view::{Clip, EncodeError, Encoder, Format, copy};

use crate::cli::ConvertArgs;
use crate::draft::{Draft, OUT_BYTES};
use crate::failure::{Failure, STATUS_WRONG_USE, shown};
use crate::key;
use crate::moment;
use crate::originals::Originals;
use crate::source::{Source, say};

/// Converts; what was sound before damage is in the output, and the status says so.
pub(crate) fn run(args: &ConvertArgs) -> Result<u8, Failure> {
    if args.key.is_some() && args.to != Format::Hansard {
        let what = format!(
            "--key signs a Hansard recording, and {} has no signature",
            args.to
        );
        return Err(
            Failure::new(STATUS_WRONG_USE, what).hint("leave it out, or convert `--to hansard`")
        );
    }
    let key = key::signing_key(args.key.as_deref())?;
    let mut source = Source::open(&args.input, &args.read, "converting")?;
    if args.output.as_os_str() == "-" {
        let out = BufWriter::with_capacity(OUT_BYTES, io::stdout().lock());
        let Some(mut encoder) = args.to.encoder(out, key) else {
            let message = format!("{} cannot be written to standard output", args.to);
            return Err(Failure::new(STATUS_WRONG_USE, message)
                .hint("it is more than one file: name it, and the others stand beside it"));
        };
        let cut = cut(args, &mut source, &mut *encoder);
        return finish(args, source, cut);
    }
    let originals = Originals::new(&args.input, &args.read, source.format());
    let is_shown_only = matches!(args.to, Format::Tlog | Format::Ttyrec);
    let draft = Draft::new(&args.output, args.to.beside(), args.force, &originals)?;
    let cut = match args.to.create(Box::new(draft.outputs()), key) {
        Ok(mut encoder) => cut(args, &mut source, &mut *encoder),
        Err(error) => Cut {
            copied: Err(CopyError::Write(error)),
            has_begun: false,
            ended_before_ns: None,
        },
    };
    if cut.has_begun && !matches!(cut.copied, Err(CopyError::Write(_))) {
        draft.keep()?;
        let is_empty = args.output.metadata().is_ok_and(|file| file.len() == 0);
        if is_shown_only && is_empty {
            let what = format!(
                "is empty: {} has only what was shown or typed, and nothing was",
                args.to
            );
            say(&args.output, &what);
        }
    }
    finish(args, source, cut)
}

/// What became of it.
struct Cut {
    copied: Result<u64, CopyError>,
    /// Whether there is anything in the output.
    has_begun: bool,
    /// How long the recording is, where it had ended before what was asked for.
    ended_before_ns: Option<u64>,
}

/// All of it, or what was asked for.
fn cut(args: &ConvertArgs, source: &mut Source, encoder: &mut dyn Encoder) -> Cut {
    let Some(stretch) = args.clip else {
        let copied = copy(source, encoder);
        return Cut {
            copied,
            has_begun: source.has_begun(),
            ended_before_ns: None,
        };
    };
    let mut clip = Clip::new(source, stretch.from.at_ns(), stretch.until.at_ns());
    let copied = copy(&mut clip, encoder);
    Cut {
        copied,
        has_begun: clip.has_begun(),
        ended_before_ns: clip.ended_before_ns(),
    }
}

fn finish(args: &ConvertArgs, source: Source, cut: Cut) -> Result<u8, Failure> {
    if let Some(end_ns) = cut.ended_before_ns {
        source.finish();
        let (file, end) = (shown(&args.input), moment::show(end_ns));
        let what =
            format!("{file}: --clip begins behind the end of the recording, which is {end} long");
        return Err(Failure::new(STATUS_WRONG_USE, what)
            .hint("nothing was converted; choose a stretch that begins before that"));
    }
    match cut.copied {
        Ok(0) => Err(crate::source::not_a_recording(&args.input)),
        Ok(_) => Ok(source.finish()),
        Err(CopyError::Read(error)) => {
            let failure = source.failure(&error);
            source.finish();
            Err(if cut.has_begun {
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
