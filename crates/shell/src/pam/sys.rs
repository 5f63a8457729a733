//! libpam, as C has it, and what a session's process does to its own descriptors and groups.
//!
//! Unsafe because it is C that is found while this runs: what its functions take and give back stands in
//! pam_start(3), pam_conv(3) and beside; they are the same in every libpam.so.0. One thread calls them.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int, c_void};
use std::io;
use std::mem::transmute;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use rustix::io::{FdFlags, fcntl_setfd};

use super::asked::{ANSWER_BYTES_MAX, Answer, Prompt};

/// What `PAM_TTY` is where there is no terminal, as with sshd(8): some modules want one.
pub(super) const NO_TERMINAL: &str = "ssh";

/// The library, by the name that has not changed since 1996.
const LIBRARY: &CStr = c"libpam.so.0";

/// Most variables that modules may set; the rest is left out.
const VARIABLES_MAX: usize = 4096;

const SUCCESS: c_int = 0;
const CONVERSATION_FAILED: c_int = 19;
const NEW_PASSWORD_NEEDED: c_int = 12;
const TERMINAL: c_int = 3;
const REMOTE_HOST: c_int = 4;
const ESTABLISH: c_int = 2;
const DELETE: c_int = 4;
const USER: c_int = 2;
const NO_EMPTY_PASSWORD: c_int = 1;
const ASKS_HIDDEN: c_int = 1;
const ASKS_SHOWN: c_int = 2;
const ERROR_MESSAGE: c_int = 3;
const TEXT: c_int = 4;

#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct Response {
    text: *mut c_char,
    unused: c_int,
}

type Converse = extern "C" fn(c_int, *mut *const Message, *mut *mut Response, *mut c_void) -> c_int;

#[repr(C)]
struct Conversation {
    converse: Converse,
    data: *mut c_void,
}

type Handle = *mut c_void;

/// What is found under a name.
type Found = *mut c_void;
type Start =
    unsafe extern "C" fn(*const c_char, *const c_char, *const Conversation, *mut Handle) -> c_int;
/// A step with flags, or the end with the last error.
type Step = unsafe extern "C" fn(Handle, c_int) -> c_int;
type SetItem = unsafe extern "C" fn(Handle, c_int, *const c_void) -> c_int;
type GetItem = unsafe extern "C" fn(Handle, c_int, *mut *const c_void) -> c_int;
type Env = unsafe extern "C" fn(Handle) -> *mut *mut c_char;
type Words = unsafe extern "C" fn(Handle, c_int) -> *const c_char;

/// The functions that are called.
struct Library {
    start: Start,
    end: Step,
    set_item: SetItem,
    item: GetItem,
    authenticate: Step,
    account: Step,
    credentials: Step,
    open: Step,
    close: Step,
    env: Env,
    words: Words,
}

impl Library {
    fn found() -> Result<Self, String> {
        // SAFETY: the name ends with a zero. What the library does when it is loaded is what it would do in
        // a program that is linked with it. It stays loaded until this process ends.
        let library = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW) };
        if library.is_null() {
            return Err("libpam.so.0 is not on this machine, or cannot be loaded".to_owned());
        }
        let function = |name: &CStr| {
            // SAFETY: the library is loaded, and the name ends with a zero.
            let found = unsafe { libc::dlsym(library, name.as_ptr()) };
            match found.is_null() {
                false => Ok(found),
                true => Err(format!("libpam.so.0 has no {}", name.to_string_lossy())),
            }
        };
        // SAFETY: each is a function of the type that the manual gives it, checked not to be null; a
        // function's address and a pointer are one thing wherever there is a dlsym(3).
        Ok(unsafe {
            Self {
                start: transmute::<Found, Start>(function(c"pam_start")?),
                end: transmute::<Found, Step>(function(c"pam_end")?),
                set_item: transmute::<Found, SetItem>(function(c"pam_set_item")?),
                item: transmute::<Found, GetItem>(function(c"pam_get_item")?),
                authenticate: transmute::<Found, Step>(function(c"pam_authenticate")?),
                account: transmute::<Found, Step>(function(c"pam_acct_mgmt")?),
                credentials: transmute::<Found, Step>(function(c"pam_setcred")?),
                open: transmute::<Found, Step>(function(c"pam_open_session")?),
                close: transmute::<Found, Step>(function(c"pam_close_session")?),
                env: transmute::<Found, Env>(function(c"pam_getenvlist")?),
                words: transmute::<Found, Words>(function(c"pam_strerror")?),
            }
        })
    }
}

