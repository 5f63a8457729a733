//! Which session a process belongs to.

use std::io::Write as _;
use std::os::unix::net::{UnixListener, UnixStream};

use hansard_capture::host::{Config, HostEvents};
use hansard_core::Body;
use hansard_core::policy::Watch;

use super::support::{gaps, wait_for};
use super::watching::{AFTERWARDS, ID, Within, World, argv, host, int, tell, text, tricks};

#[test]
fn whatever_a_process_does_it_stays_in_its_session() {
    let Some(host) = host() else { return };
    // Two forks and a session of its own; in the background after its shell ended; in namespaces.
    let script = format!(
        "{} daemon /usr/bin/env printf one\n\
         (setsid nohup sh -c 'while [ ! -e \"$DIR/on\" ]; do :; done; /usr/bin/env printf two; \
          : >\"$DIR/done\"' >/dev/null 2>&1 &)\n\
         unshare -p -f -n -m /usr/bin/env printf three\n\
         : >\"$DIR/on\"\n\
         while [ ! -e \"$DIR/done\" ]; do :; done\n",
        tricks().display()
    );
    let told = World::new(host, &script).told();
    for word in ["one", "two", "three"] {
        let run = told.command(&["printf", word]);
        assert_eq!(text(run, "path"), "/usr/bin/env", "{word}");
    }
    // Its parent is gone, and who forked it is told all the same.
    let orphan = told.command(&["printf", "one"]);
    assert_ne!(int(orphan, "forked_by"), None);
    assert_ne!(int(orphan, "forked_by"), int(orphan, "ppid"));
    let apart = told.one("session.call", |fields| text(fields, "call") == "unshare");
    assert_eq!(int(apart, "return_code"), Some(0));
    assert!(gaps(&told.events).is_empty());
}

#[test]
fn another_control_group_changes_nothing() {
    let Some(host) = host() else { return };
    // Where version 2 is mounted differs; where there is none, there is nothing to leave.
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let root = mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let place = words.next()?;
        (words.next() == Some("cgroup2")).then(|| place.to_owned())
    });
    let Some(root) = root else {
        eprintln!("skipped: no control groups of version 2 are mounted");
        return;
    };
    let group = format!("{root}/hansard-test-{}", std::process::id());
    if let Err(e) = std::fs::create_dir(&group) {
        eprintln!("skipped: {group}: {e}");
        return;
    }
    let script = format!(
        "sh -c 'echo $$ >{group}/cgroup.procs; /usr/bin/env printf inside; \
         echo $$ >{root}/cgroup.procs; /usr/bin/env printf outside'\n"
    );
    let told = World::new(host, &script).told();
    std::fs::remove_dir(&group).unwrap();
    let inside = told.command(&["printf", "inside"]);
    let outside = told.command(&["printf", "outside"]);
    assert_ne!(int(inside, "cgroup_id"), int(outside, "cgroup_id"));
}

#[test]
fn sixteen_sessions_at_once_are_never_mixed_up() {
    let Some(host) = host() else { return };
    let worlds: Vec<World> = (0..16)
        .map(|number| {
            let script = format!(
                "for n in 1 2 3 4 5 6 7 8 9 10; do /usr/bin/env printf s{number}; \
                 : >$DIR/f{number}; done"
            );
            World::new(host, &script)
        })
        .collect();
    for (number, world) in worlds.into_iter().enumerate() {
        let told = world.told();
        let word = format!("s{number}");
        let mut runs = 0;
        for fact in told.facts("session.command") {
            let argv = argv(&fact.fields);
            if argv.first().is_some_and(|word| word == "printf") {
                runs += usize::from(int(&fact.fields, "return_code") == Some(0));
                assert_eq!(argv.get(1), Some(&word));
            }
        }
        assert!(runs >= 10, "{word}: {runs}");
        for fact in told.facts("session.disk") {
            let path = text(&fact.fields, "path");
            let is_own = path == told.at(&format!("f{number}"));
            assert!(
                !path.contains("/f") || is_own || !path.contains("hansard-capture-"),
                "{path}"
            );
        }
        assert!(gaps(&told.events).is_empty());
    }
}

#[test]
fn a_process_of_somebody_else_is_not_marked() {
    let Some(host) = host() else { return };
    let mut world = World::new(host, ":");
    let own = i32::try_from(std::process::id()).unwrap();
    let refused = host.watch(
        (64_001, Some(own)),
        (ID, world.recorder.clone()),
        Watch::default(),
    );
    assert!(refused.err().unwrap().contains("gone"));
    let recorded = (ID, world.recorder.clone());
    assert!(host.watch((0, None), recorded, Watch::default()).is_err());
    world.wait();
    world.told();
}

/// A session that has ended and left this running: it does something once it is told.
fn left_by(host: &HostEvents, word: &str) -> UnixStream {
    let place = super::support::TempDir::new();
    let listener = UnixListener::bind(place.path().join("go")).unwrap();
    let script = format!(
        "(setsid {} waits {} /usr/bin/env printf {word} >/dev/null 2>&1 &)\n:\n",
        tricks().display(),
        place.path().join("go").display()
    );
    let world = World::new(host, &script);
    let (left, _) = listener.accept().unwrap();
    let told = world.told();
    assert!(!told.printed(word));
    left
}

