//! A change, and what is put on record of it: what can be refused is refused first, then it is told, durably, and
//! then it is made. Where it is not made after all, that is told, too: whoever reads the record, or computes from
//! it what holds, must not take for done what was not.

use std::cell::{Cell, RefCell};

use hansard_core::{Body as EventBody, Fields};
use serde_json::Value as Json;

use super::answers::{REASON_BYTES_MAX, THE_BODY, blocking};
use super::noted::{event, reason};
use super::problem::Problem;
use super::router::{Call, Handler};
use super::seams::Audit;

/// Characters of an `error` at most: what is refused may hold what somebody sent.
const ERROR_CHARS_MAX: usize = 300;

/// What is on record of a change so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Nothing yet: what is refused now was never said to be done.
    Nothing,
    /// That it is done, which it must be now.
    Done,
    /// The same; these words say what it is if that fails.
    DoneOr(&'static str),
    /// The same, and so it is, whatever else fails.
    Stands,
}

/// The record of one change.
pub(super) struct Telling<'a> {
    call: &'a Call,
    audit: &'a Audit,
    told: Cell<Told>,
    /// What there is to say of it.
    about: RefCell<Fields>,
}

impl Telling<'_> {
    /// What there is to say of it besides who asks, whether it is done or refused.
    pub(super) fn about(&self, about: Fields) {
        self.about.replace(about);
    }

    /// Tells that it is done. To be called after everything that can be refused, and before anything is done: an
    /// error means that nothing may be done.
    pub(super) fn done(&self) -> Result<(), Problem> {
        let event = self.event(None)?;
        (self.audit)(event).map_err(Problem::not_recorded)?;
        self.told.set(Told::Done);
        Ok(())
    }

    /// What is told, in the place of what whoever asked is told, if it fails.
    pub(super) fn or_else(&self, words: &'static str) {
        self.told.set(Told::DoneOr(words));
    }

    /// It is done: what fails from now on does not undo it.
    pub(super) fn stands(&self) {
        self.told.set(Told::Stands);
    }

    /// Tells why it was not done. Whoever asked gets the same words whether or not that succeeds.
    fn failed(&self, problem: Problem) -> Problem {
        // What a body holds may be a secret, and what is wrong with it may repeat that.
        let what = match problem.message.starts_with(THE_BODY) {
            true => "the body is not what is wanted here",
            false => problem.message.as_str(),
        };
        let error = match self.told.get() {
            Told::Stands => return problem,
            // Without a record nothing was done, and nothing can be told of that either.
            Told::Nothing if problem.code == "not_recorded" => return problem,
            Told::Nothing => what.to_owned(),
            Told::Done => format!("it was not done after all: {what}"),
            Told::DoneOr(words) => words.to_owned(),
        };
        let error: String = error.chars().take(ERROR_CHARS_MAX).collect();
        let told = self.event(Some(error));
        let lost = match told.map(|event| (self.audit)(event)) {
            Ok(Ok(())) => return problem,
            Ok(Err(lost)) => lost,
            Err(fault) => fault.inside.unwrap_or_default(),
        };
        let inside = problem.inside.iter().map(String::as_str);
        let lost = format!("that it was not done could not be put on record: {lost}");
        let inside: Vec<&str> = inside.chain([lost.as_str()]).collect();
        Problem {
            inside: Some(inside.join("; ")),
            ..problem
        }
    }

    fn event(&self, error: Option<String>) -> Result<EventBody, Problem> {
        let call = self.call;
        let noted = call.noted;
        let noted = noted.ok_or_else(|| Problem::unavailable("the route has no event"))?;
        let about = self.about.borrow();
        // What is named there is no name that stood in a path.
        let id = call.id.as_ref().filter(|_| about.get("name").is_none());
        let reason = reason(&call.params, &call.body);
        // Of what is refused nobody has looked yet at how long it is.
        let is_one = |reason: &String| (1..=REASON_BYTES_MAX).contains(&reason.len());
        let reason = reason.filter(is_one);
        let mut body = event(noted, &call.caller, id, reason, error.is_none());
        if let EventBody::Admin(fact) = &mut body {
            // What takes it back, if something does, names the same.
            fact.fields.push("request_id", call.request_id.as_str());
            for (name, value) in about.iter() {
                fact.fields.push(name, value.clone());
            }
            if let Some(error) = error {
                fact.fields.push("error", error);
            }
        }
        Ok(body)
    }
}

/// A handler that changes something, on a thread that may block. It MUST call [`Telling::done`] before it does
/// anything.
pub(super) fn changing(
    audit: Audit,
    work: impl Fn(&Call, &Telling<'_>) -> Result<Json, Problem> + Send + Sync + 'static,
) -> Handler {
    blocking(move |call| {
        let telling = Telling {
            call: &call,
            audit: &audit,
            told: Cell::new(Told::Nothing),
            about: RefCell::default(),
        };
        work(&call, &telling).map_err(|problem| telling.failed(problem))
    })
}
