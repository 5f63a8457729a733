//! Logins while no daemon is there: refused, but of accounts that may break the glass; those are
//! recorded by themselves, and the next daemon says so.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::outer::PATIENCE;
use crate::place::{ANNA, BEN, Place, must};

#[test]
fn without_a_daemon_only_who_may_break_the_glass_gets_in() {
    let Some(mut place) = Place::new("login-glass") else {
        return;
    };
    place.daemon.stop();
    let dir = place.scratch.join("etc/hansard");
    fs::create_dir_all(&dir).unwrap();
    let list = dir.join("break-glass");
    fs::write(
        &list,
        format!("# for the day on which nothing works\n{ANNA}\n"),
    )
    .unwrap();
    fs::set_permissions(&list, fs::Permissions::from_mode(0o644)).unwrap();
    // Both wait for a daemon first, at the same time.
    let mut refused = place.su(BEN);
    let mut screen = place.su(ANNA);
    assert_eq!(refused.wait(), 125);
    assert!(
        refused.text().contains("no daemon is there to do it"),
        "{}",
        refused.text()
    );
    screen.expect("goes on as break-glass");
    screen.expect("hansard-anna> ");
    screen.type_in(b"echo re''paired; exit 6\r");
    screen.expect("repaired\r");
    assert_eq!(screen.wait(), 6);

    // One complete recording, of its own user's, which says how it came to be.
    let found = must(&mut place.run(&["sh", "-c", "ls /var/spool/hansard"]));
    let name = String::from_utf8(found.stdout).unwrap().trim().to_owned();
    let inside = format!("/var/spool/hansard/{name}");
    let bytes = must(&mut place.run(&["cat", &inside])).stdout;
    let file = place.scratch.join("found.hansard");
    fs::write(&file, bytes).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(place.hansard(&["verify", file]).status.code(), Some(0));
    let shown = must(&mut place.hansard_command(&["convert", "--to", "jsonl", file, "-"])).stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(
        shown.contains("break_glass") && shown.contains("repaired"),
        "{shown}"
    );
    assert!(shown.contains("\"bulk_bytes_max\":16777216"), "{shown}");

    // One that answers nobody is as good as none; here it hangs up, which takes less time than silence.
    let deaf = "import socket; s = socket.socket(socket.AF_UNIX); \
        s.bind('/run/hansard/capture.sock'); s.listen(); print('here', flush=True)\n\
        while True: s.accept()[0].close()";
    let mut deaf = place.run(&["python3", "-c", deaf]);
    let mut deaf = deaf.stdout(Stdio::piped()).spawn().unwrap();
    let mut here = [0; 5];
    deaf.stdout.as_mut().unwrap().read_exact(&mut here).unwrap();
    must(&mut place.run(&["chmod", "666", "/run/hansard/capture.sock"]));
    let mut screen = place.su(ANNA);
    screen.expect("goes on as break-glass");
    screen.expect("hansard-anna> ");
    screen.type_in(b"exit 8\r");
    assert_eq!(screen.wait(), 8);
    let mut refused = place.su(BEN);
    assert_eq!(refused.wait(), 125);
    deaf.kill().unwrap();
    deaf.wait().unwrap();

    // Everybody may put files there: of one who may not break the glass they alarm nobody, and hide
    // nothing.
    let many = "for n in $(seq 100 250); do \
        echo >/var/spool/hansard/00000000-0000-7000-8000-000000000$n.hansard; done";
    must(&mut place.run(&[
        "setpriv",
        "--reuid=64012",
        "--regid=64012",
        "--clear-groups",
        "sh",
        "-c",
        many,
    ]));

    place.daemon.start();
    let said = place.daemon.said();
    assert!(!said.contains("00000000-0000-7000"), "{said}");
    assert!(
        said.contains("break-glass") && said.contains(&name),
        "{said}"
    );
    let since = Instant::now();
    loop {
        let events = place.hansard(&["events", "--json"]).stdout;
        let events = String::from_utf8(events).unwrap();
        if events.contains("H5132W") && events.contains(&name) {
            assert!(!events.contains("00000000-0000-7000"), "{events}");
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{events}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
