//! Giving back memory that is not used: of many sessions most do nothing, and each has had its busy moment.
//!
//! A thread that has nothing to do keeps the stack that its deepest call ever needed, and the allocator keeps what was
//! returned to it in between what was not. Both are the kernel's again only when they are given back.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::sys;

/// How often a thread gives back at most: one that works is not to have its pages made anew each time it waits.
const STACK_EVERY: Duration = Duration::from_secs(5);

thread_local! {
    static STACK: Cell<Option<Stack>> = const { Cell::new(None) };
}

/// What is known of a thread's stack.
#[derive(Debug, Clone, Copy)]
struct Stack {
    /// Its lowest address; `None`: the system does not say.
    begins_at: Option<usize>,
    given_back: Instant,
}

/// Gives back what the thread that calls does not use of its stack; to be called before it waits. Does nothing where it
/// did so less than five seconds ago (what it used since is given back when it has been woken once more), or where the system does not say where the stack is.
pub fn give_back_stack() {
    let now = Instant::now();
    let stack = match STACK.get() {
        Some(stack) if now.saturating_duration_since(stack.given_back) < STACK_EVERY => return,
        Some(stack) => stack,
        None => Stack {
            begins_at: sys::stack_begins_at(),
            given_back: now,
        },
    };
    STACK.set(Some(Stack {
        given_back: now,
        ..stack
    }));
    if let Some(begins_at) = stack.begins_at {
        sys::trim_stack(begins_at);
    }
}

/// Gives back what the allocator has free, in whole pages, wherever that is (malloc_trim(3)). It takes a
/// millisecond or some, in which others may wait for memory: to be called now and then. Other C libraries than glibc
/// are left to themselves.
pub fn give_back() {
    sys::trim_heap();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of this process that are in memory: the second field of statm, in pages.
    fn resident() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * rustix::param::page_size()
    }

    /// KiB in memory of the mapping that this stands in (proc_pid_smaps(5)): other tests change the process's.
    fn resident_around(this: &[u8]) -> usize {
        let at = this.as_ptr().addr();
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = smaps.lines().skip_while(|line| {
            let range = line.split(' ').next().unwrap().split_once('-');
            let hex = |text| usize::from_str_radix(text, 16).ok();
            let range = range.and_then(|(from, to)| Some(hex(from)?..hex(to)?));
            !range.is_some_and(|range| range.contains(&at))
        });
        let rss = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
        rss.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Uses so many KiB of stack; answers something that depends on all of it.
    #[inline(never)]
    fn deep(kib: usize) -> u64 {
        let mut room = [0_u8; 1024];
        std::hint::black_box(&mut room).fill(1);
        let below = if kib == 0 { 0 } else { deep(kib - 1) };
        below + u64::from(std::hint::black_box(&room)[512])
    }

    #[test]
    fn a_stack_that_was_deep_is_given_back_and_can_be_as_deep_again() {
        const KIB: usize = 4 * 1024;
        let thread = std::thread::Builder::new().stack_size(16 * 1024 * 1024);
        let of_thread = thread.spawn(|| {
            let mark = std::hint::black_box([7_u8; 4096]);
            assert_eq!(deep(KIB), KIB as u64 + 1);
            let before = resident_around(&mark);
            assert!(before > KIB, "{before} KiB");
            give_back_stack();
            let after = resident_around(&mark);
            assert!(after < KIB / 8, "{after} KiB of {before}");
            assert_eq!(mark, [7; 4096]);
            assert_eq!(deep(KIB), KIB as u64 + 1);
            // At once again it does nothing.
            give_back_stack();
            assert!(resident_around(&mark) > KIB);
        });
        of_thread.unwrap().join().unwrap();
    }

    #[test]
    fn what_was_freed_between_what_was_not_is_given_back() {
        const COUNT: usize = 2000;
        let mut all: Vec<Option<Vec<u8>>> = (0..COUNT).map(|_| Some(vec![1; 32 * 1024])).collect();
        for one in all.iter_mut().step_by(2) {
            *one = None;
        }
        let before = resident();
        give_back();
        let after = resident();
        assert!(
            before.saturating_sub(after) > COUNT / 2 * 32 * 1024 / 2,
            "{before} bytes before, {after} after"
        );
        assert!(all.iter().flatten().all(|one| one[100] == 1));
    }
}
