//! Browsers in which somebody signed in: each is given a text that only we can make, which says of whom it is and
//! since when. It lets nobody in; attempts that come with it are counted by themselves.

use std::path::Path;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign, verify};
use sha2::{Digest as _, Sha256};

use crate::base64url;
use crate::failure::Failure;
use crate::files::{self, Files, SECRET};
use crate::limits::DEVICE_LIFE_S;
use crate::random::{Random, draw};

/// What is signed begins with it, so that it is nothing else's.
const FORMAT: &[u8] = b"hansard-device-1\0";

/// Bytes of the key.
const KEY_BYTES: usize = 32;

/// A browser's number.
pub type Number = [u8; 16];

/// A browser that somebody signed in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its number, for as long as it is known.
    pub number: Number,
    user: [u8; 16],
}

impl Device {
    /// Whether it is this user's.
    #[must_use]
    pub fn is_of(&self, user: &str) -> bool {
        self.user == short(user)
    }
}

/// What makes such texts, and knows them again.
pub struct Devices {
    key: Key,
}

impl Devices {
    /// With the key in this file, which is made if it is not there, or is none: whoever was known is then unknown.
    ///
    /// # Errors
    /// `Refused` for a file that others than its owner may read, `Retry` when the disk or randomness fails.
    pub fn open(path: &Path, random: &dyn Random) -> Result<Self, Failure> {
        let kept = files::read_key(path)?.filter(|bytes| bytes.len() == KEY_BYTES);
        let bytes = match kept {
            Some(bytes) => bytes,
            None => {
                let new: [u8; KEY_BYTES] = draw(random)?;
                Files::default().replace(path, &new, SECRET)?;
                new.to_vec()
            }
        };
        let key = Key::new(HMAC_SHA256, &bytes);
        Ok(Self { key })
    }

    /// The text for a browser in which this user signed in: with the number that it has, if it is theirs.
    ///
    /// # Errors
    /// `Retry` without randomness.
    pub fn make(
        &self,
        user: &str,
        known: Option<&Device>,
        (random, utc_s): (&dyn Random, u64),
    ) -> Result<String, Failure> {
        let known = known.filter(|device| device.is_of(user));
        let number = match known {
            Some(device) => device.number,
            None => draw(random)?,
        };
        let mut bytes = [&utc_s.to_be_bytes()[..], &number, &short(user)].concat();
        let tag = sign(&self.key, &[FORMAT, &bytes].concat());
        bytes.extend_from_slice(tag.as_ref());
        Ok(base64url::encode(&bytes))
    }

    /// The browser that shows this text; `None` if it is none of ours, or from too long ago.
    #[must_use]
    pub fn of(&self, text: &str, utc_s: u64) -> Option<Device> {
        let bytes = base64url::decode(text)?;
        let (said, tag) = bytes.split_at_checked(40)?;
        verify(&self.key, &[FORMAT, said].concat(), tag).ok()?;
        let (since, rest) = said.split_at_checked(8)?;
        let since_s = u64::from_be_bytes(since.try_into().ok()?);
        let (number, user) = rest.split_at_checked(16)?;
        let device = Device {
            number: number.try_into().ok()?,
            user: user.try_into().ok()?,
        };
        (utc_s.saturating_sub(since_s) < DEVICE_LIFE_S).then_some(device)
    }
}

fn short(user: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(user).into();
    let mut short = [0; 16];
    short
        .iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = from);
    short
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    #[test]
    fn a_browser_is_known_again_as_its_users_and_nobody_makes_one() {
        let path = std::env::temp_dir().join(format!("device-{}.key", std::process::id()));
        let _ = fs::remove_file(&path);
        let count = AtomicU8::new(1);
        let random = |bytes: &mut [u8]| {
            bytes.fill(count.fetch_add(1, Ordering::SeqCst));
            Ok(())
        };
        let devices = Devices::open(&path, &random).unwrap();
        let text = devices.make("ada", None, (&random, 1000)).unwrap();
        drop(devices);
        // Over a restart.
        let devices = Devices::open(&path, &random).unwrap();
        let device = devices.of(&text, 1000).unwrap();
        assert!(device.is_of("ada") && !device.is_of("eve"));
        assert!(devices.of(&text, 1000 + DEVICE_LIFE_S - 1).is_some());
        assert_eq!(devices.of(&text, 1000 + DEVICE_LIFE_S), None);
        // Its number stays, and is no other user's.
        let again = devices.make("ada", Some(&device), (&random, 2000)).unwrap();
        assert_eq!(devices.of(&again, 2000), Some(device.clone()));
        let other = devices.make("eve", Some(&device), (&random, 2000)).unwrap();
        assert_ne!(devices.of(&other, 2000).unwrap().number, device.number);
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(devices.of(&forged, 1000), None, "{at}");
        }
        for none in ["", "AAAA", &text[..40], &format!("{text}AAAA")] {
            assert_eq!(devices.of(none, 1000), None);
        }
        // Another key knows nobody.
        fs::remove_file(&path).unwrap();
        let devices = Devices::open(&path, &random).unwrap();
        assert_eq!(devices.of(&text, 1000), None);
        fs::remove_file(&path).unwrap();
    }
}
