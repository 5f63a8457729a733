//! What the client makes of a service's answers that are not the usual ones: of a service that gives them
//! word by word.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};
use std::thread;

use hansard_tests::{Scratch, hansard};

/// A service that answers each request with what it is told to.
struct Service(Scratch);

impl Service {
    /// `answer`: all that is sent back for a request with this first line; then the connection is closed.
    fn new(name: &str, answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let scratch = Scratch::new(name);
        let listener = UnixListener::bind(scratch.join("admin.sock")).unwrap();
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let asked = request(&mut stream);
                // Who has enough of an answer is no fault of the test.
                let _ = stream.write_all(&answer(&asked));
            }
        });
        Self(scratch)
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output: Output = Command::new(hansard())
            .args(args)
            .env("HANSARD_RUNTIME_DIR", self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        (output.status.code(), out, err)
    }
}

/// Reads a request without a body; answers its first line.
fn request(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
        bytes.push(byte[0]);
    }
    let text = String::from_utf8(bytes).unwrap();
    text.lines().next().unwrap_or_default().to_owned()
}

/// A whole answer with this document.
fn json(status: &str, document: &serde_json::Value) -> Vec<u8> {
    let body = document.to_string();
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

#[test]
fn nothing_found_in_half_an_index_is_not_nothing() {
    for (whole, status) in [(false, 3), (true, 1)] {
        let document = serde_json::json!({
            "sessions": [], "complete": whole, "next": null, "gave_up": false, "index_complete": whole,
        });
        let service = Service::new("answers-index", move |_| json("200 OK", &document));
        let (code, out, err) = service.run(&["search", "needle"]);
        assert_eq!((code, out.as_str()), (Some(status), ""), "{err}");
        assert_eq!(err.contains("not everything was searched"), !whole, "{err}");
    }
}
