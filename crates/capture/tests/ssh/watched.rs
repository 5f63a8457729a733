//! What the kernel tells of what runs over the node.

use hansard_capture::host::{Config, HostEvents};
use hansard_core::event::{Body, Event, Fact};
use hansard_core::fields::Value;

use crate::site::Site;
use crate::support::{end_of, header};

fn commands(events: &[Event]) -> Vec<&Fact> {
    let commands = events.iter().filter_map(|event| match &event.body {
        Body::Command(fact) if fact.event == "session.command" => Some(fact),
        _ => None,
    });
    commands.collect()
}

fn argv(fact: &Fact) -> Vec<&str> {
    match fact.fields.get("argv") {
        Some(Value::List(list)) => list.iter().filter_map(Value::as_text).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_program_is_told_from_the_first_one_on() {
    let host = match HostEvents::start(Config::default(), Box::new(|_| {})) {
        Ok(host) => host,
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "{why}: {}", why.next);
            return eprintln!("skipped: {why}");
        }
    };
    let site = Site::with(|_| {}, |local| local.host = Some(host));
    let hidden = "echo L3Vzci9iaW4vZW52IHByaW50ZiBoaWRkZW4= | base64 -d | sh; exit 3";
    let out = site.run(hidden);
    assert_eq!(out.status.code(), Some(3), "{out:?}");
    assert_eq!(out.stdout, b"hidden");
    let exec = site.complete("exec");
    let told = commands(&exec);
    // The account's shell, which the node starts itself.
    let shell = argv(told.first().unwrap());
    assert_eq!(shell, ["-c", hidden], "{told:#?}");
    let all: Vec<_> = told.iter().map(|fact| argv(fact)).collect();
    assert!(all.contains(&vec!["printf", "hidden"]), "{all:?}");
    // It is the account's program that is watched, and not what the node did to start it.
    let uid = told[0].fields.get("process_uid");
    assert_eq!(uid, Some(&u64::from(site.account.uid).into()));
    let calls = exec
        .iter()
        .filter(|event| matches!(&event.body, Body::Process(fact) if fact.event == "session.call"));
    assert_eq!(calls.count(), 0, "{exec:#?}");
    assert_eq!(end_of(&exec).exit_status, Some(3));
    assert_eq!(header(&exec).kind, "exec");
    // In the exec's own recording, and in no other.
    assert!(commands(&site.complete("ssh")).is_empty());
}

#[test]
fn what_does_not_start_leaves_nobody_waiting() {
    let Ok(host) = HostEvents::start(Config::default(), Box::new(|_| {})) else {
        assert!(std::env::var_os("CI").is_none(), "no host events");
        return eprintln!("skipped: no host events here");
    };
    let site = Site::with(
        |config| config.sftp_server = "/none/such".into(),
        |local| local.host = Some(host),
    );
    let out = crate::site::finished(site.ssh(&["-s"], &["sftp"]).spawn().unwrap());
    assert!(!out.status.success(), "{out:?}");
    let end = site.complete("sftp");
    assert!(
        end_of(&end).reason.starts_with("nothing was run"),
        "{end:#?}"
    );
}
