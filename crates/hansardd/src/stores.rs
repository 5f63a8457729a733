//! Opening what is durable: the spool, and for who keeps recordings, blobs, catalog and archive.
//!
//! A catalog that is damaged is put out of the way and built anew from the packs, by itself and while
//! nobody is served yet: the packs are the evidence, the catalog is not. It is told as an alarm all
//! the same, because only the catalog knew which segment was newest.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hansard_record::disk::Disk;
use hansard_record::spool::{Spool, SpoolOptions};
use hansard_store::archive::ArchiveError;
use hansard_store::blob::BlobName;
use hansard_store::blob::fs::FsBlobs;
use hansard_store::catalog::CatalogError;
use hansard_store::catalog::sqlite::{SqliteCatalog, set_aside};
use hansard_store::project::Progress;
use hansard_store::reindex::{Adopted, Recalled, adopt, recall, reindex};
use hansard_store::retention::superfluous;
use hansard_store::{ArchiveOptions, BlobStore, Catalog};

use crate::config::{Node, Store};
use crate::data_dir::DataDir;
use crate::failure::{Failure, STATUS_FAILED, STATUS_HELD, STATUS_NOT_READY, shown};

/// A file in the catalog's directory while it is built anew. A crash then leaves it, and the next
/// start builds on, instead of taking a part for the whole.
const REBUILDING: &str = "rebuilding";

/// What [`REBUILDING`] says once the old catalog is out of the way. Before, what stands there is the
/// old one still, and to build on it would take what is doubted for what was built.
const PUT_ASIDE: &[u8] = b"put aside\n";

/// A file in the catalog's directory after it was built anew, until holds and deletions that were in
/// the spool then are recalled, too. While it is there nothing is deleted, and no hold is changed.
const RECALLING: &str = "recalling";

/// The stores of who keeps recordings.
pub struct Stores {
    /// Packs.
    pub blobs: Arc<dyn BlobStore>,
    /// Heads and rows.
    pub catalog: Arc<dyn Catalog>,
    /// What opening them did.
    pub opened: Opened,
}

/// A pack that could not be deleted, and why.
type Left = Option<(BlobName, String)>;

/// What opening did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Why the catalog was built anew, and where the damaged one is now; `None` where it was sound.
    pub rebuilt: Option<(String, Option<PathBuf>)>,
    /// What is to be removed once everything is recalled; `None` where everything is.
    pub recalling: Option<PathBuf>,
    /// Holds and deletions that archived recordings told of, when it was built anew.
    pub recalled: Recalled,
    /// What was found in packs.
    pub adopted: Adopted,
    /// Rows that were made, when it was built anew.
    pub projected: Progress,
    /// The first pack that nothing points to and that could not be deleted, and why.
    pub left: Left,
}

/// Opens the spool.
///
/// # Errors
/// [`STATUS_NOT_READY`] when it was never made; [`STATUS_HELD`] when another process has it.
pub fn spool(node: &Node, dir: &DataDir, disk: Arc<dyn Disk>, who: &str) -> Result<Spool, Failure> {
    let path = made(&dir.spool())?;
    let options = SpoolOptions {
        bytes_max: node.spool_bytes_max.0,
        file_bytes_max: node.spool_file_bytes_max.0,
        holder: who.to_owned(),
    };
    Spool::open(&path, disk, options).map_err(|e| Failure::about(&path, &e))
}

/// The archive's options as the configuration has them.
#[must_use]
pub fn archive_options(store: &Store) -> ArchiveOptions {
    ArchiveOptions {
        pack_bytes: store.pack_bytes.0,
        pack_age_ns: u64::try_from(store.pack_age.0.as_nanos()).unwrap_or(u64::MAX),
    }
}

/// Opens blobs and catalog, adopts what a crash left between them, and deletes packs that nothing
/// points to any more. `keys` are the recorder keys of this cluster's services: only their recordings
/// are believed about holds and deletions.
///
/// # Errors
/// [`STATUS_NOT_READY`] when they were never made, or the catalog is of a later version;
/// [`STATUS_HELD`] when another process has them; otherwise [`STATUS_FAILED`].
pub fn open(dir: &DataDir, who: &str, keys: &[[u8; 32]]) -> Result<Stores, Failure> {
    let blobs = blobs(dir, who)?;
    let at = made(&dir.catalog())?;
    let broken = match at.join(REBUILDING).exists() {
        true => Some("building it anew was interrupted".to_owned()),
        false if is_gone(&*blobs, &at)? => Some("it is gone".to_owned()),
        false => match SqliteCatalog::open(&at, who) {
            Ok(catalog) => {
                let catalog: Arc<dyn Catalog> = Arc::new(catalog);
                match adopted(&*blobs, &*catalog, &at, keys) {
                    Ok((adopted, left, recalling)) => {
                        return Ok(Stores {
                            blobs,
                            catalog,
                            opened: Opened {
                                rebuilt: None,
                                recalling,
                                recalled: Recalled::default(),
                                adopted,
                                projected: Progress::default(),
                                left,
                            },
                        });
                    }
                    // A page that is only read now may be the broken one.
                    Err(e) => damaged_after_all(catalog, &at, who, &e.to_string())?,
                }
            }
            Err(CatalogError::Damaged(why)) => Some(why),
            Err(e) => return Err(sorted(&e)),
        },
    };
    rebuild(blobs, &at, who, keys, broken.unwrap_or_default())
}

