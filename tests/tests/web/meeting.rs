//! A service and a provider of OpenID Connect of the tests' own (`provider.py`), which does wrong what it is
//! told to.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use hansard_tests::{Scratch, free_port, repository};
use serde_json::{Value as Json, json};

use crate::place::{Place, WITHIN};
use crate::speak::{Answer, ask};

pub(crate) const SUBJECT: &str = "248289761001";

/// A provider, which ends with us.
pub(crate) struct Provider {
    child: Child,
    pub(crate) issuer: String,
    pub(crate) ca: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Provider {
    /// One that lets browsers come back to these.
    pub(crate) fn start(scratch: &Scratch, callbacks: &[String], tls: &str) -> Self {
        let mut child = Command::new("python3")
            .arg("-B")
            .arg(repository().join("tests/tests/web/provider.py"))
            .arg(scratch.path())
            .args(callbacks)
            .env("TLS", tls)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let said: Json = serde_json::from_str(&line).expect("the provider says where it is");
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        Self {
            child,
            issuer: text("issuer"),
            ca: text("ca"),
        }
    }

    /// Asks it in the open; head and body of its answer.
    fn ask(&self, line: &str, body: &str) -> String {
        let host = self.issuer.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        let length = body.len();
        let text = format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Tells it what to do; how many codes it was shown so far.
    pub(crate) fn told(&self, what: &Json) -> u64 {
        let answer = self.ask("POST /control", &what.to_string());
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let said: Json = serde_json::from_str(body).unwrap();
        said["shown"].as_u64().unwrap()
    }

    pub(crate) fn fault(&self, fault: &str) {
        self.told(&json!({ "fault": fault }));
    }

    /// What stands behind the question mark when it sends a browser back that was sent to this address.
    pub(crate) fn decide(&self, address: &str, answer: &str) -> String {
        let at = address.strip_prefix(&self.issuer).expect("to the provider");
        let at = at.replacen("/authorize?", "/decide?", 1);
        let said = self.ask(&format!("GET {at}&answer={answer}"), "");
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix("Location: "));
        let location = line.unwrap_or_else(|| panic!("{said}"));
        location.split_once('?').unwrap().1.trim().to_owned()
    }
}

/// A service that has a provider.
pub(crate) struct Meeting {
    pub(crate) place: Place,
    pub(crate) provider: Provider,
    /// Attempts that must be on record by now.
    pub(crate) attempts: Cell<usize>,
}

pub(crate) fn section(issuer: &str, secret: &str, more: &str) -> String {
    format!(
        "oidc:\n- issuer_url: {issuer}\n  client_id: han sard\n  client_secret_file: {secret}\n  \
         display: The <Provider>\n{more}"
    )
}

pub(crate) const RULES: &str = "  claims_to_roles:\n  - {claim: groups, value: staff, role: user}\n  \
                     - {claim: realm.roles, value: auditor, role: auditor}\n";

/// The secret, as an administrator keeps it.
pub(crate) fn secret(scratch: &Scratch) -> String {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = scratch.join("secret");
    let mut options = std::fs::OpenOptions::new();
    let file = options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = file.open(&path).unwrap();
    file.write_all(b"s3cret:&%\n").unwrap();
    path.to_str().unwrap().to_owned()
}

impl Meeting {
    pub(crate) fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        // Providers must know beforehand where browsers come back to.
        let port = free_port();
        let hosts = ["127.0.0.1", "localhost"];
        let callbacks = hosts.map(|host| format!("http://{host}:{port}/sign-in/oidc"));
        let provider = Provider::start(&scratch, &callbacks, "");
        let secret = secret(&scratch);
        let web = section(&provider.issuer, &secret, RULES);
        let place = Place::serving(scratch, &format!("{web}listen: 127.0.0.1:{port}"));
        let meeting = Self {
            place,
            provider,
            attempts: Cell::new(0),
        };
        meeting.claims(&json!({ "preferred_username": "ada", "groups": ["staff"] }));
        meeting
    }

    pub(crate) fn claims(&self, claims: &Json) {
        self.provider.told(&json!({ "claims": claims }));
    }

    fn post(&self, path: &str, cookie: &str, body: &Json) -> Answer {
        let headers = [
            ("Origin", self.place.origin.as_str()),
            ("Cookie", cookie),
            ("Content-Type", "application/json"),
        ];
        ask(&self.place, ("POST", path), &headers, &body.to_string())
    }

    /// Leaves for the provider: where to, and the cookie of the attempt.
    pub(crate) fn leave(&self) -> (String, String) {
        self.leave_for("oidc")
    }

    pub(crate) fn leave_for(&self, provider: &str) -> (String, String) {
        let left = self.try_to_leave_for(provider);
        assert_eq!(left.status, 200, "{left:?}");
        let set = left.header("set-cookie").unwrap();
        assert!(
            set.contains("; HttpOnly; SameSite=Strict; Max-Age=600"),
            "{set}"
        );
        let cookie = set.split(';').next().unwrap().to_owned();
        (left.json()["address"].as_str().unwrap().to_owned(), cookie)
    }

    pub(crate) fn try_to_leave(&self) -> Answer {
        self.try_to_leave_for("oidc")
    }

    fn try_to_leave_for(&self, provider: &str) -> Answer {
        let answer = self.post("/v1/sign-in/oidc", "", &json!({ "provider": provider }));
        let counts = usize::from(answer.status != 200);
        self.attempts.set(self.attempts.get() + counts);
        answer
    }

    /// Comes back with what the provider sent.
    pub(crate) fn come_back(&self, query: &str, cookie: &str) -> Answer {
        self.come_back_at(None, query, cookie)
    }

    /// The same on the way of the provider of this name.
    pub(crate) fn come_back_at(&self, at: Option<&str>, query: &str, cookie: &str) -> Answer {
        let mut body = json!({ "provider": at });
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap();
            let value = value.replace("%3A", ":").replace("%2F", "/");
            body[if name == "iss" { "issuer" } else { name }] = json!(value);
        }
        self.attempts.set(self.attempts.get() + 1);
        self.post("/v1/sign-in/oidc/callback", cookie, &body)
    }

    /// There and back.
    pub(crate) fn sign_in(&self) -> Answer {
        let (address, cookie) = self.leave();
        self.come_back(&self.provider.decide(&address, "yes"), &cookie)
    }

    /// The same, which must succeed; the cookie of whoever is signed in then.
    pub(crate) fn signed_in(&self) -> String {
        let answer = self.sign_in();
        assert_eq!(answer.status, 200, "{answer:?}");
        let set = answer.header("set-cookie").unwrap();
        set.split(';').next().unwrap().to_owned()
    }

    /// All attempts that are on record, in their order.
    pub(crate) fn told(&self) -> Vec<Json> {
        let mut told = self.place.events_of("user.login", self.attempts.get());
        assert_eq!(told.len(), self.attempts.get(), "{told:?}");
        // Two may be of the same millisecond.
        let place = |event: &Json| (event["time"].to_string(), event["ei"].as_u64());
        told.sort_by_key(place);
        told
    }

    /// Why the last one failed.
    pub(crate) fn last_error(&self) -> String {
        let told = self.told();
        let last = told.last().unwrap();
        last["error"].as_str().unwrap_or_default().to_owned()
    }
}
