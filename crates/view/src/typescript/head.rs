//! The first and the last line of a typescript.

/// How the first line begins, but for recorders that speak another language.
pub(super) const STARTED: &[u8] = b"Script started on ";
/// How the last line begins; a line feed stands before it.
pub(super) const DONE: &[u8] = b"Script done on ";

/// What a first line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) date: Vec<u8>,
    /// `TERM`, `TTY`, `COLUMNS`, `LINES` and `COMMAND`, as far as they are there.
    pub(super) named: Vec<(&'static str, Vec<u8>)>,
}

/// What a last line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) exit: Option<u8>,
    pub(super) reason: Option<String>,
}

/// Whether a first line (without its end) is script's own. The text is translated, the brackets
/// at its end are not; what a terminal was sent ends with a carriage return instead.
pub(super) fn is_header(line: &[u8]) -> bool {
    (line.starts_with(STARTED) && !line.ends_with(b"\r")) || ends_in_brackets(line)
}

/// Whether a last line (without line feeds) is script's own; `translated` if it may be in another
/// language.
pub(super) fn is_footer(line: &[u8], translated: bool) -> bool {
    (line.starts_with(DONE) && !line.ends_with(b"\r")) || (translated && ends_in_brackets(line))
}

/// Whether a line ends in the brackets of script's own lines. Lines of logs end in brackets, too
/// (syslog's structured data): what stands first in them tells script's.
fn ends_in_brackets(line: &[u8]) -> bool {
    const FIRST: [&[u8]; 7] = [
        b"COMMAND=\"",
        b"TERM=\"",
        b"TTY=\"",
        b"COLUMNS=\"",
        b"LINES=\"",
        b"COMMAND_EXIT_CODE=\"",
        b"<",
    ];
    let at = find(line, b" [");
    let (date, facts) = at
        .and_then(|at| line.split_at_checked(at))
        .unwrap_or_default();
    let facts = facts.get(2..).unwrap_or_default();
    (line.ends_with(b"\"]") || line.ends_with(b">]"))
        && FIRST.iter().any(|first| facts.starts_with(first))
        && date.windows(10).any(is_date)
        && !line.contains(&0x1b)
}

