//! What runs in a channel: a program of this machine, or one that a proxy has another machine run.

use std::os::fd::{AsFd as _, BorrowedFd};

use hansard_shell::{Echo, Exit, Served};

use super::proxy::Far;

/// What a relay needs of what runs.
pub(super) enum Program {
    Here(Served),
    There(Far),
}

impl Program {
    /// Its process, if it is one of this machine.
    pub(super) fn pid(&self) -> Option<i32> {
        match self {
            Self::Here(served) => i32::try_from(served.pid()).ok(),
            Self::There(_) => None,
        }
    }

    /// Readable once it is over.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        match self {
            Self::Here(served) => served.bell(),
            Self::There(far) => far.bell.as_fd(),
        }
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Here(served) => served.ended().is_some(),
            Self::There(far) => far.is_over(),
        }
    }

    /// How it ended; of one elsewhere that may stay unknown.
    pub(super) fn ended(&self) -> Option<Exit> {
        match self {
            Self::Here(served) => served.ended(),
            Self::There(far) => far.ended(),
        }
    }

    /// Sends it a signal; `false`: there is none of this name.
    pub(super) fn signal(&self, name: &str) -> bool {
        match self {
            Self::Here(served) => served.signal(name),
            Self::There(far) => far.signal(name),
        }
    }

    /// Tells it that nobody is there any more.
    pub(super) fn hang_up(&self) {
        match self {
            Self::Here(served) => served.hang_up(),
            Self::There(far) => far.hang_up(),
        }
    }

    /// Ends it, whatever it thinks of that; one elsewhere loses its channel, which is all a client can do.
    pub(super) fn kill(&self) {
        match self {
            Self::Here(served) => served.kill(),
            Self::There(far) => far.hang_up(),
        }
    }

    /// Its terminal has another size.
    pub(super) fn resize(&self, size: [u16; 4]) {
        match self {
            Self::Here(served) => served.resize(size),
            Self::There(far) => far.resize(size),
        }
    }

    /// What its terminal does with what is typed. Of one elsewhere nobody can see that: what is kept there is
    /// what it showed.
    pub(super) fn echo(&self) -> Echo {
        match self {
            Self::Here(served) => served.echo(),
            Self::There(_) => Echo::On,
        }
    }
}
