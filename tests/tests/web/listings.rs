//! Chromium at what is listed: lists that grow while somebody looks, led by `web/tests/listings.mjs`, and what is
//! found and happened within a recording, by `web/tests/inside.mjs`.

use crate::browser::{is_here, led};
use crate::place::Place;

/// Much at about one moment, and something behind it.
const MANY: &str = "sleep 0.3; seq 300 | sed 's/.*/error line &.\\r/'; sleep 0.5; \
    seq 301 302 | sed 's/.*/error line &.\\r/'; sleep 1";

#[test]
fn listings_have_no_holes_and_times_are_what_was_asked_for() {
    if !is_here() {
        return;
    }
    let mut place = Place::new("web-listings");
    place.user("ada", "admin", &["--no-totp"]);
    assert_eq!(led("listings.mjs", &place.origin, &[]), 4);
    place.daemon.stop();
}

#[test]
fn listings_of_what_is_inside_a_recording_are_whole() {
    if !is_here() {
        return;
    }
    let mut place = Place::new("web-inside");
    place.user("ada", "admin", &["--no-totp"]);
    assert!(place.record("many", MANY).wait().unwrap().success());
    let session = place.session("many", true);
    let many = session["sid"].as_str().unwrap();
    assert_eq!(led("inside.mjs", &place.origin, &[("MANY", many)]), 3);
    place.daemon.stop();
}
