//! What goes between the daemon and the helper: `N` and a line feed, then N messages of one line
//! each; and back, when all that could be done is done, `K` and a line feed, or `K`, a blank and why
//! it went no further: the first K messages are in their place.

use std::io::{self, BufRead, Read as _, Write};

use super::Place;

/// Most messages in a batch; a helper that is told of more gives up.
pub const MESSAGES_MAX: usize = 128;

/// Most bytes of messages in a batch, but for its first; more waits for the next.
pub const BYTES_MAX: usize = 1024 * 1024;

/// Longest line of either side; a longer one is no line of this protocol.
pub const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Longest reason that is passed on, characters; the rest is cut off.
pub const REASON_CHARS_MAX: usize = 512;

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// So many messages, from the first on, are in their place.
    pub done: usize,
    /// Why not more.
    pub trouble: Option<String>,
}

/// Sends a batch and waits for what became of it. Each message is one line with its line feed.
///
/// # Errors
/// When the helper is gone, or says what it cannot mean.
pub fn send<'a>(
    messages: impl ExactSizeIterator<Item = &'a [u8]>,
    to: &mut impl Write,
    from: &mut impl BufRead,
) -> io::Result<Answer> {
    let count = messages.len();
    let mut batch = format!("{count}\n").into_bytes();
    for message in messages {
        batch.extend_from_slice(message);
    }
    to.write_all(&batch)?;
    to.flush()?;
    let line = line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let line = String::from_utf8_lossy(&line);
    let (done, trouble) = match line.split_once(' ') {
        Some((done, why)) => (done, Some(why.to_owned())),
        None => (line.as_ref(), None),
    };
    match done.parse() {
        Ok(done) if done == count || (done < count && trouble.is_some()) => {
            Ok(Answer { done, trouble })
        }
        _ => Err(malformed("the answer")),
    }
}

/// The helper's whole work: puts batches in their place until the daemon is gone.
///
/// # Errors
/// When the daemon says what it cannot mean, or cannot be answered.
pub fn serve(
    from: &mut impl BufRead,
    to: &mut impl Write,
    place: &mut dyn Place,
) -> io::Result<()> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    while let Some(count) = line(from)? {
        let count = std::str::from_utf8(&count)
            .ok()
            .and_then(|n| n.parse().ok());
        let count = count.filter(|n: &usize| *n <= MESSAGES_MAX);
        messages.clear();
        for _ in 0..count.ok_or_else(|| malformed("the number of messages"))? {
            messages.push(line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?);
        }
        let answer = put(place, &messages);
        match answer.trouble {
            None => writeln!(to, "{}", answer.done)?,
            Some(why) => {
                let why = why.chars().filter(|c| !c.is_control());
                let why: String = why.take(REASON_CHARS_MAX).collect();
                writeln!(to, "{} {why}", answer.done)?;
            }
        }
        to.flush()?;
    }
    Ok(())
}

fn put(place: &mut dyn Place, messages: &[Vec<u8>]) -> Answer {
    let mut done = 0;
    let mut trouble = None;
    for message in messages {
        match place.put(message) {
            Ok(()) => done += 1,
            Err(error) => {
                trouble = Some(error.to_string());
                break;
            }
        }
    }
    match place.sync() {
        Ok(()) => Answer { done, trouble },
        // What is not durable is not in its place.
        Err(error) => Answer {
            done: 0,
            trouble: Some(error.to_string()),
        },
    }
}

/// The next line without its end; `None` behind the last.
fn line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(malformed("the end of a line")),
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{what} is not understood"),
    )
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Takes so many messages and then nothing.
    struct Narrow {
        room: usize,
        taken: Vec<Vec<u8>>,
        may_sync: bool,
    }

    impl Place for Narrow {
        fn put(&mut self, message: &[u8]) -> io::Result<()> {
            if self.taken.len() == self.room {
                return Err(io::Error::other("no\nroom"));
            }
            self.taken.push(message.to_vec());
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            match self.may_sync {
                true => Ok(()),
                false => Err(io::Error::other("no sync")),
            }
        }
    }

    /// One batch of a and b through both sides.
    fn through(mut place: Narrow) -> (Answer, Vec<Vec<u8>>) {
        let mut asked = Vec::new();
        let messages = [&b"a\n"[..], b"b\n"];
        let _ = send(messages.into_iter(), &mut asked, &mut Cursor::new(b"2\n"));
        let mut answered = Vec::new();
        serve(&mut Cursor::new(asked), &mut answered, &mut place).unwrap();
        let messages = messages.into_iter();
        let answer = send(messages, &mut Vec::new(), &mut Cursor::new(answered)).unwrap();
        (answer, place.taken)
    }

    #[test]
    fn an_answer_counts_what_is_in_its_place() {
        let place = |room, may_sync| Narrow {
            room,
            taken: Vec::new(),
            may_sync,
        };
        let (answer, taken) = through(place(9, true));
        assert_eq!(
            answer,
            Answer {
                done: 2,
                trouble: None
            }
        );
        assert_eq!(taken, [b"a", b"b"]);
        let (answer, _) = through(place(1, true));
        assert_eq!(
            (answer.done, answer.trouble.as_deref()),
            (1, Some("noroom"))
        );
        let (answer, _) = through(place(9, false));
        assert_eq!(
            (answer.done, answer.trouble.as_deref()),
            (0, Some("no sync"))
        );
    }

    #[test]
    fn what_cannot_be_meant_ends_it() {
        for said in ["3\n", "-1\n", "1\n", "x\n", "2", ""] {
            let messages = [&b"a\n"[..], b"b\n"];
            let answer = send(messages.into_iter(), &mut Vec::new(), &mut said.as_bytes());
            assert!(answer.is_err(), "{said}");
        }
        let mut place = Narrow {
            room: 9,
            taken: Vec::new(),
            may_sync: true,
        };
        for said in ["129\n", "x\n", "2\na\n", "1\na"] {
            let served = serve(&mut said.as_bytes(), &mut Vec::new(), &mut place);
            assert!(served.is_err(), "{said}");
        }
    }
}
