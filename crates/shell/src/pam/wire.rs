//! What the daemon and the process of a session say to each other: a length, and a word with its fields, each
//! with its length. Both are the same program, so there are no versions.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use super::asked::{Answer, Prompt};

/// Longest word, bytes: more than all variables and the command that a client may set. A longer one is an
/// error.
const WORD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What stands behind a question: whether what is typed may be seen.
const SHOWN: &[u8] = b"shown";
const HIDDEN: &[u8] = b"hidden";

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// To the process: may this account be used?
    Account {
        service: String,
        user: String,
        remote: String,
    },
    /// To the process: is somebody this user, by what they answer, and may the account be used?
    Authenticate {
        service: String,
        user: String,
        remote: String,
    },
    /// To the process: what somebody answers, as many as was asked.
    Answers(Vec<Answer>),
    /// To the process: from now on, fork one for each line that comes; most will want this service.
    Forks { service: String },
    /// To the process: open a session and prepare this program.
    Session(Box<Session>),
    /// To the process: it may run now.
    Go,
    /// To the process: nobody looks at it any more.
    Over,
    /// Text of modules for the user.
    Shown(String),
    /// Modules ask somebody, after this text; without questions it is only shown, and answered with none.
    Asks { text: String, prompts: Vec<Prompt> },
    /// The account may be used.
    Admitted,
    /// It may not, or not for a session; why.
    Refused(String),
    /// The program's process is there, and waits.
    Comes(i32),
    /// The program runs.
    Runs,
    /// It does not; why.
    NotStarted(String),
    /// How it ended: its status, or the number of the signal.
    Ended { status: u8, signal: u8 },
}

/// What is to run in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) service: String,
    pub(super) user: String,
    pub(super) remote: String,
    /// The terminal's path; empty: it has none.
    pub(super) terminal: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: PathBuf,
    pub(super) arg0: OsString,
    pub(super) argv: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
}

/// Sends a word.
///
/// # Errors
/// The other side is gone, or does not read in time.
pub(super) fn write(to: &mut impl Write, word: &Word) -> io::Result<()> {
    let mut fields = fields(word);
    let len: usize = fields.iter().map(|field| field.len() + 4).sum();
    let heads: Result<Vec<[u8; 4]>, _> = fields.iter().map(|field| length(field.len())).collect();
    let (heads, all) = (heads?, length(len)?);
    // As long as it will be: what grows leaves copies behind.
    let mut bytes = Vec::with_capacity(len + 4);
    bytes.extend(all);
    for (head, field) in heads.iter().zip(&fields) {
        bytes.extend(head);
        bytes.extend(field);
    }
    let written = to.write_all(&bytes);
    for used in fields.iter_mut().chain([&mut bytes]) {
        overwrite(used);
    }
    written
}

/// So that what may be a secret does not stay in memory that is given back.
fn overwrite(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(bytes);
}

