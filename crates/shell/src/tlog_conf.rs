//! `/etc/tlog/tlog-rec-session.conf`: what a machine that ran tlog, or Cockpit's page, says of sessions.
//!
//! Two of its keys count: `shell` and `notice`. What is kept of a session is the policy's to say, and
//! where tlog's messages go `export.tlog`'s: the other keys change nothing, and each that was set to
//! something else than tlog's default is remarked on. tlog's variables `TLOG_REC_SESSION_CONF_FILE`
//! and `…_TEXT` are the user's to set, and are read by nobody.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hansard_core::policy::set::NOTICE_BYTES_MAX;
use serde_json::{Map, Value, json};

use crate::limits::TLOG_CONF_BYTES_MAX;

/// Where it is.
pub const TLOG_CONF: &str = "/etc/tlog/tlog-rec-session.conf";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlogConf {
    /// The shell of whom nothing else names one: an absolute path. That it stands in `/etc/shells`
    /// is for whoever starts it to see.
    pub shell: Option<PathBuf>,
    /// What the user is told when a session begins, if the file says so itself.
    pub notice: Option<String>,
    /// What in it does not count.
    pub remarks: Vec<Remark>,
}

/// A key that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The key, `limit.rate`.
    pub key: String,
    /// Why not.
    pub why: String,
    /// What to do about it.
    pub next: String,
}

impl TlogConf {
    /// Reads the file. `None` where there is none.
    ///
    /// # Errors
    /// In words: when it cannot be read, is longer than 64 KiB or no JSON (with comments), or when
    /// somebody else than root may write to it.
    pub fn load(path: &Path) -> Option<Result<Self, String>> {
        let text = text_of(path)?;
        Some(text.and_then(|text| Self::of(&text)))
    }

    /// Reads what stands in it.
    ///
    /// # Errors
    /// In words, when it is no JSON object.
    pub fn of(text: &str) -> Result<Self, String> {
        let mut found = Self::default();
        for (key, value) in flat(&object(text)?) {
            found.take(key, &value);
        }
        Ok(found)
    }

    fn take(&mut self, key: String, value: &Value) {
        match (key.as_str(), value) {
            ("shell", Value::String(shell)) if shell.starts_with('/') => {
                self.shell = Some(PathBuf::from(shell));
            }
            ("shell", _) => {
                self.remark(key, "it is no absolute path", "name a shell of /etc/shells")
            }
            ("notice", Value::String(notice)) if notice.len() <= NOTICE_BYTES_MAX => {
                self.notice = Some(notice.clone());
            }
            ("notice", _) => {
                let why = format!("it is no text of at most {NOTICE_BYTES_MAX} bytes");
                self.remark(key, &why, "shorten it");
            }
            _ => match DEFAULTS.iter().find(|(known, ..)| *known == key) {
                Some((_, default, _)) if default() == *value => {}
                Some((_, _, Whose::Policy(ours))) => self.remark(
                    key,
                    "what is kept of a session is not said here",
                    &format!("set capture.local.{ours}, or the central policy (hansard policy)"),
                ),
                Some((_, _, Whose::Export)) => {
                    let next = format!("set export.tlog.{key} where recordings are kept");
                    self.remark(key, "where tlog's messages go is not said here", &next);
                }
                Some((_, _, Whose::Always)) => {
                    self.remark(key, "sizes of a terminal are always kept", "remove it");
                }
                None => self.remark(
                    key,
                    "it is no key of tlog's that is known here",
                    "remove it",
                ),
            },
        }
    }

    fn remark(&mut self, key: String, why: &str, next: &str) {
        let (why, next) = (why.to_owned(), next.to_owned());
        self.remarks.push(Remark { key, why, next });
    }
}

