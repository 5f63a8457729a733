//! Sealing over real files.

use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("hansard-sealing-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.0.join("seal.key")
    }

    fn sealing(&self) -> Sealing {
        Sealing::new(&self.key(), random())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Other bytes each time.
pub(crate) fn random() -> Arc<dyn Random> {
    static SEED: AtomicU64 = AtomicU64::new(1);
    Arc::new(|bytes: &mut [u8]| {
        let seed = SEED.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        for (byte, of_seed) in bytes.iter_mut().zip(seed.iter().cycle()) {
            *byte = *of_seed;
        }
        Ok(())
    })
}

fn secret() -> Secret {
    Secret::from("correct horse".to_owned())
}

#[test]
fn what_is_sealed_opens_in_its_own_place_only_and_unchanged_only() {
    let place = Place::new("bound");
    let sealing = place.sealing();
    sealing.make_first().unwrap();
    let sealed = sealing.seal(b"web", &secret()).unwrap();
    assert_eq!(sealing.open(b"web", &sealed).unwrap(), secret());
    let refused = |belongs_to: &[u8], sealed: &Sealed, why: &str| {
        let said = sealing.open(belongs_to, sealed).unwrap_err();
        assert!(
            matches!(&said, Failure::Refused(text) if text.contains(why)),
            "{said}"
        );
    };
    refused(b"db", &sealed, "belongs to something else");
    for place in 0..sealed.bytes.len() {
        let mut bytes = base64url::decode(&sealed.bytes).unwrap();
        let at = place % bytes.len();
        bytes[at] ^= 1;
        let changed = Sealed {
            bytes: base64url::encode(&bytes),
            ..sealed.clone()
        };
        refused(b"web", &changed, "was changed");
    }
    for (nonce, bytes) in [
        ("", &*sealed.bytes),
        ("AAAA", &sealed.bytes),
        (&sealed.nonce, ""),
    ] {
        let changed = Sealed {
            nonce: nonce.to_owned(),
            bytes: bytes.to_owned(),
            ..sealed.clone()
        };
        refused(b"web", &changed, "was changed");
    }
    // The same twice is not the same on the disk.
    assert_ne!(sealing.seal(b"web", &secret()).unwrap(), sealed);
    let all = fs::read(place.key()).unwrap();
    assert!(!all.windows(7).any(|part| part == b"correct"));
}

#[test]
fn the_key_is_for_its_owner_alone_and_is_not_made_twice() {
    let place = Place::new("key");
    let sealing = place.sealing();
    assert_eq!(sealing.newest().unwrap(), None);
    // Neither what is sealed nor a change of keys makes one in secret.
    let said = sealing.seal(b"web", &secret()).unwrap_err().to_string();
    assert!(said.contains("put the file back from a backup"), "{said}");
    sealing.begin_change().unwrap();
    assert!(!place.key().exists());
    sealing.make_first().unwrap();
    let sealed = sealing.seal(b"web", &secret()).unwrap();
    let mode = fs::metadata(place.key()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    place.sealing().make_first().unwrap();
    let again = place.sealing().seal(b"web", &secret()).unwrap();
    assert_eq!(sealed.key, again.key);
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(place.key(), fs::Permissions::from_mode(mode)).unwrap();
        let said = sealing.open(b"web", &sealed).unwrap_err().to_string();
        assert!(said.contains("chmod 600"), "{said}");
        assert!(sealing.seal(b"web", &secret()).is_err());
    }
    fs::set_permissions(place.key(), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(sealing.open(b"web", &sealed).unwrap(), secret());
}

#[test]
fn a_key_that_is_gone_or_damaged_is_said_and_none_takes_its_place_in_secret() {
    let place = Place::new("gone");
    let sealing = place.sealing();
    sealing.make_first().unwrap();
    let sealed = sealing.seal(b"web", &secret()).unwrap();
    let whole = fs::read(place.key()).unwrap();
    fs::remove_file(place.key()).unwrap();
    let said = sealing.open(b"web", &sealed).unwrap_err().to_string();
    assert!(
        said.contains(&sealed.key) && said.contains("backup"),
        "{said}"
    );
    let write = |bytes: &[u8]| {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(place.key()).unwrap();
        io::Write::write_all(&mut file, bytes).unwrap();
    };
    let mut flipped = whole.clone();
    let last = flipped.len() - 3;
    flipped[last] ^= 1;
    for damaged in [&b""[..], b"x", &whole[..20], &flipped] {
        write(damaged);
        let said = sealing.open(b"web", &sealed).unwrap_err().to_string();
        assert!(said.contains("not a key that seals"), "{said}");
        assert!(sealing.seal(b"web", &secret()).is_err());
    }
    // Another key is another key.
    fs::remove_file(place.key()).unwrap();
    sealing.make_first().unwrap();
    let other = sealing.seal(b"web", &secret()).unwrap();
    assert_ne!(other.key, sealed.key);
    assert!(sealing.open(b"web", &sealed).is_err());
    write(&whole);
    assert_eq!(sealing.open(b"web", &sealed).unwrap(), secret());
}

#[test]
fn a_change_of_keys_has_both_until_it_is_finished() {
    let place = Place::new("change");
    let sealing = place.sealing();
    sealing.make_first().unwrap();
    let old = sealing.seal(b"web", &secret()).unwrap();
    sealing.begin_change().unwrap();
    sealing.begin_change().unwrap();
    assert!(sealing.is_changing().unwrap());
    let new = sealing.seal(b"web", &secret()).unwrap();
    assert_ne!(old.key, new.key);
    for sealed in [&old, &new] {
        assert_eq!(sealing.open(b"web", sealed).unwrap(), secret());
    }
    sealing.finish_change().unwrap();
    assert!(!sealing.is_changing().unwrap());
    assert!(sealing.open(b"web", &old).is_err());
    assert_eq!(sealing.open(b"web", &new).unwrap(), secret());
}

#[test]
fn a_secret_is_never_printed() {
    assert_eq!(format!("{:?}", secret()), "Secret(…)");
}
