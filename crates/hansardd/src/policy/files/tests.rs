//! Versions on a disk that fails: whole or not at all, at every call.

use hansard_record::sim::SimDisk;

use super::*;

fn stored(version: u64) -> Stored {
    let text = format!("scope: all # {version}\n");
    Stored {
        version,
        utc_ns: version,
        by: "ann".to_owned(),
        reason: String::new(),
        sha256: sha256_of(&text),
        text,
    }
}

fn open(disk: &SimDisk, kept: usize) -> (PolicyFiles, Found) {
    PolicyFiles::open(Path::new("/data/policy"), Arc::new(disk.clone()), kept).unwrap()
}

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

#[test]
fn the_newest_is_there_at_the_next_start_and_the_oldest_go() {
    let disk = disk(1);
    let (files, found) = open(&disk, 3);
    assert!(found.newest.is_none() && found.damaged.is_empty());
    for version in 1..=5 {
        files.put(&stored(version)).unwrap();
    }
    assert_eq!(files.versions().unwrap(), [3, 4, 5]);
    assert_eq!(files.get(4).unwrap(), Some(stored(4)));
    assert_eq!(files.get(1).unwrap(), None);
    let (_, found) = open(&disk.after_power_loss(7), 3);
    assert_eq!(found.newest, Some(stored(5)));
}

#[test]
fn power_that_goes_at_any_call_leaves_the_old_one_or_the_new_one() {
    let calls = {
        let disk = disk(2);
        let (files, _) = open(&disk, 2);
        files.put(&stored(1)).unwrap();
        let before = disk.calls();
        files.put(&stored(2)).unwrap();
        disk.calls() - before
    };
    assert!(calls >= 5, "{calls}");
    let mut seen = [0, 0];
    for call in 1..=calls {
        for after in [false, true] {
            let disk = disk(2);
            let (files, _) = open(&disk, 2);
            files.put(&stored(1)).unwrap();
            disk.cut_power_at(disk.calls() + call, after);
            let done = files.put(&stored(2));
            let (_, found) = open(&disk.after_power_loss(call), 2);
            let newest = found.newest.unwrap();
            assert!(found.damaged.is_empty(), "{:?}", found.damaged);
            assert!(newest == stored(1) || newest == stored(2));
            if done.is_ok() {
                assert_eq!(
                    newest,
                    stored(2),
                    "durable is what was promised: call {call}"
                );
            }
            seen[usize::from(newest.version == 2)] += 1;
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}

#[test]
fn a_damaged_file_is_passed_over_and_told() {
    let disk = disk(3);
    let (files, _) = open(&disk, 10);
    files.put(&stored(1)).unwrap();
    files.put(&stored(2)).unwrap();
    disk.rot(&files.path(2), 40, 1);
    let (files, found) = open(&disk, 10);
    assert_eq!(found.newest, Some(stored(1)));
    assert_eq!(found.damaged.len(), 1, "{:?}", found.damaged);
    assert!(files.get(2).is_err());
    // Its number is not used again.
    assert_eq!(files.versions().unwrap(), [1, 2]);
}

#[test]
fn a_full_disk_leaves_the_old_one() {
    let disk = disk(4);
    let (files, _) = open(&disk, 10);
    files.put(&stored(1)).unwrap();
    disk.set_capacity(Some(200));
    assert!(files.put(&stored(2)).is_err());
    disk.set_capacity(None);
    let (files, found) = open(&disk, 10);
    assert_eq!(found.newest, Some(stored(1)));
    files.put(&stored(2)).unwrap();
}
