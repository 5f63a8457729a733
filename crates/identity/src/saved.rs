//! Searches that users keep under a name: one small file for each user, replaced whole. What is in it
//! is looked at by its user alone, and opens nothing: it is a question, not an answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::failure::{Failure, about};
use crate::files::{self, Files, SECRET};
use crate::hex;
use crate::limits::{SAVED_MAX, SAVED_NAME_CHARS_MAX, SAVED_QUERY_BYTES_MAX, SAVED_USERS_MAX};

const SUFFIX: &str = ".json";

/// Pages of the application that search.
pub const PAGES: [&str; 3] = ["sessions", "search", "events"];

/// A search that somebody keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// What it is called.
    pub name: String,
    /// On which of [`PAGES`].
    pub page: String,
    /// What stands behind the question mark of that page's address; may be empty.
    pub query: String,
}

impl Saved {
    /// Its identifier: of its page and name, so that one of the same name takes its place.
    #[must_use]
    pub fn id(&self) -> String {
        let digest = Sha256::digest(format!("{}\0{}", self.page, self.name));
        let begin = digest.iter().take(8).copied().collect::<Vec<u8>>();
        hex::encode(&begin)
    }

    /// Whether it can be kept.
    ///
    /// # Errors
    /// `Malformed`, naming the field and what it must be.
    pub fn check(&self) -> Result<(), Failure> {
        let malformed = |words: String| Err(Failure::Malformed(words));
        let chars = self.name.chars().count();
        let is_blank = self.name.trim().is_empty() || self.name.trim() != self.name;
        if is_blank || chars > SAVED_NAME_CHARS_MAX || self.name.chars().any(char::is_control) {
            let most = SAVED_NAME_CHARS_MAX;
            return malformed(format!(
                "name: 1 to {most} characters, none of them a control, none blank at its ends"
            ));
        }
        if !PAGES.contains(&self.page.as_str()) {
            return malformed(format!("page: one of {}", PAGES.join(", ")));
        }
        // As browsers write it: whatever is not of these is escaped there.
        let is_of_address = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>?\\^`{|}".contains(&byte);
        if self.query.len() > SAVED_QUERY_BYTES_MAX || !self.query.bytes().all(is_of_address) {
            let most = SAVED_QUERY_BYTES_MAX;
            return malformed(format!(
                "query: what stands behind the question mark of an address, at most {most} bytes"
            ));
        }
        Ok(())
    }
}

/// What a user's file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    user: String,
    searches: Vec<Saved>,
}

/// The searches of all users.
#[derive(Debug)]
pub struct SavedSearches {
    directory: PathBuf,
    files: Files,
    /// Held while a file is read and written, so that two calls do not lose each other's.
    writing: Mutex<()>,
}

impl SavedSearches {
    /// Opens what is kept in `directory`, which is made if it is not there. Nothing is read yet.
    ///
    /// # Errors
    /// `Retry` when the disk fails.
    pub fn open(directory: &Path) -> Result<Self, Failure> {
        let files = Files::default();
        files.make_directory(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            files,
            writing: Mutex::new(()),
        })
    }

    /// A user's searches, by page and name; at most [`SAVED_MAX`].
    ///
    /// # Errors
    /// `Retry` when the disk fails, `Refused` when the file is damaged, with its name.
    pub fn of(&self, user: &str) -> Result<Vec<Saved>, Failure> {
        let path = self.path(user);
        let Some(bytes) = files::read(&path)? else {
            return Ok(Vec::new());
        };
        let damaged = |why: String| {
            let shown = path.display();
            Failure::Refused(format!("{shown}: {why}; remove it to begin anew"))
        };
        let row: Row = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        if row.user != user || row.searches.iter().any(|saved| saved.check().is_err()) {
            return Err(damaged("it is not what was written".to_owned()));
        }
        Ok(row.searches)
    }

    /// Keeps a search, in the place of one of the same page and name. `Ok` means that it is durable.
    ///
    /// # Errors
    /// `Malformed` as [`Saved::check`], `Conflict` at a bound, else as [`SavedSearches::of`].
    pub fn keep(&self, user: &str, saved: &Saved) -> Result<(), Failure> {
        saved.check()?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut searches = self.of(user)?;
        searches.retain(|other| other.id() != saved.id());
        if searches.len() >= SAVED_MAX {
            let words = format!("you keep {SAVED_MAX} searches: remove one first");
            return Err(Failure::Conflict(words));
        }
        if searches.is_empty() && self.users()? >= SAVED_USERS_MAX {
            let words = format!("{SAVED_USERS_MAX} users keep searches, and no more can");
            return Err(Failure::Conflict(words));
        }
        searches.push(saved.clone());
        searches.sort_by(|a, b| (&a.page, &a.name).cmp(&(&b.page, &b.name)));
        self.put(user, searches)
    }

    /// Keeps it no longer; `false` if there is none of that identifier.
    ///
    /// # Errors
    /// As [`SavedSearches::of`].
    pub fn remove(&self, user: &str, id: &str) -> Result<bool, Failure> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut searches = self.of(user)?;
        let before = searches.len();
        searches.retain(|saved| saved.id() != id);
        if searches.len() == before {
            return Ok(false);
        }
        self.put(user, searches)?;
        Ok(true)
    }

    /// Nothing is kept of this user any more: another one of the same name must not find it.
    ///
    /// # Errors
    /// `Retry` when the disk fails.
    pub fn forget(&self, user: &str) -> Result<(), Failure> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.files.remove(&self.path(user))
    }

    fn put(&self, user: &str, searches: Vec<Saved>) -> Result<(), Failure> {
        if searches.is_empty() {
            return self.files.remove(&self.path(user));
        }
        let row = Row {
            user: user.to_owned(),
            searches,
        };
        let bytes = serde_json::to_vec(&row)
            .map_err(|e| Failure::Retry(format!("searches cannot be written: {e}")))?;
        self.files.replace(&self.path(user), &bytes, SECRET)
    }

    /// How many users keep searches.
    fn users(&self) -> Result<usize, Failure> {
        let entries = fs::read_dir(&self.directory).map_err(|e| about(&self.directory, &e))?;
        Ok(entries.take(SAVED_USERS_MAX).count())
    }

    /// Names of users may have anything in them: a file is called by a digest.
    fn path(&self, user: &str) -> PathBuf {
        let name = hex::encode(&Sha256::digest(user));
        self.directory.join(format!("{name}{SUFFIX}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("saved-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        fn open(&self) -> SavedSearches {
            SavedSearches::open(&self.0).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn saved(name: &str, query: &str) -> Saved {
        Saved {
            name: name.to_owned(),
            page: "events".to_owned(),
            query: query.to_owned(),
        }
    }

    #[test]
    fn what_is_kept_is_there_after_a_restart_and_for_its_user_alone() {
        let scratch = Scratch::new("kept");
        let kept = scratch.open();
        kept.keep("ada", &saved("failed", "event=user.login"))
            .unwrap();
        kept.keep("ada", &saved("all", "")).unwrap();
        // One of the same name takes its place.
        kept.keep("ada", &saved("failed", "user=eve")).unwrap();
        drop(kept);
        let kept = scratch.open();
        let of_ada = [saved("all", ""), saved("failed", "user=eve")];
        assert_eq!(kept.of("ada").unwrap(), of_ada);
        assert_eq!(kept.of("../ada").unwrap(), []);
        assert!(!kept.remove("eve", &of_ada[0].id()).unwrap());
        assert!(kept.remove("ada", &of_ada[0].id()).unwrap());
        assert!(!kept.remove("ada", &of_ada[0].id()).unwrap());
        assert_eq!(kept.of("ada").unwrap(), of_ada[1..]);
        kept.forget("ada").unwrap();
        assert_eq!(kept.of("ada").unwrap(), []);
    }

    #[test]
    fn what_is_no_search_and_what_is_too_much_is_refused() {
        let scratch = Scratch::new("bounds");
        let kept = scratch.open();
        let long = "x".repeat(SAVED_QUERY_BYTES_MAX + 1);
        for query in ["a b", "a#b", "a<b", "ä", "\u{1b}[2J", "a?b", long.as_str()] {
            let refused = kept.keep("ada", &saved("x", query)).unwrap_err();
            assert!(refused.to_string().contains("query:"), "{query}: {refused}");
        }
        let long = "ä".repeat(SAVED_NAME_CHARS_MAX + 1);
        for name in ["", " ", " x", "x\n", "\u{1b}", long.as_str()] {
            let refused = kept.keep("ada", &saved(name, "")).unwrap_err();
            assert!(refused.to_string().contains("name:"), "{name}: {refused}");
        }
        let elsewhere = Saved {
            page: "../users".to_owned(),
            ..saved("x", "")
        };
        assert!(matches!(
            kept.keep("ada", &elsewhere),
            Err(Failure::Malformed(_))
        ));
        for n in 0..SAVED_MAX {
            kept.keep("ada", &saved(&format!("search {n}"), ""))
                .unwrap();
        }
        let full = kept.keep("ada", &saved("one more", ""));
        assert!(matches!(full, Err(Failure::Conflict(_))), "{full:?}");
        // One that is there can be put again, and another user has room.
        kept.keep("ada", &saved("search 3", "user=eve")).unwrap();
        kept.keep("eve", &saved("one", "")).unwrap();
    }

    #[test]
    fn a_damaged_file_is_told_and_is_nobody_elses() {
        let scratch = Scratch::new("damaged");
        let kept = scratch.open();
        kept.keep("ada", &saved("x", "")).unwrap();
        // A file that was moved to another user's name is not believed.
        fs::copy(kept.path("ada"), kept.path("eve")).unwrap();
        assert!(matches!(kept.of("eve"), Err(Failure::Refused(_))));
        fs::write(kept.path("ada"), "{").unwrap();
        let told = kept.of("ada").unwrap_err().to_string();
        assert!(
            told.contains(".json") && told.contains("remove it"),
            "{told}"
        );
    }
}
