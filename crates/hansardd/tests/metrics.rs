//! Metrics as a monitoring system gets them, read by a strict reader of OpenMetrics' text format.
//!
//! `HANSARD_BLESS=1 cargo test -p hansardd --test metrics` writes the table of `docs/operations.md` anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hansard_core::session::ClockQuality;
use hansard_record::clock::Clock;
use hansardd::metrics::serve::{CONNECTIONS_MAX, Health, STUCK_NS, serve};
use hansardd::metrics::{Measure, Metrics, SERIES_MAX, table};

/// A family: its type, its unit, and its samples by name and labels.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    unit: String,
    samples: BTreeMap<String, f64>,
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(fits)
}

/// Splits `name{a="b"} 1` and checks every character of it.
fn sample(line: &str) -> (String, String, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
        None => (series, ""),
    };
    assert!(is_name(name), "{line}");
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").unwrap();
        assert!(is_name(label), "{line}");
        let mut end = None;
        let mut chars = after.char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => assert!(
                    matches!(chars.next().unwrap().1, '\\' | '"' | 'n'),
                    "{line}"
                ),
                '"' => {
                    end = Some(i);
                    break;
                }
                _ => {}
            }
        }
        rest = &after[end.unwrap() + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    let value = match value {
        "+Inf" => f64::INFINITY,
        value => value.parse().unwrap(),
    };
    (name.to_owned(), labels.to_owned(), value)
}

/// Reads the whole text as the specification has it: metadata before samples, families in one
/// piece, suffixes by type, `# EOF` at the end and nothing behind it.
fn parse(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("ends with # EOF");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in body.lines() {
        if let Some(meta) = line.strip_prefix("# ") {
            let mut words = meta.splitn(3, ' ');
            let (what, name) = (words.next().unwrap(), words.next().unwrap());
            let value = words.next().unwrap_or_default().to_owned();
            assert!(is_name(name), "{line}");
            if name != current {
                assert!(!families.contains_key(name), "{name} in two pieces");
                current = name.to_owned();
                families.insert(current.clone(), Family::default());
            }
            let family = families.get_mut(name).unwrap();
            assert!(family.samples.is_empty(), "metadata after samples: {line}");
            match what {
                "HELP" => assert!(!value.is_empty()),
                "TYPE" => family.kind = value,
                "UNIT" => {
                    assert!(name.ends_with(&format!("_{value}")), "{line}");
                    family.unit = value;
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, labels, value) = sample(line);
        let family = families.get_mut(&current).unwrap();
        let suffix = name
            .strip_prefix(&current)
            .unwrap_or_else(|| panic!("{line}"));
        let suffixes: &[&str] = match family.kind.as_str() {
            "gauge" => &[""],
            "counter" => &["_total", "_created"],
            "histogram" => &["_bucket", "_sum", "_count", "_created"],
            other => panic!("{other}"),
        };
        assert!(suffixes.contains(&suffix), "{line}");
        let twice = family
            .samples
            .insert(format!("{suffix}{{{labels}}}"), value);
        assert_eq!(twice, None, "{line}");
    }
    families
}

/// A clock that stands still until it is told.
#[derive(Default)]
struct Stopped(AtomicU64);

impl Clock for Stopped {
    fn monotonic_ns(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn utc_ns(&self) -> u64 {
        0
    }

    fn quality(&self) -> ClockQuality {
        ClockQuality::Unknown
    }
}

struct Server {
    address: SocketAddr,
    clock: Arc<Stopped>,
    health: Arc<Health>,
    _runtime: tokio::runtime::Runtime,
}

fn server(metrics: Metrics) -> Server {
    let clock = Arc::new(Stopped::default());
    let health = Arc::new(Health::new(clock.clone()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (exposition, answering) = (Arc::new(metrics.finish()), health.clone());
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        serve(listener, exposition, answering).await;
    });
    Server {
        address,
        clock,
        health,
        _runtime: runtime,
    }
}

impl Server {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
    }

    fn ask(&self, request: &str) -> (u16, String, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }

    fn get(&self, path: &str) -> (u16, String, String) {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        ))
    }
}

/// Every measure, and disks whose names are as bad as can be.
fn all() -> Metrics {
    let mut metrics = Metrics::default();
    for (i, measure) in Measure::ALL.iter().enumerate() {
        if *measure != Measure::DiskFree {
            metrics.read(*measure, move || i as f64);
        }
    }
    for (i, name) in ["data", "a\"b\\c\nd", "é,{}="].into_iter().enumerate() {
        let labels = vec![("disk", name.to_owned())];
        metrics.read_labelled(Measure::DiskFree, labels, move || i as f64);
    }
    metrics.sync_seconds().observe(0.003);
    metrics.sync_seconds().observe(100.0);
    metrics
}

