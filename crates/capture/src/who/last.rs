//! When an account was last logged in to (lastlog(8)): a record of its number, in a file with a hole for each
//! account that never was.

use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::sys;

/// Lengths of a record's parts, as the C library has it: the time, the line, where from.
const TIME_BYTES: usize = 4;
const LINE_BYTES: usize = 32;
const HOST_BYTES: usize = 256;
const RECORD_BYTES: usize = TIME_BYTES + LINE_BYTES + HOST_BYTES;

/// Notes that an account is logged in to now. Answers what was there, in the words that sshd(8) has for it. A
/// file that is not there is not made, and one that cannot be written is no hindrance.
pub(crate) fn login(
    file: &Path,
    uid: u32,
    now_s: u64,
    (line, from): (&str, IpAddr),
) -> Option<String> {
    let file = File::options().read(true).write(true).open(file).ok()?;
    let at = u64::from(uid) * RECORD_BYTES as u64;
    let mut before = [0; RECORD_BYTES];
    let was_there = file.read_exact_at(&mut before, at).is_ok();
    let mut now = [0; RECORD_BYTES];
    let (time, rest) = now.split_at_mut(TIME_BYTES);
    let (of_line, of_host) = rest.split_at_mut(LINE_BYTES);
    time.copy_from_slice(&u32::try_from(now_s).unwrap_or(u32::MAX).to_ne_bytes());
    fill(of_line, line);
    fill(of_host, &from.to_string());
    let _ = file.write_all_at(&now, at);
    was_there.then(|| said(&before)).flatten()
}

fn said(record: &[u8; RECORD_BYTES]) -> Option<String> {
    let (time, rest) = record.split_first_chunk()?;
    let utc_s = u32::from_ne_bytes(*time);
    if utc_s == 0 {
        return None;
    }
    let host = rest.get(LINE_BYTES..).unwrap_or_default();
    let host: Vec<u8> = host.iter().copied().take_while(|byte| *byte != 0).collect();
    let host: String = String::from_utf8_lossy(&host)
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    let when = sys::in_words(i64::from(utc_s));
    Some(match host.as_str() {
        "" => format!("Last login: {when}"),
        host => format!("Last login: {when} from {host}"),
    })
}

fn fill(to: &mut [u8], text: &str) {
    for (to, from) in to.iter_mut().zip(text.bytes()) {
        *to = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_login_is_told_at_the_next() {
        let file = std::env::temp_dir().join(format!("hansard-lastlog-{}", std::process::id()));
        let from = |text: &str| ("pts/3", text.parse().unwrap());
        assert_eq!(login(&file, 3, 1, from("192.0.2.7")), None);
        assert!(!file.exists(), "not made where there is none");
        std::fs::write(&file, "").unwrap();
        assert_eq!(login(&file, 3, 86_400 * 365, from("192.0.2.7")), None);
        assert_eq!(login(&file, 2, 1, from("2001:db8::1")), None);
        let told = login(&file, 3, 86_400 * 400, from("2001:db8::1")).unwrap();
        assert!(told.starts_with("Last login: "), "{told}");
        assert!(told.ends_with("1971 from 192.0.2.7"), "{told}");
        std::fs::remove_file(&file).unwrap();
    }
}
