//! The part that keeps the full-text index.

use std::sync::Arc;

use super::Start;
use super::opening::no_thread;
use crate::data_dir::DataDir;
use crate::failure::{Failure, STATUS_FAILED, shown};
use crate::follow::Followed;
use crate::indexing::{News, Parts, REST_AFTER, Running, Shelf, start};
use crate::stores::Stores;

/// Opens the index and begins to fill it. One that is damaged or of another version is begun anew,
/// which is said and holds nobody up.
pub(super) fn index(
    begin: &Start,
    dir: &DataDir,
    followed: &Followed,
    stores: &Stores,
    (news, key): (Arc<News>, [u8; 32]),
) -> Result<(Shelf, Arc<Running>), Failure> {
    let root = dir.index();
    let opened = Shelf::open(&root).map_err(|e| {
        let what = format!("{}: {e}", shown(&root));
        let next = "see that the disk is sound and has room; the index holds nothing that is \
                    not in the archive, and may be removed while the daemon is stopped";
        Failure::new(STATUS_FAILED, what, next)
    });
    let (shelf, why) = opened?;
    if let Some(why) = why {
        let words = "the full-text index is begun anew from the recordings";
        begin.journal.warning(words, &[("reason", &why)]);
    }
    let parts = Parts {
        followed: followed.clone(),
        catalog: Arc::clone(&stores.catalog),
        news,
        shelf: shelf.clone(),
        journal: begin.journal.clone(),
        key,
        rest_after: REST_AFTER,
    };
    let running = start(parts).map_err(no_thread)?;
    Ok((shelf, Arc::new(running)))
}
