//! The kernel's audit stream: messages to all who listen (`NETLINK_AUDIT`, group 1), in words like
//! `audit(1732222222.123:45): pid=1 uid=0 auid=1000 ses=3 msg='op=login acct="anna" … res=success'`.
//!
//! `pid`, `uid`, `auid` and `ses` before `msg=` are the kernel's own; the rest is said by the program,
//! which needs CAP_AUDIT_WRITE to say anything here (sshd, login, sudo, su by PAM).

use std::collections::VecDeque;
use std::io::PipeReader;
use std::os::fd::OwnedFd;
use std::time::Duration;

use hansard_core::event::Body;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with,
};

use super::{Deed, Teller, access, hears, now_ns};

/// Longest message that is read, bytes (the kernel's own bound is 8970). A longer one is cut.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// Bytes that wait for us in the kernel. At the bound messages are lost, which an alarm says.
const WAITING_BYTES: usize = 1024 * 1024;

/// How long the kernel may take to say whether the stream is on. At the bound it is as if it were not.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// Audit sessions whose login was told, so that it is told once: programs say it in two ways.
const SESSIONS_MAX: usize = 256;

/// Bytes of a message's head.
const HEAD_BYTES: usize = 16;

/// Kinds of messages (`linux/audit.h`, and `libaudit.h` for those of programs).
const AUDIT_GET: u16 = 1000;
const USER_AUTH: u16 = 1100;
const USER_START: u16 = 1105;
const USER_LOGIN: u16 = 1112;
const USER_CMD: u16 = 1123;
const NLMSG_ERROR: u16 = 2;

/// Flags of a request that is to be answered.
const REQUEST_ACK: u16 = 1 | 4;

/// The group that hears everything (`AUDIT_NLGRP_READLOG`).
const READLOG: u32 = 1;

/// Somebody who is nobody yet.
const UNSET: u64 = 0xffff_ffff;

/// The stream, joined.
pub(super) struct Stream {
    socket: OwnedFd,
}

impl Stream {
    /// Joins it, where there is something to hear.
    ///
    /// # Errors
    /// Why there is not.
    pub(super) fn open() -> Result<Self, String> {
        let unheard = |e: Errno| format!("this kernel has no audit stream ({e})");
        match is_on(&socket().map_err(unheard)?) {
            Ok(true) => {}
            Ok(false) => return Err("the kernel's audit stream is switched off".to_owned()),
            // Nobody knows then whether anything is to be heard: the journal is asked instead.
            Err(e) => {
                return Err(format!(
                    "whether the kernel's audit stream is on could not be asked ({e})"
                ));
            }
        }
        // Another one: whoever has asked has an address already, and no group can be joined with it.
        let socket = socket().map_err(unheard)?;
        // Less room than asked for is as good as that goes.
        let _ = set_socket_recv_buffer_size(&socket, WAITING_BYTES);
        bind(&socket, &SocketAddrNetlink::new(0, READLOG))
            .map_err(|e| format!("the kernel's audit stream may not be heard ({e})"))?;
        Ok(Self { socket })
    }

    /// Tells what is heard, until the other end of the pipe is gone.
    pub(super) fn listen(&self, stopped: &PipeReader, teller: &mut Teller) {
        let mut buffer = vec![0; MESSAGE_BYTES_MAX];
        let mut hearing = Hearing::default();
        loop {
            if !hears(&self.socket, stopped) {
                return;
            }
            match recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, length)) => {
                    let message = buffer.get(..length).unwrap_or_default();
                    if let Some(body) = hearing.take(message) {
                        teller.tell(body, now_ns());
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::NOBUFS) => teller.alarm(
                    "messages of the audit stream came too fast, and some were not heard"
                        .to_owned(),
                ),
                Err(e) => {
                    teller.alarm(format!("the audit stream is not heard any more: {e}"));
                    return;
                }
            }
        }
    }
}

fn socket() -> rustix::io::Result<OwnedFd> {
    socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::AUDIT),
    )
}

