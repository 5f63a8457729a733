//! Real TLS handshakes, over memory.

#![cfg(feature = "authority")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hansard_identity::host_identity::HostIdentity;
use hansard_identity::tls::{
    CaPin, Clients, LiveCertificate, Trusted, client_config, joining_config, peer_of, server_config,
};
use hansard_identity::token::JoinAs;
use hansard_identity::{Peer, Principal};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection};

use support::{Cluster, HOUR, NOW, SECOND, YEAR};

#[derive(Debug)]
struct At(u64);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_nanos(self.0)))
    }
}

fn live(identity: &HostIdentity) -> Arc<LiveCertificate> {
    let key = identity.keys().tls();
    let live = LiveCertificate::new(identity.tls_certificate(), identity.authority(), key);
    Arc::new(live.unwrap())
}

fn server(service: &HostIdentity, clients: Clients, now: u64) -> ServerConfig {
    server_config(
        service.authority(),
        live(service),
        clients,
        Arc::new(At(now)),
    )
    .unwrap()
}

fn client(host: &HostIdentity, now: u64) -> ClientConfig {
    client_config(host.authority(), Some(live(host)), Arc::new(At(now))).unwrap()
}

/// Shakes hands; both ends, or the first refusal.
fn shake(
    client: ClientConfig,
    server: ServerConfig,
    name: &str,
) -> Result<(ClientConnection, ServerConnection), String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).map_err(|e| e.to_string())?;
    let mut server = ServerConnection::new(Arc::new(server)).map_err(|e| e.to_string())?;
    for _ in 0..10 {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server
            .process_new_packets()
            .map_err(|e| format!("server: {e}"))?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client
            .process_new_packets()
            .map_err(|e| format!("client: {e}"))?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((client, server))
}

fn seen(cluster: &Cluster, server: &ServerConnection, now: u64) -> Option<Peer> {
    let authority = &cluster.authority.own().certificate;
    peer_of(server.peer_certificates(), authority, now).unwrap()
}

