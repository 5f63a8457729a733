//! Places, each with what it must bear.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

struct Scratch(PathBuf);

use std::path::PathBuf;

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("hansard-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_holds_whole_lines_only() {
    let dir = Scratch::new("tlog-file");
    let path = dir.0.join("out");
    let mut place = FilePlace::new(&path);
    place.put(b"one").unwrap();
    place.sync().unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // A crash in the middle of a line.
    fs::write(&path, "one\nhal").unwrap();
    let mut place = FilePlace::new(&path);
    place.put(b"half").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\nhalf\n");

    fs::rename(&path, dir.0.join("out.1")).unwrap();
    place.put(b"two").unwrap();
    place.sync().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");

    std::os::unix::fs::symlink(dir.0.join("out.1"), dir.0.join("link")).unwrap();
    let error = FilePlace::new(&dir.0.join("link")).put(b"x").unwrap_err();
    assert!(error.to_string().contains("link"), "{error}");
}

#[test]
fn a_full_disk_takes_nothing() {
    let mut place = FilePlace::new(Path::new("/dev/full"));
    let error = place.put(b"one").unwrap_err().to_string();
    assert!(error.starts_with("/dev/full: "), "{error}");
}

#[test]
fn what_was_let_go_and_is_not_durable_is_told() {
    // A device takes what is written, and cannot be made durable.
    let dir = Scratch::new("tlog-let-go");
    let elsewhere = dir.0.join("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    let logs = dir.0.join("logs");
    std::os::unix::fs::symlink("/dev", &logs).unwrap();
    let mut place = FilePlace::new(&logs.join("null"));
    place.put(b"one").unwrap();
    fs::remove_file(&logs).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &logs).unwrap();
    // Within the batch the name comes to stand for another file.
    place.put(b"two").unwrap();
    assert!(place.sync().is_err(), "one is nowhere");
    // It is told once: the batch comes again, all of it.
    place.put(b"one").unwrap();
    place.sync().unwrap();
    let text = fs::read_to_string(elsewhere.join("null")).unwrap();
    assert_eq!(text, "two\none\n");

    // The same where a message fails.
    let mut place = FilePlace::new(Path::new("/dev/full"));
    assert!(place.put(b"one").is_err());
    assert!(place.sync().is_err());
    place.sync().unwrap();
}

#[test]
fn the_journal_gets_fields_that_nobody_can_forge() {
    let dir = Scratch::new("tlog-journal");
    let path = dir.0.join("socket");
    let journal = UnixDatagram::bind(&path).unwrap();
    let message = br#"{"ver":"2.3","rec":"a-b-c","user":"x\nPRIORITY=0","session":7,"id":3}"#;
    let mut place = JournalPlace::new(&path, 6, true);
    place.put(message).unwrap();
    let mut entry = [0; 4096];
    let len = journal.recv(&mut entry).unwrap();
    let mut expected = b"PRIORITY=6\nSYSLOG_IDENTIFIER=tlog-rec-session\nTLOG_REC=a-b-c\n".to_vec();
    expected.extend_from_slice(b"TLOG_USER\n\x0c\0\0\0\0\0\0\0x\nPRIORITY=0\n");
    expected.extend_from_slice(b"TLOG_SESSION=7\nTLOG_ID=3\nMESSAGE=");
    expected.extend_from_slice(message);
    expected.push(b'\n');
    assert_eq!(
        entry[..len].escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );

    // It is restarted: what is sent meanwhile fails, and then there is a new one.
    drop(journal);
    assert!(place.put(message).is_err());
    fs::remove_file(&path).unwrap();
    let journal = UnixDatagram::bind(&path).unwrap();
    place.put(message).unwrap();
    assert_eq!(journal.recv(&mut entry).unwrap(), len);
    let mut bare = JournalPlace::new(&path, 6, false);
    bare.put(message).unwrap();
    let len = journal.recv(&mut entry).unwrap();
    assert!(!entry[..len].windows(4).any(|w| w == b"TLOG"));
}

#[test]
fn syslog_gets_its_number_and_name() {
    let dir = Scratch::new("tlog-syslog");
    let path = dir.0.join("log");
    let syslog = UnixDatagram::bind(&path).unwrap();
    let facility = FACILITIES
        .iter()
        .find(|(name, _)| *name == "authpriv")
        .unwrap()
        .1;
    let mut place = SyslogPlace::new(&path, facility, 6);
    place.put(b"{}").unwrap();
    let mut datagram = [0; 64];
    let len = syslog.recv(&mut datagram).unwrap();
    assert_eq!(&datagram[..len], b"<86>tlog: {}");
}
