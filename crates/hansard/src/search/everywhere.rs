//! Every session of the service, by its full-text index.

use std::io::{self, Write as _};

use hansard_record::Environment;
use hansard_view::document::catalogue;
use hansard_view::question::{Question, Sought};
use hansard_view::{escape_for_humans, escape_shown, nearest};
use serde_json::{Value as Json, json};

use crate::cli::SearchArgs;
use crate::failure::{Failure, STATUS_DAMAGED, STATUS_UNFINISHED, STATUS_WRONG_USE};
use crate::listing::{say, text, time};
use crate::moment;
use crate::service::{Asked, Service};

/// Sessions that are asked for at a time.
const PAGE: usize = 100;

/// Longest line that is shown, in characters; `--json` has all of it.
const LINE_CHARS_MAX: usize = 200;

/// Prints what is found by session, and how to watch it. Like `grep`, the status is 1 if there was
/// nothing; 3 if there was nothing and not everything could be searched.
pub(super) fn run(args: &SearchArgs) -> Result<u8, Failure> {
    // What is no question is said without asking anybody.
    let now_ns = Environment::real().clock.utc_ns();
    let question = Question::parse(&args.text, now_ns)
        .map_err(|e| Failure::new(STATUS_WRONG_USE, e.to_string()))?;
    let is_of_one = question.bounds.session.is_some();
    let unheard = unheard(&question);
    let service = Service::new(&args.read.look.service)?;
    let mut cursor = args.filter.cursor.clone();
    let (mut found, mut is_whole) = (0, true);
    loop {
        let left = args.limit.saturating_sub(found);
        let page = left.min(PAGE).to_string();
        let document =
            service.document(&asked(args, cursor.as_deref()).with("limit", Some(&page)))?;
        let sessions = document.get("sessions").and_then(Json::as_array);
        // The session that was not shown whole, and how many were before it.
        let mut cut = None;
        for (before, session) in sessions.into_iter().flatten().enumerate() {
            let left = args.limit.saturating_sub(found);
            let hits = session.get("hits").and_then(Json::as_array);
            if cut.is_none() && hits.is_some_and(|hits| hits.len() > left) {
                cut = Some((text(session, "sid"), before));
            }
            if left > 0 {
                found += print(args, session, left, is_of_one)?;
            }
        }
        is_whole &= document.get("index_complete") != Some(&Json::Bool(false));
        // The cursor is for what comes behind the answer, and not all of the answer was shown.
        if let Some((sid, before)) = cut {
            let from = match before {
                0 => cursor,
                _ => behind(&service, args, cursor.as_deref(), before)?,
            };
            stopped_within(args, found, &sid, from.as_deref())?;
            break;
        }
        cursor = next_of(&document);
        let Some(next) = &cursor else { break };
        if found >= args.limit {
            say(&format!(
                "stopped after {found} findings, and there may be more: go on with --cursor {next}"
            ));
            tell_next(args, Some(next))?;
            break;
        }
    }
    if found > 0 && !args.json {
        say("`hansard play SESSION --at MOMENT` shows a moment");
    }
    if found == 0 {
        unheard.iter().for_each(|what| say(what));
    }
    if !is_whole {
        say(
            "not everything was searched: there are recordings that are not in the index yet; \
             ask again when `hansard status` says `index_complete true`",
        );
    }
    Ok(match found {
        0 if !is_whole => STATUS_DAMAGED,
        0 => STATUS_UNFINISHED,
        _ => 0,
    })
}

fn next_of(document: &Json) -> Option<String> {
    let next = document.get("next").and_then(Json::as_str);
    next.map(str::to_owned)
}

/// The cursor behind so many sessions of an answer.
fn behind(
    service: &Service,
    args: &SearchArgs,
    cursor: Option<&str>,
    sessions: usize,
) -> Result<Option<String>, Failure> {
    let page = sessions.to_string();
    let document = service.document(&asked(args, cursor).with("limit", Some(&page)))?;
    Ok(next_of(&document))
}

/// Says how to go on where the limit came within a session: from the beginning of that one.
fn stopped_within(
    args: &SearchArgs,
    found: usize,
    sid: &str,
    from: Option<&str>,
) -> Result<(), Failure> {
    let sid = escape_for_humans(sid);
    let next = match from {
        Some(cursor) => {
            format!("go on with --cursor {cursor}, which begins with that session again")
        }
        None => "--limit allows more".to_owned(),
    };
    say(&format!(
        "stopped after {found} findings, within session {sid}, and there are more: {next}"
    ));
    tell_next(args, from)
}