/// Builds the catalog anew, whatever it was: `hansardd reindex`.
///
/// # Errors
/// As [`open`].
pub fn reindexed(
    dir: &DataDir,
    who: &str,
    keys: &[[u8; 32]],
    why: &str,
) -> Result<Stores, Failure> {
    let blobs = blobs(dir, who)?;
    let at = made(&dir.catalog())?;
    rebuild(blobs, &at, who, keys, why.to_owned())
}

/// Whether there is no catalog where there was one: an empty one is made where nothing was archived yet, and
/// never beside packs. It would not know what is held, and rules would delete that.
fn is_gone(blobs: &dyn BlobStore, at: &Path) -> Result<bool, Failure> {
    if SqliteCatalog::is_there(at) {
        return Ok(false);
    }
    let packs = blobs.list(hansard_store::pack::FAMILY, None, 1);
    let packs = packs.map_err(|e| Failure::about(at, &std::io::Error::other(e.to_string())))?;
    Ok(!packs.is_empty())
}

/// Adopts what no segment of the catalog is in, and answers where the mark is that holds and deletions are to be
/// recalled, if they are. They are where more was adopted than a crash leaves, which is one pack: then the
/// catalog is older than the packs, and what was held and deleted since is in them alone. So it may be of a
/// single pack with something of the service's own in it.
fn adopted(
    blobs: &dyn BlobStore,
    catalog: &dyn Catalog,
    at: &Path,
    keys: &[[u8; 32]],
) -> Result<(Adopted, Left, Option<PathBuf>), ArchiveError> {
    let failed = |e: std::io::Error| ArchiveError::Retry(format!("{}: {e}", shown(at)));
    let mark = at.join(RECALLING);
    let was_marked = mark.exists();
    if !was_marked {
        // Before, so that no crash leaves a catalog that looks as if it knew everything.
        std::fs::write(&mark, b"").map_err(failed)?;
        sync_dir(at).map_err(failed)?;
    }
    let adopted = adopt(blobs, catalog)?;
    let left = superfluous(blobs, catalog)?.left;
    let tells = keys.iter().any(|key| adopted.signers.contains(key));
    let is_older = tells || adopted.segments > 0 && adopted.packs > 1;
    if was_marked || is_older {
        return Ok((adopted, left, Some(mark)));
    }
    recalled(&mark).map_err(failed)?;
    Ok((adopted, left, None))
}

fn blobs(dir: &DataDir, who: &str) -> Result<Arc<dyn BlobStore>, Failure> {
    let path = made(&dir.archive())?;
    let blobs = FsBlobs::open(&path, who).map_err(|e| Failure::about(&path, &e))?;
    Ok(Arc::new(blobs))
}

/// Why the catalog must be built anew although it could be opened; otherwise the error.
fn damaged_after_all(
    catalog: Arc<dyn Catalog>,
    at: &Path,
    who: &str,
    why: &str,
) -> Result<Option<String>, Failure> {
    drop(catalog);
    let again = SqliteCatalog::open(at, who).and_then(|catalog| catalog.check());
    match again {
        Err(CatalogError::Damaged(why)) => Ok(Some(why)),
        Err(e) => Err(sorted(&e)),
        Ok(()) => Err(Failure::new(
            STATUS_FAILED,
            hansard_view::escape_for_humans(why),
            "see that the disk is sound and has room, and start again",
        )),
    }
}

/// Makes the mark that the catalog is being built anew, durably: a crash leaves what it said before, or no word.
fn marked(at: &Path, says: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create(at.join(REBUILDING))?;
    file.write_all(says)?;
    file.sync_all()?;
    sync_dir(at)
}

