//! What ssh(1) would do, by its own account (`ssh -G`), as far as the own client does the same. Whatever it does not
//! know it leaves to ssh(1).

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

/// Longest answer of ssh(1) about its settings that is taken, bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What was asked for on the command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Everything before the command.
    pub(super) options: Vec<OsString>,
    /// The command, as ssh(1) would send it.
    pub(super) command: Vec<u8>,
    /// Nothing is read for it (`-n`).
    pub(super) reads_nothing: bool,
}

impl Line {
    /// `None`: something that ssh(1) alone does. A command without a terminal is what is left.
    pub(super) fn read(args: &[OsString]) -> Option<Self> {
        use std::os::unix::ffi::OsStrExt as _;
        let mut rest = args.iter();
        let mut reads_nothing = false;
        let host = loop {
            let word = rest.next()?;
            let text = word.to_str()?;
            match text {
                "--" => break rest.next()?,
                "-T" | "-x" | "-a" | "-q" => {}
                "-n" => reads_nothing = true,
                "-p" | "-l" => drop(rest.next()?),
                "-o" => {
                    let option = rest.next()?.to_str()?;
                    let (name, _) = option.split_once(['=', ' '])?;
                    let taken = ["batchmode", "connecttimeout", "port", "user"];
                    taken
                        .contains(&name.to_ascii_lowercase().as_str())
                        .then_some(())?;
                }
                _ if text.starts_with('-') => return None,
                _ => break word,
            }
        };
        let words: Vec<&[u8]> = rest.as_slice().iter().map(|w| w.as_bytes()).collect();
        // Options may come behind the host as well, up to a mark.
        let words = words.strip_prefix(&[&b"--"[..]]).unwrap_or(&words);
        let is_option = words.first().is_none_or(|w| w.starts_with(b"-"));
        let command = words.join(&b' ');
        // Nothing to run is a shell on a terminal.
        (!is_option && !command.is_empty()).then(|| Self {
            options: args
                .iter()
                .take_while(|word| !std::ptr::eq(*word, host))
                .chain([host])
                .cloned()
                .collect(),
            command,
            reads_nothing,
        })
    }
}

/// Settings, by their names in lower case; some have several values.
pub(super) struct Settings(HashMap<String, Vec<String>>);

impl Settings {
    /// Asks ssh(1) what it would do with this configuration and these words.
    pub(super) fn ask(config: &Path, words: &[OsString]) -> Option<Self> {
        let asked = Command::new("ssh")
            .arg("-G")
            .arg("-F")
            .arg(config)
            .args(words)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let is_usable = asked.status.success() && asked.stdout.len() <= ANSWER_BYTES_MAX;
        is_usable.then(|| Self::read(&String::from_utf8_lossy(&asked.stdout)))
    }

    pub(super) fn read(text: &str) -> Self {
        let mut all = HashMap::<String, Vec<String>>::new();
        for line in text.lines() {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            let values = all.entry(name.to_ascii_lowercase()).or_default();
            values.push(value.to_owned());
        }
        Self(all)
    }

    pub(super) fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }

    /// Whether it is as it has to be, or not set.
    fn is(&self, name: &str, one_of: &[&str]) -> bool {
        self.all(name)
            .iter()
            .all(|value| one_of.contains(&value.as_str()))
    }

    /// Whether a command would run as the own client runs one: without a terminal or a forward, over a connection of
    /// its own, to a host that has to prove who it is.
    pub(super) fn are_plain(&self) -> bool {
        const NO: &[&str] = &["no", "false", "none"];
        let absent = [
            "bindaddress",
            "bindinterface",
            "controlpath",
            "dynamicforward",
            "hostkeyalias",
            "knownhostscommand",
            "localcommand",
            "localforward",
            "pkcs11provider",
            "proxycommand",
            "remotecommand",
            "remoteforward",
            "revokedhostkeys",
        ];
        absent.iter().all(|name| self.is(name, &["none"]))
            && [
                "compression",
                "controlmaster",
                "forkafterauthentication",
                "forwardagent",
                "forwardx11",
                "hostbasedauthentication",
                "permitlocalcommand",
                "stdinnull",
                "tunnel",
            ]
            .iter()
            .all(|name| self.is(name, NO))
            && self.is("addressfamily", &["any"])
            && self.is("loglevel", &["QUIET", "FATAL", "ERROR", "INFO"])
            && self.is("requesttty", &["auto", "no", "false"])
            && self.is("rekeylimit", &["0 0"])
            && self.is("sessiontype", &["default"])
            && !self.all("stricthostkeychecking").is_empty()
            && self.is("stricthostkeychecking", &["true", "yes"])
    }

    /// Whether everything that the own client has its own way with is as ssh(1) has it without a configuration, which
    /// is what `shipped` says: whoever set one of these, in a policy perhaps, is to have it.
    pub(super) fn are_as(&self, shipped: &Self) -> bool {
        [
            "casignaturealgorithms",
            "channeltimeout",
            "checkhostip",
            "connectionattempts",
            "hostkeyalgorithms",
            "identityagent",
            "ipqos",
            "kexalgorithms",
            "macs",
            "preferredauthentications",
            "pubkeyacceptedalgorithms",
            "pubkeyauthentication",
            "requiredrsasize",
            "verifyhostkeydns",
            "visualhostkey",
        ]
        .iter()
        .all(|name| self.all(name) == shipped.all(name))
    }

    /// Whether this file is the only one there is that says who hosts are: another may revoke a key.
    pub(super) fn believe_only(&self, known_hosts: &Path) -> bool {
        let of_machine = self.one("globalknownhostsfile").unwrap_or_default();
        self.one("userknownhostsfile").map(Path::new) == Some(known_hosts)
            && !of_machine.split(' ').any(|path| Path::new(path).exists())
    }

    /// Variables of this process that are to be set there.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let sent = self.all("sendenv");
        let is_sent = |name: &str| sent.iter().any(|pattern| fits(pattern, name));
        let own = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| is_sent(name));
        let set = self.all("setenv").iter();
        let set = set.filter_map(|set| set.split_once('='));
        own.chain(set.map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect()
    }
}

