//! The configuration as files: its page, hostile ones, and what is said about wrong ones.
//!
//! `HANSARD_BLESS=1 cargo test -p hansardd --test configuration` writes `docs/configuration.md` anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hansardd::config::key::{Key, Kind, Section as _, Value as _};
use hansardd::config::value::keys_of;
use hansardd::config::{Config, Finding, LoadError, page};

fn wrong(text: &str) -> Vec<Finding> {
    let (_, findings) = Config::parse(text);
    assert!(!findings.is_empty(), "nothing is wrong with {text}");
    findings
}

fn one_wrong(text: &str) -> String {
    let findings = wrong(text);
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings[0].to_string()
}

#[test]
fn the_page_is_what_the_structs_say() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let made = page::page();
    if std::env::var_os("HANSARD_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = made.lines().zip(committed.lines()).find(|(a, b)| a != b);
    assert_eq!(differs, None, "run with HANSARD_BLESS=1");
    assert_eq!(made.len(), committed.len(), "run with HANSARD_BLESS=1");
}

#[test]
fn the_page_of_the_policy_has_every_key() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
    let committed = fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        "<!-- keys: made from the structs -->\n",
        "<!-- end of keys -->",
    );
    let (before, rest) = committed.split_once(begin).unwrap();
    let (between, after) = rest.split_once(end).unwrap();
    let made = format!("\n{}\n", page::policy_tables());
    if std::env::var_os("HANSARD_BLESS").is_some() {
        let page = format!("{before}{begin}{made}{end}{after}");
        fs::write(&path, page).unwrap();
        return;
    }
    assert!(between == made, "run with HANSARD_BLESS=1");
}

/// The examples of the page are policies.
#[test]
fn the_examples_of_the_page_of_the_policy_are_policies() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
    let text = fs::read_to_string(path).unwrap();
    let examples = text.split("```yaml\n").skip(1);
    let examples: Vec<&str> = examples
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(examples.len() >= 2, "{examples:?}");
    for example in examples {
        let read = hansardd::config::policy::read(example, 1);
        assert!(read.is_ok(), "{example}: {:?}", read.err());
    }
}

/// Every path of a key, through all sections.
fn paths(prefix: &str, keys: &'static [Key], found: &mut Vec<(String, &'static Key)>) {
    for key in keys {
        let path = format!("{prefix}{}", key.name);
        found.push((path.clone(), key));
        let element = if matches!(key.kind, Kind::Sections(_)) {
            ".0"
        } else {
            ""
        };
        paths(&format!("{path}{element}."), keys_of(key.kind), found);
    }
}

/// Everything on, so that every key is there.
const EVERYTHING: &str = "
node: {labels: {env: production}}
capture: {local: {}, shell: {shells: {anna: /bin/zsh}}, ssh: {}, proxy: {target_labels: [{targets: x}], target_sign_in: [{methods: agent}]}, host: {}}
access: {roles: [{name: a}]}
forward: {service: [a.example]}
store: {retention: [{labels: {env: production}, keep: 365d}]}
serve: {ingest: {}, metrics: {}, admin: {}, web: {tls: {}, oidc: [{claims_to_roles: [{}]}]}}
export: {tlog: {}}
";

#[test]
fn the_table_has_every_field_and_no_other() {
    let (config, findings) = Config::parse(EVERYTHING);
    assert_eq!(findings, []);
    let mut fields = BTreeSet::new();
    config.flatten("", &mut |key, _| {
        fields.insert(key.to_owned());
    });
    let mut keys = Vec::new();
    paths("", Config::KEYS, &mut keys);
    let has_value = |kind: Kind| !matches!(kind, Kind::Section(_) | Kind::Sections(_));
    let table: BTreeSet<String> = keys
        .iter()
        .filter(|(_, key)| has_value(key.kind))
        .map(|(path, _)| path.clone())
        .collect();
    assert_eq!(fields, table);
    for (path, key) in &keys {
        let doc = key.doc.join(" ");
        assert!(doc.trim().ends_with('.'), "{path}: {doc}");
    }
}

