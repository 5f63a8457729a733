//! Certificates that no authority of ours issues, and those that it issued in hands they are not
//! for. Each is refused by our own reading and, where it comes to that, by the TLS library.

#![cfg(feature = "authority")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::sync::Arc;

use hansard_identity::authority::{Authority, Subject};
use hansard_identity::certificate::Certificate;
use hansard_identity::key::PrivateKey;
use hansard_identity::tls::peer_of;
use hansard_identity::{HostId, Principal, check_recorder};
use proptest::prelude::*;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ED25519, SanType,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;

use support::{HOUR, NOW, SECOND, Scratch, YEAR, random};

fn id() -> HostId {
    HostId::new_v7(0x0189_0a5d_ac96, [3; 10])
}

fn key_pair(seed: u8) -> KeyPair {
    let key = PrivateKey::from_seed([seed; 32]).pkcs8();
    let pkcs8 = PrivatePkcs8KeyDer::from(key.secret_pkcs8_der().to_vec());
    KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ED25519).unwrap()
}

/// An authority of a test, whose key the test has: it can issue anything.
struct Forge {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
    own: Certificate,
}

impl Forge {
    fn new() -> Self {
        let scratch = Scratch::new("forge");
        let made = Authority::create(&scratch.0, "prod", NOW, &*random(1)).unwrap();
        let der = made.own().der.clone();
        let pem = std::fs::read_to_string(scratch.0.join("authority.key")).unwrap();
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(&pem, &PKCS_ED25519).unwrap();
        let issuer = Issuer::from_ca_cert_der(&CertificateDer::from(der.as_slice()), key).unwrap();
        let own = Certificate::read(&der).unwrap();
        Self { issuer, der, own }
    }

    /// What our authority would issue to a host, changed.
    fn forged(&self, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = leaf();
        change(&mut params);
        let forged = params.signed_by(&key_pair(5), &self.issuer).unwrap();
        forged.der().to_vec()
    }
}

fn ia5(text: &str) -> Ia5String {
    Ia5String::try_from(text).unwrap()
}

fn uri(text: &str) -> SanType {
    SanType::URI(ia5(text))
}

fn leaf() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(2026, 11, 21);
    params.not_after = rcgen::date_time_ymd(2026, 11, 22);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "web-1");
    params.subject_alt_names = vec![uri(&Principal::Host(id()).uri("prod"))];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn refused_as_peer(forge: &Forge, der: &[u8]) -> Option<String> {
    let shown = [CertificateDer::from(der.to_vec())];
    peer_of(Some(&shown), &forge.own, NOW)
        .err()
        .map(|e| e.to_string())
}

#[test]
fn the_unchanged_one_is_taken() {
    let forge = Forge::new();
    assert_eq!(refused_as_peer(&forge, &forge.forged(|_| {})), None);
}

