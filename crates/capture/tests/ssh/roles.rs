//! What roles in a certificate give, on a node and through a proxy, and that nothing else is given.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output, Stdio};

use hansard_capture::ssh::{Config, Forwards};
use hansard_core::access::{Access, ChannelKind, Grant, Kept, to_text};
use hansard_core::event::Event;
use hansard_core::{SessionId, Value};

use crate::debian;
use crate::proxied::Behind;
use crate::site::{Site, facts, finished};
use crate::support::{end_of, header, wait_for};

/// A role for one account of the hosts with a label.
fn role(login: &str, hosts: &[(&str, &str)], channels: &[ChannelKind]) -> Grant {
    let hosts = hosts
        .iter()
        .map(|(label, value)| ((*label).to_owned(), vec![(*value).to_owned()]));
    Grant {
        role: "ops".into(),
        logins: vec![login.to_owned()],
        hosts: hosts.collect(),
        channels: channels.to_vec(),
        ..Grant::default()
    }
}

/// As `ssh-keygen` writes it into a certificate.
fn option(grants: Vec<Grant>) -> String {
    let text = to_text(&Access { grants }).unwrap();
    format!("extension:access@hansard={text}")
}

fn staging(config: &mut Config) {
    config.name = "web1".into();
    config.labels = BTreeMap::from([("env".to_owned(), "staging".to_owned())]);
}

