//! The routes of the central policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::{HeaderValue, header};
use hansard_core::{Body, Decision, Fields, Login};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::answers::{REASON_BYTES_MAX, blocking, body, json_response};
use super::problem::Problem;
use super::router::{Call, Handler, event};
use super::schema::{count, list, object, text, time as time_schema, truth};
use super::seams::{Audit, Policies, PolicyTest, PolicyWish};
use super::table::{Noted, Op, ROUTES};
use super::time;
use crate::policy::Stored;

/// Longest name of a user, host or kind, in bytes; a longer one is refused.
const NAME_BYTES_MAX: usize = 256;

/// Most groups of a login that is tried out; more are refused.
const GROUPS_MAX: usize = 1000;

pub(super) fn get(policies: Arc<dyn Policies>) -> Handler {
    answering(move |call| {
        let version = call.params.version();
        let stored = policies.get(version)?;
        match (stored, version) {
            (None, Some(_)) => Err(Problem::not_found()),
            (stored, _) => Ok(stored),
        }
    })
}

/// A handler that answers a policy, with its version as a tag.
fn answering(
    work: impl Fn(Call) -> Result<Option<Stored>, Problem> + Send + Sync + 'static,
) -> Handler {
    let work = Arc::new(work);
    Arc::new(move |call| {
        let work = Arc::clone(&work);
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work(call)).await;
            let stored = done.map_err(|_| Problem::unavailable("the handler has a fault"))??;
            let version = stored.as_ref().map_or(0, |stored| stored.version);
            let mut response = json_response(&shown(stored.as_ref()));
            if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
                response.headers_mut().insert(header::ETAG, tag);
            }
            Ok(response)
        })
    })
}

fn shown(stored: Option<&Stored>) -> Json {
    match stored {
        None => json!({ "version": 0, "text": "", "sha256": "", "set_by": "", "reason": "" }),
        Some(stored) => json!({
            "version": stored.version,
            "sha256": stored.sha256,
            "set": time::text(stored.utc_ns),
            "set_by": stored.by,
            "reason": stored.reason,
            "text": stored.text,
        }),
    }
}

/// The body of a policy that is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    text: String,
    #[serde(default)]
    reason: String,
}

pub(super) fn set(policies: Arc<dyn Policies>, audit: Audit) -> Handler {
    answering(move |call| {
        let Wish { text, reason } = body(&call)?;
        if reason.len() > REASON_BYTES_MAX {
            let most = REASON_BYTES_MAX;
            return Err(Problem::bad(format!("reason: at most {most} bytes")));
        }
        let if_version = call.if_match.as_deref().map(version_of).transpose()?;
        let noted = ROUTES.iter().find(|route| route.op == Op::PolicySet);
        let noted = noted.and_then(|route| route.noted);
        let noted = noted.ok_or_else(|| Problem::unavailable("the route has no event"))?;
        let wish = PolicyWish {
            text,
            reason,
            if_version,
        };
        let put_on_record = |fields: Fields, error: Option<&str>| {
            audit(change(noted, &call, &wish.reason, fields, error))
        };
        Ok(Some(policies.set(&wish, &call.caller, &put_on_record)?))
    })
}

fn version_of(tag: &str) -> Result<u64, Problem> {
    let version = tag.trim().trim_matches('"').parse();
    version.map_err(|_| Problem::bad("if-match: not a version, such as \"7\""))
}

/// The event of a change: who, and what.
fn change(noted: Noted, call: &Call, reason: &str, more: Fields, error: Option<&str>) -> Body {
    let reason = (!reason.is_empty()).then(|| reason.to_owned());
    let mut body = event(noted, &call.caller, None, reason, error.is_none());
    if let Body::Admin(fact) = &mut body {
        for (name, value) in more.iter() {
            fact.fields.push(name, value.clone());
        }
        if let Some(error) = error {
            fact.fields.push("error", error);
        }
    }
    body
}

/// The body of a login that is tried out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    user: String,
    #[serde(default)]
    uid: Option<u32>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    text: Option<String>,
}

pub(super) fn test(policies: Arc<dyn Policies>) -> Handler {
    blocking(move |call| {
        let test: Test = body(&call)?;
        let is_long = {
            let names = [Some(&test.user), test.kind.as_ref(), test.host.as_ref()];
            let mut names = names.into_iter().flatten().chain(&test.groups);
            names.any(|name| name.len() > NAME_BYTES_MAX)
        };
        if is_long || test.groups.len() > GROUPS_MAX {
            let what =
                format!("at most {GROUPS_MAX} groups, names of at most {NAME_BYTES_MAX} bytes");
            return Err(Problem::bad(what));
        }
        let test = PolicyTest {
            login: Login {
                user: test.user,
                // No account has this number: a rule for a number does not match by accident.
                uid: test.uid.unwrap_or(u32::MAX),
                groups: test.groups,
                kind: test.kind.unwrap_or_else(|| "terminal".to_owned()),
            },
            host: test.host,
            labels: test.labels,
            text: test.text,
        };
        let (decision, host_known) = policies.test(&test)?;
        Ok(decided(&decision, host_known))
    })
}

