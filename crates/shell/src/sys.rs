//! The few things the kernel offers only to signal handlers and forked children.
//!
//! Unsafe because a handler runs between any two instructions of any thread, and a forked child of
//! a program with threads may only make system calls: both touch nothing but atomics, system calls
//! and memory that was set up before.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};

use rustix::process::{Pid, Resource, Rlimit, Signal};

/// Where a handler writes a byte so that a poll loop wakes up; -1 while nobody listens.
static WAKE: AtomicI32 = AtomicI32::new(-1);
/// Signals that came, as bits by number.
static CAME: AtomicU64 = AtomicU64::new(0);
/// Those of them that the kernel sent (a terminal's interrupt key), not a process.
static FROM_KERNEL: AtomicU64 = AtomicU64::new(0);
/// The terminal to restore when this process dies of a fault, and its modes.
static FATAL_TERMINAL: AtomicI32 = AtomicI32::new(-1);
static FATAL_MODES: AtomicPtr<libc::termios> = AtomicPtr::new(std::ptr::null_mut());
/// What that terminal is sent first; null for nothing.
static FATAL_WORDS: AtomicPtr<&'static [u8]> = AtomicPtr::new(std::ptr::null_mut());

/// Our process group; nothing if its leader is outside of our pid namespace (entering a container
/// does not change the group), where a number would be zero.
pub(crate) fn process_group() -> Option<Pid> {
    // SAFETY: takes nothing, cannot fail.
    Pid::from_raw(unsafe { libc::getpgrp() })
}

extern "C" fn on_signal(number: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let bit = 1_u64 << (number.unsigned_abs() & 63);
    let code = if info.is_null() {
        0
    } else {
        // SAFETY: installed with SA_SIGINFO, so the kernel passes a valid siginfo_t.
        unsafe { (*info).si_code }
    };
    if code == libc::SI_KERNEL {
        FROM_KERNEL.fetch_or(bit, Ordering::SeqCst);
    }
    CAME.fetch_or(bit, Ordering::SeqCst);
    let wake = WAKE.load(Ordering::SeqCst);
    if wake >= 0 {
        // SAFETY: the descriptor stays open as long as it stands in WAKE; a full pipe is as good
        // as a byte. A raw system call leaves errno alone.
        let wake = unsafe { BorrowedFd::borrow_raw(wake) };
        let _ = rustix::io::write(wake, &[1]);
    }
}

extern "C" fn on_ignored(_: libc::c_int) {}

extern "C" fn on_fatal(number: libc::c_int) {
    let terminal = FATAL_TERMINAL.load(Ordering::SeqCst);
    let modes = FATAL_MODES.load(Ordering::SeqCst);
    let words = FATAL_WORDS.load(Ordering::SeqCst);
    if terminal >= 0 && !words.is_null() {
        // SAFETY: the slice and what it points to are never freed.
        let words = unsafe { *words };
        // SAFETY: the terminal's owner forgets it here before closing it.
        let terminal = unsafe { BorrowedFd::borrow_raw(terminal) };
        let _ = rustix::io::write(terminal, words);
    }
    if terminal >= 0 && !modes.is_null() {
        // SAFETY: tcsetattr may be called in a handler; the modes are never freed.
        unsafe { libc::tcsetattr(terminal, libc::TCSANOW, modes) };
    }
    // SAFETY: raise may be called in a handler. SA_RESETHAND has put the default action back and
    // SA_NODEFER does not hold the signal back, so this ends the process; also when the signal was
    // sent by another process, which returning would not repeat.
    unsafe { libc::raise(number) };
}

/// What was done about a signal before, put back on drop.
pub(crate) struct Handled {
    number: libc::c_int,
    before: libc::sigaction,
}

impl Drop for Handled {
    fn drop(&mut self) {
        // SAFETY: `before` came from the kernel for this very signal.
        unsafe { libc::sigaction(self.number, &raw const self.before, std::ptr::null_mut()) };
    }
}

fn handle(number: libc::c_int, action: usize, flags: libc::c_int) -> io::Result<Handled> {
    // SAFETY: all-zero is a valid sigaction (default action, empty mask).
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
    new.sa_sigaction = action;
    new.sa_flags = flags;
    // SAFETY: both point to valid sigactions; the handlers above do only what a handler may.
    if unsafe { libc::sigaction(number, &raw const new, &raw mut before) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Handled { number, before })
}

