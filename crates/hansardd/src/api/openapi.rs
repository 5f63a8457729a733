//! The OpenAPI 3.1 document, written from the table of routes.

use serde_json::{Map, Value as Json, json};

use super::certified;
use super::export::{DAMAGES, FILE, WHOLE};
use super::live::{LINES, RECORDING};
use super::schema::{all, named};
use super::table::{Answer, Id, Kind, OPEN_TO_LINKS, Op, Own, Param, ROUTES, Route};

/// The document as text: the same for the same table.
#[must_use]
pub fn document() -> String {
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Hansard",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "The service's API on its admin socket: HTTP/1.1, JSON. Who asks is known \
    from the socket's other end, and has a role by the service's configuration. In a browser (serve.web) \
    who asks is signed in, and has the role of that user. Listings never stop \
    silently: each says whether it is complete, and how to go on.",
        },
        "servers": [{ "url": "http://localhost", "description": "the socket /run/hansard/admin.sock" }],
        "security": [{ "peer": [] }, { "cookie": [] }],
        "paths": paths(),
        "components": {
            "securitySchemes": { "peer": {
                "type": "http",
                "scheme": "unix-peer",
                "description": "Nothing is sent: the kernel names the process at the socket's other end.",
            }, "cookie": {
                "type": "apiKey",
                "in": "cookie",
                "name": crate::web::COOKIE.plain,
                "description": format!(
                    "In a browser: what POST /v1/sign-in set; {} where the service is reached by HTTPS.",
                    crate::web::COOKIE.of_host,
                ),
            }, "link": {
                "type": "http",
                "scheme": "bearer",
                "description": "In a browser: the secret of a link to one session, what stands behind its #.",
            } },
            "schemas": all(),
            "responses": { "Problem": {
                "description": "Not answered as asked.",
                "headers": { "Retry-After": {
                    "description": "Of `busy`: after how many seconds to ask again at the earliest.",
                    "schema": { "type": "integer" },
                } },
                "content": { "application/json": { "schema": named("Error") } },
            } },
        },
    });
    match serde_json::to_string_pretty(&document) {
        Ok(text) => text + "\n",
        Err(error) => format!("{{\"error\":\"{error}\"}}\n"),
    }
}

fn paths() -> Json {
    let mut paths = Map::new();
    // Answered before the table is asked, and only in a browser.
    for (path, operation) in super::users::sign_in_and_out() {
        paths.insert(path.to_owned(), json!({ "post": operation }));
    }
    for (path, operations) in super::sign_ins::by_oidc() {
        paths.insert(path.to_owned(), operations);
    }
    for route in &ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.verb.as_str().to_lowercase(), operation(route));
        }
    }
    Json::Object(paths)
}

fn operation(route: &Route) -> Json {
    let mut object = Map::new();
    let mut put = |name: &str, value: Json| {
        object.insert(name.to_owned(), value);
    };
    put("operationId", json!(format!("{:?}", route.op)));
    put("summary", json!(route.summary));
    let mut doc = format!("Needs the role `{}` or a higher one.", route.least);
    doc.push_str(match route.own {
        Own::Nothing => "",
        Own::Rows => " Below it, only rows whose user is the asker are answered.",
        Own::Sessions => " Below it, only sessions whose user is the asker.",
    });
    let by_link = OPEN_TO_LINKS.contains(&route.op);
    if by_link && route.op != Op::Shared {
        doc.push_str(" Open to whoever has a link to the session, within its stretch.");
    }
    if certified::opens(route).is_err() {
        doc.push_str(" Not with a certificate of `hansard login`.");
    }
    if let Some(noted) = route.noted {
        doc.push_str(&format!(" Put on record first, as `{}`.", noted.event));
    }
    if !route.doc.is_empty() {
        doc.push_str(&format!(" {}", route.doc));
    }
    put("description", json!(doc));
    put("x-role", json!(route.least.as_str()));
    match by_link {
        true if route.op == Op::Shared => put("security", json!([{ "link": [] }])),
        true => put(
            "security",
            json!([{ "peer": [] }, { "cookie": [] }, { "link": [] }]),
        ),
        false => {}
    }
    if route.own != Own::Nothing {
        put("x-role-own", json!("user"));
    }
    let parameters: Vec<Json> = route
        .id
        .map(identifier)
        .into_iter()
        .chain(route.params.iter().map(parameter))
        .collect();
    if !parameters.is_empty() {
        put("parameters", Json::Array(parameters));
    }
    if let Some(body) = route.body {
        let content = json!({ "application/json": { "schema": named(body) } });
        put(
            "requestBody",
            json!({ "required": true, "content": content }),
        );
    }
    put(
        "responses",
        json!({ "200": answer(route), "default": { "$ref": "#/components/responses/Problem" } }),
    );
    Json::Object(object)
}

