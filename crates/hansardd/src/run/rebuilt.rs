//! What `hansardd reindex` did, kept for the daemon's own recording: nobody writes that while the
//! daemon is stopped, so it is a file until the next start has told it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

use hansard_core::event::Fact;
use hansard_core::{Body, Fields};
use serde_json::{Value as Json, json};

use crate::data_dir::DataDir;

/// The file's name in the directory of the catalog.
const NAME: &str = "rebuilt.json";

/// Most that is read of it, bytes: thousands of runs. What is beyond is as good as a damaged file.
const BYTES_MAX: u64 = 1024 * 1024;

/// The file. Each line is an event: its name and its fields, which are counts and texts.
pub struct Rebuilt(PathBuf);

impl Rebuilt {
    /// Of this data directory.
    #[must_use]
    pub fn of(dir: &DataDir) -> Self {
        Self(dir.catalog().join(NAME))
    }

    /// Keeps an event for the next start; durable when `Ok`. A crash before leaves what was there.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep(&self, event: &str, fields: &[(&str, Json)]) -> io::Result<()> {
        let mut text = match fs::read_to_string(&self.0) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let fields: serde_json::Map<String, Json> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        text.push_str(&format!("{}\n", json!([event, fields])));
        let draft = self.0.with_extension("draft");
        let mut file = File::create(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &self.0)?;
        self.sync_dir()
    }

    /// Tells what is kept and removes it. A crash in between tells it again: twice is better than
    /// never.
    ///
    /// # Errors
    /// What could not be told, or removed; the next call goes on.
    pub(super) fn tell(
        &self,
        diarist: &mut dyn FnMut(Body) -> Result<(), String>,
    ) -> Result<(), String> {
        let about = |e: io::Error| format!("{}: {e}", crate::failure::shown(&self.0));
        let size = match fs::metadata(&self.0) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found.map_err(about)?.len(),
        };
        let text = match size > BYTES_MAX {
            true => String::from("too long"),
            false => String::from_utf8_lossy(&fs::read(&self.0).map_err(about)?).into_owned(),
        };
        for line in text.lines() {
            diarist(event(line))?;
        }
        fs::remove_file(&self.0).map_err(about)?;
        self.sync_dir().map_err(about)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.0
            .parent()
            .map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }
}

/// The event of a line. One that cannot be read still says that something was built anew.
fn event(line: &str) -> Body {
    let read: Option<(String, serde_json::Map<String, Json>)> = serde_json::from_str(line).ok();
    let (event, read) = read.unwrap_or_else(|| {
        let reason = json!("the note of what was done cannot be read");
        let fields = [("reason".to_owned(), reason)].into_iter().collect();
        ("catalog.rebuilt".to_owned(), fields)
    });
    let mut fields = Fields::new();
    for (name, value) in &read {
        match (value.as_u64(), value.as_str()) {
            (Some(count), _) => fields.push(name, count),
            (None, Some(text)) => fields.push(name, text),
            (None, None) => {}
        }
    }
    Body::Admin(Fact { event, fields })
}