/// Who answers: takes what was said before, and the questions; `None`: nobody answers.
type Answering = dyn Fn(&str, Vec<Prompt>) -> Option<Vec<Answer>>;

/// What modules have said since somebody asked, and who answers what they ask.
#[derive(Default)]
struct Said {
    text: Mutex<Vec<u8>>,
    answering: Option<Box<Answering>>,
}

impl Said {
    fn takes(&self, text: &[u8]) {
        let mut said = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() + text.len() < super::SHOWN_BYTES_MAX {
            said.extend(text);
            if !text.ends_with(b"\n") {
                said.push(b'\n');
            }
        }
    }

    fn taken(&self) -> String {
        let mut said = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&std::mem::take(&mut *said)).into_owned()
    }

    /// One answer for each question, which C can take; `None`: there are none to be had.
    fn answers(&self, prompts: Vec<Prompt>) -> Option<Vec<Answer>> {
        let count = prompts.len();
        if count == 0 {
            return Some(Vec::new());
        }
        let answers = self.answering.as_ref()?(&self.taken(), prompts)?;
        let is_text =
            |answer: &Answer| answer.0.len() <= ANSWER_BYTES_MAX && !answer.0.contains(&0);
        (answers.len() == count && answers.iter().all(is_text)).then_some(answers)
    }
}

/// A service's modules, for one user.
pub(super) struct Modules {
    library: Library,
    handle: Handle,
    last: std::cell::Cell<c_int>,
    said: Box<Said>,
    /// Pointed to by the handle.
    _conversation: Box<Conversation>,
}

/// Takes what modules have to say, and has what they ask answered where somebody is there who can be asked.
extern "C" fn converse(
    count: c_int,
    messages: *mut *const Message,
    responses: *mut *mut Response,
    data: *mut c_void,
) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    if messages.is_null() || responses.is_null() || data.is_null() {
        return CONVERSATION_FAILED;
    }
    // SAFETY: points to what `Modules::begin` has boxed, which outlives the handle that calls this.
    let said = unsafe { &*data.cast::<Said>() };
    let (mut places, mut prompts) = (Vec::new(), Vec::new());
    for at in 0..count {
        // SAFETY: libpam gives as many messages as it says, as pointers one after the other.
        let message = unsafe { (*messages.add(at)).as_ref() };
        let Some(message) = message.filter(|message| !message.text.is_null()) else {
            return CONVERSATION_FAILED;
        };
        // SAFETY: not null, and a string that ends with a zero.
        let text = unsafe { CStr::from_ptr(message.text) };
        match message.style {
            ERROR_MESSAGE | TEXT => said.takes(text.to_bytes()),
            ASKS_HIDDEN | ASKS_SHOWN => {
                places.push(at);
                prompts.push(Prompt {
                    text: text.to_string_lossy().into_owned(),
                    is_shown: message.style == ASKS_SHOWN,
                });
            }
            _ => return CONVERSATION_FAILED,
        }
    }
    let Some(answers) = said.answers(prompts) else {
        return CONVERSATION_FAILED;
    };
    let Some(all) = zeroed::<Response>(count.max(1)) else {
        return CONVERSATION_FAILED;
    };
    for (at, answer) in places.into_iter().zip(&answers) {
        // With the zero behind it that ends a string. What is left unfilled is no answer, which modules refuse.
        let Some(copy) = zeroed::<u8>(answer.0.len() + 1) else {
            continue;
        };
        // SAFETY: so many bytes are there and one more, and no one else has them; `at` is below `count`.
        unsafe {
            ptr::copy_nonoverlapping(answer.0.as_ptr(), copy, answer.0.len());
            (*all.add(at)).text = copy.cast();
        }
    }
    // SAFETY: libpam has a place for one pointer there: as many responses as messages, which it frees with
    // free(3), and what they point to.
    unsafe { *responses = all };
    SUCCESS
}

