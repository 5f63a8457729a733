//! The shapes of answers and bodies, as JSON Schema (the dialect of OpenAPI 3.1).

use serde_json::{Map, Value as Json, json};

/// Fields of an object: name, schema, what it means. A `?` behind the name: it can be missing.
type Fields = [(&'static str, Json, &'static str)];

pub(super) fn text() -> Json {
    json!({ "type": "string" })
}

pub(super) fn uuid() -> Json {
    json!({ "type": "string", "format": "uuid" })
}

pub(super) fn time() -> Json {
    json!({ "type": "string", "format": "date-time" })
}

pub(super) fn count() -> Json {
    json!({ "type": "integer", "minimum": 0 })
}

pub(super) fn truth() -> Json {
    json!({ "type": "boolean" })
}

pub(super) fn or_null(mut schema: Json) -> Json {
    if let Some(kind) = schema.get("type").cloned()
        && let Some(object) = schema.as_object_mut()
    {
        object.insert("type".to_owned(), json!([kind, "null"]));
    }
    schema
}

pub(super) fn list(of: &Json) -> Json {
    json!({ "type": "array", "items": of })
}

pub(super) fn named(name: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

pub(super) fn object(doc: &str, fields: &Fields) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, schema, doc) in fields {
        let bare = name.strip_suffix('?');
        let mut schema = schema.clone();
        if let Some(schema) = schema.as_object_mut().filter(|_| !doc.is_empty()) {
            schema.insert("description".to_owned(), json!(doc));
        }
        if bare.is_none() {
            required.push(json!(name));
        }
        properties.insert(bare.unwrap_or(name).to_owned(), schema);
    }
    let mut object = json!({ "type": "object", "description": doc, "properties": properties });
    if let Some(object) = object.as_object_mut().filter(|_| !required.is_empty()) {
        object.insert("required".to_owned(), Json::Array(required));
    }
    object
}

pub(super) fn listing(doc: &str, name: &'static str, of: &str, lags: bool) -> Json {
    let next = "give it as `cursor` to go on; `null` if this was all";
    let mut fields = vec![
        (name, list(&named(of)), ""),
        ("complete", truth(), "whether this is all there is"),
        ("next", or_null(text()), next),
    ];
    if lags {
        let doc = "how far the listing is behind what is archived";
        fields.push(("behind", named("Behind"), doc));
    }
    object(doc, &fields)
}

/// All schemas by name.
pub(super) fn all() -> Map<String, Json> {
    let mut all = Map::new();
    let mut put = |name: &str, schema: Json| {
        let twin = all.insert(name.to_owned(), schema);
        debug_assert!(twin.is_none(), "two schemas are called {name}");
    };
    put("Error", error());
    put("Status", status());
    put("Behind", behind());
    put("Session", session());
    put(
        "Sessions",
        listing("Sessions, by start.", "sessions", "Session", true),
    );
    put("Hold", object("A hold.", &[("sid", uuid(), "the session")]));
    put(
        "Holds",
        listing("Holds, by session.", "holds", "Hold", false),
    );
    put("Event", event());
    put(
        "Events",
        listing("Events, by time.", "events", "Event", true),
    );
    put("Followed", followed());
    put("Verified", verified());
    put("Reason", reason());
    put("Done", object("It was done.", &[("done", truth(), "")]));
    put("TokenWish", token_wish());
    put("Token", object("A token, without its secret.", &token()));
    put(
        "Tokens",
        listing("Tokens, by name.", "tokens", "Token", false),
    );
    let mut made = token();
    made.push(("token", text(), "the token itself; said this once"));
    put("TokenMade", object("A token that was made.", &made));
    put("Host", host());
    put(
        "Hosts",
        listing("Hosts, by identifier.", "hosts", "Host", false),
    );
    let mut more = Vec::from(super::certificates::schemas());
    more.extend(super::counts::schemas());
    more.extend(super::coverage::schemas());
    more.extend(super::player::schemas());
    more.extend(super::transcript::schemas());
    more.extend(super::users::schemas());
    more.extend(super::passkeys::schemas());
    more.extend(super::passkeys::more_schemas());
    more.extend(super::certificates::own_schemas());
    more.extend(super::person::schemas());
    more.extend(super::sign_ins::schemas());
    more.extend(super::locks::schemas());
    more.extend(super::credentials::schemas());
    more.extend(super::shares::schemas());
    more.extend(super::saved::schemas());
    more.extend(super::policy::schemas());
    more.extend(super::found::schemas());
    for (name, schema) in more {
        put(name, schema);
    }
    all
}

fn error() -> Json {
    let code = "one word for programs";
    let inner = object(
        "Why.",
        &[
            ("code", text(), code),
            ("message", text(), "one sentence for people"),
            ("next_step", text(), "what to do next"),
            (
                "request_id",
                text(),
                "under which the service's log says more",
            ),
        ],
    );
    object(
        "A request that was not answered as asked.",
        &[("error", inner, "")],
    )
}

fn status() -> Json {
    let you = object(
        "Who you are to the service.",
        &[
            ("user", text(), ""),
            ("uid?", count(), "number of your account on this machine"),
            ("role", text(), "`admin`, `auditor`, `reviewer` or `user`"),
            (
                "provider?",
                text(),
                "who vouches for you, as people read it",
            ),
            ("issuer?", text(), "the same, as an OpenID provider says it"),
            ("subject?", text(), "who you are for it"),
        ],
    );
    object(
        "The service. What else there is depends on what it does.",
        &[("you", you, "")],
    )
}

fn behind() -> Json {
    object(
        "How far rows are behind.",
        &[
            (
                "segments",
                count(),
                "archived segments whose rows are not made yet",
            ),
            ("at_least", truth(), "there are more than were counted"),
        ],
    )
}

