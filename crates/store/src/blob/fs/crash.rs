//! Power lost at every step of a write, before and after it: only what POSIX promises is left.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::*;

/// What would outlast a loss of power now.
#[derive(Default)]
struct Power {
    steps: u64,
    /// The step at which it goes, and whether after it was done.
    cut: Option<(u64, bool)>,
    dark: bool,
    synced_files: BTreeSet<u64>,
    durable_names: BTreeSet<PathBuf>,
}

impl Power {
    fn hear(&mut self, root: &Path, step: Step, path: &Path, after: bool) -> io::Result<()> {
        if self.dark {
            return Err(io::Error::other("the power is off"));
        }
        if !after {
            self.steps += 1;
        }
        if self.cut == Some((self.steps, false)) && !after {
            self.dark = true;
        } else if after {
            match step {
                Step::SyncFile => drop(self.synced_files.insert(inode(path))),
                Step::SyncDir => self.durable_names.extend(children(path)),
                Step::SyncAll => {
                    for path in everything(root) {
                        self.synced_files.insert(inode(&path));
                        self.durable_names.insert(path);
                    }
                }
                _ => {}
            }
            self.dark = self.cut == Some((self.steps, true));
        }
        if self.dark {
            return Err(io::Error::other("the power goes"));
        }
        Ok(())
    }

    /// Leaves of the directory what is durable: names that are not are gone, bytes that are not
    /// are gone too.
    fn lose(&self, root: &Path) {
        for path in everything(root).into_iter().rev() {
            if path.starts_with(root.join(".tmp")) || path.ends_with(".lock") {
                continue;
            }
            if path.is_dir() {
                if !self.durable_names.contains(&path) {
                    std::fs::remove_dir_all(&path).unwrap();
                }
            } else if !self.durable_names.contains(&path) {
                std::fs::remove_file(&path).unwrap();
            } else if !self.synced_files.contains(&inode(&path)) {
                File::create(&path).unwrap();
            }
        }
    }
}

fn inode(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().ino()
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|e| e.unwrap().path()).collect()
}

/// All paths under a directory, parents first.
fn everything(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in children(dir) {
        found.push(path.clone());
        if path.is_dir() {
            found.extend(everything(&path));
        }
    }
    found
}

/// Blobs to put: two of one directory, others apart.
fn blobs(count: u8) -> Vec<(BlobName, Vec<u8>)> {
    (0..count)
        .map(|i| {
            let name = BlobName::parse(&format!("pack/{:02x}-{i}", i / 2)).unwrap();
            (name, vec![i; 1000])
        })
        .collect()
}

/// Puts them one by one, or as one group; answers those that were acknowledged.
fn put_all(store: &FsBlobs, blobs: &[(BlobName, Vec<u8>)], together: bool) -> Vec<usize> {
    if !together {
        let done = |i: &usize| store.put(&blobs[*i].0, &blobs[*i].1).is_ok();
        return (0..blobs.len()).filter(done).collect();
    }
    let mut written = Vec::new();
    for (name, bytes) in blobs {
        match store.write_temp(name, bytes) {
            Ok(one) => written.push(one),
            Err(_) => return Vec::new(),
        }
    }
    let results = store.commit(&written);
    (0..blobs.len()).filter(|i| results[*i].is_ok()).collect()
}

/// Cuts the power at each step; answers how many steps there are.
fn cut_everywhere(count: u8, together: bool) -> u64 {
    for step in 1.. {
        for after in [false, true] {
            let dir = std::env::temp_dir().join(format!(
                "hansard-store-crash-{}-{count}-{step}-{after}",
                std::process::id()
            ));
            let power = Arc::new(Mutex::new(Power {
                cut: Some((step, after)),
                ..Power::default()
            }));
            let (heard, root) = (power.clone(), dir.clone());
            let hook: step::Hook =
                Arc::new(move |step, path, after| lock_of(&heard).hear(&root, step, path, after));
            let store = FsBlobs::open_with(&dir, "test", Steps { hook: Some(hook) }).unwrap();
            let acknowledged = put_all(&store, &blobs(count), together);
            drop(store);
            lock_of(&power).lose(&dir);

            let hook: step::Hook = Arc::new(|_, _, _| Ok(()));
            let store = FsBlobs::open_with(&dir, "test", Steps { hook: Some(hook) }).unwrap();
            for (i, (name, bytes)) in blobs(count).iter().enumerate() {
                let there = store.read(name, 0..10_000);
                match there {
                    Ok(there) => assert_eq!(there, *bytes, "{name} at step {step}, {after}"),
                    Err(e) => assert!(!acknowledged.contains(&i), "{name}, step {step}: {e}"),
                }
                store.put(name, bytes).unwrap();
                assert_eq!(store.read(name, 0..10_000).unwrap(), *bytes);
            }
            drop(store);
            std::fs::remove_dir_all(&dir).unwrap();
            if !lock_of(&power).dark {
                assert_eq!(acknowledged.len(), usize::from(count));
                return step - 1;
            }
        }
    }
    0
}

