//! What a recording has of each stream, compared with what went through.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hansard_core::event::Body;
use hansard_core::reader::{Item, Reader};

use crate::place::Place;
use hansard_tests::hansard;

/// The streams of one recording, in files beside it.
pub struct Kept<'a> {
    place: &'a Place,
    streams: BTreeMap<&'static str, Stream>,
}

struct Stream {
    /// What is kept.
    file: File,
    bytes: u64,
    /// What the recording says of the rest, each time: the bytes kept before, those left out so far, and
    /// their digest.
    omitted: Vec<(u64, u64, String)>,
}

/// Tokens of a calm stream a second, and at most: beyond its budget it may keep so much.
const CALM_BYTES: u64 = 64 * 1024;

impl<'a> Kept<'a> {
    /// Reads a recording that the service has, which must be proven whole.
    pub fn of(place: &'a Place, sid: &str) -> Self {
        let verified = place.says(&["verify", sid]);
        assert!(verified.contains("intact"), "{verified}");
        let mut child = Command::new(hansard())
            .args(["convert", "--to", "hansard", sid, "-"])
            .env("HANSARD_RUNTIME_DIR", place.daemon.runtime())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut kept = Self {
            place,
            streams: BTreeMap::new(),
        };
        kept.read(&mut child);
        assert!(child.wait().unwrap().success());
        kept
    }

    fn read(&mut self, child: &mut Child) {
        let mut reader = Reader::new(child.stdout.take().unwrap());
        loop {
            let events = match reader.next_item().unwrap() {
                Item::Frame(frame) => frame.events,
                Item::Seal(_) => continue,
                Item::Damage(damage) => panic!("{damage}"),
                Item::End(_) => return,
            };
            for event in events {
                match event.body {
                    Body::Data { stream, bytes } => {
                        let of = self.stream(stream.as_str());
                        of.file.write_all(&bytes).unwrap();
                        of.bytes += bytes.len() as u64;
                    }
                    Body::Transfer(fact) if fact.event == "stream.omitted" => {
                        let number = |name: &str| match fact.fields.get(name) {
                            Some(hansard_core::Value::Uint(number)) => *number,
                            other => panic!("{name}: {other:?}"),
                        };
                        let said = (
                            number("kept_bytes"),
                            number("omitted_bytes"),
                            fact.fields.text("sha256").unwrap().to_owned(),
                        );
                        let name = fact.fields.text("stream_name").unwrap();
                        let name = ["stdin", "stdout", "stderr"]
                            .into_iter()
                            .find(|known| *known == name);
                        let of = self.stream(name.unwrap());
                        assert_eq!(said.0, of.bytes, "it stands where the bytes are missing");
                        of.omitted.push(said);
                    }
                    _ => {}
                }
            }
        }
    }

    fn stream(&mut self, name: &'static str) -> &mut Stream {
        let path = self.place.path(&format!("kept-{name}"));
        self.streams.entry(name).or_insert_with(|| Stream {
            file: File::options()
                .create(true)
                .truncate(true)
                .read(true)
                .write(true)
                .open(path)
                .unwrap(),
            bytes: 0,
            omitted: Vec::new(),
        })
    }

    /// Compares one of these streams, of a session that took so long at most, with the file; answers the
    /// file's bytes.
    pub fn compared(&self, names: &[&str], file: &Path, (bulk, seconds): (u64, f64)) -> u64 {
        let through = file.metadata().unwrap().len();
        let of = names.iter().find_map(|name| {
            let stream = self.streams.get(name);
            stream.map(|stream| (name, stream))
        });
        let Some((name, stream)) = of else {
            assert_eq!(through, 0, "{names:?}: nothing is kept of it");
            return 0;
        };
        let beginning = self.place.path(&format!("kept-{name}"));
        let (mut kept, mut left_out, mut missing) = (0, 0, Vec::new());
        let to_the_end = (stream.bytes, through - stream.bytes);
        let said = stream.omitted.iter().map(|said| (said.0, said.1));
        for (kept_then, left_out_then) in said.chain([to_the_end]) {
            let same = Command::new("cmp")
                .args(["-n", &(kept_then - kept).to_string()])
                .args(["-i", &format!("{kept}:{}", kept + left_out)])
                .args([&beginning, file])
                .status();
            assert!(
                same.unwrap().success(),
                "{name}: what is kept is not what went through"
            );
            missing.push((kept_then + left_out, left_out_then - left_out));
            (kept, left_out) = (kept_then, left_out_then);
        }
        assert_eq!(missing.pop().unwrap().1, 0, "{name}: all of it is said");
        match stream.omitted.last() {
            Some(said) => assert_eq!(said.2, digest(file, &missing), "{name}: what is not kept"),
            None => assert_eq!(stream.bytes, through, "{name}: bytes kept"),
        }
        let most = match bulk {
            0 => through,
            _ => bulk + CALM_BYTES * (2 + seconds as u64),
        };
        let least = through.min(if bulk > 0 { bulk } else { through });
        assert!(
            (least..=most).contains(&stream.bytes),
            "{name}: {} bytes kept of {through} in {seconds} s",
            stream.bytes
        );
        through
    }
}

/// The SHA-256 of these stretches of a file together, each from there on and so long.
fn digest(file: &Path, stretches: &[(u64, u64)]) -> String {
    let mut sum = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = sum.stdin.take().unwrap();
    for (from, bytes) in stretches {
        let mut source = File::open(file).unwrap();
        source.seek(SeekFrom::Start(*from)).unwrap();
        let copied = std::io::copy(&mut source.take(*bytes), &mut to).unwrap();
        assert_eq!(copied, *bytes);
    }
    drop(to);
    let said = sum.wait_with_output().unwrap();
    assert!(said.status.success());
    String::from_utf8(said.stdout).unwrap()[..64].to_owned()
}

/// The SHA-256 of a file, in small hexadecimal digits.
pub fn sha256(file: &Path) -> String {
    digest(file, &[(0, file.metadata().unwrap().len())])
}
