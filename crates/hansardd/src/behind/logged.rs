//! The event log as it is read by those who follow it: from its files, by place.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;

use crate::api::problem::Trouble;
use crate::api::seams::{Batch, EventLog, Since};
use crate::eventlog::day::Day;

/// How often somebody who waits looks for new lines.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Longest line that is given; a longer one is none of ours and is passed over.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// The files of one service's log.
pub struct Logged {
    /// Their directory.
    pub dir: PathBuf,
}

/// A place in the log: a day, which of that day's files, and bytes of lines in it. As text it is for
/// programs to give back, not to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    day: Day,
    /// Days come back when a clock is set; files of one day are counted.
    turn: u32,
    offset: u64,
}

impl At {
    fn text(self) -> String {
        format!("{}.{}.{}", self.day.0, self.turn, self.offset)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let at = Self {
            day: Day(parts.next()?.parse().ok()?),
            turn: parts.next()?.parse().ok()?,
            offset: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(at)
    }

    fn beginning((day, turn): (Day, u32)) -> Self {
        Self {
            day,
            turn,
            offset: 0,
        }
    }
}

impl EventLog for Logged {
    fn read(&self, since: Since<'_>, most: usize, wait: Duration) -> Result<Batch, Trouble> {
        let retry = |e: io::Error| Trouble::Retry(format!("{}: {e}", self.dir.display()));
        let mut at = self.place(since).map_err(retry)??;
        let began = Instant::now();
        loop {
            let (documents, behind) = self.lines(at, most).map_err(retry)?;
            at = behind;
            if !documents.is_empty() || began.elapsed() >= wait {
                return Ok(Batch {
                    documents,
                    cursor: at.text(),
                });
            }
            std::thread::sleep(LOOK_EVERY.min(wait.saturating_sub(began.elapsed())));
        }
    }
}

impl Logged {
    /// All files, in the order in which they were written.
    fn files(&self) -> io::Result<Vec<((Day, u32), PathBuf)>> {
        let mut compressed = Vec::new();
        let mut plain = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let Some((name, day)) = name.to_str().and_then(|n| Some((n, Day::of_file(n)?))) else {
                continue;
            };
            let path = self.dir.join(name);
            match turn_of(name) {
                Some(turn) => compressed.push(((day, turn), path)),
                None => plain.push((day, path)),
            }
        }
        for (day, path) in plain {
            // A file that is being compressed keeps its place: it is the next of its day.
            let turns = compressed.iter().filter(|((of, _), _)| *of == day);
            let turn = u32::try_from(turns.count()).unwrap_or(u32::MAX);
            compressed.push(((day, turn), path));
        }
        compressed.sort();
        Ok(compressed)
    }

    fn place(&self, since: Since<'_>) -> io::Result<Result<At, Trouble>> {
        let files = self.files()?;
        let last = files.last();
        let end = match last {
            Some((key, path)) => At {
                offset: whole_lines(path)?,
                ..At::beginning(*key)
            },
            None => At::beginning((Day(0), 0)),
        };
        Ok(match since {
            Since::Now => Ok(end),
            Since::Time(utc_ns) => {
                // A line stands in the file of the day it came, which is that of its time or later,
                // unless a host's clock was ahead: so one day is added before.
                let day = Day(Day::of(utc_ns).0.saturating_sub(1));
                let first = files.iter().find(|((of, _), _)| *of >= day);
                Ok(first.map_or(end, |(key, _)| At::beginning(*key)))
            }
            Since::Cursor(text) => match At::parse(text) {
                None => Err(Trouble::Refused("not a cursor of the event log".to_owned())),
                Some(at) => match files.first() {
                    Some((first, _)) if (at.day, at.turn) < *first && at.day != Day(0) => Err(
                        Trouble::Refused("the log behind this cursor was removed".to_owned()),
                    ),
                    _ => Ok(at),
                },
            },
        })
    }

    /// Lines from this place on, at most so many, and the place behind them.
    fn lines(&self, mut at: At, most: usize) -> io::Result<(Vec<String>, At)> {
        let mut lines = Vec::new();
        for (key, path) in self.files()? {
            if key < (at.day, at.turn) {
                continue;
            }
            if key > (at.day, at.turn) {
                at = At::beginning(key);
            }
            let mut reader = match open(&path, at.offset) {
                Ok(reader) => reader,
                // It was compressed or removed since it was listed: the next look finds it.
                Err(e) if e.kind() == io::ErrorKind::NotFound => break,
                Err(e) => return Err(e),
            };
            while lines.len() < most {
                let mut line = Vec::new();
                let n = (&mut reader)
                    .take(LINE_BYTES_MAX as u64)
                    .read_until(b'\n', &mut line)?;
                // What has no end yet is being written.
                if n == 0 || line.last() != Some(&b'\n') && n < LINE_BYTES_MAX {
                    break;
                }
                at.offset = at.offset.saturating_add(n as u64);
                line.pop();
                if let Ok(text) = String::from_utf8(line) {
                    lines.push(text);
                }
            }
            if lines.len() >= most {
                break;
            }
        }
        Ok((lines, at))
    }
}