#[test]
fn every_change_is_refused() {
    use ExtendedKeyUsagePurpose as Eku;
    let forge = Forge::new();
    let host = Principal::Host(id()).uri("prod");
    let critical = |oid: &[u64]| {
        let mut extension = CustomExtension::from_oid_content(oid, vec![5, 0]);
        extension.set_criticality(true);
        extension
    };
    type Change<'a> = (&'a str, Box<dyn FnOnce(&mut CertificateParams) + 'a>);
    let names = |names: Vec<SanType>| {
        Box::new(move |p: &mut CertificateParams| p.subject_alt_names = names)
    };
    let common = |name: &'static str| {
        Box::new(move |p: &mut CertificateParams| {
            p.distinguished_name.push(DnType::CommonName, name);
        })
    };
    let purposes = |purposes: Vec<Eku>| {
        Box::new(move |p: &mut CertificateParams| p.extended_key_usages = purposes)
    };
    let changes: Vec<Change<'_>> = vec![
        (
            "CA:TRUE",
            Box::new(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ),
        (
            "an authority by its uses, too",
            Box::new(|p| {
                p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
                p.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
                p.extended_key_usages.clear();
            }),
        ),
        ("no basic constraints", Box::new(|p| p.is_ca = IsCa::NoCa)),
        ("no key usage", Box::new(|p| p.key_usages.clear())),
        (
            "more key usages",
            Box::new(|p| p.key_usages.push(KeyUsagePurpose::KeyCertSign)),
        ),
        ("no purpose", purposes(vec![])),
        (
            "two purposes",
            purposes(vec![Eku::ClientAuth, Eku::ServerAuth]),
        ),
        ("any purpose", purposes(vec![Eku::Any])),
        ("client and any", purposes(vec![Eku::ClientAuth, Eku::Any])),
        ("another purpose", purposes(vec![Eku::CodeSigning])),
        (
            "a purpose of its own",
            purposes(vec![Eku::Other(vec![1, 2, 3, 4])]),
        ),
        (
            "a recorder's",
            purposes(vec![Eku::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 36])]),
        ),
        ("a service's purpose", purposes(vec![Eku::ServerAuth])),
        ("no names", names(vec![])),
        ("two URIs", names(vec![uri(&host), uri(&host)])),
        (
            "another cluster",
            names(vec![uri(&Principal::Host(id()).uri("test"))]),
        ),
        (
            "a service's URI",
            names(vec![uri(&Principal::Service(id()).uri("prod"))]),
        ),
        (
            "the authority's URI",
            names(vec![uri(&Principal::Authority.uri("prod"))]),
        ),
        ("a strange URI", names(vec![uri("https://prod/host/1")])),
        ("a URI with a query", names(vec![uri(&format!("{host}?x"))])),
        (
            "a URI with a line in it",
            names(vec![uri(&format!("{host}\nhansard://prod/service/1"))]),
        ),
        ("a URI with a NUL", names(vec![uri(&format!("{host}\0"))])),
        (
            "a URI with a path",
            names(vec![uri("hansard://prod/host/../../etc")]),
        ),
        (
            "a DNS name beside",
            names(vec![uri(&host), SanType::DnsName(ia5("web-1"))]),
        ),
        (
            "a wildcard beside",
            names(vec![uri(&host), SanType::DnsName(ia5("*"))]),
        ),
        (
            "an address beside",
            names(vec![uri(&host), SanType::IpAddress([127, 0, 0, 1].into())]),
        ),
        (
            "a mail address beside",
            names(vec![uri(&host), SanType::Rfc822Name(ia5("a@b"))]),
        ),
        (
            "only a DNS name",
            names(vec![SanType::DnsName(ia5("web-1"))]),
        ),
        (
            "no common name",
            Box::new(|p| p.distinguished_name = DistinguishedName::new()),
        ),
        ("an empty common name", common("")),
        ("a line in the name", common("web-1\nweb-2")),
        ("an escape in the name", common("\u{1b}]0;x\u{7}")),
        ("a path as name", common("../../x")),
        ("a wildcard as name", common("*")),
        (
            "more of a subject",
            Box::new(|p| p.distinguished_name.push(DnType::OrganizationName, "x")),
        ),
        (
            "a critical extension nobody knows",
            Box::new(move |p| {
                p.custom_extensions
                    .push(critical(&[1, 3, 6, 1, 4, 1, 99_999, 1]));
            }),
        ),
        (
            "critical policies",
            Box::new(move |p| p.custom_extensions.push(critical(&[2, 5, 29, 36]))),
        ),
        (
            "basic constraints twice",
            Box::new(|p| {
                let twice = CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 0]);
                p.custom_extensions.push(twice);
            }),
        ),
        (
            "expired",
            Box::new(|p| p.not_after = rcgen::date_time_ymd(2026, 11, 20)),
        ),
        (
            "not yet",
            Box::new(|p| p.not_before = rcgen::date_time_ymd(2026, 11, 22)),
        ),
        (
            "before 1970",
            Box::new(|p| p.not_before = rcgen::date_time_ymd(1960, 1, 1)),
        ),
        (
            "64 KiB of name",
            Box::new(|p| {
                p.distinguished_name
                    .push(DnType::CommonName, "a".repeat(64 * 1024));
            }),
        ),
    ];
    for (what, change) in changes {
        let der = forge.forged(change);
        let refused = refused_as_peer(&forge, &der);
        let refused = refused.unwrap_or_else(|| panic!("{what} was taken"));
        assert!(
            !refused.contains(['\n', '\u{1b}']) && refused.len() < 200,
            "{refused}"
        );
    }
}

#[test]
fn an_extension_that_is_not_critical_may_be_there() {
    let forge = Forge::new();
    let der = forge.forged(|p| {
        let oid = [1, 3, 6, 1, 4, 1, 99_999, 1];
        p.custom_extensions
            .push(CustomExtension::from_oid_content(&oid, vec![5, 0]));
    });
    assert_eq!(refused_as_peer(&forge, &der), None);
}

