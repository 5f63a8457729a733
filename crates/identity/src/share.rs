//! A link to one session, for somebody who has no account here: what is kept of it, and its secret,
//! of which only a digest is kept.

use std::fmt;

use hansard_core::SessionId;
use hansard_core::seal::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::hex;
use crate::limits::{CLOCK_SKEW_S, SHARE_LIFE_NS_MAX, VIEWER_BYTES_MAX};
use crate::random::{Random, draw};

/// What a link's secret begins with, for programs that look for secrets where none should be.
const PREFIX: &str = "hansard-link-";

/// The secret of a link, as it is given to whoever may look. Never kept, never printed by accident.
pub struct Secret {
    id: [u8; 8],
    secret: [u8; 32],
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.id())
    }
}

impl Secret {
    pub(crate) fn new(random: &dyn Random) -> Result<Self, Failure> {
        Ok(Self {
            id: draw(random)?,
            secret: draw(random)?,
        })
    }

    /// The text that is handed over, once.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}-{}", self.id(), hex::encode(&self.secret))
    }

    /// The secret of such a text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('-')?;
        Some(Self {
            id: hex::decode(id)?,
            secret: hex::decode(secret)?,
        })
    }

    /// The name of its link, which is no secret.
    pub(crate) fn id(&self) -> String {
        hex::encode(&self.id)
    }

    /// What is kept of it. It has 256 random bits, so there is nothing to try out, and comparing
    /// digests tells nothing about it.
    pub(crate) fn digest(&self) -> Digest {
        Sha256::digest(self.secret).into()
    }
}

/// A link that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The session that it leads to.
    pub session: SessionId,
    /// Who it is for, in words.
    pub viewer: String,
    /// From which moment on, milliseconds since the session's start; `None`: from its start.
    pub from_ms: Option<u64>,
    /// Up to which; `None`: to its end.
    pub until_ms: Option<u64>,
    /// How long it holds, nanoseconds; at most [`SHARE_LIFE_NS_MAX`].
    pub life_ns: u64,
}

impl Wish {
    /// Whether there may be such a link.
    ///
    /// # Errors
    /// `Malformed`, in words for who wishes it.
    pub fn check(&self) -> Result<(), Failure> {
        let bad = |words: String| Err(Failure::Malformed(words));
        let name = &self.viewer;
        let is_bounded = (1..=VIEWER_BYTES_MAX).contains(&name.len());
        if !is_bounded || name.trim() != name || name.chars().any(is_invisible) {
            return bad(format!(
                "who the link is for: 1 to {VIEWER_BYTES_MAX} bytes of words that can be seen"
            ));
        }
        if self.life_ns == 0 || self.life_ns > SHARE_LIFE_NS_MAX {
            let days = SHARE_LIFE_NS_MAX / (24 * 3600 * 1_000_000_000);
            return bad(format!("a link holds at most {days} days"));
        }
        let until_ms = self.until_ms.unwrap_or(u64::MAX);
        if self.from_ms.unwrap_or(0) >= until_ms {
            return bad("the stretch ends where it begins, or before".to_owned());
        }
        Ok(())
    }
}

/// Control characters, and those that change how others are read: a name stands across the screen
/// that it watches, and in events.
fn is_invisible(c: char) -> bool {
    let formats = [
        '\u{ad}'..='\u{ad}',
        '\u{61c}'..='\u{61c}',
        '\u{180e}'..='\u{180e}',
        '\u{200b}'..='\u{200f}',
        '\u{2028}'..='\u{202e}',
        '\u{2060}'..='\u{206f}',
        '\u{feff}'..='\u{feff}',
        '\u{e0000}'..='\u{e007f}',
    ];
    c.is_control() || formats.iter().any(|range| range.contains(&c))
}

/// Who made a link, as far as that can be asked again later. Their name is beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Maker {
    /// A user of this service.
    User,
    /// An account of the service's machine.
    Account {
        /// Its number.
        uid: u32,
        /// Its group's.
        gid: u32,
    },
    /// Somebody whom an OpenID provider vouched for.
    Outside {
        /// Who the provider is.
        issuer: String,
        /// Who they are for it.
        subject: String,
        /// Which role they had.
        role: String,
    },
}

