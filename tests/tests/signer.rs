//! `hansard verify --trust`: who signed a recording, by key and by a cluster's authority; and
//! OpenSSL's own opinion of the certificates that say so.
#![allow(
    clippy::type_complexity,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hansard_core::event::End;
use hansard_core::seal::SigningKey;
use hansard_core::session::ClockQuality;
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Fields, Policy, Session, SessionId, Stream, Value};
use hansard_identity::Authority;
use hansard_identity::host_identity::{HostIdentity, HostKeys};
use hansard_identity::recorder::CERTIFICATE_FIELD;
use hansard_identity::registry::{Enrolment, Registry};
use hansard_identity::token::JoinAs;
use hansard_tests::{Scratch, hansard, skipped};
use serde_json::Value as Json;

/// 2026-11-21T08:00:00Z.
const NOW: u64 = 1_795_248_000_000_000_000;
const HOUR: u64 = 3_600_000_000_000;

/// An authority, a service and a host of it.
struct Cluster {
    directory: PathBuf,
    host: HostIdentity,
    service: HostIdentity,
}

fn cluster(scratch: &Scratch, name: &str, seed: u64) -> Cluster {
    let directory = scratch.join(name);
    let count = AtomicU64::new(seed);
    let random = Arc::new(move |bytes: &mut [u8]| -> io::Result<()> {
        for byte in bytes {
            let n = count.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            *byte = (n.wrapping_mul(n | 1) >> 56) as u8;
        }
        Ok(())
    });
    let authority = Authority::create(&directory, "prod.example", NOW, &*random).unwrap();
    let authority = Arc::new(authority);
    let (at, own) = (directory.join("registry"), authority.own().der.clone());
    Registry::create(&at).unwrap();
    let (registry, _) = Registry::open(&at, authority, random.clone()).unwrap();

    let made = registry.create_token(JoinAs::Host, 1, HOUR, "root", NOW);
    let token = made.unwrap().answer.reveal();
    let keys = HostKeys::create(&directory.join("host"), &*random).unwrap();
    let request = keys.join_request(&token, "web-1", BTreeMap::new(), Vec::new());
    let joined = registry.join(&request, NOW).unwrap().answer;
    keys.store(&joined, &own, NOW).unwrap();

    let keys = HostKeys::create(&directory.join("service"), &*random).unwrap();
    let enrolment = Enrolment {
        name: "store-1".to_owned(),
        labels: BTreeMap::new(),
        server_names: vec!["store.example".to_owned(), "::1".to_owned()],
        tls_key: keys.tls().public(),
        recorder_key: keys.recorder().public(),
    };
    let enrolled = registry.enrol(&enrolment, NOW).unwrap().answer;
    keys.store(&enrolled, &own, NOW).unwrap();
    let open = |name: &str| HostIdentity::open(&directory.join(name)).unwrap().unwrap();
    Cluster {
        host: open("host"),
        service: open("service"),
        directory,
    }
}

/// A small recording, signed with this key and carrying this certificate.
fn recording(path: &Path, key: &SigningKey, certificate: Option<&[u8]>, start_utc_ns: u64) {
    let mut target = Fields::new();
    if let Some(certificate) = certificate {
        target.push(CERTIFICATE_FIELD, Value::Bytes(certificate.to_vec()));
    }
    let session = Session {
        id: SessionId::new_v7(NOW / 1_000_000, [9; 10]),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", "ada"),
        origin: Fields::new(),
        target,
        start_utc_ns,
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "test".to_owned(),
    };
    let mut writer = SegmentWriter::new(session, key.clone(), Bounds::default()).unwrap();
    writer.push_data(1, Stream::Output, b"hello").unwrap();
    writer.finish(2, &End::default()).unwrap();
    let parts = writer.parts();
    let bytes: Vec<u8> = parts
        .iter()
        .flat_map(|part| part.bytes().to_vec())
        .collect();
    fs::write(path, bytes).unwrap();
}

