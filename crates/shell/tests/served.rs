//! Programs that are run for somebody else: as whom, on what, and with what.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::ffi::OsString;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hansard_shell::{Account, Ends, Exit, Served, Service, Window, account_of};

fn own() -> Account {
    account_of(rustix::process::getuid().as_raw()).unwrap()
}

fn service(account: Account, command: &str, terminal: Option<Window>) -> Service {
    Service {
        argv: ["/bin/sh", "-c", command].map(OsString::from).into(),
        arg0: "sh".into(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        home: account.home.clone(),
        account,
        terminal,
        keeper: None,
    }
}

/// Everything that can be read until the other side is closed.
fn read_all(end: OwnedFd) -> Vec<u8> {
    rustix::io::ioctl_fionbio(&end, false).unwrap();
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    let mut file = std::fs::File::from(end);
    while let Ok(n @ 1..) = file.read(&mut buffer) {
        all.extend_from_slice(&buffer[..n]);
    }
    all
}

fn ended(served: &Served) -> Exit {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(exit) = served.ended() {
            return exit;
        }
        assert!(Instant::now() < until, "it does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn said(service: &Service) -> String {
    let (served, ends) = service.start().unwrap();
    let out = match ends {
        Ends::Terminal(master) => read_all(master),
        Ends::Pipes { stdout, .. } => read_all(stdout),
    };
    ended(&served);
    String::from_utf8(out).unwrap()
}

#[test]
fn it_is_nobody_but_the_account() {
    if !rustix::process::geteuid().is_root() {
        // Whoever is not root serves their own account, and no other.
        let other = Account {
            uid: own().uid + 1,
            ..own()
        };
        assert!(service(other, "id -u", None).start().is_err());
        return;
    }
    let somebody = Account {
        name: "nobody-has-this-name".into(),
        uid: 64_001,
        gid: 64_001,
        home: "/root".into(),
        shell: "/bin/sh".into(),
    };
    let command = "id -u; id -g; id -G; pwd; umask; cat /proc/self/status | grep CapEff; \
                   cat /etc/shadow >/dev/null 2>&1 || echo unreadable";
    let out = said(&service(somebody.clone(), command, None));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(&lines[..3], ["64001", "64001", "64001"], "{out}");
    // Its home is another's, where it cannot go.
    assert_eq!(lines[3], "/", "{out}");
    assert_eq!(lines[4], "0022");
    assert!(lines[5].ends_with("0000000000000000"), "{out}");
    assert_eq!(lines[6], "unreadable");
    let command = "stat -c '%u %a' $(tty)";
    let out = said(&service(somebody, command, Some(Window::default())));
    assert_eq!(out, "64001 620\r\n");
}

#[test]
fn a_terminal_has_the_size_and_the_modes_that_were_asked_for() {
    let window = Window {
        size: [132, 43, 0, 0],
        // VINTR ^X, no ECHO.
        modes: vec![(1, 24), (53, 0), (200, 1)],
    };
    let out = said(&service(own(), "stty size; stty -a", Some(window)));
    assert!(out.starts_with("43 132\r\n"), "{out}");
    assert!(out.contains("intr = ^X"), "{out}");
    assert!(out.contains("-echo "), "{out}");
}

#[test]
fn nothing_of_the_daemon_is_inherited() {
    let held = std::fs::File::open("/dev/null").unwrap();
    // Without close-on-exec, as a careless library would leave it.
    let leaked = rustix::io::dup(&held).unwrap();
    let out = said(&service(own(), "ls /proc/self/fd; env", None));
    drop(leaked);
    let fds = out.lines().filter(|line| line.parse::<u32>().is_ok());
    // Three, and the one that ls reads the directory with.
    assert_eq!(fds.count(), 4, "{out}");
    assert!(!out.contains("CARGO"), "{out}");
}

#[test]
fn signals_reach_it_and_its_end_is_known() {
    let (served, _ends) = service(own(), "exec sleep 600", None).start().unwrap();
    assert_eq!(served.ended(), None);
    assert!(!served.signal("NONSENSE"));
    // Before its exec it is still we ourselves, which a signal ends as well.
    assert!(served.signal("TERM"));
    let exit = ended(&served);
    assert_eq!(exit.signal.as_deref(), Some("TERM"));
    let (served, _ends) = service(own(), "exit 7", None).start().unwrap();
    assert_eq!(ended(&served).status, 7);
}

#[test]
fn whoever_has_a_terminal_is_hung_up_with_it() {
    let (served, ends) = service(own(), "exec sleep 600", Some(Window::default()))
        .start()
        .unwrap();
    served.hang_up();
    drop(ends);
    assert_eq!(ended(&served).signal.as_deref(), Some("HUP"));
}
