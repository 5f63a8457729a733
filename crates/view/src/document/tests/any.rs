//! Any recording at all keeps the promises.

use hansard_core::event::{Fact, Gap};
use hansard_core::session::ClockQuality;
use hansard_core::{Body, Fields, Stream, Value};
use proptest::prelude::*;

use super::super::catalogue::{self, COMMON};
use super::super::name_of;
use super::{session, turned};

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        ".{0,20}".prop_map(Value::Text),
        (1000usize..1500).prop_map(|n| Value::Text("a\u{1}\u{e9}".repeat(n))),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
        any::<u64>().prop_map(Value::Uint),
        any::<i64>().prop_map(Value::Int),
        any::<bool>().prop_map(Value::Bool),
    ];
    leaf.prop_recursive(3, 20, 6, |inner| {
        prop::collection::vec(inner, 0..6).prop_map(Value::List)
    })
}

/// Names that mean something, so that values of every type meet them, and any others.
fn names() -> impl Strategy<Value = String> {
    let mut known: Vec<String> = COMMON.iter().map(|field| field.name.to_owned()).collect();
    known.extend(catalogue::rows().map(|row| row.name.to_owned()));
    let fields = catalogue::rows().flat_map(|row| row.fields.iter().flat_map(|g| g.iter()));
    known.extend(fields.map(|field| field.name.to_owned()));
    known.extend(["path.base64", "x.path", "env.A", "source.uid", "password"].map(str::to_owned));
    prop_oneof![9 => prop::sample::select(known), 1 => ".{0,200}"]
}

fn bodies() -> impl Strategy<Value = Body> {
    let fields = prop::collection::vec((names(), values()), 0..12).prop_map(|all| {
        let mut fields = Fields::new();
        all.into_iter()
            .for_each(|(name, value)| fields.push(name, value));
        fields
    });
    let fact = (names(), fields).prop_map(|(event, fields)| Fact { event, fields });
    let family = prop::sample::select(vec![
        Body::Auth as fn(Fact) -> Body,
        Body::Channel,
        Body::Command,
        Body::File,
        Body::Network,
        Body::Process,
        Body::Transfer,
        Body::Request,
        Body::Admin,
    ]);
    prop_oneof![
        6 => (family, fact).prop_map(|(family, fact)| family(fact)),
        1 => (any::<u64>(), ".{0,9}").prop_map(|(utc_ns, reason)| Body::Clock {
            utc_ns,
            quality: ClockQuality::Unknown,
            reason,
        }),
        1 => any::<[Option<u64>; 3]>().prop_map(|[events, bytes, bytes_max]| Body::Gap(Gap {
            cause: "disk full".to_owned(),
            from_ns: events.unwrap_or(0),
            events,
            bytes,
            bytes_max,
        })),
        1 => any::<(u16, u16)>().prop_map(|(cols, rows)| Body::Resize { cols, rows }),
        1 => ".{0,9}".prop_map(|label| Body::Mark { label }),
        1 => Just(Body::Data { stream: Stream::Stdin, bytes: vec![1] }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_recording_keeps_the_promises(
        all in prop::collection::vec(bodies(), 0..30),
        start_utc_ns in any::<u64>(),
        kind in prop::sample::select(vec!["terminal", "web", "host", "\u{1}"]),
    ) {
        let mut session = session(kind);
        session.start_utc_ns = start_utc_ns;
        let documents = turned(session.clone(), all.clone()); // checks
        prop_assert_eq!(&documents, &turned(session, all.clone()));
        let told = all.iter().filter(|body| !matches!(body, Body::Data { .. }));
        let told: Vec<_> = told.map(|body| name_of(body, kind)).collect();
        let names: Vec<_> = documents.iter().skip(1).map(|document| document.event).collect();
        prop_assert_eq!(names, told);
    }
}