#[test]
fn a_default_is_within_its_bound_and_reads_as_itself() {
    // What the page shows as default, written into a file, is the default.
    let mut keys = Vec::new();
    paths("", Config::KEYS, &mut keys);
    for (path, key) in keys
        .iter()
        .filter(|(_, key)| matches!(key.kind, Kind::One(_)))
    {
        let default = (key.default)();
        if default.is_empty() {
            continue;
        }
        let names: Vec<&str> = path.split('.').filter(|name| *name != "0").collect();
        let (last, above) = names.split_last().unwrap();
        let nested = |innermost: String| {
            let within = |inner: String, name: &&str| format!("{{{name}: {inner}}}");
            above.iter().rev().fold(innermost, within)
        };
        let (given, findings) = Config::parse(&nested(format!("{{{last}: {default}}}")));
        assert_eq!(findings, [], "{path}: {default}");
        assert_eq!(given, Config::parse(&nested("{}".to_owned())).0, "{path}");
    }
    assert_eq!(Config::parse("").0, Config::default());
}

#[test]
fn a_value_arrives_in_its_field() {
    let (config, findings) = Config::parse(
        "node:\n  name: web-1\n  spool_bytes_max: 2GiB\n  labels: {env: 'no', version: 1.10}\n\
         capture:\n  local:\n    on_loss: continue\n    hold: 1m30s\n\
         forward:\n  service: 'a.example'\n\
         serve:\n  metrics:\n    listen: '[::1]:9'\n  admin:\n    roles:\n      auditor: {groups: [audit, '27']}\n",
    );
    assert_eq!(findings, []);
    assert_eq!(config.node.name, "web-1");
    assert_eq!(config.node.spool_bytes_max.0, 2 << 30);
    assert_eq!(config.node.labels["version"], "1.10");
    assert_eq!(config.node.labels["env"], "no");
    let local = config.capture.local.unwrap();
    assert_eq!(local.on_loss.as_str(), "continue");
    assert_eq!(local.hold.0, Duration::from_secs(90));
    assert_eq!(
        config.forward.unwrap().service[0].to_string(),
        "a.example:3025"
    );
    assert_eq!(config.serve.metrics.unwrap().listen.to_string(), "[::1]:9");
    let roles = config.serve.admin.unwrap().roles;
    assert_eq!(roles.auditor.groups, ["audit", "27"]);
    assert_eq!(roles.admin.users, ["root"]);
    assert_eq!((config.store, config.serve.ingest), (None, None));
}

#[test]
fn a_section_is_on_when_it_is_there() {
    for text in [
        "store: {}",
        "store:",
        "store:\n# all commented out\n",
        "store: ~",
    ] {
        assert!(Config::parse(text).0.store.is_some(), "{text}");
    }
    let laptop = Config::all_in_one();
    assert!(laptop.capture.local.is_some() && laptop.store.is_some());
    assert!(laptop.serve.admin.is_some() && laptop.serve.ingest.is_none());
}

