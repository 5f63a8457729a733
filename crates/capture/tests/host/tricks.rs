//! Ways around those who look elsewhere: the 32-bit ABI, io_uring, programs without a file, arguments
//! that change.

use std::net::TcpListener;

use hansard_capture::host::Missing;

use super::watching::{World, argv, host, int, list, text, tricks};

#[test]
fn the_32_bit_calls_of_a_64_bit_program() {
    let Some(host) = host() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("{} compat /etc/shadow {port}", tricks().display());
    let told = World::new(host, &script).told();
    let by_32 = |fields: &hansard_core::Fields| text(fields, "abi") == "i386";
    if !std::path::Path::new("/proc/sys/abi/vsyscall32").exists() {
        eprintln!("skipped: this kernel has no 32-bit ABI");
        return;
    }
    let opened = told.one("session.disk", |fields| {
        by_32(fields) && text(fields, "path") == "/etc/shadow"
    });
    assert_eq!(text(opened, "call"), "open");
    assert!(int(opened, "return_code") >= Some(0));
    let removed = told.one("session.disk", |fields| {
        by_32(fields) && text(fields, "path") == "/none/compat"
    });
    assert_eq!(
        (text(removed, "call"), int(removed, "return_code")),
        ("unlink".into(), Some(-2))
    );
    let all = told.facts("session.network");
    let made = all.iter().filter(|fact| {
        by_32(&fact.fields) && int(&fact.fields, "dst_port") == Some(i64::from(port))
    });
    // By `connect` and by `socketcall`.
    assert_eq!(made.count(), 2);
}

#[test]
fn what_is_done_through_io_uring() {
    let Some(host) = host() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let tricks = tricks().display();
    let script = format!("{tricks} rings $DIR {port}\n{tricks} polled-rings $DIR {port}\n:\n");
    let told = World::new(host, &script).told();
    let setups = told.facts("session.call");
    let of_ring = setups
        .iter()
        .find(|fact| text(&fact.fields, "call") == "io_uring_setup");
    let setup = of_ring.expect("setting a ring up is told");
    if int(&setup.fields, "return_code") < Some(0) {
        eprintln!("skipped: this kernel gives no rings: {setup:?}");
        return;
    }
    let is_answered = !host.support().missing.contains(&Missing::Answers);
    // Asked for by the program itself, and by a thread of the kernel's.
    for polled in ["0", "1"] {
        let (old, new) = (format!("ring-{polled}"), format!("ring-new-{polled}"));
        let by_ring = |call: &str, path: &str| {
            told.one("session.disk", |fields| {
                text(fields, "by") == "io_uring"
                    && text(fields, "call") == call
                    && text(fields, "path") == told.at(path)
            })
        };
        // O_CREAT | O_RDWR, to which io_uring may add O_LARGEFILE.
        assert_eq!(
            int(by_ring("openat", &old), "flags").unwrap() & 0o102,
            0o102
        );
        assert_eq!(text(by_ring("renameat2", &old), "new_path"), told.at(&new));
        by_ring("unlinkat", &new);
        if is_answered {
            assert!(int(by_ring("openat", &old), "return_code") >= Some(0));
            for (call, path) in [("renameat2", &old), ("unlinkat", &new)] {
                assert_eq!(int(by_ring(call, path), "return_code"), Some(0), "{call}");
            }
            let missed = by_ring("openat", "ring-none");
            assert_eq!(int(missed, "return_code"), Some(-2));
        }
    }
    let all = told.facts("session.network");
    let made = all.iter().filter(|fact| {
        text(&fact.fields, "by") == "io_uring"
            && int(&fact.fields, "dst_port") == Some(i64::from(port))
    });
    let made: Vec<_> = made.collect();
    assert_eq!(made.len(), 2);
    for fact in made.iter().filter(|_| is_answered) {
        // Or it is under way.
        let code = int(&fact.fields, "return_code").unwrap();
        assert!([0, -115].contains(&code), "{fact:?}");
        assert_eq!(text(&fact.fields, "action"), "0");
    }
}

#[test]
fn a_program_without_a_file_and_one_by_vfork() {
    let Some(host) = host() else { return };
    let tricks = tricks().display();
    let script = format!("{tricks} memory /usr/bin/id -u\n{tricks} vfork /usr/bin/id -g\n:\n");
    let told = World::new(host, &script).told();
    let hidden = told.one("session.command", |fields| {
        fields.get("unlinked").is_some() && argv(fields) == ["-u"]
    });
    assert!(text(hidden, "path").contains("memfd:evil"), "{hidden:?}");
    let made = told.one("session.call", |fields| {
        text(fields, "call") == "memfd_create"
    });
    assert_eq!(text(made, "name"), "evil");
    assert_eq!(text(told.command(&["-g"]), "path"), "/usr/bin/id");
}