/// Notes a signal from now on. A signal that was ignored before (as `nohup` does) stays ignored,
/// and then nothing is returned.
pub(crate) fn note(signal: Signal) -> io::Result<Option<Handled>> {
    let action = on_signal as extern "C" fn(_, _, _) as usize;
    let handled = handle(signal.as_raw(), action, libc::SA_SIGINFO | libc::SA_RESTART)?;
    let ignored = handled.before.sa_sigaction == libc::SIG_IGN;
    Ok((!ignored || signal == Signal::CHILD).then_some(handled))
}

/// Makes a signal do nothing here but interrupt the call it came in. Unlike ignoring it, this ends
/// at exec: the program started later finds the default.
pub(crate) fn disarm(signal: Signal) -> io::Result<Handled> {
    handle(signal.as_raw(), on_ignored as extern "C" fn(_) as usize, 0)
}

/// Ignores a signal until the result is dropped. Ignored, SIGCHLD leaves no zombies.
pub(crate) fn ignore(signal: Signal) -> io::Result<Handled> {
    handle(signal.as_raw(), libc::SIG_IGN, 0)
}

/// Makes a copy of this process, which has to have no other thread; answers the copy's number, and in the copy
/// nothing.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: there is one thread, so that the copy is whole: no lock is held that nobody would give back.
    match unsafe { libc::fork() } {
        0 => Ok(None),
        pid if pid > 0 => Ok(Pid::from_raw(pid)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives a signal its default action until the result is dropped.
pub(crate) fn default_action(signal: Signal) -> io::Result<Handled> {
    handle(signal.as_raw(), libc::SIG_DFL, 0)
}

/// Sends this very thread a signal, so that it takes effect before this returns.
pub(crate) fn raise(signal: Signal) {
    // SAFETY: raise has no memory to get wrong; it fails only for numbers that are no signals.
    unsafe { libc::raise(signal.as_raw()) };
}

/// Which signals a thread holds back.
#[derive(Clone, Copy)]
pub(crate) struct Mask(libc::sigset_t);

/// Lets these signals through in this thread, whatever it inherited, and returns what was held
/// back before: a recorder that cannot hear its program's end would wait for ever.
pub(crate) fn let_through(signals: &[Signal]) -> io::Result<Mask> {
    // SAFETY: all-zero is a valid, empty set.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut before: libc::sigset_t = unsafe { std::mem::zeroed() };
    for signal in signals {
        // SAFETY: `set` is valid; a number that is no signal is refused.
        unsafe { libc::sigaddset(&raw mut set, signal.as_raw()) };
    }
    // SAFETY: both sets are valid.
    match unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, &raw mut before) } {
        0 => Ok(Mask(before)),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

impl Mask {
    /// Holds back in this thread what this says, and nothing else.
    pub(crate) fn restore(&self) {
        // SAFETY: the set came from the kernel; a null pointer asks for nothing back.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut())
        };
    }
}

/// Signals noted since the last call, and which of them the kernel sent.
pub(crate) fn came() -> (u64, u64) {
    let came = CAME.swap(0, Ordering::SeqCst);
    (came, FROM_KERNEL.swap(0, Ordering::SeqCst) & came)
}

/// Sets the descriptor that handlers write to; -1 for none. Answers whether it was free.
pub(crate) fn listen(wake: RawFd) -> bool {
    if wake < 0 {
        WAKE.store(-1, Ordering::SeqCst);
        return true;
    }
    WAKE.compare_exchange(-1, wake, Ordering::SeqCst, Ordering::SeqCst)
        .is_ok()
}

/// From now on a fault (abort, bad memory access) first puts this terminal's present modes back.
pub(crate) fn restore_on_fault(terminal: impl AsFd) -> io::Result<Vec<Handled>> {
    let terminal = terminal.as_fd().as_raw_fd();
    // SAFETY: all-zero is a valid termios.
    let mut modes: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: `modes` is valid for writing.
    if unsafe { libc::tcgetattr(terminal, &raw mut modes) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // Never freed: a fault in another thread may be reading it. One termios a run.
    FATAL_MODES.store(Box::into_raw(Box::new(modes)), Ordering::SeqCst);
    FATAL_TERMINAL.store(terminal, Ordering::SeqCst);
    let action = on_fatal as extern "C" fn(_) as usize;
    let flags = libc::SA_RESETHAND | libc::SA_NODEFER | libc::SA_ONSTACK;
    [libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS]
        .map(|n| handle(n, action, flags))
        .into_iter()
        .collect()
}

/// From now on a fault first sends that terminal these bytes.
pub(crate) fn send_on_fault(words: &'static [u8]) {
    // Never freed, as above: two words a run.
    FATAL_WORDS.store(Box::into_raw(Box::new(words)), Ordering::SeqCst);
}

/// A fault leaves the terminal alone again.
pub(crate) fn forget_fault_terminal() {
    FATAL_TERMINAL.store(-1, Ordering::SeqCst);
    FATAL_WORDS.store(std::ptr::null_mut(), Ordering::SeqCst);
}

/// The device of the terminal behind a descriptor, whatever name it was opened by; `None` for what
/// is no terminal.
pub(crate) fn terminal_device(fd: BorrowedFd<'_>) -> Option<u64> {
    let mut device: libc::c_uint = 0;
    // SAFETY: TIOCGDEV writes one unsigned int.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGDEV, &raw mut device) };
    (done == 0).then_some(u64::from(device))
}

/// What a program inherits as it was before we changed it for ourselves.
#[derive(Clone, Copy)]
pub(crate) struct Inherited {
    pub(crate) limits: [(Resource, Rlimit); 3],
    pub(crate) mask: Mask,
}

/// In the child, before exec: what we changed for ourselves is put back, and, on a terminal of its
/// own, it leads a session whose controlling terminal is its standard input.
pub(crate) fn before_exec(command: &mut Command, inherited: Inherited, own_terminal: bool) {
    let prepare = move || {
        if own_terminal {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        for (resource, limit) in inherited.limits {
            rustix::process::setrlimit(resource, limit)?;
        }
        inherited.mask.restore();
        Ok(())
    };
    // SAFETY: the closure makes system calls only (pthread_sigmask is one), and owns nothing that
    // would be freed.
    unsafe { command.pre_exec(prepare) };
}

/// In a login's child, before exec: it leads a session whose controlling terminal is that one of
/// its standard descriptors, is hung up when its parent dies, inherits nothing but these three, and
/// the limits are what they were.
pub(crate) fn before_login(command: &mut Command, inherited: Inherited, terminal: Option<RawFd>) {
    let prepare = move || {
        rustix::process::setsid()?;
        rustix::process::set_parent_process_death_signal(Some(Signal::HUP))?;
        if let Some(terminal) = terminal {
            // SAFETY: one of 0, 1 and 2, which std has put in place by now.
            let terminal = unsafe { BorrowedFd::borrow_raw(terminal) };
            rustix::process::ioctl_tiocsctty(terminal)?;
        }
        // What was inherited may lead around the recorder, most of all back to its terminal. Closed
        // by exec, not now: std tells its parent of a failing exec through one of them.
        // SAFETY: takes numbers only.
        let closed = unsafe {
            libc::syscall(
                libc::SYS_close_range,
                3_u32,
                u32::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        };
        if closed != 0 {
            return Err(io::Error::last_os_error());
        }
        for (resource, limit) in inherited.limits {
            rustix::process::setrlimit(resource, limit)?;
        }
        inherited.mask.restore();
        Ok(())
    };
    // SAFETY: the closure makes system calls only, and owns nothing that would be freed.
    unsafe { command.pre_exec(prepare) };
}

/// Who a served program becomes before exec, and with what.
pub(crate) struct Becomes {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// All groups it is in; `None`: those that this process is in.
    pub(crate) groups: Option<Vec<u32>>,
    /// Whether this process can become somebody else; one that cannot serves its own account only.
    pub(crate) is_root: bool,
    /// Whether its standard input is a terminal of its own.
    pub(crate) has_terminal: bool,
    /// Where it starts, if it can go there.
    pub(crate) home: Option<CString>,
    /// Open files that it may have at first; `None`: limits and the mask of new files are as they should be.
    pub(crate) open_files: Option<u64>,
}

/// The path for a system call; `None` for one that has a zero byte in it, which is no path.
pub(crate) fn c_path(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_bytes()).ok()
}

/// What a daemon has given itself and is no session's: from now on this process may have so many open files, and more
/// if it asks for them, and the files that it makes are for others to read (login(1), umask(2)).
pub(crate) fn begin_as_a_session(files: u64) -> io::Result<()> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let before = rustix::process::getrlimit(Resource::Nofile);
    let files = before.maximum.map_or(files, |max| max.min(files));
    let limit = Rlimit {
        current: Some(files),
        maximum: before.maximum,
    };
    Ok(rustix::process::setrlimit(Resource::Nofile, limit)?)
}

/// In a served program, before exec: it leads a session of its own, inherits nothing but its three
/// descriptors, is hung up when its parent's thread ends, and is somebody else from here on. The
/// order matters: what needs root comes first, and where it starts is looked for with its own rights.
pub(crate) fn before_served(command: &mut Command, to: Becomes) {
    let prepare = move || {
        rustix::process::setsid()?;
        if to.has_terminal {
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        // SAFETY: takes numbers only.
        let closed = unsafe {
            libc::syscall(
                libc::SYS_close_range,
                3_u32,
                u32::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        };
        if closed != 0 {
            return Err(io::Error::last_os_error());
        }
        if let Some(files) = to.open_files {
            begin_as_a_session(files)?;
        }
        if to.is_root {
            // SAFETY: the pointer and the length are those of a vector that outlives the call; the
            // other two take numbers.
            let became = unsafe {
                to.groups
                    .as_ref()
                    .is_none_or(|all| libc::setgroups(all.len(), all.as_ptr()) == 0)
                    && libc::setgid(to.gid) == 0
                    && libc::setuid(to.uid) == 0
            };
            if !became {
                return Err(io::Error::last_os_error());
            }
        }
        // Whatever happened above: never as somebody else than the account.
        if rustix::process::getuid().as_raw() != to.uid
            || rustix::process::geteuid().as_raw() != to.uid
        {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        // Becoming somebody else forgets it, so it is set after that.
        rustix::process::set_parent_process_death_signal(Some(Signal::HUP))?;
        let home = to.home.as_ref();
        if home.is_none_or(|home| rustix::process::chdir(home.as_c_str()).is_err()) {
            rustix::process::chdir(c"/")?;
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls only, and owns nothing that would be freed in the child:
    // exec replaces it, and a failure ends it by _exit.
    unsafe { command.pre_exec(prepare) };
}

/// Where a process that is about to become another program says so, and waits.
pub(crate) struct Meeting {
    comes: io::PipeReader,
    go: io::PipeWriter,
}

impl Meeting {
    /// Its number, once it is there; `None` if it never will be.
    pub(crate) fn comes(&mut self) -> Option<i32> {
        let mut number = [0; 4];
        self.comes.read_exact(&mut number).ok()?;
        Some(i32::from_ne_bytes(number))
    }

    /// Lets it go on.
    pub(crate) fn go_on(mut self) {
        // One that is gone needs nothing any more.
        let _ = self.go.write_all(&[0]);
    }
}

/// Has a program wait, as the last thing before it is one. Whoever starts it must not be who is met: that
/// thread waits until it runs.
pub(crate) fn meets_before_exec(command: &mut Command) -> io::Result<Meeting> {
    let (comes, mut says) = io::pipe()?;
    let (mut waits, go) = io::pipe()?;
    let meet = move || {
        let number = rustix::process::getpid().as_raw_nonzero().get();
        says.write_all(&number.to_ne_bytes())?;
        // The process that holds the other end may be gone: then this one was hung up.
        waits.read_exact(&mut [0])
    };
    // SAFETY: the closure makes system calls only; the ends of the pipes are closed by exec, or by _exit.
    unsafe { command.pre_exec(meet) };
    Ok(Meeting { comes, go })
}

/// Has the C library's allocator keep little of what is not used: so many pools for all threads (glibc's are eight to a
/// processor, each with room of its own that others do not get), and what was given back goes to the system. To be
/// called before any thread is started.
pub(crate) fn keep_little_memory(pools: usize) {
    #[cfg(target_env = "gnu")]
    {
        /// A block that is as large comes from the system, and goes back there.
        const BLOCK_BYTES: libc::c_int = 128 * 1024;
        /// What a pool keeps at its end.
        const REST_BYTES: libc::c_int = 1024 * 1024;
        let pools = libc::c_int::try_from(pools).unwrap_or(libc::c_int::MAX);
        for (what, value) in [
            (libc::M_ARENA_MAX, pools),
            (libc::M_MMAP_THRESHOLD, BLOCK_BYTES),
            (libc::M_TRIM_THRESHOLD, REST_BYTES),
        ] {
            // SAFETY: takes numbers only; there is one thread. What it does not like it leaves as it is.
            unsafe { libc::mallopt(what, value) };
        }
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = pools;
}

/// Ends this process by a signal, without a core; returns if it does not.
pub(crate) fn die_of(signal: i32) {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = rustix::process::setrlimit(Resource::Core, none);
    // Of SIGKILL nobody may ask what is done, and it is done all the same.
    let default = handle(signal, libc::SIG_DFL, 0);
    if signal == libc::SIGKILL || default.is_ok() {
        if let Some(signal) = Signal::from_named_raw(signal) {
            let _ = let_through(&[signal]);
        }
        // SAFETY: raise has no memory to get wrong.
        unsafe { libc::raise(signal) };
    }
}