#[test]
fn every_measure_arrives_under_its_name() {
    let server = server(all());
    let (status, head, body) = server.get("/metrics");
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    let families = parse(&body);
    for (i, measure) in Measure::ALL.iter().enumerate() {
        let name = measure.name();
        let family = &families[name.strip_suffix("_total").unwrap_or(&name)];
        if *measure == Measure::DiskFree {
            assert_eq!(family.samples.len(), 3, "{body}");
            assert!(
                family.samples.contains_key(r#"{disk="a\"b\\c\nd"}"#),
                "{body}"
            );
            continue;
        }
        let suffix = if name.ends_with("_total") {
            "_total"
        } else {
            ""
        };
        assert_eq!(family.samples[&format!("{suffix}{{}}")], i as f64, "{name}");
    }
    let sync = &families["hansard_sync_seconds"];
    assert_eq!(
        (sync.kind.as_str(), sync.unit.as_str()),
        ("histogram", "seconds")
    );
    assert_eq!(sync.samples["_count{}"], 2.0);
    assert_eq!(sync.samples["_bucket{le=\"+Inf\"}"], 2.0);
    let below: Vec<f64> = sync
        .samples
        .iter()
        .filter(|(k, _)| k.contains("le="))
        .map(|(_, v)| *v)
        .collect();
    assert!(below.contains(&0.0) && below.contains(&1.0), "{below:?}");
    assert_eq!(families.len(), Measure::ALL.len() + 1);
}

#[test]
fn the_page_has_the_table() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let mut page = std::fs::read_to_string(&path).unwrap();
    if std::env::var_os("HANSARD_BLESS").is_some() {
        let (before, rest) = page.split_once("| metric |").unwrap();
        let (_, after) = rest.split_once("\n\n").unwrap();
        page = format!("{before}{}\n{after}", table());
        std::fs::write(&path, &page).unwrap();
    }
    assert!(
        page.contains(&table()),
        "docs/operations.md must contain:\n{}",
        table()
    );
    let names: BTreeSet<String> = Measure::ALL.iter().map(|m| m.name()).collect();
    assert_eq!(names.len(), Measure::ALL.len());
}

#[test]
fn series_are_bounded() {
    let mut metrics = Metrics::default();
    for i in 0..1000 {
        metrics.read_labelled(Measure::DiskFree, vec![("disk", i.to_string())], || 0.0);
    }
    let families = parse(&metrics.finish().text().unwrap());
    assert_eq!(
        families["hansard_disk_free_bytes"].samples.len(),
        SERIES_MAX
    );
}

#[test]
fn alive_and_ready_are_two_things() {
    let server = server(Metrics::default());
    assert_eq!(server.get("/healthz").0, 200);
    let (status, _, body) = server.get("/readyz");
    assert_eq!((status, body.as_str()), (503, "starting\n"));
    server.health.waits_for(Vec::new());
    assert_eq!(server.get("/readyz").2, "ok\n");
    server
        .health
        .waits_for(vec!["the catalog is being rebuilt".into()]);
    assert_eq!(server.get("/readyz").2, "the catalog is being rebuilt\n");
    server.clock.0.store(STUCK_NS, Ordering::SeqCst);
    let (status, _, body) = server.get("/healthz");
    assert_eq!(status, 503);
    assert!(body.contains("30 s"), "{body}");
    server.health.turned();
    assert_eq!(server.get("/healthz").0, 200);
}

#[test]
fn other_requests_are_refused() {
    let server = server(Metrics::default());
    assert_eq!(server.get("/").0, 404);
    assert_eq!(server.get("/metrics/../../etc/passwd").0, 404);
    let post =
        "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!(server.ask(post).0, 405);
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(20_000));
    let mut stream = server.connect();
    let _ = stream.write_all(long.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(server.get("/healthz").0, 200);
}

#[test]
fn silent_connections_keep_nobody_out_for_long() {
    let server = server(Metrics::default());
    let silent: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| server.connect()).collect();
    // All places are taken; the request waits until the first silent one is closed (5 s).
    assert_eq!(server.get("/healthz").0, 200);
    drop(silent);
}