/// Memory for so many, all of it zero, that C frees.
fn zeroed<T>(count: usize) -> Option<*mut T> {
    // SAFETY: takes numbers only.
    let memory = unsafe { libc::calloc(count, size_of::<T>()) };
    (!memory.is_null()).then_some(memory.cast())
}

fn c(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| "a zero byte is in no name".to_owned())
}

impl Modules {
    /// # Errors
    /// Here and below: in words for the user, the modules' own where they have any.
    pub(super) fn begin(service: &str, user: &str) -> Result<Self, String> {
        Self::with(service, user, None)
    }

    /// The same where somebody answers what modules ask.
    pub(super) fn asking(
        service: &str,
        user: &str,
        answering: impl Fn(&str, Vec<Prompt>) -> Option<Vec<Answer>> + 'static,
    ) -> Result<Self, String> {
        Self::with(service, user, Some(Box::new(answering)))
    }

    fn with(service: &str, user: &str, answering: Option<Box<Answering>>) -> Result<Self, String> {
        let library = Library::found()?;
        let (service, user) = (c(service)?, c(user)?);
        let said = Box::new(Said {
            answering,
            ..Said::default()
        });
        let conversation = Box::new(Conversation {
            converse,
            data: ptr::from_ref::<Said>(&said).cast_mut().cast(),
        });
        let mut handle: Handle = ptr::null_mut();
        // SAFETY: both strings end with a zero and are copied; the conversation is boxed, and lives beside
        // the handle.
        let done = unsafe {
            (library.start)(
                service.as_ptr(),
                user.as_ptr(),
                &raw const *conversation,
                &raw mut handle,
            )
        };
        if done != SUCCESS || handle.is_null() {
            return Err(format!(
                "the system's modules (PAM) cannot be used: error {done}"
            ));
        }
        Ok(Self {
            library,
            handle,
            last: std::cell::Cell::new(SUCCESS),
            said,
            _conversation: conversation,
        })
    }

    /// What modules are told of where the user is.
    pub(super) fn comes_from(&self, remote: &str, terminal: &str) -> Result<(), String> {
        for (item, value) in [(REMOTE_HOST, remote), (TERMINAL, terminal)] {
            let value = c(value)?;
            // SAFETY: these items are strings, which are copied.
            let done = unsafe { (self.library.set_item)(self.handle, item, value.as_ptr().cast()) };
            self.checked(done)?;
        }
        Ok(())
    }

    /// Whether somebody is this user, by what they answer.
    pub(super) fn authenticate(&self, user: &str) -> Result<(), String> {
        // SAFETY: the handle is open until this is dropped.
        let done = unsafe { (self.library.authenticate)(self.handle, NO_EMPTY_PASSWORD) };
        self.checked(done)?;
        let mut item = ptr::null();
        // SAFETY: as above; there is a place for one pointer.
        let done = unsafe { (self.library.item)(self.handle, USER, &raw mut item) };
        self.checked(done)?;
        // SAFETY: not null, and a string that ends with a zero, which stays until the item is set again.
        let is_same =
            !item.is_null() && unsafe { CStr::from_ptr(item.cast()) }.to_bytes() == user.as_bytes();
        // Modules may say that somebody is another account: that one was not asked for.
        match is_same {
            true => Ok(()),
            false => Err("the system's modules say that it is another account".to_owned()),
        }
    }

    /// Whether the account may be used now.
    pub(super) fn may_be_used(&self) -> Result<(), String> {
        // SAFETY: the handle is open until this is dropped.
        let done = unsafe { (self.library.account)(self.handle, 0) };
        if done == NEW_PASSWORD_NEEDED {
            self.last.set(done);
            return Err("the account's password is over: it has to be changed first".to_owned());
        }
        self.checked(done)
    }

    /// Opens a session in this process.
    pub(super) fn open(&self) -> Result<(), String> {
        // SAFETY: as above.
        let done = unsafe { (self.library.credentials)(self.handle, ESTABLISH) };
        self.checked(done)?;
        // SAFETY: as above.
        let done = unsafe { (self.library.open)(self.handle, 0) };
        self.checked(done).inspect_err(|_| self.forget())
    }

    /// Closes it.
    pub(super) fn close(&self) {
        // SAFETY: as above.
        self.last
            .set(unsafe { (self.library.close)(self.handle, 0) });
        self.forget();
    }

