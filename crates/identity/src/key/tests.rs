//! Private keys over real files: made once, kept, and missed when they are gone.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use super::*;
use crate::authority::Authority;
use crate::people::PeopleAuthority;
use crate::ssh::SshAuthorities;

const NOW_NS: u64 = 1_700_000_000_000_000_000;

struct TempDir(PathBuf);

impl TempDir {
    fn new(name: &str) -> Self {
        let name = format!("hansard-keys-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // One that a run with the same number left behind.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Another key each time.
fn random() -> impl Random {
    let count = AtomicU8::new(1);
    move |bytes: &mut [u8]| {
        bytes.fill(count.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

fn refused<T>(opened: Result<T, Failure>, words: &[&str]) {
    let Err(Failure::Refused(why)) = opened else {
        panic!("nothing was refused: {words:?}");
    };
    assert!(words.iter().all(|word| why.contains(word)), "{why}");
}

#[test]
fn a_key_is_made_once_and_not_again_when_it_is_gone() {
    let directory = TempDir::new("once");
    let (path, public) = (
        directory.join("ssh_node.key"),
        directory.join("ssh_node.pub"),
    );
    let random = random();
    let first = PrivateKey::kept_in(&path, &random).unwrap().public();
    let line = fs::read_to_string(&public).unwrap();
    assert!(
        line.starts_with("ssh-ed25519 AAAA") && line.ends_with('\n'),
        "{line}"
    );
    assert_eq!(PrivateKey::kept_in(&path, &random).unwrap().public(), first);
    // One from before there were public halves gets its own.
    fs::remove_file(&public).unwrap();
    assert_eq!(PrivateKey::kept_in(&path, &random).unwrap().public(), first);
    assert_eq!(fs::read_to_string(&public).unwrap(), line);
    // Gone: nothing is made, however often it is asked for.
    let backup = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    for _ in 0..2 {
        let words = [
            "ssh_node.key: the key is gone",
            "backup",
            "ssh_node.pub as well",
        ];
        refused(PrivateKey::kept_in(&path, &random), &words);
        assert!(!path.exists());
    }
    // Another in its place.
    let other = PrivateKey::from_seed([9; 32]).issuing().unwrap();
    let files = Files::default();
    files
        .create(&path, other.serialize_pem().as_bytes(), SECRET)
        .unwrap();
    refused(
        PrivateKey::kept_in(&path, &random),
        &["not the key whose public half"],
    );
    files.replace(&path, &backup, SECRET).unwrap();
    assert_eq!(PrivateKey::kept_in(&path, &random).unwrap().public(), first);
    // On purpose.
    fs::remove_file(&path).unwrap();
    fs::remove_file(&public).unwrap();
    assert_ne!(PrivateKey::kept_in(&path, &random).unwrap().public(), first);
}

#[test]
fn after_a_crash_at_any_call_the_next_one_finishes_with_the_key_that_is_there() {
    for moment in 1.. {
        let directory = TempDir::new("crash");
        let path = directory.join("ssh_node.key");
        let files = Files::default();
        files.crash.at(moment);
        let random = random();
        let begun = PrivateKey::kept_with(&path, &files, &random);
        let was = PrivateKey::read(&path).unwrap().map(|key| key.public());
        let finished = PrivateKey::kept_in(&path, &random).unwrap().public();
        assert!(was.is_none_or(|was| was == finished), "{moment}");
        assert!(directory.join("ssh_node.pub").exists(), "{moment}");
        if begun.is_ok() {
            assert!(moment > 10, "{moment}");
            return;
        }
    }
}

#[test]
fn no_authority_is_made_in_the_place_of_one_whose_key_is_gone() {
    let directory = TempDir::new("authorities");
    let (at, random) = (directory.0.clone(), random());
    drop(Authority::create(&at, "test", NOW_NS, &random).unwrap());
    let people = || PeopleAuthority::open(&at, "test", NOW_NS, &random);
    let ssh = || SshAuthorities::open(&at, &random);
    let (first, lines) = (people().unwrap().der().to_vec(), ssh().unwrap());
    let lines = (lines.user_line(), lines.host_line());
    for name in [
        "authority.key",
        "people.key",
        "ssh_user.key",
        "ssh_host.key",
    ] {
        let (path, aside) = (directory.join(name), directory.join("aside"));
        fs::rename(&path, &aside).unwrap();
        let words = [name, "the key is gone", "backup"];
        match name {
            "authority.key" => refused(Authority::open(&at), &words),
            "people.key" => refused(people(), &words),
            _ => refused(ssh(), &words),
        }
        assert!(!path.exists(), "{name}");
        fs::rename(&aside, &path).unwrap();
    }
    assert!(Authority::open(&at).is_ok());
    assert_eq!(people().unwrap().der(), first);
    let again = ssh().unwrap();
    assert_eq!((again.user_line(), again.host_line()), lines);
}

#[test]
fn a_key_that_others_can_reach_is_refused() {
    let directory = TempDir::new("modes");
    let path = directory.join("ssh_node.key");
    let random = random();
    PrivateKey::kept_in(&path, &random).unwrap();
    for (mode, is_good) in [
        (0o600, true),
        (0o400, true),
        (0o640, false),
        (0o620, false),
        (0o604, false),
        (0o644, false),
    ] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let kept = PrivateKey::kept_in(&path, &random);
        if is_good {
            assert!(kept.is_ok(), "{mode:o}: {kept:?}");
            continue;
        }
        let words = ["ssh_node.key: a private key that others", "chmod 0600"];
        refused(kept, &words);
    }
}