#[test]
fn power_lost_at_every_step_loses_nothing_acknowledged() {
    assert!(cut_everywhere(4, false) > 16);
    assert!(cut_everywhere(12, true) > 24);
}

/// Ends the process at a step, puts everything again in another, and cuts the power then: what the
/// repeat acknowledged was made durable by the repeat. Answers whether the step was reached.
fn ended_then_repeated(number: u64, after: bool) -> bool {
    let dir = std::env::temp_dir().join(format!(
        "hansard-store-repeat-{}-{number}-{after}",
        std::process::id()
    ));
    let power = Arc::new(Mutex::new(Power {
        cut: Some((number, after)),
        ..Power::default()
    }));
    let open = || {
        let (heard, root) = (power.clone(), dir.clone());
        let hook: step::Hook =
            Arc::new(move |step, path, after| lock_of(&heard).hear(&root, step, path, after));
        FsBlobs::open_with(&dir, "test", Steps { hook: Some(hook) }).unwrap()
    };
    put_all(&open(), &blobs(4), false);
    let reached = lock_of(&power).dark;
    {
        let mut power = lock_of(&power);
        (power.cut, power.dark) = (None, false);
    }
    assert_eq!(put_all(&open(), &blobs(4), false).len(), 4);
    lock_of(&power).lose(&dir);
    let store = open();
    for (name, bytes) in blobs(4) {
        let there = store.read(&name, 0..10_000);
        assert_eq!(there, Ok(bytes), "{name}, step {number}, {after}");
    }
    drop(store);
    std::fs::remove_dir_all(&dir).unwrap();
    reached
}

#[test]
fn a_repeat_makes_durable_what_an_ended_process_left() {
    let mut number = 1;
    while ended_then_repeated(number, false) {
        ended_then_repeated(number, true);
        number += 1;
    }
    assert!(number > 16);
}

#[test]
fn a_failed_sync_is_never_taken_for_a_success() {
    for failing in [Step::SyncFile, Step::SyncDir, Step::SyncAll] {
        let dir = std::env::temp_dir().join(format!(
            "hansard-store-sync-{}-{failing:?}",
            std::process::id()
        ));
        let broken = Arc::new(Mutex::new(false));
        let heard = broken.clone();
        let hook: step::Hook = Arc::new(move |step, _, _| match *lock_of(&heard) {
            true if step == failing => Err(io::Error::other("told to fail")),
            _ => Ok(()),
        });
        let store = FsBlobs::open_with(&dir, "test", Steps { hook: Some(hook) }).unwrap();
        let blobs = blobs(12);
        // So that directories are there, and the first failing sync is one of a blob.
        for (name, _) in &blobs {
            store.ensure_dir(&store.path(name).0).unwrap();
        }
        *lock_of(&broken) = true;
        let together = failing == Step::SyncAll;
        assert!(put_all(&store, &blobs, together).is_empty(), "{failing:?}");
        for (name, _) in &blobs {
            let there = store.read(name, 0..10);
            assert!(matches!(there, Err(BlobError::NotFound(_))), "{there:?}");
        }
        *lock_of(&broken) = false;
        assert_eq!(put_all(&store, &blobs, together).len(), blobs.len());
        assert!(children(&dir.join(".tmp")).is_empty());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn two_never_share_a_directory_and_leftovers_go() {
    let dir = std::env::temp_dir().join(format!("hansard-store-lock-{}", std::process::id()));
    let store = FsBlobs::open(&dir, "first").unwrap();
    let error = FsBlobs::open(&dir, "second").map(drop).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(error.to_string().ends_with("is held by first"), "{error}");
    drop(store);
    std::fs::write(dir.join(".tmp/17"), b"half").unwrap();
    FsBlobs::open(&dir, "second").map(drop).unwrap();
    assert!(!dir.join(".tmp/17").exists());
    std::fs::remove_dir_all(&dir).unwrap();
}
