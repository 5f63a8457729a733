//! Where the files of a recording are: most formats are one file, some are a file with another
//! beside it, or a directory.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use crate::escape::escape_for_humans;
use crate::limits::FOLDER_NAMES_MAX;
use crate::source::{Source, reading};

/// One file of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// The file that was named.
    Main,
    /// The file whose name is that name, a dot and this: `OUT.timing` of a typescript.
    Beside(&'a str),
    /// The file of this name in the directory that was named.
    Inside(&'a str),
}

/// The files a recording is read from. Contract: a part may be opened more than once, and each
/// reader begins at its beginning; but standard input is there once.
pub trait Inputs {
    /// Names of the regular files in the directory that was named, sorted; nothing if it is a
    /// single file. Names never contain `/`.
    fn names(&self) -> Option<&[String]>;

    /// Opens a part; nothing if it is not there.
    ///
    /// # Errors
    /// When it is there and cannot be opened, or is not a regular file.
    fn open(&self, part: Part<'_>) -> io::Result<Option<Box<dyn Read>>>;

    /// The file that was named, for a format that is read here and there; nothing if it can only be
    /// read from its beginning on.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn source(&self) -> io::Result<Option<Source>> {
        Ok(None)
    }
}

/// The files a recording is written to.
pub trait Outputs {
    /// Creates a part. Contract: each at most once; what is written may be buffered until the
    /// writer is flushed.
    ///
    /// # Errors
    /// When it cannot be created.
    fn create(&mut self, part: Part<'_>) -> io::Result<Box<dyn Write>>;
}

/// A part that is created when something is first written to it, so that a file that would stay
/// empty is never there.
pub(crate) struct Lazily {
    outputs: Box<dyn Outputs>,
    part: Part<'static>,
    file: Option<Box<dyn Write>>,
}

impl Lazily {
    /// This part of these outputs.
    pub(crate) fn new(outputs: Box<dyn Outputs>, part: Part<'static>) -> Self {
        Self {
            outputs,
            part,
            file: None,
        }
    }
}

impl Write for Lazily {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none() {
            self.file = Some(self.outputs.create(self.part)?);
        }
        self.file.as_mut().map_or(Ok(0), |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// A file, and what stands beside it.
pub struct SingleFile {
    path: PathBuf,
    timing: Option<PathBuf>,
}

impl SingleFile {
    /// The file at this path. `timing`, if it is given, is what stands beside it under that name,
    /// wherever it is.
    #[must_use]
    pub fn new(path: &Path, timing: Option<&Path>) -> Self {
        Self {
            path: path.to_owned(),
            timing: timing.map(Path::to_owned),
        }
    }
}

impl Inputs for SingleFile {
    fn names(&self) -> Option<&[String]> {
        None
    }

    fn open(&self, part: Part<'_>) -> io::Result<Option<Box<dyn Read>>> {
        let opened = match (part, &self.timing) {
            (Part::Main, _) => File::open(&self.path),
            (Part::Beside("timing"), Some(path)) => return open_named(path).map(Some),
            (Part::Beside(extension), _) => {
                let mut name = self.path.clone().into_os_string();
                name.push(".");
                name.push(extension);
                open_regular(&PathBuf::from(name))
            }
            (Part::Inside(_), _) => return Ok(None),
        };
        found(opened)?.map(reading).transpose()
    }

    fn source(&self) -> io::Result<Option<Source>> {
        let file = File::open(&self.path)?;
        let is_file = file.metadata()?.is_file();
        Ok(is_file.then(|| Arc::new(file) as Source))
    }
}

/// Opens a file that was named beside the recording's own: which of the two failed must be said.
fn open_named(path: &Path) -> io::Result<Box<dyn Read>> {
    let said = |e: io::Error| {
        let path = path.to_string_lossy();
        io::Error::new(e.kind(), format!("{}: {e}", escape_for_humans(&path)))
    };
    Ok(Box::new(File::open(path).map_err(said)?))
}

/// Opens a file that nobody named, so that it can only be what it is expected to be. A pipe would
/// hold us for ever.
fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        let path = path.to_string_lossy();
        let path = escape_for_humans(&path);
        return Err(io::Error::other(format!("{path} is not a regular file")));
    }
    Ok(file)
}

fn found<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A directory. Somebody else may have filled it: only regular files directly in it are seen, and
/// no link is followed, so that it cannot lead anywhere else.
pub struct Directory {
    directory: OwnedFd,
    names: Vec<String>,
}

impl Directory {
    /// The directory at this path.
    ///
    /// # Errors
    /// When it cannot be read, or holds more than [`FOLDER_NAMES_MAX`] files.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory)? {
            let entry = entry?;
            // A name that is no UTF-8 belongs to none of the formats.
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if name == "." || name == ".." {
                continue;
            }
            if names.len() == FOLDER_NAMES_MAX {
                return Err(io::Error::other(format!(
                    "more than {FOLDER_NAMES_MAX} files in the directory"
                )));
            }
            names.push(name.to_owned());
        }
        names.sort_unstable();
        Ok(Self { directory, names })
    }
}

