//! TLS of the web server's own: what it takes, what it tells browsers then, and a certificate that is exchanged
//! while connections go on.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;

use hansard_identity::tls::provider;
use hansard_tests::{Daemon, Scratch, repository};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::browser::{is_here, led};
use crate::place::{PASSWORD, Place, WITHIN, checked, wait_for};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Makes a certificate of this name that holds from so many days from now on until so many.
fn certificate(scratch: &Scratch, name: &str, (from, until): (&str, &str)) {
    let done = Command::new("python3")
        .arg("-B")
        .arg(repository().join("tests/tests/web/certificates.py"))
        .arg(scratch.path())
        .args([name, from, until])
        .output()
        .expect("python3 starts");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// The section `tls` with these two files.
fn section(scratch: &Scratch, certificate: &str, key: &str) -> String {
    let path = |name: &str| scratch.join(name).to_str().unwrap().to_owned();
    format!(
        "tls:\n  cert_file: {}\n  key_file: {}",
        path(certificate),
        path(key)
    )
}

pub(crate) fn place(name: &str) -> Place {
    let scratch = Scratch::new(name);
    certificate(&scratch, "web", ("-1", "30"));
    let web = section(&scratch, "web.pem", "web.key");
    Place::serving(scratch, &web)
}

pub(crate) fn host(place: &Place) -> &str {
    place
        .origin
        .strip_prefix("https://")
        .expect("it is reached by HTTPS")
}

/// Connects, believing in the tests' authority and in nobody else.
fn connect(place: &Place) -> Stream {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(place.scratch.join("ca.pem")).unwrap();
    roots.add(ca).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let tcp = TcpStream::connect(host(place)).unwrap();
    tcp.set_read_timeout(Some(WITHIN)).unwrap();
    StreamOwned::new(session, tcp)
}

/// Asks for something small on a connection that stays; the answer.
fn get(place: &Place, stream: &mut Stream) -> String {
    get_with(place, stream, "")
}

/// The same, with these lines of a head.
fn get_with(place: &Place, stream: &mut Stream, lines: &str) -> String {
    let host = host(place);
    write!(
        stream,
        "GET /v1/status HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n"
    )
    .unwrap();
    let mut text = String::new();
    let mut piece = [0; 4096];
    while !text.ends_with("}}\n") {
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "{text}");
        text.push_str(std::str::from_utf8(&piece[..n]).unwrap());
    }
    text
}

/// The certificate that a new connection is shown.
fn shown(place: &Place) -> Vec<u8> {
    let mut stream = connect(place);
    get(place, &mut stream);
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

/// Asks with a client of another making (OpenSSL's, by Python), which checks the certificate.
const CLIENT: &str = "
import http.client, json, ssl, sys
host, ca, password, newest = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.maximum_version = ssl.TLSVersion[newest]
connection = http.client.HTTPSConnection(host, context=context)
connection.request('POST', '/v1/sign-in', json.dumps({'user': 'ada', 'password': password}),
    {'Content-Type': 'application/json', 'Origin': 'https://' + host})
answer = connection.getresponse()
print(answer.status, connection.sock.version(), answer.getheader('Set-Cookie'),
    answer.getheader('Strict-Transport-Security'), sep='|')
";

#[test]
fn browsers_are_answered_by_tls_1_2_and_later_and_told_to_stay_with_it() {
    let place = place("web-tls");
    place.user("ada", "auditor", &["--no-totp"]);
    for (newest, version) in [("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3")] {
        let done = Command::new("python3")
            .args(["-c", CLIENT, host(&place)])
            .arg(place.scratch.join("ca.pem"))
            .args([PASSWORD, newest])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout).trim().to_owned();
        let complaint = String::from_utf8_lossy(&done.stderr);
        let said: Vec<&str> = said.split('|').collect();
        assert_eq!(said.len(), 4, "{complaint}");
        assert_eq!(said[..2], ["200", version]);
        assert!(
            said[2].contains("; HttpOnly; SameSite=Strict; Secure"),
            "{}",
            said[2]
        );
        assert_eq!(said[3], "max-age=31536000");
        // Only under the name that no other host of the domain can set.
        let (name, ticket) = said[2].split(';').next().unwrap().split_once('=').unwrap();
        assert_eq!(name, "__Host-hansard_session");
        assert!(said[2].contains("; Path=/;") && !said[2].contains("Domain"));
        for (name, status) in [(name, "200"), ("hansard_session", "401")] {
            let cookie = format!("Cookie: {name}={ticket}\r\n");
            let answer = get_with(&place, &mut connect(&place), &cookie);
            assert_eq!(answer.split(' ').nth(1), Some(status), "{name}");
        }
    }
    // What is older is turned away by us, not by the client.
    let old = Command::new("openssl")
        .args(["s_client", "-connect", host(&place), "-tls1_1"])
        .args(["-cipher", "DEFAULT:@SECLEVEL=0"])
        .stdin(Stdio::null())
        .output()
        .expect("openssl starts");
    let complaint = String::from_utf8_lossy(&old.stderr);
    assert!(complaint.contains("SSL alert number"), "{complaint}");
    // Who speaks no TLS hears nothing, and takes nobody's place.
    let mut plain = TcpStream::connect(host(&place)).unwrap();
    plain.set_read_timeout(Some(WITHIN)).unwrap();
    // One write: it may close as soon as it has read the beginning.
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", host(&place));
    plain.write_all(request.as_bytes()).unwrap();
    let mut said = Vec::new();
    match plain.read_to_end(&mut said) {
        Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset),
        // An alert is what there may be.
        Ok(_) => assert!(!said.starts_with(b"HTTP"), "{said:?}"),
    }
}

