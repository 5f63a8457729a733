//! Locks over real files.

use super::*;

struct TempDir(PathBuf);

impl TempDir {
    fn new(name: &str) -> Self {
        let name = format!("hansard-locks-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // One that a run with the same number left behind.
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(directory: &Path) -> Result<Locks, Failure> {
    let count = AtomicU64::new(1);
    let random = move |bytes: &mut [u8]| {
        let n = count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        bytes.iter_mut().zip(n).for_each(|(to, from)| *to = from);
        Ok(())
    };
    Locks::open(directory, Arc::new(random))
}

fn anna() -> Lockable {
    Lockable {
        user: "anna".into(),
        ..Lockable::default()
    }
}

/// Somebody who is not root, whatever their name.
fn by(name: &str, utc_ns: u64) -> Maker<'_> {
    Maker {
        name,
        is_root: false,
        utc_ns,
    }
}

fn lock(locks: &Locks, target: &str, until_ns: Option<u64>, utc_ns: u64) -> LockRow {
    let target = Target::parse(target).unwrap();
    let row = locks
        .prepare(&target, "left", until_ns, by("root", utc_ns))
        .unwrap();
    locks.keep(&row).unwrap();
    row
}

#[test]
fn a_lock_holds_until_it_is_lifted_or_over_and_over_a_restart() {
    let directory = TempDir::new("holds");
    let path = directory.path();
    let locks = open(path).unwrap();
    assert!(locks.is_empty() && locks.of(&anna(), 10).is_none());
    let prepared = locks.prepare(
        &Target::parse("user:anna").unwrap(),
        "",
        None,
        by("root", 10),
    );
    assert!(locks.of(&anna(), 10).is_none(), "{prepared:?}");
    let row = lock(&locks, "user:anna", None, 10);
    let timed = lock(&locks, "role:ops", Some(20), 10);
    assert_eq!(locks.changes(), 2);
    assert_eq!(row.words(), "user:anna is locked: left");
    assert_eq!(
        timed.words(),
        "role:ops is locked until 1970-01-01T00:00:00Z: left"
    );
    drop(locks);
    let locks = open(path).unwrap();
    assert_eq!(locks.of(&anna(), u64::MAX).as_ref(), Some(&row));
    let ops = Lockable {
        roles: vec!["ops".into()],
        ..Lockable::default()
    };
    assert_eq!(locks.of(&ops, 19).as_ref(), Some(&timed));
    assert_eq!(locks.of(&ops, 20), None);
    assert_eq!(locks.list(None, 10, 19).len(), 2);
    assert_eq!(locks.list(None, 10, 20), std::slice::from_ref(&row));
    assert_eq!(locks.remove("nobody").unwrap(), None);
    assert_eq!(locks.remove(&row.id).unwrap(), Some(row));
    assert!(locks.of(&anna(), 10).is_none());
    // The one that is over makes room when the next one comes.
    lock(&locks, "login:root", None, 30);
    drop(locks);
    assert_eq!(open(path).unwrap().list(None, 10, 0).len(), 1);
}

#[test]
fn a_lock_that_cannot_be_read_opens_nothing() {
    for damage in ["", "{}", "no json"] {
        let directory = TempDir::new("damaged");
        let path = directory.path();
        let row = lock(&open(path).unwrap(), "user:anna", None, 10);
        let file = path.join(format!("{}.json", row.id));
        std::fs::write(&file, damage).unwrap();
        let refused = open(path).err().unwrap();
        assert!(refused.to_string().contains(&row.id), "{refused}");
        std::fs::remove_file(&file).unwrap();
        assert!(open(path).unwrap().is_empty());
    }
}

#[test]
fn what_no_lock_can_be_is_refused() {
    let directory = TempDir::new("refused");
    let locks = open(directory.path()).unwrap();
    let target = Target::parse("user:anna").unwrap();
    let wish = |message: &str, until| locks.prepare(&target, message, until, by("root", 10));
    assert!(wish("a\nb", None).is_err());
    assert!(wish(&"m".repeat(LOCK_MESSAGE_BYTES_MAX + 1), None).is_err());
    assert!(wish("", Some(10)).is_err());
    assert!(wish("", Some(11)).is_ok());
}

/// As many locks as that, made at 10, without their files: what is counted is what is known.
fn fill(locks: &Locks, maker: &str, until_ns: Option<u64>, most: usize) {
    for n in 0..most {
        let row = LockRow {
            id: format!("{maker}{n:08}"),
            target: "user:evil".into(),
            message: String::new(),
            created_ns: 10,
            created_by: maker.into(),
            until_ns,
        };
        let target = Target::parse(&row.target).unwrap();
        locks.put(row.id.clone(), Some((target, row)));
    }
}

#[test]
fn locks_that_are_over_take_no_room() {
    let directory = TempDir::new("room");
    let locks = open(directory.path()).unwrap();
    fill(&locks, "anna", Some(20), LOCKS_MAX);
    let target = Target::parse("user:bob").unwrap();
    let wish = |utc_ns| locks.prepare(&target, "", None, by("cara", utc_ns));
    assert!(wish(19).is_err());
    let row = wish(20).unwrap();
    locks.keep(&row).unwrap();
    assert_eq!(
        locks.known().len(),
        LOCKS_MAX + 1 - LOCKS_OVER_AT_ONCE,
        "so many go each time"
    );
    assert_eq!(locks.list(None, 10, 20), [row]);
}

#[test]
fn files_of_locks_that_are_over_keep_no_service_from_starting() {
    let directory = TempDir::new("files");
    let path = directory.path();
    let row = lock(&open(path).unwrap(), "user:anna", Some(20), 10);
    for n in 0..LOCKS_MAX {
        let id = format!("over{n}");
        let row = LockRow {
            id: id.clone(),
            ..row.clone()
        };
        std::fs::write(
            path.join(format!("{id}.json")),
            serde_json::to_vec(&row).unwrap(),
        )
        .unwrap();
    }
    let locks = open(path).unwrap();
    lock(&locks, "user:bob", None, 20);
}

#[test]
fn nobody_fills_the_locks_and_root_has_some_left() {
    let directory = TempDir::new("shares");
    let locks = open(directory.path()).unwrap();
    let target = Target::parse("user:evil").unwrap();
    let wish = |maker| locks.prepare(&target, "", None, maker);
    fill(&locks, "anna", None, LOCKS_OF_ONE_MAX);
    let refused = wish(by("anna", 10)).unwrap_err().to_string();
    assert!(refused.contains("anna has made 2000 locks"), "{refused}");
    assert!(wish(by("bob", 10)).is_ok());
    for n in 0..4 {
        let others = LOCKS_MAX - LOCKS_KEPT - LOCKS_OF_ONE_MAX;
        fill(&locks, &format!("other{n}"), None, others / 4);
    }
    let refused = wish(by("bob", 10)).unwrap_err().to_string();
    assert!(refused.contains("the rest is for root"), "{refused}");
    let root = Maker {
        is_root: true,
        ..by("root", 10)
    };
    assert!(wish(root).is_ok());
    fill(&locks, "root", None, LOCKS_KEPT);
    assert!(wish(root).is_err());
}
