//! Files that are open over SFTP: what passes of them, in both directions.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest as _, Sha256};

use super::Stop;
use super::attributes::Attributes;
use crate::ssh::limits::SFTP_HANDLES_MAX;

/// Bytes of a file in one direction, as long as they come one after the other from its beginning: then
/// their digest is the file's.
#[derive(Debug, Clone, Default)]
pub(super) struct Passed {
    pub(super) bytes: u64,
    next: u64,
    digest: Sha256,
    is_broken: bool,
    /// The file is at least so long.
    least: u64,
}

impl Passed {
    pub(super) fn take(&mut self, offset: u64, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if offset != self.next || self.is_broken {
            self.is_broken = true;
            return;
        }
        self.next = self.next.saturating_add(bytes.len() as u64);
        self.digest.update(bytes);
    }

    /// Bytes get into the file that do not pass here: what passes is not the file.
    pub(super) fn breaks(&mut self) {
        self.is_broken = true;
    }

    /// The file gets another length. That of what has passed changes nothing, and clients say it at the end.
    fn resize(&mut self, size: u64) {
        self.is_broken |= size < self.next;
        self.least = size.max(self.least);
    }

    /// SHA-256 in hexadecimal, where all came in order.
    pub(super) fn sha256(self) -> Option<String> {
        if self.is_broken || self.bytes == 0 || self.next < self.least {
            return None;
        }
        let digest = self.digest.finalize();
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What is behind a handle.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) path: String,
    pub(super) flags: u32,
    pub(super) is_directory: bool,
    /// What it is to have if it is made.
    pub(super) wanted: Attributes,
    pub(super) read: Passed,
    pub(super) written: Passed,
    /// The first error of the server about it.
    pub(super) error: Option<String>,
    /// Requests about it whose answers are waited for.
    under_way: usize,
    /// It was asked to be closed: no request may name it any more.
    is_closing: bool,
}

impl Open {
    /// A file, with the draft's flags.
    pub(super) fn file(path: String, flags: u32) -> Box<Self> {
        Box::new(Self {
            path,
            flags,
            ..Self::default()
        })
    }

    /// A directory.
    pub(super) fn directory(path: String) -> Box<Self> {
        Box::new(Self {
            path,
            is_directory: true,
            ..Self::default()
        })
    }
}

/// Files that are open. Servers give out a handle again once it is closed, so a request that waits for its answer
/// remembers the file by a number that no other has.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// What a client may name: from the server's answer until it asks to close it.
    handles: HashMap<Vec<u8>, u64>,
    open: BTreeMap<u64, Box<Open>>,
    next: u64,
}

impl Files {
    /// Whether another file may be open, by this handle.
    ///
    /// # Errors
    /// It may not: too many are, or that is another's handle.
    pub(super) fn have_room(&self, handle: &[u8]) -> Result<(), Stop> {
        if self.open.len() >= SFTP_HANDLES_MAX {
            return Err(Stop(format!("{SFTP_HANDLES_MAX} files are open over SFTP")));
        }
        if self.handles.contains_key(handle) {
            return Err(Stop("over SFTP two open files have one handle".to_owned()));
        }
        Ok(())
    }

    /// A file is open, by a handle for which there is room.
    pub(super) fn insert(&mut self, handle: &[u8], open: Box<Open>) {
        self.handles.insert(handle.to_vec(), self.next);
        self.open.insert(self.next, open);
        self.next = self.next.saturating_add(1);
    }

    /// What is behind a handle that may be named.
    pub(super) fn behind(&mut self, handle: &[u8]) -> Option<&mut Open> {
        self.get(*self.handles.get(handle)?)
    }

    /// A file is to have these attributes, perhaps another length.
    pub(super) fn change(&mut self, path: &str, wanted: &Attributes) {
        let Some(size) = wanted.size else { return };
        for open in self.open.values_mut().filter(|open| open.path == path) {
            open.written.resize(size);
        }
    }

    /// The file of this number.
    pub(super) fn get(&mut self, file: u64) -> Option<&mut Open> {
        self.open.get_mut(&file).map(AsMut::as_mut)
    }

    /// A request names it; [`Self::answered`] is its answer. The file's number.
    pub(super) fn used(&mut self, handle: &[u8]) -> Option<u64> {
        let file = *self.handles.get(handle)?;
        self.open.get_mut(&file)?.under_way += 1;
        Some(file)
    }

    /// The last request that may name it, which closes it; otherwise as [`Self::used`].
    pub(super) fn closing(&mut self, handle: &[u8]) -> Option<u64> {
        let file = self.handles.remove(handle)?;
        let open = self.open.get_mut(&file)?;
        open.under_way += 1;
        open.is_closing = true;
        Some(file)
    }

    /// A request about it was answered. The file, if that was the last one.
    pub(super) fn answered(&mut self, file: u64) -> Option<Box<Open>> {
        let open = self.open.get_mut(&file)?;
        open.under_way = open.under_way.saturating_sub(1);
        if !open.is_closing || open.under_way > 0 {
            return None;
        }
        self.open.remove(&file)
    }

    /// All that are left, as they are told of when nothing more will come.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = Box<Open>> + use<> {
        self.handles.clear();
        std::mem::take(&mut self.open)
            .into_values()
            .map(|mut open| {
                let why = match open.is_closing {
                    true => "whether it was closed is not known",
                    false => "it was not closed",
                };
                open.error.get_or_insert_with(|| why.to_owned());
                open
            })
    }
}