#[test]
fn a_certificate_is_exchanged_while_connections_go_on() {
    let place = place("web-tls-exchanged");
    // Somebody who asks nothing for some seconds is let go: so nothing that takes long is done while somebody stays, and
    // they ask all the time.
    for name in ["next", "other"] {
        certificate(&place.scratch, name, ("-1", "60"));
    }
    let take = |name: &str, end: &str| {
        let file = |name: &str| place.scratch.join(&format!("{name}.{end}"));
        std::fs::copy(file(name), file("web")).unwrap();
    };
    let first = shown(&place);
    let mut stays = connect(&place);
    let mut goes_on = || assert!(get(&place, &mut stays).contains("not_signed_in"));
    goes_on();
    take("next", "key");
    take("next", "pem");
    wait_for("the new certificate", || {
        goes_on();
        shown(&place) != first
    });
    let second = shown(&place);
    goes_on();
    // One that is of no use does not take its place, and is told of.
    let told = |success: bool| {
        let read = place.events("daemon.reload");
        read.into_iter()
            .filter(|event| event["success"] == success)
            .collect::<Vec<_>>()
    };
    take("other", "pem");
    wait_for("the fault", || {
        goes_on();
        !told(false).is_empty()
    });
    assert_eq!(shown(&place), second);
    let error = told(false)[0]["error"].as_str().unwrap().to_owned();
    assert!(
        error.contains("web.key: it is not the key of the certificate"),
        "{error}"
    );
    assert!(!told(true).is_empty());
    // With the second of the two files they are whole again.
    take("other", "key");
    wait_for("the third certificate", || {
        goes_on();
        shown(&place) != second
    });
    goes_on();
    assert_eq!(stays.conn.peer_certificates().unwrap()[0].to_vec(), first);
}

#[test]
fn files_that_are_of_no_use_are_named_before_it_starts() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new("web-tls-files");
    let mut daemon = Daemon::new(&scratch.join("service"), "keeper", "store: {}");
    daemon.must("init", &["--cluster", "test"]);
    for (name, days) in [
        ("web", ("-1", "30")),
        ("other", ("-1", "30")),
        ("old", ("-9", "-2")),
    ] {
        certificate(&scratch, name, days);
    }
    certificate(&scratch, "new", ("2", "9"));
    certificate(&scratch, "soon", ("-9", "3.5"));
    let mut configure = |web: &str| {
        let said = checked(&daemon, web);
        (
            said.clone(),
            !said.contains("error: ") || daemon.try_start(),
        )
    };
    let listen = "\nlisten: 127.0.0.1:0";
    let mut refused = |certificate: &str, key: &str, named: &str, words: &str| {
        let (said, starts) = configure(&(section(&scratch, certificate, key) + listen));
        assert!(
            said.contains(&format!("error: serve.web.tls.{named}: ")),
            "{words}: {said}"
        );
        assert!(said.contains(words), "{words}: {said}");
        assert!(!starts, "{words}");
    };
    refused(
        "web.pem",
        "other.key",
        "key_file",
        "it is not the key of the certificate",
    );
    refused(
        "old.pem",
        "old.key",
        "cert_file",
        "the certificate expired at 20",
    );
    refused(
        "new.pem",
        "new.key",
        "cert_file",
        "the certificate does not hold before 20",
    );
    refused("none.pem", "web.key", "cert_file", "none.pem: No such file");
    refused("web.pem", "web.pem", "key_file", "no private key in PEM");
    refused("web.key", "web.key", "cert_file", "no certificate in PEM");
    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(scratch.join("other.key"), readable).unwrap();
    refused("other.pem", "other.key", "key_file", "mode 0644");
    // What will end soon, or is for another name, is told, and starts.
    let (said, _) = configure(&(section(&scratch, "soon.pem", "soon.key") + listen));
    assert!(
        said.contains("warning: serve.web.tls.cert_file: the certificate ends in 3 days"),
        "{said}"
    );
    let named = "\nlisten: 127.0.0.1:0\norigin: https://audit.example";
    let (said, _) = configure(&(section(&scratch, "web.pem", "web.key") + named));
    assert!(
        said.contains("the certificate is not for audit.example"),
        "{said}"
    );
    // Without it nobody but this machine is let near.
    let (said, starts) = configure("listen: 0.0.0.0:0\norigin: https://audit.example");
    assert!(said.contains("error: serve.web.listen: "), "{said}");
    assert!(!starts);
}

#[test]
fn in_a_browser() {
    if !is_here() {
        return;
    }
    let place = place("web-tls-browser");
    place.user("ada", "auditor", &["--no-totp"]);
    let origin = place.origin.replace("127.0.0.1", "localhost");
    assert_eq!(led("tls.mjs", &origin, &[]), 2);
}
