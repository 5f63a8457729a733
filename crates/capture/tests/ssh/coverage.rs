//! Everything that SSH can ask for, asked: each is recorded, and done only if what it does is recorded,
//! too. `docs/ssh-coverage.md` is written from this (`HANSARD_BLESS=1`).

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use hansard_core::event::{Body, Event};
use russh::client::{self, Handle};
use russh::keys::{Certificate, PrivateKey, PublicKeyOrCertificate};
use russh::{ChannelMsg, Sig};

use crate::site::{Site, facts};
use crate::support::{events, wait_for};

/// What becomes of something. There is no third.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Done, and recorded with what it does.
    Recorded,
    /// Refused, and recorded that it was.
    Refused,
}

/// Where an event is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The connection's recording.
    Connection,
    /// The recording of what runs in the channel.
    Channel,
    /// The host's own recording.
    Host,
}

struct Row {
    what: &'static str,
    name: &'static str,
    outcome: Outcome,
    place: Place,
    event: &'static str,
    /// A field that tells this event from others of its name.
    field: (&'static str, &'static str),
    doc: &'static str,
}

const fn row(
    (what, name): (&'static str, &'static str),
    outcome: Outcome,
    (place, event): (Place, &'static str),
    field: (&'static str, &'static str),
    doc: &'static str,
) -> Row {
    Row {
        what,
        name,
        outcome,
        place,
        event,
        field,
        doc,
    }
}

use Outcome::{Recorded, Refused};

const SIGN_IN: &str = "sign-in";
const GLOBAL: &str = "global request";
const CHANNEL: &str = "channel";
const INSIDE: &str = "request in a channel";

/// What is said of a request whose name the library does not say.
const UNNAMED: &str =
    "not known here, and so refused: no-more-sessions, keepalive or another; its type was not seen";

#[rustfmt::skip] // one row, one or two lines
const ROWS: [Row; 28] = [
    row((SIGN_IN, "publickey, with a certificate"), Recorded, (Place::Connection, "auth"), ("method", "publickey"), "the certificate decides"),
    row((SIGN_IN, "none"), Refused, (Place::Connection, "auth"), ("method", "none"), "told in the host's recording if nobody signs in after it"),
    row((SIGN_IN, "password"), Refused, (Place::Host, "auth"), ("method", "password"), "what was given is not kept"),
    row((SIGN_IN, "keyboard-interactive"), Refused, (Place::Host, "auth"), ("method", "keyboard-interactive"), "as shipped; a node's `keyboard_interactive` lets PAM ask"),
    row((SIGN_IN, "gssapi-with-mic, hostbased and others"), Refused, (Place::Host, "auth"), ("method", "gssapi-with-mic"), "seen by the witness"),
    row((GLOBAL, "tcpip-forward"), Refused, (Place::Connection, "port.remote"), ("addr", "127.0.0.1:0"), ""),
    row((GLOBAL, "cancel-tcpip-forward"), Refused, (Place::Connection, "port.cancel"), ("BindHost", "127.0.0.1"), ""),
    row((GLOBAL, "streamlocal-forward@openssh.com"), Refused, (Place::Connection, "forward_streamlocal"), ("Path", "/tmp/no"), ""),
    row((GLOBAL, "cancel-streamlocal-forward@openssh.com"), Refused, (Place::Connection, "cancel_forward_streamlocal"), ("Path", "/tmp/no"), ""),
    row((GLOBAL, "no-more-sessions, keepalive, hostkeys-prove and any other"), Refused, (Place::Connection, "global_request"), ("error", UNNAMED), "seen by the witness, without its name"),
    row((CHANNEL, "session"), Recorded, (Place::Connection, "new_channel"), ("channelType", "session"), "what runs in it is a recording of its own"),
    row((CHANNEL, "direct-tcpip"), Refused, (Place::Connection, "port.local"), ("addr", "127.0.0.1:9"), ""),
    row((CHANNEL, "direct-streamlocal@openssh.com"), Refused, (Place::Connection, "new_channel"), ("channelType", "direct-streamlocal@openssh.com"), ""),
    row((CHANNEL, "x11"), Refused, (Place::Connection, "new_channel"), ("channelType", "x11"), ""),
    row((CHANNEL, "forwarded-tcpip, forwarded-streamlocal, auth-agent, tun and any other"), Refused, (Place::Connection, "new_channel"), ("channelType", "no-such-channel@example.com"), "seen by the witness"),
    row((INSIDE, "pty-req"), Recorded, (Place::Connection, "pty"), ("term", "vt100"), ""),
    row((INSIDE, "env, of those that may be set"), Recorded, (Place::Connection, "env"), ("name", "LANG"), "with its value"),
    row((INSIDE, "env, any other"), Refused, (Place::Connection, "env"), ("name", "PATH"), "without its value"),
    row((INSIDE, "shell"), Recorded, (Place::Connection, "shell"), ("", ""), "its bytes in a recording of its own"),
    row((INSIDE, "exec"), Recorded, (Place::Connection, "exec"), ("command", "sleep 600"), "its bytes in a recording of its own"),
    row((INSIDE, "subsystem sftp"), Recorded, (Place::Connection, "subsystem"), ("name", "sftp"), "an event for each file in a recording of its own"),
    row((INSIDE, "any other subsystem"), Refused, (Place::Connection, "subsystem"), ("name", "netconf"), ""),
    row((INSIDE, "window-change"), Recorded, (Place::Channel, "resize"), ("", ""), ""),
    row((INSIDE, "signal"), Recorded, (Place::Channel, "signal"), ("signal", "TERM"), ""),
    row((INSIDE, "x11-req"), Refused, (Place::Connection, "x11-forward"), ("", ""), "the cookie is not kept"),
    row((INSIDE, "auth-agent-req@openssh.com"), Refused, (Place::Connection, "agent-forward"), ("", ""), ""),
    row((INSIDE, "eow@openssh.com"), Recorded, (Place::Connection, "channel_request"), ("requestType", "eow@openssh.com"), "seen by the witness; refused where several channels may be meant"),
    row((INSIDE, "break, xon-xoff and any other"), Refused, (Place::Connection, "channel_request"), ("requestType", "break"), "seen by the witness"),
];

/// What is done where the configuration allows it, and how it is on record; `forwards` tries each of these.
const ALLOWED: [(&str, &str, &str, &str); 7] = [
    (CHANNEL, "direct-tcpip", "port.local", "forward_to"),
    (
        CHANNEL,
        "direct-streamlocal@openssh.com",
        "new_channel_direct_streamlocal",
        "forward_sockets",
    ),
    (
        GLOBAL,
        "tcpip-forward",
        "port.remote",
        "forward_listen; each connection is a `port.remote_conn`",
    ),
    (
        GLOBAL,
        "streamlocal-forward@openssh.com",
        "forward_streamlocal",
        "forward_sockets; each connection is a `new_channel_forwarded_streamlocal`",
    ),
    (
        GLOBAL,
        "cancel-tcpip-forward",
        "port.cancel",
        "forward_listen",
    ),
    (
        INSIDE,
        "auth-agent-req@openssh.com",
        "agent-forward",
        "forward_agent; each connection is one more",
    ),
    (
        INSIDE,
        "x11-req",
        "x11-forward",
        "forward_x11; each connection is one more",
    ),
];

/// How the proxy signs in at a target, what is on record before and after, and the remark; `gets_in` tries each.
const SIGN_INS: [(&str, &str, &str); 5] = [
    (
        "publickey, with a certificate of the cluster",
        "`cert.create`, `target.auth`",
        "as shipped",
    ),
    (
        "publickey, with a key that is kept",
        "`credential.use`, `target.auth`",
        "`credential`: by name and fingerprint",
    ),
    (
        "password",
        "`credential.use`, `target.auth`",
        "`credential`: never its characters, nor a digest of them",
    ),
    (
        "keyboard-interactive",
        "`credential.use`, `target.auth`",
        "`credential`: one question that shows nothing; any other ends it",
    ),
    (
        "publickey, with the client's agent",
        "`credential.use`, `target.auth`",
        "`agent`: each signature; the client's certificate and roles must permit `agent`",
    ),
];

pub struct Client;

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

async fn connected(site: &Site) -> Handle<Client> {
    let config = Arc::new(client::Config::default());
    client::connect(config, site.address(), Client)
        .await
        .unwrap()
}

/// Somebody who is in.
pub async fn signed_in(site: &Site) -> Handle<Client> {
    let read = |name: &str| std::fs::read_to_string(site.path(name)).unwrap();
    let key = Arc::new(PrivateKey::from_openssh(read("user")).unwrap());
    let certificate = Certificate::from_openssh(&read("user-cert.pub")).unwrap();
    let login = site.user.clone();
    let mut handle = connected(site).await;
    let _ = handle.authenticate_none(&login).await;
    let signed_in = handle
        .authenticate_openssh_cert(&login, key, certificate)
        .await;
    assert!(signed_in.unwrap().success());
    handle
}

/// Asks for everything that this library can ask for.
async fn ask(site: &Site) {
    let login = site.user.clone();
    let mut stranger = connected(site).await;
    let _ = stranger.authenticate_password(&login, "secret-word").await;
    let _ = stranger
        .authenticate_keyboard_interactive_start(&login, None)
        .await;
    drop(stranger);
    let handle = signed_in(site).await;
    assert!(handle.tcpip_forward("127.0.0.1", 0).await.is_err());
    let _ = handle.cancel_tcpip_forward("127.0.0.1", 9).await;
    let _ = handle.streamlocal_forward("/tmp/no").await;
    let _ = handle.cancel_streamlocal_forward("/tmp/no").await;
    let _ = handle.no_more_sessions(true).await;
    let opened = handle
        .channel_open_direct_tcpip("127.0.0.1", 9, "127.0.0.1", 1)
        .await;
    assert!(opened.is_err());
    assert!(
        handle
            .channel_open_direct_streamlocal("/tmp/no")
            .await
            .is_err()
    );
    assert!(handle.channel_open_x11("127.0.0.1", 1).await.is_err());
    let mut shell = handle.channel_open_session().await.unwrap();
    shell.set_env(true, "LANG", "C").await.unwrap();
    shell.set_env(true, "PATH", "/tmp").await.unwrap();
    shell
        .request_x11(true, false, "MIT-MAGIC-COOKIE-1", "secret-word", 0)
        .await
        .unwrap();
    shell.agent_forward(true).await.unwrap();
    shell
        .request_pty(true, "vt100", 80, 24, 0, 0, &[])
        .await
        .unwrap();
    shell.request_shell(true).await.unwrap();
    shell.window_change(100, 30, 0, 0).await.unwrap();
    shell.data_bytes("exit 3\n").await.unwrap();
    let mut status = None;
    while let Some(message) = shell.wait().await {
        if let ChannelMsg::ExitStatus { exit_status } = message {
            status = Some(exit_status);
        }
    }
    assert_eq!(status, Some(3));
    let mut exec = handle.channel_open_session().await.unwrap();
    exec.exec(true, "sleep 600").await.unwrap();
    exec.signal(Sig::TERM).await.unwrap();
    match site.user == site.account.name {
        true => while exec.wait().await.is_some() {},
        // OpenSSH sends no signals to what runs as root, and a client hears nothing of what it closed.
        false => exec.close().await.unwrap(),
    }
    for subsystem in ["sftp", "netconf"] {
        let mut channel = handle.channel_open_session().await.unwrap();
        channel.request_subsystem(true, subsystem).await.unwrap();
        let is_answer =
            |message: &ChannelMsg| matches!(message, ChannelMsg::Success | ChannelMsg::Failure);
        while !channel.wait().await.as_ref().is_some_and(is_answer) {}
        channel.eof().await.unwrap();
        channel.close().await.unwrap();
    }
    let _ = handle
        .disconnect(russh::Disconnect::ByApplication, "", "")
        .await;
}

/// Whether the row's event is there, with its outcome.
fn is_there(row: &Row, site: &Site) -> bool {
    let fits = |of: &[Event]| {
        if row.event == "resize" {
            let is_it = |e: &Event| {
                matches!(
                    e.body,
                    Body::Resize {
                        cols: 100,
                        rows: 30
                    }
                )
            };
            return of.iter().any(is_it);
        }
        let (field, value) = row.field;
        let success = (row.outcome == Recorded).into();
        facts(of, row.event).iter().any(|fact| {
            let is_it = field.is_empty() || fact.fields.text(field) == Some(value);
            is_it && fact.fields.get("success") == Some(&success)
        })
    };
    if row.place == Place::Host {
        let said = site.said(row.event);
        return said.iter().any(|fact| {
            fact.fields.text(row.field.0) == Some(row.field.1)
                && fact.fields.get("success") == Some(&false.into())
        });
    }
    site.sessions()
        .into_iter()
        .filter(|(session, _)| (session.kind == "ssh") == (row.place == Place::Connection))
        .any(|(_, of)| fits(&of))
}

/// Rows that `odd` asks for.
const ODD: [&str; 4] = [
    "gssapi-with-mic, hostbased and others",
    "forwarded-tcpip, forwarded-streamlocal, auth-agent, tun and any other",
    "eow@openssh.com",
    "break, xon-xoff and any other",
];

#[test]
fn everything_that_is_asked_for_is_recorded_and_done_only_if_what_it_does_is() {
    covers(&Site::new());
}

#[test]
fn everything_that_is_asked_of_the_proxy_is_recorded_and_led_on_only_if_what_it_does_is() {
    if crate::debian::is_there() {
        let behind = crate::proxied::Behind::new(|_| {});
        covers(&behind.site);
    }
}

fn covers(site: &Site) {
    // What no ordinary client asks for.
    let asked_all = crate::odd::ask(site);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let limit = crate::site::PATIENCE;
    let asked = runtime.block_on(async { tokio::time::timeout(limit, ask(site)).await });
    asked.expect("everything is answered");
    drop(runtime);
    wait_for("all ends", || {
        site.daemon.server.registry().list().is_empty()
    });
    for row in ROWS
        .iter()
        .filter(|row| asked_all || !ODD.contains(&row.name))
    {
        wait_for(
            &format!("{} {}: {:?}", row.what, row.name, row.outcome),
            || is_there(row, site),
        );
    }
    // Secrets that were given stand nowhere.
    for (id, bytes) in crate::support::recordings(&site.daemon.spool) {
        let all = format!("{:?}", events(&bytes));
        assert!(!all.contains("secret-word"), "{id}: {all}");
    }
    let happened = format!("{:?}", site.daemon.happened.lock().unwrap());
    assert!(!happened.contains("secret-word"), "{happened}");
}

#[test]
fn the_page_says_what_was_tried() {
    let mut page = String::from(
        "# What SSH can ask for, and what becomes of it\n\n\
         Written by a test that asks a node for each of these, and a proxy in front of Debian's sshd; both answer alike\n\
         (`HANSARD_BLESS=1` writes it anew). *Recorded*: done, and on record with what it does. *Refused*: not done, and on record that it was asked for. There is no third.\n\
         How unknown requests are seen: [ARCHITECTURE.md](../ARCHITECTURE.md#decisions-worth-knowing); the node:\n\
         [ssh-node.md](ssh-node.md); the proxy: [ssh-proxy.md](ssh-proxy.md).\n\n\
         | what | name | outcome | event | remark |\n|---|---|---|---|---|\n",
    );
    for row in &ROWS {
        let outcome = match row.outcome {
            Recorded => "recorded",
            Refused => "refused",
        };
        let place = match row.place {
            Place::Connection => "",
            Place::Channel => " of the channel's session",
            Place::Host => " of the host",
        };
        writeln!(
            page,
            "| {} | {} | {outcome} | `{}`{place} | {} |",
            row.what, row.name, row.event, row.doc
        )
        .unwrap();
    }
    page.push_str(
        "\n## What `capture.ssh` and `capture.proxy` can allow\n\n\
         Refused above, because nothing is allowed as shipped. Where a rule allows it, it is recorded: when it is opened, and\n\
         with its bytes each way and its duration when it is over (`port`); the content where the policy says `forwarding`.\n\n\
         | what | name | event | key |\n|---|---|---|---|\n",
    );
    for (what, name, event, key) in &ALLOWED {
        let (key, more) = key.split_once("; ").unwrap_or((key, ""));
        let more = if more.is_empty() {
            String::new()
        } else {
            format!("; {more}")
        };
        writeln!(page, "| {what} | {name} | `{event}` | `{key}`{more} |").unwrap();
    }
    page.push_str(
        "\n## How the proxy signs in at a target\n\n\
         After its host key was believed (`host_key`), in the ways that `target_sign_in` has for it and no other; what is used is\n\
         on record before it is.\n\n| method of SSH | events | remark |\n|---|---|---|\n",
    );
    for (method, events, remark) in &SIGN_INS {
        writeln!(page, "| {method} | {events} | {remark} |").unwrap();
    }
    page.push_str(
        "\n## What a target may ask the proxy for\n\n\
         Connections to what the client had it listen at (`port.remote_conn`, `new_channel_forwarded_streamlocal`), to its\n\
         agent and to its display, where that is lent (`agent-forward`, `x11-forward`). Every other channel and request is refused, and is a `new_channel`,\n\
         `channel_request` or `global_request` with `from_target`. What it says of its host keys later is ignored.\n",
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ssh-coverage.md");
    if std::env::var_os("HANSARD_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/ssh-coverage.md is not what the test says: HANSARD_BLESS=1"
    );
}
