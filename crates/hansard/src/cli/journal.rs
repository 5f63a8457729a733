//! Options of everything that can read a recording out of the systemd journal.

use clap::{Args, ValueEnum};

/// Where a recording is read from.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReaderKind {
    /// A file, or a session of the service
    #[default]
    File,
    /// The systemd journal, into which tlog has written; FILE is tlog's `rec` then, or left out
    Journal,
}

/// Which entries of the journal are read, in the words of `tlog-play`.
#[derive(Debug, Default, Args)]
pub(crate) struct JournalArgs {
    /// Where to read from
    #[arg(
        short,
        long,
        value_name = "READER",
        default_value = "file",
        hide_default_value = true
    )]
    pub(crate) reader: ReaderKind,
    /// Only entries with this field, such as TLOG_USER=anna (may be given more than once: different
    /// fields must all match, of one field any value may)
    #[arg(short = 'M', long, value_name = "FIELD=VALUE", value_parser = field_match)]
    pub(crate) journal_match: Vec<String>,
    /// Only entries since this time, as `journalctl --since` takes it
    #[arg(short = 'S', long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) journal_since: Option<String>,
    /// Only entries until this time
    #[arg(short = 'U', long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) journal_until: Option<String>,
    /// The journal of this namespace
    #[arg(short = 'N', long, value_name = "NAMESPACE")]
    pub(crate) journal_namespace: Option<String>,
    /// The journal's files in this directory, of whatever machine
    #[arg(long, value_name = "DIR", conflicts_with = "journal_namespace")]
    pub(crate) journal_directory: Option<std::path::PathBuf>,
}

/// A match as the journal takes it; anything else would be an option or a path to `journalctl`.
fn field_match(text: &str) -> Result<String, String> {
    let field = text.split_once('=').map(|(field, _)| field);
    let letter = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    match field {
        Some(field) if !field.is_empty() && field.chars().all(letter) => Ok(text.to_owned()),
        _ => Err("not FIELD=VALUE with a field of the journal (A-Z, 0-9 and _)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_matches_pass() {
        for good in ["TLOG_REC=a-b-c", "_COMM=tlog-rec-sessio", "A1_=", "X=a=b"] {
            assert_eq!(field_match(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "=x",
            "+",
            "--file=/etc/x",
            "/usr/bin/x",
            "lower=x",
            "A B=x",
        ] {
            assert!(field_match(bad).is_err(), "{bad}");
        }
    }
}
