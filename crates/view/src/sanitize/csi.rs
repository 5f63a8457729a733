//! Control sequences written anew from their numbers.

use std::io::Write as _;

/// Most parameters of a sequence that count, as in terminals; the rest is left out.
const PARAMETERS_MAX: usize = 32;

/// Sequences without private marker or intermediate characters.
pub(super) fn plain(parameters: &str, end: char, reveal: bool, out: &mut Vec<u8>) {
    let nothing_before_colon = parameters.starts_with(':') || parameters.contains(";:");
    if !parameters.bytes().all(|b| matches!(b, b'0'..=b';')) || nothing_before_colon {
        return;
    }
    match end {
        '@' | 'A'..='G' | 'I' | 'L' | 'M' | 'P' | 'S' | 'X' | 'Z' | '`' | 'a' | 'b' | 'd' | 'e' => {
            write(&[number(parameters, 0)], end, out);
        }
        // With more parameters it starts tracking the mouse.
        'T' if !parameters.contains(';') => write(&[number(parameters, 0)], end, out),
        // Erasing more than the screen (3) would take the viewer's own scrollback.
        'J' | 'K' if number(parameters, 0) <= 2 => write(&[number(parameters, 0)], end, out),
        'H' | 'f' | 'r' => write(&[number(parameters, 0), number(parameters, 1)], end, out),
        'm' => sgr(parameters, reveal, out),
        'h' | 'l' => {
            for mode in numbers(parameters).filter(|mode| matches!(mode, 4 | 20)) {
                write(&[mode], end, out);
            }
        }
        's' | 'u' => write(&[], end, out),
        _ => {}
    }
}

/// `CSI ? … h` and `l`. Answers whether the alternate screen is on now, if that changed.
pub(super) fn private_modes(parameters: &str, end: char, out: &mut Vec<u8>) -> Option<bool> {
    if !parameters.bytes().all(|b| matches!(b, b'0'..=b';')) || !matches!(end, 'h' | 'l') {
        return None;
    }
    let mut alternate = None;
    for mode in numbers(parameters) {
        match mode {
            6 | 7 | 25 | 1048 => {}
            47 | 1047 | 1049 => alternate = Some(end == 'h'),
            _ => continue,
        }
        let _ = write!(out, "\x1b[?{mode}{end}");
    }
    alternate
}

/// The parameters as numbers; what stands behind a colon is left out.
fn numbers(parameters: &str) -> impl Iterator<Item = u16> {
    parameters.split(';').take(PARAMETERS_MAX).map(|parameter| {
        let digits = parameter.split(':').next().unwrap_or_default();
        digits.bytes().fold(0u16, |n, b| {
            n.saturating_mul(10)
                .saturating_add(u16::from(b.saturating_sub(b'0')))
        })
    })
}

fn number(parameters: &str, at: usize) -> u16 {
    numbers(parameters).nth(at).unwrap_or(0)
}

/// Writes a sequence; zeros at the end are what is meant without them.
fn write(parameters: &[u16], end: char, out: &mut Vec<u8>) {
    let used = parameters
        .iter()
        .rposition(|n| *n != 0)
        .map_or(0, |last| last + 1);
    out.extend_from_slice(b"\x1b[");
    for (i, parameter) in parameters.iter().take(used).enumerate() {
        let separator = if i == 0 { "" } else { ";" };
        let _ = write!(out, "{separator}{parameter}");
    }
    out.extend_from_slice(end.encode_utf8(&mut [0; 4]).as_bytes());
}

/// SGR: digits, colons and semicolons are all it can hold. Concealment is left out if wanted.
fn sgr(parameters: &str, reveal: bool, out: &mut Vec<u8>) {
    let mut kept: Vec<&str> = Vec::new();
    let mut left_out = false;
    // How many of the next parameters are arguments of a colour, not attributes.
    let mut arguments = 0;
    let mut mode_follows = false;
    for (parameter, value) in parameters.split(';').zip(numbers(parameters)) {
        let is_argument = mode_follows || arguments > 0;
        if mode_follows {
            mode_follows = false;
            arguments = match value {
                5 => 1,
                2 => 3,
                _ => 0,
            };
        } else if arguments > 0 {
            arguments -= 1;
        } else if matches!(value, 38 | 48 | 58) && !parameter.contains(':') {
            mode_follows = true;
        }
        if reveal && value == 8 && !is_argument {
            left_out = true;
        } else {
            kept.push(parameter);
        }
    }
    // Nothing left would read as a reset.
    if !(left_out && kept.is_empty()) {
        let _ = write!(out, "\x1b[{}m", kept.join(";"));
    }
}
