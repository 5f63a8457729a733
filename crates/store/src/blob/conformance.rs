//! What every blob store must do, as a suite that any implementation can be put through.

use std::sync::Arc;

use crate::blob::{BlobError, BlobName, BlobStore};
use crate::limits::BLOB_BYTES_MAX;

/// A rule: what it is called, and the function that tries it on an empty store.
type Rule = (&'static str, fn(&Arc<dyn BlobStore>) -> Result<(), String>);

/// The rules, in the words of the contract.
const RULES: [Rule; 8] = [
    ("what is put is read, and in ranges", reads_ranges),
    ("the same bytes again succeed", repeats),
    ("other bytes are a conflict and change nothing", conflicts),
    ("what is not there is not found", misses),
    ("listings are in order and go on after a name", lists),
    ("what is deleted is gone, and may be put anew", deletes),
    ("what is too long is refused", refuses),
    ("threads that put at the same time do not mix", many_threads),
];

/// Puts fresh, empty stores through every rule.
///
/// # Errors
/// The first rule that is broken, and how.
pub fn check(mut fresh: impl FnMut() -> Arc<dyn BlobStore>) -> Result<(), String> {
    for (name, rule) in RULES {
        rule(&fresh()).map_err(|how| format!("{name}: {how}"))?;
    }
    Ok(())
}

fn name(text: &str) -> Result<BlobName, String> {
    BlobName::parse(text).map_err(|e| e.to_string())
}

fn must<T>(what: &str, done: Result<T, BlobError>) -> Result<T, String> {
    done.map_err(|e| format!("{what}: {e:?}"))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Result<(), String> {
    if got == wanted {
        return Ok(());
    }
    Err(format!("{what}: {got:?}, not {wanted:?}"))
}

fn reads_ranges(store: &Arc<dyn BlobStore>) -> Result<(), String> {
    let bytes: Vec<u8> = (0..=255u8).cycle().take(100_000).collect();
    let blob = name("pack/00aa")?;
    must("put", store.put(&blob, &bytes))?;
    same("size", must("size", store.size(&blob))?, 100_000)?;
    for (start, end) in [
        (0u64, 100_000u64),
        (0, 0),
        (7, 8),
        (65_535, 65_537),
        (99_999, 100_000),
    ] {
        let range = usize::try_from(start).map_err(|e| e.to_string())?
            ..usize::try_from(end).map_err(|e| e.to_string())?;
        let got = must("read", store.read(&blob, start..end))?;
        if Some(got.as_slice()) != bytes.get(range) {
            return Err(format!(
                "bytes {start} to {end} are not those that were put"
            ));
        }
    }
    let beyond = must("read", store.read(&blob, 99_990..200_000))?;
    same("bytes up to the end", beyond.len(), 10)?;
    let after = must("read", store.read(&blob, 100_000..100_010))?;
    same("bytes after the end", after.len(), 0)?;
    let empty = name("pack/00ab")?;
    must("put nothing", store.put(&empty, &[]))?;
    same("size of nothing", must("size", store.size(&empty))?, 0)
}

fn repeats(store: &Arc<dyn BlobStore>) -> Result<(), String> {
    let blob = name("pack/aa")?;
    for _ in 0..3 {
        must("put", store.put(&blob, b"one"))?;
    }
    let listed = must("list", store.list("pack", None, 10))?;
    same("blobs", listed.len(), 1)
}

fn conflicts(store: &Arc<dyn BlobStore>) -> Result<(), String> {
    let blob = name("pack/aa")?;
    must("put", store.put(&blob, b"one"))?;
    for other in [&b"two"[..], b"", b"on", b"onee"] {
        match store.put(&blob, other) {
            Err(BlobError::Conflict(_)) => {}
            done => return Err(format!("{other:?}: {done:?}")),
        }
        let there = must("read", store.read(&blob, 0..10))?;
        same("what is there", there, b"one".to_vec())?;
    }
    Ok(())
}

fn misses(store: &Arc<dyn BlobStore>) -> Result<(), String> {
    let blob = name("pack/aa")?;
    let found = [
        store.read(&blob, 0..1).map(drop),
        store.size(&blob).map(drop),
    ];
    if let Some(found) = found
        .iter()
        .find(|f| !matches!(f, Err(BlobError::NotFound(_))))
    {
        return Err(format!("{found:?}"));
    }
    let listed = must("list", store.list("pack", None, 10))?;
    same("listed", listed.len(), 0)?;
    match store.list("../pack", None, 10) {
        Err(BlobError::Refused(_)) => Ok(()),
        other => Err(format!("a family that is none: {other:?}")),
    }
}

fn lists(store: &Arc<dyn BlobStore>) -> Result<(), String> {
    let mut names = Vec::new();
    for i in 0..60u64 {
        // Spread, with one in each order of insertion out of place.
        let blob = name(&format!("pack/{:02x}-{i:03}", (i * 37) % 256))?;
        must("put", store.put(&blob, &i.to_le_bytes()))?;
        names.push(blob);
    }
    must("put", store.put(&name("packs/00")?, b"another family"))?;
    must("put", store.put(&name("pac/zz")?, b"another family"))?;
    names.sort();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = must("list", store.list("pack", after.as_ref(), 7))?;
        let Some(last) = page.last() else {
            break;
        };
        if page.len() > 7 || page.iter().any(|l| l.bytes != 8) {
            return Err("a page is too long, or a length is wrong".to_owned());
        }
        after = Some(last.name.clone());
        found.extend(page.into_iter().map(|l| l.name));
    }
    same("names", found, names)?;
    // Going on after a name that is not there.
    let between = name("pack/7f")?;
    let page = must("list", store.list("pack", Some(&between), 1))?;
    same(
        "the next is behind",
        page.first().is_some_and(|l| l.name > between),
        true,
    )
}

fn deletes(store: &Arc<dyn BlobStore>) -> Result<(), String> {
    let blob = name("pack/aa")?;
    must("delete what is not there", store.delete(&blob))?;
    must("put", store.put(&blob, b"one"))?;
    must("delete", store.delete(&blob))?;
    match store.read(&blob, 0..1) {
        Err(BlobError::NotFound(_)) => {}
        other => return Err(format!("after the deletion: {other:?}")),
    }
    must("put anew", store.put(&blob, b"two"))?;
    let there = must("read", store.read(&blob, 0..10))?;
    same("what is there", there, b"two".to_vec())
}

fn refuses(store: &Arc<dyn BlobStore>) -> Result<(), String> {
    let blob = name("pack/aa")?;
    match store.put(&blob, &vec![0; BLOB_BYTES_MAX + 1]) {
        Err(BlobError::Refused(_)) => {}
        other => return Err(format!("a put: {other:?}")),
    }
    match store.read(&blob, 0..u64::MAX) {
        Err(BlobError::Refused(_)) => Ok(()),
        other => Err(format!("a read: {other:?}")),
    }
}

fn many_threads(store: &Arc<dyn BlobStore>) -> Result<(), String> {
    let mut outcomes = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16u8)
            .map(|t| scope.spawn(move || one_thread(store, t)))
            .collect();
        for thread in threads {
            outcomes.push(thread.join());
        }
    });
    for outcome in outcomes {
        outcome.map_err(|_| "a thread panicked".to_owned())??;
    }
    let listed = must("list", store.list("pack", None, 1000))?;
    same("blobs", listed.len(), 16 * 8 + 1)
}

/// Eight blobs of this thread's own, and one that all threads put.
fn one_thread(store: &Arc<dyn BlobStore>, thread: u8) -> Result<(), String> {
    for i in 0..8u8 {
        let blob = name(&format!("pack/{thread:02x}{i:02x}"))?;
        must("put", store.put(&blob, &[thread, i]))?;
        let there = must("read", store.read(&blob, 0..10))?;
        same("its bytes", there, vec![thread, i])?;
        must("put", store.put(&name("pack/ffff")?, b"all"))?;
    }
    Ok(())
}
