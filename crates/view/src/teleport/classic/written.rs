//! Lines as Teleport writes them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Map, Value as Json, json};

use super::super::time;
use super::prints::Print;

pub(super) type Object = Map<String, Json>;

/// What was said of a print, where it was said.
pub(super) fn told_print(object: &Object, expected: Print) -> Print {
    let number = |name: &str| object.get(name).and_then(Json::as_u64);
    Print {
        ms: number("ms").unwrap_or(expected.ms),
        index: number("ei").unwrap_or(expected.index),
        chunk: number("ci").unwrap_or(expected.chunk),
        ..expected
    }
}

/// The line of a print, in Teleport's own order.
pub(super) fn plain(line: &mut Vec<u8>, time: &str, len: u64, print: Print) -> io::Result<()> {
    write!(
        line,
        "{{\"time\":\"{time}\",\"event\":\"print\",\"bytes\":{len},\"ms\":{},\"offset\":{},\"ei\":{},\"ci\":{}}}",
        print.ms, print.offset, print.index, print.chunk
    )
}

/// The same of a print of which more was said.
pub(super) fn told_line(
    line: &mut Vec<u8>,
    told: &mut Object,
    len: u64,
    print: Print,
) -> io::Result<()> {
    let time = told.remove("time");
    let time = time.unwrap_or_else(|| json!(time::text_ms(print.utc_ns)));
    write!(
        line,
        "{{\"time\":{time},\"event\":\"print\",\"bytes\":{len}"
    )?;
    for (name, n) in [
        ("ms", print.ms),
        ("offset", print.offset),
        ("ei", print.index),
        ("ci", print.chunk),
    ] {
        match told.remove(name).filter(|_| name != "offset") {
            Some(said) => write!(line, ",\"{name}\":{said}")?,
            None => write!(line, ",\"{name}\":{n}")?,
        }
    }
    told.remove("bytes");
    if told.is_empty() {
        line.push(b'}');
        return Ok(());
    }
    let brace = line.len();
    sorted(line, told)?;
    if let Some(brace) = line.get_mut(brace) {
        *brace = b',';
    }
    Ok(())
}

/// An object with its names in order, as Teleport writes them.
pub(super) fn sorted(out: &mut Vec<u8>, object: &Object) -> io::Result<()> {
    let sorted: BTreeMap<&String, &Json> = object.iter().collect();
    out.push(b'{');
    for (i, (name, value)) in sorted.into_iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        write!(out, "{comma}{}:{value}", Json::from(name.as_str()))?;
    }
    out.push(b'}');
    Ok(())
}