fn answer(route: &Route) -> Json {
    let (doc, content) = match route.answer {
        Answer::Json("OpenApi") => ("This document.", json!({ "application/json": {} })),
        Answer::Json(name) => (
            "The answer.",
            json!({ "application/json": { "schema": named(name) } }),
        ),
        Answer::Lines(name) => (
            "JSON lines, as long as there are any.",
            json!({ LINES: { "schema": named(name) } }),
        ),
        Answer::Recording => (
            "The recording's bytes. A connection that ends early means that it is not whole.",
            json!({ RECORDING: { "schema": { "type": "string", "format": "binary" } } }),
        ),
        Answer::File => (
            "A file to keep. A connection that ends early means that it is not whole.",
            json!({ FILE: { "schema": { "type": "string", "format": "binary" } } }),
        ),
    };
    let mut content = content;
    if route.params.iter().any(|param| param.name == "follow")
        && let Some(content) = content.as_object_mut()
    {
        content.insert(LINES.to_owned(), json!({ "schema": named("Event") }));
    }
    let mut answer = json!({ "description": doc, "content": content });
    if let (Answer::File, Some(answer)) = (route.answer, answer.as_object_mut()) {
        answer.insert("headers".to_owned(), copied());
    }
    answer
}

/// What is said about a copy that its format may have no room to say.
fn copied() -> Json {
    json!({
        DAMAGES.as_str(): {
            "description": "places of the recording that are damaged: what was there is not in this. Left out, like \
    the other, of a recording that takes more than a minute to be read.",
            "schema": { "type": "integer", "minimum": 0 },
        },
        WHOLE.as_str(): {
            "description": "whether the recording has its end: `false` while it goes on, and where it was cut off. \
    Left out of a stretch that ends before.",
            "schema": { "type": "boolean" },
        },
    })
}

fn identifier(id: Id) -> Json {
    let (doc, schema) = match id {
        Id::Session => (
            "identifier of the session",
            json!({ "type": "string", "format": "uuid" }),
        ),
        Id::Host => ("identifier of the host", name()),
        Id::Token => ("name of the token", name()),
        Id::User => ("name of the user", name()),
        Id::Share => ("name of the link", name()),
        Id::Passkey => ("name of the passkey", name()),
        Id::Credential => ("name of the credential", name()),
        Id::Lock => ("name of the lock", name()),
        Id::Saved => ("identifier of the search", name()),
        Id::SignIn => ("name of what was begun", name()),
    };
    json!({ "name": "id", "in": "path", "required": true, "description": doc, "schema": schema })
}

fn name() -> Json {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$" })
}

fn parameter(param: &Param) -> Json {
    let schema = match param.kind {
        Kind::Text => json!({ "type": "string", "maxLength": super::limits::PARAM_BYTES_MAX }),
        Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::Limit => json!({ "type": "integer", "minimum": 1 }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Session => json!({ "type": "string", "format": "uuid" }),
        Kind::Millis => json!({ "type": "integer", "minimum": 0 }),
        Kind::Version => json!({ "type": "integer", "minimum": 1 }),
    };
    json!({ "name": param.name, "in": "query", "required": false, "description": param.doc, "schema": schema })
}