#[test]
fn host_and_service_know_each_other() {
    let cluster = Cluster::new("prod", 21);
    let (service, host) = (cluster.service("store.example"), cluster.host("web-1"));
    for name in ["store.example", "127.0.0.1"] {
        let both = shake(
            client(&host, NOW),
            server(&service, Clients::Certified, NOW),
            name,
        );
        let (client, server) = both.unwrap();
        assert_eq!(seen(&cluster, &server, NOW), Some(host.peer()));
        assert_eq!(client.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(
            client.protocol_version(),
            Some(rustls::ProtocolVersion::TLSv1_3)
        );
        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(client.tls13_tickets_received(), 0);
    }
    let wrong = shake(
        client(&host, NOW),
        server(&service, Clients::Certified, NOW),
        "else.example",
    );
    assert!(wrong.err().unwrap().starts_with("client: "));
}

#[test]
fn without_a_certificate_one_is_nobody() {
    let cluster = Cluster::new("prod", 22);
    let service = cluster.service("store.example");
    let anonymous = || client_config(service.authority(), None, Arc::new(At(NOW))).unwrap();
    let (_, end) = shake(
        anonymous(),
        server(&service, Clients::OrAnonymous, NOW),
        "store.example",
    )
    .unwrap();
    assert_eq!(seen(&cluster, &end, NOW), None);
    let refused = shake(
        anonymous(),
        server(&service, Clients::Certified, NOW),
        "store.example",
    );
    assert!(refused.err().unwrap().starts_with("server: "));
}

#[test]
fn a_cluster_of_the_same_name_is_another() {
    let (cluster, foreign) = (Cluster::new("prod", 23), Cluster::new("prod", 24));
    let (service, host) = (cluster.service("store.example"), cluster.host("web-1"));
    let (their_service, their_host) = (foreign.service("store.example"), foreign.host("web-1"));
    let both = shake(
        client(&host, NOW),
        server(&their_service, Clients::Certified, NOW),
        "store.example",
    );
    assert!(both.err().unwrap().starts_with("client: "));
    // Their host, which was made to believe in our service.
    for clients in [Clients::Certified, Clients::OrAnonymous] {
        let config = client_config(
            service.authority(),
            Some(live(&their_host)),
            Arc::new(At(NOW)),
        );
        let both = shake(
            config.unwrap(),
            server(&service, clients, NOW),
            "store.example",
        );
        assert!(both.err().unwrap().starts_with("server: "));
    }
    let authority = &cluster.authority.own().certificate;
    let shown = [their_host.tls_certificate().to_vec().into()];
    assert!(peer_of(Some(&shown), authority, NOW).is_err());
    assert!(peer_of(Some(&[]), authority, NOW).is_err());
}

#[test]
fn certificates_hold_for_a_day_and_for_their_purpose() {
    let cluster = Cluster::new("prod", 25);
    let (service, host) = (cluster.service("store.example"), cluster.host("web-1"));
    let day = 24 * HOUR;
    for (client_at, server_at, fine) in [
        (NOW, NOW, true),
        (NOW - HOUR, NOW - HOUR, true),
        (NOW + day, NOW + day, true),
        (NOW, NOW + day + SECOND, false),
        (NOW + day + SECOND, NOW, false),
        (NOW, NOW - HOUR - SECOND, false),
        (NOW + 10 * YEAR, NOW, false),
        (NOW - 10 * YEAR, NOW, false),
        (NOW, NOW + 10 * YEAR, false),
    ] {
        let both = shake(
            client(&host, client_at),
            server(&service, Clients::Certified, server_at),
            "store.example",
        );
        assert_eq!(
            both.is_ok(),
            fine,
            "{client_at} {server_at} {:?}",
            both.err()
        );
    }
    // A host is no service, a service is no host, and a recorder key is neither.
    let swapped = shake(
        client(&host, NOW),
        server(&host, Clients::Certified, NOW),
        "web-1",
    );
    assert!(swapped.err().unwrap().starts_with("client: "));
    let swapped = shake(
        client(&service, NOW),
        server(&service, Clients::Certified, NOW),
        "store.example",
    );
    assert!(swapped.err().unwrap().starts_with("server: "));
    let recorder = LiveCertificate::new(
        host.recorder_certificate(),
        host.authority(),
        host.keys().recorder(),
    );
    let config = client_config(
        host.authority(),
        Some(Arc::new(recorder.unwrap())),
        Arc::new(At(NOW)),
    );
    let as_client = shake(
        config.unwrap(),
        server(&service, Clients::OrAnonymous, NOW),
        "store.example",
    );
    assert!(as_client.err().unwrap().starts_with("server: "));
    let authority = &cluster.authority.own().certificate;
    for shown in [
        host.recorder_certificate(),
        service.tls_certificate(),
        host.authority(),
    ] {
        assert!(peer_of(Some(&[shown.to_vec().into()]), authority, NOW).is_err());
    }
    // Key and certificate of different uses do not go together at all.
    let mixed = LiveCertificate::new(
        host.tls_certificate(),
        host.authority(),
        host.keys().recorder(),
    );
    assert!(mixed.is_err());
}

#[test]
fn a_renewed_certificate_is_used_without_a_restart() {
    let cluster = Cluster::new("prod", 26);
    let (service, host) = (cluster.service("store.example"), cluster.host("web-1"));
    let (own, later) = (live(&host), NOW + 23 * HOUR);
    let config =
        || client_config(host.authority(), Some(own.clone()), Arc::new(At(later))).unwrap();
    let live_service = live(&service);
    let serving = |at| {
        let time = Arc::new(At(at));
        server_config(
            service.authority(),
            live_service.clone(),
            Clients::Certified,
            time,
        )
        .unwrap()
    };
    let (_, end) = shake(config(), serving(later), "store.example").unwrap();
    assert_eq!(
        seen(&cluster, &end, later).unwrap().serial,
        host.peer().serial
    );

    let renewed = cluster
        .registry
        .renew(None, &host.renew_request(), later)
        .unwrap();
    let (tls, der) =
        hansard_identity::Certificate::from_pem(renewed.answer.tls.as_bytes()).unwrap();
    own.replace(&der, host.authority(), host.keys().tls())
        .unwrap();
    assert!(
        own.replace(&der, host.authority(), host.keys().recorder())
            .is_err()
    );
    let (_, end) = shake(config(), serving(later), "store.example").unwrap();
    assert_eq!(seen(&cluster, &end, later).unwrap().serial, tls.serial);
}

#[test]
fn joining_with_a_pin_believes_one_authority_only() {
    let (cluster, foreign) = (Cluster::new("prod", 27), Cluster::new("prod", 28));
    let (service, theirs) = (
        cluster.service("store.example"),
        foreign.service("store.example"),
    );
    let pin: CaPin = CaPin(cluster.authority.fingerprint())
        .to_string()
        .parse()
        .unwrap();
    let joining = |trusted, now| joining_config(trusted, Arc::new(At(now))).unwrap();

    let (config, believed) = joining(Trusted::Pinned(pin), NOW);
    assert_eq!(believed.der(), None);
    let (_, end) = shake(
        config,
        server(&service, Clients::OrAnonymous, NOW),
        "store.example",
    )
    .unwrap();
    assert_eq!(seen(&cluster, &end, NOW), None);
    let authority = believed.der().unwrap();
    assert_eq!(authority, cluster.authority.own().der);

    let keys = cluster.keys("web-1");
    let token = cluster.token(JoinAs::Host, 1);
    let request = keys.join_request(&token, "web-1", BTreeMap::new(), Vec::new());
    let joined = cluster.registry.join(&request, NOW).unwrap();
    keys.store(&joined.answer, &authority, NOW).unwrap();
    assert!(matches!(
        cluster.open("web-1").peer().principal,
        Principal::Host(_)
    ));

    let refused = |trusted, service: &HostIdentity, name: &str, now| {
        let (config, believed) = joining(trusted, now);
        let both = shake(config, server(service, Clients::OrAnonymous, NOW), name);
        both.is_err() && believed.der().is_none()
    };
    let pinned = Trusted::Pinned(pin);
    assert!(
        refused(pinned, &theirs, "store.example", NOW),
        "another cluster"
    );
    assert!(
        refused(pinned, &service, "else.example", NOW),
        "another name"
    );
    assert!(
        refused(pinned, &service, "store.example", NOW + YEAR),
        "expired"
    );
    assert!(
        refused(pinned, &cluster.host("web-2"), "web-2", NOW),
        "a host as service"
    );
    // Without a pin whoever answers is believed, but not everything that it shows.
    assert!(!refused(Trusted::Anybody, &theirs, "store.example", NOW));
    assert!(refused(Trusted::Anybody, &theirs, "else.example", NOW));

    for bad in [
        "",
        "sha256:",
        "sha1:00",
        &pin.to_string()[1..],
        &pin.to_string().to_uppercase(),
    ] {
        assert!(bad.parse::<CaPin>().is_err(), "{bad}");
    }
}

#[test]
fn a_service_that_shows_the_pinned_authority_beside_anothers_certificate_is_refused() {
    let (cluster, foreign) = (Cluster::new("prod", 29), Cluster::new("prod", 30));
    let theirs = foreign.service("store.example");
    let own = &cluster.authority.own().der;
    // A true authority's certificate is public: anybody can show it.
    let shown = LiveCertificate::new(theirs.tls_certificate(), own, theirs.keys().tls()).unwrap();
    let serving = server_config(
        theirs.authority(),
        Arc::new(shown),
        Clients::OrAnonymous,
        Arc::new(At(NOW)),
    );
    let pin = Trusted::Pinned(CaPin(cluster.authority.fingerprint()));
    let (config, believed) = joining_config(pin, Arc::new(At(NOW))).unwrap();
    let both = shake(config, serving.unwrap(), "store.example");
    assert!(both.err().unwrap().starts_with("client: "));
    assert_eq!(believed.der(), None);
}
