//! Recordings opened and created, in whatever format and however many files that has.

use std::fmt;
use std::io::{self, Cursor, Read, Write};

use hansard_core::seal::SigningKey;

use crate::cast::{CastDecoder, CastEncoder, CastVersion};
use crate::codec::{DecodeError, Decoder, EncodeError, Encoder};
use crate::containerssh::{ContainerSshDecoder, ContainerSshEncoder, ContainerSshJsonEncoder};
use crate::film::{FilmEncoder, Kind};
use crate::format::{Format, GUESS_BYTES};
use crate::import::Import;
use crate::jsonl::{JsonlDecoder, JsonlEncoder};
use crate::parts::{Inputs, Lazily, Outputs, Part};
use crate::raw::{RawDecoder, RawEncoder};
use crate::segments::{SegmentDecoder, SegmentEncoder};
use crate::sudo::SudoDecoder;
use crate::teleport::{self, ClassicDecoder, ClassicEncoder, StreamDecoder, TarEncoder, TarInputs};
use crate::tlog::{TlogDecoder, TlogEncoder};
use crate::transcript::TranscriptEncoder;
use crate::ttyrec::{TtyrecDecoder, TtyrecEncoder};
use crate::typescript::{TypescriptDecoder, TypescriptEncoder};

/// What a typescript's timing is called: its name, a dot and this.
const TIMING: &str = "timing";
/// The same of what was typed.
const INPUT: &str = "input";

/// A recording that is open for reading.
pub struct Opened {
    /// Which format it is in.
    pub format: Format,
    /// Its events.
    pub decoder: Box<dyn Decoder>,
}

/// Opens a recording. Its format is guessed unless it is given; `import` says what a foreign
/// recording does not say itself.
///
/// # Errors
/// As sorted by [`OpenError`].
pub fn open(
    inputs: &dyn Inputs,
    from: Option<Format>,
    import: Import,
) -> Result<Opened, OpenError> {
    if let Some(names) = inputs.names() {
        let format = from.or_else(|| Format::guess_names(names));
        let format = format.ok_or(OpenError::Unknown)?;
        let decoder = open_directory(inputs, format, import)?;
        return Ok(Opened { format, decoder });
    }
    let mut file = inputs.open(Part::Main)?.ok_or(io::ErrorKind::NotFound)?;
    let mut beginning = Vec::new();
    (&mut file)
        .take(GUESS_BYTES as u64)
        .read_to_end(&mut beginning)?;
    let format = from.or_else(|| Format::guess(&beginning));
    let format = format.ok_or(OpenError::Unknown)?;
    let is_tar = format == Format::Teleport && teleport::guess_tar(&beginning);
    let file = Cursor::new(beginning).chain(file);
    let decoder: Box<dyn Decoder> = match format {
        Format::Teleport if is_tar => {
            let tar = inputs.source()?.ok_or(OpenError::NotSeekable)?;
            let members = TarInputs::new(tar).map_err(OpenError::Malformed)?;
            Box::new(ClassicDecoder::new(&members, import))
        }
        Format::Typescript => {
            let timing = inputs.open(Part::Beside(TIMING))?;
            let decoder = TypescriptDecoder::new(file, timing, import);
            match inputs.open(Part::Beside(INPUT))? {
                Some(input) => Box::new(
                    decoder
                        .with_input_log(input)
                        .map_err(OpenError::Malformed)?,
                ),
                None => Box::new(decoder),
            }
        }
        _ => match format.decoder(file, import) {
            Some(decoder) => decoder,
            None if format.is_readable() => return Err(OpenError::NotAFile(format)),
            None => return Err(OpenError::NotReadable(format)),
        },
    };
    Ok(Opened { format, decoder })
}

fn open_directory(
    inputs: &dyn Inputs,
    format: Format,
    import: Import,
) -> Result<Box<dyn Decoder>, OpenError> {
    match format {
        Format::Sudo => Ok(Box::new(SudoDecoder::new(inputs, import))),
        Format::Teleport => Ok(Box::new(ClassicDecoder::new(inputs, import))),
        _ => Err(OpenError::NotADirectory(format)),
    }
}

