//! Messages of tlog in the systemd journal, read by `journalctl` as a child: the journal's files are
//! its own matter, and it can filter by fields without reading everything.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use crate::cli::{JournalArgs, ReaderKind};
use crate::failure::{Failure, STATUS_RECORDER, STATUS_WRONG_USE, shown};

/// Bytes of what `journalctl` says on standard error that are repeated; the rest is read and dropped.
const SAID_BYTES_MAX: u64 = 4096;

/// What writes sessions into the journal, by itself or through syslog. Looked for where nothing else
/// is asked for, so that not all of a machine's journal is read. By its identifier too where it
/// writes by itself: a writer that ended before journald looked at it has no command name.
const WRITERS: [&str; 6] = [
    "_COMM=tlog-rec",
    "_COMM=tlog-rec-sessio",
    "+",
    "SYSLOG_IDENTIFIER=tlog",
    "SYSLOG_IDENTIFIER=tlog-rec",
    "SYSLOG_IDENTIFIER=tlog-rec-session",
];

/// Which file stands for the journal where none is named.
pub(crate) const ANY: &str = "journal";

/// The recording that is wanted of the journal, if the journal is read: `Some(None)` is whichever
/// comes first.
pub(crate) fn wanted<'a>(path: &'a Path, args: &JournalArgs) -> Option<Option<&'a str>> {
    if args.reader != ReaderKind::Journal {
        return None;
    }
    let name = path.to_str().unwrap_or_default();
    Some((![ANY, "-", ""].contains(&name)).then_some(name))
}

/// Entries of the journal, one object of JSON a line. Ends with the child; dropping it ends the
/// child.
pub(crate) struct Journal {
    child: Child,
    entries: ChildStdout,
    said: Option<ChildStderr>,
}

impl Journal {
    /// Begins to read. With `follow` it goes on with what comes.
    pub(crate) fn open(
        rec: Option<&str>,
        args: &JournalArgs,
        follow: bool,
    ) -> Result<Self, Failure> {
        let mut command = Command::new("journalctl");
        command
            .args(arguments(rec, args, follow))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| no_journalctl(&e))?;
        let (entries, said) = (child.stdout.take(), child.stderr.take());
        match entries {
            Some(entries) => Ok(Self {
                child,
                entries,
                said,
            }),
            None => Err(Failure::new(STATUS_RECORDER, "journalctl has no output")),
        }
    }

    /// How the child ended, as an error if it did not end well.
    fn ended(&mut self) -> io::Result<()> {
        let mut said = String::new();
        if let Some(pipe) = self.said.take() {
            let _ = pipe.take(SAID_BYTES_MAX).read_to_string(&mut said);
        }
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        let said = hansard_view::escape_for_humans(said.trim()).into_owned();
        Err(io::Error::other(format!("journalctl: {status}: {said}")))
    }
}

impl Read for Journal {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.entries.read(buffer)?;
        // The end of a child that failed is not the end of the recording.
        if read == 0 && !buffer.is_empty() && self.said.is_some() {
            self.ended()?;
        }
        Ok(read)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // It may be gone already; either way it is waited for, so that no dead child is left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `journalctl` is asked. Matches stand behind `--`: none can be taken for an option.
fn arguments(rec: Option<&str>, args: &JournalArgs, follow: bool) -> Vec<OsString> {
    // Without --all it leaves out every text that is longer than a message of tlog may be.
    let mut words: Vec<OsString> = ["--output=json", "--all", "--quiet", "--no-pager"]
        .into_iter()
        .chain(["--output-fields=MESSAGE", "--lines=all"])
        .chain(follow.then_some("--follow"))
        .map(OsString::from)
        .collect();
    let mut option = |name: &str, value: Option<&[u8]>| {
        if let Some(value) = value {
            let mut word = OsString::from(name);
            word.push(std::ffi::OsStr::from_bytes(value));
            words.push(word);
        }
    };
    let text = |value: &'_ Option<String>| value.as_ref().map(|v| v.clone().into_bytes());
    option("--since=", text(&args.journal_since).as_deref());
    option("--until=", text(&args.journal_until).as_deref());
    option("--namespace=", text(&args.journal_namespace).as_deref());
    let directory = args.journal_directory.as_ref();
    option("--directory=", directory.map(|d| d.as_os_str().as_bytes()));
    words.push("--".into());
    words.extend(args.journal_match.iter().map(OsString::from));
    words.extend(rec.map(|rec| format!("TLOG_REC={rec}").into()));
    if rec.is_none() && args.journal_match.is_empty() {
        words.extend(WRITERS.iter().map(OsString::from));
    }
    words
}

/// There is no entry of what was asked for.
pub(crate) fn nothing(path: &Path, rec: Option<&str>) -> Failure {
    let what = match rec {
        Some(_) => "no entry of this recording",
        None => "no entry of tlog, or none that matches",
    };
    Failure::new(STATUS_WRONG_USE, format!("{}: {what}", shown(path))).hint(
        "who is not root or in the group systemd-journal sees only their own entries; others may be in another \
         --journal-namespace or --journal-directory, or of another time or -M",
    )
}

fn no_journalctl(error: &io::Error) -> Failure {
    let failure = Failure::new(STATUS_WRONG_USE, format!("journalctl: {error}"));
    match error.kind() {
        io::ErrorKind::NotFound => failure.hint(
            "reading the journal needs systemd's `journalctl`; `journalctl -o json --all > FILE` \
             on the machine that has it makes a file to play",
        ),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(rec: Option<&str>, args: &JournalArgs) -> String {
        let words = arguments(rec, args, false);
        let words: Vec<_> = words.iter().map(|w| w.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn what_is_asked_of_journalctl() {
        let args = JournalArgs {
            reader: ReaderKind::Journal,
            journal_since: Some("-1h".to_owned()),
            journal_namespace: Some("ns".to_owned()),
            ..JournalArgs::default()
        };
        let all = asked(None, &args);
        assert!(
            all.contains("--since=-1h --namespace=ns -- _COMM=tlog-rec _COMM=tlog-rec-sessio "),
            "{all}"
        );
        assert!(all.ends_with(
            "+ SYSLOG_IDENTIFIER=tlog SYSLOG_IDENTIFIER=tlog-rec SYSLOG_IDENTIFIER=tlog-rec-session"
        ));
        let one = asked(Some("--x"), &args);
        assert!(one.ends_with(" -- TLOG_REC=--x"), "{one}");
        let args = JournalArgs {
            journal_match: vec!["TLOG_USER=anna".to_owned()],
            ..args
        };
        assert!(asked(None, &args).ends_with(" -- TLOG_USER=anna"));
    }

    #[test]
    fn which_recording_a_name_means() {
        let args = JournalArgs {
            reader: ReaderKind::Journal,
            ..JournalArgs::default()
        };
        let of = |name: &'static str| wanted(Path::new(name), &args);
        assert_eq!(of("journal"), Some(None));
        assert_eq!(of("-"), Some(None));
        assert_eq!(of("a-b-c"), Some(Some("a-b-c")));
        assert_eq!(wanted(Path::new("a"), &JournalArgs::default()), None);
    }
}