fn decided(decision: &Decision, host_known: bool) -> Json {
    let policy = &decision.policy;
    let watch = decision.watch;
    let mut decided = json!({
        "recorded": decision.recorded,
        "version": policy.version,
        "rule": policy.rule,
        "host_known": host_known,
        "stdin": policy.stdin,
        "keystrokes": policy.keystrokes,
        "stdout": policy.stdout,
        "stderr": policy.stderr,
        "passwords": policy.passwords,
        "forwarding": policy.forwarding,
        "files": policy.files,
        "strict": policy.strict,
        "on_loss": policy.on_loss.as_str(),
        "hold_ms_max": policy.hold_ms_max,
        "idle_ms_max": policy.idle_ms_max,
        "bulk_bytes_max": policy.bulk_bytes_max,
        "notice": decision.notice,
        "accept": decision.accept,
        "on_end": decision.on_end.as_str(),
        "break_glass": decision.break_glass,
    });
    // What the policy does not say is the host's to say.
    let said = [
        ("command", watch.command),
        ("disk", watch.disk),
        ("network", watch.network),
    ];
    for (name, said) in said {
        if let (Some(said), Some(fields)) = (said, decided.as_object_mut()) {
            fields.insert(name.to_owned(), said.into());
        }
    }
    decided
}

/// Schemas of what is asked and answered here.
pub(super) fn schemas() -> [(&'static str, Json); 4] {
    let labels = || json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let policy = [
        ("version", count(), "its version, from 1; 0 if none was set"),
        ("sha256", text(), "SHA-256 of the text, in hexadecimal"),
        ("set?", time_schema(), "when it was set"),
        ("set_by", text(), "who set it"),
        ("reason", text(), "why, if somebody said"),
        ("text", text(), "the text: docs/policy.md"),
    ];
    let wish = [
        ("text", text(), "the text: docs/policy.md"),
        ("reason?", text(), "why; goes into the record"),
    ];
    let test = [
        ("user", text(), "name of the account"),
        ("uid?", count(), "its number"),
        ("groups?", list(&text()), "names of its groups, all of them"),
        ("kind?", text(), "`terminal` unless said otherwise"),
        (
            "host?",
            text(),
            "name of the host; the service's own unless said otherwise",
        ),
        (
            "labels?",
            labels(),
            "its labels; those that it joined with unless said otherwise",
        ),
        (
            "text?",
            text(),
            "decide by this text rather than by the policy in force",
        ),
    ];
    [
        ("Policy", object("A version of the policy.", &policy)),
        ("PolicyWish", object("A policy that is wanted.", &wish)),
        ("PolicyTest", object("A login to be tried out.", &test)),
        ("Decided", decided_schema()),
    ]
}

fn decided_schema() -> Json {
    let fields = [
        ("recorded", truth(), "whether it is recorded"),
        (
            "version",
            count(),
            "version of the policy that decided; 0: none was set, or a text was given",
        ),
        (
            "rule",
            text(),
            "name of the rule that decided; empty: the defaults",
        ),
        ("host_known", truth(), "whether the host is known here"),
        ("stdin", truth(), "what is piped in is kept"),
        ("keystrokes", truth(), "what is typed is kept"),
        ("stdout", truth(), "what is shown is kept"),
        (
            "stderr",
            truth(),
            "what is written to standard error is kept",
        ),
        (
            "passwords",
            truth(),
            "credentials inside protocols are kept",
        ),
        (
            "forwarding",
            truth(),
            "bytes inside forwarded connections are kept",
        ),
        ("files", truth(), "content of transferred files is kept"),
        ("strict", truth(), "nothing is shown before it is durable"),
        ("on_loss", text(), "`end`, `hold` or `continue`"),
        (
            "hold_ms_max",
            count(),
            "longest time that it is held back, milliseconds",
        ),
        (
            "idle_ms_max",
            count(),
            "longest time without an event, milliseconds; 0: for ever",
        ),
        (
            "bulk_bytes_max",
            count(),
            "most bytes of a stream that are kept without a terminal, beside what trickles; 0: no bound",
        ),
        ("notice", text(), "what the user is shown first"),
        ("accept", truth(), "whether they must accept it"),
        ("on_end", text(), "`leave` or `kill`"),
        (
            "break_glass",
            truth(),
            "whether the account may log in where nobody can record it from outside",
        ),
    ];
    let all = [fields.as_slice(), &watch_schema()].concat();
    object("What is decided for a login.", &all)
}

/// What of host events is told, where the policy says it.
fn watch_schema() -> [(&'static str, Json, &'static str); 3] {
    let programs =
        "programs are told of, where host events are recorded; if it does not say, the host does";
    [
        ("command?", truth(), programs),
        ("disk?", truth(), "the same of files"),
        ("network?", truth(), "the same of connections"),
    ]
}
