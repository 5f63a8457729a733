//! What the programs in the kernel hand over, as `ebpf/record.h` lays it out.
//!
//! The bytes are the kernel's, in its own order, from our own programs; they are read as hostile ones
//! are all the same, since half of them are strings of the recorded program.

/// Bytes before the texts.
const HEAD_BYTES: usize = 8 * 4 + 8 * 8 + 4 * 14 + 4 * TEXTS + 16;

/// Texts of one record at most.
const TEXTS: usize = 4;

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Exec,
    ExecFailed,
    Exit,
    Open,
    Path,
    Descriptor,
    Connect,
    Accept,
    Send,
    Call,
    Ring,
    Namespace,
    Answer,
    Resolved,
    Login,
}

/// Bits of [`Record::flags`].
pub(super) mod flag {
    pub(in crate::host) const COMPAT: u32 = 1;
    pub(in crate::host) const URING: u32 = 2;
    pub(in crate::host) const CUT: u32 = 4;
    pub(in crate::host) const UNREADABLE: u32 = 8;
    pub(in crate::host) const REVERSED: u32 = 16;
    pub(in crate::host) const UNLINKED: u32 = 256;
}

/// One record.
#[derive(Debug, Clone)]
pub(super) struct Record<'a> {
    /// When, on the monotonic clock.
    pub(super) time_ns: u64,
    pub(super) tag: u64,
    pub(super) cgroup: u64,
    pub(super) ret: i64,
    pub(super) args: [u64; 8],
    pub(super) kind: Kind,
    pub(super) nr: u32,
    pub(super) flags: u32,
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) parent: u32,
    pub(super) forked_by: u32,
    pub(super) uid: u32,
    pub(super) euid: u32,
    pub(super) login_uid: u32,
    pub(super) audit_session: u32,
    pub(super) mount_ns: u32,
    /// The thread's name.
    pub(super) comm: &'a [u8],
    texts: [&'a [u8]; TEXTS],
}

impl<'a> Record<'a> {
    /// `None` when these are no bytes of our programs.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (head, mut data) = bytes.split_at_checked(HEAD_BYTES)?;
        let mut head = Cursor(head);
        let time_ns = head.long()?;
        let tag = head.long()?;
        let cgroup = head.long()?;
        let ret = head.long()?.cast_signed();
        let mut args = [0; 8];
        for arg in &mut args {
            *arg = head.long()?;
        }
        let kind = kind(head.int()?)?;
        let mut ints = [0; 13];
        for int in &mut ints {
            *int = head.int()?;
        }
        let [
            nr,
            flags,
            pid,
            tid,
            parent,
            forked_by,
            uid,
            euid,
            _,
            login_uid,
            audit_session,
            mount_ns,
            _,
        ] = ints;
        let mut texts: [&[u8]; TEXTS] = [&[]; TEXTS];
        for text in &mut texts {
            let length = usize::try_from(head.int()?).ok()?;
            (*text, data) = data.split_at_checked(length)?;
        }
        Some(Self {
            time_ns,
            tag,
            cgroup,
            ret,
            args,
            kind,
            nr,
            flags,
            pid,
            tid,
            parent,
            forked_by,
            uid,
            euid,
            login_uid,
            audit_session,
            mount_ns,
            comm: until_zero(head.0),
            texts,
        })
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// The number under which io_uring's answer will come, or came; 0 if none will.
    pub(super) fn asked(&self) -> u64 {
        let [_, _, _, _, _, asked, ..] = self.args;
        match self.has(flag::URING) || self.kind == Kind::Answer {
            true => asked,
            false => 0,
        }
    }

