//! Terminal modes as SSH numbers them (RFC 4254 §8), put onto a terminal.

use std::os::fd::BorrowedFd;

use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex,
    tcgetattr, tcsetattr,
};

/// What stands for "no such key" over the wire.
const NO_KEY: u32 = 255;

/// Sets what is known; what is not is left as the system has it. A speed is nothing to a
/// pseudo-terminal.
pub(super) fn apply(terminal: BorrowedFd<'_>, modes: &[(u8, u32)]) {
    let Ok(mut termios) = tcgetattr(terminal) else {
        return;
    };
    for (number, value) in modes {
        let on = *value != 0;
        if let Some(index) = key(*number) {
            // _POSIX_VDISABLE is 0 on Linux.
            let code = if *value == NO_KEY { 0 } else { *value };
            termios.special_codes[index] = u8::try_from(code).unwrap_or(0);
        } else if let Some(mode) = input(*number) {
            termios.input_modes.set(mode, on);
        } else if let Some(mode) = local(*number) {
            termios.local_modes.set(mode, on);
        } else if let Some(mode) = output(*number) {
            termios.output_modes.set(mode, on);
        } else if let Some(mode) = control(*number)
            && (on || mode == ControlModes::PARENB || mode == ControlModes::PARODD)
        {
            if mode == ControlModes::CS7 || mode == ControlModes::CS8 {
                termios.control_modes.remove(ControlModes::CSIZE);
            }
            termios.control_modes.set(mode, on);
        }
    }
    // What the system does not take stays as it was: a terminal with other modes is one all the same.
    let _ = tcsetattr(terminal, OptionalActions::Now, &termios);
}

fn key(number: u8) -> Option<SpecialCodeIndex> {
    Some(match number {
        1 => SpecialCodeIndex::VINTR,
        2 => SpecialCodeIndex::VQUIT,
        3 => SpecialCodeIndex::VERASE,
        4 => SpecialCodeIndex::VKILL,
        5 => SpecialCodeIndex::VEOF,
        6 => SpecialCodeIndex::VEOL,
        7 => SpecialCodeIndex::VEOL2,
        8 => SpecialCodeIndex::VSTART,
        9 => SpecialCodeIndex::VSTOP,
        10 => SpecialCodeIndex::VSUSP,
        12 => SpecialCodeIndex::VREPRINT,
        13 => SpecialCodeIndex::VWERASE,
        14 => SpecialCodeIndex::VLNEXT,
        18 => SpecialCodeIndex::VDISCARD,
        _ => return None,
    })
}

fn input(number: u8) -> Option<InputModes> {
    Some(match number {
        30 => InputModes::IGNPAR,
        31 => InputModes::PARMRK,
        32 => InputModes::INPCK,
        33 => InputModes::ISTRIP,
        34 => InputModes::INLCR,
        35 => InputModes::IGNCR,
        36 => InputModes::ICRNL,
        37 => InputModes::IUCLC,
        38 => InputModes::IXON,
        39 => InputModes::IXANY,
        40 => InputModes::IXOFF,
        41 => InputModes::IMAXBEL,
        42 => InputModes::IUTF8,
        _ => return None,
    })
}

fn local(number: u8) -> Option<LocalModes> {
    Some(match number {
        50 => LocalModes::ISIG,
        51 => LocalModes::ICANON,
        52 => LocalModes::XCASE,
        53 => LocalModes::ECHO,
        54 => LocalModes::ECHOE,
        55 => LocalModes::ECHOK,
        56 => LocalModes::ECHONL,
        57 => LocalModes::NOFLSH,
        58 => LocalModes::TOSTOP,
        59 => LocalModes::IEXTEN,
        60 => LocalModes::ECHOCTL,
        61 => LocalModes::ECHOKE,
        62 => LocalModes::PENDIN,
        _ => return None,
    })
}

fn output(number: u8) -> Option<OutputModes> {
    Some(match number {
        70 => OutputModes::OPOST,
        71 => OutputModes::OLCUC,
        72 => OutputModes::ONLCR,
        73 => OutputModes::OCRNL,
        74 => OutputModes::ONOCR,
        75 => OutputModes::ONLRET,
        _ => return None,
    })
}

fn control(number: u8) -> Option<ControlModes> {
    Some(match number {
        90 => ControlModes::CS7,
        91 => ControlModes::CS8,
        92 => ControlModes::PARENB,
        93 => ControlModes::PARODD,
        _ => return None,
    })
}
