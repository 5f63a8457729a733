//! Messages as the kernel and programs of Debian write them.

use super::super::Teller;
use super::*;
use std::sync::Arc;

fn message(kind: u16, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(
        u32::try_from(text.len() + HEAD_BYTES)
            .unwrap()
            .to_ne_bytes(),
    );
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 10]);
    bytes.extend(text.as_bytes());
    bytes
}

/// What is told of these, as `event login success address command`.
fn told(messages: &[(u16, &str)]) -> Vec<String> {
    let mut hearing = Hearing::default();
    let bodies = messages
        .iter()
        .filter_map(|(kind, text)| hearing.take(&message(*kind, text)));
    let line = |body: Body| match body {
        Body::Auth(fact) => {
            let text = |name: &str| fact.fields.text(name).unwrap_or("-").to_owned();
            let success = fact.fields.get("success").unwrap().clone();
            let success = success == hansard_core::fields::Value::Bool(true);
            let (login, from) = (text("login"), text("addr.remote"));
            format!(
                "{} {login} {success} {from} {}",
                fact.event,
                text("command")
            )
        }
        other => panic!("{other:?}"),
    };
    bodies.map(line).collect()
}

/// As Debian's programs say it.
const STARTED: &str = "audit(1732222222.123:45): pid=812 uid=0 auid=1000 ses=3 subj=unconfined \
    msg='op=PAM:session_open grantors=pam_selinux,pam_unix acct=\"anna\" exe=\"/usr/sbin/sshd\" \
    hostname=192.0.2.7 addr=192.0.2.7 terminal=ssh res=success'\0";
const LOGGED_IN: &str = "audit(1732222222.124:46): pid=812 uid=0 auid=1000 ses=3 msg='op=login id=1000 \
    exe=\"/usr/sbin/sshd\" hostname=192.0.2.7 addr=192.0.2.7 terminal=/dev/pts/1 res=success'";

#[test]
fn a_login_is_told_once_and_every_failure() {
    assert_eq!(
        told(&[(USER_START, STARTED), (USER_LOGIN, LOGGED_IN)]),
        ["host.login anna true 192.0.2.7 -"]
    );
    assert_eq!(
        told(&[(USER_LOGIN, LOGGED_IN)]),
        ["host.login #1000 true 192.0.2.7 -"]
    );
    let failed = "audit(1.1:1): pid=9 uid=0 auid=4294967295 ses=4294967295 msg='op=PAM:authentication \
        grantors=? acct=\"root\" exe=\"/usr/sbin/sshd\" hostname=2001:db8::1 addr=2001:db8::1 terminal=ssh \
        res=failed'";
    let hidden = "audit(1.1:2): pid=9 uid=0 auid=4294967295 ses=4294967295 msg='op=login \
        acct=28696E76616C6964207573657229 exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.9 terminal=ssh \
        res=failed'";
    assert_eq!(
        told(&[(USER_AUTH, failed), (USER_LOGIN, hidden)]),
        [
            "host.login root false 2001:db8::1 -",
            "host.login (invalid user) false 192.0.2.9 -"
        ]
    );
    // What comes right, and is told as the login: not by itself.
    let right = failed.replace("res=failed", "res=success");
    assert!(told(&[(USER_AUTH, &right)]).is_empty());
}

#[test]
fn sudo_and_su_are_told_with_what_they_ran() {
    let sudo = "audit(1.1:3): pid=77 uid=1000 auid=1000 ses=3 msg='cwd=\"/home/anna\" \
        cmd=636174202F6574632F736861646F77 exe=\"/usr/bin/sudo\" terminal=pts/1 res=success'";
    let su = "audit(1.1:4): pid=78 uid=1000 auid=1000 ses=3 msg='op=PAM:session_open grantors=pam_unix \
        acct=\"root\" exe=\"/usr/bin/su\" hostname=? addr=? terminal=/dev/pts/1 res=success'";
    let refused = su
        .replace("session_open", "authentication")
        .replace("res=success", "res=failed");
    assert_eq!(
        told(&[(USER_CMD, sudo), (USER_START, su), (USER_AUTH, &refused)]),
        [
            "host.sudo - true - cat /etc/shadow",
            "host.su root true - -",
            "host.su root false - -"
        ]
    );
    // Jobs of cron and the like are no access.
    let cron = su.replace("/usr/bin/su", "/usr/sbin/cron");
    assert!(told(&[(USER_START, &cron)]).is_empty());
}

#[test]
fn what_somebody_outside_chose_is_not_taken_for_the_kernel_s_word() {
    let forged = "audit(1.1:5): pid=9 uid=0 auid=1000 ses=7 msg='op=login acct=\"x pid=1 ses=1 auid=0\" \
        exe=\"/usr/sbin/sshd\" hostname=a addr=192.0.2.1 terminal=ssh res=failed res=success'";
    let mut hearing = Hearing::default();
    let Some(Body::Auth(fact)) = hearing.take(&message(USER_LOGIN, forged)) else {
        panic!("it is told")
    };
    assert_eq!(fact.fields.text("login"), Some("x pid=1 ses=1 auid=0"));
    let number = |name: &str| fact.fields.get(name).and_then(|value| value.as_uint());
    assert_eq!(
        (number("pid"), number("audit_session_id")),
        (Some(9), Some(7))
    );
    assert_eq!(
        fact.fields.get("success"),
        Some(&hansard_core::fields::Value::Bool(false))
    );
}

#[test]
fn no_cut_and_no_garbage_breaks_it() {
    let whole = message(USER_START, STARTED);
    for end in 0..whole.len() {
        let _ = Hearing::default().take(&whole[..end]);
    }
    for text in [
        "",
        "=",
        "msg=",
        "a=\"",
        "acct=\"\u{e4}",
        "exe=\"/usr/sbin/sshd",
        "x'='=''=",
    ] {
        let _ = Hearing::default().take(&message(USER_LOGIN, text));
    }
}

/// Whatever comes in is told in its order, until listening ends; another socket stands in for the
/// kernel's, which speaks to the first namespaces alone.
#[test]
fn what_comes_in_is_told() {
    let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let stream = Stream {
        socket: ours.into(),
    };
    let (stopped, stop) = std::io::pipe().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let mut teller = Teller::new(
        Box::new(move |body| tell.lock().unwrap().send(body).unwrap()),
        Arc::default(),
    );
    let listening = std::thread::spawn(move || stream.listen(&stopped, &mut teller));
    theirs.send(b"short").unwrap();
    for (kind, text) in [
        (1300, STARTED),
        (USER_START, STARTED),
        (USER_LOGIN, LOGGED_IN),
    ] {
        theirs.send(&message(kind, text)).unwrap();
    }
    let refused = LOGGED_IN.replace("res=success", "res=failed");
    theirs.send(&message(USER_LOGIN, &refused)).unwrap();
    let wait = std::time::Duration::from_secs(60);
    for success in [true, false] {
        let Body::Auth(fact) = told.recv_timeout(wait).unwrap() else {
            panic!("something else")
        };
        let value = hansard_core::fields::Value::Bool(success);
        assert_eq!(fact.fields.get("success"), Some(&value));
    }
    drop(stop);
    listening.join().unwrap();
    assert!(told.try_recv().is_err());
}
