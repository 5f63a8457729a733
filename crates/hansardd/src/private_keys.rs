//! Private keys in the data directory: that each is there, and its owner's alone. The start refuses what is
//! found here, key by key as it needs them; `check` and `doctor` tell it before.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::failure::{plain, shown};
use crate::init::keys::{authority_dir, host_dir};
use crate::owner;

/// Files of one of these directories that are looked at; there are a dozen.
const FILES_MAX: usize = 1000;

/// What is wrong with one, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) next: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Found {
    /// How many keys nothing is wrong with.
    pub(crate) sound: usize,
    /// What is wrong with the others.
    pub(crate) faults: Vec<Fault>,
}

/// Looks at all of them. Nothing of a directory that is not there, or that this account may not look into.
pub(crate) fn look(keys: &Path) -> Found {
    let (host, authority) = (host_dir(keys), authority_dir(keys));
    let mut found = Found::default();
    let owner = fs::metadata(keys).ok().map(|directory| directory.uid());
    for directory in [keys, &host, &authority] {
        let names = names(directory);
        for name in names.iter().filter(|name| has_end(name, "key")) {
            match reached(&directory.join(name), owner) {
                Some(fault) => found.faults.push(fault),
                None => found.sound += 1,
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
                found.faults.push(Fault {
                    what,
                    next: next.to_owned(),
                });
            }
        }
    }
    found
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

/// What is wrong with who can reach it. `owner`: whose the directory of all keys is, and so the daemon.
fn reached(path: &Path, owner: Option<u32>) -> Option<Fault> {
    let at = shown(path);
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(e) => {
            let what = format!("{at}: {}", plain(&e));
            let next = owner::denied(path);
            return Some(Fault { what, next });
        }
    };
    if let Some(owner) = owner.filter(|owner| *owner != metadata.uid()) {
        let (owner, theirs) = (owner::called(owner), owner::called(metadata.uid()));
        let what = format!("{at} belongs to {theirs}, and its directory to {owner}");
        let next = format!("find out how, and as root: chown {owner} {at}");
        return Some(Fault { what, next });
    }
    let mode = metadata.mode() & 0o777;
    (mode & 0o077 != 0).then(|| Fault {
        what: format!("{at} can be read or written by others (mode {mode:04o})"),
        next: format!("find out who could, and chmod 0600 {at}"),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_that_are_gone_or_that_others_can_reach_are_named() {
        let at = std::env::temp_dir().join(format!("hansardd-keys-{}", std::process::id()));
        let (host, authority) = (host_dir(&at), authority_dir(&at));
        for directory in [&host, &authority] {
            fs::create_dir_all(directory).unwrap();
        }
        assert_eq!(look(&at), Found::default());
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
        let found = look(&at);
        assert_eq!((found.sound, &*found.faults), (4, &[][..]));
        fs::set_permissions(&node, fs::Permissions::from_mode(0o640)).unwrap();
        fs::remove_file(authority.join("authority.key")).unwrap();
        let what = || {
            let faults = look(&at).faults.into_iter();
            faults.map(|fault| fault.what).collect::<Vec<_>>()
        };
        let found = what();
        assert!(found[0].ends_with("ssh_node.key can be read or written by others (mode 0640)"));
        assert!(found[1].ends_with("authority.key is gone, and authority.pem is there"));
        assert_eq!(found.len(), 2, "{found:?}");
        fs::remove_file(&node).unwrap();
        assert!(what()[0].contains("ssh_node.key is gone"));
        let tls = host.join("tls.key");
        // Only root can give a file away.
        if std::os::unix::fs::chown(&tls, Some(4711), None).is_ok() {
            let found = what();
            assert!(found[1].contains("tls.key belongs to 4711"), "{found:?}");
        }
        fs::remove_dir_all(&at).unwrap();
    }
}
