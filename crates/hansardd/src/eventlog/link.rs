//! The link that always names the file of today.

use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Makes links, atomically: whoever opens the link gets the file before or the file after.
pub trait Link: Send {
    /// Lets `link` name `target`, which is relative to the link's directory.
    ///
    /// # Errors
    /// What the system says.
    fn point(&self, link: &Path, target: &Path) -> io::Result<()>;
}

/// Symbolic links.
#[derive(Debug, Clone, Copy, Default)]
pub struct SymbolicLink;

impl Link for SymbolicLink {
    fn point(&self, link: &Path, target: &Path) -> io::Result<()> {
        if std::fs::read_link(link).is_ok_and(|there| there == target) {
            return Ok(());
        }
        // A crash leaves the link beside, which the next call removes.
        let beside = link.with_extension("new");
        match std::fs::remove_file(&beside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        symlink(target, &beside)?;
        std::fs::rename(&beside, link)
    }
}