fn certify(site: &Site, grants: Vec<Grant>, valid: &str) {
    let option = option(grants);
    let name = site.account.name.clone();
    site.certify(
        "ca",
        &["-I", "anna", "-n", &name, "-V", valid, "-O", &option],
    );
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// Why the one event of this name says that it was refused.
fn refused(connection: &[Event], name: &str) -> String {
    let found = facts(connection, name);
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    assert_eq!(
        found[0].fields.get("success"),
        Some(&false.into()),
        "{found:?}"
    );
    found[0].fields.text("error").unwrap().to_owned()
}

/// The connection that ended last.
fn last(site: &Site) -> Vec<Event> {
    let ids = || -> Vec<SessionId> {
        let all = site.sessions();
        let of_kind = all.iter().filter(|(session, _)| session.kind == "ssh");
        of_kind.map(|(session, _)| session.id).collect()
    };
    wait_for("a connection", || !ids().is_empty());
    let id = ids().pop().unwrap();
    site.daemon.complete(id)
}

#[test]
fn a_role_lets_into_its_accounts_on_its_hosts_and_nowhere_else() {
    let site = Site::with(staging, |_| {});
    let login = site.account.name.clone();
    for (hosts, is_in) in [
        (&[("env", "staging")][..], true),
        (&[("name", "web*")], true),
        (&[("env", "staging"), ("name", "web1")], true),
        (&[("*", "*")], true),
        (&[("env", "prod")], false),
        (&[("env", "staging"), ("name", "web2")], false),
        (&[("team", "*")], false),
        (&[], false),
    ] {
        certify(
            &site,
            vec![role(&login, hosts, &ChannelKind::ALL)],
            "-5m:+1h",
        );
        let out = site.run("echo in");
        assert_eq!(out.stdout == b"in\n", is_in, "{hosts:?}: {out:?}");
        if !is_in {
            // A sentence, where the library has a way to say one before anybody is in.
            let why =
                format!("your role ops does not let you into the account {login:?} on this host");
            assert!(said(&out).contains(&why), "{hosts:?}: {out:?}");
            assert_eq!(
                site.refusal("does not let you").fields.text("error"),
                Some(&*why)
            );
        }
    }
    // The principals alone let nobody in.
    certify(
        &site,
        vec![role("somebody", &[("*", "*")], &ChannelKind::ALL)],
        "-5m:+1h",
    );
    assert_ne!(site.run("true").status.code(), Some(0));
    certify(&site, Vec::new(), "-5m:+1h");
    assert!(said(&site.run("true")).contains("you have no role"));
    // What cannot be read gives nothing.
    let broken = "extension:access@hansard=1\nrole=ops;everything=yes";
    site.certify(
        "ca",
        &["-I", "anna", "-n", &login, "-V", "-5m:+1h", "-O", broken],
    );
    assert_ne!(site.run("true").status.code(), Some(0));
    site.refusal("cannot be read");
}

#[test]
fn a_channel_that_no_role_permits_is_refused_with_a_sentence() {
    let site = Site::with(
        |config| {
            staging(config);
            config.forwards = Forwards {
                to: vec!["*:*".into()],
                listen: vec!["*:*".into()],
                sockets: vec!["/*".into()],
                agent: true,
                x11: true,
                nested: Vec::new(),
            };
        },
        |_| {},
    );
    let login = site.account.name.clone();
    let everywhere = [("*", "*")];
    certify(
        &site,
        vec![role(&login, &everywhere, &[ChannelKind::Sftp])],
        "-5m:+1h",
    );
    for (options, command, event, kind) in [
        (&[][..], &["echo ran"][..], "exec", "exec"),
        (&["-tt"], &[], "shell", "shell"),
        (&["-W", "127.0.0.1:1"], &[], "port.local", "forward-local"),
    ] {
        let out = finished(site.ssh(options, command).spawn().unwrap());
        assert_ne!(out.status.code(), Some(0), "{out:?}");
        assert!(out.stdout.is_empty(), "{out:?}");
        let why = format!("your role ops does not permit {kind}");
        assert_eq!(refused(&last(&site), event), why);
        if ["exec", "shell"].contains(&event) {
            assert!(said(&out).contains(&format!("hansard: {why}")), "{out:?}");
        }
    }
    let out = finished(
        site.ssh(
            &[
                "-N",
                "-o",
                "ExitOnForwardFailure=yes",
                "-R",
                "127.0.0.1:0:127.0.0.1:1",
            ],
            &[],
        )
        .spawn()
        .unwrap(),
    );
    assert_ne!(out.status.code(), Some(0));
    assert!(refused(&last(&site), "port.remote").ends_with("does not permit forward-remote"));
    let kinds: Vec<String> = site.sessions().into_iter().map(|(s, _)| s.kind).collect();
    assert!(kinds.iter().all(|kind| kind == "ssh"), "{kinds:?}");

    // What it does permit works, and nothing beside it.
    let file = site.path("file");
    fs::write(&file, "content").unwrap();
    let copy = site.path("copy");
    let copied = |options: &[&str]| {
        let mut scp = Command::new("scp");
        scp.args(["-F", "none"]).args(site.options()).args(options);
        scp.arg(&file).arg(format!("127.0.0.1:{}", copy.display()));
        finished(
            scp.stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap(),
        )
    };
    assert_eq!(copied(&[]).status.code(), Some(0));
    assert_eq!(fs::read_to_string(&copy).unwrap(), "content");
    fs::remove_file(&copy).unwrap();
    assert_ne!(copied(&["-O"]).status.code(), Some(0));
    assert!(!copy.exists());
    certify(
        &site,
        vec![role(&login, &everywhere, &[ChannelKind::Scp])],
        "-5m:+1h",
    );
    assert_ne!(copied(&[]).status.code(), Some(0));
    assert_eq!(copied(&["-O"]).status.code(), Some(0));
    assert_eq!(fs::read_to_string(&copy).unwrap(), "content");
    let out = site.run("scp -t /tmp; id");
    assert!(said(&out).contains("does not permit exec"), "{out:?}");
}

#[test]
fn a_role_stands_in_the_header_and_can_have_more_kept() {
    let site = Site::with(staging, |_| {});
    let mut ops = role(&site.account.name, &[("*", "*")], &[ChannelKind::Exec]);
    ops.kept = vec![Kept::Files, Kept::Keystrokes];
    certify(&site, vec![ops], "-5m:+1h");
    assert_eq!(site.run("true").status.code(), Some(0));
    let exec = site.complete("exec");
    let header = header(&exec);
    let roles = Value::List(vec!["ops".into()]);
    assert_eq!(header.subject.get("user_roles"), Some(&roles));
    let policy = &header.policy;
    assert!(
        policy.keystrokes && policy.files && !policy.forwarding,
        "{policy:?}"
    );
}

#[test]
fn certificates_without_roles_let_in_unless_only_those_with_do() {
    let free = Site::with(staging, |_| {});
    assert_eq!(free.run("true").status.code(), Some(0));
    let only = Site::with(|config| config.roles_only = true, |_| {});
    assert_ne!(only.run("true").status.code(), Some(0));
    only.refusal("says nothing of roles");
    certify(
        &only,
        vec![role(
            &only.account.name,
            &[("*", "*")],
            &[ChannelKind::Exec],
        )],
        "-5m:+1h",
    );
    assert_eq!(only.run("true").status.code(), Some(0));
}

#[test]
fn a_session_ends_with_its_certificate_if_the_role_says_so() {
    let site = Site::with(staging, |_| {});
    let mut ops = role(&site.account.name, &[("*", "*")], &[ChannelKind::Exec]);
    ops.ends = true;
    certify(&site, vec![ops.clone()], "-5m:+4s");
    let out = site.run("echo begun; exec sleep 600");
    assert_eq!(out.stdout, b"begun\n", "{out:?}");
    assert!(said(&out).contains("the certificate is over"), "{out:?}");
    let connection = site.complete("ssh");
    let gone = facts(&connection, "client.disconnect");
    assert_eq!(
        gone[0].fields.text("reason"),
        Some("the certificate is over")
    );
    assert_eq!(end_of(&connection).reason, "the certificate is over");
    site.complete("exec");

    let site = Site::with(staging, |_| {});
    ops.ends = false;
    certify(&site, vec![ops], "-5m:+4s");
    let out = site.run("echo begun; sleep 6; echo after");
    assert_eq!(out.stdout, b"begun\nafter\n", "{out:?}");
    // A new one is another matter.
    assert_ne!(site.run("true").status.code(), Some(0));
}

#[test]
fn a_proxy_asks_for_the_labels_of_where_it_leads() {
    if !debian::is_there() {
        return;
    }
    let behind = Behind::new(|config| {
        // Its own labels are nothing to those who go on.
        config.labels = BTreeMap::from([("env".to_owned(), "proxy".to_owned())]);
    });
    let login = behind.site.account.name.clone();
    let certify = |value: &str, channels: &[ChannelKind]| {
        let option = option(vec![role(&login, &[("env", value)], channels)]);
        behind.certify(&["-V", "-5m:+1h", "-O", &option]);
    };
    certify("proxy", &ChannelKind::ALL);
    let out = behind.ssh(&[], "echo in");
    assert!(
        said(&out).contains("does not let you into the account"),
        "{out:?}"
    );
    certify("test", &[ChannelKind::Shell]);
    let out = behind.ssh(&[], "echo in");
    assert!(out.stdout.is_empty(), "{out:?}");
    assert!(said(&out).contains("does not permit exec"), "{out:?}");
    certify("test", &[ChannelKind::Exec]);
    assert_eq!(behind.ssh(&[], "echo in").stdout, b"in\n");
    let exec = behind.site.complete("exec");
    let roles = Value::List(vec!["ops".into()]);
    assert_eq!(header(&exec).subject.get("user_roles"), Some(&roles));
}
