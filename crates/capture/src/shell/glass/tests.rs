//! Tests of what logins without a daemon left, and of who may have left it.

use hansard_core::Decision;
use hansard_core::policy::{OnEnd, Policy, Watch};

use super::*;

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let name = format!("hansard-glass-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn recording(&self, n: u64) -> PathBuf {
        let id = SessionId::new_v7(1_700_000_000_000 + n, [7; 10]);
        let path = self.0.join(format!("{id}.hansard"));
        fs::write(&path, "x").unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[test]
fn only_recordings_of_whoever_may_break_the_glass_count() {
    let dir = Dir::new("owners");
    let real = dir.recording(1);
    for name in ["x.hansard", "notes.txt"] {
        fs::write(dir.0.join(name), "x").unwrap();
    }
    let id = SessionId::new_v7(1, [1; 10]);
    let link = dir.0.join(format!("{id}.hansard"));
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let uid = own_uid();
    let found = broken(&dir.0, |asked| asked == uid);
    assert_eq!(found.left, [Broken { file: real, uid }]);
    assert_eq!((found.others, found.more.len()), (3, 0));
    let found = broken(&dir.0, |_| false);
    assert_eq!((found.left.len(), found.others), (0, 4));
}

/// Another's files, however many and whatever they are called, hide none of this account's.
#[test]
fn many_files_hide_no_older_one_and_are_counted() {
    let dir = Dir::new("many");
    let oldest = dir.recording(0);
    let many = LEFT_OF_USER_MAX as u64 + 30;
    for n in 1..=many {
        dir.recording(n);
    }
    let found = broken(&dir.0, |_| true);
    assert_eq!(found.left.len(), LEFT_OF_USER_MAX);
    assert_eq!(found.left[0].file, oldest);
    assert_eq!(found.more.get(&own_uid()), Some(&31));
}

/// Names one account by name and one by group.
struct Names(&'static str, &'static str);

impl Gate for Names {
    fn admit(&self, who: &Login) -> Decision {
        Decision {
            recorded: true,
            policy: Policy::default(),
            notice: String::new(),
            accept: false,
            on_end: OnEnd::Leave,
            break_glass: who.user == self.0 || who.groups.iter().any(|group| group == self.1),
            watch: Watch::default(),
        }
    }
}

#[test]
fn a_note_goes_when_the_policy_does_not_name_its_account_any_more() {
    let dir = Dir::new("notes");
    let glass = Glass::open(&dir.0).unwrap();
    let login = |user: &str, uid, groups: &[&str]| Login {
        user: user.to_owned(),
        uid,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        kind: "terminal".to_owned(),
    };
    for (user, uid) in [("anna", 4_100_001), ("ben", 4_100_002), ("carl", 4_100_003)] {
        let groups: &[&str] = if user == "ben" {
            &["staff", "ops"]
        } else {
            &[]
        };
        glass.note(&login(user, uid, groups), true);
    }
    // Of this one nobody knows anything.
    fs::write(dir.0.join("4100004"), "").unwrap();
    assert_eq!(review_break_glass(&dir.0, &Names("anna", "ops")), 1);
    let left = |uid: u32| dir.0.join(uid.to_string()).exists();
    assert!(left(4_100_001) && left(4_100_002) && !left(4_100_003) && left(4_100_004));
    assert_eq!(review_break_glass(&dir.0, &Names("nobody", "none")), 2);
    assert!(!left(4_100_001) && !left(4_100_002));
}
