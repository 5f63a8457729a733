//! A scope as tantivy is asked for it.

use std::ops::Bound;

use hansard_view::question::Need;
use tantivy::Term;
use tantivy::query::{AllQuery, BooleanQuery, Query, RangeQuery, RegexQuery, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};

use super::fields::Fields;
use super::{sorted, terms};
use crate::index::{IndexError, Scope};

pub(super) fn query(fields: &Fields, scope: &Scope) -> Result<Box<dyn Query>, IndexError> {
    let mut all: Vec<Box<dyn Query>> = Vec::new();
    for need in &scope.needs {
        all.push(match need {
            Need::Word(word) if terms::is_odd(word) => is(fields.words, &terms::mark(word)),
            Need::Word(word) => is(fields.words, word),
            Need::Begin(begin) => beginning(fields.words, begin)?,
        });
    }
    for (field, value) in [
        (fields.user, &scope.bounds.user),
        (fields.host, &scope.bounds.host),
        (fields.kind, &scope.bounds.kind),
    ] {
        all.extend(value.as_ref().map(|value| is(field, value)));
    }
    if let Some(session) = scope.bounds.session {
        all.push(is(fields.session, &session.to_string()));
    }
    if let Some(since) = scope.bounds.since_ns {
        let from = Bound::Included(Term::from_field_u64(fields.to, since));
        all.push(Box::new(RangeQuery::new(from, Bound::Unbounded)));
    }
    if let Some(until) = scope.bounds.until_ns {
        let to = Bound::Excluded(Term::from_field_u64(fields.from, until));
        all.push(Box::new(RangeQuery::new(Bound::Unbounded, to)));
    }
    Ok(match all.len() {
        0 => Box::new(AllQuery),
        1 => all.remove(0),
        _ => Box::new(BooleanQuery::intersection(all)),
    })
}

/// Words that begin so: terms do, or the beginnings of what terms only mark.
fn beginning(field: Field, begin: &str) -> Result<Box<dyn Query>, IndexError> {
    // Words have no characters that mean something in a pattern.
    let begun = |begin: &str| -> Result<Box<dyn Query>, IndexError> {
        let query = RegexQuery::from_pattern(&format!("{begin}.*"), field);
        Ok(Box::new(query.map_err(sorted)?))
    };
    let mut all = Vec::new();
    if !terms::is_odd(begin) {
        // Else whatever begins so is only marked.
        all.push(begun(begin)?);
    }
    for (head, goes_on) in terms::heads(begin) {
        all.push(match goes_on {
            true => begun(&head)?,
            false => is(field, &head),
        });
    }
    Ok(Box::new(BooleanQuery::union(all)))
}

fn is(field: Field, value: &str) -> Box<dyn Query> {
    let term = Term::from_field_text(field, value);
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}
