//! A login that another process held before, which is gone: somebody kept its terminals for us.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use hansard_core::event::Stream;
use rustix::fs::{OFlags, fstat};

use super::{Held, Outer, terminal_device};
use crate::error::ShellError;
use crate::lane::Lane;
use crate::options::Options;
use crate::outlet::{Outlet, allows, inlet};
use crate::pty::Pty;

/// What of a login must be kept for another process to go on with it.
#[derive(Debug, Clone, Copy)]
pub struct ToKeep<'a> {
    /// The end of the program's terminal that only the holder has.
    pub master: BorrowedFd<'a>,
    /// The terminal that the login came on.
    pub outer: BorrowedFd<'a>,
}

/// What was on its way when a holder let go on purpose. All of it that is to be recorded is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OnItsWay {
    /// Written by the program, and not shown yet.
    pub unshown: Vec<u8>,
    /// Typed, and not yet taken by the program's terminal.
    pub untyped: Vec<u8>,
}

impl Held {
    /// What another process needs to hold this login. `None` for one that is not wholly on one
    /// terminal: what is in pipes is lost with whoever moves it, and a stream that lacks bytes is worse than
    /// one that ends.
    #[must_use]
    pub fn to_keep(&self) -> Option<ToKeep<'_>> {
        let has_pipes = self.input.is_some() || self.outputs.iter().any(Option::is_some);
        let (outer, pty) = (self.outer.as_ref()?, self.pty.as_ref()?);
        let fd = outer.fd();
        // Opened as `/dev/tty` it would be another one's terminal with them.
        let is_itself = fstat(fd).is_ok_and(|stat| Some(stat.st_rdev) == terminal_device(fd));
        let is_whole = allows(fd, OFlags::RDONLY) && allows(fd, OFlags::WRONLY);
        let fits = !has_pipes && is_itself && is_whole && self.keys.is_some();
        fits.then_some(ToKeep {
            master: pty.master(),
            outer: fd,
        })
    }

    /// The modes that the outer terminal had, for [`Held::again`].
    #[must_use]
    pub fn modes_before(&self) -> String {
        self.outer.as_ref().map(Outer::written).unwrap_or_default()
    }

    /// Holds a login again, of which these were kept. What was on its way goes on its way first.
    ///
    /// # Errors
    /// When the terminals are gone, or the modes are none.
    pub fn again(
        master: OwnedFd,
        outer: &OwnedFd,
        modes: &str,
        on_its_way: &OnItsWay,
        options: &Options,
    ) -> Result<Self, ShellError> {
        let pty = Pty::again(master)?;
        let from = rustix::io::fcntl_dupfd_cloexec(pty.master(), 3)
            .map_err(ShellError::errno("use the pseudo-terminal"))?;
        let to = Outlet::shared(outer.as_fd())?;
        let mut screen = Lane::new(from, to, Stream::Output, options.stdout);
        screen.begin_with(&on_its_way.unshown);
        Ok(Self {
            outer: Some(Outer::again(outer.as_fd(), modes)?),
            pty: Some(pty),
            screen: Some(screen),
            keys: Some(inlet(outer.as_fd())?),
            input: None,
            outputs: [None, None],
        })
    }
}
