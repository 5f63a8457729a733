//! Who is not let in, and what is not done for those who are: refused, and on record.

use std::fs;
use std::process::Stdio;

use crate::paramiko;
use crate::site::{Site, facts, finished, key};
use crate::support::{end_of, header, shown, stream, wait_for};
use hansard_core::Value;
use hansard_core::event::Stream;

/// Tries with this certificate; answers what the event says of it.
fn tried(site: &Site, ca: &str, options: &[&str], why: &str) {
    site.certify(ca, options);
    let out = site.run("echo inside");
    assert_eq!(out.status.code(), Some(255), "{out:?}");
    assert_eq!(out.stdout, b"");
    let fact = site.refusal(why);
    assert_eq!(fact.fields.get("success"), Some(&false.into()));
    assert_eq!(fact.fields.text("method"), Some("publickey"));
    assert_eq!(fact.fields.text("login"), Some(site.account.name.as_str()));
}

#[test]
fn a_certificate_lets_in_whom_it_names_when_and_from_where_it_says() {
    let site = Site::new();
    let own = site.account.name.clone();
    let now = ["-I", "anna", "-V", "-5m:+1h"];
    let with = |more: &[&str]| {
        let all: Vec<String> = now.iter().chain(more).map(ToString::to_string).collect();
        all
    };
    let cases: [(&str, Vec<String>, &str); 7] = [
        (
            "other-ca",
            with(&["-n", &own]),
            "not signed by an authority",
        ),
        ("ca", with(&["-n", "somebody-else"]), "not for the account"),
        ("ca", with(&[]), "not for the account"),
        // Whose name is that of an account has no right to it by that.
        (
            "ca",
            ["-I", &own, "-n", "somebody-else", "-V", "-5m:+1h"]
                .map(ToOwned::to_owned)
                .into(),
            "not for the account",
        ),
        (
            "ca",
            with(&["-n", &own, "-O", "source-address=192.0.2.0/24"]),
            "may not be used from",
        ),
        (
            "ca",
            with(&["-n", &own, "-O", "critical:unheard-of=yes"]),
            "unheard-of",
        ),
        (
            "ca",
            ["-I", "anna", "-n", &own, "-V", "-2h:-1h"]
                .map(ToOwned::to_owned)
                .into(),
            "expired or not yet valid",
        ),
    ];
    for (ca, options, why) in &cases {
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        tried(&site, ca, &options, why);
    }
    assert!(site.sessions().is_empty());
    // None of this keeps somebody out who may come in.
    let from = "source-address=127.0.0.0/8";
    site.certify(
        "ca",
        &["-I", "anna", "-V", "-5m:+1h", "-n", &own, "-O", from],
    );
    assert_eq!(site.run("echo inside").stdout, b"inside\n");
}

/// What was offered and came to nothing is told when the connection is over.
fn wait_for_disconnect(site: &Site, why: &str) {
    site.refusal(why);
    crate::support::wait_for("its end", || !site.said("disconnect").is_empty());
}

#[test]
fn an_authoritys_key_signs_in_nobody() {
    let site = Site::new();
    fs::remove_file(site.path("user-cert.pub")).unwrap();
    for name in ["user", "user.pub"] {
        fs::copy(site.path(&name.replace("user", "ca")), site.path(name)).unwrap();
    }
    assert_eq!(site.run("echo inside").status.code(), Some(255));
    wait_for_disconnect(&site, "the key is an authority's");
    let own = site.account.name.clone();
    site.certify("ca", &["-I", "anna", "-n", &own, "-V", "-5m:+1h"]);
    assert_eq!(site.run("echo inside").status.code(), Some(255));
    site.refusal("for the key of an authority");
}

