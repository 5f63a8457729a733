//! Requests, written so that nothing in a value is taken for something else.

use std::fmt::Write as _;
use std::path::Path;

use hyper::Method;
use serde_json::Value as Json;

/// A request to the service.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    method: Method,
    target: String,
    body: String,
    has_params: bool,
    if_match: Option<String>,
    /// What the first part of the path is, and what is named behind it.
    about: (String, Option<String>),
    /// The file that the document is made from.
    file: Option<String>,
}

impl Asked {
    fn new(method: Method, path: &[&str]) -> Self {
        let mut target = String::from("/v1");
        for part in path {
            target.push('/');
            escape(part, &mut target);
        }
        Self {
            method,
            target,
            body: String::new(),
            has_params: false,
            if_match: None,
            about: (
                path.first().copied().unwrap_or_default().to_owned(),
                path.get(1).map(|name| (*name).to_owned()),
            ),
            file: None,
        }
    }

    /// To look at what is under this path.
    pub(crate) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// To do something, with this document.
    pub(crate) fn post(path: &[&str], document: &Json) -> Self {
        let mut asked = Self::new(Method::POST, path);
        asked.body = document.to_string();
        asked
    }

    /// To do something that needs nothing said.
    pub(crate) fn act(path: &[&str]) -> Self {
        Self::new(Method::POST, path)
    }

    /// To put this document in the place of what is there; with a version, only in its place.
    pub(crate) fn put(path: &[&str], document: &Json, version: Option<u64>) -> Self {
        let mut asked = Self::new(Method::PUT, path);
        asked.body = document.to_string();
        asked.if_match = version.map(|version| format!("\"{version}\""));
        asked
    }

    /// To take something away.
    pub(crate) fn delete(path: &[&str]) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// The same, of a document that this file is the text of: what is wrong in it is wrong there.
    pub(crate) fn of_file(mut self, path: &Path) -> Self {
        self.file = Some(path.to_string_lossy().into_owned());
        self
    }

    /// The same with a parameter, if there is a value.
    pub(crate) fn with(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            if self.about.0 == "policy" && name == "version" {
                self.about.1 = Some(format!("version {value}"));
            }
            self.target.push(if self.has_params { '&' } else { '?' });
            self.has_params = true;
            self.target.push_str(name);
            self.target.push('=');
            escape(value, &mut self.target);
        }
        self
    }

    /// What is asked about, in the API's word for all of them: `users`, `sessions`.
    pub(super) fn collection(&self) -> &str {
        &self.about.0
    }

    /// What an answer with this code is about: the name that nothing has, or the file with the line
    /// that is refused.
    pub(super) fn about(&self, code: Option<&str>, message: &str) -> Option<String> {
        match code {
            Some("bad_request") if message.contains("line ") => self.file.clone(),
            Some("not_found") => {
                let one = self.about.0.strip_suffix('s').unwrap_or(&self.about.0);
                let name = self.about.1.as_ref()?;
                Some(format!("{one} {name}"))
            }
            _ => None,
        }
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    pub(super) fn target(&self) -> &str {
        &self.target
    }

    pub(super) fn if_match(&self) -> Option<&str> {
        self.if_match.as_deref()
    }

    pub(super) fn body(&self) -> &str {
        &self.body
    }
}

/// Everything but letters, digits and a few signs that mean nothing in a URL, escaped.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_a_value() {
        let asked = Asked::get(&["sessions", "../x"])
            .with("user", Some("a&b=c d\u{e9}\r\n"))
            .with("host", None)
            .with("kind", Some("terminal"));
        assert_eq!(
            asked.target(),
            "/v1/sessions/..%2Fx?user=a%26b%3Dc%20d%C3%A9%0D%0A&kind=terminal"
        );
    }
}
