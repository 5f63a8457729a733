//! X.509 for people: the certificate that `hansard login` gets, shown to the web server's own TLS, at every route and
//! in everything that may become of it and of its owner.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use hansard_identity::PeopleAuthority;
use hansard_identity::hex;
use hansard_identity::key::PrivateKey;
use hansard_identity::role::Role;
use hansard_identity::tls::provider;
use hansard_identity::user::User;
use hansard_tests::hansard;
use hansardd::api::certified::OPEN_TO_CERTIFICATES;
use hansardd::api::table::{Answer as Kind, Id, Op, ROUTES, Route, Verb};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value as Json;

use crate::place::{ACCESS, PASSWORD, Place, WITHIN, sections, wait_for};
use crate::tls::{host, place};

/// A certificate and its key.
#[derive(Clone)]
struct Own {
    pem: String,
    key: PrivateKey,
}

/// Asks, showing this certificate if there is one; status and body, or that there was no handshake.
fn ask(
    place: &Place,
    own: Option<&Own>,
    (verb, target): (&str, &str),
    (headers, body): (&str, &str),
    is_whole: impl Fn(&str) -> bool,
) -> Option<(u16, String)> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(place.scratch.join("ca.pem")).unwrap();
    roots.add(ca).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some(own) => {
            let chain = CertificateDer::pem_slice_iter(own.pem.as_bytes());
            let chain = chain.collect::<Result<_, _>>().unwrap();
            let key = PrivateKeyDer::Pkcs8(own.key.pkcs8());
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let tcp = TcpStream::connect(host(place)).unwrap();
    tcp.set_read_timeout(Some(WITHIN)).unwrap();
    let mut stream = StreamOwned::new(session, tcp);
    let origin = &place.origin;
    let text = format!(
        "{verb} {target} HTTP/1.1\r\nHost: {}\r\nOrigin: {origin}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        host(place),
        body.len()
    );
    stream.write_all(text.as_bytes()).ok()?;
    let (mut all, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(len) => all.extend_from_slice(&piece[..len]),
            // A server that ends without a goodbye of TLS.
            Err(_) if !all.is_empty() => break,
            Err(_) => return None,
        }
        if is_whole(&String::from_utf8_lossy(&all)) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&all).into_owned();
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some((status, text))
}

fn asked(
    place: &Place,
    own: Option<&Own>,
    line: (&str, &str),
    body: &str,
) -> Option<(u16, String)> {
    ask(place, own, line, ("", body), |_| false)
}

/// The cookie of somebody who signed in with a password.
fn cookie(place: &Place, user: &str) -> String {
    let body = serde_json::json!({ "user": user, "password": PASSWORD }).to_string();
    let (status, text) = asked(place, None, ("POST", "/v1/sign-in"), &body).unwrap();
    assert_eq!(status, 200, "{text}");
    let line = text
        .lines()
        .find(|line| line.to_lowercase().starts_with("set-cookie:"));
    let value = line.unwrap().split_once(':').unwrap().1.trim();
    format!("Cookie: {}\r\n", value.split(';').next().unwrap())
}

/// A certificate for somebody who signed in with a password.
fn issued(place: &Place, user: &str, seed: u8) -> Own {
    let key = PrivateKey::from_seed([seed; 32]);
    let body = serde_json::json!({ "key": hex::encode(&key.public()), "ttl_s": 3600 });
    let line = ("POST", "/v1/certificates/own");
    let headers = cookie(place, user);
    let answer = ask(place, None, line, (&headers, &body.to_string()), |_| false);
    let (status, text) = answer.unwrap();
    assert_eq!(status, 200, "{text}");
    let json = text.split_once("\r\n\r\n").unwrap().1;
    let made: Json = serde_json::from_str(json.trim()).unwrap();
    let pem = made["certificate"].as_str().unwrap().to_owned();
    Own { pem, key }
}

/// Each route, as somebody would ask it who may everything.
fn target(route: &Route) -> String {
    let name = match route.id {
        Some(Id::Session) => "01890a5d-ac96-774b-bcce-b302099a8057",
        _ => "nobody",
    };
    let path = route.path.replace("{id}", name);
    match route.op {
        Op::Find => format!("{path}?text=hi"),
        Op::Search => format!("{path}?q=word"),
        Op::Export => format!("{path}?format=raw"),
        _ => path,
    }
}

/// The status of each route, by name, for somebody with this certificate or these headers.
fn statuses(place: &Place, own: Option<&Own>, headers: &str) -> Vec<(Op, u16)> {
    let all = ROUTES.iter().map(|route| {
        let goes_on = matches!(route.answer, Kind::Lines(_));
        let body = if route.body.is_some() { "{}" } else { "" };
        let line = (route.verb.as_str(), target(route));
        let is_whole = |got: &str| goes_on && got.contains("\r\n\r\n");
        let answer = ask(place, own, (line.0, &line.1), (headers, body), is_whole);
        let (status, _) = answer.unwrap_or_else(|| panic!("{:?}: no answer", route.op));
        (route.op, status)
    });
    all.collect()
}

