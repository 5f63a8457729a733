//! What a file is that is no recording: by its first bytes, and by what stands around it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use hansard_view::Format;
use hansard_view::format::GUESS_BYTES;

use crate::failure::shown;

/// So many names of a directory, and directories below it, are looked at.
const NAMES_MAX: usize = 200;
const DEPTH_MAX: usize = 4;

/// What it looks like, and what to do with it.
pub(crate) struct Alike {
    pub(crate) what: &'static str,
    pub(crate) hint: &'static str,
}

const fn alike(what: &'static str, hint: &'static str) -> Alike {
    Alike { what, hint }
}

const NO_TERMINAL: &str = "it holds nothing that a terminal showed: see which file was meant";

/// Files that say what they are.
const MAGICS: [(usize, &[u8], Alike); 14] = [
    (
        0,
        b"\x1f\x8b",
        alike("compressed by gzip", "unpack it first: `gunzip -k`"),
    ),
    (
        0,
        b"\x28\xb5\x2f\xfd",
        alike("compressed by zstd", "unpack it first: `zstd -d`"),
    ),
    (
        0,
        b"\xfd7zXZ\0",
        alike("compressed by xz", "unpack it first: `unxz -k`"),
    ),
    (
        0,
        b"BZh",
        alike("compressed by bzip2", "unpack it first: `bunzip2 -k`"),
    ),
    (
        0,
        b"PK\x03\x04",
        alike("a zip archive", "unpack it first: `unzip`"),
    ),
    (
        257,
        b"ustar",
        alike(
            "a tar archive, and none of Teleport",
            "unpack it, and name a recording in it",
        ),
    ),
    (
        0,
        b"HNSDIDX",
        alike(
            "the index of a recording",
            "name the recording: the same name without .idx",
        ),
    ),
    (
        0,
        b"-----BEGIN ",
        alike(
            "a key or a certificate",
            "name a recording; keys are for --key and --trust",
        ),
    ),
    (
        0,
        b"\x7fELF",
        alike(
            "a program (ELF)",
            "`hansard rec -- PROGRAM` records what it does",
        ),
    ),
    (0, b"\x89PNG", alike("a picture (PNG)", NO_TERMINAL)),
    (
        0,
        b"GIF8",
        alike(
            "a picture (GIF)",
            "a film is made of a recording, and cannot be read as one",
        ),
    ),
    (
        4,
        b"ftyp",
        alike(
            "a film (MP4)",
            "a film is made of a recording, and cannot be read as one",
        ),
    ),
    (0, b"%PDF-", alike("a PDF", NO_TERMINAL)),
    (
        0,
        b"SQLite format 3\0",
        alike("a database (SQLite)", NO_TERMINAL),
    ),
];

/// `None` where nothing is known of it, and where it is a recording.
pub(crate) fn of_file(path: &Path) -> Option<Alike> {
    let is_file = path.metadata().is_ok_and(|there| there.is_file());
    let file = File::open(path).ok().filter(|_| is_file)?;
    let mut beginning = Vec::new();
    file.take(GUESS_BYTES as u64)
        .read_to_end(&mut beginning)
        .ok()?;
    // A foreign recording is text, too, and so are most journals.
    if Format::guess(&beginning).is_some() {
        return None;
    }
    of_bytes(&beginning)
}

