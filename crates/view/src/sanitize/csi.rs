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

/// SGR: the list is read as the emulator reads it, and only whole attributes are written, so that
/// no terminal can take two of them for one. A colour that is cut short or of no known kind is
/// left out, what follows it counts by itself. Concealment is left out if wanted.
fn sgr(parameters: &str, reveal: bool, out: &mut Vec<u8>) {
    let parameters: Vec<&str> = parameters.split(';').take(PARAMETERS_MAX).collect();
    let mut kept: Vec<String> = Vec::new();
    let mut rest = parameters.as_slice();
    while let Some((parameter, after)) = rest.split_first() {
        rest = after;
        let value = sgr_value(parameter);
        match value {
            4 | 38 | 48 | 58 if parameter.contains(':') => kept.push((*parameter).to_owned()),
            _ if parameter.contains(':') => {}
            38 | 48 | 58 => {
                let (colour, used) = colour(value, after);
                kept.extend(colour);
                rest = after.get(used..).unwrap_or_default();
            }
            8 if reveal => {}
            0 if parameter.is_empty() => kept.push(String::new()),
            0..=75 | 90..=107 => kept.push(value.to_string()),
            _ => {}
        }
    }
    // Nothing left would read as a reset.
    if !kept.is_empty() {
        let _ = write!(out, "\x1b[{}m", kept.join(";"));
    }
}

/// The colour whose kind and numbers follow 38, 48 or 58, and how many parameters it took.
///
/// That of underlines (58) is written with colons: a terminal that does not know it would take
/// its numbers for attributes, 8 among them.
fn colour(target: u16, after: &[&str]) -> (Option<String>, usize) {
    let kind = after.first().filter(|kind| !kind.contains(':'));
    let kind = kind.map_or(0, |kind| sgr_value(kind));
    let count = match kind {
        5 => 1,
        2 => 3,
        _ => return (None, 0),
    };
    let Some(numbers) = after.get(1..=count) else {
        return (None, usize::from(target != 58));
    };
    let separator = if target == 58 { ':' } else { ';' };
    let mut colour = format!("{target}{separator}{kind}");
    for number in numbers {
        colour.push(separator);
        // Never longer than it was: what came out must pass again.
        if !number.is_empty() {
            colour.push_str(&sgr_value(number).to_string());
        }
    }
    (Some(colour), 1 + count)
}

/// The number before any colon. Too large ones wrap around, as in the emulator.
fn sgr_value(parameter: &str) -> u16 {
    let digits = parameter.split(':').next().unwrap_or_default();
    digits.bytes().fold(0u16, |n, b| {
        n.wrapping_mul(10)
            .wrapping_add(u16::from(b.saturating_sub(b'0')))
    })
}
