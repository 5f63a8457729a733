//! Attributes that a client wants a file to have (draft-ietf-secsh-filexfer-02, section 5).

use hansard_core::Fields;

use super::packet::{Reading, Unreadable};

/// Which of them are there.
mod flag {
    pub(super) const SIZE: u32 = 1;
    pub(super) const OWNERS: u32 = 2;
    pub(super) const MODE: u32 = 4;
    pub(super) const TIMES: u32 = 8;
}

/// What is asked for; `None` where nothing is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size: Option<u64>,
    /// User and group.
    owners: Option<[u32; 2]>,
    /// With the bits of set-user-ID and the like.
    mode: Option<u32>,
    /// Of the last access and the last change, seconds since 1970.
    times: Option<[u32; 2]>,
}

impl Attributes {
    /// Those at the end of a packet. Some clients leave them out where they want none.
    ///
    /// # Errors
    /// They end in the middle.
    pub(super) fn read(body: &mut Reading<'_>) -> Result<Self, Unreadable> {
        if body.0.is_empty() {
            return Ok(Self::default());
        }
        let flags = body.uint32()?;
        let has = |flag| flags & flag != 0;
        let two = |body: &mut Reading<'_>| Ok([body.uint32()?, body.uint32()?]);
        Ok(Self {
            size: has(flag::SIZE).then(|| body.uint64()).transpose()?,
            owners: has(flag::OWNERS).then(|| two(body)).transpose()?,
            mode: has(flag::MODE).then(|| body.uint32()).transpose()?,
            times: has(flag::TIMES).then(|| two(body)).transpose()?,
        })
    }

    /// As what host events tell of the same.
    pub(super) fn tell(&self, fields: &mut Fields) {
        if let Some(size) = self.size {
            fields.push("length", size);
        }
        if let Some([user, group]) = self.owners {
            fields.push("new_owner", u64::from(user));
            fields.push("new_group", u64::from(group));
        }
        if let Some(mode) = self.mode {
            fields.push("mode", u64::from(mode));
        }
        if let Some([access, change]) = self.times {
            fields.push("new_atime", u64::from(access));
            fields.push("new_mtime", u64::from(change));
        }
    }
}
