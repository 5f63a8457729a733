//! Accounts of this machine, and the roles they have.

use std::fs;

use hansard_identity::role::{Credentials, Roles};

use crate::api::role::{Known, Peer};

/// Longest file of accounts that is read; beyond it accounts have numbers only.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Who has which role. Names come from the machine's own files (`/etc/passwd`, `/etc/group`), read
/// anew for each connection; accounts of a directory service are known by number only, which
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
        let who = credentials(peer, &passwd, &group);
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
