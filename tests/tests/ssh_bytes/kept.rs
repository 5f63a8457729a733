//! What a recording has of each stream, compared with what went through.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
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
    /// What the recording says of the rest: the bytes kept before it, its own, and its digest.
    omitted: Option<(u64, u64, String)>,
}

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
                        self.stream(name.unwrap()).omitted = Some(said);
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
            omitted: None,
        })
    }

    /// Compares one of these streams with the file; answers the file's bytes.
    pub fn compared(&self, names: &[&str], file: &Path, bulk: u64) -> u64 {
        let through = file.metadata().unwrap().len();
        let of = names.iter().find_map(|name| {
            let stream = self.streams.get(name);
            stream.map(|stream| (name, stream))
        });
        let Some((name, stream)) = of else {
            assert_eq!(through, 0, "{names:?}: nothing is kept of it");
            return 0;
        };
        let is_over = bulk > 0 && through > bulk;
        let kept = if is_over { bulk } else { through };
        assert_eq!(stream.bytes, kept, "{name}: bytes kept of {through}");
        let (beginning, rest) = (self.place.path(&format!("kept-{name}")), through - kept);
        let mut compared = Command::new("cmp");
        compared.arg("-n").arg(kept.to_string()).arg(&beginning);
        assert!(
            compared.arg(file).status().unwrap().success(),
            "{name}: what is kept is not what went through"
        );
        let digest = is_over.then(|| (kept, rest, sha256(file, kept)));
        assert_eq!(stream.omitted, digest, "{name}: what is not kept");
        through
    }
}

/// The SHA-256 of a file from there on, in small hexadecimal digits.
pub fn sha256(file: &Path, from: u64) -> String {
    let mut tail = Command::new("tail")
        .args(["-c", &format!("+{}", from + 1)])
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut sum = Command::new("sha256sum")
        .stdin(tail.stdout.take().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    sum.stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(tail.wait().unwrap().success() && sum.wait().unwrap().success());
    said[..64].to_owned()
}
