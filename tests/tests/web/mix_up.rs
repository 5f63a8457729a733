//! Several providers of OpenID Connect, one of them hostile: it sends browsers on to an honest one, so that the
//! honest one's code is taken for its own and shown to it (mix-up, RFC 9700 §4.4).

use std::cell::Cell;

use hansard_tests::{Scratch, free_port};
use serde_json::json;

use crate::browser::{is_here, led};
use crate::meeting::{Meeting, Provider, RULES, secret, section};
use crate::place::Place;

/// A service with two providers, of which neither says who it is when it sends a browser back; the one of the
/// meeting is `honest`.
fn meeting_with_another(name: &str) -> (Meeting, Provider) {
    let scratch = Scratch::new(name);
    let origin = format!("127.0.0.1:{}", free_port());
    let secret = secret(&scratch);
    let start = |name: &str| {
        let callback = format!("http://{origin}/sign-in/oidc/{name}");
        let provider = Provider::start(&scratch, &[callback], "");
        provider.fault("nameless");
        let claims = json!({ "preferred_username": "ada", "groups": ["staff"] });
        provider.told(&json!({ "claims": claims }));
        let display = format!("  name: {name}\n{RULES}");
        let web = section(&provider.issuer, &secret, &display);
        let web = web.replace("The <Provider>", &format!("The {name} one"));
        (provider, web)
    };
    let ((honest, first), (hostile, second)) = (start("honest"), start("hostile"));
    let second = second.replacen("oidc:\n", "", 1);
    let web = format!("{first}{second}listen: {origin}");
    let meeting = Meeting {
        place: Place::serving(scratch, &web),
        provider: honest,
        attempts: Cell::new(0),
    };
    (meeting, hostile)
}

#[test]
fn a_code_of_one_provider_is_shown_to_no_other() {
    let (meeting, hostile) = meeting_with_another("web-oidc-mix-up");
    let honest = &meeting.provider;
    let way = |name: &str| {
        let host = meeting.place.origin.strip_prefix("http://").unwrap();
        let host = host.replace(':', "%3A");
        format!("redirect_uri=http%3A%2F%2F{host}%2Fsign-in%2Foidc%2F{name}&")
    };
    // Each has a way back of its own, and is content with it.
    for (provider, name) in [(honest, "honest"), (&hostile, "hostile")] {
        let (address, cookie) = meeting.leave_for(name);
        assert!(address.contains(&way(name)), "{address}");
        let query = provider.decide(&address, "yes");
        let answer = meeting.come_back_at(Some(name), &query, &cookie);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // Who began with the hostile one is sent to the honest one by it, and lets us in there. Wherever that
    // comes back to, the code is shown to nobody.
    for at in [Some("honest"), Some("other"), Some("hostile/"), None] {
        let (address, cookie) = meeting.leave_for("hostile");
        let address = address.replacen(&hostile.issuer, &honest.issuer, 1);
        let address = address.replacen(&way("hostile"), &way("honest"), 1);
        let query = honest.decide(&address, "yes");
        let answer = meeting.come_back_at(at, &query, &cookie);
        assert_eq!(answer.code(), "untrusted", "{at:?}: {answer:?}");
        assert_eq!(
            meeting.last_error(),
            "another provider sent the browser back"
        );
        let told = meeting.told();
        assert_eq!(told.last().unwrap()["connector"], "hostile");
        // That was the answer to this attempt.
        let again = meeting.come_back_at(Some("hostile"), &query, &cookie);
        assert_eq!(again.code(), "stale", "{again:?}");
    }
    assert_eq!((hostile.told(&json!({})), honest.told(&json!({}))), (1, 1));
}

#[test]
fn in_a_browser_each_of_several_has_its_way_back() {
    if !is_here() {
        return;
    }
    let (meeting, other) = meeting_with_another("web-oidc-several");
    let providers = format!("{} {}", meeting.provider.issuer, other.issuer);
    let told = [("PROVIDER", providers.as_str())];
    let steps = led("oidc-several.mjs", &meeting.place.origin, &told);
    assert_eq!(steps, 2);
}
