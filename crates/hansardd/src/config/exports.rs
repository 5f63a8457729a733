//! Keys of what is sent on to others.

use std::path::PathBuf;

use hansard_export::tlog::Action;
use hansard_export::tlog::place::{FACILITIES, PRIORITIES};
use hansard_view::nearest;

use super::key::{Kind, Reading, Value, section};
use super::quoted;
use super::tree::Tree;
use super::value::{Size, Span, text};

section! {
    /// Sending on to others what is recorded.
    Export {
        /// Writes sessions as messages of tlog while they are recorded, for Cockpit's session
        /// recording, `tlog-play` and what reads tlog behind syslog. Needs `store`. A process of its
        /// own, called `tlog-rec-sessio` as Cockpit expects it, does the writing. A message that may
        /// not have arrived is written again, so a restart loses none and can repeat some.
        tlog: Option<TlogExport> = None;
    }
}

section! {
    /// Messages of tlog. Keys and defaults are tlog's.
    TlogExport {
        /// Where to: the systemd journal, syslog, or a file.
        writer: TlogWriter = TlogWriter::Journal;
        /// How long what was recorded may wait for its message to be full.
        latency: Span = Span::seconds(10), in [Span::seconds(1), Span::seconds(3600)];
        /// Most encoded payload of a message. Around it come up to 1 KiB of names.
        payload: Size = Size(2048), in [Size(32), Size::kib(64)];
        /// What of a session is written. What was not recorded cannot be.
        log: TlogLog = TlogLog::default();
        /// How fast it is written.
        limit: TlogLimit = TlogLimit::default();
        /// The writer `file`.
        file: TlogFile = TlogFile::default();
        /// The writer `syslog`.
        syslog: TlogSyslog = TlogSyslog::default();
        /// The writer `journal`.
        journal: TlogJournal = TlogJournal::default();
    }
}

section! {
    /// What is written.
    TlogLog {
        /// What was typed or piped in, as far as it was recorded. Whoever reads the journal or the
        /// file reads it.
        input: bool = false;
        /// What was shown; standard error is one with standard output in tlog.
        output: bool = true;
        /// Sizes of the terminal.
        window: bool = true;
    }
}

section! {
    /// A bucket for each recording: what goes over it is not written at once. The session itself
    /// never waits for it.
    TlogLimit {
        /// Bytes of messages in a second.
        rate: Size = Size::kib(16), in [Size(1), Size::gib(1)];
        /// Bytes that may come at once besides.
        burst: Size = Size::kib(32), in [Size(0), Size::gib(1)];
        /// What happens to a message that is over the limit: it passes all the same, it is written
        /// later (`delay`), or it is left out and counted (`drop`); the recording itself has it.
        action: Action = Action::Pass;
    }
}

section! {
    /// A file, one message a line, for its owner only.
    TlogFile {
        /// The file. One that is moved away is begun anew. The daemon's unit may write in
        /// `/var/log/hansard`; elsewhere it must be allowed to.
        path: PathBuf = PathBuf::from("/var/log/hansard/tlog.json");
    }
}

section! {
    /// The syslog of this machine, under the name `tlog`.
    TlogSyslog {
        /// Where it listens.
        socket: PathBuf = PathBuf::from("/dev/log");
        /// Its facility, by the names of syslog(3).
        facility: Facility = Facility(10);
        /// Its priority.
        priority: Priority = Priority(6);
    }
}

section! {
    /// The journal of this machine.
    TlogJournal {
        /// Where it listens.
        socket: PathBuf = PathBuf::from("/run/systemd/journal/socket");
        /// The priority of messages.
        priority: Priority = Priority(6);
        /// Whether messages have the fields `TLOG_REC`, `TLOG_USER`, `TLOG_SESSION` and `TLOG_ID`,
        /// which Cockpit needs.
        augment: bool = true;
    }
}

/// Where messages of tlog are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlogWriter {
    /// The systemd journal.
    Journal,
    /// syslog.
    Syslog,
    /// A file.
    File,
}

impl TlogWriter {
    const ALL: [Self; 3] = [Self::Journal, Self::Syslog, Self::File];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Syslog => "syslog",
            Self::File => "file",
        }
    }
}

/// The number of a facility of syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility(pub u8);

/// The number of a priority of syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority(pub u8);

/// One of a few words, each with what it means.
fn word<T: Copy>(tree: &Tree, reading: &mut Reading, words: &[(&'static str, T)]) -> Option<T> {
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    let wanted = format!("one of {}", names.join(", "));
    let text = text(tree, &wanted, reading)?;
    let found = words.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        let next = match nearest(text, names) {
            Some(word) => format!("did you mean {word}?"),
            None => format!("write {wanted}"),
        };
        reading.wrong(
            tree.place,
            format!("{} is not {wanted}", quoted(text)),
            next,
        );
    }
    found.map(|(_, value)| *value)
}

impl Value for TlogWriter {
    const KIND: Kind = Kind::One("`journal`, `syslog` or `file`");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        word(
            tree,
            reading,
            &Self::ALL.map(|writer| (writer.as_str(), writer)),
        )
    }

    fn shown(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Value for Action {
    const KIND: Kind = Kind::One("`pass`, `delay` or `drop`");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        word(
            tree,
            reading,
            &Self::ALL.map(|action| (action.as_str(), action)),
        )
    }

    fn shown(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Value for Facility {
    const KIND: Kind = Kind::One("facility of syslog");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        word(tree, reading, &FACILITIES.map(|(name, n)| (name, Self(n))))
    }

    fn shown(&self) -> String {
        let found = FACILITIES.iter().find(|(_, n)| *n == self.0);
        found.map_or("", |(name, _)| name).to_owned()
    }
}

impl Value for Priority {
    const KIND: Kind = Kind::One("priority of syslog");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let numbers = (0u8..).map(Self).zip(PRIORITIES);
        let words: Vec<_> = numbers.map(|(number, name)| (name, number)).collect();
        word(tree, reading, &words)
    }

    fn shown(&self) -> String {
        let name = PRIORITIES.get(usize::from(self.0));
        name.copied().unwrap_or_default().to_owned()
    }
}
