//! `hansard info`: what a recording is of.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use hansard_core::event::{Body, End};
use hansard_core::policy::OnLoss;
use hansard_core::{Event, Fields, Policy, Session, Value};
use hansard_view::escape_for_humans;
use hansard_view::jsonl::event_json;
use hansard_view::segments::LOST;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::cli::InfoArgs;
use crate::failure::{Failure, shown};
use crate::source::Source;
use crate::{key, moment};

/// Marks and gaps that are listed; further ones are counted.
const LISTED_MAX: usize = 1000;

/// Longest value that is shown as text though it is none; of a longer one its digest is shown.
const NAME_BYTES_MAX: usize = 255;

/// Everything that reading a recording once tells.
#[derive(Default)]
struct Info {
    session: Option<Session>,
    events: BTreeMap<&'static str, u64>,
    bytes: BTreeMap<&'static str, u64>,
    size: Option<(u16, u16)>,
    duration_ns: u64,
    marks: Vec<(u64, String)>,
    gaps: Vec<(u64, String)>,
    end: Option<End>,
}

/// Reads the whole recording and tells.
pub(crate) fn run(args: &InfoArgs) -> Result<u8, Failure> {
    let mut source = Source::open(&args.file, &args.read, "reading")?;
    let mut info = Info::default();
    let done = loop {
        match source.next_event() {
            Ok(Some(event)) => info.note(event.at_ns, event.body),
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    if info.session.is_none() {
        return Err(done
            .err()
            .unwrap_or_else(|| crate::source::not_a_recording(&args.file)));
    }
    if args.json {
        writeln!(io::stdout(), "{}", info.as_json(args, &source))?;
    } else {
        write!(io::stdout(), "{}", info.as_text(args, &source))?;
    }
    done.map(|()| source.finish())
}

impl Info {
    fn note(&mut self, at_ns: u64, body: Body) {
        *self.events.entry(body.family()).or_default() += 1;
        self.duration_ns = at_ns;
        match body {
            Body::Start(session) => self.session = Some(*session),
            Body::Data { stream, bytes } => {
                *self.bytes.entry(stream.as_str()).or_default() += bytes.len() as u64;
            }
            Body::Resize { cols, rows } => self.size = self.size.or(Some((cols, rows))),
            Body::Mark { label } if self.marks.len() < LISTED_MAX => {
                self.marks.push((at_ns, label))
            }
            Body::Gap(gap) if self.gaps.len() < LISTED_MAX => self.gaps.push((at_ns, gap.cause)),
            Body::End(end) => self.end = Some(end),
            _ => {}
        }
    }

    fn as_text(&self, args: &InfoArgs, source: &Source) -> String {
        let mut text = format!("{}: {}\n", shown(&args.file), source.format());
        let mut line = |name: &str, value: String| {
            if !value.is_empty() {
                text.push_str(&format!("  {name:9} {value}\n"));
            }
        };
        self.session
            .iter()
            .for_each(|s| session_lines(s, &mut line));
        line(
            "size",
            self.size
                .map(|(cols, rows)| format!("{cols}x{rows}"))
                .unwrap_or_default(),
        );
        line("duration", moment::show(self.duration_ns));
        line(
            "ended",
            self.end
                .as_ref()
                .map_or_else(|| "no end recorded".into(), ended),
        );
        for (stream, bytes) in &self.bytes {
            line(stream, moment::bytes(*bytes));
        }
        let events: Vec<_> = self
            .events
            .iter()
            .map(|(family, n)| format!("{n} {family}"))
            .collect();
        line("events", events.join(", "));
        for (at_ns, label) in &self.marks {
            line(
                "mark",
                format!("{} {}", moment::show_from(*at_ns), escape_for_humans(label)),
            );
        }
        for (at_ns, cause) in &self.gaps {
            line(
                "gap",
                format!("{} {}", moment::show_from(*at_ns), escape_for_humans(cause)),
            );
        }
        text
    }

    fn as_json(&self, args: &InfoArgs, source: &Source) -> serde_json::Value {
        let listed = |list: &[(u64, String)]| -> Vec<_> {
            list.iter()
                .map(|(at, text)| json!({ "at_ns": at, "text": text }))
                .collect()
        };
        let session = self.session.as_ref().map(|session| {
            let body = Body::Start(Box::new(session.clone()));
            let event = event_json(&Event {
                seq: 0,
                at_ns: 0,
                body,
            });
            let mut said = event.get("session").cloned().unwrap_or_default();
            if session.recorder == LOST
                && let Some(policy) = said.get_mut("policy")
            {
                *policy = serde_json::Value::Null;
            }
            said
        });
        json!({
            "file": args.file.to_string_lossy(),
            "format": source.format().as_str(),
            "session": session,
            "cols": self.size.map(|(cols, _)| cols),
            "rows": self.size.map(|(_, rows)| rows),
            "duration_ns": self.duration_ns,
            "events": self.events,
            "bytes": self.bytes,
            "marks": listed(&self.marks),
            "gaps": listed(&self.gaps),
            "end": self.end.as_ref().map(|e| json!({ "reason": e.reason, "exit_status": e.exit_status, "signal": e.signal })),
            "notices": source.notices(),
        })
    }
}

/// What the header says.
fn session_lines(session: &Session, line: &mut impl FnMut(&str, String)) {
    let parent = session.parent.map(|id| id.to_string());
    let clock = session.clock.as_str();
    let started = format!("{} (clock {clock})", moment::utc(session.start_utc_ns));
    // A foreign recording has no signer, which is a key of zeros.
    let signer = match session.recorder_key {
        key if key == [0; 32] => "none".to_owned(),
        key => key::hex(&key),
    };
    line("session", session.id.to_string());
    line("parent", parent.unwrap_or_default());
    line("kind", escape_for_humans(&session.kind).into_owned());
    line("who", facts(&session.subject));
    line("from", facts(&session.origin));
    line("on", facts(&session.target));
    line("started", started);
    line(
        "recorder",
        escape_for_humans(&session.recorder).into_owned(),
    );
    line("signer", signer);
    // Of a foreign recording, and of one whose header is lost, nobody knows what was to be kept.
    if session.recorder_key != [0; 32] && session.recorder != LOST {
        line("policy", policy(&session.policy));
    }
}

/// What was to be kept, and who decided that.
fn policy(policy: &Policy) -> String {
    let kinds = [
        ("stdout", policy.stdout),
        ("stderr", policy.stderr),
        ("stdin", policy.stdin),
        ("keystrokes", policy.keystrokes),
        ("passwords", policy.passwords),
        ("forwarding", policy.forwarding),
        ("files", policy.files),
    ];
    let kept: Vec<_> = kinds.iter().filter(|kind| kind.1).map(|k| k.0).collect();
    let ms = |ms: u64| moment::show(ms.saturating_mul(1_000_000));
    let mut text = match kept.as_slice() {
        [] => "nothing is kept".to_owned(),
        kept => format!("{} are kept", kept.join(", ")),
    };
    text.push_str(&format!("; on_loss {}", policy.on_loss.as_str()));
    if policy.on_loss == OnLoss::Hold {
        text.push_str(&format!(" for {}", ms(policy.hold_ms_max)));
    }
    if policy.strict {
        text.push_str("; strict");
    }
    if policy.idle_ms_max > 0 {
        text.push_str(&format!("; idle_limit {}", ms(policy.idle_ms_max)));
    }
    if policy.bulk_bytes_max > 0 {
        text.push_str(&format!("; bulk {}", moment::bytes(policy.bulk_bytes_max)));
    }
    match (policy.version, policy.rule.as_str()) {
        (0, _) => {}
        (version, "") => text.push_str(&format!("; by version {version}, no rule")),
        (version, rule) => {
            let rule = escape_for_humans(rule);
            text.push_str(&format!("; by version {version}, rule {rule}"));
        }
    }
    text
}

fn ended(end: &End) -> String {
    let mut text = escape_for_humans(&end.reason).into_owned();
    if let Some(status) = end.exit_status {
        text.push_str(&format!(" with status {status}"));
    }
    if let Some(signal) = &end.signal {
        text.push_str(&format!(" by SIG{}", escape_for_humans(signal)));
    }
    text
}

/// `name value, name value`, escaped for a terminal.
fn facts(fields: &Fields) -> String {
    let facts: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{} {}", escape_for_humans(name), value_text(value)))
        .collect();
    facts.join(", ")
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Text(text) => escape_for_humans(text).into_owned(),
        // A certificate, say. A name that is not UTF-8 is shorter, and can still be read.
        Value::Bytes(bytes) if bytes.len() > NAME_BYTES_MAX && str::from_utf8(bytes).is_err() => {
            format!(
                "({} bytes, SHA-256 {})",
                bytes.len(),
                key::hex(&Sha256::digest(bytes))
            )
        }
        Value::Bytes(bytes) => escape_for_humans(&String::from_utf8_lossy(bytes)).into_owned(),
        Value::Uint(n) => n.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::List(list) => {
            let items: Vec<_> = list.iter().map(value_text).collect();
            format!("[{}]", items.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_told_by_their_digest() {
        let name = Value::Bytes(b"caf\xe9".to_vec());
        assert_eq!(value_text(&name), "caf\u{fffd}");
        let der = Value::Bytes(vec![0xff; 600]);
        let said = value_text(&der);
        assert!(said.starts_with("(600 bytes, SHA-256 "), "{said}");
        assert!(said.len() < 100, "{said}");
        // Long, and text all the same.
        let text = Value::Bytes(vec![b'a'; 600]);
        assert_eq!(value_text(&text), "a".repeat(600));
    }
}
