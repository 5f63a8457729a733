//! The terminal that a login came on, held by another process.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios,
    Winsize, tcgetattr, tcgetwinsize, tcsetattr,
};

use crate::error::ShellError;

/// The outer terminal: raw while the login's program runs, and as it was before when this goes.
/// Whoever holds it from another session is never stopped for changing its modes.
pub(crate) struct Outer {
    fd: OwnedFd,
    before: Termios,
    raw: bool,
}

impl Outer {
    /// The terminal on this descriptor, as it is.
    pub(crate) fn on(fd: BorrowedFd<'_>) -> Result<Self, ShellError> {
        let fd = rustix::io::fcntl_dupfd_cloexec(fd, 3)
            .map_err(ShellError::errno("use the terminal"))?;
        let before = tcgetattr(&fd).map_err(ShellError::errno("read the terminal's modes"))?;
        Ok(Self {
            fd,
            before,
            raw: false,
        })
    }

    /// The terminal on this descriptor, which somebody else had made raw: with the modes it had
    /// before, as [`Outer::written`] has them.
    pub(crate) fn again(fd: BorrowedFd<'_>, written: &str) -> Result<Self, ShellError> {
        let mut outer = Self::on(fd)?;
        let no_modes = || ShellError::errno("use the terminal's modes")(rustix::io::Errno::INVAL);
        let mut words = written.split(' ');
        let mut word = || -> Option<u32> { words.next()?.parse().ok() };
        let numbers = [(); 6].map(|()| word());
        let [
            Some(input),
            Some(output),
            Some(control),
            Some(local),
            Some(min),
            Some(time),
        ] = numbers
        else {
            return Err(no_modes());
        };
        let (Ok(min), Ok(time)) = (u8::try_from(min), u8::try_from(time)) else {
            return Err(no_modes());
        };
        let before = &mut outer.before;
        before.input_modes = InputModes::from_bits_retain(input);
        before.output_modes = OutputModes::from_bits_retain(output);
        before.control_modes = ControlModes::from_bits_retain(control);
        before.local_modes = LocalModes::from_bits_retain(local);
        before.special_codes[SpecialCodeIndex::VMIN] = min;
        before.special_codes[SpecialCodeIndex::VTIME] = time;
        Ok(outer)
    }

    /// Of its modes before, those that raw changes.
    pub(crate) fn written(&self) -> String {
        let before = &self.before;
        let codes = &before.special_codes;
        format!(
            "{} {} {} {} {} {}",
            before.input_modes.bits(),
            before.output_modes.bits(),
            before.control_modes.bits(),
            before.local_modes.bits(),
            codes[SpecialCodeIndex::VMIN],
            codes[SpecialCodeIndex::VTIME],
        )
    }

    /// The terminal itself.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// It stays as it is, for whoever has it next.
    pub(crate) fn leave(&mut self) {
        self.raw = false;
    }

    /// Its modes before anybody changed them.
    pub(crate) fn modes(&self) -> &Termios {
        &self.before
    }

    /// Its size, or nothing if it has gone.
    pub(crate) fn size(&self) -> Option<Winsize> {
        tcgetwinsize(&self.fd).ok()
    }

    /// Passes every key on as it is and shows every byte as it is. False if it has gone.
    pub(crate) fn make_raw(&mut self) -> bool {
        let mut raw = self.before.clone();
        raw.make_raw();
        self.raw = tcsetattr(&self.fd, OptionalActions::Now, &raw).is_ok();
        self.raw
    }

    /// Puts the modes back.
    pub(crate) fn restore(&mut self) {
        if std::mem::take(&mut self.raw) {
            // Fails only when it has gone.
            let _ = tcsetattr(&self.fd, OptionalActions::Now, &self.before);
        }
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        self.restore();
    }
}