/// CVE-2025-49825: a host that signs certificates with its own key.
#[test]
fn a_host_is_no_authority() {
    let forge = Forge::new();
    let host = forge.forged(|_| {});
    let by_host = Issuer::from_ca_cert_der(&CertificateDer::from(host.as_slice()), key_pair(5));
    let made = leaf().signed_by(&key_pair(6), &by_host.unwrap()).unwrap();
    assert!(refused_as_peer(&forge, made.der()).is_some());
    let signer = Certificate::read(&host).unwrap();
    let leaf = Certificate::read(made.der()).unwrap();
    let refused = leaf.is_issued_by(&signer).unwrap_err();
    assert!(refused.to_string().contains("alone may issue"), "{refused}");

    // Nor for the TLS library, with the host's own certificate sent along as if it were one. (One
    // that our key had signed as an authority would be one for that library, which does not heed the
    // length of a root's path. For us nothing stands between the authority and who it certifies.)
    let second = forge.forged(|p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        p.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        p.extended_key_usages.clear();
    });
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(forge.der.as_slice()))
        .unwrap();
    let provider = hansard_identity::tls::provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = verifier.build().unwrap();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_nanos(NOW));
    let verify = |leaf: &CertificateDer<'_>, between: &[u8]| {
        verifier.verify_client_cert(leaf, &[CertificateDer::from(between)], now)
    };
    assert!(verify(&CertificateDer::from(host.as_slice()), &host).is_ok());
    assert!(verify(made.der(), &host).is_err());
    let by_second = Issuer::from_ca_cert_der(&CertificateDer::from(second.as_slice()), key_pair(5));
    let made = self::leaf()
        .signed_by(&key_pair(6), &by_second.unwrap())
        .unwrap();
    assert!(verify(made.der(), &second).is_ok());
    assert!(refused_as_peer(&forge, made.der()).is_some());
}

#[test]
fn other_signers_and_other_keys_are_refused() {
    let forge = Forge::new();
    // Signed by oneself.
    let own = leaf().self_signed(&key_pair(5)).unwrap();
    assert!(refused_as_peer(&forge, own.der()).is_some());
    // By an authority of the same name, whose certificate looks the same.
    let mut params = leaf();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages.clear();
    params.subject_alt_names = vec![uri(&Principal::Authority.uri("prod"))];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "prod");
    let twin = params.self_signed(&key_pair(9)).unwrap();
    let issuer = Issuer::from_ca_cert_der(twin.der(), key_pair(9)).unwrap();
    let theirs = leaf().signed_by(&key_pair(5), &issuer).unwrap();
    assert!(refused_as_peer(&forge, theirs.der()).is_some());
    let twin = Certificate::read(twin.der()).unwrap();
    assert!(twin.is_authority().is_ok());
    assert!(
        Certificate::read(theirs.der())
            .unwrap()
            .is_issued_by(&twin)
            .is_ok()
    );
    // Another kind of key.
    let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let made = leaf().signed_by(&other, &forge.issuer).unwrap();
    assert!(refused_as_peer(&forge, made.der()).is_some());
}

#[test]
fn a_recording_is_signed_by_who_was_certified_for_it() {
    let scratch = Scratch::new("recorder");
    let random = random(2);
    let authority = Authority::create(&scratch.0, "prod", NOW, &*random).unwrap();
    let der = authority.own().der.clone();
    let (key, other) = ([1u8; 32], [2u8; 32]);
    let key = PrivateKey::from_seed(key).public();
    let other = PrivateKey::from_seed(other).public();
    let subject = |principal| Subject {
        principal,
        name: "web-1",
        key,
    };
    let host = subject(Principal::Host(id()));
    let recorder = authority.issue_recorder(host, NOW, &*random).unwrap();
    let peer = check_recorder(&recorder.der, &der, &key, NOW).unwrap();
    let said = peer.to_string();
    assert_eq!(said, format!("host web-1 ({}) of cluster prod", id()));
    assert!(check_recorder(&recorder.der, &der, &key, NOW + 9 * YEAR).is_ok());

    let tls = authority.issue_client(host, NOW, &*random).unwrap();
    let forge = Forge::new();
    for (what, certificate, authority, key, at) in [
        ("another key", &recorder.der, &der, other, NOW),
        ("a TLS certificate", &tls.der, &der, key, NOW),
        ("another authority", &recorder.der, &forge.der, key, NOW),
        (
            "the host as authority",
            &recorder.der,
            &recorder.der,
            key,
            NOW,
        ),
        ("the authority as recorder", &der, &der, key, NOW),
        ("before it", &recorder.der, &der, key, NOW - HOUR - SECOND),
        ("after it", &recorder.der, &der, key, NOW + 11 * YEAR),
        ("1970", &recorder.der, &der, key, 0),
        ("never", &recorder.der, &der, key, u64::MAX),
    ] {
        assert!(
            check_recorder(certificate, authority, &key, at).is_err(),
            "{what}"
        );
    }
    assert!(
        authority
            .issue_client(subject(Principal::Authority), NOW, &*random)
            .is_err()
    );
    // What is issued near the authority's end ends with it.
    let late = authority
        .issue_recorder(host, NOW + 15 * YEAR, &*random)
        .unwrap();
    assert_eq!(
        late.certificate.not_after_s,
        authority.own().certificate.not_after_s
    );
}

