//! Parts that nobody takes, put aside as files: a conflict or a refusal loses no evidence.
//!
//! A directory for each session, in it a file for each part: `SSSSSS-IIIIII.part` for a frame,
//! `SSSSSS-seal.part` for a seal (segment, index). Sorted by name and one after another they are
//! what was recorded from there on. Where two different parts claim one place, the later one's
//! name gets `.1`, `.2`, ….

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hansard_core::SessionId;
use hansard_core::frame::{Part, Place};

use crate::disk::{Disk, DiskFile, parent, read_full_at, write_all_at};
use crate::order::Spot;

/// Different parts that are kept for one place; one more is an error, and its part stays where it
/// is.
const VARIANTS_MAX: u32 = 64;

/// Where parts are put aside. Clones are the same place.
#[derive(Clone)]
pub struct Quarantine {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Quarantine {
    /// In this directory, which is made when it is first needed (its parent must be there).
    #[must_use]
    pub fn new(dir: &Path, disk: Arc<dyn Disk>) -> Self {
        Self {
            dir: dir.to_owned(),
            disk,
        }
    }

    /// Where the parts of a session are.
    #[must_use]
    pub fn of(&self, session: SessionId) -> PathBuf {
        self.dir.join(session.to_string())
    }

    /// Writes parts, which are durable when it returns. The same again changes nothing.
    ///
    /// # Errors
    /// What the system says; any of the parts may be there then.
    pub fn put(&self, parts: &[Part]) -> io::Result<()> {
        let mut dirs: Vec<PathBuf> = Vec::new();
        for part in parts {
            let dir = self.of(part.session());
            if !dirs.contains(&dir) {
                self.disk.create_dir(&self.dir)?;
                self.disk.sync_dir(parent(&self.dir))?;
                self.disk.create_dir(&dir)?;
                self.disk.sync_dir(&self.dir)?;
                dirs.push(dir.clone());
            }
            self.put_one(&dir, part)?;
        }
        dirs.iter().try_for_each(|dir| self.disk.sync_dir(dir))
    }

    fn put_one(&self, dir: &Path, part: &Part) -> io::Result<()> {
        let name = name_of(Spot::of(part));
        for variant in 0..VARIANTS_MAX {
            let path = match variant {
                0 => dir.join(&name),
                n => dir.join(format!("{name}.{n}")),
            };
            match self.disk.open(&path) {
                Ok(file) if holds(&*file, part.bytes())? => return file.sync_data(),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    return self.write(dir, &path, part.bytes());
                }
                Err(e) => return Err(e),
            }
        }
        let path = dir.join(name);
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{}: {VARIANTS_MAX} different parts there", path.display()),
        ))
    }

    /// Writes a file whole under another name first: a crash in here leaves `new`, which the next
    /// one replaces.
    fn write(&self, dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let new = dir.join("new");
        match self.disk.remove(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
        let file = self.disk.create_new(&new)?;
        write_all_at(&*file, 0, bytes)?;
        file.sync_data()?;
        self.disk.rename(&new, path)
    }
}

/// Whether a file holds these bytes and nothing else.
fn holds(file: &dyn DiskFile, bytes: &[u8]) -> io::Result<bool> {
    let mut there = vec![0; bytes.len().saturating_add(1)];
    let read = read_full_at(file, 0, &mut there)?;
    Ok(there.get(..read) == Some(bytes))
}

fn name_of(spot: Spot) -> String {
    let segment = spot.segment;
    match spot.place {
        Place::Frame(index) => format!("{segment:06}-{index:06}.part"),
        Place::Seal => format!("{segment:06}-seal.part"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::sample_parts;
    use crate::sim::SimDisk;
    use hansard_core::Frame;

    #[test]
    fn parts_put_aside_are_there_once_in_order_and_after_a_loss_of_power() {
        let disk = SimDisk::new(1);
        let quarantine = Quarantine::new(Path::new("/aside"), Arc::new(disk.clone()));
        let parts = sample_parts(1).unwrap();
        quarantine.put(&parts[..30]).unwrap();
        quarantine.put(&parts).unwrap();
        // Another part in a place that is taken is kept beside it.
        let mut other = parts[3].clone();
        let (Part::Frame(Frame { bytes, .. }) | Part::Seal(hansard_core::Seal { bytes, .. })) =
            &mut other;
        bytes.push(1);
        quarantine.put(&[other.clone()]).unwrap();

        let disk = disk.after_power_loss(1);
        let dir = quarantine.of(parts[0].session());
        let names = disk.list(&dir).unwrap();
        assert_eq!(names.len(), parts.len() + 1, "{names:?}");
        let read = |name: &std::ffi::OsStr| {
            let file = disk.open(&dir.join(name)).unwrap();
            let mut bytes = vec![0; usize::try_from(file.size().unwrap()).unwrap()];
            read_full_at(&*file, 0, &mut bytes).unwrap();
            bytes
        };
        let (extra, kept): (Vec<_>, Vec<_>) = names
            .iter()
            .partition(|name| name.to_str().unwrap().ends_with(".1"));
        let all: Vec<u8> = kept.iter().flat_map(|name| read(name)).collect();
        let expected: Vec<u8> = parts.iter().flat_map(|p| p.bytes().to_vec()).collect();
        assert_eq!(all, expected);
        assert_eq!(read(extra[0]), other.bytes());
    }
}
