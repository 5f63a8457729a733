//! Plain keys, where they are switched on: by the file's own word, and only if nobody else can write it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::site::Site;
use crate::support::TempDir;

/// A site whose accounts' keys are in this file, which has no certificate to show.
fn site(file: &std::path::Path) -> Site {
    let pattern = file.display().to_string();
    let site = Site::with(
        |config| {
            config.authorized_keys = true;
            config.authorized_keys_file = pattern;
        },
        |_| {},
    );
    fs::remove_file(site.path("user-cert.pub")).unwrap();
    site
}

fn file(dir: &TempDir) -> PathBuf {
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    dir.path().join("keys")
}

#[test]
fn a_line_lets_in_as_far_as_its_options_say() {
    let dir = TempDir::new();
    let file = file(&dir);
    let site = site(&file);
    let key = fs::read_to_string(site.path("user.pub")).unwrap();
    let key = key.trim();
    for (options, is_in, said) in [
        ("", true, "in\n"),
        ("from=\"127.0.0.0/8\" ", true, "in\n"),
        ("from=\"192.0.2.0/24\" ", false, "may not be used from"),
        ("from=\"!127.0.0.2,127.0.0.0/8\" ", true, "in\n"),
        (
            "from=\"!127.0.0.1,127.0.0.0/8\" ",
            false,
            "may not be used from",
        ),
        (
            "from=\"!gone.example.org,127.0.0.0/8\" ",
            false,
            "is no address or network",
        ),
        (
            "restrict,command=\"echo forced: $SSH_ORIGINAL_COMMAND\" ",
            true,
            "forced: echo in\n",
        ),
        (
            "no-pty,no-agent-forwarding,no-port-forwarding,no-X11-forwarding ",
            true,
            "in\n",
        ),
        ("environment=\"LD_PRELOAD=x\" ", false, "is not known here"),
        ("cert-authority ", false, "is not known here"),
    ] {
        let others = "# of others\nnot a key at all\n";
        fs::write(&file, format!("{others}{options}{key}\n")).unwrap();
        let out = site.run("echo in");
        assert_eq!(out.status.code() == Some(0), is_in, "{options}: {out:?}");
        match is_in {
            true => assert_eq!(out.stdout, said.as_bytes(), "{options}"),
            false => drop(site.refusal(said)),
        }
    }
}

#[test]
fn a_file_that_others_can_write_to_lets_in_nobody() {
    let dir = TempDir::new();
    let file = file(&dir);
    let site = site(&file);
    fs::copy(site.path("user.pub"), &file).unwrap();
    assert_eq!(site.run("echo in").stdout, b"in\n");
    for (path, mode) in [
        (file.as_path(), 0o666),
        (file.as_path(), 0o664),
        (dir.path(), 0o777),
    ] {
        let before = fs::metadata(path).unwrap().permissions();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(site.run("echo in").status.code(), Some(255), "{mode:o}");
        site.refusal("others can write");
        fs::set_permissions(path, before).unwrap();
    }
    assert_eq!(site.run("echo in").stdout, b"in\n");
    fs::remove_file(&file).unwrap();
    assert_eq!(site.run("echo in").status.code(), Some(255));
    site.refusal("no authorized keys");
}

#[test]
fn what_is_no_regular_file_lets_in_nobody_and_holds_up_nobody() {
    let dir = TempDir::new();
    let file = file(&dir);
    let site = site(&file);
    let fifo = dir.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
    // More than may be signing in from one address at a time.
    for odd in [fifo.as_path(); 12].into_iter().chain([
        dir.path(),
        Path::new("/dev/zero"),
        Path::new("/dev/tty"),
    ]) {
        symlink(odd, &file).unwrap();
        assert_eq!(site.run("echo in").status.code(), Some(255), "{odd:?}");
        fs::remove_file(&file).unwrap();
    }
    site.refusal("no regular file");
    fs::copy(site.path("user.pub"), dir.path().join("regular")).unwrap();
    symlink(dir.path().join("regular"), &file).unwrap();
    assert_eq!(site.run("echo in").stdout, b"in\n");
}

#[test]
fn an_authoritys_own_key_lets_in_nobody_even_if_it_stands_there() {
    let dir = TempDir::new();
    let file = file(&dir);
    let site = site(&file);
    for name in ["ca", "ca.pub"] {
        fs::copy(site.path(name), site.path(&name.replace("ca", "user"))).unwrap();
    }
    fs::copy(site.path("ca.pub"), &file).unwrap();
    assert_eq!(site.run("echo in").status.code(), Some(255));
    site.refusal("an authority's");
}