fn verify(file: &Path, trust: &[PathBuf], json: bool) -> Output {
    let mut command = Command::new(hansard());
    command.arg("verify").arg(file);
    for trust in trust {
        command.arg("--trust").arg(trust);
    }
    if json {
        command.arg("--json");
    }
    command.output().unwrap()
}

/// Exit status and text, and that JSON says the same.
fn verdict(file: &Path, trust: &[PathBuf]) -> (i32, String, Json) {
    let text = verify(file, trust, false);
    let json = verify(file, trust, true);
    assert_eq!(text.status.code(), json.status.code());
    let said = [text.stdout, text.stderr].concat();
    (
        text.status.code().unwrap(),
        String::from_utf8(said).unwrap(),
        serde_json::from_slice(&json.stdout).unwrap_or_default(),
    )
}

#[test]
fn verify_says_which_host_signed() {
    let scratch = Scratch::new("signer");
    let (ours, foreign) = (
        cluster(&scratch, "ours", 1),
        cluster(&scratch, "foreign", 99),
    );
    let authority = [ours.directory.join("authority.pem")];
    let others = [foreign.directory.join("authority.pem")];
    let file = scratch.join("r.hansard");
    let (host, key) = (&ours.host, ours.host.recorder_key());
    let certificate = Some(host.recorder_certificate());
    recording(&file, &key, certificate, NOW);

    let (status, text, json) = verdict(&file, &authority);
    let signed = format!(
        "signed by host web-1 ({}) of cluster prod.example",
        host.id()
    );
    assert!(status == 0 && text.contains(&signed), "{text}");
    assert_eq!(json["signer"], "trusted");
    assert_eq!(json["signed_by"]["name"], "web-1");
    assert_eq!(json["signed_by"]["kind"], "host");
    assert_eq!(json["signed_by"]["id"], host.id().to_string());
    assert_eq!(json["signed_by"]["cluster"], "prod.example");
    assert_eq!(json["signer_error"], Json::Null);

    // Nobody named: nothing is claimed. Several named: one that fits is enough.
    let (status, text, json) = verdict(&file, &[]);
    assert!(
        status == 0 && text.contains("(unchecked)") && !text.contains("web-1"),
        "{text}"
    );
    assert_eq!(json["signed_by"], Json::Null);
    let both = [others[0].clone(), authority[0].clone()];
    assert_eq!(verdict(&file, &both).0, 0);

    let cases: [(&str, &SigningKey, Option<&[u8]>, u64, &[PathBuf]); 7] = [
        (
            "another cluster of that name",
            &key,
            certificate,
            NOW,
            &others,
        ),
        ("no certificate", &key, None, NOW, &authority),
        (
            "a TLS certificate",
            &key,
            Some(host.tls_certificate()),
            NOW,
            &authority,
        ),
        (
            "the authority's own",
            &key,
            Some(host.authority()),
            NOW,
            &authority,
        ),
        (
            "another's certificate",
            &key,
            Some(ours.service.recorder_certificate()),
            NOW,
            &authority,
        ),
        (
            "from before it joined",
            &key,
            certificate,
            NOW - 2 * HOUR,
            &authority,
        ),
        (
            "no bytes of a certificate",
            &key,
            Some(b"\x30\x82"),
            NOW,
            &authority,
        ),
    ];
    for (what, key, certificate, start, trust) in cases {
        recording(&file, key, certificate, start);
        let (status, text, json) = verdict(&file, trust);
        assert!(
            status == 3 && text.contains("not signed by whom you trust"),
            "{what}: {text}"
        );
        assert_eq!(json["signer"], "not trusted", "{what}");
        assert!(
            json["signer_error"].as_str().is_some_and(|e| e.len() > 10),
            "{what}"
        );
        assert_eq!(json["signed_by"], Json::Null, "{what}");
    }
    // A key of one's own under the certificate of a host.
    recording(&file, &SigningKey::from_seed([5; 32]), certificate, NOW);
    assert_eq!(verdict(&file, &authority).0, 3);

    recording(
        &file,
        &ours.service.recorder_key(),
        Some(ours.service.recorder_certificate()),
        NOW,
    );
    let (status, text, json) = verdict(&file, &authority);
    assert!(
        status == 0 && text.contains("signed by service store-1 ("),
        "{text}"
    );
    assert_eq!(json["signed_by"]["kind"], "service");
}

