//! What the kernel tells of what a login's programs do is in the login's recording.

use hansard_capture::host::{Config, HostEvents};
use hansard_core::event::{Body, Event, Fact};
use hansard_core::fields::Value;
use hansard_record::SpoolOptions;

use crate::support::{end_of, gaps};
use crate::world::{UID, World, everything, is_root};

/// `None` where the kernel tells nothing; in CI that is a failure.
fn host() -> Option<HostEvents> {
    if !is_root() {
        return None;
    }
    match HostEvents::start(Config::default(), Box::new(|_| {})) {
        Ok(host) => Some(host),
        Err(why) if std::env::var_os("CI").is_some() => panic!("{why}: {}", why.next),
        Err(why) => {
            eprintln!("skipped: {why}: {}", why.next);
            None
        }
    }
}

fn commands(events: &[Event]) -> Vec<&Fact> {
    let all = events.iter().filter_map(|event| match &event.body {
        Body::Command(fact) => Some(fact),
        _ => None,
    });
    all.collect()
}

#[test]
fn a_login_on_a_terminal_has_what_its_screen_does_not_show() {
    let Some(host) = host() else { return };
    let world = World::watched(everything(), SpoolOptions::default(), Some(host));
    let Some(world) = world else { return };
    let mut screen = world.login();
    screen.expect("$ ");
    // Encoded, with the echo off.
    screen.type_in(b"stty -echo\r");
    screen.expect("$ ");
    screen
        .type_in(b"echo Y2F0IC9ldGMvaG9zdG5hbWUgPi9kZXYvbnVsbAo= | base64 -d | sh; echo do''ne\r");
    screen.expect("done");
    screen.type_in(b"exit 5\r");
    assert_eq!(screen.wait(), 5);
    let events = world.only();
    assert_eq!(end_of(&events).exit_status, Some(5));
    assert!(gaps(&events).is_empty(), "{:?}", gaps(&events));
    let commands = commands(&events);
    let argv = Value::List(vec![Value::from("/etc/hostname")]);
    let cat = commands
        .iter()
        .find(|fact| fact.fields.get("argv") == Some(&argv));
    let cat = &cat.unwrap_or_else(|| panic!("{commands:#?}")).fields;
    assert!(cat.text("path").unwrap().ends_with("/cat"), "{cat:?}");
    assert_eq!(cat.get("process_uid"), Some(&Value::Uint(u64::from(UID))));
    // The shell itself is the session's first program; who held it is no part of it.
    let shell = commands[0].fields.get("argv0");
    assert_eq!(shell, Some(&Value::from("-sh")), "{:?}", commands[0]);
    let exits = events.iter().filter(|event| match &event.body {
        Body::Process(fact) => fact.fields.get("exit_status") == Some(&Value::Uint(5)),
        _ => false,
    });
    assert_eq!(exits.count(), 1);
}

#[test]
fn a_command_without_a_terminal_too() {
    let Some(host) = host() else { return };
    let world = World::watched(everything(), SpoolOptions::default(), Some(host));
    let Some(world) = world else { return };
    let done = world
        .command(&["-sh", "-c", "eval \"$(printf '\\151\\144') -u\""])
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let events = world.only();
    let commands = commands(&events);
    let argv = Value::List(vec![Value::from("-u")]);
    let ran = commands
        .iter()
        .any(|fact| fact.fields.get("argv") == Some(&argv));
    assert!(ran, "{commands:#?}");
    assert!(gaps(&events).is_empty(), "{:?}", gaps(&events));
}