/// A link, as everybody else sees it: nothing that opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Its name: 16 hexadecimal digits.
    pub id: String,
    /// The session that it leads to.
    pub session: SessionId,
    /// Who it is for.
    pub viewer: String,
    /// See [`Wish::from_ms`].
    pub from_ms: Option<u64>,
    /// See [`Wish::until_ms`].
    pub until_ms: Option<u64>,
    /// When it was made, UTC nanoseconds since 1970.
    pub created_ns: u64,
    /// By whom.
    pub created_by: String,
    /// The same, to be asked again; `None` of links from before that was kept.
    pub maker: Option<Maker>,
    /// Until when it holds, UTC nanoseconds since 1970.
    pub expires_ns: u64,
    /// When it was revoked, UTC nanoseconds since 1970, and by whom.
    pub revoked: Option<(u64, String)>,
}

/// Why a link opens nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Its time has passed, or has not come: a clock was set back behind its making.
    Expired,
    /// Somebody took it back.
    Revoked,
    /// Who made it is gone, locked, or may not share any more.
    Maker,
}

impl Over {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "the link has expired",
            Self::Revoked => "the link was revoked",
            Self::Maker => "whoever made the link may share nothing (any more)",
        }
    }
}

impl Share {
    /// Why it opens nothing now, if it does not.
    #[must_use]
    pub fn over(&self, utc_ns: u64) -> Option<Over> {
        if self.revoked.is_some() {
            return Some(Over::Revoked);
        }
        // A clock that was set back does not lengthen a life.
        let skew_ns = CLOCK_SKEW_S.saturating_mul(1_000_000_000);
        let has_begun = utc_ns.saturating_add(skew_ns) >= self.created_ns;
        (utc_ns >= self.expires_ns || !has_begun).then_some(Over::Expired)
    }

    /// The stretch that it shows, nanoseconds since the session's start; `None`: the whole session.
    #[must_use]
    pub fn stretch_ns(&self) -> Option<(u64, u64)> {
        let ns = |ms: u64| ms.saturating_mul(1_000_000);
        match (self.from_ms, self.until_ms) {
            (None, None) => None,
            (from, until) => Some((ns(from.unwrap_or(0)), until.map_or(u64::MAX, ns))),
        }
    }
}

/// What is kept of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShareRow {
    pub(crate) id: String,
    session: String,
    viewer: String,
    from_ms: Option<u64>,
    until_ms: Option<u64>,
    /// SHA-256 of its secret, hexadecimal.
    pub(crate) secret_sha256: String,
    created_ns: u64,
    created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maker: Option<Maker>,
    pub(crate) expires_ns: u64,
    pub(crate) revoked_ns: Option<u64>,
    pub(crate) revoked_by: Option<String>,
}

impl ShareRow {
    pub(crate) fn new(
        wish: &Wish,
        secret: &Secret,
        (by, maker): (&str, Maker),
        utc_ns: u64,
    ) -> Self {
        Self {
            id: secret.id(),
            session: wish.session.to_string(),
            viewer: wish.viewer.clone(),
            from_ms: wish.from_ms,
            until_ms: wish.until_ms,
            secret_sha256: hex::encode(&secret.digest()),
            created_ns: utc_ns,
            created_by: by.to_owned(),
            maker: Some(maker),
            expires_ns: utc_ns.saturating_add(wish.life_ns),
            revoked_ns: None,
            revoked_by: None,
        }
    }

    /// Without what is checked against; `None` where the file names no session.
    pub(crate) fn share(&self) -> Option<Share> {
        let by = || self.revoked_by.clone().unwrap_or_default();
        Some(Share {
            id: self.id.clone(),
            session: self.session.parse().ok()?,
            viewer: self.viewer.clone(),
            from_ms: self.from_ms,
            until_ms: self.until_ms,
            created_ns: self.created_ns,
            created_by: self.created_by.clone(),
            maker: self.maker.clone(),
            expires_ns: self.expires_ns,
            revoked: self.revoked_ns.map(|ns| (ns, by())),
        })
    }
}