/// A crash in here leaves the mark, so the next start comes back here.
fn rebuild(
    blobs: Arc<dyn BlobStore>,
    at: &Path,
    who: &str,
    keys: &[[u8; 32]],
    why: String,
) -> Result<Stores, Failure> {
    let mark = at.join(REBUILDING);
    let failed = |e: std::io::Error| Failure::about(at, &e);
    // What an interrupted run has built is ours, and is gone on with; not what it had yet to put aside.
    let aside = match std::fs::read(&mark) {
        Ok(said) if said == PUT_ASIDE => None,
        _ => {
            marked(at, b"").map_err(failed)?;
            let aside = set_aside(at, who).map_err(failed)?;
            marked(at, PUT_ASIDE).map_err(failed)?;
            aside
        }
    };
    let catalog = match SqliteCatalog::open(at, who) {
        Err(CatalogError::Damaged(_)) => {
            set_aside(at, who).map_err(failed)?;
            SqliteCatalog::open(at, who)
        }
        done => done,
    };
    let catalog: Arc<dyn Catalog> = Arc::new(catalog.map_err(|e| sorted(&e))?);
    let unfinished = |e: ArchiveError| {
        let what = format!("the catalog could not be built anew: {e}");
        let next = "nothing is lost; see that the disk has room, and run it again";
        Failure::new(STATUS_FAILED, what, next)
    };
    let (adopted, projected) = reindex(&blobs, &catalog).map_err(unfinished)?;
    let recalled = recall(&*catalog, keys).map_err(unfinished)?;
    // What the newest recordings tell is in the spool yet. This stands before the other mark goes,
    // so that no crash leaves a catalog that looks as if it knew everything.
    let recalling = at.join(RECALLING);
    std::fs::write(&recalling, b"").map_err(failed)?;
    sync_dir(at).map_err(failed)?;
    std::fs::remove_file(&mark).map_err(failed)?;
    sync_dir(at).map_err(failed)?;
    Ok(Stores {
        blobs,
        catalog,
        opened: Opened {
            rebuilt: Some((why, aside)),
            recalling: Some(recalling),
            recalled,
            adopted,
            projected,
            left: None,
        },
    })
}

/// Everything is recalled: this file is removed, durably.
///
/// # Errors
/// What the system says; it is there then, and the next start recalls again.
pub fn recalled(mark: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(mark) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    mark.parent().map_or(Ok(()), sync_dir)
}

fn sync_dir(path: &Path) -> std::io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}

/// The directory, if `hansardd init` made it.
fn made(path: &Path) -> Result<PathBuf, Failure> {
    match path.is_dir() {
        true => Ok(path.to_owned()),
        false => Err(Failure::new(
            STATUS_NOT_READY,
            format!("{} is not there", shown(path)),
            "bring it back from where it went; only `hansardd init` makes one, in an empty data_dir",
        )),
    }
}

fn sorted(error: &CatalogError) -> Failure {
    let what = hansard_view::escape_for_humans(&error.to_string()).into_owned();
    match error {
        CatalogError::Retry(_) if what.contains("held by") => {
            Failure::new(STATUS_HELD, what, "stop that process first")
        }
        CatalogError::Retry(_) => Failure::new(STATUS_FAILED, what, "try again"),
        CatalogError::Damaged(_) => Failure::new(
            STATUS_FAILED,
            what,
            "run `hansardd reindex` while the daemon is stopped",
        ),
        CatalogError::Refused(_) => Failure::new(
            STATUS_NOT_READY,
            what,
            "install the version of hansardd that made it, or run `hansardd reindex`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use hansard_core::SessionId;
    use hansard_core::event::End;
    use hansard_core::seal::SigningKey;
    use hansard_core::writer::{Bounds, SegmentWriter};
    use hansard_store::blob::memory::MemoryBlobs;
    use hansard_store::catalog::memory::MemoryCatalog;
    use hansard_store::project::unknown_header;
    use hansard_store::{Archive, SealedSegment};

    use super::*;

    /// A catalog that was put back from a copy which is one pack older looks as if a crash had left that pack.
    #[test]
    fn what_one_pack_of_the_services_own_tells_is_recalled() {
        let key = SigningKey::from_seed([1; 32]);
        let mut header = unknown_header(SessionId::from_bytes([1; 16]));
        header.recorder_key = key.public();
        let mut writer = SegmentWriter::new(header, key.clone(), Bounds::default()).unwrap();
        writer.finish(5, &End::default()).unwrap();
        let segment = SealedSegment::from_parts(&writer.parts()).unwrap();
        let blobs = MemoryBlobs::default();
        let newer = Arc::new(MemoryCatalog::default());
        let archive = Archive::new(Arc::new(blobs.clone()), newer, ArchiveOptions::default());
        assert!(archive.put(&[segment], 0).receipts[0].is_ok());
        let dir = std::env::temp_dir().join(format!("hansardd-older-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let marked = |keys: &[[u8; 32]]| {
            let older = MemoryCatalog::default();
            let (adopted, _, mark) = adopted(&blobs, &older, &dir, keys).unwrap();
            assert_eq!((adopted.packs, adopted.segments), (1, 1));
            mark.is_some()
        };
        assert!(!marked(&[[9; 32]]));
        assert!(marked(&[key.public()]));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// A crash between the mark and the setting aside leaves the catalog that is doubted under its name.
    #[test]
    fn a_catalog_that_a_crash_left_in_place_does_not_pass_for_one_that_was_built() {
        let dir = std::env::temp_dir().join(format!("hansardd-aside-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let aside = |says: &[u8]| {
            drop(SqliteCatalog::open(&dir, "test").unwrap());
            marked(&dir, says).unwrap();
            let blobs = Arc::new(MemoryBlobs::default());
            let stores = rebuild(blobs, &dir, "test", &[], "broken".to_owned()).unwrap();
            assert!(!dir.join(REBUILDING).exists());
            stores.opened.rebuilt.unwrap().1
        };
        assert!(aside(b"").unwrap().exists());
        assert_eq!(aside(PUT_ASIDE), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
