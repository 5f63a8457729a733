//! Private keys in the data directory: that each is there, and its owner's alone. The start refuses what is
//! found here, key by key as it needs them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Line, Verdict};
use crate::failure::shown;
use crate::init::keys::{authority_dir, host_dir};

/// What is found under this name.
const ABOUT: &str = "private keys";

/// Files of one of these directories that are looked at; there are a dozen.
const FILES_MAX: usize = 1000;

/// One line for each key that is wrong, or one that says that none is.
pub(super) fn lines(keys: &Path) -> Vec<Line> {
    let (host, authority) = (host_dir(keys), authority_dir(keys));
    let mut lines = Vec::new();
    let mut sound = 0;
    for directory in [keys, &host, &authority] {
        let names = names(directory);
        for name in names.iter().filter(|name| has_end(name, "key")) {
            match reached(&directory.join(name)) {
                Some(line) => lines.push(line),
                None => sound += 1,
            }
        }
        // A host keeps the authority that it believes in beside its own certificates.
        let has_key = |name: &&String| *name != "authority.pem" || directory != host;
        let public = names
            .iter()
            .filter(|n| has_end(n, "pub") || has_end(n, "pem"));
        for name in public.filter(has_key) {
            let key = Path::new(name).with_extension("key");
            if !names.contains(&*key.to_string_lossy()) {
                let what = format!(
                    "{} is gone, and {name} is there",
                    shown(&directory.join(key))
                );
                let next = "put it back from a backup: the daemon makes no other in its place";
                lines.push(Line::new(Verdict::Fail, ABOUT, what, next));
            }
        }
    }
    if lines.is_empty() && sound > 0 {
        let what = format!("{sound}, each its owner's alone");
        lines.push(Line::ok(ABOUT, what));
    }
    lines
}

/// Whether a name ends with `.END`.
fn has_end(name: &str, end: &str) -> bool {
    Path::new(name).extension() == Some(OsStr::new(end))
}

/// What is in a directory; nothing of one that cannot be read, which is told elsewhere.
fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| !name.starts_with('.'))
        .take(FILES_MAX)
        .collect()
}

/// What is wrong with who can reach it.
fn reached(path: &Path) -> Option<Line> {
    let at = shown(path);
    let mode = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.mode() & 0o777,
        Err(e) => {
            let what = format!("{at}: {}", crate::failure::plain(&e));
            let next = crate::owner::denied(path);
            return Some(Line::new(Verdict::Fail, ABOUT, what, next));
        }
    };
    (mode & 0o077 != 0).then(|| {
        let what = format!("{at} can be read or written by others (mode {mode:04o})");
        let next = format!("find out who could, and chmod 0600 {at}");
        Line::new(Verdict::Fail, ABOUT, what, next)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_that_are_gone_or_that_others_can_reach_are_named() {
        let at = std::env::temp_dir().join(format!("hansardd-doctor-keys-{}", std::process::id()));
        let (host, authority) = (host_dir(&at), authority_dir(&at));
        for directory in [&host, &authority] {
            fs::create_dir_all(directory).unwrap();
        }
        assert_eq!(lines(&at), []);
        let key = |path: &Path| {
            fs::write(path, "").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        };
        let node = at.join("ssh_node.key");
        for path in [
            &node,
            &host.join("tls.key"),
            &authority.join("authority.key"),
            &authority.join("credentials.key"),
        ] {
            key(path);
        }
        for path in [
            at.join("ssh_node.pub"),
            host.join("tls.pem"),
            host.join("authority.pem"),
            authority.join("authority.pem"),
        ] {
            fs::write(path, "").unwrap();
        }
        let found = lines(&at);
        assert_eq!(
            (found.len(), found[0].verdict),
            (1, Verdict::Ok),
            "{found:?}"
        );
        assert!(found[0].what.starts_with("4, "), "{found:?}");
        fs::set_permissions(&node, fs::Permissions::from_mode(0o640)).unwrap();
        fs::remove_file(authority.join("authority.key")).unwrap();
        let found = lines(&at);
        let what: Vec<&str> = found.iter().map(|line| line.what.as_str()).collect();
        assert!(found.iter().all(|line| line.verdict == Verdict::Fail));
        assert!(what[0].ends_with("ssh_node.key can be read or written by others (mode 0640)"));
        assert!(what[1].ends_with("authority.key is gone, and authority.pem is there"));
        assert_eq!(what.len(), 2, "{what:?}");
        fs::remove_file(&node).unwrap();
        assert!(lines(&at)[0].what.contains("ssh_node.key is gone"));
        fs::remove_dir_all(&at).unwrap();
    }
}
