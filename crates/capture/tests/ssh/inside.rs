//! A node's life around its connections: clients that vanish, and a stop.

use hansard_core::event::Stream;

use crate::site::{Site, finished};
use crate::support::{end_of, events, stream, wait_for};

fn begun(site: &Site) -> (std::process::Child, hansard_core::SessionId) {
    let client = site
        .ssh(&[], &["echo begun; exec sleep 600"])
        .spawn()
        .unwrap();
    let exec = site.session("exec");
    wait_for("its first word", || {
        stream(&events(&site.daemon.recording(exec)), Stream::Stdout) == b"begun\n"
    });
    (client, exec)
}

#[test]
fn a_client_that_vanishes_leaves_a_complete_recording_and_no_program() {
    let site = Site::new();
    let (mut client, _) = begun(&site);
    client.kill().unwrap();
    client.wait().unwrap();
    let exec = site.complete("exec");
    // Hung up, or gone before it was: either is an end.
    let end = end_of(&exec);
    assert!(
        end.signal.as_deref() == Some("HUP") || end.reason == "the client went away",
        "{end:?}"
    );
    site.complete("ssh");
    assert!(site.daemon.server.registry().list().is_empty());
}

#[test]
fn a_node_that_stops_ends_what_runs_and_leaves_nothing_open() {
    let site = Site::new();
    let (client, exec) = begun(&site);
    let connection = site.session("ssh");
    let Site {
        node, daemon, keys, ..
    } = site;
    assert_eq!(node.stop(), 0);
    let out = finished(client);
    assert_ne!(out.status.code(), Some(0));
    daemon.complete(exec);
    let connection = daemon.complete(connection);
    assert_eq!(end_of(&connection).reason, "the daemon stops");
    assert_eq!(daemon.notes(), 0);
    drop(keys);
}