fn session() -> Json {
    object(
        "A session, under Teleport's names where it has one.",
        &[
            ("sid", uuid(), "identifier of the session"),
            ("parent_sid?", uuid(), "the session it happened inside"),
            (
                "kind",
                text(),
                "`terminal`, `exec`, `ssh`, `kube`, `web`, `host`, `service`, …",
            ),
            ("user", text(), "who acted"),
            ("login", text(), "account on the target"),
            ("server_hostname", text(), "name of the host"),
            (
                "title",
                text(),
                "what was run, or a title that somebody gave",
            ),
            ("session_start", time(), "when it began"),
            (
                "last_event",
                time(),
                "when the last event happened that is listed",
            ),
            (
                "duration_ns",
                count(),
                "from the start to that event, nanoseconds",
            ),
            ("ended", truth(), "whether its end was recorded"),
            (
                "no_end?",
                text(),
                "why nothing comes now of a session that has no end; left out while it goes on, as far as is known",
            ),
            ("session_stop?", time(), "when it ended"),
            ("reason?", text(), "how it ended"),
            ("exit_status?", count(), "exit status of the program"),
            ("signal?", text(), "signal that ended the program"),
            ("segments", count(), "segments that were counted"),
            ("events", count(), "events in them"),
            ("data_bytes", count(), "bytes of streams in them"),
            ("stored_bytes", count(), "bytes as stored"),
            ("gaps", count(), "gaps that were recorded"),
            (
                "recorder_key",
                text(),
                "Ed25519 public key of the recorder, in hexadecimal",
            ),
        ],
    )
}

fn event() -> Json {
    object(
        "An event as a flat document: docs/events.md has all names and fields.",
        &[
            ("event", text(), "its name"),
            ("code?", text(), "what came of it"),
            ("uid", uuid(), "identifier of this document"),
            ("time", time(), "when"),
            ("ei", count(), "number of the event in its session"),
            ("sid", uuid(), "identifier of the session"),
        ],
    )
}

fn followed() -> Json {
    object(
        "One line of a stream: an event as in the format `jsonl`, the screen so far (`screen`), a \
sign of life (`heartbeat`), a segment that cannot be read (`lost`), or that nothing comes any more (`over`).",
        &[
            ("family", text(), "what the line is"),
            ("segment?", count(), "of `lost`: number of the segment"),
            (
                "seq?",
                count(),
                "number of the event, or of the last in the screen",
            ),
            ("at_ns?", count(), "when, nanoseconds since the start"),
            ("cols?", count(), "columns, of `screen` and `resize`"),
            ("rows?", count(), "rows, of `screen` and `resize`"),
            (
                "text?",
                text(),
                "of `screen`: what brings a blank terminal into that state",
            ),
            ("reason?", or_null(text()), "of `lost` and `over`: why"),
        ],
    )
}

fn verified() -> Json {
    let damage = "what is damaged";
    object(
        "What checking a recording came to.",
        &[
            ("sid", uuid(), "identifier of the session"),
            ("verdict", text(), "`complete`, `unfinished` or `damaged`"),
            (
                "signers",
                list(&text()),
                "public keys that signed, in hexadecimal",
            ),
            ("segments", count(), "sealed segments"),
            ("events", count(), "sound events"),
            ("events_sealed", count(), "sound events that a seal covers"),
            ("intact_ns", count(), "until when everything is intact"),
            ("gaps", count(), "gaps that were recorded"),
            ("head", or_null(text()), "digest of the last sealed segment"),
            (
                "archived_segment",
                or_null(count()),
                "number of the newest archived segment",
            ),
            ("archived_head", or_null(text()), "its digest"),
            (
                "differences",
                list(&json!({ "type": "object" })),
                "segments that are not what was archived",
            ),
            ("damages", list(&json!({ "type": "object" })), damage),
            (
                "damages_count",
                count(),
                "how many places are; not all are listed",
            ),
        ],
    )
}

fn reason() -> Json {
    object(
        "Why.",
        &[("reason", text(), "goes into the record; must not be empty")],
    )
}

fn token_wish() -> Json {
    object(
        "A token that is wanted.",
        &[
            (
                "role",
                json!({ "type": "string", "enum": ["host"] }),
                "what one joins as",
            ),
            (
                "ttl_s",
                count(),
                "for how many seconds it holds, at most 30 days",
            ),
            ("uses", count(), "how often it can be used"),
        ],
    )
}

fn token() -> Vec<(&'static str, Json, &'static str)> {
    vec![
        ("name", text(), "its name, which is no secret"),
        ("role", text(), "what one joins as"),
        ("expires", time(), "until when it holds"),
        ("uses_left", count(), "how often it can still be used"),
    ]
}

fn host() -> Json {
    object(
        "A host that joined.",
        &[
            ("host_id", text(), "its identifier"),
            ("node_name", text(), "its name"),
            ("role", text(), "what it joined as: `host`, `service`"),
            (
                "this_service",
                truth(),
                "whether it is the service that answers",
            ),
            ("labels", json!({ "type": "object" }), "its labels"),
            ("connected", truth(), "whether it is connected now"),
            (
                "last_seen",
                or_null(time()),
                "when something last came from it",
            ),
            (
                "certificate_expires",
                or_null(time()),
                "until when its certificate holds",
            ),
            (
                "policy_version",
                or_null(count()),
                "version of the policy that decides there, as it says",
            ),
            (
                "policy_trouble",
                or_null(text()),
                "why the newest one does not",
            ),
            ("locked", truth(), "whether it is locked out"),
            ("lock_reason", or_null(text()), "why"),
        ],
    )
}
