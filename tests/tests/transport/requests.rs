//! The small requests, and what is no request at all.

use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hansard_record::forward::post;
use hansardd::ingest::limits::STRANGERS_TOLD_MAX;

use crate::cluster::{Cluster, until};
use crate::host::endpoint;
use crate::raw::Raw;
use crate::service::{Made, Service};

#[test]
fn joining_and_renewing_need_no_certificate_and_are_told_of_one() {
    let cluster = Cluster::new("small", 1);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let service = Service::start(&cluster, &identity, Made::new());
    let mut at = endpoint(&cluster, &web, service.address);
    let ask = |at: &_, path: &str, body: &[u8]| {
        let asked = post(at, path, body.to_vec(), Duration::from_secs(10));
        service.runtime.block_on(asked).unwrap()
    };
    assert_eq!(ask(&at, "/v1/renew", b"x"), (200, b"web-1: x".to_vec()));
    assert_eq!(ask(&at, "/v1/else", b"x").0, 404);
    at.tls = cluster.client_config(&web, true);
    assert_eq!(ask(&at, "/v1/join", b"y"), (200, b"nobody: y".to_vec()));
    assert_eq!(ask(&at, "/v1/stream", b"y").0, 401);
    let (status, _) = ask(&at, "/v1/join", &vec![0; 65_000]);
    assert_eq!(status, 200);
    let (status, why) = ask(&at, "/v1/join", &vec![0; 70_000]);
    assert_eq!((status, &why[..]), (413, &b"the request is too long"[..]));
    let anonymous = cluster.client_config(&web, true);
    let mut raw = Raw::connect(&service.runtime, service.address, anonymous).unwrap();
    assert_eq!(raw.post("GET", "/v1/join", b"").0, 405);
}

#[test]
fn there_is_one_stream_on_a_connection() {
    let cluster = Cluster::new("second", 1);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let service = Service::start(&cluster, &identity, Made::new());
    let tls = cluster.client_config(&web, false);
    let mut raw = Raw::connect(&service.runtime, service.address, tls).unwrap();
    let (_up, answer) = raw.ask("POST", "/v1/stream");
    assert_eq!(service.runtime.block_on(answer).unwrap().status(), 200);
    let (_up, answer) = raw.ask("POST", "/v1/stream");
    assert_eq!(service.runtime.block_on(answer).unwrap().status(), 409);
}

#[test]
fn connections_that_say_nothing_are_bounded_and_keep_nobody_out_for_long() {
    let cluster = Cluster::new("silent", 1);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let service = Service::start(&cluster, &identity, Made::new());
    let since = Instant::now();
    let mut silent: Vec<TcpStream> = (0..40)
        .map(|_| TcpStream::connect(service.address).unwrap())
        .collect();
    until("some were turned away", || {
        service.figures.snapshot().turned_away >= 8
    });
    let is_closed = |tcp: &mut TcpStream| {
        tcp.set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        matches!(tcp.read(&mut [0; 8]), Ok(0))
    };
    until("they were closed", || {
        silent.iter_mut().map(is_closed).filter(|c| *c).count() >= 8
    });
    // A few in each second were told of, the others counted.
    let told = service.notes.all().len() as u64;
    let seconds = 1 + since.elapsed().as_secs();
    let most = u64::from(STRANGERS_TOLD_MAX) * seconds;
    assert!((1..=most).contains(&told), "{told} within {seconds} s");
    drop(silent);
    let tls = cluster.client_config(&web, false);
    until("a host gets in", || {
        let raw = Raw::connect(
            &Arc::clone(&service.runtime),
            service.address,
            Arc::clone(&tls),
        );
        raw.is_some()
    });
}
