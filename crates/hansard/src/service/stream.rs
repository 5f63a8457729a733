//! Answers that go on: as bytes, and as lines of JSON.

use std::io::{self, BufRead as _, BufReader, Read};

use bytes::{Buf as _, Bytes};
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use serde_json::Value as Json;

use super::Service;
use crate::failure::{Cut, Failure};

/// Longest line that is taken, in bytes; a longer one is an error. The service writes shorter ones.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// An answer's bytes. One that ends before the service has ended it is an error.
pub(crate) struct Stream {
    service: Service,
    body: Incoming,
    held: Bytes,
}

impl Stream {
    pub(super) fn new(service: Service, answer: Response<Incoming>) -> Self {
        Self {
            service,
            body: answer.into_body(),
            held: Bytes::new(),
        }
    }

    /// Whether the service ended its answer and every byte of it was read; waits for the next.
    ///
    /// # Errors
    /// When the answer is cut.
    pub(crate) fn is_empty(&mut self) -> io::Result<bool> {
        while self.held.is_empty() {
            match self.service.runtime.block_on(self.body.frame()) {
                None => return Ok(true),
                Some(Err(error)) => return Err(io::Error::other(Cut(error.to_string()))),
                Some(Ok(frame)) => self.held = frame.into_data().unwrap_or_default(),
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