/// Whether a certificate's owner may not do this with it: what is there when it is over is not its to change.
fn outlasts(op: Op) -> bool {
    let route = ROUTES.iter().find(|route| route.op == op).unwrap();
    route.verb != Verb::Get && !OPEN_TO_CERTIFICATES.contains(&op)
}

#[test]
fn every_route_takes_a_certificate_as_it_takes_its_owner_and_refuses_it_when_that_is_over() {
    let place = place("web-person");
    let users = [("ann", Role::Admin, 1), ("uma", Role::User, 2)];
    for (name, role, _) in users {
        place.user(name, role.as_str(), &["--no-totp"]);
    }
    let owns = users.map(|(name, _, seed)| issued(&place, name, seed));
    for ((name, role, _), own) in users.iter().zip(&owns) {
        let by_cookie = statuses(&place, None, &cookie(&place, name));
        let by_certificate = statuses(&place, Some(own), "");
        for ((op, status), (_, as_known)) in by_certificate.iter().zip(&by_cookie) {
            let what = format!("{op:?} as {role:?}");
            match outlasts(*op) {
                true => assert_eq!(*status, 403, "{what}"),
                false => assert_eq!(status, as_known, "{what}"),
            }
        }
    }
    let [ann, uma] = &owns;
    let all = |own: &Own, status: u16, what: &str| {
        for (op, got) in statuses(&place, Some(own), "") {
            assert_eq!(got, status, "{op:?} {what}");
        }
    };
    // None, and one of another authority of the same name.
    assert!(
        statuses(&place, None, "")
            .iter()
            .all(|(_, status)| *status == 401)
    );
    let foreign = foreign(&place, "uma", 2);
    assert_eq!(
        asked(&place, Some(&foreign), ("GET", "/v1/status"), ""),
        None
    );
    // Roles that are others, one that is locked, and another password.
    place.client(&["user", "roles", "uma", "more"], "");
    all(uma, 401, "with other roles");
    let uma = issued(&place, "uma", 3);
    let lock = place.client(&["lock", "add", "user:uma", "--message", "ask"], "");
    all(&uma, 403, "while it is locked");
    let (_, text) = asked(&place, Some(&uma), ("GET", "/v1/status"), "").unwrap();
    assert!(text.contains("user:uma is locked: ask"), "{text}");
    place.client(&["lock", "rm", lock.trim()], "");
    assert_eq!(
        asked(&place, Some(&uma), ("GET", "/v1/status"), "")
            .unwrap()
            .0,
        200
    );
    place.client(&["user", "passwd", "ann"], &format!("{PASSWORD}\n"));
    all(ann, 401, "after another password");
    place.client(&["user", "rm", "uma"], "");
    all(&uma, 401, "when its owner is gone");
    // Each certificate's use is on record once, and so is each refusal.
    let told = |serial: &str, success: bool| {
        let all = place.events("user.login");
        let of = |event: &&Json| {
            event["method"] == "certificate"
                && event["serial"] == *serial
                && event["success"] == success
        };
        all.iter().filter(of).count()
    };
    for own in [ann, &uma] {
        let serial = serial(own);
        wait_for("both on record", || {
            told(&serial, true) > 0 && told(&serial, false) > 0
        });
        assert_eq!(
            (told(&serial, true), told(&serial, false)),
            (1, 1),
            "{serial}"
        );
    }
    let made = || {
        let all = place.events("cert.create").into_iter();
        all.filter(|event| event["cert_type"] == "x509_user")
            .count()
    };
    wait_for("the certificates on record", || made() >= 3);
    assert_eq!(made(), 3);
}

fn serial(own: &Own) -> String {
    let der = CertificateDer::from_pem_slice(own.pem.as_bytes()).unwrap();
    let out = openssl(&["x509", "-inform", "der", "-noout", "-serial"], &der);
    let text = String::from_utf8(out.stdout).unwrap();
    text.trim().split_once('=').unwrap().1.to_lowercase()
}