/// Who decides instead.
#[derive(Clone, Copy)]
enum Whose {
    /// The policy, under this name.
    Policy(&'static str),
    /// `export.tlog`, under the same name.
    Export,
    /// Nobody.
    Always,
}

/// A key, its default in tlog, and who decides instead.
type Known = (&'static str, fn() -> Value, Whose);

/// tlog's other keys, each with its default and who decides instead.
const DEFAULTS: [Known; 14] = [
    ("latency", || json!(10), Whose::Export),
    ("payload", || json!(2048), Whose::Export),
    ("log.input", || json!(false), Whose::Policy("keystrokes")),
    ("log.output", || json!(true), Whose::Policy("stdout")),
    ("log.window", || json!(true), Whose::Always),
    ("limit.rate", || json!(16384), Whose::Export),
    ("limit.burst", || json!(32768), Whose::Export),
    ("limit.action", || json!("pass"), Whose::Export),
    ("file.path", || json!(""), Whose::Export),
    ("syslog.facility", || json!("authpriv"), Whose::Export),
    ("syslog.priority", || json!("info"), Whose::Export),
    ("journal.priority", || json!("info"), Whose::Export),
    ("journal.augment", || json!(true), Whose::Export),
    ("writer", || json!("journal"), Whose::Export),
];

/// What `tlog-rec-session --configuration` answers, which Cockpit's page begins with: the file's
/// keys over tlog's defaults.
///
/// # Errors
/// In words, when the file cannot be used.
pub fn tlog_configuration(path: &Path) -> Result<String, String> {
    let text = text_of(path).unwrap_or_else(|| Ok("{}".to_owned()))?;
    let mut whole = Map::new();
    whole.insert("shell".to_owned(), json!("/bin/bash"));
    whole.insert("notice".to_owned(), json!(NOTICE));
    for (key, default, _) in &DEFAULTS {
        put(&mut whole, key, default());
    }
    for (key, value) in flat(&object(&text)?) {
        put(&mut whole, &key, value);
    }
    serde_json::to_string_pretty(&Value::Object(whole)).map_err(|e| e.to_string())
}

/// tlog's own notice.
const NOTICE: &str = "\nATTENTION! Your session is being recorded!\n\n";

fn put(whole: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            whole.insert(key.to_owned(), value);
        }
        Some((section, key)) => {
            let section = whole.entry(section).or_insert_with(|| json!({}));
            if let Some(section) = section.as_object_mut() {
                section.insert(key.to_owned(), value);
            }
        }
    }
}

/// `limit: {rate: 1}` as `limit.rate: 1`.
fn flat(whole: &Map<String, Value>) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (key, value) in whole {
        match value {
            Value::Object(section) => {
                let keys = section.iter();
                found.extend(keys.map(|(name, value)| (format!("{key}.{name}"), value.clone())));
            }
            value => found.push((key.clone(), value.clone())),
        }
    }
    found
}

fn text_of(path: &Path) -> Option<Result<String, String>> {
    let about = |e: std::io::Error| format!("{}: {e}", path.display());
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
        Err(e) => return Some(Err(about(e))),
    };
    Some((|| {
        let found = file.metadata().map_err(about)?;
        if !found.is_file() || found.uid() != 0 || found.mode() & 0o022 != 0 {
            return Err(format!("{}: not root's alone to write", path.display()));
        }
        let mut text = String::new();
        let read = file.take(TLOG_CONF_BYTES_MAX + 1).read_to_string(&mut text);
        match read.map_err(about)? as u64 > TLOG_CONF_BYTES_MAX {
            true => Err(format!("{}: too long", path.display())),
            false => Ok(text),
        }
    })())
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(&without_comments(text)) {
        Ok(Value::Object(whole)) => Ok(whole),
        Ok(_) => Err("it is JSON, but no object".to_owned()),
        Err(e) => Err(format!("it is no JSON: {e}")),
    }
}

/// JSON with its comments (`//` to the end of the line, `/* */`) blanked, and without the commas behind which nothing
/// comes, as Debian's own file has one; those in texts are none.
fn without_comments(text: &str) -> String {
    let (mut kept, mut rest) = (String::with_capacity(text.len()), text.chars().peekable());
    let mut in_text = false;
    while let Some(c) = rest.next() {
        match (in_text, c, rest.peek()) {
            (true, '\\', _) => {
                kept.push(c);
                kept.extend(rest.next());
            }
            (false, '/', Some('/')) => while rest.next_if(|c| *c != '\n').is_some() {},
            (false, '/', Some('*')) => {
                rest.next();
                let mut before = ' ';
                for c in rest.by_ref() {
                    if (before, c) == ('*', '/') {
                        break;
                    }
                    before = c;
                }
                kept.push(' ');
            }
            _ => {
                if !in_text && matches!(c, '}' | ']') {
                    drop_last_comma(&mut kept);
                }
                in_text ^= c == '"';
                kept.push(c);
            }
        }
    }
    kept
}

