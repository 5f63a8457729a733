//! Answers that go on: as bytes, and as lines of JSON.

use std::io::{self, BufRead as _, BufReader, Read};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use serde_json::Value as Json;
use tokio::time::timeout;

use super::Service;
use crate::failure::{Cut, Failure};

/// Longest line that is taken, in bytes; a longer one is an error. The service writes shorter ones.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How long nothing may come of an answer that has begun; then it is an error. Where nothing happens in one that
/// goes on the service says so each five seconds.
const QUIET_MAX: Duration = Duration::from_secs(60);

/// An answer's bytes. One that ends before the service has ended it is an error.
pub(crate) struct Stream {
    service: Service,
    body: Incoming,
    held: Bytes,
    quiet_max: Duration,
}

impl Stream {
    pub(super) fn new(service: Service, answer: Response<Incoming>) -> Self {
        Self {
            service,
            body: answer.into_body(),
            held: Bytes::new(),
            quiet_max: QUIET_MAX,
        }
    }

    /// Whether the service ended its answer and every byte of it was read; waits for the next.
    ///
    /// # Errors
    /// When the answer is cut, or nothing comes of it.
    pub(crate) fn is_empty(&mut self) -> io::Result<bool> {
        while self.held.is_empty() {
            let (most, body) = (self.quiet_max, &mut self.body);
            let next = async { timeout(most, body.frame()).await };
            match self.service.runtime.block_on(next) {
                Ok(None) => return Ok(true),
                Ok(Some(Err(error))) => return Err(io::Error::other(Cut(error.to_string()))),
                Ok(Some(Ok(frame))) => self.held = frame.into_data().unwrap_or_default(),
                Err(_) => {
                    let why = format!("nothing came for {} seconds", most.as_secs_f32());
                    return Err(io::Error::other(Cut(why)));
                }
            }
        }
        Ok(false)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_empty()? {
            return Ok(0);
        }
        let taken = self.held.len().min(buffer.len());
        self.held
            .copy_to_slice(buffer.get_mut(..taken).unwrap_or_default());
        Ok(taken)
    }
}

/// An answer's lines.
pub(crate) struct Lines {
    from: BufReader<Stream>,
}

impl Lines {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            from: BufReader::new(stream),
        }
    }

    /// The next line and what it says; `None` when the service has ended its answer.
    pub(crate) fn next_line(&mut self) -> Result<Option<(String, Json)>, Failure> {
        let mut line = String::new();
        let mut limited = self.from.by_ref().take(LINE_BYTES_MAX);
        let read = limited.read_line(&mut line).map_err(|e| Failure::cut(&e))?;
        if read == 0 {
            return Ok(None);
        }
        if !line.ends_with('\n') {
            return Err(Failure::cut(&"in the middle of a line"));
        }
        line.truncate(line.trim_end().len());
        let said = serde_json::from_str(&line).map_err(|e| Failure::cut(&e))?;
        Ok(Some((line, said)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixListener;
    use std::thread;
    use std::time::Instant;

    use super::*;
    use crate::cli::ServiceArgs;
    use crate::service::Asked;

    #[test]
    fn an_answer_that_begins_and_does_not_go_on_is_cut() {
        let path = std::env::temp_dir().join(format!("hansard-quiet-{}.sock", std::process::id()));
        // One that a run with the same number left behind.
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let service = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            // Slow, and no slower than may be: all of it takes longer than any pause may.
            for _ in 0..8 {
                stream.write_all(b"slow ").unwrap();
                thread::sleep(Duration::from_millis(300));
            }
            // Held open until the other end has had enough.
            let _ = stream.read(&mut [0; 4096]);
            while stream.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
        });
        let args = ServiceArgs {
            socket: Some(path.clone()),
            remote: false,
        };
        let asked = Asked::get(&["status"]);
        let mut stream = Service::new(&args).unwrap().stream(&asked).unwrap();
        stream.quiet_max = Duration::from_secs(2);
        let (began, mut said) = (Instant::now(), Vec::new());
        let cut = stream.read_to_end(&mut said).unwrap_err();
        assert_eq!(said, b"slow ".repeat(8));
        assert_eq!(cut.to_string(), "nothing came for 2 seconds");
        assert!(began.elapsed() < Duration::from_secs(20));
        drop(stream);
        service.join().unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
