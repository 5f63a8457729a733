//! What is told and what is not, as policy and configuration say; and other ways to keep marks.

use hansard_capture::host::{Config, HostEvents, LeftOut};
use hansard_core::Fields;
use hansard_core::policy::Watch;

use super::support::{TempDir, gaps};
use super::watching::{Told, World, argv, host, int, list, text, tricks};

/// What the recording says of itself, first and last.
fn of_itself(told: &Told) -> Vec<Fields> {
    let facts = told.facts("session.watched");
    facts.iter().map(|fact| fact.fields.clone()).collect()
}

/// The kernel's programs once more, with another configuration.
fn other(config: Config) -> Option<HostEvents> {
    host()?;
    Some(HostEvents::start(config, Box::new(|_| {})).unwrap())
}

#[test]
fn each_session_is_told_of_as_its_policy_says() {
    let Some(host) = host() else { return };
    let script = format!(
        "cat /etc/hostname >/dev/null\n{} tcp 127.0.0.1 9\n:\n",
        tricks().display()
    );
    let counts = |watch: Watch| {
        let told = World::under(host, &script, watch).told();
        let of = |name: &str| told.facts(name).len();
        let itself = of_itself(&told);
        assert_eq!(itself.len(), 1);
        let said = list(&itself[0], "told");
        let said = ["command", "disk", "network"].map(|name| said.contains(&name.to_owned()));
        let told_of = [
            of("session.command") + of("session.process_exit"),
            of("session.disk"),
            of("session.network"),
        ];
        assert_eq!(said, told_of.map(|count| count > 0), "{told_of:?}");
        said
    };
    assert_eq!(counts(Watch::default()), [true; 3]);
    let watch = Watch {
        disk: Some(false),
        ..Watch::default()
    };
    assert_eq!(counts(watch), [true, false, true]);
    let watch = Watch {
        command: Some(false),
        disk: Some(true),
        network: Some(false),
    };
    assert_eq!(counts(watch), [false, true, false]);
}

#[test]
fn a_policy_asks_for_what_the_configuration_has_switched_off() {
    let config = Config {
        disk: false,
        ..Config::default()
    };
    let Some(host) = other(config) else { return };
    let script = "cat /etc/hostname >/dev/null\n:\n";
    let told = World::under(&host, script, Watch::default()).told();
    assert_eq!(told.facts("session.disk").len(), 0);
    let watch = Watch {
        disk: Some(true),
        ..Watch::default()
    };
    let told = World::under(&host, script, watch).told();
    told.file("openat", "/etc/hostname");
}

#[test]
fn files_below_a_directory_are_left_out_and_nothing_looks_like_them() {
    let dir = TempDir::new();
    let quiet = dir.path().join("quiet");
    std::fs::create_dir_all(quiet.join("deep")).unwrap();
    std::fs::write(quiet.join("deep/one"), "x").unwrap();
    std::os::unix::fs::symlink("/etc", quiet.join("way")).unwrap();
    let config = Config {
        left_out: LeftOut {
            paths: vec![quiet.clone(), "/none/such".into()],
            programs: Vec::new(),
        },
        ..Config::default()
    };
    let Some(host) = other(config) else { return };
    assert_eq!(host.absent().len(), 1);
    // A link that leads out of it, a way through it, another file system in it: all are told.
    let script = format!(
        "Q={}\ncat $Q/deep/one $Q/deep/one $Q/deep/../deep/one >/dev/null\ncat $Q/way/hostname >/dev/null\n\
         cat $Q/../quiet/way/shadow >/dev/null\ncat $Q/none 2>/dev/null\n\
         unshare -m sh -c \"mount --bind /etc $Q/deep; cat $Q/deep/passwd >/dev/null\"\n\
         rm $Q/deep/one\n:\n",
        quiet.display()
    );
    let told = World::new(&host, &script).told();
    let at = |name: &str| quiet.join(name).to_str().unwrap().to_owned();
    let opened = told.facts("session.disk");
    let of_left_out = opened.iter().filter(|fact| {
        text(&fact.fields, "path") == at("deep/one") && text(&fact.fields, "call") == "openat"
    });
    assert_eq!(of_left_out.count(), 0);
    for path in ["/etc/hostname", "/etc/shadow", &at("deep/passwd")] {
        assert!(
            int(told.file("openat", path), "return_code") >= Some(0),
            "{path}"
        );
    }
    assert_eq!(
        int(told.file("openat", &at("none")), "return_code"),
        Some(-2)
    );
    told.file("unlinkat", &at("deep/one"));
    let itself = of_itself(&told);
    assert_eq!(
        list(&itself[0], "not_told_paths"),
        [at(""), "/none/such".into()].map(|path| { path.trim_end_matches('/').to_owned() })
    );
    assert_eq!(int(&itself[1], "not_told"), Some(3));
    assert!(gaps(&told.events).is_empty());
}

#[test]
fn what_a_program_does_is_left_out_and_what_it_starts_is_not() {
    let config = Config {
        left_out: LeftOut {
            paths: Vec::new(),
            programs: vec![tricks().to_owned()],
        },
        ..Config::default()
    };
    let Some(host) = other(config) else { return };
    let tricks = tricks().display();
    let script = format!(
        "{tricks} raw /etc/gshadow\n{tricks} tcp 127.0.0.1 9\n{tricks} vfork /bin/cat /etc/hostname\n:\n"
    );
    let told = World::new(&host, &script).told();
    // That it ran is told, and what it turned into is another program.
    told.command(&["raw", "/etc/gshadow"]);
    assert_eq!(argv(told.command(&["/etc/hostname"])), ["/etc/hostname"]);
    told.file("openat", "/etc/hostname");
    for name in ["session.disk", "session.network"] {
        let by_it = told.facts(name);
        let by_it = by_it
            .iter()
            .filter(|f| text(&f.fields, "program") == "tricks");
        assert_eq!(by_it.count(), 0, "{name}");
    }
    assert!(int(&of_itself(&told)[1], "not_told") >= Some(2));
}

#[test]
fn marks_in_a_table_of_numbers_say_the_same() {
    let config = Config {
        by_number: true,
        ..Config::default()
    };
    let Some(host) = other(config) else { return };
    // Forks, sessions and namespaces of their own, and a thread that takes its process's place.
    let script = format!(
        "{tricks} daemon /usr/bin/env printf one\n\
         (setsid nohup sh -c '/usr/bin/env printf two; : >\"$DIR/done\"' >/dev/null 2>&1 &)\n\
         unshare -p -f -n -m /usr/bin/env printf three\n\
         {tricks} thread /usr/bin/env printf four\n\
         while [ ! -e \"$DIR/done\" ]; do :; done\n",
        tricks = tricks().display()
    );
    let (one, two) = (World::new(&host, &script), World::new(&host, &script));
    for world in [one, two] {
        let told = world.told();
        for word in ["one", "two", "three", "four"] {
            let run = told.command(&["printf", word]);
            assert_eq!(text(run, "path"), "/usr/bin/env", "{word}");
            // And what it did then.
            let pid = int(run, "pid");
            told.one("session.command", |fields| {
                int(fields, "pid") == pid && argv(fields) == [word]
            });
            told.one("session.process_exit", |fields| int(fields, "pid") == pid);
        }
        assert!(gaps(&told.events).is_empty());
    }
}
