//! What nobody wants to know: files that were opened below some directories, and what some programs do
//! with files and connections.
//!
//! The kernel is told which files and directories these are, not their names: no link and no mount
//! makes another one look like them. What is left out it counts, and each recording says how much.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use libbpf_rs::{MapCore, MapFlags};
use rustix::fs::{Mode, OFlags};

/// Most paths, and most programs, that may be left out. More are refused by the configuration.
pub const LEFT_OUT_MAX: usize = 256;

/// As which something is left out, as in `ebpf/record.h`.
const AS_PATH: u32 = 1;
const AS_PROGRAM: u32 = 2;

/// Bytes of `struct identity` there.
const IDENTITY_BYTES: usize = 16;

/// What is not told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// Files that are opened below these directories (or that are these files), on the file system
    /// that the directory is on. What else is done to them is told.
    pub paths: Vec<PathBuf>,
    /// Programs whose files and connections are not told. That they are started, and how they end, is.
    pub programs: Vec<PathBuf>,
}

/// What these are, now.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    identities: Vec<[u8; IDENTITY_BYTES]>,
    /// As which there are any, for the programs in the kernel to look at all.
    pub(super) bits: u32,
    /// Those that are not there: nothing of them is left out.
    pub(super) absent: Vec<PathBuf>,
}

impl LeftOut {
    /// Looks which files these are.
    pub(super) fn find(&self) -> Found {
        let mut found = Found::default();
        for (paths, kind) in [(&self.paths, AS_PATH), (&self.programs, AS_PROGRAM)] {
            for path in paths.iter().take(LEFT_OUT_MAX) {
                match identity(path, kind) {
                    Some(identity) => {
                        found.identities.push(identity);
                        found.bits |= kind;
                    }
                    None => found.absent.push(path.clone()),
                }
            }
        }
        found
    }
}

impl Found {
    /// All that the kernel is told.
    pub(super) fn identities(&self) -> Vec<u8> {
        self.identities.concat()
    }

    /// Tells the kernel.
    pub(super) fn put(&self, map: &impl MapCore) -> libbpf_rs::Result<()> {
        let yes = 1u32.to_ne_bytes();
        self.identities
            .iter()
            .try_for_each(|identity| map.update(identity, &yes, MapFlags::ANY))
    }
}

/// `struct identity` of what is at this path: as the kernel itself has it. What `stat` answers is
/// something else on file systems that lie over others.
fn identity(path: &Path, kind: u32) -> Option<[u8; IDENTITY_BYTES]> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    let said = |name: &str| {
        let line = about.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    };
    // Kernels before 5.14 do not say it.
    let inode = match said("ino:") {
        Some(inode) => inode,
        None => rustix::fs::fstat(&file).ok()?.st_ino,
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let device = device(&mounts, said("mnt_id:")?)?;
    let parts = [
        inode.to_ne_bytes().to_vec(),
        device.to_ne_bytes().to_vec(),
        kind.to_ne_bytes().to_vec(),
    ];
    parts.concat().try_into().ok()
}

/// The kernel's number of the file system that is mounted under this number (proc(5)): twenty bits are
/// for the minor one.
fn device(mounts: &str, mount: u64) -> Option<u32> {
    let line = mounts.lines().find(|line| {
        let id = line.split(' ').next();
        id.and_then(|id| id.parse().ok()) == Some(mount)
    })?;
    let (major, minor) = line.split(' ').nth(2)?.split_once(':')?;
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    major.checked_mul(1 << 20)?.checked_add(minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found_and_what_is_not_is_said() {
        let own = std::env::current_exe().unwrap();
        let left_out = LeftOut {
            paths: vec!["/".into(), "/none/such".into()],
            programs: vec![own],
        };
        let found = left_out.find();
        assert_eq!((found.identities.len(), found.bits), (2, 3));
        assert_eq!(found.absent, [PathBuf::from("/none/such")]);
        assert_eq!(LeftOut::default().find().bits, 0);
    }

    #[test]
    fn devices_are_numbered_as_the_kernel_does() {
        let mounts = "24 30 0:22 / /proc rw - proc proc rw\n30 1 253:2 / / rw - ext4 /dev/x rw\n";
        assert_eq!(device(mounts, 24), Some(22));
        assert_eq!(device(mounts, 30), Some(253 << 20 | 2));
        assert_eq!(device(mounts, 4), None);
        assert_eq!(device("30 1 x", 30), None);
    }
}
