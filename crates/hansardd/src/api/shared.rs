//! What a link opens: the player of one session, or of a stretch of it, and nothing else. Everything
//! here asks the link again at each request, so that expiry and revocation end it at once.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::json;

use super::answers::blocking;
use super::player::{Found, Stretch, Timeline};
use super::problem::Problem;
use super::role::{Asker, Guest};
use super::router::{Call, Handler, Name};
use super::table::{Noted, OPEN_TO_LINKS, Op, Route};
use super::time;

/// As what it is put on record when a link is refused something, whatever that is.
pub(super) const LOOK_BY_LINK: Noted = Noted {
    event: "session.recording.access",
    format: Some("player"),
    by_handler: false,
    once: false,
};

/// Whether this link opens this route of this session.
///
/// # Errors
/// What is told to whoever has the link.
pub(super) fn opens(guest: &Guest, route: &Route, id: Option<&Name>) -> Result<(), Problem> {
    let mut problem = Problem::status(StatusCode::FORBIDDEN, "forbidden", "");
    problem.next_step = "ask whoever gave you the link".to_owned();
    if let Some(over) = guest.over {
        problem.status = StatusCode::GONE;
        problem.code = "link_over";
        problem.message = over.as_str().to_owned();
        return Err(problem);
    }
    let is_its_own = match id {
        Some(Name::Session(id)) => *id == guest.share.session,
        None => route.op == Op::Shared,
        Some(Name::Other(_)) => false,
    };
    if OPEN_TO_LINKS.contains(&route.op) && is_its_own {
        return Ok(());
    }
    problem.message = "the link opens the player of one session, and nothing else".to_owned();
    Err(problem)
}

/// What the link leads to, for the page that plays it.
pub(super) fn shared() -> Handler {
    blocking(|call| {
        let Asker::Link(guest) = &call.caller.asker else {
            return Err(Problem::not_found());
        };
        let share = &guest.share;
        Ok(json!({
            "sid": share.session.to_string(),
            "viewer": share.viewer,
            "expires": time::text(share.expires_ns),
            "from_ms": share.from_ms,
            "until_ms": share.until_ms,
        }))
    })
}

/// The stretch that an answer is limited to, nanoseconds since the session's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Within {
    pub(super) from_ns: u64,
    pub(super) until_ns: u64,
}

impl Within {
    /// What this caller may see; `None`: all of it.
    pub(super) fn of(call: &Call) -> Option<Self> {
        let Asker::Link(guest) = &call.caller.asker else {
            return None;
        };
        let (from_ns, until_ns) = guest.share.stretch_ns()?;
        Some(Self { from_ns, until_ns })
    }

    fn has(self, at_ns: u64) -> bool {
        (self.from_ns..=self.until_ns).contains(&at_ns)
    }

    /// The nearest moment in it.
    pub(super) fn clamp(self, at_ns: u64) -> u64 {
        at_ns.clamp(self.from_ns, self.until_ns)
    }

    /// The same at a glance, without what is outside. How long the session was stays.
    pub(super) fn timeline(self, whole: &Timeline) -> Arc<Timeline> {
        let parts = u64::try_from(whole.output.len()).unwrap_or(u64::MAX).max(1);
        let middle_ns = |n: u64| {
            let halves = u128::from(n) * 2 + 1;
            let at = u128::from(whole.duration_ns) * halves / (u128::from(parts) * 2);
            u64::try_from(at).unwrap_or(u64::MAX)
        };
        let output = whole.output.iter().zip(0u64..);
        let output = output.map(|(bytes, n)| if self.has(middle_ns(n)) { *bytes } else { 0 });
        let idle = whole.idle.iter().filter_map(|(from, until)| {
            let cut = (self.clamp(*from), self.clamp(*until));
            (cut.0 < cut.1).then_some(cut)
        });
        let happenings = whole.happenings.iter().filter(|one| self.has(one.at_ns));
        Arc::new(Timeline {
            duration_ns: whole.duration_ns,
            is_whole: whole.is_whole,
            output: output.collect(),
            idle: idle.collect(),
            happenings: happenings.cloned().collect(),
            left_out: whole.left_out,
            damages: whole.damages,
        })
    }

