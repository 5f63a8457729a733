//! `hansard events`: events of the service, listed or as they come.

use std::io::{self, Write as _};

use hansard_view::document::catalogue;
use hansard_view::{escape_for_humans, nearest};
use serde_json::Value as Json;

use crate::cli::{EventsArgs, PageArgs};
use crate::failure::{Failure, STATUS_DAMAGED};
use crate::listing::{self, say, text};
use crate::ls::filtered;
use crate::service::{Asked, Service};

/// Fields that say where and when, which stand in every line, or say nothing to people.
const FRAME: [&str; 12] = [
    "event",
    "code",
    "uid",
    "time",
    "ei",
    "sid",
    "kind",
    "user",
    "server_hostname",
    "server_id",
    "cluster_name",
    "facts",
];

/// Most characters of a line behind its frame; `--json` has everything.
const REST_CHARS_MAX: usize = 400;

/// Most names that are offered for one that no event has.
const NEAR_MAX: usize = 5;

/// Lists or follows them.
pub(crate) fn run(args: &EventsArgs) -> Result<u8, Failure> {
    let service = Service::new(&args.service)?;
    let session = args.session.map(|id| id.to_string());
    let asked = filtered(Asked::get(&["events"]), &args.filter)
        .with("event", args.event.as_deref())
        .with("session", session.as_deref());
    if args.follow {
        // It may wait for ever for an event of that name.
        say_unheard(args);
        return follow(&service, asked, args);
    }
    let order = if args.oldest { "oldest" } else { "newest" };
    let asked = asked.with("order", Some(order));
    let shown = listing::each(&service, &asked, "events", &args.page, |event| {
        print(event, args.json)
    })?;
    if shown == 0 {
        say("no such events");
        say_unheard(args);
    }
    Ok(0)
}

fn say_unheard(args: &EventsArgs) {
    if let Some(what) = args.event.as_deref().and_then(unheard) {
        say(&what);
    }
}

/// What is said of a name that no event has, as far as this version knows. Of a newer service, or in an
/// imported recording, there may be some of that name all the same: so it is no reason not to ask.
fn unheard(name: &str) -> Option<String> {
    if name.is_empty() || catalogue::find(name).is_some() {
        return None;
    }
    let names = || catalogue::rows().map(|row| row.name);
    let mut near: Vec<&str> = nearest(name, names()).into_iter().collect();
    let lower = name.to_lowercase();
    let alike = names().filter(|known| known.contains(&lower) && Some(known) != near.first());
    near.extend(alike.collect::<Vec<_>>());
    near.truncate(NEAR_MAX);
    let name = escape_for_humans(name);
    let what = format!("no event is known by the name {name}");
    Some(match near.is_empty() {
        true => format!("{what}; docs/events.md has all names"),
        false => format!("{what}; did you mean {}?", near.join(", ")),
    })
}

/// All events of one session, in their order.
pub(crate) fn of_session(service: &Service, session: &str, json: bool) -> Result<u8, Failure> {
    let asked = Asked::get(&["events"])
        .with("session", Some(session))
        .with("order", Some("oldest"));
    let page = PageArgs {
        limit: 1,
        all: true,
        cursor: None,
    };
    listing::each(service, &asked, "events", &page, |event| print(event, json))?;
    Ok(0)
}

/// Shows what comes until the service or the viewer has enough. What was shown last is said, so that
/// nothing is missed by whoever goes on.
fn follow(service: &Service, asked: Asked, args: &EventsArgs) -> Result<u8, Failure> {
    let mut cursor = args.page.cursor.clone();
    let asked = asked
        .with("follow", Some("true"))
        .with("cursor", cursor.as_deref());
    let mut lines = service.lines(&asked)?;
    loop {
        let why = match lines.next_line() {
            Ok(Some((_, said))) => {
                if let Some(place) = said.get("cursor").and_then(Json::as_str)
                    && said.get("event").is_none()
                {
                    cursor = Some(place.to_owned());
                } else {
                    print(&said, args.json)?;
                }
                continue;
            }
            Ok(None) => "the service ended its answer".to_owned(),
            Err(failure) => failure.to_string(),
        };
        let why = why
            .trim_start_matches("hansard: ")
            .lines()
            .next()
            .unwrap_or_default();
        let failure = Failure::new(STATUS_DAMAGED, why);
        return Err(match cursor {
            Some(cursor) => failure.hint(format!(
                "go on without a hole: hansard events --follow --cursor {cursor}"
            )),
            None => failure,
        });
    }
}

fn print(event: &Json, json: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{event}")?;
    } else {
        writeln!(out, "{}", as_text(event))?;
    }
    Ok(())
}

/// One line: when, what, who, where, in which session, and what else it says.
fn as_text(event: &Json) -> String {
    let shown = |name: &str| escape_for_humans(&text(event, name)).into_owned();
    let who = match (shown("user"), shown("server_hostname")) {
        (user, host) if host.is_empty() => user,
        (user, host) => format!("{user}@{host}"),
    };
    let mut line = format!("{}  {}", shown("time"), shown("event"));
    for part in [who, shown("sid")] {
        if !part.is_empty() {
            line.push_str(&format!("  {part}"));
        }
    }
    let mut rest = String::new();
    for (name, value) in event.as_object().into_iter().flatten() {
        if FRAME.contains(&name.as_str()) {
            continue;
        }
        let value = match value {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        rest.push_str(&format!(
            "  {}={}",
            escape_for_humans(name),
            escape_for_humans(&value)
        ));
    }
    if rest.chars().count() > REST_CHARS_MAX {
        rest = rest.chars().take(REST_CHARS_MAX).collect::<String>() + "…";
    }
    line + &rest
}

#[cfg(test)]
mod tests {
    use super::unheard;

    #[test]
    fn a_name_that_no_event_has_is_said_with_those_that_are_near() {
        for known in ["session.start", "sftp", "recording.deleted", ""] {
            assert_eq!(unheard(known), None, "{known}");
        }
        let said = |name| unheard(name).unwrap_or_default();
        assert!(said("session.strat").ends_with("session.strat; did you mean session.start?"));
        assert!(said("Session.Start").contains("did you mean session.start"));
        let of_many = said("recording");
        assert!(of_many.contains("recording.start"), "{of_many}");
        assert!(of_many.matches(", ").count() < 5, "{of_many}");
        assert!(said("xyzzy").ends_with("docs/events.md has all names"));
        assert!(!said("a\x1bb").contains('\x1b'));
    }
}
