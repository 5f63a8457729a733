//! Connections.

use std::net::{TcpListener, UdpSocket};

use super::watching::{World, host, int, text, tricks};

#[test]
fn connections_are_told_with_both_ends() {
    let Some(host) = host() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let closed = {
        // Nobody listens at a port that was free a moment ago, on an address that nobody else uses.
        let free = TcpListener::bind("127.83.7.3:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = datagrams.local_addr().unwrap().port();
    let tricks = tricks().display();
    let script = format!(
        "{tricks} tcp 127.0.0.1 {port}\n{tricks} tcp 127.83.7.3 {closed}\n\
         {tricks} udp 127.0.0.1 {to}\n{tricks} udp-message 127.0.0.1 {to}\n\
         {tricks} unix /run/none/such\n{tricks} accept 127.0.0.1\n:\n"
    );
    let told = World::new(host, &script).told();
    let to_port = |port: u16, call: &str| {
        told.one("session.network", |fields| {
            int(fields, "dst_port") == Some(i64::from(port)) && text(fields, "call") == call
        })
    };
    let made = to_port(port, "connect");
    assert_eq!(text(made, "dst_addr"), "127.0.0.1");
    assert_eq!(text(made, "src_addr"), "127.0.0.1");
    assert_eq!(text(made, "protocol"), "tcp");
    assert_eq!(
        (int(made, "version"), text(made, "action")),
        (Some(4), "0".into())
    );
    assert_eq!(int(made, "operation"), Some(0));
    let refused = to_port(closed, "connect");
    assert_eq!(int(refused, "return_code"), Some(-111));
    assert_eq!(text(refused, "action"), "1");
    for call in ["sendto", "sendmsg"] {
        let sent = to_port(to, call);
        assert_eq!(text(sent, "protocol"), "udp");
        assert_eq!(int(sent, "operation"), Some(1));
    }
    let unix = told.one("session.network", |fields| {
        text(fields, "socket_path") == "/run/none/such"
    });
    assert_eq!(int(unix, "return_code"), Some(-2));
    let accepted = told.one("session.network", |fields| {
        text(fields, "call").starts_with("accept")
    });
    assert_eq!(text(accepted, "protocol"), "tcp");
    assert_eq!(text(accepted, "src_addr"), "127.0.0.1");
    assert!(int(accepted, "dst_port") > Some(0));
}