impl Inputs for Directory {
    fn names(&self) -> Option<&[String]> {
        Some(&self.names)
    }

    fn open(&self, part: Part<'_>) -> io::Result<Option<Box<dyn Read>>> {
        let Part::Inside(name) = part else {
            return Ok(None);
        };
        if self
            .names
            .binary_search_by(|n| n.as_str().cmp(name))
            .is_err()
        {
            return Ok(None);
        }
        let shown = escape_for_humans(name);
        // Without NONBLOCK a pipe in the directory would hold us for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let said = |e: rustix::io::Errno| match (e, io::Error::from(e)) {
            (rustix::io::Errno::LOOP, _) => {
                io::Error::other(format!("{shown} is a link; none is followed"))
            }
            (_, e) => io::Error::new(e.kind(), format!("{shown}: {e}")),
        };
        let opened = rustix::fs::openat(&self.directory, name, flags, Mode::empty());
        let file = File::from(opened.map_err(said)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other(format!("{shown} is not a regular file")));
        }
        Ok(Some(Box::new(file)))
    }
}

/// Something that can be read once: standard input.
pub struct Once {
    main: RefCell<Option<Box<dyn Read>>>,
    timing: Option<PathBuf>,
}

impl Once {
    /// What this reader gives; `timing`, if it is given, is the file that would stand beside it.
    #[must_use]
    pub fn new(src: Box<dyn Read>, timing: Option<&Path>) -> Self {
        Self {
            main: RefCell::new(Some(src)),
            timing: timing.map(Path::to_owned),
        }
    }
}

impl Inputs for Once {
    fn names(&self) -> Option<&[String]> {
        None
    }

    fn open(&self, part: Part<'_>) -> io::Result<Option<Box<dyn Read>>> {
        match (part, &self.timing) {
            (Part::Main, _) => Ok(self.main.take()),
            (Part::Beside("timing"), Some(path)) => open_named(path).map(Some),
            (Part::Beside(_) | Part::Inside(_), _) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(inputs: &dyn Inputs, part: Part<'_>) -> Option<String> {
        let mut text = String::new();
        let mut reader = inputs.open(part).unwrap()?;
        reader.read_to_string(&mut text).unwrap();
        Some(text)
    }

    #[test]
    fn a_directory_leads_nowhere_else() {
        let dir = std::env::temp_dir().join(format!("hansard-parts-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("deeper")).unwrap();
        std::fs::write(dir.join("timing"), "1 2").unwrap();
        std::fs::write(dir.join("deeper/secret"), "s").unwrap();
        let _ = std::os::unix::fs::symlink("/etc/passwd", dir.join("log"));
        let inputs = Directory::open(&dir).unwrap();
        assert_eq!(inputs.names().unwrap(), ["deeper", "log", "timing"]);
        assert_eq!(
            text(&inputs, Part::Inside("timing")).as_deref(),
            Some("1 2")
        );
        for none in ["deeper/secret", "../x", "", "absent"] {
            assert!(inputs.open(Part::Inside(none)).unwrap().is_none(), "{none}");
        }
        for (refused, why) in [("log", "log is a link"), ("deeper", "deeper is not a reg")] {
            let error = inputs.open(Part::Inside(refused)).err().unwrap();
            assert!(error.to_string().starts_with(why), "{error}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_stands_beside_a_file_has_its_name_and_more() {
        let dir = std::env::temp_dir().join(format!("hansard-beside-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (name, content) in [("a", "main"), ("a.timing", "beside"), ("t", "elsewhere")] {
            std::fs::write(dir.join(name), content).unwrap();
        }
        let inputs = SingleFile::new(&dir.join("a"), None);
        assert_eq!(text(&inputs, Part::Main).as_deref(), Some("main"));
        assert_eq!(
            text(&inputs, Part::Beside("timing")).as_deref(),
            Some("beside")
        );
        assert!(inputs.open(Part::Beside("other")).unwrap().is_none());
        std::fs::create_dir(dir.join("a.input")).unwrap();
        let pipe = dir.join("a.pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for other in ["input", "pipe"] {
            let error = inputs.open(Part::Beside(other)).err().unwrap().to_string();
            assert!(error.ends_with("is not a regular file"), "{error}");
        }
        let inputs = SingleFile::new(&dir.join("a"), Some(&dir.join("t")));
        assert_eq!(
            text(&inputs, Part::Beside("timing")).as_deref(),
            Some("elsewhere")
        );
        let once = Once::new(Box::new(io::empty()), Some(&dir.join("t")));
        assert_eq!(
            text(&once, Part::Beside("timing")).as_deref(),
            Some("elsewhere")
        );
        let inputs = SingleFile::new(&dir.join("a"), Some(&dir.join("absent")));
        let error = inputs.open(Part::Beside("timing")).err().unwrap();
        assert!(error.to_string().contains("absent: "), "{error}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
