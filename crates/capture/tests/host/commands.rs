//! Programs that are started, and how they end.

use super::watching::{World, argv, host, int, list, text};

#[test]
fn every_way_of_hiding_a_command_shows_the_command() {
    let Some(host) = host() else { return };
    // After the obfuscations of Teleport's own list: encoded, a script, codes put together in a loop,
    // special characters, a glob, a variable, `eval`.
    let script = r#"
echo aWQgLXUgLW4K | base64 -d | sh
printf '#!/bin/sh\nid -g\n' >"$DIR/s1.sh"; chmod 755 "$DIR/s1.sh"; ./s1.sh
c=; for n in 151 144; do c="$c$(printf "\\$n")"; done; $c -r
/???/b?n/i[d] -G
i''d -G -n
a=i; b=d; ${a}${b} -g -n
eval "$(printf '\151\144\40\55\165')"
/bin/sh -c 'exec id -z -G'
"#;
    let told = World::new(host, script).told();
    let ran = told.commands();
    for wanted in [
        "/usr/bin/id -u -n",
        "/usr/bin/id -g",
        "/usr/bin/id -r",
        "/usr/bin/id -G",
        "/usr/bin/id -G -n",
        "/usr/bin/id -g -n",
        "/usr/bin/id -u",
        "/usr/bin/id -z -G",
        "/usr/bin/base64 -d",
    ] {
        assert!(ran.iter().any(|line| line == wanted), "{wanted}: {ran:#?}");
    }
    // Of a script: what runs it, and that it was asked for.
    let script = told.one("session.command", |fields| {
        text(fields, "requested_path") == "./s1.sh"
    });
    assert_eq!(argv(script).last().unwrap(), "./s1.sh");
    assert!(text(script, "path").ends_with("sh"), "{script:?}");
    assert_eq!(text(script, "cwd"), told.at("").trim_end_matches('/'));
}

#[test]
fn how_programs_end_and_who_started_them() {
    let Some(host) = host() else { return };
    let script = r"
sh -c 'exit 42'
sh -c 'kill -9 $$'
(exit 7)
none_such_program
/etc/passwd
true
";
    let told = World::new(host, script).told();
    let ended = |status: i64| {
        told.one("session.process_exit", |fields| {
            int(fields, "exit_status") == Some(status)
        })
    };
    let child = told.command(&["-c", "exit 42"]);
    assert_eq!(int(ended(42), "pid"), int(child, "pid"));
    assert_eq!(int(ended(128 + 9), "signal_number"), Some(9));
    // A fork that runs no program has an end all the same.
    assert!(int(ended(7), "pid").is_some());
    // The shell is the parent of what it started.
    let shell = told.command(&[&told.at("script")]);
    assert_eq!(int(child, "ppid"), int(shell, "pid"));
    // What is not there was looked for at every place of PATH, and is told once.
    let all = told.facts("session.command");
    let missed = all.iter().filter(|fact| {
        int(&fact.fields, "return_code") == Some(-2)
            && text(&fact.fields, "path").ends_with("none_such_program")
    });
    let missed: Vec<_> = missed.collect();
    assert!(missed.len() <= 1, "{missed:#?}");
    let refused = told.one("session.command", |fields| {
        text(fields, "path") == "/etc/passwd"
    });
    assert_eq!(int(refused, "return_code"), Some(-13));
}

#[test]
fn what_was_looked_for_is_told_with_what_was_found() {
    let Some(host) = host() else { return };
    // env(1) tries every place, as a shell that does not look first does.
    let told = World::new(host, "PATH=/none:/nowhere:/usr/bin env id -u; :").told();
    let found = told.one("session.command", |fields| {
        argv(fields) == ["-u"] && int(fields, "return_code") == Some(0)
    });
    let searched = list(found, "searched");
    assert_eq!(searched, ["/none/id", "/nowhere/id"]);
}

#[test]
fn long_arguments_are_kept_and_cut_ones_say_so() {
    let Some(host) = host() else { return };
    let script = r#"
one=$(printf '%0900d' 0)
/bin/true $one $one $one $one $one $one $one $one $one $one $one $one $one $one $one
/bin/true $(seq 8000)
"#;
    let told = World::new(host, script).told();
    let whole = told.one("session.command", |fields| {
        argv(fields).len() == 15 && argv(fields)[14].len() == 900
    });
    assert!(whole.get("cut").is_none(), "{whole:?}");
    let cut = told.one("session.command", |fields| fields.get("cut").is_some());
    let words = argv(cut);
    assert_eq!((words[0].as_str(), words[2000].as_str()), ("1", "2001"));
    assert_eq!(int(cut, "argc"), Some(8001));
    // `/bin/true`, and 8000 numbers with their zeros.
    let bytes = 10 + 9 * 2 + 90 * 3 + 900 * 4 + 7001 * 5;
    assert_eq!(int(cut, "argv_bytes"), Some(bytes));
}

/// An argument of no bytes takes one of the kernel's room: there are more of them than an event has place for, and
/// an event that nobody can read would cost the recording.
#[test]
fn of_arguments_without_end_as_many_are_told_as_an_event_has_room_for() {
    let Some(host) = host() else { return };
    let script = "perl -e 'exec \"/bin/true\", (\"\") x 5000'\n";
    let told = World::new(host, script).told();
    let wide = told.one("session.command", |fields| fields.get("argc").is_some());
    assert_eq!(text(wide, "path"), "/usr/bin/true");
    assert_eq!((argv(wide).len(), int(wide, "argc")), (4096, Some(5001)));
}