#[test]
fn the_file_that_is_told_is_the_file_that_was_opened() {
    let Some(host) = host() else { return };
    let tricks = tricks().display();
    let script =
        format!("{tricks} rewritten /etc/hostname /etc/shadow\n{tricks} raw /etc/gshadow\n:\n");
    let told = World::new(host, &script).told();
    let opened = told.file("openat", "/etc/shadow");
    assert_eq!(text(opened, "program"), "tricks");
    assert!(int(opened, "return_code") >= Some(0));
    told.file("open", "/etc/gshadow");
    // And that the one looked into the other.
    let written = told.one("session.call", |fields| {
        text(fields, "call") == "process_vm_writev"
    });
    assert!(int(written, "target_pid") > Some(0));
}

#[test]
fn what_changes_what_a_process_may_do() {
    let Some(host) = host() else { return };
    let script = format!(
        "{} privileges\nunshare -m sh -c 'mount -t tmpfs source $DIR; umount $DIR'\n:\n",
        tricks().display()
    );
    let told = World::new(host, &script).told();
    let call = |name: &str| told.one("session.call", |fields| text(fields, "call") == name);
    assert_eq!(list(call("setresuid"), "args"), ["-1", "65534", "-1"]);
    for name in ["init_module", "bpf"] {
        assert!(int(call(name), "return_code") < Some(0), "{name}");
    }
    assert_eq!(text(call("delete_module"), "name"), "none_such");
    assert_eq!(text(call("bpf"), "request"), "prog_load");
    assert_eq!(text(call("ptrace"), "request"), "attach");
    assert_eq!(list(call("unshare"), "namespaces"), ["mount"]);
    // By the old call or the new one, as util-linux has it.
    let mounted = told.one("session.call", |fields| {
        ["mount", "move_mount"].contains(&text(fields, "call").as_str())
            && text(fields, "path") == told.at("").trim_end_matches('/')
    });
    assert_eq!(int(mounted, "return_code"), Some(0));
    assert_eq!(int(call("umount2"), "return_code"), Some(0));
}

#[test]
fn newer_and_rarer_calls_for_the_same_are_told() {
    let Some(host) = host() else { return };
    let trick = tricks().display();
    let script = format!("{trick} newer $DIR/none\n{trick} datagrams 127.0.0.1 127.0.0.2 9\n:\n");
    let told = World::new(host, &script).told();
    for name in ["setxattrat", "removexattrat", "file_setattr"] {
        told.file(name, &told.at("none"));
    }
    for name in ["rt_sigqueueinfo", "tkill", "rt_tgsigqueueinfo"] {
        let call = told.one("session.call", |fields| text(fields, "call") == name);
        assert!(int(call, "target_pid") > Some(1), "{name}: {call:?}");
        assert_eq!(int(call, "signal_number"), Some(0), "{name}");
    }
    // Each message has its own destination.
    for to in ["127.0.0.1", "127.0.0.2"] {
        let sent = told.one("session.network", |fields| text(fields, "dst_addr") == to);
        assert_eq!(text(sent, "call"), "sendmmsg");
    }
}

#[test]
fn what_runs_no_program_or_names_no_path_is_told_by_what_it_does() {
    let Some(host) = host() else { return };
    // Built-ins; and a file by a number that was asked for before, on a file system that gives numbers.
    let script = format!(
        "echo hidden >$DIR/built-in\nkill -CONT $$\n\
         unshare -m sh -c 'mount -t tmpfs source $DIR && : >$DIR/numbered && \
         {} handle $DIR/numbered $DIR || exit 9'\n:\n",
        tricks().display()
    );
    let told = World::new(host, &script).told();
    let made = told.file("openat", &told.at("built-in"));
    assert_eq!(text(made, "program"), "sh");
    let sent = told.one("session.call", |fields| text(fields, "call") == "kill");
    assert_eq!(int(sent, "signal_number"), Some(18));
    assert_eq!(int(sent, "target_pid"), int(sent, "pid"));
    let opened = told.file("open_by_handle_at", &told.at("numbered"));
    assert!(int(opened, "return_code") >= Some(0));
    // One that leads to nothing: no path is known, and that it was tried is.
    told.one("session.disk", |fields| {
        text(fields, "call") == "open_by_handle_at" && int(fields, "return_code") < Some(0)
    });
}
