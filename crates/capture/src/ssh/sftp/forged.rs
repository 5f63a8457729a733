//! Clients that would have the record say something else than what happened, one forgery after the other.

use super::tests::{begun, fields, id, packet, status, string};
use super::*;

pub(super) fn open(n: u32, path: &str) -> Vec<u8> {
    packet(
        kind::OPEN,
        &[&id(n), &string(path.as_bytes()), &id(0x1a), &id(0)],
    )
}

pub(super) fn named(kind: u8, n: u32, name: &str) -> Vec<u8> {
    packet(kind, &[&id(n), &string(name.as_bytes())])
}

pub(super) fn write(n: u32, handle: &[u8], bytes: &[u8]) -> Vec<u8> {
    packet(
        kind::WRITE,
        &[&id(n), &string(handle), &[0; 8], &string(bytes)],
    )
}

pub(super) fn read(n: u32, handle: &[u8]) -> Vec<u8> {
    packet(kind::READ, &[&id(n), &string(handle), &[0; 8], &id(1000)])
}

pub(super) fn data(n: u32, bytes: &[u8]) -> Vec<u8> {
    packet(kind::DATA, &[&id(n), &string(bytes)])
}

fn stopped<T: std::fmt::Debug>(done: Result<T, Stop>, why: &str) {
    let stop = done.unwrap_err();
    assert!(stop.0.contains(why), "{stop:?}");
}

/// Of what is left to say, what is said of this path.
fn rest(sftp: &mut Sftp, path: &str) -> Fields {
    let rest = sftp.over();
    let of_path = |body: &Body| Some(fields(body)).filter(|said| said.text("path") == Some(path));
    rest.iter().find_map(of_path).unwrap()
}

#[test]
fn an_answer_to_looking_is_not_taken_for_that_of_another_request() {
    for second in [open(7, "/secret"), named(kind::REMOVE, 7, "/victim")] {
        let mut sftp = begun();
        let both = [named(kind::STAT, 7, "/none"), second.clone()].concat();
        stopped(sftp.up(&both), "two requests have one number");
        // The other way round, and in two pieces.
        let mut sftp = begun();
        sftp.up(&second).unwrap();
        stopped(
            sftp.up(&named(kind::STAT, 7, "/none")),
            "two requests have one number",
        );
    }
    // A number that has its answer is free again.
    let mut sftp = begun();
    sftp.up(&named(kind::STAT, 7, "/none")).unwrap();
    assert_eq!(sftp.down(&status(7, 2)).unwrap(), []);
    sftp.up(&named(kind::REMOVE, 7, "/victim")).unwrap();
    let said = sftp.down(&status(7, 0)).unwrap();
    assert_eq!(fields(&said[0]).get("success"), Some(&true.into()));
}

#[test]
fn nothing_is_written_by_a_handle_that_was_guessed() {
    for second in [
        write(2, &[0; 4], b"unseen"),
        packet(kind::CLOSE, &[&id(2), &string(&[0; 4])]),
        packet(kind::FSETSTAT, &[&id(2), &string(&[0; 4]), &id(0)]),
        packet(
            kind::EXTENDED,
            &[
                &id(2),
                &string(b"copy-data"),
                &string(&[0; 4]),
                &[0; 16],
                &string(&[0; 4]),
            ],
        ),
    ] {
        let mut sftp = begun();
        let both = [open(1, "/dropped"), second].concat();
        stopped(sftp.up(&both), "has not given out");
        let said = rest(&mut sftp, "/dropped");
        assert_eq!(said.text("error"), Some(NOT_SEEN));
        assert_eq!(said.get("success"), None);
    }
}

#[test]
fn nothing_is_read_by_a_handle_that_was_guessed_or_is_closed() {
    let mut sftp = begun();
    sftp.up(&[open(1, "/secret"), read(2, b"h")].concat())
        .unwrap();
    sftp.down(&packet(kind::HANDLE, &[&id(1), &string(b"h")]))
        .unwrap();
    stopped(sftp.down(&data(2, b"secret")), "not known to be open");
    // Whatever is asked behind that is not passed on, for nobody reads what becomes of it.
    stopped(sftp.up(&named(kind::REMOVE, 3, "/a")), "not read any more");
    assert_eq!(
        rest(&mut sftp, "/secret").text("error"),
        Some("it was not closed")
    );
    // Honest clients that read ahead ask for more of what they have closed, and get none.
    let mut sftp = begun();
    sftp.up(&open(1, "/a")).unwrap();
    sftp.down(&packet(kind::HANDLE, &[&id(1), &string(b"h")]))
        .unwrap();
    let late = [packet(kind::CLOSE, &[&id(2), &string(b"h")]), read(3, b"h")];
    sftp.up(&late.concat()).unwrap();
    assert_eq!(sftp.down(&status(2, 0)).unwrap().len(), 1);
    assert_eq!(sftp.down(&status(3, 4)).unwrap(), []);
}

