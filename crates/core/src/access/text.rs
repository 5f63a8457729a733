//! What is given, as text: the value of a certificate's extension. A line for each role, behind a line with
//! the version. `role=ops;logins=deploy,root;hosts=env:staging|test,team:web;channels=shell,exec;kept=;ends=1`;
//! what a name has besides letters, digits and a few signs is written as `%2C`. Nothing else can be read:
//! who cannot tell what was given gives nothing.

use std::fmt;
use std::fmt::Write as _;

use super::{ACCESS_BYTES_MAX, Access, ChannelKind, GRANTS_MAX, Grant, Kept};

/// The first line.
const VERSION: &str = "1";

/// The fields of a line, in their order.
const FIELDS: [&str; 6] = ["role", "logins", "hosts", "channels", "kept", "ends"];

/// Why there is no text, or why one says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

fn unreadable(what: impl Into<String>) -> Unreadable {
    Unreadable(what.into())
}

/// As text.
///
/// # Errors
/// It is beyond [`GRANTS_MAX`] or [`ACCESS_BYTES_MAX`].
pub fn to_text(access: &Access) -> Result<String, Unreadable> {
    if access.grants.len() > GRANTS_MAX {
        return Err(unreadable(format!("more than {GRANTS_MAX} roles")));
    }
    let mut out = VERSION.to_owned();
    for grant in &access.grants {
        let names = |names: &[String]| joined(names.iter().map(|name| escaped(name)), ",");
        let hosts = grant.hosts.iter().map(|(label, values)| {
            let values = joined(values.iter().map(|value| escaped(value)), "|");
            format!("{}:{values}", escaped(label))
        });
        let channels = grant.channels.iter().map(|kind| kind.as_str().to_owned());
        let kept = grant.kept.iter().map(|kept| kept.as_str().to_owned());
        let _ = write!(
            out,
            "\nrole={};logins={};hosts={};channels={};kept={};ends={}",
            escaped(&grant.role),
            names(&grant.logins),
            joined(hosts, ","),
            joined(channels, ","),
            joined(kept, ","),
            u8::from(grant.ends),
        );
    }
    match out.len() <= ACCESS_BYTES_MAX {
        true => Ok(out),
        false => Err(unreadable(format!(
            "what the roles give is longer than {ACCESS_BYTES_MAX} bytes"
        ))),
    }
}

/// From text.
///
/// # Errors
/// What cannot be read in it. Nothing is given then.
pub fn from_text(text: &str) -> Result<Access, Unreadable> {
    if text.len() > ACCESS_BYTES_MAX {
        let what = format!("longer than {ACCESS_BYTES_MAX} bytes");
        return Err(unreadable(what));
    }
    let mut lines = text.split('\n');
    if lines.next() != Some(VERSION) {
        return Err(unreadable("of another version"));
    }
    let grants: Vec<Grant> = lines.map(grant).collect::<Result<_, _>>()?;
    match grants.len() <= GRANTS_MAX {
        true => Ok(Access { grants }),
        false => Err(unreadable(format!("more than {GRANTS_MAX} roles"))),
    }
}

fn grant(line: &str) -> Result<Grant, Unreadable> {
    let mut values = [""; FIELDS.len()];
    let mut parts = line.split(';');
    for (value, name) in values.iter_mut().zip(FIELDS) {
        let part = parts.next().and_then(|part| part.split_once('='));
        *value = match part {
            Some((named, value)) if named == name => value,
            _ => return Err(unreadable(format!("without {name}"))),
        };
    }
    if parts.next().is_some() {
        return Err(unreadable("something behind the last field"));
    }
    let [role, logins, hosts, channels, kept, ends] = values;
    let kind = |word: &str| ChannelKind::parse(word).ok_or_else(|| unreadable("a channel unknown"));
    let more = |word: &str| Kept::parse(word).ok_or_else(|| unreadable("something kept unknown"));
    Ok(Grant {
        role: unescaped(role)?,
        logins: list(logins, ',').map(unescaped).collect::<Result<_, _>>()?,
        hosts: list(hosts, ',').map(host).collect::<Result<_, _>>()?,
        channels: list(channels, ',').map(kind).collect::<Result<_, _>>()?,
        kept: list(kept, ',').map(more).collect::<Result<_, _>>()?,
        ends: match ends {
            "1" => true,
            "0" => false,
            _ => return Err(unreadable("ends is 0 or 1")),
        },
    })
}

fn host(text: &str) -> Result<(String, Vec<String>), Unreadable> {
    let (label, values) = text
        .split_once(':')
        .ok_or_else(|| unreadable("a label without a value"))?;
    let values = list(values, '|').map(unescaped).collect::<Result<_, _>>()?;
    Ok((unescaped(label)?, values))
}

fn list(text: &str, separator: char) -> impl Iterator<Item = &str> {
    text.split(separator).filter(move |_| !text.is_empty())
}

fn joined(parts: impl Iterator<Item = String>, separator: &str) -> String {
    parts.collect::<Vec<_>>().join(separator)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._*/@+{}".contains(&byte)
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match is_plain(byte) {
            true => out.push(char::from(byte)),
            false => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

fn unescaped(text: &str) -> Result<String, Unreadable> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if is_plain(*byte) {
            out.push(*byte);
            continue;
        }
        let hex = behind.split_at_checked(2).filter(|_| *byte == b'%');
        let (digits, behind) = hex.ok_or_else(|| unreadable("a sign that stands for nothing"))?;
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        // `+f` is a number to the standard library.
        let all_hex = digits.bytes().all(|c| c.is_ascii_hexdigit());
        let number = u8::from_str_radix(digits, 16).ok().filter(|_| all_hex);
        out.push(number.ok_or_else(|| unreadable("an escape that is none"))?);
        rest = behind;
    }
    String::from_utf8(out).map_err(|_| unreadable("no text"))
}
