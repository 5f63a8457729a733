//! Links over real files.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use super::*;
use crate::limits::{CLOCK_SKEW_S, SHARE_LIFE_NS_MAX};
use crate::share::Over;

const SECOND_NS: u64 = 1_000_000_000;
const NOW_NS: u64 = 1_795_248_000 * SECOND_NS;
const SESSION: &str = "019ab0d4-7c00-7000-8000-000000000001";

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("hansard-shares-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self) -> (Shares, Vec<(String, String)>) {
        let seed = AtomicU8::new(1);
        let random = move |bytes: &mut [u8]| {
            bytes.fill(seed.fetch_add(1, Ordering::Relaxed));
            Ok(())
        };
        Shares::open(&self.0, Arc::new(random)).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn wish() -> Wish {
    Wish {
        session: SESSION.parse().unwrap(),
        viewer: "Ms Outside".to_owned(),
        from_ms: None,
        until_ms: None,
        life_ns: 60 * SECOND_NS,
    }
}

fn make(shares: &Shares, wish: &Wish, utc_ns: u64) -> (Share, String) {
    let prepared = shares.prepare(wish, ("ada", Maker::User), utc_ns).unwrap();
    shares.keep(&prepared).unwrap();
    (prepared.share.clone(), prepared.secret.reveal())
}

fn of(shares: &Shares, text: &str) -> Option<Share> {
    shares.of(&Secret::parse(text)?)
}

#[test]
fn a_link_opens_its_session_until_it_expires_or_is_revoked_also_after_a_restart() {
    let place = Place::new("life");
    let (shares, _) = place.open();
    let prepared = shares
        .prepare(&wish(), ("ada", Maker::User), NOW_NS)
        .unwrap();
    let text = prepared.secret.reveal();
    // Until it is kept it opens nothing.
    assert_eq!(of(&shares, &text), None);
    shares.keep(&prepared).unwrap();
    let (other, other_text) = make(&shares, &wish(), NOW_NS);
    let found = of(&shares, &text).unwrap();
    assert_eq!(found, prepared.share);
    assert_eq!(found.over(NOW_NS), None);
    assert_eq!(found.over(NOW_NS + 60 * SECOND_NS - 1), None);
    assert_eq!(found.over(NOW_NS + 60 * SECOND_NS), Some(Over::Expired));
    // A clock that was set back a little lets in, one that was set back far does not.
    let skew_ns = CLOCK_SKEW_S * SECOND_NS;
    assert_eq!(found.over(NOW_NS - skew_ns), None);
    assert_eq!(found.over(NOW_NS - skew_ns - 1), Some(Over::Expired));
    assert!(shares.revoke(&found.id, "bob", NOW_NS + 1).unwrap());
    assert!(shares.revoke(&found.id, "eve", NOW_NS + 2).unwrap());
    assert!(!shares.revoke("0000000000000000", "bob", NOW_NS).unwrap());
    drop(shares);
    let (shares, unreadable) = place.open();
    assert!(unreadable.is_empty(), "{unreadable:?}");
    let found = of(&shares, &text).unwrap();
    assert_eq!(found.over(NOW_NS), Some(Over::Revoked));
    assert_eq!(found.revoked, Some((NOW_NS + 1, "bob".to_owned())));
    assert_eq!(of(&shares, &other_text), Some(other));
    assert_eq!(shares.list(None, None, 10).len(), 2);
    let listed = shares.list(None, None, 1);
    let rest = shares.list(found.session.into(), Some(&listed[0].id), 10);
    assert_eq!((listed.len(), rest.len()), (1, 1));
}

#[test]
fn nothing_but_the_whole_secret_opens_and_it_is_not_on_disk() {
    let place = Place::new("secret");
    let (shares, _) = place.open();
    let (share, text) = make(&shares, &wish(), NOW_NS);
    let secret = text.rsplit('-').next().unwrap();
    let file = fs::read_to_string(shares.rows.path(&share.id)).unwrap();
    assert!(!file.contains(secret), "{file}");
    assert!(!format!("{:?}", Secret::parse(&text).unwrap()).contains(secret));
    let mut last = text.clone();
    let end = if last.pop() == Some('0') { '1' } else { '0' };
    last.push(end);
    for bad in [
        last.as_str(),
        &text[..text.len() - 1],
        &format!("{text}0"),
        &text.to_uppercase(),
        &format!("hansard-link-{}-", share.id),
        secret,
        "",
    ] {
        assert_eq!(of(&shares, bad), None, "{bad}");
    }
}

#[test]
fn what_no_link_may_be_is_refused_and_old_ones_make_room() {
    let place = Place::new("bounds");
    let (shares, _) = place.open();
    let refused = |wish: Wish| {
        let failure = shares
            .prepare(&wish, ("ada", Maker::User), NOW_NS)
            .err()
            .unwrap();
        assert!(matches!(failure, Failure::Malformed(_)), "{failure:?}");
    };
    for name in [
        "",
        " ada",
        "ada\n",
        "a\u{1b}[31m",
        "a\u{202e}b",
        "a\u{200b}b",
        &"x".repeat(129),
    ] {
        refused(Wish {
            viewer: name.to_owned(),
            ..wish()
        });
    }
    for life_ns in [0, SHARE_LIFE_NS_MAX + 1] {
        refused(Wish { life_ns, ..wish() });
    }
    for (from_ms, until_ms) in [(Some(5), Some(5)), (Some(6), Some(5)), (None, Some(0))] {
        refused(Wish {
            from_ms,
            until_ms,
            ..wish()
        });
    }
    let stretch = Wish {
        from_ms: Some(5),
        until_ms: None,
        ..wish()
    };
    let (first, _) = make(&shares, &stretch, NOW_NS);
    assert_eq!(first.stretch_ns(), Some((5_000_000, u64::MAX)));
    let later_ns = first.expires_ns + SHARE_KEPT_NS;
    make(&shares, &wish(), later_ns - 1);
    assert!(shares.get(&first.id).is_some());
    make(&shares, &wish(), later_ns);
    assert!(shares.get(&first.id).is_none() && !shares.rows.path(&first.id).exists());
}

#[test]
fn a_damaged_file_opens_nothing_and_is_named() {
    let place = Place::new("damaged");
    let (shares, _) = place.open();
    let (share, text) = make(&shares, &wish(), NOW_NS);
    let (other, other_text) = make(&shares, &wish(), NOW_NS);
    let bytes = fs::read(shares.rows.path(&share.id)).unwrap();
    fs::write(shares.rows.path(&share.id), &bytes[..bytes.len() / 2]).unwrap();
    // One in the place of another is none either.
    fs::copy(shares.rows.path(&other.id), place.0.join("ffff.json")).unwrap();
    drop(shares);
    let (shares, unreadable) = place.open();
    let mut names: Vec<&str> = unreadable.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let mut expected = [share.id.as_str(), "ffff"];
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(of(&shares, &text), None);
    assert_eq!(of(&shares, &other_text), Some(other));
}