#[test]
fn only_an_authority_is_taken_for_one() {
    let scratch = Scratch::new("signer-anchor");
    let ours = cluster(&scratch, "ours", 1);
    let file = scratch.join("r.hansard");
    let key = ours.host.recorder_key();
    recording(&file, &key, Some(ours.host.recorder_certificate()), NOW);
    let twice = scratch.join("twice.pem");
    let pem = fs::read_to_string(ours.directory.join("authority.pem")).unwrap();
    fs::write(&twice, format!("{pem}{pem}")).unwrap();
    let broken = scratch.join("broken.pem");
    fs::write(&broken, pem.replace("MII", "MIJ")).unwrap();
    for trust in [ours.directory.join("host/recorder.pem"), twice, broken] {
        let (status, text, _) = verdict(&file, std::slice::from_ref(&trust));
        assert_eq!(status, 2, "{text}");
        assert!(text.contains("hint:"), "{text}");
    }
}

/// `openssl verify` with these words, at our time.
fn openssl(authority: &Path, words: &[&str], certificate: &Path) -> bool {
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-attime"])
        .arg((NOW / 1_000_000_000).to_string())
        .arg("-CAfile")
        .arg(authority)
        .args(words)
        .arg(certificate)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() || said.contains("error"), "{said}");
    output.status.success()
}

#[test]
fn openssl_takes_our_certificates_for_what_they_are() {
    let version = Command::new("openssl").arg("version").output();
    if !version.is_ok_and(|v| v.status.success()) {
        return skipped("openssl is not installed");
    }
    let scratch = Scratch::new("openssl");
    let (ours, foreign) = (
        cluster(&scratch, "ours", 1),
        cluster(&scratch, "foreign", 99),
    );
    let authority = ours.directory.join("authority.pem");
    let checked = Cell::new(0);
    let check = |file: &str, words: &[&str], fine: bool| {
        checked.set(checked.get() + 1);
        let certificate = ours.directory.join(file);
        assert_eq!(
            openssl(&authority, words, &certificate),
            fine,
            "{file} {words:?}"
        );
    };
    check("authority.pem", &[], true);
    check("host/tls.pem", &["-purpose", "sslclient"], true);
    check("host/tls.pem", &["-purpose", "sslserver"], false);
    check("service/tls.pem", &["-purpose", "sslserver"], true);
    check("service/tls.pem", &["-purpose", "sslclient"], false);
    check(
        "service/tls.pem",
        &["-verify_hostname", "store.example"],
        true,
    );
    check("service/tls.pem", &["-verify_ip", "::1"], true);
    check(
        "service/tls.pem",
        &["-verify_hostname", "else.example"],
        false,
    );
    for recorder in ["host/recorder.pem", "service/recorder.pem"] {
        check(recorder, &[], true);
        check(recorder, &["-purpose", "sslclient"], false);
        check(recorder, &["-purpose", "sslserver"], false);
    }
    assert_eq!(checked.get(), 14);
    let theirs = foreign.directory.join("host/tls.pem");
    assert!(!openssl(&authority, &[], &theirs));
    // OpenSSL reads our keys, and finds them to fit.
    for name in ["host/tls", "host/recorder", "service/tls", "authority"] {
        let of = |command: &str, file: String| {
            let output = Command::new("openssl")
                .args([command, "-in"])
                .arg(ours.directory.join(file))
                .args(if command == "x509" {
                    &["-noout", "-pubkey"][..]
                } else {
                    &["-pubout"]
                })
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            output.stdout
        };
        assert_eq!(
            of("x509", format!("{name}.pem")),
            of("pkey", format!("{name}.key")),
            "{name}"
        );
    }
}
