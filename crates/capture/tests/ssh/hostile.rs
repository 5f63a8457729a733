//! Peers that mean no good, or know no SSH.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::site::{PATIENCE, Site};
use crate::support::wait_for;

fn connect(site: &Site) -> TcpStream {
    let stream = TcpStream::connect(site.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Whether the other side has closed it, whatever it said before.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => true,
        Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn whoever_says_nothing_is_closed_when_the_time_is_over() {
    let site = Site::with(
        |config| config.login_grace = Duration::from_millis(300),
        |_| {},
    );
    let mut stream = connect(&site);
    assert!(is_closed(&mut stream));
    wait_for("the event", || !site.said("disconnect").is_empty());
    let said = site.said("disconnect");
    let why = said[0].fields.text("reason").unwrap();
    assert!(why.contains("time to sign in"), "{why}");
    assert!(site.sessions().is_empty());
}

#[test]
fn a_handshake_that_stops_half_way_is_closed_as_well() {
    let site = Site::with(
        |config| config.login_grace = Duration::from_millis(500),
        |_| {},
    );
    let mut stream = connect(&site);
    stream.write_all(b"SSH-2.0-half\r\n").unwrap();
    assert!(is_closed(&mut stream));
    wait_for("the event", || !site.said("disconnect").is_empty());
}

#[test]
fn what_is_no_ssh_is_closed_at_once() {
    let site = Site::new();
    for noise in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        [b"SSH-2.0-x\r\n".as_slice(), &[0xff; 64]].concat(),
        [
            b"SSH-2.0-x\r\n".as_slice(),
            &[0, 0, 0, 12, 255, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat(),
        vec![b'x'; 64 * 1024],
    ] {
        let mut stream = connect(&site);
        let _ = stream.write_all(&noise);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        assert!(is_closed(&mut stream));
    }
    wait_for("four events", || site.said("disconnect").len() == 4);
    // It serves those who know how to behave.
    assert_eq!(site.run("echo still").stdout, b"still\n");
}

#[test]
fn a_flood_of_strangers_takes_no_place_of_those_who_sign_in() {
    let site = Site::with(|config| config.unknown_of_address_max = 3, |_| {});
    let mut strangers: Vec<_> = (0..3).map(|_| connect(&site)).collect();
    let mut banner = [0; 4];
    for stranger in &mut strangers {
        stranger.read_exact(&mut banner).unwrap();
        assert_eq!(&banner, b"SSH-");
    }
    let mut one_more = connect(&site);
    assert!(is_closed(&mut one_more));
    wait_for("the event", || !site.said("session.rejected").is_empty());
    drop(strangers);
    wait_for("their places", || site.said("disconnect").len() == 3);
    assert_eq!(site.run("echo in").stdout, b"in\n");
}

#[test]
fn a_node_that_could_let_in_nobody_does_not_start() {
    let site = Site::new();
    for authorities in [Vec::new(), vec!["no key".to_owned()]] {
        let mut config = hansard_capture::ssh::Config::at("127.0.0.1:0".parse().unwrap(), [9; 32]);
        config.authorities = authorities;
        let refused = hansard_capture::ssh::Server::start(config, &site.daemon.server);
        assert!(refused.is_err());
    }
}

#[test]
fn a_line_that_is_no_ssh_is_answered_at_once_however_long_it_could_wait() {
    // As shipped there is a minute to sign in: nobody waits for that here.
    let site = Site::new();
    for line in [&b"GET / HTTP/1.1\r\n"[..], b"\n", b"SSL"] {
        let mut stream = connect(&site);
        let before = site.said("disconnect").len();
        stream.write_all(line).unwrap();
        // It stays open on this side.
        assert!(is_closed(&mut stream), "{line:?}");
        wait_for("the event", || site.said("disconnect").len() == before + 1);
        let said = site.said("disconnect");
        let why = said[before].fields.text("reason").unwrap();
        assert!(why.contains("is not SSH"), "{why}");
    }
    // One that comes byte by byte is waited for.
    let mut slow = connect(&site);
    for byte in b"SSH-2.0-slow\r\n" {
        slow.write_all(&[*byte]).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut banner = [0; 512];
    let mut all = Vec::new();
    while !all.windows(10).any(|part| part == b"curve25519") {
        let len = slow.read(&mut banner).unwrap();
        assert!(len > 0, "{}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&banner[..len]);
    }
}