#[test]
fn a_plain_key_lets_in_where_that_is_switched_on_only() {
    let site = Site::new();
    fs::remove_file(site.path("user-cert.pub")).unwrap();
    assert_eq!(site.run("echo inside").status.code(), Some(255));
    wait_for_disconnect(&site, "only certificates do");
    let out = site.ssh(&["-o", "PubkeyAuthentication=no"], &["true"]);
    assert_eq!(finished({ out }.spawn().unwrap()).status.code(), Some(255));
}

#[test]
fn what_a_certificate_demands_is_heeded() {
    let site = Site::new();
    let own = site.account.name.clone();
    let forced = "force-command=echo forced: $SSH_ORIGINAL_COMMAND";
    let base = ["-I", "anna", "-n", &own, "-V", "-5m:+1h", "-O"];
    site.certify("ca", &[base.as_slice(), &[forced]].concat());
    assert_eq!(site.run("id").stdout, b"forced: id\n");
    site.certify("ca", &[base.as_slice(), &["no-pty"]].concat());
    let out = finished(site.ssh(&["-tt"], &["tty"]).spawn().unwrap());
    assert!(
        !String::from_utf8_lossy(&out.stdout).contains("/dev/"),
        "{out:?}"
    );
}

#[test]
fn what_could_not_be_recorded_is_refused_and_said() {
    let site = Site::new();
    let out = site.ssh(&["-W", "127.0.0.1:9"], &[]);
    assert_ne!(finished({ out }.spawn().unwrap()).status.code(), Some(0));
    let out = site.ssh(
        &[
            "-A",
            "-R",
            "127.0.0.1:0:127.0.0.1:9",
            "-o",
            "ServerAliveInterval=1",
        ],
        &["sleep 2; echo done"],
    );
    let out = finished({ out }.spawn().unwrap());
    assert_eq!(out.stdout, b"done\n", "{out:?}");
    let out = site.ssh(&["-s"], &["no-such-subsystem"]);
    assert_ne!(finished({ out }.spawn().unwrap()).status.code(), Some(0));
    crate::support::wait_for("three connections", || {
        site.sessions()
            .iter()
            .filter(|(s, _)| s.kind == "ssh")
            .count()
            == 3
    });
    let all: Vec<_> = site
        .sessions()
        .into_iter()
        .filter(|(session, _)| session.kind == "ssh")
        .flat_map(|(session, _)| site.daemon.complete(session.id))
        .collect();
    for (event, field, value) in [
        ("port.local", "addr", "127.0.0.1:9"),
        ("new_channel", "channelType", "direct-tcpip"),
        ("port.remote", "addr", "127.0.0.1:0"),
        ("subsystem", "name", "no-such-subsystem"),
        // What the library refuses without a hook, and without its name.
        (
            "global_request",
            "error",
            "not known here, and so refused: no-more-sessions, keepalive or another; its type was not seen",
        ),
    ] {
        let found = facts(&all, event);
        let found = found.iter().find(|f| f.fields.text(field) == Some(value));
        let found = found.unwrap_or_else(|| panic!("{event} {value}: {all:#?}"));
        assert_eq!(found.fields.get("success"), Some(&false.into()), "{event}");
        assert!(found.fields.text("error").is_some(), "{event}");
    }
    for fact in facts(&all, "global_request") {
        assert_eq!(fact.fields.get("requestType"), None, "{fact:?}");
    }
}

#[test]
fn whoever_is_ended_is_told_why_and_the_record_says_by_whom() {
    let site = Site::new();
    let client = site.ssh(&[], &["echo begun; sleep 600"]).spawn().unwrap();
    let exec = site.session("exec");
    crate::support::wait_for("its first word", || {
        stream(
            &crate::support::events(&site.daemon.recording(exec)),
            Stream::Stdout,
        ) == b"begun\n"
    });
    let registry = site.daemon.server.registry();
    let running = registry.list();
    assert_eq!(running.len(), 2, "{running:?}");
    registry.end(exec, "enough", "bea").unwrap();
    let out = finished(client);
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(told.contains("ended by bea: enough"), "{told}");
    let events = site.complete("exec");
    assert_eq!(end_of(&events).reason, "ended by bea: enough");
    let connection = site.complete("ssh");
    assert_eq!(header(&events).parent, Some(header(&connection).id));
    assert!(shown(&events).is_empty());
}

