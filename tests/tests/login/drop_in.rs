//! Accounts whose shell is `tlog-rec-session`, which is the recorder under that name, as SSSD gives it out.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::place::{ANNA, BEN, Place, must};

/// What Cockpit's page may have left: two keys that count, and others that would weaken the record.
const CONF: &str = r#"{
    // Who logs in here
    "notice": "ATTENTION of tlog http://example.org /* really */\n", /* is told */
    "shell": "/bin/dash",
    "log": {"output": false},
    "writer": "file",
    "file": {"path": "/run/hansard/evil"}
}"#;

/// Gives an account this program of `bin`, which is a link to the recorder, as its shell.
fn shell(place: &Place, user: &str, name: &str) -> PathBuf {
    let recorder = place.scratch.join("bin/hansard-shell");
    let link = place.scratch.join("bin").join(name);
    std::os::unix::fs::symlink(&recorder, &link).unwrap();
    let passwd = place.scratch.join("etc/passwd");
    let text = fs::read_to_string(&passwd).unwrap();
    let lines = text
        .lines()
        .map(|line| match line.starts_with(&format!("{user}:")) {
            true => line.replace(recorder.to_str().unwrap(), link.to_str().unwrap()) + "\n",
            false => format!("{line}\n"),
        });
    fs::write(&passwd, lines.collect::<String>()).unwrap();
    link
}

/// `su USER -c WORDS` as root, with this environment.
fn su(place: &Place, env: &[(&str, &str)], words: &[&str]) -> Output {
    let mut command = place.run(&[&["su"], words].concat());
    command.envs(env.iter().copied()).stdin(Stdio::null());
    must(&mut command)
}

fn told(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn an_account_of_tlogs_is_recorded_without_a_change() {
    let Some(place) = Place::new("login-tlog") else {
        return;
    };
    let dir = place.scratch.join("etc/tlog");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("tlog-rec-session.conf"), CONF).unwrap();
    let link = shell(&place, ANNA, "tlog-rec-session");
    let _ = shell(&place, BEN, "tlog-rec-session-shell-bin-bash");
    let show = "echo $0 $SHELL; echo err >&2";
    // The login, as the console and `su -` make it.
    let mut screen = place.su(ANNA);
    screen.expect("ATTENTION of tlog http://example.org /* really */");
    screen.expect("$ ");
    screen.type_in(b"echo $0 $SHELL; exit 6\r");
    screen.expect("\r\n-dash /bin/dash");
    assert_eq!(screen.wait(), 6);
    // SSSD's word; what a user could set besides counts for nothing.
    let evil = place.home(ANNA).join("evil");
    fs::write(&evil, "#!/bin/sh\necho evil\n").unwrap();
    must(Command::new("chmod").arg("755").arg(&evil));
    let text = r#"{"writer": "file", "file": {"path": "/dev/null"}, "notice": ""}"#;
    let of = |shell: &str| {
        let env = [
            ("TLOG_REC_SESSION_SHELL", shell),
            ("TLOG_REC_SESSION_CONF_TEXT", text),
            ("TLOG_REC_SESSION_CONF_FILE", "/dev/null"),
        ];
        su(&place, &env, &[ANNA, "-c", show])
    };
    let done = of("/bin/bash");
    assert_eq!(told(&done.stdout), "/bin/bash /bin/bash\n");
    // A command's standard error is its own: a notice stands on terminals only.
    assert_eq!(told(&done.stderr), "err\n");
    let done = of(evil.to_str().unwrap());
    assert_eq!(told(&done.stdout), "/bin/dash /bin/dash\n");
    // The name encodes the shell, whatever the environment says.
    let env = [("TLOG_REC_SESSION_SHELL", "/bin/dash")];
    let done = su(&place, &env, &[BEN, "-c", show]);
    assert_eq!(told(&done.stdout), "/bin/bash /bin/bash\n");
    // As sshd starts it.
    let done = place.ssh(&[], &["echo by ssh; exit 3"]).output().unwrap();
    assert_eq!(
        (done.status.code(), told(&done.stdout)),
        (Some(3), "by ssh\n".into())
    );
    let rows = place.sessions(5);
    for row in &rows {
        let events = place.events(row);
        let shown = ["/bin/dash", "/bin/bash", "by ssh"];
        assert!(shown.iter().any(|shown| events.contains(shown)), "{events}");
        assert!(!events.contains("tlog_shell"), "{events}");
    }
    assert!(!place.scratch.join("run/evil").exists());
    // What Cockpit's page asks, and what does not count.
    let done = must(&mut place.run(&[link.to_str().unwrap(), "--configuration"]));
    let whole: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(whole["shell"], "/bin/dash");
    assert_eq!(
        (&whole["latency"], &whole["log"]["window"]),
        (&10.into(), &true.into())
    );
    let checked = place.daemon.call("check", &[]);
    let said = told(&checked.stdout) + &told(&checked.stderr);
    for key in ["log.output", "writer", "file.path"] {
        assert!(
            said.contains(&format!("tlog-rec-session.conf: {key}")),
            "{said}"
        );
    }
}

/// One that cannot be read keeps nobody out, and a policy's own notice goes before tlog's.
#[test]
fn tlogs_configuration_keeps_nobody_out() {
    let Some(place) = Place::with("login-tlog-broken", "", "{shell: /bin/dash}") else {
        return;
    };
    let dir = place.scratch.join("etc/tlog");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("tlog-rec-session.conf"), "{ /* no end").unwrap();
    let link = shell(&place, ANNA, "tlog-rec-session");
    let done = su(&place, &[], &[ANNA, "-c", "echo $0"]);
    assert_eq!(
        (told(&done.stdout), told(&done.stderr)),
        ("/bin/dash\n".into(), String::new())
    );
    place.sessions(1);
    let checked = place.daemon.call("check", &[]);
    let said = told(&checked.stdout) + &told(&checked.stderr);
    assert!(said.contains("nothing of it counts"), "{said}");
    let asked = place
        .run(&[link.to_str().unwrap(), "--configuration"])
        .output()
        .unwrap();
    assert_eq!(asked.status.code(), Some(1));
    assert!(told(&asked.stderr).contains("no JSON"));
}
