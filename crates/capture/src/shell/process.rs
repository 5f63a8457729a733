//! What the system says of a process.

use std::fs;

use hansard_shell::group_of;

/// The fields of `/proc/PID/stat` that say where a process belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// It has ended, and its parent has not asked how.
    pub(super) is_over: bool,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// The device of its terminal; 0 for none.
    pub(super) terminal: i32,
    /// The group that has that terminal; -1 for none.
    pub(super) foreground: i32,
    /// When it started, in ticks since the machine did.
    pub(super) started: u64,
}

/// A process, which no later one is taken for: a number is given again, the same start is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: i32,
    /// When it started, in ticks since the machine did.
    pub(crate) started: u64,
}

impl Process {
    /// Who has this number now; `None` when nobody has.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let started = stat(pid)?.started;
        Some(Self { pid, started })
    }

    /// The same, if it is this user's: real, effective and saved, so that it is nothing that the user could
    /// only start.
    pub(crate) fn of_user(pid: i32, uid: u32) -> Option<Self> {
        let found = Self::of(pid)?;
        (uids(pid)? == [uid; 3] && found.is_there()).then_some(found)
    }

    /// What the system says of it; `None` when it is gone.
    pub(super) fn stat(self) -> Option<Stat> {
        stat(self.pid).filter(|stat| stat.started == self.started)
    }

    /// Whether it is there, if only to be waited for.
    pub(crate) fn is_there(self) -> bool {
        self.stat().is_some()
    }

    /// Whatever this says of its number, if that was its own still when it was said.
    pub(crate) fn asked<T>(self, what: impl FnOnce(i32) -> T) -> Option<T> {
        let said = what(self.pid);
        self.is_there().then_some(said)
    }
}

/// Whose a process is: real, effective, saved.
fn uids(pid: i32) -> Option<[u32; 3]> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let mut uids = line.split_ascii_whitespace().map(str::parse);
    let mut next = || uids.next()?.ok();
    Some([next()?, next()?, next()?])
}

/// Of this process; `None` when it is gone.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name stands in parentheses and may itself contain some: what counts is behind the last.
fn parse(stat: &[u8]) -> Option<Stat> {
    let after = stat.iter().rposition(|b| *b == b')')? + 1;
    let rest = std::str::from_utf8(stat.get(after..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let is_over = matches!(fields.next()?, "Z" | "X");
    let mut next = || fields.next()?.parse().ok();
    Some(Stat {
        is_over,
        parent: next()?,
        group: next()?,
        session: next()?,
        terminal: next()?,
        foreground: next()?,
        started: fields.nth(13)?.parse().ok()?,
    })
}

/// The number of the audit session that a process belongs to; nobody but the system changes it.
pub(super) fn audit_session(pid: i32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/sessionid")).ok()?;
    let number = text.trim().parse().ok()?;
    (number != u32::MAX).then_some(number)
}

/// The names of the groups of a process, its effective one first; numbers where they have none.
pub(crate) fn groups(pid: i32) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let own = line("Gid:").and_then(|gids| gids.split_ascii_whitespace().nth(1));
    let others = line("Groups:").unwrap_or_default();
    let mut numbers: Vec<&str> = own.into_iter().collect();
    for number in others.split_ascii_whitespace() {
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    let name = |number: &str| number.parse().ok().and_then(group_of);
    numbers
        .into_iter()
        .map(|number| name(number).unwrap_or_else(|| number.to_owned()))
        .collect()
}

/// The group with this name.
pub(super) fn group_number(name: &str) -> Option<u32> {
    let known = fs::read_to_string("/etc/group").ok()?;
    known.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// All processes there are.
pub(super) fn all() -> Vec<i32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_hides_nothing() {
        let line = b"12 (a) R 1 (b) S 7 8 9 34816 10 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 99";
        let found = parse(line).unwrap();
        let expected = Stat {
            is_over: false,
            parent: 7,
            group: 8,
            session: 9,
            terminal: 34816,
            foreground: 10,
            started: 4711,
        };
        assert_eq!(found, expected);
        assert_eq!(parse(b"12 (a"), None);
    }

    #[test]
    fn a_number_is_its_process_s_as_long_as_it_started_then() {
        let own = i32::try_from(std::process::id()).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let process = Process::of_user(own, uid).unwrap();
        assert!(process.is_there());
        assert_eq!(process.asked(|pid| pid), Some(own));
        assert_eq!(Process::of_user(own, uid + 1), None);
        let before = Process {
            started: process.started - 1,
            ..process
        };
        assert!(!before.is_there());
        assert_eq!((before.stat(), before.asked(|pid| pid)), (None, None));
    }

    #[test]
    fn groups_have_names_or_numbers() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(!groups(own).is_empty());
    }
}
