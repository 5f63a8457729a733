//! Writes a classic recording as a tar archive. A member's length stands before it, so members are
//! gathered in files without a name first.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hansard_core::{Event, Session};

use super::ClassicEncoder;
use crate::codec::{EncodeError, Encoder};
use crate::parts::{Outputs, Part};

const BLOCK: usize = 512;

type Members = Rc<RefCell<Vec<(String, File)>>>;

/// Writes a classic recording as an archive.
pub struct TarEncoder<W: Write> {
    out: W,
    inner: ClassicEncoder,
    members: Members,
    seconds: u64,
}

impl<W: Write> TarEncoder<W> {
    /// An encoder that writes the archive here when the recording ends. Until then its files stand
    /// in `scratch`, a directory, without names: whatever happens, they are gone afterwards.
    pub fn new(out: W, scratch: &Path) -> Self {
        let members = Members::default();
        let unnamed = Unnamed {
            scratch: scratch.to_owned(),
            members: Rc::clone(&members),
        };
        let inner = ClassicEncoder::new(Box::new(unnamed));
        Self {
            out,
            inner,
            members,
            seconds: 0,
        }
    }
}

impl<W: Write> Encoder for TarEncoder<W> {
    fn begin(&mut self, session: &Session) -> Result<(), EncodeError> {
        self.seconds = session.start_utc_ns / 1_000_000_000;
        self.inner.begin(session)
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        self.inner.event(event)
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        self.inner.end()?;
        for (name, mut file) in self.members.take() {
            let len = file.seek(io::SeekFrom::End(0))?;
            file.rewind()?;
            self.out.write_all(&header(&name, len, self.seconds))?;
            let copied = io::copy(&mut file.take(len), &mut self.out)?;
            if copied < len {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let short = usize::try_from(len.next_multiple_of(512) - len).unwrap_or(0);
            self.out
                .write_all([0; BLOCK].get(..short).unwrap_or_default())?;
        }
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(self.out.flush()?)
    }
}

struct Unnamed {
    scratch: PathBuf,
    members: Members,
}

impl Outputs for Unnamed {
    fn create(&mut self, part: Part<'_>) -> io::Result<Box<dyn Write>> {
        let Part::Inside(name) = part else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let mut members = self.members.borrow_mut();
        let path = self.scratch.join(format!(".{name}.{}", std::process::id()));
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        // A crash at this line leaves an empty file with that name behind.
        std::fs::remove_file(&path)?;
        members.push((name.to_owned(), file.try_clone()?));
        Ok(Box::new(io::BufWriter::new(file)))
    }
}

/// A ustar header. The names are ours, and short.
fn header(name: &str, len: u64, seconds: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        for (slot, byte) in block.iter_mut().skip(at).zip(bytes) {
            *slot = *byte;
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000640\x000000000\x000000000\0");
    match len {
        0..=0o77_777_777_777 => put(124, format!("{len:011o}").as_bytes()),
        // Octal has no room for 8 GiB: binary, as GNU tar does it.
        _ => {
            put(124, &[0x80]);
            put(128, &len.to_be_bytes());
        }
    }
    put(
        136,
        format!("{:011o}", seconds.min(0o77_777_777_777)).as_bytes(),
    );
    put(148, b"        0");
    put(257, b"ustar\x0000");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    for (slot, byte) in block
        .iter_mut()
        .skip(148)
        .zip(format!("{sum:06o}\0 ").as_bytes())
    {
        *slot = *byte;
    }
    block
}