/// What it did, and under which name.
fn is_told_of(mut left: UnixStream, word: &str) {
    left.write_all(b"x").unwrap();
    let found = || {
        let all = AFTERWARDS.lock().unwrap();
        let found = all.iter().find_map(|body| match body {
            Body::Command(fact) if argv(&fact.fields) == ["printf", word] => Some(fact),
            _ => None,
        });
        found.cloned()
    };
    wait_for("what was left", || found().is_some());
    assert_eq!(text(&found().unwrap().fields, "recording"), ID.to_string());
}

#[test]
fn what_a_session_leaves_running_is_told_under_its_name() {
    let Some(host) = host() else { return };
    let left = left_by(host, "long-after");
    is_told_of(left, "long-after");
}

#[test]
fn of_many_that_ended_those_are_watched_that_left_something_running() {
    if host().is_none() {
        return;
    }
    for (by_number, word) in [(false, "beside-tasks"), (true, "by-number")] {
        let config = Config {
            by_number,
            ..Config::default()
        };
        let host = HostEvents::start(config, tell()).unwrap();
        let left = left_by(&host, word);
        for _ in 0..70 {
            World::new(&host, ":").told();
        }
        wait_for("the others to be forgotten", || host.counted().ended < 60);
        is_told_of(left, word);
    }
}

#[test]
fn who_opens_a_session_in_a_session_hides_nothing() {
    let Some(host) = host() else { return };
    // What it does itself, what it starts, and what that starts and leaves running; then once more.
    let script = "mkfifo $DIR/go $DIR/left; exec 3<>$DIR/go 4<>$DIR/left\n\
        echo $$ >$DIR/pid.new; mv $DIR/pid.new $DIR/pid\n\
        read _ <&3\n\
        : >$DIR/own; /usr/bin/env printf started\n\
        (read _ <&4; : >$DIR/of-left; /usr/bin/env printf left; : >$DIR/left-is-done) &\n\
        : >$DIR/ready\n\
        read _ <&3\n\
        : >$DIR/own-again; /usr/bin/env printf again; wait\n";
    for policy in [Watch::default(), nothing()] {
        let world = World::new(host, script);
        let at = |name: &str| world.dir.path().join(name);
        let say = |name: &str| std::fs::write(at(name), "go\n").unwrap();
        wait_for("the shell", || at("pid").exists());
        let pid = std::fs::read_to_string(at("pid")).unwrap();
        let within = Within::held_by(host, &pid, policy);
        say("go");
        wait_for("what it starts", || at("ready").exists());
        let inner = within.told();
        say("left");
        wait_for("what it left running", || at("left-is-done").exists());
        say("go");
        let outer = world.told();
        // Of what the policy of the inner one leaves out, nothing is: the outer one's does not.
        assert!(inner.printed("started") && !outer.printed("started"));
        assert!(outer.touched("/own") && !inner.touched("/own"));
        for word in ["left", "again"] {
            assert!(outer.printed(word) && !inner.printed(word), "{word}");
        }
        for name in ["/own-again", "/of-left"] {
            assert!(outer.touched(name) && !inner.touched(name), "{name}");
        }
        assert!(gaps(&inner.events).is_empty() && gaps(&outer.events).is_empty());
    }
}

/// A policy that wants none of host events.
fn nothing() -> Watch {
    Watch {
        command: Some(false),
        disk: Some(false),
        network: Some(false),
    }
}

#[test]
fn what_ends_within_goes_on_in_the_outermost_that_goes_on() {
    let Some(host) = host() else { return };
    // A session, one within it, and one within that, whose child outlives both.
    let script = "mkfifo $DIR/go $DIR/deep $DIR/left; exec 3<>$DIR/go 4<>$DIR/deep 5<>$DIR/left\n\
        echo $$ >$DIR/pid.new; mv $DIR/pid.new $DIR/pid\n\
        read _ <&3\n\
        sh -c 'echo $$ >$DIR/second.new; mv $DIR/second.new $DIR/second; read _ <&4; \
        (read _ <&5; /usr/bin/env printf deep; : >$DIR/done) & : >$DIR/ready; wait'\n";
    let world = World::new(host, script);
    let at = |name: &str| world.dir.path().join(name);
    let say = |name: &str| std::fs::write(at(name), "go\n").unwrap();
    let process = |name: &str| {
        wait_for(name, || at(name).exists());
        std::fs::read_to_string(at(name)).unwrap()
    };
    let first = Within::held_by(host, &process("pid"), Watch::default());
    say("go");
    let second = Within::held_by(host, &process("second"), Watch::default());
    say("deep");
    wait_for("what it starts", || at("ready").exists());
    let second = second.told();
    let first = first.told();
    say("left");
    wait_for("what it left running", || at("done").exists());
    let outer = world.told();
    assert!(outer.printed("deep") && !first.printed("deep") && !second.printed("deep"));
}
