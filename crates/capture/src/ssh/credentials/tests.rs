//! Certificates as ssh-keygen makes them, judged.

use super::*;

const CA: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAII+DvphLOA3rojmF3awvGvXcFnrTx5YqcsHsdqaNrjb6 ca";

/// Key id `anna`, for the account `root`, for ever.
const USER: &str = "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAILXeN/cNfhXIP6STSbjUX4IiOccb4o89+7RSDHaBh8RsAAAAIHwCDkhRdntYI1fJXMoc+ztDn+PTCohUGgIJbwzO9Ha2AAAAAAAAAAAAAAABAAAABGFubmEAAAAIAAAABHJvb3QAAAAAAAAAAP//////////AAAAAAAAAIIAAAAVcGVybWl0LVgxMS1mb3J3YXJkaW5nAAAAAAAAABdwZXJtaXQtYWdlbnQtZm9yd2FyZGluZwAAAAAAAAAWcGVybWl0LXBvcnQtZm9yd2FyZGluZwAAAAAAAAAKcGVybWl0LXB0eQAAAAAAAAAOcGVybWl0LXVzZXItcmMAAAAAAAAAAAAAADMAAAALc3NoLWVkMjU1MTkAAAAgj4O+mEs4DeuiOYXdrC8a9dwWetPHlipywex2po2uNvoAAABTAAAAC3NzaC1lZDI1NTE5AAAAQAgze49MMWrQ/gty2d7Yaa90cdPAv5STdButsOJz9zz4/pSG/oAk9rwrUEuFucjlaMoAo5r8ohvx5nmHSfARQwo= u";

/// The same as a host's.
const HOST: &str = "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAICdhGozZMU7Fi39AoqThKK9EXpwTtSD0P9WToirTsk6gAAAAIHwCDkhRdntYI1fJXMoc+ztDn+PTCohUGgIJbwzO9Ha2AAAAAAAAAAAAAAACAAAAAmgxAAAACAAAAARyb290AAAAAAAAAAD//////////wAAAAAAAAAAAAAAAAAAADMAAAALc3NoLWVkMjU1MTkAAAAgj4O+mEs4DeuiOYXdrC8a9dwWetPHlipywex2po2uNvoAAABTAAAAC3NzaC1lZDI1NTE5AAAAQJ/Uds2wqfLKefk4B1AK0j23DgMOBjFyc3Pvx4CF8tjUVHDLhJM/bhb5QxAKg7ijwLpYC5WlIU8HHSS7h2FxRQI= u";

/// For the authority's own key.
const OF_CA: &str = "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAICuR7SciOR3vARlEY9Se1IKuw5fXv3YAmt3S8piMFx0OAAAAII+DvphLOA3rojmF3awvGvXcFnrTx5YqcsHsdqaNrjb6AAAAAAAAAAAAAAABAAAABGFubmEAAAAIAAAABHJvb3QAAAAAAAAAAP//////////AAAAAAAAAIIAAAAVcGVybWl0LVgxMS1mb3J3YXJkaW5nAAAAAAAAABdwZXJtaXQtYWdlbnQtZm9yd2FyZGluZwAAAAAAAAAWcGVybWl0LXBvcnQtZm9yd2FyZGluZwAAAAAAAAAKcGVybWl0LXB0eQAAAAAAAAAOcGVybWl0LXVzZXItcmMAAAAAAAAAAAAAADMAAAALc3NoLWVkMjU1MTkAAAAgj4O+mEs4DeuiOYXdrC8a9dwWetPHlipywex2po2uNvoAAABTAAAAC3NzaC1lZDI1NTE5AAAAQNGg/8tHUYp6qcXAgC01119RopTpvKsh4gxaBeeGIWbe1NDRA9aC6NxqtqugwHN7T0ZNDQ1kayiptRSzm47ATgM= ca";

fn judged(line: &str, login: &str) -> Result<Allowed, String> {
    let authorities = Authorities::read(&[CA.to_owned()]).unwrap();
    let attempt = Attempt {
        login,
        from: "192.0.2.7".parse().unwrap(),
        now_s: 1_795_248_000,
    };
    judge(
        &Certificate::from_openssh(line).unwrap(),
        &authorities,
        attempt,
    )
}

#[test]
fn a_users_certificate_lets_into_the_account_that_it_names() {
    let allowed = judged(USER, "root").unwrap();
    assert_eq!(allowed.user, "anna");
    assert!(allowed.terminal && allowed.forwarding);
    assert_eq!((allowed.command, allowed.until_s), (None, None));
    assert!(
        judged(USER, "anna")
            .unwrap_err()
            .contains("not for the account")
    );
}

#[test]
fn neither_a_hosts_nor_an_authoritys_certificate_lets_in_anybody() {
    assert!(judged(HOST, "root").unwrap_err().contains("is a host's"));
    assert!(
        judged(OF_CA, "root")
            .unwrap_err()
            .contains("key of an authority")
    );
}

#[test]
fn a_certificate_that_was_changed_holds_for_nobody() {
    let mut certificate = Certificate::from_openssh(USER).unwrap().to_bytes().unwrap();
    let at = certificate.windows(4).position(|w| w == b"root").unwrap();
    certificate[at..at + 4].copy_from_slice(b"toor");
    let changed = Certificate::from_bytes(&certificate).unwrap();
    let authorities = Authorities::read(&[CA.to_owned()]).unwrap();
    let attempt = Attempt {
        login: "toor",
        from: "192.0.2.7".parse().unwrap(),
        now_s: 1_795_248_000,
    };
    assert!(judge(&changed, &authorities, attempt).is_err());
}

#[test]
fn authorities_are_lines_of_public_keys() {
    let read = |text: &str| Authorities::read(&[text.to_owned()]);
    assert!(read("# a remark").unwrap().is_empty());
    assert!(!read(CA).unwrap().is_empty());
    assert!(read("no key").is_err());
}
