//! What a crash left behind the cursor: lines that are there and were never promised.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use hansard_core::SessionId;
use hansard_record::disk::{Disk, DiskFile, read_full_at, write_all_at};
use hansard_view::limits::DOCUMENT_BYTES_MAX;
use serde_json::Value as Json;

use super::cursor::{Place, Said, load};
use super::day::Day;
use super::file::named;
use super::sessions::SESSIONS_MAX;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;

/// The last event of a session that is in the log behind the cursor: its number, and how many of its
/// documents are there.
pub(super) type Ahead = HashMap<SessionId, (u64, u32)>;

/// Reads the cursor and the lines behind it, and cuts off what is no line: from the first byte on
/// that was never wholly written.
pub(super) fn find(disk: &dyn Disk, dir: &Path) -> io::Result<Said> {
    let mut said = load(disk, dir)?;
    // Without a cursor the newest file says how far it itself is, and the catalog how far the
    // sessions are that were archived.
    let place = match said.place.take() {
        Some(place) => Some(place),
        None => newest(disk, dir)?,
    };
    if let Some(place) = place {
        scan(disk, dir, &place, &mut said.ahead)?;
    }
    Ok(said)
}

fn newest(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Place>> {
    let names = disk.list(dir)?;
    let days = names.iter().filter_map(|name| {
        let name = name.to_str()?;
        Some((Day::of_file(name)?, name)).filter(|(day, name)| day.file_name() == *name)
    });
    Ok(days.max().map(|(_, name)| Place {
        file: name.to_owned(),
        offset: 0,
    }))
}

/// Reads whole lines from this place on.
fn scan(disk: &dyn Disk, dir: &Path, place: &Place, ahead: &mut Ahead) -> io::Result<()> {
    let path = dir.join(&place.file);
    let file = match disk.open(&path) {
        Ok(file) => file,
        // Somebody removed it; what was in it is in the archive.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(named(&path, "open", &e)),
    };
    let size = file.size()?;
    let (mut good, mut read_to) = (place.offset.min(size), place.offset.min(size));
    let mut rest: Vec<u8> = Vec::new();
    let mut buf = vec![0; READ_BYTES];
    let mut broken = false;
    loop {
        let read = read_full_at(&*file, read_to, &mut buf).map_err(|e| named(&path, "read", &e))?;
        rest.extend_from_slice(buf.get(..read).unwrap_or_default());
        read_to = read_to.saturating_add(read as u64);
        let mut done = 0;
        for line in rest.split_inclusive(|b| *b == b'\n') {
            if line.last() != Some(&b'\n') {
                break;
            }
            if !note(line, ahead) {
                broken = true;
                break;
            }
            done += line.len();
        }
        // Written again, since a sync that failed before the crash may have left them readable and
        // not durable; the sync below would say nothing about that.
        let lines = rest.get(..done).unwrap_or_default();
        write_all_at(&*file, good, lines).map_err(|e| named(&path, "write", &e))?;
        good = good.saturating_add(done as u64);
        rest.drain(..done);
        if broken || read < buf.len() || rest.len() > DOCUMENT_BYTES_MAX {
            break;
        }
    }
    cut(&*file, good, size).map_err(|e| named(&path, "cut", &e))?;
    file.sync_data().map_err(|e| named(&path, "sync", &e))
}

/// Notes whose line it is; answers whether it is one.
fn note(line: &[u8], ahead: &mut Ahead) -> bool {
    let read = || -> Option<(SessionId, u64)> {
        let json: Json = serde_json::from_slice(line).ok()?;
        let session = json.get("sid")?.as_str()?.parse().ok()?;
        Some((session, json.get("ei")?.as_u64()?))
    };
    let Some((session, seq)) = read() else {
        return false;
    };
    if ahead.len() < SESSIONS_MAX || ahead.contains_key(&session) {
        let last = ahead.entry(session).or_insert((seq, 0));
        *last = match last.0 == seq {
            true => (seq, last.1.saturating_add(1)),
            false => (seq, 1),
        };
    }
    true
}

fn cut(file: &dyn DiskFile, good: u64, size: u64) -> io::Result<()> {
    match good < size {
        true => file.truncate(good),
        false => Ok(()),
    }
}