/// Whoever reads JSON finds in its last line where to go on; `null` is from the beginning.
fn tell_next(args: &SearchArgs, next: Option<&str>) -> Result<(), Failure> {
    if args.json {
        writeln!(io::stdout(), "{}", json!({ "next": next }))?;
    }
    Ok(())
}

/// What is said of fields that no event has, as far as this version knows. A newer service may know more, and
/// so may an imported recording: so it is no reason not to ask.
fn unheard(question: &Question) -> Vec<String> {
    let mut said = Vec::new();
    for item in &question.items {
        let Sought::Field { name, .. } = &item.sought else {
            continue;
        };
        if catalogue::rows().any(|row| row.field(name).is_some()) {
            continue;
        }
        let own = |row: &&'static catalogue::Row| row.fields.iter().flat_map(|group| group.iter());
        let fields = catalogue::rows().collect::<Vec<_>>();
        let known = fields.iter().flat_map(own).chain(&catalogue::COMMON);
        let near = nearest(name, known.map(|field| field.name));
        let name = escape_for_humans(name);
        let next = match near {
            Some(near) => format!("did you mean {near}:?"),
            None => "docs/events.md has all fields; in quotes it is a phrase".to_owned(),
        };
        said.push(format!("no event is known that has a field {name}; {next}"));
    }
    said
}

fn asked(args: &SearchArgs, cursor: Option<&str>) -> Asked {
    let filter = &args.filter;
    Asked::get(&["search"])
        .with("q", Some(&args.text))
        .with("since", filter.since.as_deref())
        .with("until", filter.until.as_deref())
        .with("user", filter.user.as_deref())
        .with("host", filter.host.as_deref())
        .with("kind", filter.kind.as_deref())
        .with("reason", args.read.look.reason.as_deref())
        .with("cursor", cursor)
}

/// Prints what was found in a session, so much at most; answers how much that was.
fn print(
    args: &SearchArgs,
    session: &Json,
    most: usize,
    is_of_one: bool,
) -> Result<usize, Failure> {
    let mut out = io::stdout().lock();
    let mut session = session.clone();
    if let Some(fields) = session.as_object_mut()
        && let Some(Json::Array(hits)) = fields.get_mut("hits")
        && hits.len() > most
    {
        hits.truncate(most);
        fields.insert("more_hits".to_owned(), Json::Bool(true));
    }
    let session = &session;
    let hits = session.get("hits").and_then(Json::as_array);
    let hits = hits.map(Vec::as_slice).unwrap_or_default();
    if args.json {
        writeln!(out, "{session}")?;
        return Ok(hits.len());
    }
    let safe = |name: &str| escape_for_humans(&text(session, name)).into_owned();
    let sid = safe("sid");
    let (user, host) = (safe("user"), safe("server_hostname"));
    let (start, kind) = (time(session, "session_start"), safe("kind"));
    writeln!(out, "{sid}  {start}  {user}@{host}  {kind}")?;
    for hit in hits {
        let at_ns = hit.get("at_ns").and_then(Json::as_u64).unwrap_or(0);
        let line = text(hit, "text");
        let mut line: String = line.trim().chars().take(LINE_CHARS_MAX).collect();
        line = escape_shown(&line).into_owned();
        let flag = |name: &str| hit.get(name).and_then(Json::as_bool) == Some(true);
        if flag("concealed") || flag("same_colour") {
            line.push_str("  [hidden]");
        }
        let what = text(hit, "in");
        let source = text(hit, "source");
        let what = match what.as_str() {
            "command" => format!("command ({source})"),
            _ => what,
        };
        let what = escape_for_humans(&what);
        writeln!(out, "  {}\t{what}\t{line}", moment::show_from(at_ns))?;
    }
    // Who asks for one session gets all of it, page by page.
    if !is_of_one && session.get("more_hits").and_then(Json::as_bool) == Some(true) {
        writeln!(out, "  and more: add session:{sid} to what is looked for")?;
    }
    if session.get("index_complete").and_then(Json::as_bool) == Some(false) {
        writeln!(
            out,
            "  not all text of this session is in the index: it is too much"
        )?;
    }
    Ok(hits.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_no_event_has_is_said_with_the_one_that_is_near() {
        let said = |text: &str| unheard(&Question::parse(text, 0).unwrap()).join("\n");
        assert_eq!(said("word path:/etc addr.remote:10.0.* user:ada"), "");
        assert!(said("pth:/etc").ends_with("a field pth; did you mean path:?"));
        assert!(said("xyzzyx:1").contains("in quotes it is a phrase"));
    }
}
