//! What `check` finds, one contradiction at a time.

use super::*;
use crate::config::Level;

const BASE: &str = "capture: {local: {}}\nstore: {}\nserve: {admin: {}}\n";

fn around() -> Surroundings {
    Surroundings {
        disk_bytes: Some(100 << 30),
        node_name: "web-1".to_owned(),
        tlog: None,
        files: Vec::new(),
    }
}

fn found(text: &str) -> Vec<(Level, String)> {
    let (config, wrong) = Config::parse(text);
    assert_eq!(wrong, [], "{text}");
    let found = check(&config, &around());
    for finding in &found {
        assert!(
            !finding.what.is_empty() && !finding.next.is_empty(),
            "{finding}"
        );
        assert!(
            !finding.what.contains("  ") && !finding.next.contains("  "),
            "{finding}"
        );
    }
    found.into_iter().map(|f| (f.level, f.key)).collect()
}

fn errors(text: &str) -> Vec<String> {
    let found = found(text).into_iter();
    found
        .filter(|(level, _)| *level == Level::Error)
        .map(|(_, key)| key)
        .collect()
}

fn warnings(text: &str) -> Vec<String> {
    let found = found(text).into_iter();
    found
        .filter(|(level, _)| *level == Level::Warning)
        .map(|(_, key)| key)
        .collect()
}

#[test]
fn the_shipped_configuration_has_nothing_to_complain_of() {
    assert_eq!(check(&Config::all_in_one(), &around()), []);
    assert_eq!(found(BASE), []);
    let host = "capture: {local: {}}\nforward: {service: [a.example]}\nserve: {metrics: {}}\n";
    assert_eq!(found(host), []);
    assert_eq!(
        found("store: {}\nserve: {ingest: {}, admin: {}, metrics: {}}"),
        []
    );
}

#[test]
fn messages_of_tlog_need_recordings_and_tell_what_was_typed() {
    let export = "export: {tlog: {}}\n";
    assert_eq!(found(&format!("{BASE}{export}")), []);
    let host = "capture: {local: {}}\nforward: {service: [a]}\nserve: {metrics: {}}\n";
    assert_eq!(errors(&format!("{host}{export}")), ["export.tlog"]);
    assert_eq!(
        warnings(&format!("{BASE}export: {{tlog: {{log: {{input: true}}}}}}")),
        ["export.tlog.log.input"]
    );
}

#[test]
fn roles_that_exclude_or_need_each_other() {
    assert_eq!(errors("store: {}\nforward: {service: [a]}"), ["forward"]);
    assert_eq!(errors(""), [""]);
    assert_eq!(errors("capture: {local: {}}"), ["capture.local"]);
    assert_eq!(
        errors("forward: {service: [a]}\nserve: {ingest: {}}"),
        ["serve.ingest"]
    );
    assert_eq!(errors("forward: {}"), ["forward.service"]);
    assert_eq!(
        warnings("forward: {service: [a, 'a:3025']}\nserve: {metrics: {}}"),
        ["forward.service"]
    );
    assert_eq!(warnings("store: {}"), ["serve.admin"]);
    assert_eq!(warnings("forward: {service: [a]}"), ["serve.metrics"]);
}

#[test]
fn directories() {
    for dirs in [
        "{data_dir: /run/hansard/data}",
        "{data_dir: /srv/h, runtime_dir: /srv/h}",
        "{runtime_dir: /var/lib/hansard/run}",
        "{data_dir: /tmp}",
        "{runtime_dir: /var/tmp}",
    ] {
        let text = format!("{BASE}node: {dirs}");
        assert_eq!(errors(&text).len(), 1, "{dirs}: {:?}", errors(&text));
    }
    let long = format!("{BASE}node: {{runtime_dir: /run/{}}}", "x".repeat(100));
    assert_eq!(errors(&long), ["node.runtime_dir"]);
}

#[test]
fn the_spool_and_its_disk() {
    let with = |node: &str| format!("{BASE}node: {{{node}}}");
    assert_eq!(
        errors(&with("spool_bytes_max: 101GiB")),
        ["node.spool_bytes_max"]
    );
    assert_eq!(
        warnings(&with("spool_bytes_max: 60GiB")),
        ["node.spool_bytes_max"]
    );
    assert_eq!(
        warnings(&with(
            "spool_bytes_max: 128MiB, spool_file_bytes_max: 64MiB"
        )),
        ["node.spool_file_bytes_max"]
    );
    let (config, _) = Config::parse(&with("spool_bytes_max: 1000GiB"));
    assert_eq!(
        check(&config, &Surroundings::default()),
        [],
        "an unknown disk is no reason"
    );
}

