//! Accounts and groups of this machine: of its own files, and of whatever else the system asks
//! (`nsswitch.conf`: SSSD, LDAP, systemd).
//!
//! The files come first, and for what stands in them nobody else is asked: root and other accounts
//! of this machine get in while a directory service hangs. Asking may take as long as the service
//! does, so whoever asks has a thread to spend on it.

use std::fs;
use std::path::PathBuf;

mod sys;

/// What the user database says of an account (passwd(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name; never empty.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its first group.
    pub gid: u32,
    /// Its home directory; may be empty, or not there.
    pub home: PathBuf,
    /// Its login shell; empty means `/bin/sh`.
    pub shell: PathBuf,
}

/// The account with this number.
#[must_use]
pub fn account_of(uid: u32) -> Option<Account> {
    let own = in_passwd(&passwd(), |account| account.uid == uid);
    own.or_else(|| sys::account_of(uid))
}

/// The account with this name.
#[must_use]
pub fn account_named(name: &str) -> Option<Account> {
    let own = in_passwd(&passwd(), |account| account.name == name);
    own.or_else(|| sys::account_named(name))
}

/// The name of the group with this number.
#[must_use]
pub fn group_of(gid: u32) -> Option<String> {
    let known = fs::read_to_string("/etc/group").unwrap_or_default();
    let own = known.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
    });
    own.or_else(|| sys::group_of(gid))
}

/// The numbers of all groups that an account is in, its first one among them.
#[must_use]
pub fn groups_of(account: &Account) -> Vec<u32> {
    sys::groups_of(&account.name, account.gid)
}

fn passwd() -> String {
    fs::read_to_string("/etc/passwd").unwrap_or_default()
}

fn in_passwd(passwd: &str, is_it: impl Fn(&Account) -> bool) -> Option<Account> {
    passwd.lines().filter_map(parse).find(is_it)
}

fn parse(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1).unwrap_or_default().into();
    let shell = fields.next().unwrap_or_default().into();
    Some(Account {
        name,
        uid,
        gid,
        home,
        shell,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nbroken\n:x:7:7::/:/bin/sh\n\
        +::::::\nanna:x:1000:100:,,,:/home/anna:/bin/zsh\nshort:x:8:8\n";

    #[test]
    fn accounts_are_found_in_the_file() {
        let anna = in_passwd(PASSWD, |account| account.uid == 1000).unwrap();
        assert_eq!((anna.name.as_str(), anna.gid), ("anna", 100));
        assert_eq!(anna.home, PathBuf::from("/home/anna"));
        assert_eq!(anna.shell, PathBuf::from("/bin/zsh"));
        assert_eq!(in_passwd(PASSWD, |account| account.uid == 7), None);
        let short = in_passwd(PASSWD, |account| account.name == "short").unwrap();
        assert_eq!(short.shell, PathBuf::new());
    }

    #[test]
    fn the_system_says_the_same_as_its_files() {
        let root = account_of(0).unwrap();
        assert_eq!(sys::account_of(0).unwrap(), root);
        assert_eq!(sys::account_named(&root.name).unwrap(), root);
        assert_eq!(sys::group_of(root.gid), group_of(root.gid));
        assert!(groups_of(&root).contains(&root.gid));
    }

    #[test]
    fn nobody_is_found_under_what_is_no_name() {
        assert_eq!(account_named("no such\0account"), None);
        assert_eq!(account_named(""), None);
        // The number that stands for none.
        assert_eq!(account_of(u32::MAX), None);
        assert_eq!(group_of(u32::MAX), None);
    }
}
