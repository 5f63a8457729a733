//! Listings of the service, page by page, and what is said about what is not shown.

use std::io::{self, Write as _};

use serde_json::Value as Json;

use crate::cli::{PageArgs, ServiceArgs};
use crate::failure::Failure;
use crate::service::{Asked, Column, Service, Table};

/// Rows of one page: what the service gives at most.
const PAGE_ROWS: usize = 1000;

/// Asks for pages until there is enough, and hands over each row as it comes. Says on standard error
/// when there is more, and when rows are still to come.
pub(crate) fn each(
    service: &Service,
    asked: &Asked,
    name: &str,
    page: &PageArgs,
    mut row: impl FnMut(&Json) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let mut left = if page.all { usize::MAX } else { page.limit };
    let mut cursor = page.cursor.clone();
    let mut shown: u64 = 0;
    loop {
        let limit = left.min(PAGE_ROWS).to_string();
        let asked = asked.clone().with("limit", Some(&limit));
        let document = service.document(&asked.with("cursor", cursor.as_deref()))?;
        let rows = document.get(name).and_then(Json::as_array);
        for one in rows.into_iter().flatten() {
            row(one)?;
            shown += 1;
            left = left.saturating_sub(1);
        }
        cursor = document
            .get("next")
            .and_then(Json::as_str)
            .map(str::to_owned);
        let Some(next) = &cursor else {
            behind(&document);
            return Ok(shown);
        };
        if left == 0 {
            say(&format!(
                "{shown} {name} shown, and there are more: go on with --cursor {next}, or ask for --all"
            ));
            return Ok(shown);
        }
    }
}

/// A listing that is shown as a table.
pub(crate) struct Listing {
    /// The member of the answer that has the rows.
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column],
    pub(crate) cells: fn(&Json) -> Vec<String>,
    /// What is said where there is none.
    pub(crate) none: &'static str,
}

impl Listing {
    /// Asks for it and shows it, in JSON one object a line.
    pub(crate) fn show(
        &self,
        asked: &Asked,
        service: &ServiceArgs,
        page: &PageArgs,
        json: bool,
    ) -> Result<(), Failure> {
        let (service, mut table) = (Service::new(service)?, Table::new(self.columns));
        let shown = each(&service, asked, self.name, page, |row| {
            match json {
                true => writeln!(io::stdout(), "{row}")?,
                false => table.row((self.cells)(row)),
            }
            Ok(())
        })?;
        match shown {
            0 => say(self.none),
            _ if json => {}
            _ => write!(io::stdout(), "{}", table.text())?,
        }
        Ok(())
    }
}

/// What is archived and not listed yet.
fn behind(document: &Json) {
    let count = document.pointer("/behind/segments").and_then(Json::as_u64);
    let more = document.pointer("/behind/at_least").and_then(Json::as_bool);
    let more = more == Some(true);
    match count.unwrap_or(0) {
        0 if more => say("not everything is listed yet; ask again in a moment"),
        0 => {}
        count => {
            let least = if more { "at least " } else { "" };
            say(&format!(
                "{least}{count} archived segments are not listed yet; ask again in a moment"
            ));
        }
    }
}

/// Tells whoever runs a command something beside its answer.
pub(crate) fn say(what: &str) {
    // A closed standard error has nobody to tell.
    let _ = writeln!(io::stderr(), "hansard: {what}");
}

/// The text of a field; empty if it has none.
pub(crate) fn text(row: &Json, name: &str) -> String {
    match row.get(name) {
        Some(Json::String(text)) => text.clone(),
        None | Some(Json::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

/// A time as tables show it: seconds are enough.
pub(crate) fn time(row: &Json, name: &str) -> String {
    let full = text(row, name);
    match full.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => full,
    }
}