impl Format {
    /// A decoder of one file of this format, or `None` if it cannot be read from one file.
    pub fn decoder<'a>(self, src: impl Read + 'a, import: Import) -> Option<Box<dyn Decoder + 'a>> {
        Some(match self {
            Self::Hansard => Box::new(SegmentDecoder::new(src)),
            Self::AsciicastV2 => Box::new(CastDecoder::new(src, CastVersion::V2, import)),
            Self::AsciicastV3 => Box::new(CastDecoder::new(src, CastVersion::V3, import)),
            Self::Tlog => Box::new(TlogDecoder::new(src, import)),
            Self::ContainerSsh => Box::new(ContainerSshDecoder::new(src, import)),
            Self::Typescript => Box::new(TypescriptDecoder::new(src, None, import)),
            Self::Ttyrec => Box::new(TtyrecDecoder::new(src, import)),
            Self::Teleport => Box::new(StreamDecoder::new(src, import)),
            Self::Raw => Box::new(RawDecoder::new(src, import)),
            Self::Jsonl => Box::new(JsonlDecoder::new(src)),
            Self::Sudo | Self::ContainerSshJson | Self::Transcript | Self::Gif | Self::Mp4 => {
                return None;
            }
        })
    }

    /// An encoder of this format into one file, or `None` if that is not enough (see
    /// [`Format::create`]) or it cannot be written. Only Hansard's own uses the key. The output is
    /// written in small pieces: give it a buffer.
    pub fn encoder<'a>(
        self,
        out: impl Write + 'a,
        key: SigningKey,
    ) -> Option<Box<dyn Encoder + 'a>> {
        Some(match self {
            Self::Hansard => Box::new(SegmentEncoder::new(out, key)),
            Self::AsciicastV2 => Box::new(CastEncoder::new(out, CastVersion::V2)),
            Self::AsciicastV3 => Box::new(CastEncoder::new(out, CastVersion::V3)),
            Self::Tlog => Box::new(TlogEncoder::new(out)),
            Self::ContainerSsh => Box::new(ContainerSshEncoder::new(out)),
            Self::ContainerSshJson => Box::new(ContainerSshJsonEncoder::new(out)),
            Self::Ttyrec => Box::new(TtyrecEncoder::new(out)),
            // As one file it is a tar; the members wait in files without names until it ends.
            Self::Teleport => Box::new(TarEncoder::new(out, &std::env::temp_dir())),
            Self::Raw => Box::new(RawEncoder::new(out)),
            Self::Transcript => Box::new(TranscriptEncoder::new(out, false)),
            Self::Jsonl => Box::new(JsonlEncoder::new(out)),
            Self::Gif => Box::new(FilmEncoder::new(out, Kind::Gif)),
            Self::Mp4 => Box::new(FilmEncoder::new(out, Kind::Mp4)),
            Self::Typescript | Self::Sudo => return None,
        })
    }

    /// Names of the files that may stand beside the one that is named: that name, a dot and these.
    #[must_use]
    pub fn beside(self) -> &'static [&'static str] {
        match self {
            Self::Typescript => &[TIMING, INPUT],
            _ => &[],
        }
    }

    /// An encoder of this format into as many files as it has.
    ///
    /// # Errors
    /// When a file cannot be created, or the format cannot be written.
    pub fn create(
        self,
        outputs: Box<dyn Outputs>,
        key: SigningKey,
    ) -> Result<Box<dyn Encoder>, EncodeError> {
        let mut outputs = outputs;
        match self {
            Self::Teleport => Ok(Box::new(ClassicEncoder::new(outputs))),
            Self::Typescript => {
                let out = outputs.create(Part::Main)?;
                let timing = outputs.create(Part::Beside(TIMING))?;
                let input = Lazily::new(outputs, Part::Beside(INPUT));
                Ok(Box::new(
                    TypescriptEncoder::new(out, timing).with_input_log(input),
                ))
            }
            _ if self.is_writable() => {
                let out = outputs.create(Part::Main)?;
                let more = || EncodeError::Refused(format!("{self} is more than one file"));
                self.encoder(out, key).ok_or_else(more)
            }
            _ => Err(EncodeError::Refused(format!(
                "{self} can be read, not written"
            ))),
        }
    }
}

/// Why a recording could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// It cannot be read at all.
    Io(io::Error),
    /// It begins like no format we know.
    Unknown,
    /// This format can only be written.
    NotReadable(Format),
    /// A recording of this format is a file, not a directory.
    NotADirectory(Format),
    /// A recording of this format is a directory, not a file.
    NotAFile(Format),
    /// A tar is read here and there, which a pipe does not allow.
    NotSeekable,
    /// It is not what it should be.
    Malformed(DecodeError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(e) => e.fmt(f),
            Self::Unknown => f.write_str("not a recording of a known format"),
            Self::NotReadable(format) => write!(f, "{format} can be written, not read"),
            Self::NotADirectory(format) => write!(f, "is a directory; {format} is one file"),
            Self::NotAFile(format) => write!(f, "is a file; {format} is a directory of files"),
            Self::NotSeekable => f.write_str("a tar must be a file, not a pipe"),
            Self::Malformed(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<io::Error> for OpenError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl From<io::ErrorKind> for OpenError {
    fn from(kind: io::ErrorKind) -> Self {
        Self::Io(kind.into())
    }
}
