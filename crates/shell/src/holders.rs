//! Who still holds a pipe whose program has ended.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Who holds the writing end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holders {
    /// A process of our own session: a background job, which a shell's pipeline would wait for.
    Ours,
    /// Only processes that left the session: daemons.
    Daemons,
    /// It cannot be seen.
    Unknown,
}

/// Looks for processes that hold the pipe on this descriptor open, other than this one.
pub(crate) fn holders(pipe: BorrowedFd<'_>) -> Holders {
    let Ok(stat) = rustix::fs::fstat(pipe.as_fd()) else {
        return Holders::Unknown;
    };
    let wanted = format!("pipe:[{}]", stat.st_ino);
    // Everything is read from one /proc, so that the numbers are those of one pid namespace. In a
    // container our session's leader may be outside of it: the session is then 0, ours as well.
    let (Some((group, session)), Some(own), Ok(processes)) = (
        session_of(Path::new("/proc/self")),
        fs::read_link("/proc/self")
            .ok()
            .and_then(|to| number(to.as_os_str())),
        fs::read_dir("/proc"),
    ) else {
        return Holders::Unknown;
    };
    let mut found = Holders::Unknown;
    for process in processes.flatten() {
        let Some(pid) = number(&process.file_name()) else {
            continue;
        };
        if pid == own {
            continue;
        }
        match holds(&process.path(), &wanted) {
            Some(false) => {}
            Some(true) if session_of(&process.path()).is_some_and(|(_, s)| s == session) => {
                return Holders::Ours;
            }
            Some(true) => found = Holders::Daemons,
            // Another user's process in our own process group (`sudo` in the background).
            None if session_of(&process.path()).is_some_and(|(g, _)| g == group)
                && is_foreign(&process.path()) =>
            {
                return Holders::Ours;
            }
            None => {}
        }
    }
    found
}

fn number(name: &OsStr) -> Option<i32> {
    std::str::from_utf8(name.as_bytes()).ok()?.parse().ok()
}

/// Whether a process holds it; nothing if that may not be seen.
fn holds(process: &Path, wanted: &str) -> Option<bool> {
    let descriptors = fs::read_dir(process.join("fd")).ok()?;
    let is_it = |path: &Path| fs::read_link(path).is_ok_and(|to| to.as_os_str() == wanted);
    Some(descriptors.flatten().any(|entry| is_it(&entry.path())))
}

fn is_foreign(process: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fs::metadata(process).is_ok_and(|meta| meta.uid() != own)
}

/// Process group and session, from `stat`: the third and fourth field after the name, which stands
/// in parentheses and may itself contain some.
fn session_of(process: &Path) -> Option<(i32, i32)> {
    let stat = fs::read(process.join("stat")).ok()?;
    let after = stat.iter().rposition(|b| *b == b')')? + 1;
    let rest = std::str::from_utf8(stat.get(after..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace().skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn until(reader: &std::io::PipeReader, wanted: Holders) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while holders(reader.as_fd()) != wanted && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(holders(reader.as_fd()), wanted);
    }

    #[test]
    fn jobs_and_daemons_are_told_apart() {
        let (reader, writer) = std::io::pipe().unwrap();
        let copy = writer.try_clone().unwrap();
        let mut job = Command::new("sleep")
            .arg("60")
            .stdout(Stdio::from(copy))
            .spawn()
            .unwrap();
        assert_eq!(holders(reader.as_fd()), Holders::Ours);
        job.kill().unwrap();
        job.wait().unwrap();
        // What other tests start meanwhile has our descriptors until it is their program.
        until(&reader, Holders::Unknown);
        let mut daemon = Command::new("setsid")
            .args(["sleep", "60"])
            .stdout(Stdio::from(writer))
            .spawn()
            .unwrap();
        until(&reader, Holders::Daemons);
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }
}
