//! Files that are opened and changed.

use hansard_capture::host::Missing;

use super::watching::{World, host, int, text};

#[test]
fn every_change_of_a_file_is_told() {
    let Some(host) = host() else { return };
    let script = r#"
cd "$DIR"
echo one >made
mv made moved
ln moved linked
ln -s moved pointing
chmod 640 moved
chown 1:2 moved
mkdir sub

cat pointing >/dev/null
cat sub/../moved >/dev/null
cat none_such 2>/dev/null
truncate -s 3 moved
rmdir sub
rm linked
cat /etc/shadow >/dev/null
"#;
    let told = World::new(host, script).told();
    let at = |name: &str| told.at(name);
    // O_WRONLY | O_CREAT | O_TRUNC: the shell made it.
    let made = told.file("openat", &at("made"));
    assert_eq!(int(made, "flags").unwrap() & 0o1101, 0o1101);
    let disk = |path: &str, new: &str| {
        told.one("session.disk", |fields| {
            text(fields, "path") == path && text(fields, "new_path") == new
        })
    };
    assert_eq!(int(disk(&at("made"), &at("moved")), "return_code"), Some(0));
    assert_eq!(
        int(disk(&at("moved"), &at("linked")), "return_code"),
        Some(0)
    );
    let pointing = told.one("session.disk", |fields| {
        text(fields, "path") == at("pointing") && text(fields, "link_target") == "moved"
    });
    assert_eq!(int(pointing, "return_code"), Some(0));
    let with = |call: &[&str], path: &str| {
        told.one("session.disk", |fields| {
            call.contains(&text(fields, "call").as_str()) && text(fields, "path") == path
        })
    };
    let mode = with(&["fchmodat", "chmod", "fchmodat2"], &at("moved"));
    assert_eq!(int(mode, "mode"), Some(0o640));
    let owner = with(&["fchownat", "chown", "lchown"], &at("moved"));
    assert_eq!(
        (int(owner, "new_owner"), int(owner, "new_group")),
        (Some(1), Some(2))
    );
    with(&["mkdir", "mkdirat"], &at("sub"));
    with(&["rmdir", "unlinkat"], &at("sub"));
    with(&["unlink", "unlinkat"], &at("linked"));
    with(&["ftruncate", "truncate"], &at("moved"));
    // A link leads to the file that is really open; what is not there is told as it was asked for.
    let opened = told.facts("session.disk");
    let cats = opened.iter().filter(|fact| {
        text(&fact.fields, "program") == "cat" && text(&fact.fields, "path") == at("moved")
    });
    assert!(cats.count() >= 2);
    let missed = told.file("openat", &at("none_such"));
    assert_eq!(int(missed, "return_code"), Some(-2));
    assert!(int(told.file("openat", "/etc/shadow"), "return_code") >= Some(0));
}

#[test]
fn what_is_changed_is_told_by_its_own_path_where_the_kernel_allows_it() {
    let Some(host) = host() else { return };
    let resolves = !host.support().missing.contains(&Missing::Resolved);
    // Debian's own kernel does, under which `make test-kernels` runs this.
    if let Ok(kernel) = std::env::var("HANSARD_OTHER_KERNEL") {
        assert!(resolves, "{kernel}: {:?}", host.support());
    }
    let script = r#"
cd "$DIR"
mkdir -p a/b
ln -s a/b way
: >a/b/one
chmod 600 way/one
mv way/one way/../two
truncate -s 9 way/../two
rm way/../two
rmdir way/none 2>/dev/null
mkdir way/../sub
"#;
    let told = World::new(host, script).told();
    let told_by = |call: &[&str], asked: &str, really: &str| {
        let fields = told.one("session.disk", |fields| {
            let path = if resolves { really } else { asked };
            call.contains(&text(fields, "call").as_str()) && text(fields, "path") == told.at(path)
        });
        let wanted = if resolves {
            told.at(asked)
        } else {
            String::new()
        };
        assert_eq!(text(fields, "requested_path"), wanted, "{fields:?}");
        fields
    };
    told_by(&["chmod", "fchmodat", "fchmodat2"], "way/one", "a/b/one");
    let moved = told_by(&["rename", "renameat", "renameat2"], "way/one", "a/b/one");
    let new = if resolves { "a/two" } else { "way/../two" };
    assert_eq!(text(moved, "new_path"), told.at(new));
    told_by(&["unlink", "unlinkat"], "way/../two", "a/two");
    told_by(&["mkdir", "mkdirat"], "way/../sub", "a/sub");
    // The kernel asked nobody about what is not there.
    let missed = told.one("session.disk", |fields| {
        text(fields, "path") == told.at("way/none")
    });
    assert_eq!(int(missed, "return_code"), Some(-2));
}

#[test]
fn repeats_are_counted_and_none_is_missing() {
    let Some(host) = host() else { return };
    let script = "n=0; while [ $n -lt 1000 ]; do n=$((n+1)); : <\"$DIR/script\"; done";
    let told = World::new(host, script).told();
    let of_script = told.facts("session.disk");
    let opens = of_script.iter().filter(|fact| {
        text(&fact.fields, "path") == told.at("script") && text(&fact.fields, "call") == "openat"
    });
    let (mut events, mut all) = (0, 0);
    for fact in opens {
        events += 1;
        all += int(&fact.fields, "repeats").unwrap_or(1);
    }
    // And the shell that read its script.
    assert_eq!(all, 1001);
    assert!(events < 500, "{events}");
}
