//! Parts that must not be archived, kept as files for whoever looks at them.
//!
//! `DIR/SESSION/SEGMENT-PLACE-DIGEST.parts`: the parts of one session from the named one on, one
//! after another as in a `.hansard` file; `PLACE` is the index of the first frame, or
//! `4294967295` for the seal; `DIGEST` the first eight bytes of the file's SHA-256, so that other
//! parts for the same place get another name. A file that ends in `.new` was cut off by a crash; its
//! parts are in the spool still, and are put aside again.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hansard_core::SessionId;
use hansard_core::frame::{Part, Place};
use hansard_record::disk::{Disk, write_all_at};
use sha2::{Digest as _, Sha256};

/// Bytes that are put aside at most; beyond them parts stay in the spool and their session is
/// refused.
pub const ASIDE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Sessions that are known to be aside after a start; of others the next parts are judged anew.
pub const ASIDE_SESSIONS_MAX: usize = 65_536;

/// Why parts were not put aside.
#[derive(Debug)]
pub enum AsideError {
    /// No room for more.
    Full(String),
    /// The disk failed; it may be tried again.
    Io(io::Error),
}

impl From<io::Error> for AsideError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// The directory.
pub struct Aside {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    bytes: u64,
    bytes_max: u64,
}

impl Aside {
    /// Opens the directory, which is made if it is not there (its parent must be); answers the
    /// sessions in it too.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(
        dir: &Path,
        disk: Arc<dyn Disk>,
        bytes_max: u64,
    ) -> io::Result<(Self, HashSet<SessionId>)> {
        disk.create_dir(dir)?;
        if let Some(parent) = dir.parent() {
            disk.sync_dir(parent)?;
        }
        let (mut sessions, mut bytes) = (HashSet::new(), 0u64);
        for name in disk.list(dir)? {
            let Some(session) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if sessions.len() < ASIDE_SESSIONS_MAX {
                sessions.insert(session);
            }
            for file in disk.list(&dir.join(&name))? {
                let size = disk.open(&dir.join(&name).join(&file))?.size()?;
                bytes = bytes.saturating_add(size);
            }
        }
        let aside = Self {
            dir: dir.to_owned(),
            disk,
            bytes,
            bytes_max,
        };
        Ok((aside, sessions))
    }

    /// Bytes in it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where the parts of a session go.
    #[must_use]
    pub fn place_of(&self, session: SessionId) -> PathBuf {
        self.dir.join(session.to_string())
    }

    /// Makes parts of one session durable here. The same parts again are the same file.
    ///
    /// # Errors
    /// See [`AsideError`].
    pub fn put(&mut self, parts: &[Part]) -> Result<(), AsideError> {
        let Some(first) = parts.first() else {
            return Ok(());
        };
        let mut content = Vec::new();
        for part in parts {
            content.extend_from_slice(part.bytes());
        }
        let dir = self.place_of(first.session());
        let name = name_of(first, &content);
        let path = dir.join(&name);
        if let Ok(file) = self.disk.open(&path)
            && file.size()? == content.len() as u64
        {
            // It was renamed only after it was durable, but perhaps the name is not yet.
            self.disk.sync_dir(&dir)?;
            return Ok(());
        }
        let bytes = self.bytes.saturating_add(content.len() as u64);
        if bytes > self.bytes_max {
            return Err(AsideError::Full(format!(
                "{} holds {} of {} bytes; look at what is in it, and move it elsewhere",
                self.dir.display(),
                self.bytes,
                self.bytes_max
            )));
        }
        self.disk.create_dir(&dir)?;
        self.disk.sync_dir(&self.dir)?;
        let new = dir.join(format!("{name}.new"));
        let file = match self.disk.create_new(&new) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(&new)?;
                self.disk.create_new(&new)?
            }
            other => other?,
        };
        write_all_at(&*file, 0, &content)?;
        file.sync_data()?;
        // A crash here leaves a file without its name, and the parts in the spool.
        self.disk.rename(&new, &path)?;
        self.disk.sync_dir(&dir)?;
        self.bytes = bytes;
        Ok(())
    }
}

fn name_of(first: &Part, content: &[u8]) -> String {
    let place = match first.place() {
        Place::Frame(index) => index,
        Place::Seal => u32::MAX,
    };
    let mut name = format!("{:010}-{place:010}-", first.segment());
    for byte in Sha256::digest(content).iter().take(8) {
        // Writing to a string does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.push_str(".parts");
    name
}