/// Whether the kernel tells anything there at all.
fn is_on(socket: &OwnedFd) -> rustix::io::Result<bool> {
    let mut request = Vec::new();
    request.extend(16u32.to_ne_bytes());
    request.extend(AUDIT_GET.to_ne_bytes());
    request.extend(REQUEST_ACK.to_ne_bytes());
    request.extend([0; 8]);
    sendto(
        socket,
        &request,
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    let mut buffer = [0; 1024];
    let wait = Timespec::try_from(ANSWER_WAIT).ok();
    // That it was asked is acknowledged at once; a thread of the kernel's answers.
    while poll(&mut [PollFd::new(socket, PollFlags::IN)], wait.as_ref())? > 0 {
        let (_, length) = recv(socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
        let answer = buffer.get(..length).unwrap_or_default();
        let Some((kind, rest)) = head(answer) else {
            continue;
        };
        let number = |at: usize| {
            let bytes = rest.get(at..)?.first_chunk()?;
            Some(u32::from_ne_bytes(*bytes))
        };
        match kind {
            // `struct audit_status`: the second number is whether it is on.
            AUDIT_GET => return Ok(number(4) != Some(0)),
            NLMSG_ERROR => match number(0).map(u32::cast_signed) {
                Some(0) | None => {}
                Some(code) => return Err(Errno::from_raw_os_error(code.saturating_neg())),
            },
            _ => {}
        }
    }
    Err(Errno::TIMEDOUT)
}

/// Kind of a message, and what is in it.
fn head(message: &[u8]) -> Option<(u16, &[u8])> {
    let (head, rest) = message.split_at_checked(HEAD_BYTES)?;
    let kind = head.get(4..)?.first_chunk()?;
    Some((u16::from_ne_bytes(*kind), rest))
}

/// What was heard so far.
#[derive(Default)]
struct Hearing {
    /// Audit sessions whose login was told.
    logged_in: VecDeque<u64>,
}

impl Hearing {
    /// One message; what is to be told of it.
    fn take(&mut self, message: &[u8]) -> Option<Body> {
        let (kind, text) = head(message)?;
        if !matches!(kind, USER_AUTH | USER_START | USER_LOGIN | USER_CMD) {
            return None;
        }
        let text = String::from_utf8_lossy(text);
        let said = Said::parse(&text);
        let deed = Deed::of_program(&said.text("exe"))?;
        let is_done = said.word("res") == "success" || said.word("res") == "1";
        let is_told = match (kind, deed) {
            (USER_CMD, _) => deed == Deed::Sudo,
            (USER_AUTH, _) => !is_done,
            (USER_LOGIN, Deed::Login) => !is_done || self.is_first(&said),
            (USER_START, Deed::Login) => is_done && self.is_first(&said),
            (USER_START, Deed::Su) => true,
            _ => false,
        };
        is_told.then(|| event(deed, is_done, &said))
    }

    /// A session whose login was not told yet.
    fn is_first(&mut self, said: &Said<'_>) -> bool {
        let Some(session) = said.number("ses").filter(|ses| *ses != UNSET) else {
            return true;
        };
        if self.logged_in.contains(&session) {
            return false;
        }
        if self.logged_in.len() >= SESSIONS_MAX {
            self.logged_in.pop_front();
        }
        self.logged_in.push_back(session);
        true
    }
}

fn event(deed: Deed, is_done: bool, said: &Said<'_>) -> Body {
    let none = |text: String| if text == "?" { String::new() } else { text };
    let account = match (said.text("acct"), said.number("id")) {
        (name, _) if !name.is_empty() && name != "?" => name,
        (_, Some(id)) if id != UNSET => format!("#{id}"),
        _ => String::new(),
    };
    let address = match none(said.text("addr")) {
        address if address.is_empty() => none(said.text("hostname")),
        address => address,
    };
    let texts = [
        ("login", account),
        ("addr.remote", address),
        ("method", none(said.text("op"))),
        ("terminal", none(said.text("terminal"))),
        ("command", said.text("cmd")),
        ("cwd", said.text("cwd")),
        ("program", said.text("exe")),
        (
            "error",
            if is_done {
                String::new()
            } else {
                "refused".to_owned()
            },
        ),
        ("source", super::Source::Audit.to_string()),
    ];
    let texts: Vec<(&str, &str)> = texts
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let numbers = [
        ("pid", "pid"),
        ("process_uid", "uid"),
        ("login_uid", "auid"),
        ("audit_session_id", "ses"),
    ];
    let numbers = numbers.iter().filter_map(|(name, word)| {
        let number = said.number(word).filter(|number| *number != UNSET)?;
        Some((*name, number))
    });
    access(deed, Some(is_done), &texts, &numbers.collect::<Vec<_>>())
}

/// Words of a message: `key=value`, the kernel's own first. What stands first counts, so that nothing in
/// a program's own words can be taken for the kernel's.
struct Said<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Said<'a> {
    fn parse(text: &'a str) -> Self {
        let text = text.trim_end_matches(['\0', '\n']);
        // `audit(TIME:NUMBER): ` stands before the words.
        let mut rest = text.split_once("): ").map_or(text, |(_, rest)| rest);
        let mut words: Vec<(&str, &str)> = Vec::new();
        while let Some((key, after)) = rest.split_once('=') {
            let key = key.rsplit([' ', '\'']).next().unwrap_or_default();
            if key == "msg" {
                rest = after.trim_start_matches('\'');
                continue;
            }
            let (value, next) = match after.strip_prefix('"') {
                Some(quoted) => {
                    let end = quoted.find('"').unwrap_or(quoted.len());
                    let whole = after.get(..end.saturating_add(2)).unwrap_or(after);
                    (whole, after.get(whole.len()..).unwrap_or_default())
                }
                None => {
                    let end = after.find([' ', '\'']).unwrap_or(after.len());
                    after.split_at_checked(end).unwrap_or((after, ""))
                }
            };
            if !words.iter().any(|(known, _)| *known == key) {
                words.push((key, value));
            }
            rest = next;
        }
        Self(words)
    }

    /// As it stands there.
    fn word(&self, key: &str) -> &'a str {
        let found = self.0.iter().find(|(known, _)| *known == key);
        found.map_or("", |(_, value)| value)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.word(key).parse().ok()
    }

    /// In quotes, or where it has characters that do not fit into them, in hexadecimal.
    fn text(&self, key: &str) -> String {
        let word = self.word(key);
        if let Some(quoted) = word.strip_prefix('"') {
            return quoted.trim_end_matches('"').to_owned();
        }
        let is_hex = matches!(key, "acct" | "cmd" | "cwd" | "exe");
        match unhex(word) {
            Some(bytes) if is_hex => String::from_utf8_lossy(&bytes).replace('\0', " "),
            _ => word.to_owned(),
        }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'A'..=b'F' => Some(byte.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    };
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests;
