//! The formats by name, and which one some bytes are.

use std::fmt;
use std::str::FromStr;

use hansard_core::frame::MAGIC;

use crate::{containerssh, sudo, teleport, tlog, ttyrec, typescript};

/// How a recording is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Hansard's own: frames and sealed segments.
    Hansard,
    /// asciicast version 2.
    AsciicastV2,
    /// asciicast version 3.
    AsciicastV3,
    /// tlog's JSON messages, 2.3.
    Tlog,
    /// ContainerSSH's audit log.
    ContainerSsh,
    /// What ContainerSSH's decoder prints. Written only.
    ContainerSshJson,
    /// A typescript of script(1), and its timing beside it.
    Typescript,
    /// ttyrec's headers and bytes.
    Ttyrec,
    /// The directory of a session that sudo recorded. Read only.
    Sudo,
    /// Teleport's session recordings: the stream; a directory or tar of the classic files.
    Teleport,
    /// The bytes that were shown.
    Raw,
    /// The text as it settled on the screen. Written only.
    Transcript,
    /// One JSON object for each event, without loss.
    Jsonl,
    /// A film of the screen. Written only.
    Gif,
    /// The same, by the machine's ffmpeg. Written only.
    Mp4,
}

/// Bytes at the beginning of a file that [`Format::guess`] wants to see.
pub const GUESS_BYTES: usize = 4096;

impl Format {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Hansard,
        Self::AsciicastV2,
        Self::AsciicastV3,
        Self::Tlog,
        Self::ContainerSsh,
        Self::ContainerSshJson,
        Self::Typescript,
        Self::Ttyrec,
        Self::Sudo,
        Self::Teleport,
        Self::Raw,
        Self::Transcript,
        Self::Jsonl,
        Self::Gif,
        Self::Mp4,
    ];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hansard => "hansard",
            Self::AsciicastV2 => "asciicast-v2",
            Self::AsciicastV3 => "asciicast-v3",
            Self::Tlog => "tlog",
            Self::ContainerSsh => "containerssh",
            Self::ContainerSshJson => "containerssh-json",
            Self::Typescript => "typescript",
            Self::Ttyrec => "ttyrec",
            Self::Sudo => "sudo",
            Self::Teleport => "teleport",
            Self::Raw => "raw",
            Self::Transcript => "transcript",
            Self::Jsonl => "jsonl",
            Self::Gif => "gif",
            Self::Mp4 => "mp4",
        }
    }

    /// Whether it can be read back.
    #[must_use]
    pub fn is_readable(self) -> bool {
        !matches!(self, Self::Transcript | Self::ContainerSshJson) && !self.is_film()
    }

    /// Whether it is a film: made in memory, and written when the recording has ended.
    #[must_use]
    pub fn is_film(self) -> bool {
        matches!(self, Self::Gif | Self::Mp4)
    }

    /// Whether recordings can be written in it.
    #[must_use]
    pub fn is_writable(self) -> bool {
        self != Self::Sudo
    }

    /// The format of a directory with these files in it.
    #[must_use]
    pub fn guess_names(names: &[String]) -> Option<Self> {
        if sudo::guess_names(names) {
            return Some(Self::Sudo);
        }
        teleport::guess_names(names).then_some(Self::Teleport)
    }

    /// The format of a file that begins with these bytes ([`GUESS_BYTES`] of them, or all there
    /// are), if they say so. Anything can be raw, so raw is never guessed.
    #[must_use]
    pub fn guess(beginning: &[u8]) -> Option<Self> {
        // Half of the magic will do: a damaged recording is still one.
        let same = beginning
            .iter()
            .zip(MAGIC)
            .filter(|(a, b)| **a == *b)
            .count();
        if same >= MAGIC.len() / 2 {
            return Some(Self::Hansard);
        }
        let line = beginning.split(|b| *b == b'\n').next().unwrap_or_default();
        let text = String::from_utf8_lossy(line);
        let squeezed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let has = |key: &str| squeezed.contains(key);
        match squeezed.starts_with('{') {
            true if has("\"hansard\":1") => Some(Self::Jsonl),
            true if has("\"version\":2") => Some(Self::AsciicastV2),
            true if has("\"version\":3") => Some(Self::AsciicastV3),
            true if tlog::guess(beginning) => Some(Self::Tlog),
            true => None,
            false => Self::guess_other(beginning),
        }
    }
}

impl Format {
    /// Those that do not begin with JSON. ttyrec has no magic, so it comes last.
    fn guess_other(beginning: &[u8]) -> Option<Self> {
        type Guess = fn(&[u8]) -> bool;
        let formats: [(Guess, Self); 5] = [
            (containerssh::guess, Self::ContainerSsh),
            (typescript::guess, Self::Typescript),
            (teleport::guess, Self::Teleport),
            (teleport::guess_tar, Self::Teleport),
            (ttyrec::guess, Self::Ttyrec),
        ];
        let found = formats.into_iter().find(|(guess, _)| guess(beginning));
        found.map(|(_, format)| format)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAFormat;

impl fmt::Display for NotAFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Format::ALL.iter().map(|format| format.as_str()).collect();
        write!(f, "not a format; there are {}", names.join(", "))
    }
}

impl std::error::Error for NotAFormat {}

impl FromStr for Format {
    type Err = NotAFormat;

    fn from_str(name: &str) -> Result<Self, NotAFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == name)
            .ok_or(NotAFormat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_guessed_from_their_first_line() {
        for (bytes, format) in [
            (&b"\x89HNSD\r\n\x1a\x01"[..], Some(Format::Hansard)),
            (b"\x89HNSX\r\n\x1b", Some(Format::Hansard)),
            (b"{\"version\": 2, \"width\": 80", Some(Format::AsciicastV2)),
            (
                b"{\"term\":{\"cols\":80},\"version\":3}\n",
                Some(Format::AsciicastV3),
            ),
            (b"{\"hansard\":1,\"seq\":0}\n", Some(Format::Jsonl)),
            (b"{\"version\": 1}\n", None),
            (b"hello\n{\"version\": 2}", None),
            (b"", None),
        ] {
            assert_eq!(Format::guess(bytes), format, "{bytes:?}");
        }
    }

    #[test]
    fn names_lead_back_to_formats() {
        for format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
        }
        assert!(
            "cast"
                .parse::<Format>()
                .unwrap_err()
                .to_string()
                .contains("asciicast-v2")
        );
    }
}
