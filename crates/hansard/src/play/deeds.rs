//! What was really done, beside the screen: host events of a recording, up to the moment that is shown.

use std::collections::VecDeque;

use hansard_core::event::{Body, Event, Fact};
use hansard_core::fields::{Fields, Value};
use hansard_view::{Style, escape_for_humans};

use super::canvas::Canvas;
use crate::moment;

/// Most of them that are kept; the oldest go.
pub(super) const DEEDS_MAX: usize = 256;

/// Longest line, characters; the rest is cut.
const LINE_CHARS_MAX: usize = 400;

/// Columns below which there is no room for them beside a screen.
const COLS_MIN: usize = 50;

/// Where programs come from and what says how they talk: that these are read says nothing.
const PLAIN_PLACES: [&str; 8] = [
    "/lib/",
    "/lib64/",
    "/usr/lib/",
    "/usr/lib64/",
    "/etc/ld.so.",
    "/usr/share/locale/",
    "/proc/",
    "/dev/",
];

/// What was done until an event, which is the next one.
#[derive(Default)]
pub(super) struct Deeds {
    lines: VecDeque<String>,
    /// The event up to which they are known.
    next_seq: u64,
}

impl Deeds {
    /// The next event, if it follows what is known.
    pub(super) fn take(&mut self, event: &Event) {
        if event.seq != self.next_seq {
            return;
        }
        self.next_seq = event.seq + 1;
        if let Some(line) = line(event) {
            if self.lines.len() >= DEEDS_MAX {
                self.lines.pop_front();
            }
            self.lines.push_back(line);
        }
    }

    /// Whether they are what was done until this event.
    pub(super) fn is_at(&self, next_seq: u64) -> bool {
        self.next_seq == next_seq
    }

    /// Nothing is known before this event.
    pub(super) fn begin(&mut self, next_seq: u64) {
        self.lines.clear();
        self.next_seq = next_seq;
    }

