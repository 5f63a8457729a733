//! Packets put together by hand.

use super::*;

pub(super) fn packet(kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    let mut packet = u32::try_from(body.len() + 1)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    packet.push(kind);
    packet.extend(body);
    packet
}

pub(super) fn string(bytes: &[u8]) -> Vec<u8> {
    let mut string = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    string.extend(bytes);
    string
}

pub(super) fn id(n: u32) -> [u8; 4] {
    n.to_be_bytes()
}

pub(super) fn status(n: u32, code: u32) -> Vec<u8> {
    packet(
        kind::STATUS,
        &[&id(n), &id(code), &string(b""), &string(b"")],
    )
}

pub(super) fn begun() -> Sftp {
    let mut sftp = Sftp::default();
    assert_eq!(sftp.up(&packet(kind::INIT, &[&id(3)])).unwrap(), []);
    let version = packet(
        kind::VERSION,
        &[&id(3), &string(b"posix-rename@openssh.com"), &string(b"1")],
    );
    assert_eq!(sftp.down(&version).unwrap(), []);
    sftp
}

pub(super) fn fields(body: &Body) -> Fields {
    match body {
        Body::Transfer(fact) => fact.fields.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_is_one_event_with_its_digest_however_it_is_cut() {
    let up = [
        packet(kind::OPEN, &[&id(1), &string(b"/tmp/a"), &id(26), &id(0)]),
        packet(
            kind::WRITE,
            &[&id(2), &string(b"h1"), &[0; 8], &string(b"hello ")],
        ),
        packet(
            kind::WRITE,
            &[
                &id(3),
                &string(b"h1"),
                &6_u64.to_be_bytes(),
                &string(b"world"),
            ],
        ),
        packet(kind::CLOSE, &[&id(4), &string(b"h1")]),
    ];
    let down = [
        packet(kind::HANDLE, &[&id(1), &string(b"h1")]),
        status(2, 0),
        status(3, 0),
        status(4, 0),
    ];
    let mut sftp = begun();
    let mut said = Vec::new();
    for (asked, answer) in up.iter().zip(&down) {
        for byte in asked {
            said.extend(sftp.up(&[*byte]).unwrap());
        }
        said.extend(sftp.down(answer).unwrap());
    }
    assert_eq!(said.len(), 1, "{said:?}");
    let file = fields(&said[0]);
    assert_eq!(file.text("path"), Some("/tmp/a"));
    assert_eq!(file.text("action"), Some("1"));
    assert_eq!(file.get("rx"), Some(&11_u64.into()));
    assert_eq!(file.get("success"), Some(&true.into()));
    assert_eq!(
        file.text("sha256"),
        Some("b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9")
    );
    let over = sftp.over();
    assert_eq!(fields(&over[0]).get("files"), Some(&1_u64.into()));
}

#[test]
fn what_is_read_out_of_order_has_no_digest_and_all_its_bytes() {
    let mut sftp = begun();
    sftp.up(&packet(
        kind::OPEN,
        &[&id(1), &string(b"a"), &id(1), &id(0)],
    ))
    .unwrap();
    sftp.down(&packet(kind::HANDLE, &[&id(1), &string(b"h")]))
        .unwrap();
    for (n, offset) in [(2, 4_u64), (3, 0)] {
        let asked = [&id(n)[..], &string(b"h"), &offset.to_be_bytes(), &id(4)].concat();
        sftp.up(&packet(kind::READ, &[&asked])).unwrap();
        sftp.down(&packet(kind::DATA, &[&id(n), &string(b"abcd")]))
            .unwrap();
    }
    let over = sftp.over();
    let file = fields(&over[0]);
    assert_eq!(file.get("tx"), Some(&8_u64.into()));
    assert_eq!(file.text("sha256"), None);
    assert_eq!(file.text("error"), Some("it was not closed"));
}

#[test]
fn what_is_done_and_what_is_denied_are_events() {
    let mut sftp = begun();
    let asked = [
        packet(kind::REMOVE, &[&id(1), &string(b"/a")]),
        packet(kind::RENAME, &[&id(2), &string(b"/a"), &string(b"/b")]),
        packet(
            kind::EXTENDED,
            &[
                &id(3),
                &string(b"hardlink@openssh.com"),
                &string(b"/a"),
                &string(b"/b"),
            ],
        ),
        packet(
            kind::OPEN,
            &[&id(4), &string(b"/etc/shadow"), &id(1), &id(0)],
        ),
        packet(kind::EXTENDED, &[&id(5), &string(b"new@example.com")]),
    ];
    sftp.up(&asked.concat()).unwrap();
    let mut said = Vec::new();
    for n in 1..=5 {
        let answer = status(n, if n == 2 { 0 } else { 3 });
        said.extend(sftp.down(&answer).unwrap());
    }
    let shown: Vec<_> = said
        .iter()
        .map(|body| {
            let fields = fields(body);
            let text = |name| fields.text(name).map(ToOwned::to_owned);
            (
                text("action"),
                text("path"),
                text("target_path"),
                text("error"),
            )
        })
        .collect();
    let some = |text: &str| Some(text.to_owned());
    let denied = some("permission denied");
    assert_eq!(
        shown,
        [
            (some("11"), some("/a"), None, denied.clone()),
            (some("16"), some("/a"), some("/b"), None),
            (some("19"), some("/a"), some("/b"), denied.clone()),
            (some("1"), some("/etc/shadow"), None, denied.clone()),
            (None, None, None, denied),
        ]
    );
}

#[test]
fn what_is_no_sftp_is_stopped() {
    for noise in [
        vec![0xff; 8],
        vec![0, 0, 0, 0],
        packet(kind::REMOVE, &[&id(1), &id(900), b"short"]),
        [
            packet(kind::REMOVE, &[&id(1), &string(b"/a")]),
            packet(kind::REMOVE, &[&id(1), &string(b"/b")]),
        ]
        .concat(),
    ] {
        assert!(begun().up(&noise).is_err(), "{noise:?}");
    }
    let mut sftp = begun();
    let flood = (0..=u32::try_from(SFTP_PENDING_MAX).unwrap())
        .map(|n| sftp.up(&packet(kind::STAT, &[&id(n), &string(b"/a")])))
        .find_map(Result::err);
    assert!(flood.unwrap().0.contains("wait for an answer"));
}

/// What a file gets besides bytes: a mode with set-user-ID, an owner, a length.
#[test]
fn attributes_are_told_and_another_length_is_another_file() {
    let attributes = |flags: u32, values: &[u32]| {
        let all = std::iter::once(&flags).chain(values);
        all.flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>()
    };
    let write = |n: u32| {
        packet(
            kind::WRITE,
            &[&id(n), &string(b"h1"), &[0; 8], &string(b"hello")],
        )
    };
    let resize = |n: u32, size: u32| {
        let size = attributes(1, &[0, size]);
        packet(kind::FSETSTAT, &[&id(n), &string(b"h1"), &size])
    };
    let setuid = attributes(4, &[0o4755]);
    let told = |changes: &[Vec<u8>]| {
        let mut sftp = begun();
        let open = packet(kind::OPEN, &[&id(1), &string(b"/a"), &id(26), &setuid]);
        sftp.up(&open).unwrap();
        sftp.down(&packet(kind::HANDLE, &[&id(1), &string(b"h1")]))
            .unwrap();
        let mut said = Vec::new();
        for (n, change) in (2..).zip(changes) {
            sftp.up(change).unwrap();
            said.extend(sftp.down(&status(n, 0)).unwrap());
        }
        sftp.up(&packet(kind::CLOSE, &[&id(99), &string(b"h1")]))
            .unwrap();
        said.extend(sftp.down(&status(99, 0)).unwrap());
        said.iter().map(fields).collect::<Vec<_>>()
    };
    let whole = told(&[write(2)]);
    let digest = whole[0].text("sha256").unwrap().to_owned();
    assert_eq!(whole[0].get("mode"), Some(&0o4755_u64.into()));
    let is_told = |all: &[Fields]| all.last().unwrap().text("sha256").map(str::to_owned);
    // As long as what was written, before or after: the same file.
    for same in [
        [write(2), resize(3, 5)],
        [resize(2, 5), write(3)],
        [resize(2, 0), write(3)],
    ] {
        assert_eq!(is_told(&told(&same)).as_ref(), Some(&digest));
    }
    // Cut, or longer than what passed.
    for other in [
        [write(2), resize(3, 2)],
        [write(2), resize(3, 9)],
        [resize(2, 9), write(3)],
    ] {
        let all = told(&other);
        assert_eq!(is_told(&all), None);
        assert!(all[0].get("length").is_some(), "{all:?}");
    }
    let mut sftp = begun();
    let wanted = attributes(2 | 4 | 8, &[1000, 1001, 0o100_640, 7, 9]);
    let asked = packet(kind::SETSTAT, &[&id(1), &string(b"/b"), &wanted]);
    sftp.up(&asked).unwrap();
    let said = fields(&sftp.down(&status(1, 0)).unwrap()[0]);
    let numbers = ["new_owner", "new_group", "mode", "new_atime", "new_mtime"];
    let numbers = numbers.map(|name| said.get(name).cloned());
    let wanted = [1000_u64, 1001, 0o100_640, 7, 9].map(|n| Some(n.into()));
    assert_eq!(numbers, wanted);
    // Cut in the middle it is no request.
    let cut = packet(
        kind::SETSTAT,
        &[&id(2), &string(b"/b"), &attributes(1, &[7])],
    );
    assert!(sftp.up(&cut).is_err());
}
