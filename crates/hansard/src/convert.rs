//! `hansard convert`: a recording into another format, through a temporary name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use hansard_view::codec::CopyError;
use hansard_view::{EncodeError, copy};

use crate::cli::ConvertArgs;
use crate::failure::{Failure, STATUS_DAMAGED, STATUS_WRONG_USE, shown};
use crate::key;
use crate::source::Source;

/// Converts; what was sound before damage is in the output, and the status says so.
pub(crate) fn run(args: &ConvertArgs) -> Result<u8, Failure> {
    let key = key::signing_key(args.key.as_deref())?;
    let mut source = Source::open(&args.input, args.from, "converting")?;
    if args.output.as_os_str() == "-" {
        let out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
        let copied = copy(&mut source, &mut *args.to.encoder(out, key));
        return finish(args, source, copied);
    }
    let draft = Draft::create(args)?;
    let out = BufWriter::with_capacity(64 * 1024, &draft.file);
    let copied = copy(&mut source, &mut *args.to.encoder(out, key));
    if matches!(copied, Err(CopyError::Write(_)) | Ok(0)) {
        return finish(args, source, copied);
    }
    draft.keep()?;
    finish(args, source, copied)
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
            let beginning = error.is_at_the_beginning();
            let status = if beginning {
                STATUS_WRONG_USE
            } else {
                STATUS_DAMAGED
            };
            let failure = Failure::new(status, format!("{}: {error}", shown(&args.input)));
            source.finish();
            Err(if beginning {
                failure
            } else {
                failure.hint("everything before that was converted")
            })
        }
        Err(CopyError::Write(EncodeError::Io(error)))
            if error.kind() == io::ErrorKind::BrokenPipe =>
        {
            Err(Failure::broken_pipe())
        }
        Err(CopyError::Write(error)) => Err(Failure::new(
            STATUS_WRONG_USE,
            format!("{}: {error}", shown(&args.output)),
        )),
    }
}

/// The output before it has its name. A crash leaves a file that ends in `.part`, never half a
/// file under the name that was asked for.
struct Draft<'a> {
    file: File,
    draft: PathBuf,
    target: &'a Path,
    force: bool,
    kept: bool,
}

impl<'a> Draft<'a> {
    fn create(args: &'a ConvertArgs) -> Result<Self, Failure> {
        let target = &args.output;
        if !args.force && target.symlink_metadata().is_ok() {
            let message = format!("{}: exists already", shown(target));
            return Err(Failure::new(STATUS_WRONG_USE, message).hint("--force replaces it"));
        }
        let mut name = target.clone().into_os_string();
        name.push(format!(".{}.part", std::process::id()));
        let draft = PathBuf::from(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&draft);
        let file = file.map_err(|e| Failure::about(target, &e))?;
        Ok(Self {
            file,
            draft,
            target,
            force: args.force,
            kept: false,
        })
    }

    fn keep(mut self) -> Result<(), Failure> {
        let done = self.file.sync_all().and_then(|()| {
            if self.force {
                fs::rename(&self.draft, self.target)
            } else {
                // A hard link never replaces: what appeared under that name meanwhile stays.
                fs::hard_link(&self.draft, self.target).and_then(|()| fs::remove_file(&self.draft))
            }
        });
        self.kept = done.is_ok();
        done.map_err(|e| Failure::about(self.target, &e))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.draft);
        }
    }
}
