//! `hansard share`: links to sessions for people without an account.

use std::io::{self, Write as _};

use hansard_core::SessionId;
use hansard_record::Environment;
use hansard_view::escape_for_humans;
use serde_json::{Value as Json, json};

use crate::cli::{PageArgs, ServiceArgs, ShareArgs, ShareCommand};
use crate::failure::{Failure, STATUS_WRONG_USE};
use crate::listing::{Listing, text, time};
use crate::moment::{Moment, Stretch};
use crate::service::{Align, Asked, Column, Service, Time};

const COLUMNS: &[Column] = &[
    ("NAME", Align::Whole),
    ("SESSION", Align::Whole),
    ("FOR", Align::Left),
    ("EXPIRES (UTC)", Align::Left),
    ("REVOKED (UTC)", Align::Left),
    ("BY", Align::Left),
];

const LISTING: Listing = Listing {
    name: "shares",
    columns: COLUMNS,
    cells,
    none: "no links; `hansard share SESSION --for NAME` makes one",
};

/// How long a link holds unless something else is said, seconds: 7 days.
const TTL_S: u64 = 7 * 86_400;

/// Makes, lists or revokes links.
pub(crate) fn run(args: &ShareArgs) -> Result<u8, Failure> {
    match (&args.command, args.session) {
        (
            Some(ShareCommand::Ls {
                session,
                page,
                json,
                service,
            }),
            _,
        ) => list(service, *session, page, *json)?,
        (
            Some(ShareCommand::Rm {
                name,
                reason,
                service,
            }),
            _,
        ) => {
            let asked = Asked::delete(&["shares", name]).with("reason", reason.as_deref());
            Service::new(service)?.document(&asked)?;
            let name = escape_for_humans(name);
            writeln!(io::stdout(), "link {name} opens nothing any more")?;
        }
        (None, Some(session)) => make(args, session)?,
        (None, None) => {
            let (what, next) = ("no session is named", "`hansard ls` lists sessions");
            return Err(Failure::new(STATUS_WRONG_USE, what).hint(next));
        }
    }
    Ok(0)
}

fn make(args: &ShareArgs, session: SessionId) -> Result<(), Failure> {
    let ttl_s = match args.until {
        Some(until) => left_s(until)?,
        None => args.ttl.unwrap_or(TTL_S),
    };
    let mut wish = json!({ "viewer": args.viewer, "ttl_s": ttl_s, "reason": args.reason });
    for (name, ms) in args.clip.map(moments).unwrap_or_default() {
        if let (Some(wish), Some(ms)) = (wish.as_object_mut(), ms) {
            wish.insert(name.to_owned(), ms.into());
        }
    }
    let id = session.to_string();
    let asked = Asked::post(&["sessions", &id, "shares"], &wish);
    let made = Service::new(&args.service)?.document(&asked)?;
    if args.json {
        writeln!(io::stdout(), "{made}")?;
        return Ok(());
    }
    // The link alone on standard output, so that it can be piped.
    writeln!(io::stdout(), "{}", escape_for_humans(&text(&made, "link")))?;
    let _ = writeln!(
        io::stderr(),
        "hansard: link {} for {} holds until {}; it is not shown again. `hansard share rm {0}` revokes it",
        escape_for_humans(&text(&made, "name")),
        escape_for_humans(&text(&made, "viewer")),
        escape_for_humans(&time(&made, "expires")),
    );
    Ok(())
}

/// Seconds from now until then.
fn left_s(until: Time) -> Result<u64, Failure> {
    let now_ns = Environment::real().clock.utc_ns();
    let left_s = until.utc_ns().saturating_sub(now_ns) / 1_000_000_000;
    if left_s == 0 {
        let what = format!("--until {}: that is over", until.text());
        return Err(Failure::new(STATUS_WRONG_USE, what).hint("name a later time, in UTC"));
    }
    Ok(left_s)
}

/// A stretch as the service takes it: no moment where it is the whole.
fn moments(clip: Stretch) -> [(&'static str, Option<u64>); 2] {
    let ms = |moment: Moment| match moment {
        Moment::At(ns) => Some(ns / 1_000_000),
        Moment::End => None,
    };
    let from = ms(clip.from).filter(|ms| *ms > 0);
    [("from_ms", from), ("until_ms", ms(clip.until))]
}

fn list(
    service: &ServiceArgs,
    session: Option<SessionId>,
    page: &PageArgs,
    json: bool,
) -> Result<(), Failure> {
    let session = session.map(|id| id.to_string());
    let asked = Asked::get(&["shares"]).with("session", session.as_deref());
    LISTING.show(&asked, service, page, json)
}

fn cells(row: &Json) -> Vec<String> {
    vec![
        text(row, "name"),
        text(row, "sid"),
        text(row, "viewer"),
        time(row, "expires"),
        time(row, "revoked"),
        text(row, "created_by"),
    ]
}