/// Whether a pattern of ssh_config(5) fits; `*` stands for anything, `?` for one character.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let mut pattern = pattern.chars();
    let Some(first) = pattern.next() else {
        return text.is_empty();
    };
    let rest = pattern.as_str();
    let mut chars = text.chars();
    match first {
        '*' => {
            // Stars that follow one another are one.
            let rest = rest.trim_start_matches('*');
            rest.is_empty()
                || text
                    .char_indices()
                    .any(|(at, _)| fits(rest, text.split_at(at).1))
        }
        '?' => chars.next().is_some() && fits(rest, chars.as_str()),
        first => chars.next() == Some(first) && fits(rest, chars.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str]) -> Option<Line> {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        Line::read(&words)
    }

    #[test]
    fn a_command_without_a_terminal_is_taken_and_nothing_else() {
        let found = line(&["-T", "-p", "3022", "-l", "root", "web1", "cat", "a b"]).unwrap();
        assert_eq!(found.command, b"cat a b");
        assert_eq!(found.options, ["-T", "-p", "3022", "-l", "root", "web1"]);
        assert!(!found.reads_nothing);
        assert!(line(&["-n", "anna@web1", "true"]).unwrap().reads_nothing);
        let port = line(&["-o", "Port=22", "web1", "true"]).unwrap();
        assert_eq!(port.command, b"true");
        let marked = line(&["web1", "--", "uptime", "-p"]).unwrap();
        assert_eq!(marked.command, b"uptime -p");
        // A command that is the host's name, too.
        let twice = line(&["-l", "web1", "web1", "web1"]).unwrap();
        assert_eq!(twice.options, ["-l", "web1", "web1"]);
        for words in [
            &["web1"][..],
            &["web1", ""],
            &["web1", "-t", "top"],
            &["-t", "web1", "top"],
            &["-L", "1:a:2", "web1", "true"],
            &["-tT", "web1", "true"],
            &["-p"],
            &["-o", "ProxyCommand=x", "web1", "true"],
            &["-v", "web1", "true"],
        ] {
            assert_eq!(line(words), None, "{words:?}");
        }
    }

    #[test]
    fn settings_that_mean_more_are_left_to_ssh() {
        let plain = "user anna\nport 22\nstricthostkeychecking true\ncompression no\nrequesttty auto\n\
                     sessiontype default\nproxyjump none\ncontrolmaster false\nloglevel INFO\n";
        assert!(Settings::read(plain).are_plain());
        for more in [
            "compression yes",
            "controlpath /tmp/x",
            "localforward 1 a:2",
            "stricthostkeychecking ask",
            "requesttty force",
            "remotecommand top",
            "proxycommand nc",
            "loglevel DEBUG1",
        ] {
            assert!(
                !Settings::read(&format!("{plain}{more}\n")).are_plain(),
                "{more}"
            );
        }
        assert!(!Settings::read("user anna\n").are_plain());
    }

    #[test]
    fn what_somebody_set_is_left_to_ssh() {
        let shipped = "hostkeyalgorithms ssh-ed25519\nmacs a,b\nuser anna\n";
        let settings = |more: &str| Settings::read(&format!("{shipped}{more}"));
        let shipped = settings("");
        assert!(settings("port 23\ncertificatefile x\n").are_as(&shipped));
        for more in [
            "identityagent /run/agent\n",
            "preferredauthentications password\n",
            "macs c\n",
        ] {
            assert!(!settings(more).are_as(&shipped), "{more}");
        }
        assert!(!Settings::read("macs a,b\n").are_as(&shipped));
    }

    #[test]
    fn patterns_fit_as_in_ssh_config() {
        for (pattern, text, is) in [
            ("*", "", true),
            ("*", "web1", true),
            ("LC_*", "LC_ALL", true),
            ("LC_*", "LANG", false),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("web?", "web1", true),
            ("web?", "web", false),
            ("**a", "ba", true),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern, text), is, "{pattern} {text}");
        }
    }
}
