//! The role that sends on to others what is recorded here.

use std::sync::Arc;

use hansard_record::Environment;

use super::Start;
use super::opening::no_thread;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::follow::Followed;
use crate::keeper::Tap;
use crate::tlog_out::book::{Book, BookTap};
use crate::tlog_out::{Parts, Running, start};

/// The book of what is written as tlog, where that is switched on.
pub(super) fn book(
    begin: &Start,
    dir: &DataDir,
    environment: &Environment,
) -> Result<Option<Arc<Book>>, Failure> {
    if begin.config.export.tlog.is_none() {
        return Ok(None);
    }
    let root = dir.export();
    let made = environment.disk.create_dir(&root);
    made.map_err(|e| Failure::about(&root, &e))?;
    let path = root.join("tlog");
    let opened = Book::open(Arc::clone(&environment.disk), &path);
    let (book, wrong) = opened.map_err(|e| Failure::about(&path, &e))?;
    if let Some(wrong) = wrong {
        let words = "how far tlog's messages have come is not known any more: sessions that were \
                     going on may be missing among them";
        begin.journal.error(words, &[("error", &wrong)]);
    }
    Ok(Some(Arc::new(book)))
}

/// What notes sessions in the book.
pub(super) fn tap(book: &Arc<Book>) -> Box<dyn Tap> {
    Box::new(BookTap(Arc::clone(book)))
}

/// Begins to write what is in the book.
pub(super) fn write(
    begin: &Start,
    environment: &Environment,
    followed: &Followed,
    book: Option<Arc<Book>>,
) -> Result<Option<Running>, Failure> {
    let (Some(tlog), Some(book)) = (&begin.config.export.tlog, book) else {
        return Ok(None);
    };
    let parts = Parts {
        followed: followed.clone(),
        book,
        journal: begin.journal.clone(),
        clock: Arc::clone(&environment.clock),
    };
    start(parts, tlog).map(Some).map_err(no_thread)
}
