//! Accounts of a machine, by `/etc/passwd`.

use super::root::Root;
use crate::failure::{Failure, STATUS_WRONG_USE};

/// Numbers of people's accounts where `/etc/login.defs` says nothing.
const PEOPLE: (u32, u32) = (1000, 60_000);

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    /// What `/etc/passwd` says; empty means `/bin/sh`.
    pub(super) shell: String,
}

/// All accounts, in their order.
pub(super) fn accounts(root: &Root) -> Result<Vec<Account>, Failure> {
    let text = root.read("/etc/passwd")?.ok_or_else(|| {
        let message = "there is no /etc/passwd: this is no machine's root directory";
        Failure::new(STATUS_WRONG_USE, message)
    })?;
    Ok(parse(&text))
}

/// Accounts in lines of the user database; a line that is none is passed over, as the C library does.
pub(super) fn parse(text: &str) -> Vec<Account> {
    text.lines().filter_map(account).collect()
}

fn account(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, _, _, _, shell] = fields.as_slice() else {
        return None;
    };
    Some(Account {
        name: (*name).to_owned(),
        uid: uid.parse().ok()?,
        shell: (*shell).to_owned(),
    })
}

/// The paths in `/etc/shells`.
pub(super) fn shells(root: &Root) -> Result<Vec<String>, Failure> {
    let text = root.read("/etc/shells")?.unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""));
    let lines = lines.map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

/// From which number to which accounts are people's.
pub(super) fn people(root: &Root) -> Result<(u32, u32), Failure> {
    let text = root.read("/etc/login.defs")?.unwrap_or_default();
    let value = |name: &str| {
        let mut lines = text.lines().map(str::split_whitespace);
        lines.find_map(|mut words| (words.next()? == name).then(|| words.next()?.parse().ok())?)
    };
    let (min, max) = PEOPLE;
    Ok((
        value("UID_MIN").unwrap_or(min),
        value("UID_MAX").unwrap_or(max),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_accounts_are_passed_over() {
        let found =
            parse("root:x:0:0:root:/root:/bin/bash\n+::::::\n\nx:y\nanna:x:1000:1000::/h:\n");
        let root = Account {
            name: "root".into(),
            uid: 0,
            shell: "/bin/bash".into(),
        };
        assert_eq!(found[0], root);
        assert_eq!((found.len(), found[1].shell.as_str()), (2, ""));
    }
}