#[test]
fn what_is_recorded_and_what_is_said_about_it() {
    let with = |local: &str| BASE.replace("local: {}", &format!("local: {{{local}}}"));
    assert_eq!(
        errors(&with("on_loss: continue, strict: true")),
        ["capture.local.strict"]
    );
    assert_eq!(
        warnings(&with("on_loss: end, hold: 5s")),
        ["capture.local.hold"]
    );
    assert_eq!(
        warnings(&with("keystrokes: true, notice: ''")),
        ["capture.local.notice"]
    );
    let silent = with("stdin: false, stdout: false, stderr: false");
    assert_eq!(warnings(&silent), ["capture.local.stdout"]);
}

#[test]
fn retention_that_is_wrong_or_never_applies() {
    let with = |rules: &str| BASE.replace("store: {}", &format!("store: {{retention: [{rules}]}}"));
    assert_eq!(errors(&with("{kind: exec}")), ["store.retention.0.keep"]);
    assert_eq!(errors(&with("{keep: 30s}")), ["store.retention.0.keep"]);
    assert_eq!(
        warnings(&with("{keep: 30d}, {kind: exec, keep: 60d}")),
        ["store.retention.1"]
    );
    assert_eq!(
        warnings(&with("{kind: exec, keep: 30d}, {keep: 60d}")),
        Vec::<String>::new()
    );
    let labels = with("{labels: {env: test}, keep: 30d}");
    assert_eq!(warnings(&labels), ["store.retention.0.labels"]);
    assert_eq!(
        found(&format!("{labels}node: {{labels: {{env: test}}}}")),
        []
    );
    assert_eq!(
        found(&labels.replace("admin: {}", "admin: {}, ingest: {}")),
        []
    );
    assert_eq!(
        warnings(&with("{host: web-2, keep: 30d}")),
        ["store.retention.0.host"]
    );
    assert_eq!(found(&with("{host: web-1, keep: 30d}")), []);
}

#[test]
fn packs_and_event_logs() {
    let with = |store: &str| BASE.replace("store: {}", &format!("store: {{{store}}}"));
    let large = format!(
        "{}node: {{spool_bytes_max: 64MiB}}",
        with("pack_bytes: 40MiB")
    );
    assert_eq!(
        warnings(&large),
        ["node.spool_file_bytes_max", "store.pack_bytes"]
    );
    let log = with("event_log: {compress_after: 30d, keep: 7d}");
    assert_eq!(warnings(&log), ["store.event_log.compress_after"]);
}

#[test]
fn addresses_that_are_the_same() {
    let with = |metrics: &str, ingest: &str| {
        format!(
            "store: {{}}\nserve: {{admin: {{}}, metrics: {{listen: '{metrics}'}}, \
             ingest: {{listen: '{ingest}'}}}}"
        )
    };
    let same = ["serve.metrics.listen"];
    assert_eq!(errors(&with("127.0.0.1:3025", "[::]:3025")), same);
    assert_eq!(errors(&with("127.0.0.1:3025", "0.0.0.0:3025")), same);
    assert_eq!(errors(&with("[::1]:3025", "[::1]:3025")), same);
    for (metrics, ingest) in [
        ("127.0.0.1:3025", "127.0.0.2:3025"),
        ("[::1]:3025", "0.0.0.0:3025"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ] {
        assert_eq!(found(&with(metrics, ingest)), [], "{metrics} {ingest}");
    }
    assert_eq!(warnings(&with("0.0.0.0:3081", "[::]:3025")), same);
}

#[test]
fn who_may_administrate() {
    let with = |roles: &str| BASE.replace("admin: {}", &format!("admin: {{roles: {{{roles}}}}}"));
    assert_eq!(
        warnings(&with("admin: {users: []}")),
        ["serve.admin.roles.admin"]
    );
    assert_eq!(
        warnings(&with("auditor: {users: ['*']}")),
        ["serve.admin.roles.auditor.users"]
    );
    assert_eq!(found(&with("admin: {users: [], groups: [wheel]}")), []);
}

#[test]
fn what_tlogs_configuration_says_in_vain_is_told() {
    let (config, _) =
        Config::parse("capture: {local: {}, shell: {}}\nstore: {}\nserve: {admin: {}}\n");
    let told = |tlog| {
        let around = Surroundings {
            tlog: Some(tlog),
            ..around()
        };
        let found = check(&config, &around).into_iter();
        let found = found.filter(|finding| finding.key.contains("tlog-rec-session"));
        found.map(|finding| finding.to_string()).collect::<Vec<_>>()
    };
    let conf = TlogConf::of(r#"{"notice": "x", "log": {"output": false}, "latency": 10}"#);
    let said = told(conf);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("log.output") && said[0].contains("capture.local.stdout"),
        "{said:?}"
    );
    assert!(told(Err("it is no JSON".to_owned()))[0].contains("no JSON"));
    assert_eq!(told(TlogConf::of("{}")), [""; 0]);
}
