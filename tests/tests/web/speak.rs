//! Requests as a browser would send them, or as none would, written by hand.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value as Json, json};

use crate::place::{PASSWORD, Place, WITHIN};

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// Sends a request and reads its answer until the connection ends, or `enough` of its body is there.
pub(crate) fn ask_until(place: &Place, request: &str, enough: impl Fn(&str) -> bool) -> Answer {
    let host = place.origin.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(WITHIN)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        bytes.extend_from_slice(&piece[..n]);
        if enough(&String::from_utf8_lossy(&bytes)) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    Answer {
        status: status.unwrap_or(0),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// A request with these headers besides `Host`.
pub(crate) fn request(
    place: &Place,
    (method, target): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        let host = place.origin.strip_prefix("http://").unwrap();
        text.push_str(&format!("Host: {host}\r\n"));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text
}

pub(crate) fn ask(
    place: &Place,
    line: (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    ask_until(place, &request(place, line, headers, body), |_| false)
}

/// Tries to sign in, as our own page does.
pub(crate) fn sign_in(place: &Place, user: &str, password: &str, code: &str) -> Answer {
    let body = json!({ "user": user, "password": password, "code": code }).to_string();
    let origin = place.origin.clone();
    let headers = [
        ("Origin", origin.as_str()),
        ("Content-Type", "application/json"),
    ];
    ask(place, ("POST", "/v1/sign-in"), &headers, &body)
}

/// The cookie of somebody who signs in without a code.
pub(crate) fn cookie(place: &Place, user: &str) -> String {
    let answer = sign_in(place, user, PASSWORD, "");
    assert_eq!(answer.status, 200, "{answer:?}");
    let set = answer.header("set-cookie").unwrap();
    set.split(';').next().unwrap().to_owned()
}

/// Looks, with a cookie.
pub(crate) fn get(place: &Place, target: &str, cookie: &str) -> Answer {
    ask(place, ("GET", target), &[("Cookie", cookie)], "")
}
