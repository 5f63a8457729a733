//! The agent that keeps keys for ssh(1): the key of a login goes there, with its certificate, for as long as
//! that holds (draft-ietf-sshm-ssh-agent).

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::key::{CERTIFICATE_TYPE, Certificate, KEY_TYPE, Key, strings};

/// Asks to keep a key under constraints.
const ADD_CONSTRAINED: u8 = 25;
/// Asks to forget one.
const REMOVE: u8 = 18;
/// The answer to what was done.
const SUCCESS: u8 = 6;
/// The constraint of a time.
const LIFETIME: u8 = 1;

/// Longest answer that is taken, bytes; a longer one is none to what is asked here.
const ANSWER_BYTES_MAX: u32 = 256 * 1024;

/// How long an agent may take; one that asks its user may be waited for.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// An agent.
pub(super) struct Agent(UnixStream);

impl Agent {
    /// The agent of this session, if there is one.
    pub(super) fn of_session() -> Option<Self> {
        let path = std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty());
        Self::at(&PathBuf::from(path?)).ok()
    }

    fn at(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        Ok(Self(stream))
    }

    /// Keeps a key and its certificate for so many seconds.
    ///
    /// # Errors
    /// It does not, in the system's words.
    pub(super) fn keep(
        &mut self,
        key: &Key,
        certificate: &Certificate,
        (comment, life_s): (&str, u32),
    ) -> io::Result<()> {
        let (public, private) = (&key.public[..], &key.private()[..]);
        let comment = comment.as_bytes();
        let plain = strings([KEY_TYPE.as_bytes(), public, private, comment]);
        let kind = CERTIFICATE_TYPE.as_bytes();
        let certified = strings([kind, &certificate.blob, public, private, comment]);
        for mut message in [plain, certified] {
            message.push(LIFETIME);
            message.extend(life_s.to_be_bytes());
            self.ask(ADD_CONSTRAINED, &message)?;
        }
        Ok(())
    }

    /// Forgets a key or certificate.
    ///
    /// # Errors
    /// It does not have it any more.
    pub(super) fn forget(&mut self, blob: &[u8]) -> io::Result<()> {
        self.ask(REMOVE, &strings([blob]))
    }

    fn ask(&mut self, kind: u8, message: &[u8]) -> io::Result<()> {
        let asked = strings([&[&[kind], message].concat()[..]]);
        self.0.write_all(&asked)?;
        let mut len = [0; 4];
        self.0.read_exact(&mut len)?;
        let len = u32::from_be_bytes(len);
        if len == 0 || len > ANSWER_BYTES_MAX {
            return Err(io::Error::other("the agent's answer is none"));
        }
        let mut answer = Vec::new();
        (&mut self.0)
            .take(u64::from(len))
            .read_to_end(&mut answer)?;
        match answer.first() {
            Some(&SUCCESS) => Ok(()),
            _ => Err(io::Error::other("the agent does not do it")),
        }
    }
}
