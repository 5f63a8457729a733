//! Packets of SFTP version 3 (draft-ietf-secsh-filexfer-02): taken out of a stream, and their fields.

use crate::ssh::limits::SFTP_PACKET_BYTES_MAX;

/// Why a stream is no SFTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

/// Packets as they come, in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Packets {
    held: Vec<u8>,
}

impl Packets {
    /// Takes the next piece, and calls `each` for every packet that is whole now: its type, and what
    /// comes after that.
    pub(super) fn feed<E: From<Unreadable>>(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(u8, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.held.extend_from_slice(bytes);
        let mut rest = self.held.as_slice();
        while let Some((len, after)) = rest.split_first_chunk::<4>() {
            let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
            if len == 0 || len > SFTP_PACKET_BYTES_MAX {
                return Err(Unreadable("a packet is longer than any may be, or empty").into());
            }
            let Some((packet, after)) = after.split_at_checked(len) else {
                break;
            };
            let (kind, body) = packet.split_first().ok_or(Unreadable("an empty packet"))?;
            each(*kind, body)?;
            rest = after;
        }
        let used = self.held.len() - rest.len();
        self.held.drain(..used);
        Ok(())
    }
}

/// The fields of a packet.
pub(super) struct Reading<'a>(pub(super) &'a [u8]);

impl<'a> Reading<'a> {
    pub(super) fn uint32(&mut self) -> Result<u32, Unreadable> {
        let (n, rest) = self
            .0
            .split_first_chunk()
            .ok_or(Unreadable("a packet ends in the middle"))?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*n))
    }

    pub(super) fn uint64(&mut self) -> Result<u64, Unreadable> {
        let high = u64::from(self.uint32()?);
        Ok(high << 32 | u64::from(self.uint32()?))
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], Unreadable> {
        let len = usize::try_from(self.uint32()?).unwrap_or(usize::MAX);
        let (string, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(Unreadable("a packet ends in the middle"))?;
        self.0 = rest;
        Ok(string)
    }

    /// A path; what is no UTF-8 in it is shown as such.
    pub(super) fn path(&mut self) -> Result<String, Unreadable> {
        Ok(String::from_utf8_lossy(self.string()?).into_owned())
    }
}