    /// Puts these before.
    pub(super) fn prepend(&mut self, earlier: Self) {
        for line in earlier.lines.into_iter().rev() {
            if self.lines.len() < DEEDS_MAX {
                self.lines.push_front(line);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }
}

/// Columns that they take of so many.
pub(super) fn cols_of(cols: usize) -> usize {
    match cols < COLS_MIN {
        true => 0,
        false => (cols * 2 / 5).max(COLS_MIN / 2),
    }
}

/// Draws the last of them at the right, the newest at the bottom.
pub(super) fn draw(canvas: &mut Canvas, rows: usize, deeds: &Deeds) {
    let (cols, _) = canvas.size();
    let wide = cols_of(cols);
    let left = cols.saturating_sub(wide);
    let faint = Style {
        faint: true,
        ..Style::default()
    };
    for row in 0..rows {
        canvas.bar(left, row, wide, Style::default());
        canvas.text(left, row, 1, "│", faint);
    }
    let room = wide.saturating_sub(2);
    if deeds.lines.is_empty() {
        canvas.text(left + 2, 0, room, "no host events until here", faint);
    }
    let from = deeds.lines.len().saturating_sub(rows);
    for (line, row) in deeds.lines.iter().skip(from).zip(0..rows) {
        canvas.text(left + 2, row, room, line, Style::default());
    }
}

/// What there is to say of an event, if it is one of these and says something.
fn line(event: &Event) -> Option<String> {
    let said = match &event.body {
        Body::Command(fact) => command(fact),
        Body::File(fact) => file(&fact.fields),
        Body::Network(fact) => network(&fact.fields),
        Body::Process(fact) => process(fact),
        Body::Gap(gap) => Some(format!("GAP: {}", gap.cause)),
        _ => None,
    }?;
    let line = format!("{} {said}", moment::show(event.at_ns));
    let line: String = line.chars().take(LINE_CHARS_MAX).collect();
    Some(escape_for_humans(&line).into_owned())
}

fn text(fields: &Fields, name: &str) -> String {
    match fields.get(name) {
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Value::Uint(number)) => number.to_string(),
        Some(Value::Int(number)) => number.to_string(),
        Some(Value::List(list)) => list
            .iter()
            .map(|value| match value {
                Value::Text(text) => text.clone(),
                Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                _ => String::new(),
            })
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}

/// Behind what failed, and nothing behind what did not.
fn failed(fields: &Fields) -> &'static str {
    match fields.get("return_code") {
        Some(Value::Int(code)) if *code < 0 && *code != -115 => " ✗",
        _ => "",
    }
}

/// Where it is said how often it happened.
fn times(fields: &Fields) -> String {
    match fields.get("repeats") {
        Some(Value::Uint(count)) => format!(" ×{count}"),
        _ => String::new(),
    }
}

fn command(fact: &Fact) -> Option<String> {
    let fields = &fact.fields;
    let is_one = fact.event == "session.command";
    is_one.then(|| {
        let path = text(fields, "path");
        let name = path.rsplit('/').next().unwrap_or_default();
        let argv = text(fields, "argv");
        format!("$ {name} {argv}{}", failed(fields))
    })
}

fn file(fields: &Fields) -> Option<String> {
    let (path, call) = (text(fields, "path"), text(fields, "call"));
    let opens = call.starts_with("open") || call == "creat";
    let (end, often) = (failed(fields), times(fields));
    if !opens {
        let to = text(fields, "new_path");
        let to = match to.is_empty() {
            true => to,
            false => format!(" → {to}"),
        };
        return Some(format!("{call} {path}{to}{often}{end}"));
    }
    let flags = match fields.get("flags") {
        Some(Value::Int(flags)) => *flags,
        _ => 0,
    };
    // O_ACCMODE; and O_DIRECTORY, which looks and opens nothing.
    let is_written = flags & 3 != 0;
    let is_plain = PLAIN_PLACES.iter().any(|place| path.starts_with(place));
    match (is_written, is_plain || !end.is_empty()) {
        (true, _) => Some(format!("w {path}{often}{end}")),
        (false, false) => Some(format!("r {path}{often}")),
        (false, true) => None,
    }
}

fn network(fields: &Fields) -> Option<String> {
    let end = format!("{}{}", times(fields), failed(fields));
    let call = text(fields, "call");
    let socket = text(fields, "socket_path");
    if !socket.is_empty() {
        return Some(format!("{call} {socket}{end}"));
    }
    let at = |side: &str| {
        let (address, port) = (
            text(fields, &format!("{side}_addr")),
            text(fields, &format!("{side}_port")),
        );
        (!address.is_empty()).then(|| format!("{address} {port}"))
    };
    let protocol = text(fields, "protocol");
    let other = at("dst").or_else(|| at("src"))?;
    Some(format!("{call} {protocol} {other}{end}"))
}

fn process(fact: &Fact) -> Option<String> {
    let fields = &fact.fields;
    match fact.event.as_str() {
        "session.process_exit" => {
            let status = text(fields, "exit_status");
            // That a program ended well says nothing.
            (status != "0").then(|| format!("{} ended: {status}", text(fields, "program")))
        }
        "session.call" => {
            let words = [
                "request",
                "args",
                "namespaces",
                "source",
                "path",
                "name",
                "target_pid",
            ];
            let words = words.map(|name| text(fields, name));
            let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
            let call = text(fields, "call");
            Some(format!("! {call} {}{}", words.join(" "), failed(fields)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, body: Body) -> Event {
        let at_ns = seq * 1_000_000_000;
        Event { seq, at_ns, body }
    }

    fn fact(event: &str, fields: Fields) -> Fact {
        let event = event.to_owned();
        Fact { event, fields }
    }

    fn cat(seq: u64) -> Event {
        let argv = Value::List(vec![Value::from("/etc/shadow\x1b[2J")]);
        let fields = Fields::new()
            .with("path", "/usr/bin/cat")
            .with("argv", argv)
            .with("return_code", Value::Int(0));
        event(seq, Body::Command(fact("session.command", fields)))
    }

    #[test]
    fn each_says_one_line_and_none_says_a_sequence() {
        assert_eq!(line(&cat(1)).unwrap(), "0:01 $ cat /etc/shadow\\u{1b}[2J");
        let opened = |path: &str, flags: i64, code: i64| {
            let fields = Fields::new()
                .with("call", "openat")
                .with("path", path)
                .with("flags", Value::Int(flags))
                .with("return_code", Value::Int(code));
            line(&event(2, Body::File(fact("session.disk", fields))))
        };
        assert_eq!(opened("/etc/shadow", 0, 3).unwrap(), "0:02 r /etc/shadow");
        assert_eq!(opened("/tmp/x", 0o1101, 3).unwrap(), "0:02 w /tmp/x");
        assert_eq!(opened("/tmp/x", 0o1101, -13).unwrap(), "0:02 w /tmp/x ✗");
        assert_eq!(opened("/lib/x86_64-linux-gnu/libc.so.6", 0, 3), None);
        assert_eq!(opened("/none", 0, -2), None);
        let fields = Fields::new()
            .with("call", "connect")
            .with("protocol", "tcp")
            .with("dst_addr", "127.0.0.1")
            .with("dst_port", 80)
            .with("repeats", 4)
            .with("return_code", Value::Int(-111));
        let said = line(&event(3, Body::Network(fact("session.network", fields))));
        assert_eq!(said.unwrap(), "0:03 connect tcp 127.0.0.1 80 ×4 ✗");
    }

    #[test]
    fn only_what_follows_is_taken_and_the_oldest_go() {
        let mut deeds = Deeds::default();
        deeds.begin(5);
        deeds.take(&cat(7));
        assert!(deeds.is_at(5) && deeds.len() == 0);
        for seq in 5..5 + 2 * DEEDS_MAX as u64 {
            deeds.take(&cat(seq));
        }
        assert_eq!(deeds.len(), DEEDS_MAX);
        assert!(deeds.is_at(5 + 2 * DEEDS_MAX as u64));
        let mut later = Deeds::default();
        later.begin(9);
        later.take(&cat(9));
        later.prepend(deeds);
        assert_eq!(later.len(), DEEDS_MAX);
        assert!(later.is_at(10));
    }
}
