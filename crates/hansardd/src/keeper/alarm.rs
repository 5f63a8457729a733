//! What somebody must look at: never repaired in silence, never only a log line.

use std::fmt;
use std::path::PathBuf;

use hansard_core::SessionId;
use hansard_store::AlarmKind;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Matter {
    /// A segment must not be where it claims to be. Its session is put aside.
    Chain(AlarmKind),
    /// Parts that are no sound recording. Their session is put aside.
    Unsound,
    /// What precedes a part is missing. The parts stay in the spool until it comes.
    Hole,
    /// What precedes a part is missing, and its sender has it no more. What follows is archived behind
    /// the gap.
    Lost,
    /// A part in the spool is damaged. The others of its session stay there; a restart takes what
    /// its sender still has.
    SpoolDamaged,
    /// A segment came again that the archive has damaged or lost: the copy that came is put aside.
    ArchiveDamaged,
    /// There is no room to put more aside. The parts stay in the spool, and more of their session is
    /// refused.
    AsideFull,
    /// The catalog is damaged. Nothing is archived until `hansardd reindex` has built it anew.
    CatalogDamaged,
}

impl Matter {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chain(kind) => kind.as_str(),
            Self::Unsound => "unsound",
            Self::Hole => "hole",
            Self::Lost => "lost",
            Self::SpoolDamaged => "spool_damaged",
            Self::ArchiveDamaged => "archive_damaged",
            Self::AsideFull => "aside_full",
            Self::CatalogDamaged => "catalog_damaged",
        }
    }
}

/// An alarm, as a value to be made an event of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// What is wrong.
    pub matter: Matter,
    /// With which session, if with one.
    pub session: Option<SessionId>,
    /// With which segment.
    pub segment: Option<u32>,
    /// In words: what, where, and what to do.
    pub what: String,
    /// Where the parts are now, if they were put aside.
    pub kept: Option<PathBuf>,
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(session) = self.session {
            write!(f, "session {session}: ")?;
        }
        f.write_str(&self.what)?;
        match &self.kept {
            Some(path) => write!(f, "; its parts are kept in {}", path.display()),
            None => Ok(()),
        }
    }
}
