//! `hansard login`, and where it leads.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use hansard_tests::hansard;
use serde_json::Value as Json;

use crate::place::{PASSWORD, Place, finished, given, mode, said, wait_for};

#[test]
fn who_signs_in_goes_to_a_node_and_through_the_proxy_as_their_roles_say() {
    let place = Place::new("access-login");
    place.user("anna", &["operators"], &["--no-totp"]);
    let anna = place.person("anna");
    let nobody = anna.hansard(&["ssh", "127.0.0.1", "true"], "");
    assert!(said(&nobody).contains("nobody is signed in"), "{nobody:?}");
    let login = anna.signed_in();
    assert_eq!(login["roles"], serde_json::json!(["operators"]));
    assert_eq!(login["logins"], serde_json::json!([place.account]));
    for name in [
        "key",
        "key.pub",
        "key-cert.pub",
        "known_hosts",
        "ssh_config",
        "login.json",
    ] {
        assert_eq!(mode(&anna.file(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&anna.home.join(".hansard")), 0o700);

    let out = finished(
        anna.node(&["127.0.0.1", "echo on the node"])
            .spawn()
            .unwrap(),
    );
    assert_eq!(out.stdout, b"on the node\n", "{out:?}");
    let out = finished(
        anna.proxy(&["--", "echo behind the proxy"])
            .spawn()
            .unwrap(),
    );
    assert_eq!(out.stdout, b"behind the proxy\n", "{out:?}");
    // What the role does not name it does not give.
    let args = [
        "-N",
        "-o",
        "ExitOnForwardFailure=yes",
        "-R",
        "127.0.0.1:0:127.0.0.1:1",
        "127.0.0.1",
    ];
    let out = finished(anna.node(&args).spawn().unwrap());
    assert_ne!(out.status.code(), Some(0), "{out:?}");
    let refused = place.event("port.remote", |event| event["success"] == false);
    assert_eq!(
        refused["error"],
        "your role operators does not permit forward-remote"
    );

    // Files, by both protocols of scp, and by a plain client that was told nothing but a configuration.
    fs::write(anna.home.join("report"), "all is well").unwrap();
    for (copy, options) in [("new", &[][..]), ("old", &["-O"])] {
        let to = format!("127.0.0.1:{}", place.scratch.join(copy).display());
        let mut scp = anna.command(hansard());
        let port = place.node.to_string();
        scp.args(["scp", "--node", "-P", &port])
            .args(options)
            .args(["report", &to]);
        let out = finished(scp.spawn().unwrap());
        assert_eq!(out.status.code(), Some(0), "{copy}: {out:?}");
        assert_eq!(
            fs::read_to_string(place.scratch.join(copy)).unwrap(),
            "all is well"
        );
    }
    let sent = place.event("sftp", |event| {
        event["path"].as_str().unwrap_or_default().ends_with("/new")
    });
    assert_eq!(sent["user"], "anna");
    let config = anna.hansard(&["ssh-config"], "");
    assert!(config.status.success(), "{config:?}");
    let file = anna.home.join("config");
    fs::write(&file, config.stdout).unwrap();
    let mut plain = anna.command(Path::new("ssh"));
    let target = place.target.to_string();
    plain
        .arg("-F")
        .arg(&file)
        .args(["-p", &target, "localhost", "echo plainly"]);
    let out = finished(plain.spawn().unwrap());
    assert_eq!(out.stdout, b"plainly\n", "{out:?}");
    let mut rsync = anna.command(Path::new("rsync"));
    let shell = format!("ssh -F {} -p {target}", file.display());
    let to = format!("localhost:{}", place.scratch.join("synced").display());
    let out = finished(rsync.args(["-e", &shell, "report", &to]).spawn().unwrap());
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert_eq!(
        fs::read_to_string(place.scratch.join("synced")).unwrap(),
        "all is well"
    );

    let headers = place.events("session.start");
    let of_anna: Vec<&Json> = headers
        .iter()
        .filter(|event| event["user"] == "anna")
        .collect();
    assert!(of_anna.len() >= 4, "{of_anna:?}");
    let with_roles = |event: &&&Json| event["user_roles"] == serde_json::json!(["operators"]);
    assert_eq!(of_anna.iter().filter(with_roles).count(), of_anna.len());
    let issued = place.event("cert.create", |event| event["name"] == "anna");
    assert_eq!(issued["roles"], serde_json::json!(["operators"]));

    let out = anna.hansard(&["status", "--json"], "");
    let status: Json = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(
        (&status["login"]["user"], &status["login"]["holds"]),
        (&"anna".into(), &true.into())
    );
    assert!(anna.hansard(&["logout"], "").status.success());
    assert!(!anna.file("key").exists() && !anna.file("login.json").exists());
    let out = anna.hansard(&["ssh", "127.0.0.1", "true"], "");
    assert!(said(&out).contains("nobody is signed in"), "{out:?}");
}

#[test]
fn a_role_gives_no_more_than_it_names_and_no_longer() {
    let place = Place::new("access-roles");
    place.user("bea", &["copiers"], &["--no-totp"]);
    let bea = place.person("bea");
    let login = bea.signed_in();
    let until = login["until_s"].as_u64().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    assert!(until <= now.unwrap().as_secs() + 3600, "{login}");
    let out = finished(bea.node(&["127.0.0.1", "echo ran"]).spawn().unwrap());
    assert!(out.stdout.is_empty(), "{out:?}");
    assert!(
        said(&out).contains("your role copiers does not permit exec"),
        "{out:?}"
    );
    let out = finished(bea.proxy(&["echo ran"]).spawn().unwrap());
    assert!(
        said(&out).contains("does not let you into the account"),
        "{out:?}"
    );
    let denied = place.event("auth", |event| {
        event["success"] == false
            && event["error"]
                .as_str()
                .unwrap_or_default()
                .contains("copiers")
    });
    // As the client said it: through the proxy the account comes first, then where it leads.
    let login = denied["login"].as_str().unwrap();
    assert_eq!(login.split('+').next(), Some(place.account.as_str()));

    // Another role counts from the next login on.
    place.client(&["user", "roles", "bea", "operators"], "");
    bea.signed_in();
    let out = finished(bea.proxy(&["echo ran"]).spawn().unwrap());
    assert_eq!(out.stdout, b"ran\n", "{out:?}");
    // And none is none.
    place.client(&["user", "roles", "bea"], "");
    let out = bea.login(&format!("{PASSWORD}\n"), &[]);
    assert!(
        said(&out).contains("none of the roles of bea (user) lets into any account"),
        "{out:?}"
    );
    let refused = place.event("cert.create", |event| event["success"] == false);
    assert_eq!(refused["user"], "bea");
}

#[test]
fn who_cannot_sign_in_gets_nothing_and_it_is_on_record() {
    let place = Place::new("access-refused");
    place.user("cleo", &["operators"], &["--no-totp"]);
    place.user("dora", &["operators"], &[]);
    let cleo = place.person("cleo");
    let out = cleo.login("not the password\n", &[]);
    assert!(!out.status.success());
    assert!(
        said(&out).contains("name, password or code is wrong"),
        "{out:?}"
    );
    assert!(!cleo.home.join(".hansard").exists());
    place.event("user.login", |event| {
        event["success"] == false && event["user"] == "cleo"
    });
    // Without the code the password is not enough.
    let dora = place.person("dora");
    for input in [format!("{PASSWORD}\n"), format!("{PASSWORD}\n000000\n")] {
        let out = dora.login(&input, &[]);
        assert!(
            said(&out).contains("name, password or code is wrong"),
            "{out:?}"
        );
    }
    let no_input = dora.login("", &[]);
    assert!(
        said(&no_input).contains("no password on standard input"),
        "{no_input:?}"
    );
    // A password goes to nobody in the clear, and to nobody whose certificate is not believed.
    let out = dora.hansard(
        &["login", "--server", "http://192.0.2.1", "--user", "dora"],
        "x\n",
    );
    assert!(said(&out).contains("without TLS"), "{out:?}");
}

#[test]
fn an_agent_keeps_the_key_where_there_is_one() {
    let place = Place::new("access-agent");
    place.user("emma", &["operators"], &["--no-totp"]);
    let mut emma = place.person("emma");
    let socket = emma.home.join("agent");
    let mut agent = Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the agent", || socket.exists());
    emma.agent = Some(socket);
    let login = emma.signed_in();
    assert_eq!(login["in_agent"], true);
    assert!(!emma.file("key").exists());
    let listed = || given(emma.command(Path::new("ssh-add")).arg("-l"), "");
    let keys = String::from_utf8(listed().stdout).unwrap();
    assert!(
        keys.contains("ED25519-CERT") && keys.lines().count() == 2,
        "{keys}"
    );
    let out = finished(
        emma.node(&["127.0.0.1", "echo by the agent"])
            .spawn()
            .unwrap(),
    );
    assert_eq!(out.stdout, b"by the agent\n", "{out:?}");
    let out = finished(emma.proxy(&["echo by the agent"]).spawn().unwrap());
    assert_eq!(out.stdout, b"by the agent\n", "{out:?}");
    // The next one takes its place, and nothing stays behind.
    emma.signed_in();
    let keys = String::from_utf8(listed().stdout).unwrap();
    assert_eq!(keys.lines().count(), 2, "{keys}");
    assert!(emma.hansard(&["logout"], "").status.success());
    assert!(String::from_utf8_lossy(&listed().stdout).contains("no identities"));
    agent.kill().unwrap();
    agent.wait().unwrap();
}
