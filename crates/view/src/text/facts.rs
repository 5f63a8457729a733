//! Events of flat fields as texts: `name key=value key=value`.

use std::fmt::Write as _;

use hansard_core::event::Fact;
use hansard_core::fields::{Fields, Value};
use hansard_core::{Body, Event};

use super::{TEXT_BYTES_MAX, Text, What, piece};

/// Tells what an event says in words; bytes of streams say nothing here.
pub(super) fn tell(event: &Event, out: &mut Vec<Text>) {
    let at_ns = event.at_ns;
    match &event.body {
        Body::Start(session) => {
            let mut text = format!("session.start kind={}", session.kind);
            for fields in [&session.subject, &session.origin, &session.target] {
                write_fields(&mut text, fields);
            }
            push(out, What::Fact, &text, at_ns);
            let argv = session.target.get("argv").map(words);
            let command = session.target.get("command").map(words).or(argv);
            if let Some(command) = command {
                push(out, What::Command, &command, at_ns);
            }
        }
        Body::Command(fact) => {
            fact_text(fact, at_ns, out);
            let argv = fact.fields.get("argv").map(words);
            let command = fact.fields.get("command").map(words).or(argv);
            if let Some(command) = command {
                push(out, What::Command, &command, at_ns);
            }
        }
        Body::Auth(fact)
        | Body::Channel(fact)
        | Body::File(fact)
        | Body::Network(fact)
        | Body::Process(fact)
        | Body::Transfer(fact)
        | Body::Request(fact)
        | Body::Admin(fact) => fact_text(fact, at_ns, out),
        Body::Mark { label } => push(out, What::Fact, &format!("mark label={label}"), at_ns),
        Body::Gap(gap) => push(out, What::Fact, &format!("gap cause={}", gap.cause), at_ns),
        Body::End(end) => {
            let mut text = format!("session.end reason={}", end.reason);
            if let Some(status) = end.exit_status {
                let _ = write!(text, " exit_status={status}");
            }
            if let Some(signal) = &end.signal {
                let _ = write!(text, " signal={signal}");
            }
            push(out, What::Fact, &text, at_ns);
        }
        Body::Data { .. } | Body::Resize { .. } | Body::Clock { .. } | Body::Unknown { .. } => {}
    }
}

fn fact_text(fact: &Fact, at_ns: u64, out: &mut Vec<Text>) {
    let mut text = fact.event.clone();
    write_fields(&mut text, &fact.fields);
    push(out, What::Fact, &text, at_ns);
}

/// A text that is cut at the bound: what is behind it stands in the event.
fn push(out: &mut Vec<Text>, what: What, text: &str, at_ns: u64) {
    let text = text.trim();
    let (head, rest) = piece(text, TEXT_BYTES_MAX);
    if !head.is_empty() {
        let mut made = Text::at(what, one_line(head), at_ns);
        made.is_cut = !rest.is_empty();
        out.push(made);
    }
}

fn one_line(text: &str) -> String {
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(blank).collect()
}

fn write_fields(text: &mut String, fields: &Fields) {
    for (name, value) in fields.iter() {
        if text.len() > TEXT_BYTES_MAX {
            return;
        }
        let _ = write!(text, " {name}={}", words(value));
    }
}

/// A value as people would write it.
fn words(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        // A path in another encoding is found by what of it is text; keys and certificates are not.
        Value::Bytes(bytes) if bytes.len() <= 4096 && !bytes.contains(&0) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        Value::Bytes(_) => String::new(),
        Value::Uint(n) => n.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::List(list) => {
            let words: Vec<String> = list.iter().map(words).collect();
            words.join(" ")
        }
    }
}