fn openssl(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new("openssl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// A certificate that says the same, by an authority of the same name with another key.
fn foreign(place: &Place, name: &str, seed: u8) -> Own {
    let random = |bytes: &mut [u8]| {
        bytes.fill(9);
        Ok(())
    };
    let directory = place.scratch.join("foreign");
    std::fs::create_dir(&directory).unwrap();
    let now_ns = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    let authority = PeopleAuthority::open(&directory, "test", now_ns, &random).unwrap();
    let user = User {
        name: name.to_owned(),
        role: Role::User,
        roles: Vec::new(),
        has_totp: false,
        created_ns: 0,
        changed_ns: 0,
    };
    let key = PrivateKey::from_seed([seed; 32]);
    let made = authority.issue(&user, key.public(), 3600, now_ns, &random);
    Own {
        pem: made.unwrap().pem,
        key,
    }
}

#[test]
fn a_certificate_that_is_over_is_refused_and_nobody_gets_another_with_one() {
    let place = place("web-person-over");
    place.user("uma", "user", &["--no-totp"]);
    let key = PrivateKey::from_seed([5; 32]);
    let wish = |ttl_s: u64| {
        serde_json::json!({ "key": hex::encode(&key.public()), "ttl_s": ttl_s }).to_string()
    };
    let headers = cookie(&place, "uma");
    let line = ("POST", "/v1/certificates/own");
    let made = |ttl_s| ask(&place, None, line, (&headers, &wish(ttl_s)), |_| false).unwrap();
    for ttl_s in [0, 86_401] {
        let (status, text) = made(ttl_s);
        assert_eq!(status, 403, "{text}");
        assert!(text.contains("holds for 1 to 86400 seconds"), "{text}");
    }
    let own = |ttl_s| {
        let (_, text) = made(ttl_s);
        let body = text.split_once("\r\n\r\n").unwrap().1.trim();
        let json: Json = serde_json::from_str(body).unwrap();
        let pem = json["certificate"].as_str().unwrap().to_owned();
        let key = key.clone();
        Own { pem, key }
    };
    let status =
        |own| asked(&place, Some(own), ("GET", "/v1/status"), "").map(|(status, _)| status);
    // One that is not over before this machine has asked with it; a short one may be.
    let (long, short) = (own(3600), own(2));
    assert_eq!(status(&long), Some(200));
    let (code, text) = asked(&place, Some(&long), line, &wish(60)).unwrap();
    assert!(code == 403 && text.contains("gets no other"), "{text}");
    // The handshake itself refuses it then, and not the other.
    wait_for("the end of the short one", || status(&short).is_none());
    assert_eq!(status(&long), Some(200));
    // OpenSSL reads what was issued as we do.
    let out = openssl(&["x509", "-noout", "-text"], short.pem.as_bytes());
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(text.contains("TLS Web Client Authentication"), "{text}");
    assert!(
        text.contains("CN = uma") && text.contains("CN = people of test"),
        "{text}"
    );
}

#[test]
fn a_login_brings_a_certificate_that_the_client_shows() {
    let mut place = place("web-person-login");
    let access = "  - name: user\n    logins: [\"{user}\"]\n    hosts: {\"*\": \"*\"}\n    \
                  channels: [shell]\n";
    place.daemon.stop();
    let path = |name: &str| place.scratch.join(name).to_str().unwrap().to_owned();
    let tls = format!(
        "tls:\n  cert_file: {}\n  key_file: {}",
        path("web.pem"),
        path("web.key")
    );
    let text = sections("{local: {}}", &tls).replace(ACCESS, &format!("{ACCESS}{access}"));
    place.daemon.configure("keeper", &text);
    place.daemon.start();
    let status: Json = serde_json::from_str(&place.client(&["status", "--json"], "")).unwrap();
    place.origin = status["web"].as_str().unwrap().to_owned();
    place.user("uma", "user", &["--no-totp"]);
    let home = place.scratch.join("home");
    let client = |args: &[&str], given: &str| {
        let mut child = Command::new(hansard())
            .args(args)
            .env("HANSARD_HOME", &home)
            .env_remove("SSH_AUTH_SOCK")
            .env("HANSARD_RUNTIME_DIR", "/nowhere")
            .current_dir(place.scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(given.as_bytes());
        child.wait_with_output().unwrap()
    };
    let said = |out: &Output| String::from_utf8_lossy(&out.stderr).into_owned();
    let out = client(&["ls", "--remote"], "");
    assert!(said(&out).contains("nobody is signed in"), "{out:?}");
    let login = [
        "login",
        "--server",
        &place.origin,
        "--user",
        "uma",
        "--ca",
        "ca.pem",
    ];
    let out = client(&login, &format!("{PASSWORD}\n\n"));
    assert!(out.status.success(), "{out:?}");
    for name in ["x509.key", "x509.pem"] {
        let mode = std::fs::metadata(home.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let out = client(&["ls", "--remote", "--json"], "");
    assert!(out.status.success(), "{out:?}");
    // What a user may not, is not theirs this way either.
    let out = client(&["user", "ls", "--remote"], "");
    assert!(
        !out.status.success() && said(&out).contains("role"),
        "{out:?}"
    );
    let lock = place.client(&["lock", "add", "user:uma"], "");
    let out = client(&["ls", "--remote"], "");
    assert!(said(&out).contains("user:uma is locked"), "{out:?}");
    place.client(&["lock", "rm", lock.trim()], "");
    place.client(&["user", "roles", "uma", "more"], "");
    let out = client(&["ls", "--remote"], "");
    assert!(said(&out).contains("sign in again"), "{out:?}");
    let out = client(&["logout"], "");
    assert!(
        out.status.success() && !home.join("x509.key").exists(),
        "{out:?}"
    );
    let out = client(&["ls", "--remote"], "");
    assert!(said(&out).contains("nobody is signed in"), "{out:?}");
}