/// Waits for a word.
///
/// # Errors
/// The other side is gone, says nothing in time, or something that is no word.
pub(super) fn read(from: &mut impl Read) -> io::Result<Word> {
    let mut len = [0; 4];
    from.read_exact(&mut len)?;
    let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
    if len > WORD_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes)?;
    let word = word(&bytes);
    overwrite(&mut bytes);
    word.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn length(len: usize) -> io::Result<[u8; 4]> {
    let len = u32::try_from(len)
        .ok()
        .filter(|len| *len as usize <= WORD_BYTES_MAX);
    len.map(u32::to_le_bytes)
        .ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn fields(word: &Word) -> Vec<Vec<u8>> {
    let texts = |all: &[&str]| all.iter().map(|text| text.as_bytes().to_vec()).collect();
    match word {
        Word::Account {
            service,
            user,
            remote,
        } => texts(&["account", service, user, remote]),
        Word::Authenticate {
            service,
            user,
            remote,
        } => texts(&["authenticate", service, user, remote]),
        Word::Answers(answers) => {
            let mut all: Vec<Vec<u8>> = texts(&["answers"]);
            all.extend(answers.iter().map(|answer| answer.0.clone()));
            all
        }
        Word::Asks { text, prompts } => {
            let mut all: Vec<Vec<u8>> = texts(&["asks", text]);
            let prompts = prompts.iter();
            all.extend(prompts.flat_map(|prompt| {
                let shown: &[u8] = if prompt.is_shown { SHOWN } else { HIDDEN };
                [prompt.text.as_bytes().to_vec(), shown.to_vec()]
            }));
            all
        }
        Word::Session(session) => {
            let of = |text: &OsStr| text.as_bytes().to_vec();
            let (uid, gid) = (session.uid.to_string(), session.gid.to_string());
            let mut all: Vec<Vec<u8>> = texts(&[
                "session",
                &session.service,
                &session.user,
                &session.remote,
                &session.terminal,
                &uid,
                &gid,
                &session.argv.len().to_string(),
            ]);
            all.extend([of(session.home.as_os_str()), of(&session.arg0)]);
            all.extend(session.argv.iter().map(|word| of(word)));
            let env = session.env.iter();
            all.extend(env.flat_map(|(name, value)| [of(name), of(value)]));
            all
        }
        Word::Forks { service } => texts(&["forks", service]),
        Word::Go => texts(&["go"]),
        Word::Over => texts(&["over"]),
        Word::Shown(text) => texts(&["shown", text]),
        Word::Admitted => texts(&["admitted"]),
        Word::Refused(why) => texts(&["refused", why]),
        Word::Comes(pid) => texts(&["comes", &pid.to_string()]),
        Word::Runs => texts(&["runs"]),
        Word::NotStarted(why) => texts(&["not-started", why]),
        Word::Ended { status, signal } => {
            texts(&["ended", &status.to_string(), &signal.to_string()])
        }
    }
}

/// The word that these bytes are, if they are one.
fn word(mut bytes: &[u8]) -> Option<Word> {
    let mut fields = std::iter::from_fn(|| {
        let (len, rest) = bytes.split_first_chunk()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        let (field, rest) = rest.split_at_checked(len)?;
        bytes = rest;
        Some(field.to_vec())
    });
    let mut text = || String::from_utf8(fields.next()?).ok();
    Some(match text()?.as_str() {
        "account" => Word::Account {
            service: text()?,
            user: text()?,
            remote: text()?,
        },
        "authenticate" => Word::Authenticate {
            service: text()?,
            user: text()?,
            remote: text()?,
        },
        "answers" => Word::Answers(fields.map(Answer).collect()),
        "asks" => {
            let words = text()?;
            let mut prompts = Vec::new();
            while let Some(text) = fields.next() {
                prompts.push(Prompt {
                    text: String::from_utf8(text).ok()?,
                    is_shown: fields.next()? == SHOWN,
                });
            }
            Word::Asks {
                text: words,
                prompts,
            }
        }
        "session" => {
            let texts = [text()?, text()?, text()?, text()?];
            let (uid, gid) = (text()?.parse().ok()?, text()?.parse().ok()?);
            let count = text()?.parse().ok()?;
            session(
                texts,
                (uid, gid),
                count,
                &mut fields.map(OsString::from_vec),
            )?
        }
        "forks" => Word::Forks { service: text()? },
        "go" => Word::Go,
        "over" => Word::Over,
        "shown" => Word::Shown(text()?),
        "admitted" => Word::Admitted,
        "refused" => Word::Refused(text()?),
        "comes" => Word::Comes(text()?.parse().ok()?),
        "runs" => Word::Runs,
        "not-started" => Word::NotStarted(text()?),
        "ended" => Word::Ended {
            status: text()?.parse().ok()?,
            signal: text()?.parse().ok()?,
        },
        _ => return None,
    })
}

fn session(
    [service, user, remote, terminal]: [String; 4],
    (uid, gid): (u32, u32),
    count: usize,
    rest: &mut impl Iterator<Item = OsString>,
) -> Option<Word> {
    let (home, arg0) = (rest.next()?.into(), rest.next()?);
    let argv: Vec<OsString> = rest.take(count).collect();
    let mut env = Vec::new();
    while let Some(name) = rest.next() {
        env.push((name, rest.next()?));
    }
    (argv.len() == count).then(|| {
        Word::Session(Box::new(Session {
            service,
            user,
            remote,
            terminal,
            uid,
            gid,
            home,
            arg0,
            argv,
            env,
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_as_it_was_written() {
        let session = Session {
            service: "sshd".into(),
            user: "anna".into(),
            remote: "192.0.2.7".into(),
            terminal: "/dev/pts/3".into(),
            uid: 1000,
            gid: 100,
            home: "/home/anna".into(),
            arg0: "-zsh".into(),
            argv: vec!["/bin/zsh".into(), OsString::from_vec(vec![b'a', 0xff])],
            env: vec![("LANG".into(), "".into()), ("A".into(), "b=c".into())],
        };
        let account = Word::Account {
            service: "sshd".into(),
            user: "anna".into(),
            remote: String::new(),
        };
        let prompt = |text: &str, is_shown| Prompt {
            text: text.into(),
            is_shown,
        };
        let all = [
            account,
            Word::Authenticate {
                service: "sshd".into(),
                user: "anna".into(),
                remote: "192.0.2.7".into(),
            },
            Word::Answers(vec![Answer(vec![0xff, b'x']), Answer(Vec::new())]),
            Word::Asks {
                text: String::new(),
                prompts: vec![prompt("Password: ", false), prompt("Code: ", true)],
            },
            Word::Asks {
                text: "good morning".into(),
                prompts: Vec::new(),
            },
            Word::Forks {
                service: "hansard-ssh".into(),
            },
            Word::Session(Box::new(session)),
            Word::Go,
            Word::Over,
            Word::Shown("two\nlines".into()),
            Word::Admitted,
            Word::Refused("why".into()),
            Word::Comes(7),
            Word::Runs,
            Word::NotStarted("no".into()),
            Word::Ended {
                status: 3,
                signal: 0,
            },
        ];
        let mut bytes = Vec::new();
        for word in &all {
            write(&mut bytes, word).unwrap();
        }
        let mut from = bytes.as_slice();
        for word in &all {
            assert_eq!(&read(&mut from).unwrap(), word);
        }
        assert!(read(&mut from).is_err());
        // Cut anywhere, and of any length, it is an error and nothing else.
        for end in 0..bytes.len().min(600) {
            let mut from = &bytes[..end];
            while read(&mut from).is_ok() {}
        }
        assert!(read(&mut [0xff; 8].as_slice()).is_err());
    }
}
