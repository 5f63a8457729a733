//! Accounts of this machine, and the roles they have.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use hansard_identity::role::{Credentials, Roles};
use hansard_shell::{account_of, group_of, groups_of};

use crate::api::role::{Known, Peer};

/// Longest file of accounts that is read; beyond it accounts have numbers only.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Most requests that wait for a directory service at a time. For one more, what the machine's own files
/// say decides alone.
const ASKING_MAX: usize = 16;

/// How many do.
static ASKING: AtomicUsize = AtomicUsize::new(0);

/// Who has which role. Names come from the machine's own files (`/etc/passwd`, `/etc/group`), read
/// anew for each request, and for all but root from what else the system asks (`nsswitch.conf`), which
/// may take as long as that does. An account that nobody knows has its number, which
/// `serve.admin.roles` takes as well.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// The roles of the configuration.
    pub roles: Roles,
}

impl Accounts {
    /// Who a peer is.
    #[must_use]
    pub fn admit(&self, peer: &Peer) -> Known {
        let passwd = read("/etc/passwd");
        let group = read("/etc/group");
        let mut who = credentials(peer, &passwd, &group);
        if peer.uid != 0 {
            ask(&mut who);
        }
        Known {
            role: self.roles.of(&who),
            user: who.user,
        }
    }
}

fn read(path: &str) -> String {
    match fs::metadata(path) {
        Ok(there) if there.len() <= FILE_BYTES_MAX => fs::read_to_string(path).unwrap_or_default(),
        _ => String::new(),
    }
}

/// A place among those who may ask, until it is dropped.
struct Asking;

impl Asking {
    fn begin() -> Option<Self> {
        let more = |asking: usize| Some(asking + 1).filter(|asking| *asking <= ASKING_MAX);
        let begun = ASKING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        begun.ok().map(|_| Self)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        ASKING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What the system knows beyond its files.
fn ask(who: &mut Credentials) {
    let Some(_asking) = Asking::begin() else {
        return;
    };
    let Some(account) = account_of(who.uid) else {
        return;
    };
    for gid in groups_of(&account) {
        if who.gids.contains(&gid) {
            continue;
        }
        who.gids.push(gid);
        who.groups.extend(group_of(gid));
    }
    // One that only a directory has was not among the file's lines with its number.
    let own = who.gids.first().copied().and_then(group_of);
    who.groups
        .extend(own.filter(|own| !who.groups.contains(own)));
    who.user.get_or_insert(account.name);
}

/// What the two files say of a peer (passwd(5), group(5)).
fn credentials(peer: &Peer, passwd: &str, group: &str) -> Credentials {
    let uid = peer.uid.to_string();
    let user = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid && !name.is_empty()).then(|| name.to_owned())
    });
    let (mut gids, mut groups) = (vec![peer.gid], Vec::new());
    for line in group.lines() {
        let mut fields = line.split(':');
        let (Some(name), Some(gid)) = (fields.next(), fields.nth(1)) else {
            continue;
        };
        let Ok(gid) = gid.parse::<u32>() else {
            continue;
        };
        let mut members = fields.next().unwrap_or_default().split(',');
        let is_member = user
            .as_deref()
            .is_some_and(|user| members.any(|m| m == user));
        if is_member || gid == peer.gid {
            groups.push(name.to_owned());
            if !gids.contains(&gid) {
                gids.push(gid);
            }
        }
    }
    Credentials {
        uid: peer.uid,
        user,
        gids,
        groups,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0::/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\n:x:7:7::/:\nbroken\n";
    const GROUP: &str =
        "root:x:0:\nanna:x:1000:\naudit:x:500:bert,anna\nwheel:x:600:bert\nodd:x:nan:anna\n";

    fn of(uid: u32, gid: u32) -> Credentials {
        let peer = Peer {
            uid,
            gid,
            pid: None,
        };
        credentials(&peer, PASSWD, GROUP)
    }

    #[test]
    fn names_and_groups_are_those_of_the_files() {
        let anna = of(1000, 1000);
        assert_eq!(anna.user.as_deref(), Some("anna"));
        assert_eq!(anna.groups, ["anna", "audit"]);
        assert_eq!(anna.gids, [1000, 500]);
        let nobody = of(4242, 600);
        assert_eq!(
            (nobody.user, nobody.groups),
            (None, vec!["wheel".to_owned()])
        );
        assert_eq!(of(7, 7).user, None, "an account without a name has none");
    }
}