/// Takes the comma away that these end with, but for blanks.
fn drop_last_comma(kept: &mut String) {
    if let Some(before) = kept.trim_end().strip_suffix(',') {
        kept.truncate(before.len());
    }
}

/// The shell that a name of the recorder encodes: `/bin/zsh` of `tlog-rec-session-shell-bin-zsh`. A
/// backslash keeps the dash behind it.
#[must_use]
pub fn tlog_shell_in(program: &Path) -> Option<PathBuf> {
    let name = program.file_name()?.to_str()?;
    let coded = name.strip_prefix("tlog-rec-session-shell")?;
    let mut path = String::new();
    let mut rest = coded.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => path.extend(rest.next()),
            '-' => path.push('/'),
            c => path.push(c),
        }
    }
    path.starts_with('/').then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_none_in_texts() {
        let text =
            "{ // a\n\"notice\": \"http://x /* \\\"// */\", /* b\n */ \"shell\": \"/bin/sh\" }";
        let conf = TlogConf::of(text).unwrap();
        assert_eq!(conf.notice.as_deref(), Some("http://x /* \"// */"));
        assert_eq!(conf.shell.as_deref(), Some(Path::new("/bin/sh")));
        assert_eq!(conf.remarks, []);
        assert!(TlogConf::of("{ /* never ends").is_err() && TlogConf::of("[]").is_err());
        // As Debian's own file ends, and what is a comma too many all the same.
        let ends =
            "{\"shell\": \"/bin/a,}\", \"journal\": { \"priority\": \"info\", },\n // last\n }";
        let conf = TlogConf::of(ends).unwrap();
        assert_eq!(conf.shell.as_deref(), Some(Path::new("/bin/a,}")));
        assert!(TlogConf::of("{\"a\": 1,, }").is_err() && TlogConf::of("{\"a\": [,1]}").is_err());
        // A comment parts what it stands between.
        assert!(TlogConf::of("{\"latency\": 1/**/0}").is_err());
    }

    #[test]
    fn what_does_not_count_is_remarked_on_and_defaults_are_not() {
        let defaults = tlog_configuration(Path::new("/nonexistent")).unwrap();
        let conf = TlogConf::of(&defaults).unwrap();
        assert_eq!(conf.remarks, []);
        assert_eq!(conf.notice.as_deref(), Some(NOTICE));
        let text = r#"{"log": {"input": true, "output": false, "window": false}, "writer": "file",
            "limit": {"rate": 1}, "file": {"path": "/x"}, "shell": "zsh", "notice": 3, "x": {"y": 1}}"#;
        let conf = TlogConf::of(text).unwrap();
        let keys: Vec<&str> = conf.remarks.iter().map(|r| r.key.as_str()).collect();
        let all = "log.input log.output log.window writer limit.rate file.path shell notice x.y";
        assert_eq!(keys.join(" "), all);
        assert!(conf.remarks[0].next.contains("capture.local.keystrokes"));
        assert!(conf.remarks[4].next.contains("export.tlog.limit.rate"));
        assert_eq!((conf.shell, conf.notice), (None, None));
        let long = format!("{{\"notice\": \"{}\"}}", "n".repeat(NOTICE_BYTES_MAX + 1));
        assert_eq!(TlogConf::of(&long).unwrap().remarks.len(), 1);
    }

    #[test]
    fn only_roots_own_file_counts() {
        assert_eq!(TlogConf::load(Path::new("/nonexistent")), None);
        let dir = std::env::temp_dir().join(format!("hansard-tlog-conf-{}", std::process::id()));
        fs::write(&dir, "{}").unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(TlogConf::load(&dir).unwrap().is_err());
        fs::remove_file(&dir).unwrap();
    }

    #[test]
    fn a_name_encodes_a_shell() {
        for (name, shell) in [
            ("/usr/bin/tlog-rec-session-shell-bin-zsh", Some("/bin/zsh")),
            (
                "tlog-rec-session-shell-usr-bin-my\\-sh",
                Some("/usr/bin/my-sh"),
            ),
            ("tlog-rec-session-shell", None),
            ("tlog-rec-session-shellbin", None),
            ("tlog-rec-session", None),
            ("zsh", None),
        ] {
            assert_eq!(
                tlog_shell_in(Path::new(name)),
                shell.map(PathBuf::from),
                "{name}"
            );
        }
    }
}
