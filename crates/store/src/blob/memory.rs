//! Blobs in memory that fail on purpose.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::blob::{BlobError, BlobName, BlobStore, Listed, is_family};
use crate::fault::{Fault, Faults};
use crate::limits::{BLOB_BYTES_MAX, BLOB_LIST_MAX};

/// The store. Clones are the same store, so that what it holds outlives whoever used it.
#[derive(Clone, Default)]
pub struct MemoryBlobs {
    kept: Arc<Mutex<BTreeMap<BlobName, Vec<u8>>>>,
    faults: Faults,
}

impl MemoryBlobs {
    /// An empty store that fails under this plan.
    #[must_use]
    pub fn new(faults: Faults) -> Self {
        Self {
            kept: Arc::default(),
            faults,
        }
    }

    /// Flips a bit of a blob, as a failing medium or a forger does.
    pub fn rot(&self, name: &BlobName, at: usize, bit: u8) {
        if let Some(byte) = self.kept().get_mut(name).and_then(|b| b.get_mut(at)) {
            *byte ^= 1 << (bit & 7);
        }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<BlobName, Vec<u8>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something under the plan.
    fn call<T>(&self, act: impl FnOnce() -> Result<T, BlobError>) -> Result<T, BlobError> {
        match self.faults.enter() {
            None => act(),
            Some(Fault::Before | Fault::Partly) => Err(told()),
            Some(Fault::After) => act().and_then(|_| Err(told())),
        }
    }
}

fn told() -> BlobError {
    BlobError::Retry("told to fail".to_owned())
}

impl BlobStore for MemoryBlobs {
    fn put(&self, name: &BlobName, bytes: &[u8]) -> Result<(), BlobError> {
        self.call(|| {
            if bytes.len() > BLOB_BYTES_MAX {
                return Err(BlobError::Refused(format!("{name} is too long")));
            }
            let mut kept = self.kept();
            match kept.get(name) {
                Some(there) if there == bytes => Ok(()),
                Some(_) => Err(BlobError::Conflict(format!("{name} has other bytes"))),
                None => {
                    kept.insert(name.clone(), bytes.to_vec());
                    Ok(())
                }
            }
        })
    }

    fn read(&self, name: &BlobName, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        self.call(|| {
            if range.end.saturating_sub(range.start) > BLOB_BYTES_MAX as u64 {
                return Err(BlobError::Refused(format!("{name}: the range is too long")));
            }
            let kept = self.kept();
            let Some(bytes) = kept.get(name) else {
                return Err(BlobError::NotFound(name.to_string()));
            };
            let clamp = |n: u64| usize::try_from(n).map_or(bytes.len(), |n| n.min(bytes.len()));
            let range = clamp(range.start)..clamp(range.end);
            Ok(bytes.get(range).unwrap_or_default().to_vec())
        })
    }

    fn size(&self, name: &BlobName) -> Result<u64, BlobError> {
        self.call(|| match self.kept().get(name) {
            Some(bytes) => Ok(bytes.len() as u64),
            None => Err(BlobError::NotFound(name.to_string())),
        })
    }

    fn list(
        &self,
        family: &str,
        after: Option<&BlobName>,
        limit: usize,
    ) -> Result<Vec<Listed>, BlobError> {
        self.call(|| {
            if !is_family(family) {
                return Err(BlobError::Refused(format!("{family:?} is no family")));
            }
            let kept = self.kept();
            let found = kept
                .iter()
                .filter(|(name, _)| name.family() == family && after.is_none_or(|a| *name > a));
            Ok(found
                .take(limit.min(BLOB_LIST_MAX))
                .map(|(name, bytes)| Listed {
                    name: name.clone(),
                    bytes: bytes.len() as u64,
                })
                .collect())
        })
    }

    fn delete(&self, name: &BlobName) -> Result<(), BlobError> {
        self.call(|| {
            self.kept().remove(name);
            Ok(())
        })
    }
}