    /// What changes on the screen, up to the end of it. How long the session was stays here, too.
    pub(super) fn frames(self, mut found: Stretch) -> Stretch {
        // What is fetched begins in it: the first frame is the screen that it begins with, however
        // long that has been so.
        found.frames.retain(|(at_ns, _)| *at_ns <= self.until_ns);
        found.until_ns = found.until_ns.min(self.until_ns);
        found.next_ns = found.next_ns.filter(|at_ns| self.has(*at_ns));
        found
    }

    /// Rows that came to stand there in it.
    pub(super) fn found(self, mut found: Found) -> Found {
        // What was left out is there, or before, where the last row was found, or where the search ended.
        let last = found.findings.last().map(|row| row.at_ns);
        let is_outside = |at_ns: u64| at_ns > self.until_ns;
        if last.is_some_and(is_outside) || found.until_ns.is_some_and(is_outside) {
            found.has_left_out = false;
        }
        found.findings.retain(|row| self.has(row.at_ns));
        found.until_ns = found.until_ns.filter(|at_ns| *at_ns < self.until_ns);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::player::{Finding, Happening};

    const WITHIN: Within = Within {
        from_ns: 20,
        until_ns: 40,
    };

    #[test]
    fn a_timeline_tells_nothing_of_what_is_outside() {
        let one = |at_ns| Happening {
            at_ns,
            seq: at_ns,
            lane: "commands",
            label: format!("at {at_ns}"),
        };
        let whole = Timeline {
            duration_ns: 100,
            is_whole: true,
            output: vec![1; 10],
            idle: vec![(0, 5), (10, 25), (30, 35), (39, 80), (90, 100)],
            happenings: [19, 20, 40, 41].map(one).to_vec(),
            left_out: 0,
            damages: 0,
        };
        let cut = WITHIN.timeline(&whole);
        assert_eq!(cut.output, [0, 0, 1, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(cut.idle, [(20, 25), (30, 35), (39, 40)]);
        let at: Vec<u64> = cut.happenings.iter().map(|one| one.at_ns).collect();
        assert_eq!(at, [20, 40]);
        assert_eq!(cut.duration_ns, 100);
    }

    #[test]
    fn frames_and_findings_end_where_it_ends() {
        let frames = [10, 20, 40, 41].map(|at| (at, Default::default()));
        let cut = WITHIN.frames(Stretch {
            frames: frames.to_vec(),
            until_ns: 50,
            next_ns: Some(60),
            duration_ns: 100,
            damages: 1,
        });
        let at: Vec<u64> = cut.frames.iter().map(|(at, _)| *at).collect();
        assert_eq!(
            (at, cut.until_ns, cut.next_ns),
            (vec![10, 20, 40], 40, None)
        );
        assert_eq!(cut.damages, 1, "whoever is shown it is told");
        let row = |at_ns| Finding {
            at_ns,
            row: Some(0),
            text: "x".to_owned(),
        };
        let found = |rows: &[u64], until_ns| {
            WITHIN.found(Found {
                findings: rows.iter().copied().map(row).collect(),
                until_ns,
                has_left_out: true,
                damages: 1,
            })
        };
        let cut = found(&[19, 21, 41], Some(41));
        assert_eq!(
            (cut.findings.len(), cut.until_ns, cut.damages),
            (1, None, 1)
        );
        assert!(!cut.has_left_out, "more there may be outside");
        assert!(found(&[19, 21], Some(40)).has_left_out);
        assert_eq!(found(&[], Some(30)).until_ns, Some(30));
        assert_eq!((WITHIN.clamp(0), WITHIN.clamp(99)), (20, 40));
    }
}