    /// Bytes as they are.
    pub(super) fn bytes(&self, text: usize) -> &'a [u8] {
        self.texts.get(text).copied().unwrap_or_default()
    }

    /// A path or string, whatever way it came.
    pub(super) fn text(&self, text: usize) -> Vec<u8> {
        let bytes = self.bytes(text);
        match self.flags & (flag::REVERSED << text) {
            0 => until_zero(bytes).to_vec(),
            _ => walked(bytes),
        }
    }

    /// A path, absolute: text `text`, below the directory in the next one if it is relative.
    pub(super) fn path(&self, text: usize) -> Vec<u8> {
        let named = self.text(text);
        let base = self.bytes(text + 1);
        if self.flags & (flag::REVERSED << text) != 0 || named.starts_with(b"/") {
            return named;
        }
        if base.is_empty() && self.flags & (flag::REVERSED << (text + 1)) == 0 {
            return named;
        }
        let mut path = walked(base);
        if !named.is_empty() {
            if path.last() != Some(&b'/') {
                path.push(b'/');
            }
            path.extend_from_slice(&named);
        }
        path
    }
}

/// Names of a path, the last first, each with a zero behind it: the path.
fn walked(names: &[u8]) -> Vec<u8> {
    let names = names.strip_suffix(b"\0").unwrap_or(names);
    if names.is_empty() {
        return b"/".to_vec();
    }
    let mut path = Vec::with_capacity(names.len() + 1);
    for name in names.rsplit(|b| *b == 0) {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

fn kind(number: u32) -> Option<Kind> {
    Some(match number {
        1 => Kind::Exec,
        2 => Kind::ExecFailed,
        3 => Kind::Exit,
        4 => Kind::Open,
        5 => Kind::Path,
        6 => Kind::Descriptor,
        7 => Kind::Connect,
        8 => Kind::Accept,
        9 => Kind::Send,
        10 => Kind::Call,
        11 => Kind::Ring,
        12 => Kind::Namespace,
        15 => Kind::Answer,
        16 => Kind::Resolved,
        17 => Kind::Login,
        _ => return None,
    })
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn long(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_ne_bytes(*bytes))
    }

    fn int(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_ne_bytes(*bytes))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record of this kind with these texts, as the kernel lays it out.
    pub(in crate::host) fn made(kind: u32, flags: u32, texts: [&[u8]; 4]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for long in [1u64, 7, 9, (-2i64).cast_unsigned()] {
            bytes.extend(long.to_ne_bytes());
        }
        bytes.extend([0; 64]);
        let ints = [
            kind,
            257,
            flags,
            10,
            10,
            4,
            4,
            0,
            0,
            0,
            u32::MAX,
            u32::MAX,
            5,
            0,
        ];
        for int in ints {
            bytes.extend(int.to_ne_bytes());
        }
        for text in texts {
            bytes.extend(u32::try_from(text.len()).unwrap().to_ne_bytes());
        }
        bytes.extend(*b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        texts.iter().for_each(|text| bytes.extend(*text));
        bytes
    }

    /// The same of another call, with this first argument.
    pub(in crate::host) fn of(mut bytes: Vec<u8>, (nr, first): (u32, u64)) -> Vec<u8> {
        bytes[32..40].copy_from_slice(&first.to_ne_bytes());
        bytes[100..104].copy_from_slice(&nr.to_ne_bytes());
        bytes
    }

    #[test]
    fn paths_come_together() {
        let bytes = made(4, 16, [b"shadow\0etc\0", b"", b"", b""]);
        let record = Record::parse(&bytes).unwrap();
        assert_eq!((record.tag, record.ret, record.comm), (7, -2, &b"sh"[..]));
        assert_eq!(record.path(0), b"/etc/shadow");
        let bytes = made(5, 32, [b"../x\0", b"tmp\0", b"", b""]);
        assert_eq!(Record::parse(&bytes).unwrap().path(0), b"/tmp/../x");
        let bytes = made(5, 32, [b"x\0", b"", b"", b""]);
        assert_eq!(Record::parse(&bytes).unwrap().path(0), b"/x");
        let bytes = made(5, 0, [b"/a\0", b"", b"", b""]);
        assert_eq!(Record::parse(&bytes).unwrap().path(0), b"/a");
    }

    #[test]
    fn every_cut_is_refused_and_none_panics() {
        let bytes = made(4, 16, [b"shadow\0etc\0", b"", b"", b"x"]);
        for end in 0..bytes.len() {
            assert!(Record::parse(&bytes[..end]).is_none(), "{end}");
        }
        let bytes = made(99, 0, [b"", b"", b"", b""]);
        assert!(Record::parse(&bytes).is_none());
    }
}
