//! Displays of clients (RFC 4254 §6.3): programs here connect to a port of this machine and are led to the
//! client's own X server, which knows them by a cookie that the client has made up. Where programs look for it
//! (`.Xauthority` of the account) it is put by xauth(1), run as the account.

use std::io;
use std::time::{Duration, Instant};

use hansard_shell::{Account, Ends, Service};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::account;
use super::forward::aside;
use super::limits::{X11_SCREEN_MAX, X11_WORD_BYTES_MAX, XAUTH_MAX};

/// Where Debian has it, and everybody else.
const XAUTH: &str = "/usr/bin/xauth";

/// A display that a client lends.
pub(super) struct Display {
    pub(super) is_single: bool,
    pub(super) protocol: String,
    /// Never shown: whoever has it can use the client's display.
    pub(super) cookie: String,
    pub(super) screen: u32,
}

impl Display {
    /// # Errors
    /// What no X server and no xauth(1) would take.
    pub(super) fn read(
        (protocol, cookie): (&str, &str),
        is_single: bool,
        screen: u32,
    ) -> Result<Self, String> {
        let is_word = |text: &str| {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !text.is_empty() && text.len() <= X11_WORD_BYTES_MAX && text.bytes().all(is_part)
        };
        let is_hex = cookie.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_word(protocol) || !is_word(cookie) || !is_hex || screen > X11_SCREEN_MAX {
            return Err("that is no protocol, cookie and screen of a display".to_owned());
        }
        Ok(Self {
            is_single,
            protocol: protocol.to_owned(),
            cookie: cookie.to_owned(),
            screen,
        })
    }

    /// What programs find in `DISPLAY`.
    pub(super) fn name(&self, number: u16) -> String {
        format!("localhost:{number}.{}", self.screen)
    }

    /// Puts the cookie where the account's programs look for it.
    ///
    /// # Errors
    /// In words; then no program could use the display.
    pub(super) async fn noted(&self, account: &Account, number: u16) -> Result<(), String> {
        // As sshd(8) writes it: programs look a display of this machine up by the machine's name.
        let name = format!("unix:{number}.{}", self.screen);
        let (protocol, cookie) = (&self.protocol, &self.cookie);
        let words = format!("remove {name}\nadd {name} {protocol} {cookie}\n");
        let account = account.clone();
        let noted = aside(move || noted(&account, words.as_bytes())).await;
        noted.map_err(|e| format!("{XAUTH} did not take the cookie: {e}"))
    }
}

fn noted(account: &Account, words: &[u8]) -> io::Result<()> {
    let service = Service {
        account: account.clone(),
        argv: vec![XAUTH.into(), "-q".into(), "-".into()],
        arg0: "xauth".into(),
        env: account::environment(account),
        home: account.home.clone(),
        terminal: None,
        keeper: None,
    };
    let (served, ends) = service
        .start()
        .map_err(|e| io::Error::other(e.to_string()))?;
    let Ends::Pipes {
        stdin,
        stdout,
        stderr,
    } = ends
    else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    // Far less than a pipe holds.
    let written = rustix::io::write(&stdin, words);
    drop(stdin);
    let until = Instant::now() + XAUTH_MAX;
    let ended = loop {
        let rest = until.saturating_duration_since(Instant::now());
        if let Some(ended) = served.ended() {
            break ended;
        }
        if rest.is_zero() {
            served.kill();
            return Err(io::ErrorKind::TimedOut.into());
        }
        let rest = Timespec::try_from(rest.min(Duration::from_secs(1))).ok();
        let bell = served.bell();
        let _ = poll(&mut [PollFd::new(&bell, PollFlags::IN)], rest.as_ref());
    };
    // Until now somebody might have heard what it says.
    drop((stdout, stderr));
    match (written, ended.status) {
        (Ok(_), 0) => Ok(()),
        (Ok(_), status) => Err(io::Error::other(format!("it ended with status {status}"))),
        (Err(e), _) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_xauth_is_a_word_and_nothing_else() {
        let read = |protocol: &str, cookie: &str, screen| {
            Display::read((protocol, cookie), false, screen).is_ok()
        };
        assert!(read("MIT-MAGIC-COOKIE-1", "00ff", 0));
        for (protocol, cookie, screen) in [
            ("MIT\nremove :0", "00ff", 0),
            ("", "00ff", 0),
            ("MIT-MAGIC-COOKIE-1", "", 0),
            ("MIT-MAGIC-COOKIE-1", "00 ff", 0),
            ("MIT-MAGIC-COOKIE-1", "xyz", 0),
            ("MIT-MAGIC-COOKIE-1", "00ff", 1000),
        ] {
            assert!(
                !read(protocol, cookie, screen),
                "{protocol} {cookie} {screen}"
            );
        }
        assert!(!read(&"a".repeat(1000), "00ff", 0));
    }
}
