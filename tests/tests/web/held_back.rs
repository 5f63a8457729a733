//! Requests of which somebody holds the body back until they are nobody any more.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use hansard_identity::hex;
use hansard_identity::key::PrivateKey;
use serde_json::json;

use crate::place::{PASSWORD, Place, WITHIN};
use crate::speak::{cookie, get, request};

/// A request of which all but the last byte is sent.
struct HeldBack {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl HeldBack {
    fn new(place: &Place, line: (&str, &str), cookie: &str, body: &str) -> Self {
        let headers = [
            ("Origin", place.origin.as_str()),
            ("Content-Type", "application/json"),
            ("Cookie", cookie),
        ];
        let mut bytes = request(place, line, &headers, body).into_bytes();
        let rest = bytes.split_off(bytes.len() - 1);
        let host = place.origin.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        stream.write_all(&bytes).unwrap();
        Self { stream, rest }
    }

    /// What is answered when the rest came.
    fn answer(mut self) -> String {
        self.stream.write_all(&self.rest).unwrap();
        let mut answer = Vec::new();
        let _ = self.stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

#[test]
fn what_somebody_holds_back_is_not_done_when_they_are_locked_or_removed_or_have_another_password() {
    let place = Place::new("web-held-back");
    for name in ["ada", "bob", "cyd", "dan"] {
        place.user(name, "admin", &["--no-totp"]);
    }
    let make = |name: &str| {
        let wish = json!({ "name": name, "role": "admin", "password": PASSWORD, "totp": false });
        wish.to_string()
    };
    let key = PrivateKey::from_seed([3; 32]);
    let own = json!({ "key": hex::encode(&key.public()) }).to_string();
    let [ada, bob, cyd, dan] = ["ada", "bob", "cyd", "dan"].map(|name| cookie(&place, name));
    let users = ("POST", "/v1/users");
    let held = [
        HeldBack::new(&place, users, &ada, &make("ghost1")),
        HeldBack::new(&place, users, &bob, &make("ghost2")),
        HeldBack::new(&place, ("POST", "/v1/certificates/own"), &cyd, &own),
    ];
    // Each is let in as they are now: what is asked behind it is answered behind it.
    for cookie in [&ada, &bob, &cyd] {
        assert_eq!(get(&place, "/v1/status", cookie).status, 200);
    }
    place.client(
        &["lock", "add", "user:ada", "--message", "ask the desk"],
        "",
    );
    place.client(&["user", "rm", "bob", "--reason", "left"], "");
    place.client(&["user", "passwd", "cyd"], "another password\n");
    for request in held {
        let answer = request.answer();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(!answer.contains("BEGIN CERTIFICATE"), "{answer}");
    }
    let listed = get(&place, "/v1/users", &dan).json();
    assert!(!listed.to_string().contains("ghost"), "{listed}");
    let certificates = place.events("cert.create");
    assert!(certificates.is_empty(), "{certificates:?}");
}