#[test]
fn what_is_wrong_is_said_with_key_place_and_next_step() {
    let said = one_wrong("node:\n  name: a\nstore:\n  pack_byte: 5MiB\n");
    assert_eq!(
        said,
        "error: line 4, column 3: store: no such key: \"pack_byte\"; did you mean pack_bytes?"
    );
    let said = one_wrong("sotre: {}");
    assert!(said.contains("did you mean store?"), "{said}");
    let said = one_wrong("store: {pack_age: 30}");
    assert!(
        said.contains("store.pack_age: \"30\" is not a duration"),
        "{said}"
    );
    let said = one_wrong("store: {pack_age: 2h}");
    assert!(said.contains("2h is not within 1s and 1h"), "{said}");
    let said = one_wrong("store: []");
    assert!(said.contains("store: must be a mapping"), "{said}");
    let said = one_wrong("capture: {local: {on_loss: holt}}");
    assert!(said.contains("did you mean hold?"), "{said}");
    let said = one_wrong("capture: {local: {strict: yes}}");
    assert!(said.contains("true or false"), "{said}");
    let said = one_wrong("node: {data_dir: ../x}");
    assert!(said.contains("an absolute path"), "{said}");
    let said = one_wrong("store: {retention: [{keep: 1d}, {keep: x}]}");
    assert!(said.contains("store.retention.1.keep"), "{said}");
    let all = wrong("store: {a: 1, b: 2}\nnode: {c: 3}");
    assert_eq!(all.len(), 3, "everything that is wrong is said at once");
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    for text in [
        "forward: {token: s3cr3t}",
        "forward: {token: [s3cr3t, {a: s3cr3t}]}",
        "forward: {token: \"s3cr3t}",
        "forward: {token: !s3cr3t x",
        "token: s3cr3t\ntoken: s3cr3t",
        "forward: {token: *s3cr3t}",
    ] {
        for finding in wrong(text) {
            assert!(!finding.to_string().contains("s3cr3t"), "{finding}");
        }
    }
}

#[test]
fn a_message_cannot_paint_the_terminal() {
    let said = one_wrong("\"\\e[31mstore\\u202e\\n\": {}");
    assert!(!said.contains(['\u{1b}', '\u{202e}', '\n']), "{said:?}");
    let said = one_wrong("node: {labels: {\"a\\e[1m\": b}}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
    let long = one_wrong(&format!("\"{}\": 1", "k".repeat(4000)));
    assert!(long.len() < 300, "{}", long.len());
    let many = format!(
        "store: {{{}}}",
        (0..900).map(|i| format!("x{i}: 1, ")).collect::<String>()
    );
    assert!(wrong(&many).len() <= 100);
}

#[test]
fn hostile_files_cost_nothing() {
    let begun = Instant::now();
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..30 {
        let last = i - 1;
        bomb += &format!("a{i}: &a{i} [*a{last}, *a{last}, *a{last}, *a{last}]\n");
    }
    let keys: String = (0..40_000).map(|i| format!("k{i}: 1\n")).collect();
    let hostile = [
        bomb,
        "[".repeat(500_000),
        "{a: ".repeat(250_000),
        "- ".repeat(500_000),
        "? ".repeat(500_000),
        "&a ".repeat(300_000),
        "!".repeat(500_000),
        "\"".to_owned() + &"\\x41".repeat(200_000),
        "a: |\n".to_owned() + &"  x\n".repeat(200_000),
        keys,
        "\0\u{1}\u{feff}\u{2028}".repeat(1000),
        "%YAML 9.9\n---\na: 1".to_owned(),
    ];
    for text in hostile {
        let start: String = text.chars().take(20).collect();
        assert!(!Config::parse(&text).1.is_empty(), "{start}");
    }
    // Generous: the whole takes a fraction of it.
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_file_that_is_no_configuration_is_refused() {
    let dir = std::env::temp_dir().join(format!("hansardd-configuration-{}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    let path = dir.join("hansard.yaml");
    let load = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Config::load(Some(&path))
    };
    let said = load(&b"# ".repeat(5 << 20)).unwrap_err().to_string();
    assert!(said.contains("longer than 1048576 bytes"), "{said}");
    let said = load(b"node: {name: \xff}").unwrap_err().to_string();
    assert!(said.contains("not UTF-8 at byte 13"), "{said}");
    let said = load(b"nodes: {}").unwrap_err();
    assert!(matches!(said, LoadError::Wrong(..)), "{said}");
    assert!(said.to_string().contains("hansard.yaml"), "{said}");
    assert_eq!(
        load(b"store: {}").unwrap().store,
        Some(hansardd::config::Store::default())
    );
    fs::remove_file(&path).unwrap();
    let said = Config::load(Some(&path)).unwrap_err();
    assert!(matches!(said, LoadError::Unreadable(..)), "{said}");
    fs::remove_dir(&dir).unwrap();
}