/// Which of its day's files a compressed one is; `None` for one that is not compressed.
fn turn_of(name: &str) -> Option<u32> {
    let name = name.strip_suffix(".gz")?;
    let turn = name.rsplit_once(".log").map_or("", |(_, turn)| turn);
    Some(turn.trim_start_matches('.').parse().unwrap_or(0))
}

fn open(path: &Path, offset: u64) -> io::Result<BufReader<Box<dyn Read>>> {
    let mut file = File::open(path)?;
    if path.extension().is_some_and(|end| end == "gz") {
        let mut text = MultiGzDecoder::new(BufReader::new(file));
        io::copy(&mut (&mut text).take(offset), &mut io::sink())?;
        return Ok(BufReader::new(Box::new(text)));
    }
    file.seek(SeekFrom::Start(offset))?;
    Ok(BufReader::new(Box::new(file)))
}

/// Bytes of a file up to the end of its last whole line.
fn whole_lines(path: &Path) -> io::Result<u64> {
    let mut reader = open(path, 0)?;
    let (mut whole, mut all) = (0u64, 0u64);
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(whole);
        }
        if let Some(last) = chunk.iter().rposition(|byte| *byte == b'\n') {
            whole = all.saturating_add(last as u64).saturating_add(1);
        }
        let n = chunk.len();
        all = all.saturating_add(n as u64);
        reader.consume(n);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn log(name: &str) -> Logged {
        let dir =
            std::env::temp_dir().join(format!("hansardd-logged-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Logged { dir }
    }

    fn all(log: &Logged, since: Since<'_>) -> (Vec<String>, String) {
        let mut batch = log.read(since, 2, Duration::ZERO).unwrap();
        let mut documents = std::mem::take(&mut batch.documents);
        loop {
            let next = log
                .read(Since::Cursor(&batch.cursor), 2, Duration::ZERO)
                .unwrap();
            if next.documents.is_empty() {
                return (documents, next.cursor);
            }
            documents.extend(next.documents.iter().cloned());
            batch = next;
        }
    }

    #[test]
    fn a_cursor_goes_on_where_it_was_whatever_becomes_of_the_files() {
        let log = log("cursor");
        let (old, new) = (Day(20_000), Day(20_001));
        fs::write(log.dir.join(old.file_name()), "a\nb\nc\n").unwrap();
        let first = log.read(Since::Time(0), 2, Duration::ZERO).unwrap();
        assert_eq!(first.documents, ["a", "b"]);
        // The day is over, its file is compressed, and the next one begins with half a line.
        let mut gz = GzEncoder::new(
            File::create(log.dir.join(old.compressed_name(0))).unwrap(),
            Compression::fast(),
        );
        gz.write_all(b"a\nb\nc\n").unwrap();
        gz.finish().unwrap();
        fs::remove_file(log.dir.join(old.file_name())).unwrap();
        fs::write(log.dir.join(new.file_name()), "d\nhal").unwrap();
        let (rest, cursor) = all(&log, Since::Cursor(&first.cursor));
        assert_eq!(rest, ["c", "d"]);
        let mut file = File::options()
            .append(true)
            .open(log.dir.join(new.file_name()))
            .unwrap();
        file.write_all(b"f\n").unwrap();
        assert_eq!(all(&log, Since::Cursor(&cursor)).0, ["half"]);
        assert_eq!(all(&log, Since::Now).0, Vec::<String>::new());
        assert_eq!(all(&log, Since::Time(0)).0, ["a", "b", "c", "d", "half"]);
        fs::remove_file(log.dir.join(old.compressed_name(0))).unwrap();
        let gone = log.read(Since::Cursor(&first.cursor), 2, Duration::ZERO);
        assert!(matches!(gone, Err(Trouble::Refused(_))), "{gone:?}");
        for bad in ["", "1.2", "a.b.c", "1.2.3.4"] {
            let refused = log.read(Since::Cursor(bad), 2, Duration::ZERO);
            assert!(matches!(refused, Err(Trouble::Refused(_))), "{bad}");
        }
        fs::remove_dir_all(&log.dir).unwrap();
    }

    #[test]
    fn somebody_who_waits_hears_of_the_next_line() {
        let log = log("waits");
        let path = log.dir.join(Day(20_000).file_name());
        fs::write(&path, "a\n").unwrap();
        let now = log.read(Since::Now, 10, Duration::ZERO).unwrap();
        assert!(now.documents.is_empty());
        let writer = std::thread::spawn(move || {
            let mut file = File::options().append(true).open(path).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            file.write_all(b"b\n").unwrap();
        });
        let next = log
            .read(Since::Cursor(&now.cursor), 10, Duration::from_secs(20))
            .unwrap();
        assert_eq!(next.documents, ["b"]);
        writer.join().unwrap();
        fs::remove_dir_all(&log.dir).unwrap();
    }
}