#[test]
fn no_changed_bit_is_believed() {
    let forge = Forge::new();
    let der = forge.forged(|_| {});
    let believed = (0..der.len() * 8).filter(|bit| {
        let mut der = der.clone();
        der[bit / 8] ^= 1 << (bit % 8);
        refused_as_peer(&forge, &der).is_none()
    });
    assert_eq!(believed.collect::<Vec<_>>(), Vec::<usize>::new());
}

#[test]
fn cut_off_anywhere_it_is_none() {
    let der = Forge::new().forged(|_| {});
    for cut in 0..der.len() {
        assert!(Certificate::read(&der[..cut]).is_err());
    }
    let longer = [der.as_slice(), &[0]].concat();
    assert!(Certificate::read(&longer).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_no_certificate(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Certificate::read(&bytes).is_err());
        prop_assert!(Certificate::from_pem(&bytes).is_err());
    }
}

/// What x509-parser makes of a certificate, as far as ours reads it too.
fn second_opinion(der: &[u8]) -> Option<(Vec<u8>, i64, i64, String, String, String)> {
    use x509_parser::extensions::{GeneralName, ParsedExtension};
    let (rest, x509) = x509_parser::parse_x509_certificate(der).ok()?;
    let key = x509.public_key().subject_public_key.data.to_vec();
    let name = x509
        .subject()
        .iter_common_name()
        .next()?
        .as_str()
        .ok()?
        .to_owned();
    let uris = x509
        .extensions()
        .iter()
        .find_map(|e| match e.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => {
                names.general_names.iter().find_map(|n| match n {
                    GeneralName::URI(uri) => Some((*uri).to_owned()),
                    _ => None,
                })
            }
            _ => None,
        });
    let validity = x509.validity();
    let (from, to) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    let serial = x509.raw_serial_as_string().replace(':', "");
    rest.is_empty()
        .then_some((key, from, to, name, uris?, serial))
}

/// Whatever ours takes, the other library takes, and reads the same in it: over every change of one
/// byte in certificates of every kind, whose signatures are left out of it here.
#[test]
fn a_second_reader_reads_the_same() {
    let scratch = Scratch::new("second");
    let random = random(3);
    let authority = Authority::create(&scratch.0, "prod", NOW, &*random).unwrap();
    let subject = |principal| Subject {
        principal,
        name: "web-1",
        key: [7; 32],
    };
    let (host, service) = (
        subject(Principal::Host(id())),
        subject(Principal::Service(id())),
    );
    let names = [
        "store.example".to_owned(),
        "::1".to_owned(),
        "10.0.0.1".to_owned(),
    ];
    let (mut taken, mut refused) = (0, 0);
    for der in [
        authority.own().der.clone(),
        authority.issue_client(host, NOW, &*random).unwrap().der,
        authority
            .issue_server(service, &names, NOW + 25 * YEAR / 2, &*random)
            .unwrap()
            .der,
        authority
            .issue_recorder(service, NOW, &*random)
            .unwrap()
            .der,
    ] {
        for at in 0..der.len() {
            for change in [
                0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x7f, 0x11,
            ] {
                let mut der = der.clone();
                der[at] ^= change;
                let Ok(ours) = Certificate::read(&der) else {
                    refused += 1;
                    continue;
                };
                taken += 1;
                let read = (
                    ours.key.to_vec(),
                    i64::try_from(ours.not_before_s).unwrap(),
                    i64::try_from(ours.not_after_s).unwrap(),
                    ours.name,
                    ours.principal.uri(&ours.cluster),
                    ours.serial,
                );
                assert_eq!(second_opinion(&der), Some(read), "byte {at} ^ {change:#x}");
            }
        }
    }
    assert!(taken > 1000 && refused > 1000, "{taken} {refused}");
}
