//! The OpenAPI document: what is committed is what the program makes, and it holds together.
//!
//! `HANSARD_BLESS=1 cargo test -p hansard-tests --test api documents` writes it anew.

use std::collections::BTreeSet;
use std::fs;

use hansard_tests::repository;
use hansardd::api::openapi::document;
use hansardd::api::table::{Op, ROUTES, Verb};
use serde_json::Value as Json;

use crate::service::Service;
use crate::speak::get;

#[test]
fn the_committed_document_is_what_the_table_makes() {
    let path = repository().join("formats/openapi.json");
    if std::env::var_os("HANSARD_BLESS").is_some() {
        fs::write(&path, document()).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == document(),
        "formats/openapi.json is not as it is made: HANSARD_BLESS=1 cargo test -p hansard-tests --test api documents"
    );
    let service = Service::start("api-openapi");
    assert_eq!(get(&service, "/v1/openapi.json").body, committed.as_bytes());
}

/// Every `$ref` in a document.
fn references<'a>(json: &'a Json, found: &mut BTreeSet<&'a str>) {
    match json {
        Json::Object(object) => {
            if let Some(to) = object.get("$ref").and_then(Json::as_str) {
                found.insert(to);
            }
            object.values().for_each(|value| references(value, found));
        }
        Json::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_document_holds_together() {
    let json: Json = serde_json::from_str(&document()).unwrap();
    assert_eq!(json["openapi"], "3.1.0");
    let mut found = BTreeSet::new();
    references(&json, &mut found);
    for to in &found {
        let pointer = to.strip_prefix('#').unwrap();
        assert!(json.pointer(pointer).is_some(), "{to} is nowhere");
    }
    let schemas = json["components"]["schemas"].as_object().unwrap();
    for name in schemas.keys() {
        let to = format!("#/components/schemas/{name}");
        assert!(found.contains(to.as_str()), "nothing is a {name}");
    }
    let mut operations = BTreeSet::new();
    for route in &ROUTES {
        let verb = route.verb.as_str().to_lowercase();
        let operation = &json["paths"][route.path][&verb];
        let id = operation["operationId"].as_str().unwrap().to_owned();
        assert!(operations.insert(id), "{route:?} twice");
        assert_eq!(operation["x-role"], route.least.as_str());
        assert!(
            !operation["summary"].as_str().unwrap().is_empty(),
            "{route:?}"
        );
        let has_id = route.path.contains("{id}");
        assert_eq!(has_id, route.id.is_some(), "{route:?}");
        let given = operation["parameters"].as_array().map_or(0, Vec::len);
        assert_eq!(given, route.params.len() + usize::from(has_id), "{route:?}");
        assert_eq!(
            operation["requestBody"].is_object(),
            matches!(route.verb, Verb::Post | Verb::Put)
                && !matches!(route.op, Op::PasskeyChallenge | Op::CredentialRotate),
            "{route:?}"
        );
        assert!(operation["responses"]["default"].is_object(), "{route:?}");
    }
    let written: usize = json["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|path| path.as_object().unwrap().len())
        .sum();
    // Signing in, also at a provider, and out are answered before the table is asked.
    assert_eq!(written, ROUTES.len() + 7);
}

/// Whether an answer has what its schema says must be there, and nothing that it does not know.
fn fits(document: &Json, schema: &Json, answer: &Json, at: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(to) => document.pointer(to.strip_prefix('#').unwrap()).unwrap(),
        None => schema,
    };
    if let Some(items) = answer.as_array() {
        for (n, item) in items.iter().enumerate() {
            fits(document, &schema["items"], item, &format!("{at}/{n}"));
        }
        return;
    }
    let (Some(properties), Some(object)) = (schema["properties"].as_object(), answer.as_object())
    else {
        return;
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(
            object.contains_key(name.as_str().unwrap()),
            "{at} lacks {name}"
        );
    }
    for (name, value) in object {
        let known = properties.get(name);
        let known = known.unwrap_or_else(|| panic!("{at}/{name} is not in the schema"));
        fits(document, known, value, &format!("{at}/{name}"));
    }
}

#[test]
fn answers_are_as_the_document_says() {
    use crate::keep::{header, id, parts};
    let service = Service::start("api-schemas");
    service
        .kept
        .store(&[parts(header(1, "ada", "x"), "hi", true)]);
    let host = hansardd::api::seams::HostRow {
        id: "h1".to_owned(),
        ..Default::default()
    };
    service
        .kept
        .hosts
        .lock()
        .unwrap()
        .insert("h1".to_owned(), host);
    service.ok(&["token", "create"]);
    let json: Json = serde_json::from_str(&document()).unwrap();
    let sid = id(1).to_string();
    for (path, target) in [
        ("/v1/sessions", "/v1/sessions".to_owned()),
        ("/v1/sessions/{id}", format!("/v1/sessions/{sid}")),
        (
            "/v1/sessions/{id}/verify",
            format!("/v1/sessions/{sid}/verify"),
        ),
        ("/v1/tokens", "/v1/tokens".to_owned()),
        ("/v1/hosts", "/v1/hosts".to_owned()),
        ("/v1/policy", "/v1/policy".to_owned()),
    ] {
        let answer = get(&service, &target).json();
        let schema = &json["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
            ["schema"];
        assert!(schema["$ref"].is_string(), "{path}");
        fits(&json, schema, &answer, path);
    }
    let error = get(&service, "/v1/nothing").json();
    fits(
        &json,
        &json["components"]["schemas"]["Error"],
        &error,
        "error",
    );
}
