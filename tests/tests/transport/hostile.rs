//! Streams that are not what they should be: each costs its sender, and nobody else.

use hansard_core::frame::Part;
use hansard_core::{Frame, SessionId};
use hansard_identity::HostIdentity;
use hansard_record::forward::wire::{Down, Hello, PART_BYTES_MAX, ProblemKind, Up};
use hansardd::ingest::{Cause, Note};

use crate::cluster::{Cluster, until};
use crate::host::Host;
use crate::raw::{Raw, RawStream};
use crate::service::{Made, Service};
use crate::sessions::{id, recording};

struct Scene {
    service: Service,
    cluster: Cluster,
    web: HostIdentity,
}

fn scene() -> Scene {
    let cluster = Cluster::new("hostile", 1);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let service = Service::start(&cluster, &identity, Made::new());
    Scene {
        service,
        cluster,
        web,
    }
}

impl Scene {
    fn raw(&self) -> RawStream {
        let tls = self.cluster.client_config(&self.web, false);
        let raw = Raw::connect(&self.service.runtime, self.service.address, tls);
        raw.unwrap().stream()
    }

    fn recording(&self, n: u8) -> Vec<Part> {
        recording(&self.web.recorder_key(), id(n), u64::from(n), 100)
    }
}

fn refused(said: &[Down]) -> Vec<SessionId> {
    let refused = said.iter().filter_map(|message| match message {
        Down::Problem(problem) if problem.kind == ProblemKind::Refused => Some(problem.session),
        _ => None,
    });
    refused.collect()
}