#[test]
fn a_session_that_is_ended_is_no_success_whatever_its_program_says() {
    let site = Site::new();
    let polite = "trap 'exit 0' HUP TERM; echo begun; while :; do sleep 0.05; done";
    for terminal in ["-T", "-tt"] {
        let client = site.ssh(&[terminal], &[polite]).spawn().unwrap();
        let kind = if terminal == "-T" { "exec" } else { "terminal" };
        let session = site.session(kind);
        crate::support::wait_for("its first word", || {
            let events = crate::support::events(&site.daemon.recording(session));
            [Stream::Stdout, Stream::Output]
                .iter()
                .any(|of| stream(&events, *of).starts_with(b"begun"))
        });
        let registry = site.daemon.server.registry();
        registry.end(session, "enough", "bea").unwrap();
        let out = finished(client);
        assert_ne!(out.status.code(), Some(0), "{terminal}");
        let end = site.complete(kind);
        assert_eq!(end_of(&end).exit_status, Some(0), "{terminal}");
    }
}

#[test]
fn a_connection_that_is_ended_takes_its_sessions_along() {
    let site = Site::new();
    let client = site.ssh(&[], &["echo begun; sleep 600"]).spawn().unwrap();
    let exec = site.session("exec");
    crate::support::wait_for("its first word", || {
        stream(
            &crate::support::events(&site.daemon.recording(exec)),
            Stream::Stdout,
        ) == b"begun\n"
    });
    let registry = site.daemon.server.registry();
    registry.end(site.session("ssh"), "enough", "bea").unwrap();
    let out = finished(client);
    assert_ne!(out.status.code(), Some(0));
    assert_eq!(end_of(&site.complete("ssh")).reason, "ended by bea: enough");
    site.complete("exec");
    crate::support::wait_for("no notes", || site.daemon.notes() == 0);
}

#[test]
fn another_authority_is_another_matter() {
    let site = Site::new();
    key(site.keys.path(), "third-ca");
    let own = site.account.name.clone();
    tried(
        &site,
        "third-ca",
        &["-I", "anna", "-n", &own, "-V", "-5m:+1h"],
        "not signed by an authority",
    );
}

#[test]
fn what_is_refused_while_nothing_else_happens_is_told_when_it_is() {
    let site = Site::new();
    let mut client = site.ssh(&["-oServerAliveInterval=1"], &["cat"]);
    let mut client = client.stdin(Stdio::piped()).spawn().unwrap();
    // Nothing is said meanwhile that would bring anybody to look.
    // `no-more-sessions` and two keepalives.
    wait_for("what was refused", || {
        let sessions = site.sessions();
        let connection = sessions.iter().find(|(session, _)| session.kind == "ssh");
        connection.is_some_and(|(_, events)| facts(events, "global_request").len() >= 3)
    });
    drop(client.stdin.take());
    assert_eq!(finished(client).status.code(), Some(0));
}

/// More than are told of one by one while the library is at work.
const MANY: &str = r"
t = connected()
t.auth_publickey(user, own)
for n in range(1000):
    t._send_user_message(message(80, 'no-such-request@example.com', False))
assert t.global_request('the-last@example.com', wait=True) is None
t.close()
print('done')
";

#[test]
fn of_all_that_is_refused_nothing_is_lost() {
    if !paramiko::is_there() {
        return;
    }
    let site = Site::new();
    paramiko::run(&site, MANY);
    let asked = facts(&site.complete("ssh"), "global_request");
    let times = asked.iter().map(|fact| match fact.fields.get("times") {
        Some(Value::Uint(times)) => *times,
        _ => 1,
    });
    assert_eq!(times.sum::<u64>(), 1001, "{} events", asked.len());
}
