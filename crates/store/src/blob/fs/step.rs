//! The calls of a write, each a place where a crash can fall. In tests a hook hears of each before
//! and after it is done, and can end it there; otherwise there is nothing to hear.

use std::io;
use std::path::Path;

/// A call that changes something, or makes a change durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A directory is made.
    MakeDir,
    /// A file is written under its temporary name.
    Write,
    /// A file's bytes become durable.
    SyncFile,
    /// Everything becomes durable.
    SyncAll,
    /// A file gets its name.
    Link,
    /// The names in a directory become durable.
    SyncDir,
    /// A temporary name is removed.
    Unlink,
}

/// Hears of a step on a path; `true` is after it was done.
#[cfg(test)]
pub(super) type Hook = std::sync::Arc<dyn Fn(Step, &Path, bool) -> io::Result<()> + Send + Sync>;

#[derive(Clone, Default)]
pub(super) struct Steps {
    #[cfg(test)]
    pub(super) hook: Option<Hook>,
}

/// Where there is a hook, it decides what is durable; the disk need not be asked.
#[cfg(test)]
impl Steps {
    pub(super) fn sync(&self, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.hook.is_some() { Ok(()) } else { act() }
    }
}

#[cfg(not(test))]
impl Steps {
    pub(super) fn sync(&self, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        act()
    }
}

impl Steps {
    #[cfg(test)]
    pub(super) fn take<T>(
        &self,
        step: Step,
        path: &Path,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let hear = |after| self.hook.as_ref().map_or(Ok(()), |h| h(step, path, after));
        hear(false)?;
        let done = act()?;
        hear(true)?;
        Ok(done)
    }

    #[cfg(not(test))]
    pub(super) fn take<T>(
        &self,
        _step: Step,
        _path: &Path,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        act()
    }
}