#[test]
fn streams_that_cannot_be_read_end_with_a_reason() {
    let scene = scene();
    let mut first = scene.raw();
    first.say(&Up::Ping(1));
    assert_eq!(first.bye(), "the stream does not begin with a hello");

    let mut other = scene.raw();
    let mut hello = Hello::new("of the future", Vec::new());
    hello.version = 7;
    other.say(&Up::Hello(hello));
    let why = other.bye();
    assert!(
        why.contains("version 1") && why.contains("version 7"),
        "{why}"
    );

    let mut twice = scene.raw();
    twice.hello();
    twice.say(&Up::Hello(Hello::new("again", Vec::new())));
    assert_eq!(twice.bye(), "a second hello");

    let mut garbage = scene.raw();
    garbage.hello();
    garbage.send(&[
        1, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    garbage.send(&[0; 30]);
    let why = garbage.bye();
    assert!(why.starts_with("the stream cannot be read"), "{why}");
    until("nobody is left", || {
        scene.service.connections.list().is_empty()
    });
}

#[test]
fn what_a_later_version_says_is_passed_over() {
    let scene = scene();
    let mut raw = scene.raw();
    raw.hello();
    let mut unknown = vec![0x55];
    unknown.extend(300_000u32.to_le_bytes());
    unknown.extend(vec![1; 300_000]);
    raw.send(&unknown);
    raw.say(&Up::Ping(9));
    assert_eq!(raw.hear(), Some(Down::Pong(9)));
}

#[test]
fn an_unsound_part_costs_its_session_and_no_other() {
    let scene = scene();
    let (good, bad) = (scene.recording(1), scene.recording(2));
    let mut raw = scene.raw();
    raw.hello();
    let mut changed = bad[3].clone();
    if let Part::Frame(Frame { bytes, .. }) = &mut changed {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    }
    let mut ordinal = 0;
    for n in 0..good.len().max(bad.len()) {
        for part in [good.get(n), bad.get(n)].into_iter().flatten() {
            let is_third = part == &bad[3];
            raw.part(if is_third { &changed } else { part });
            ordinal += 1;
        }
    }
    let said = raw.until_received(ordinal);
    assert_eq!(refused(&said), [id(2)]);
    scene.service.wait_for(&good);
    assert_eq!(scene.service.notes.alarms(), [id(2)]);
    assert_eq!(scene.service.archive.of(id(2)).parts.len(), 0);
}

#[test]
fn a_part_too_long_costs_its_session_and_is_never_held() {
    let scene = scene();
    let good = scene.recording(1);
    let mut raw = scene.raw();
    raw.hello();
    let mut long = vec![0x02];
    let length = u32::try_from(PART_BYTES_MAX + 25).unwrap();
    long.extend(length.to_le_bytes());
    long.extend(id(3).as_bytes());
    long.extend([0; 8]);
    long.resize(5 + length as usize, 7);
    raw.send(&long);
    good.iter().for_each(|part| raw.part(part));
    let said = raw.until_received(good.len() as u64 + 1);
    assert_eq!(refused(&said), [id(3)]);
    scene.service.wait_for(&good);
    assert_eq!(scene.service.notes.alarms(), [id(3)]);
}

#[test]
fn parts_out_of_order_cost_their_session() {
    let scene = scene();
    let (good, bad) = (scene.recording(1), scene.recording(2));
    let mut raw = scene.raw();
    raw.hello();
    bad.iter()
        .step_by(2)
        .chain(&good)
        .for_each(|part| raw.part(part));
    let ordinal = bad.iter().step_by(2).count() + good.len();
    let said = raw.until_received(ordinal as u64);
    assert_eq!(refused(&said), [id(2)]);
    scene.service.wait_for(&good);
}

#[test]
fn a_session_that_begins_in_the_middle_is_asked_for_from_its_beginning() {
    let scene = scene();
    let parts = scene.recording(1);
    let mut raw = scene.raw();
    raw.hello();
    parts[4..].iter().for_each(|part| raw.part(part));
    let sent = parts.len() as u64 - 4;
    let said = raw.until_received(sent);
    let retries: Vec<_> = said
        .iter()
        .filter_map(|message| match message {
            Down::Problem(problem) => Some((problem.kind, problem.at)),
            _ => None,
        })
        .collect();
    let at = hansard_record::order::Spot::of(&parts[4]);
    assert_eq!(retries, [(ProblemKind::Retry, at)]);
    parts.iter().for_each(|part| raw.part(part));
    let said = raw.until_received(sent + parts.len() as u64);
    assert_eq!(refused(&said), []);
    scene.service.wait_for(&parts);
    assert!(scene.service.notes.alarms().is_empty());
}

#[test]
fn a_session_whose_beginning_its_host_has_no_more_is_refused_and_told() {
    let scene = scene();
    let parts = scene.recording(1);
    let is_later = |part: &Part| part.segment() == 1;
    let rest = &parts[parts.iter().position(is_later).unwrap()..];
    let mut raw = scene.raw();
    raw.hello();
    rest.iter().for_each(|part| raw.part(part));
    let said = raw.until_received(rest.len() as u64);
    assert_eq!(refused(&said), [id(1)]);
    assert_eq!(scene.service.notes.alarms(), [id(1)]);
    let is_lost = |note: &Note| {
        matches!(
            note,
            Note::NotTaken {
                cause: Cause::Lost,
                ..
            }
        )
    };
    assert!(scene.service.notes.all().iter().any(is_lost));
}

#[test]
fn a_heavy_host_does_not_starve_a_light_one() {
    let scene = scene();
    let db = scene.cluster.host("db-1");
    let heavy_parts: Vec<Vec<Part>> = (10..14u8)
        .map(|n| recording(&scene.web.recorder_key(), id(n), u64::from(n), 3000))
        .collect();
    let light_parts = recording(&db.recorder_key(), id(1), 1, 40);
    let (address, runtime) = (scene.service.address, &scene.service.runtime);
    let heavy = Host::start(&scene.cluster, &scene.web, address, runtime);
    let light = Host::start(&scene.cluster, &db, address, runtime);
    heavy_parts.iter().for_each(|parts| heavy.put(parts));
    light.put(&light_parts);
    scene.service.wait_for(&light_parts);
    let after_light = scene.service.puts.lock().unwrap().clone();
    heavy_parts
        .iter()
        .for_each(|parts| scene.service.wait_for(parts));
    heavy.wait_until_stored();
    // Between two batches of the light one, the heavy one had few.
    let mut run = 0;
    let mut longest = 0;
    let first = after_light
        .iter()
        .position(|(host, _)| host == "db-1")
        .unwrap();
    let last = after_light
        .iter()
        .rposition(|(host, _)| host == "db-1")
        .unwrap();
    for (host, _) in &after_light[first..=last] {
        run = if host == "web-1" { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    assert!(longest < 40, "{longest} batches of the heavy host in a row");
}
