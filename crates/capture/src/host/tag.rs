//! What a task carries: `struct tag` of `ebpf/record.h`.

/// Bytes of it.
pub(super) const TAG_BYTES: usize = 40;

/// Whose a task is. Whether its program is one that is left out is the kernel's to say: written from here it is
/// not, until it runs another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tag {
    pub(super) session: u64,
    /// The session that this one began in; 0: in none.
    pub(super) outer: u64,
    /// The session that it holds within its own; 0: none.
    pub(super) begins: u64,
    pub(super) forked_by: u32,
    /// It is the program that holds the session.
    pub(super) is_seed: bool,
}

impl Tag {
    /// Of what belongs to this session.
    pub(super) fn of(session: u64) -> Self {
        Self {
            session,
            ..Self::default()
        }
    }

    /// Of the program that holds this session, in none.
    pub(super) fn holding(session: u64) -> Self {
        Self {
            is_seed: true,
            ..Self::of(session)
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (session, rest) = bytes.split_first_chunk()?;
        let (outer, rest) = rest.split_first_chunk()?;
        let (begins, rest) = rest.split_first_chunk()?;
        let (forked_by, rest) = rest.split_first_chunk()?;
        Some(Self {
            session: u64::from_ne_bytes(*session),
            outer: u64::from_ne_bytes(*outer),
            begins: u64::from_ne_bytes(*begins),
            forked_by: u32::from_ne_bytes(*forked_by),
            is_seed: u32::from_ne_bytes(*rest.first_chunk()?) != 0,
        })
    }

    pub(super) fn bytes(self) -> [u8; TAG_BYTES] {
        let mut bytes = [0; TAG_BYTES];
        let parts = [
            &self.session.to_ne_bytes()[..],
            &self.outer.to_ne_bytes(),
            &self.begins.to_ne_bytes(),
            &self.forked_by.to_ne_bytes(),
            &u32::from(self.is_seed).to_ne_bytes(),
        ];
        for (to, from) in bytes.iter_mut().zip(parts.concat()) {
            *to = from;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_read_as_it_was_written() {
        let within = Tag {
            session: 1,
            outer: 2,
            begins: 3,
            forked_by: 4,
            is_seed: false,
        };
        for tag in [within, Tag::of(9), Tag::holding(1 << 62)] {
            assert_eq!(Tag::parse(&tag.bytes()), Some(tag));
        }
        assert_eq!(Tag::parse(&[0; 24]), None);
    }
}