/// Whether these are the ten characters of a date: script writes them in every language.
fn is_date(text: &[u8]) -> bool {
    text.iter()
        .zip(b"dddd-dd-dd")
        .all(|(byte, form)| match form {
            b'-' => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn rfind(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).rposition(|window| window == what)
}

/// What a first line says.
pub(super) fn read(line: &[u8]) -> Facts {
    let said = line.strip_prefix(STARTED).unwrap_or(line);
    let (date, rest) = match find(said, b" [").and_then(|at| said.split_at_checked(at)) {
        Some((date, rest)) => (date, rest.get(2..).unwrap_or_default()),
        None => (said, &b""[..]),
    };
    let mut named = Vec::new();
    let mut rest = rest.strip_suffix(b"]").unwrap_or(rest);
    if let Some(command) = rest.strip_prefix(b"COMMAND=\"") {
        // A command's own quotes are not escaped: it ends where the facts behind it begin.
        let behind: [&[u8]; 5] = [
            b"\" TERM=\"",
            b"\" TTY=\"",
            b"\" COLUMNS=\"",
            b"\" LINES=\"",
            b"\" <",
        ];
        let end = behind.iter().find_map(|key| rfind(command, key));
        let end = end.unwrap_or(command.len().saturating_sub(1));
        let (command, behind) = command.split_at_checked(end).unwrap_or((command, &[]));
        named.push(("COMMAND", command.to_vec()));
        rest = behind.strip_prefix(b"\"").unwrap_or(behind);
    }
    for key in ["TERM", "TTY", "COLUMNS", "LINES"] {
        let start = find(rest, format!("{key}=\"").as_bytes());
        let value = start.and_then(|at| rest.get(at + key.len() + 2..));
        if let Some(value) = value.and_then(|value| value.split(|b| *b == b'"').next()) {
            named.push((key, value.to_vec()));
        }
    }
    Facts {
        date: date.to_vec(),
        named,
    }
}

/// What a last line says.
pub(super) fn read_done(line: &[u8]) -> Done {
    let text = String::from_utf8_lossy(line);
    let between = |before: &str, after: &str| {
        let (_, rest) = text.split_once(before)?;
        Some(rest.rsplit_once(after)?.0.to_owned())
    };
    Done {
        exit: between("[COMMAND_EXIT_CODE=\"", "\"]").and_then(|code| status(&code)),
        reason: between("[<", ">]"),
    }
}

/// An exit status, if writing it again gives the same text.
pub(super) fn status(text: &str) -> Option<u8> {
    let status: u8 = text.parse().ok()?;
    (status.to_string() == text).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(line: &str) -> Vec<(&'static str, String)> {
        let facts = read(line.as_bytes());
        assert_eq!(facts.date, b"2026-11-21 05:40:43+00:00", "{line}");
        let text = |value| String::from_utf8(value).unwrap();
        facts
            .named
            .into_iter()
            .map(|(key, value)| (key, text(value)))
            .collect()
    }

    #[test]
    fn first_lines_say_what_they_say() {
        let date = "Script started on 2026-11-21 05:40:43+00:00";
        let all = r#"COMMAND="sh -c "echo TERM="x" ]"" TERM="xterm" TTY="/dev/pts/1" COLUMNS="80" LINES="24""#;
        assert_eq!(
            named(&format!("{date} [{all}]")),
            [
                ("COMMAND", r#"sh -c "echo TERM="x" ]""#.to_owned()),
                ("TERM", "xterm".to_owned()),
                ("TTY", "/dev/pts/1".to_owned()),
                ("COLUMNS", "80".to_owned()),
                ("LINES", "24".to_owned()),
            ]
        );
        assert_eq!(
            named(&format!(
                "{date} [COMMAND=\"a\" <not executed on terminal>]"
            )),
            [("COMMAND", "a".to_owned())]
        );
        assert_eq!(named(&format!("{date} [<not executed on terminal>]")), []);
        assert_eq!(
            named(&format!("{date} [COMMAND=\"a b\"]")),
            [("COMMAND", "a b".to_owned())]
        );
        assert_eq!(named(date), []);
        for odd in [
            " [COMMAND=\"",
            " [COMMAND=\"]",
            " [",
            " [TERM=\"",
            " [TERM=\"x",
        ] {
            read(format!("{date}{odd}").as_bytes());
        }
    }

    #[test]
    fn lines_of_script_are_told_from_output() {
        for (line, is) in [
            (&b"Script started on whatever"[..], true),
            (
                b"Skript gestartet am 2026-11-21 05:40:43+00:00 [TERM=\"xterm\"]",
                true,
            ),
            (
                b"Skript gestartet am 2026-11-21 [<nicht am Terminal>]",
                true,
            ),
            (b"$ echo [a=\"b\"]\r", false),
            // Logs: syslog with structured data, a list that Python shows.
            (
                b"<34>1 2026-11-21T05:40:43Z host app - ID47 [id@32473 iut=\"3\" event=\"x\"]",
                false,
            ),
            (b"INFO workers are [<Worker 1>, <Worker 2>]", false),
            (b"\x1b[1m [x=\"b\"]", false),
            (b"Script started on whatever\r", false),
            (b"a>]", false),
            (b"", false),
        ] {
            assert_eq!(is_header(line), is, "{}", String::from_utf8_lossy(line));
        }
        assert!(is_footer(b"Script done on x", false));
        assert!(is_footer(
            b"Skript beendet am 2026-11-21 [COMMAND_EXIT_CODE=\"1\"]",
            true
        ));
        assert!(!is_footer(
            b"Skript beendet am 2026-11-21 [COMMAND_EXIT_CODE=\"1\"]",
            false
        ));
    }

    #[test]
    fn last_lines_say_how_it_ended() {
        let done = |text: &str| read_done(text.as_bytes());
        assert_eq!(
            done("Script done on x [COMMAND_EXIT_CODE=\"137\"]").exit,
            Some(137)
        );
        assert_eq!(
            done("Script done on x [COMMAND_EXIT_CODE=\"-1\"]").exit,
            None
        );
        assert_eq!(
            done("Script done on x [COMMAND_EXIT_CODE=\"007\"]").exit,
            None
        );
        assert_eq!(
            done("Script done on x [<max output size exceeded>]")
                .reason
                .as_deref(),
            Some("max output size exceeded")
        );
        assert_eq!(done("Script done on x"), Done::default());
    }
}