fn of_bytes(beginning: &[u8]) -> Option<Alike> {
    for (at, magic, alike) in MAGICS {
        if beginning
            .get(at..)
            .is_some_and(|rest| rest.starts_with(magic))
        {
            return Some(alike);
        }
    }
    if beginning.iter().all(|byte| *byte == 0) {
        let hint =
            "nothing of it was kept, as after a power cut or on a disk that fails: look for a copy";
        return Some(alike("nothing but zeros", hint));
    }
    // A character may be cut at the end.
    let text = match str::from_utf8(beginning) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() => {
            str::from_utf8(beginning.get(..e.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if squeezed.starts_with('{') && squeezed.contains("\"version\":1,") {
        let hint = "`asciinema convert` of version 3 makes a newer one of it";
        return Some(alike("an asciicast of version 1", hint));
    }
    if text.lines().next().is_some_and(is_timing) {
        let hint = "name the typescript, and this with --timing";
        return Some(alike("the timing of a typescript", hint));
    }
    let is_shown =
        |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\x08' | '\x1b' | '\x07');
    let hint = "what a program printed, without times, is read with --from raw";
    text.chars()
        .all(is_shown)
        .then_some(alike("plain text", hint))
}

/// `0.123456 42`, or with a letter before it: seconds and bytes.
fn is_timing(line: &str) -> bool {
    let mut words = line.split(' ');
    let mut word = words.next().unwrap_or("");
    if matches!(word, "O" | "I" | "S" | "H") {
        word = words.next().unwrap_or("");
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some((whole, fraction)) = word.split_once('.') else {
        return false;
    };
    is_number(whole) && is_number(fraction) && words.next().is_some_and(is_number)
}

/// What to name instead of this directory, or of this file: the one directory that is a recording.
pub(crate) fn directory_for(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return below(path, DEPTH_MAX);
    }
    let beside = path.parent().filter(|parent| *parent != Path::new(""));
    let beside = beside.unwrap_or(Path::new("."));
    let own = path.file_name()?.to_str()?;
    let names = names(beside);
    // A log of sudo is called so; any other file may stand there for another reason.
    let is_part = matches!(
        own,
        "log" | "log.json" | "timing" | "ttyin" | "ttyout" | "stdin" | "stdout" | "stderr"
    );
    (is_part && Format::guess_names(&names) == Some(Format::Sudo)).then(|| beside.to_owned())
}

fn below(path: &Path, depth: usize) -> Option<PathBuf> {
    let mut names = names(path);
    names.sort();
    for name in names {
        let inner = path.join(name);
        if !inner.symlink_metadata().is_ok_and(|there| there.is_dir()) {
            continue;
        }
        if Format::guess_names(&self::names(&inner)).is_some() {
            return Some(inner);
        }
        if depth > 1
            && let Some(found) = below(&inner, depth - 1)
        {
            return Some(found);
        }
    }
    None
}

fn names(path: &Path) -> Vec<String> {
    let entries = path.read_dir().into_iter().flatten().take(NAMES_MAX);
    let name =
        |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    entries.filter_map(name).collect()
}

/// The same as a next step.
pub(crate) fn directory_hint(path: &Path) -> Option<String> {
    let named = shown(&directory_for(path)?);
    Some(match path.is_dir() {
        true => format!("name one session's directory, such as {named}"),
        false => format!("it is a part of a recording of sudo: name the directory, {named}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_what_they_begin_with() {
        let said = |bytes: &[u8]| of_bytes(bytes).map(|alike| alike.what);
        for (bytes, what) in [
            (&b"\x1f\x8b\x08\0"[..], "compressed by gzip"),
            (b"\x28\xb5\x2f\xfd\x04", "compressed by zstd"),
            (b"\xfd7zXZ\0\0", "compressed by xz"),
            (b"\x89PNG\r\n\x1a\n", "a picture (PNG)"),
            (b"\x7fELF\x02", "a program (ELF)"),
            (
                b"{\"version\": 1, \"width\": 80",
                "an asciicast of version 1",
            ),
            (b"0.123456 42\n0.1 2\n", "the timing of a typescript"),
            (b"O 0.123456 42\n", "the timing of a typescript"),
            (b"Nov 21 10:00:00 web-1 sshd\xc3", "plain text"),
            (b"\x1b[1mbold\x1b[0m\r\n", "plain text"),
            (&[0; 100], "nothing but zeros"),
        ] {
            assert_eq!(said(bytes), Some(what));
        }
        assert_eq!(said(b"\xff\xfe\x01\x02"), None);
        assert_eq!(said(b"a\x01b\x02"), None);
    }
}
