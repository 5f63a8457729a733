//! What `hansardd doctor` finds.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use super::*;

#[test]
fn permissions_and_absences() {
    let dir = std::env::temp_dir().join(format!("hansardd-doctor-{}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    let verdict = |mode: u32| {
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        private("spool", &dir)
    };
    assert_eq!(verdict(0o700).verdict, Verdict::Ok);
    assert_eq!(verdict(0o750).verdict, Verdict::Fail);
    assert!(verdict(0o701).next.starts_with("chmod 700 "));
    assert_eq!(private("spool", &dir.join("none")).verdict, Verdict::Fail);
    let path = dir.join("capture.sock");
    assert_eq!(socket("s", &dir, "capture.sock").verdict, Verdict::Warn);
    let listener = UnixListener::bind(&path).unwrap();
    assert_eq!(socket("s", &dir, "capture.sock").verdict, Verdict::Ok);
    drop(listener);
    assert_eq!(socket("s", &dir, "capture.sock").verdict, Verdict::Warn);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    assert_eq!(socket("s", &dir, "capture.sock").verdict, Verdict::Fail);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn ports() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(port("metrics", address).verdict, Verdict::Ok);
    drop(listener);
    assert_eq!(port("metrics", address).verdict, Verdict::Warn);
    let elsewhere = "192.0.2.7:3025".parse().unwrap();
    assert_eq!(port("ingest", elsewhere).verdict, Verdict::Fail);
}

#[test]
fn a_host_is_asked_for_what_it_has_and_no_archive() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = listener.local_addr().unwrap();
    let examined = |sections: &str| {
        let text = format!("node:\n  data_dir: /nonexistent/hansard\n{sections}\n");
        let config = Config::parse(&text).0;
        examine(&config, &hansard_record::sim::SimClock::new(0))
    };
    let host = examined(&format!("forward:\n  service: [\"{service}\"]"));
    let about: Vec<&str> = host.iter().map(|line| line.about.as_str()).collect();
    for none in ["archive", "catalog", "log"] {
        assert!(!about.contains(&none), "{about:?}");
    }
    let reached = |lines: &[Line]| {
        let line = lines.iter().find(|line| line.about == "service");
        line.unwrap().verdict
    };
    assert_eq!(reached(&host), Verdict::Ok);
    drop(listener);
    let host = examined(&format!("forward:\n  service: [\"{service}\"]"));
    assert_eq!(reached(&host), Verdict::Warn);
    let service = examined("store: {}");
    assert!(service.iter().any(|line| line.about == "archive"));
}

#[test]
fn host_events_are_told_and_what_they_lack() {
    let support = |missing| {
        Ok(Support {
            backend: "tracepoints",
            missing,
        })
    };
    let verdict = |on, support| host_events(on, true, support).verdict;
    assert_eq!(verdict(true, support(Vec::new())), Verdict::Ok);
    let rings = vec![hansard_capture::host::Missing::Rings];
    let line = host_events(true, true, support(rings));
    assert_eq!(line.verdict, Verdict::Warn);
    assert!(line.what.contains("io_uring"), "{line:?}");
    let line = host_events(true, false, support(Vec::new()));
    assert_eq!(line.verdict, Verdict::Ok);
    assert!(line.what.contains("pinned"), "{line:?}");
    let none = Unsupported {
        what: "no BTF".to_owned(),
        next: "another kernel".to_owned(),
    };
    assert_eq!(verdict(true, Err(none.clone())), Verdict::Fail);
    let line = host_events(false, false, Err(none));
    assert_eq!(line.verdict, Verdict::Ok);
    assert!(line.what.starts_with("off") && line.what.contains("no BTF"));
}

#[test]
fn clocks() {
    let verdict = |quality| clock_quality(quality).verdict;
    assert_eq!(verdict(ClockQuality::Synchronised), Verdict::Ok);
    assert_eq!(verdict(ClockQuality::Unsynchronised), Verdict::Warn);
    assert_eq!(verdict(ClockQuality::Unknown), Verdict::Warn);
}

#[test]
fn the_application_in_a_browser_is_looked_at() {
    let scratch = std::env::temp_dir().join(format!("hansardd-doctor-web-{}", std::process::id()));
    fs::create_dir_all(&scratch).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let web = |more: &str| {
        let runtime = scratch.display();
        let text = format!(
            "node: {{runtime_dir: {runtime}}}\nserve: {{admin: {{}}, web: {{listen: '{address}'{more}}}}}"
        );
        let (config, wrong) = Config::parse(&text);
        assert!(wrong.is_empty(), "{wrong:?}");
        super::web::lines(&config)
    };
    let said = |lines: &[Line]| {
        let said = lines.iter().map(|line| (line.verdict, line.what.clone()));
        said.collect::<Vec<_>>()
    };
    // Somebody answers there, and the daemon does not.
    let lines = said(&web(""));
    assert_eq!(lines[0].0, Verdict::Fail, "{lines:?}");
    assert!(lines[0].1.contains("another program"), "{lines:?}");
    let origin = format!("http://{address} is what people open; plain HTTP, on this machine only");
    assert_eq!(lines[1], (Verdict::Ok, origin));
    let admin = UnixListener::bind(scratch.join("admin.sock")).unwrap();
    let lines = said(&web(", origin: 'https://audit.example.org'"));
    assert_eq!(lines[0], (Verdict::Ok, format!("{address} answers")));
    assert!(
        lines[1].1.contains("https://audit.example.org"),
        "{lines:?}"
    );
    assert!(lines[1].1.contains("a proxy before it"), "{lines:?}");
    let lines = said(&web(", tls: {cert_file: /none.pem, key_file: /none.key}"));
    assert_eq!(lines[1].0, Verdict::Fail);
    assert!(
        lines[1]
            .1
            .starts_with("serve.web.tls.cert_file: /none.pem: "),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 2, "{lines:?}");
    drop((admin, listener));
    assert_eq!(web("")[0].verdict, Verdict::Warn);
    fs::remove_dir_all(&scratch).unwrap();
}
