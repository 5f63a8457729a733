//! Chromium at lists that grow while somebody looks, led by `web/tests/listings.mjs`.

use crate::browser::{is_here, led};
use crate::place::Place;

#[test]
fn listings_have_no_holes_and_times_are_what_was_asked_for() {
    if !is_here() {
        return;
    }
    let mut place = Place::new("web-listings");
    place.user("ada", "admin", &["--no-totp"]);
    assert_eq!(led("listings.mjs", &place.origin, &[]), 2);
    place.daemon.stop();
}