#[test]
fn what_waits_when_a_file_is_closed_is_that_files_whoever_has_its_handle_then() {
    let mut sftp = begun();
    let handle = |n: u32| packet(kind::HANDLE, &[&id(n), &string(b"h")]);
    sftp.up(&open(1, "/first")).unwrap();
    sftp.down(&handle(1)).unwrap();
    let close = packet(kind::CLOSE, &[&id(4), &string(b"h")]);
    let asked = [
        read(2, b"h"),
        write(3, b"h", b"abc"),
        close,
        open(5, "/second"),
    ];
    sftp.up(&asked.concat()).unwrap();
    // A server of another make: several at a time.
    assert_eq!(sftp.down(&status(4, 0)).unwrap(), []);
    assert_eq!(sftp.down(&handle(5)).unwrap(), []);
    assert_eq!(sftp.down(&status(3, 3)).unwrap(), []);
    let said = sftp.down(&data(2, b"12345")).unwrap();
    let first = fields(&said[0]);
    assert_eq!(first.text("path"), Some("/first"));
    assert_eq!(first.get("tx"), Some(&5_u64.into()));
    assert_eq!(first.get("rx"), Some(&3_u64.into()));
    assert_eq!(first.text("error"), Some("permission denied"));
    let second = rest(&mut sftp, "/second");
    assert_eq!(second.get("tx"), Some(&0_u64.into()));
    assert_eq!(second.text("error"), Some("it was not closed"));
}

#[test]
fn another_version_than_the_third_is_stopped_wherever_it_comes_from() {
    let init = || packet(kind::INIT, &[&id(6)]);
    let version = |n| packet(kind::VERSION, &[&id(n)]);
    let mut silent = Sftp::default();
    stopped(silent.up(&open(3, "/a")), "does not begin with a version");
    stopped(
        Sftp::default().down(&version(3)),
        "before the server's version",
    );
    let mut hasty = Sftp::default();
    stopped(
        hasty.up(&[init(), open(3, "/a")].concat()),
        "before the server's version",
    );
    for n in [0, 2, 4, 6] {
        let mut other = Sftp::default();
        other.up(&init()).unwrap();
        stopped(other.down(&version(n)), "only version 3");
        stopped(other.up(&open(1, "/a")), "not read any more");
    }
    let mut garbled = Sftp::default();
    garbled.up(&init()).unwrap();
    stopped(garbled.down(&status(3, 0)), "before the server's version");
    let select = [&id(1)[..], &string(b"version-select"), &string(b"6")].concat();
    stopped(
        begun().up(&packet(kind::EXTENDED, &[&select])),
        "another version",
    );
    // Neither side begins anew, and version 6 has requests that the third has not: 21 is its link.
    stopped(begun().up(&init()), "version 3 does not have");
    stopped(begun().up(&named(21, 1, "/a")), "version 3 does not have");
    stopped(begun().down(&version(3)), "version 3 does not have");
}

#[test]
fn an_answer_is_to_something_and_of_its_kind() {
    let handle = |n| packet(kind::HANDLE, &[&id(n), &string(b"h")]);
    stopped(begun().down(&status(1, 0)), "to nothing");
    for (asked, answer) in [
        (open(1, "/a"), data(1, b"x")),
        (open(1, "/a"), packet(kind::ATTRS, &[&id(1), &id(0)])),
        (named(kind::STAT, 1, "/a"), handle(1)),
        (named(kind::STAT, 1, "/a"), data(1, b"x")),
        (
            named(kind::REMOVE, 1, "/a"),
            packet(kind::NAME, &[&id(1), &id(0)]),
        ),
        (named(kind::EXTENDED, 1, "new@example.com"), handle(1)),
    ] {
        let mut sftp = begun();
        sftp.up(&asked).unwrap();
        stopped(sftp.down(&answer), "of a kind that its request has not");
    }
    let mut twice = begun();
    twice.up(&[open(1, "/a"), open(2, "/b")].concat()).unwrap();
    twice.down(&handle(1)).unwrap();
    stopped(twice.down(&handle(2)), "one handle");
    assert_eq!(rest(&mut twice, "/b").get("success"), Some(&false.into()));
    // OpenSSH answers this one of its own with a name.
    let mut own = begun();
    own.up(&named(kind::EXTENDED, 1, "expand-path@openssh.com"))
        .unwrap();
    own.down(&packet(kind::NAME, &[&id(1), &id(0)])).unwrap();
}

#[test]
fn what_was_asked_for_and_never_answered_is_told_of() {
    let mut sftp = begun();
    let asked = [
        named(kind::REMOVE, 1, "/victim"),
        named(kind::STAT, 2, "/a"),
    ];
    sftp.up(&asked.concat()).unwrap();
    let said = sftp.over();
    assert_eq!(said.len(), 2, "{said:?}");
    let victim = fields(&said[0]);
    assert_eq!(victim.text("path"), Some("/victim"));
    assert_eq!(victim.text("error"), Some(NOT_SEEN));
    assert_eq!(victim.get("success"), None);
}

#[test]
fn a_copy_on_the_server_names_both_files_and_leaves_no_digest() {
    let mut sftp = begun();
    for (n, path, handle) in [(1, "/from", b"f"), (2, "/to", b"t")] {
        sftp.up(&open(n, path)).unwrap();
        sftp.down(&packet(kind::HANDLE, &[&id(n), &string(handle)]))
            .unwrap();
    }
    let copy = packet(
        kind::EXTENDED,
        &[
            &id(3),
            &string(b"copy-data"),
            &string(b"f"),
            &[0; 16],
            &string(b"t"),
            &[0; 8],
        ],
    );
    sftp.up(&[write(4, b"t", b"some"), copy].concat()).unwrap();
    sftp.down(&status(4, 0)).unwrap();
    let said = sftp.down(&status(3, 0)).unwrap();
    let copied = fields(&said[0]);
    assert_eq!(copied.text("message"), Some("copy-data"));
    assert_eq!(copied.text("path"), Some("/from"));
    assert_eq!(copied.text("target_path"), Some("/to"));
    assert_eq!(copied.get("success"), Some(&true.into()));
    assert_eq!(rest(&mut sftp, "/to").text("sha256"), None);
}