    fn forget(&self) {
        // SAFETY: as above.
        self.last
            .set(unsafe { (self.library.credentials)(self.handle, DELETE) });
    }

    /// What modules have said since the last call.
    pub(super) fn said(&self) -> String {
        self.said.taken()
    }

    /// Variables that they want the session to have.
    pub(super) fn env(&self) -> Vec<(OsString, OsString)> {
        // SAFETY: as above. The list is ours to free.
        let list = unsafe { (self.library.env)(self.handle) };
        let mut all = Vec::new();
        if list.is_null() {
            return all;
        }
        for at in 0..VARIABLES_MAX {
            // SAFETY: a null pointer ends the list, behind which nothing is read.
            let variable = unsafe { *list.add(at) };
            if variable.is_null() {
                break;
            }
            // SAFETY: not null, and a string that ends with a zero.
            let text = unsafe { CStr::from_ptr(variable) }.to_bytes();
            let mut parts = text.splitn(2, |byte| *byte == b'=');
            if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
                let of = |bytes| OsStr::from_bytes(bytes).to_owned();
                all.push((of(name), of(value)));
            }
            // SAFETY: each string was allocated for whoever asks.
            unsafe { libc::free(variable.cast()) };
        }
        // SAFETY: as was the list.
        unsafe { libc::free(list.cast()) };
        all
    }

    fn checked(&self, done: c_int) -> Result<(), String> {
        self.last.set(done);
        if done == SUCCESS {
            return Ok(());
        }
        // SAFETY: a string that is never freed, or null.
        let words = unsafe { (self.library.words)(self.handle, done) };
        let words = match words.is_null() {
            true => format!("error {done} of the system's modules (PAM)"),
            // SAFETY: not null, and a string that ends with a zero.
            false => unsafe { CStr::from_ptr(words) }
                .to_string_lossy()
                .into_owned(),
        };
        let said = self.said();
        Err(match said.trim() {
            "" => words,
            said => format!("{said} ({words})"),
        })
    }
}

impl Drop for Modules {
    fn drop(&mut self) {
        // SAFETY: once, and nothing has the handle afterwards.
        unsafe { (self.library.end)(self.handle, self.last.get()) };
    }
}

/// This process is in these groups from now on, besides its own: modules may put it into more.
pub(super) fn join(groups: &[u32]) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    // SAFETY: the pointer and the length are those of a slice.
    match unsafe { libc::setgroups(groups.len(), groups.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Has a program lead a session of its own and inherit this line besides its standard descriptors, whose
/// number becomes its last argument.
pub(super) fn hand_on(command: &mut Command, line: &UnixStream) {
    let number = line.as_raw_fd();
    command.arg(number.to_string());
    let prepare = move || {
        rustix::process::setsid()?;
        // SAFETY: takes numbers only.
        let closed = unsafe {
            libc::syscall(
                libc::SYS_close_range,
                3_u32,
                u32::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        };
        // SAFETY: as above; the line is open in this child, which is a copy of its parent.
        match closed == 0 && unsafe { libc::fcntl(number, libc::F_SETFD, 0) } == 0 {
            true => Ok(()),
            false => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure makes system calls only, and owns nothing.
    unsafe { command.pre_exec(prepare) };
}

/// The line that this process was given under this number; `None` for what is no socket.
pub(super) fn line_at(number: RawFd) -> Option<UnixStream> {
    if number < 3 {
        return None;
    }
    // SAFETY: borrowed for these two calls, which say so if it is no open descriptor.
    let given = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::net::sockopt::socket_type(given).ok()?;
    fcntl_setfd(given, FdFlags::CLOEXEC).ok()?;
    // SAFETY: open, and nobody else in this process has it: it was inherited, and this is called once.
    Some(UnixStream::from(unsafe { OwnedFd::from_raw_fd(number) }))
}

/// What all processes that are forked have in common is done once, and memory for many threads is not theirs: the
/// library is loaded, and with it the modules that this service names, as long as the answer is held: each process that
/// is forked finds them loaded when it reads the service's file for itself. None of them is asked anything. `None`: there
/// are none, which each session says.
pub(super) fn prepare(service: &str) -> Option<Modules> {
    crate::sys::keep_little_memory(1);
    Modules::begin(service, "root").ok()
}
