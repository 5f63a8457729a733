//! From where users signed in: one small file for each of them, replaced whole and durable. Names are kept as
//! digests, addresses as the networks that attempts are counted by.

use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::hex;
use crate::limits::{PLACE_KEPT_S, PLACE_LIFE_S, PLACES_OF_ONE_MAX, PLACES_USERS_MAX};
use crate::rows::{Row, Rows};

/// A place, and when somebody signed in there last.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    network: IpAddr,
    seen_s: u64,
}

/// Those of one user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlacesRow {
    user_sha256: String,
    places: Vec<Place>,
}

impl Row for PlacesRow {
    const CALLED: (&'static str, &'static str) = ("list of places", "lists of places");
    const MAX: usize = PLACES_USERS_MAX;

    fn name(&self) -> &str {
        &self.user_sha256
    }

    fn check(&self) -> Result<(), &'static str> {
        match self.places.len() {
            1..=PLACES_OF_ONE_MAX => Ok(()),
            _ => Err("it has no places, or too many"),
        }
    }
}

impl PlacesRow {
    fn newest_s(&self) -> u64 {
        self.places
            .iter()
            .map(|place| place.seen_s)
            .max()
            .unwrap_or(0)
    }
}

/// The places of all users.
pub struct Places {
    rows: Rows<PlacesRow>,
}

impl Places {
    /// Opens those in `directory`, which is made if it is not there; and what about it cannot be read, as names
    /// and reasons.
    ///
    /// # Errors
    /// `Conflict` with more than [`PLACES_USERS_MAX`], `Retry` when the disk fails.
    pub fn open(directory: &Path) -> Result<(Self, Vec<(String, String)>), Failure> {
        let (rows, unreadable) = Rows::open(directory)?;
        Ok((Self { rows }, unreadable))
    }

    /// Whether this user signed in from there within [`PLACE_LIFE_S`]. Cheap: nothing is read from disk.
    #[must_use]
    pub fn has(&self, user: &str, network: IpAddr, utc_s: u64) -> bool {
        let known = self.rows.known();
        let mut places = known
            .get(&name(user))
            .into_iter()
            .flat_map(|row| &row.places);
        places.any(|place| place.network == network && is_late(place, utc_s))
    }

    /// This user signed in from there. What was written within [`PLACE_KEPT_S`] is not written again.
    ///
    /// # Errors
    /// `Retry` when the disk fails: it is not known then.
    pub fn seen(&self, user: &str, network: IpAddr, utc_s: u64) -> Result<(), Failure> {
        let user_sha256 = name(user);
        let _writing = self.rows.writing();
        let row = self.rows.known().get(&user_sha256).cloned();
        let mut places = row.map(|row| row.places).unwrap_or_default();
        let here = places.iter().find(|place| place.network == network);
        if here.is_some_and(|place| utc_s.abs_diff(place.seen_s) < PLACE_KEPT_S) {
            return Ok(());
        }
        places.retain(|place| place.network != network && is_late(place, utc_s));
        places.sort_by_key(|place| place.seen_s);
        let beyond = places
            .len()
            .saturating_sub(PLACES_OF_ONE_MAX.saturating_sub(1));
        places.drain(..beyond);
        let seen_s = utc_s;
        places.push(Place { network, seen_s });
        self.make_room(&user_sha256)?;
        self.rows.put(PlacesRow {
            user_sha256,
            places,
        })
    }

    /// One list goes where there is no room for that of another user: of who signed in longest ago.
    fn make_room(&self, name: &str) -> Result<(), Failure> {
        let known = self.rows.known();
        if known.contains_key(name) || known.len() < PLACES_USERS_MAX {
            return Ok(());
        }
        let oldest = known.values().min_by_key(|row| row.newest_s());
        let oldest = oldest.map(|row| row.user_sha256.clone());
        drop(known);
        oldest.map_or(Ok(()), |oldest| self.rows.remove(&oldest))
    }
}

/// A time to come counts: clocks are set back, and what it exempts from has another bound.
fn is_late(place: &Place, utc_s: u64) -> bool {
    utc_s.saturating_sub(place.seen_s) < PLACE_LIFE_S
}

fn name(user: &str) -> String {
    hex::encode(&Sha256::digest(user))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::PathBuf;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("places-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        fn open(&self) -> Places {
            Places::open(&self.0).unwrap().0
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn at(n: u32) -> IpAddr {
        IpAddr::from((0xc000_0200 + n).to_be_bytes())
    }

    #[test]
    fn a_place_is_its_users_and_known_over_a_restart_and_for_a_while() {
        let scratch = Scratch::new("kept");
        let places = scratch.open();
        places.seen("ada", at(1), 1000).unwrap();
        drop(places);
        let places = scratch.open();
        assert!(places.has("ada", at(1), 1000 + PLACE_LIFE_S - 1));
        assert!(!places.has("ada", at(1), 1000 + PLACE_LIFE_S));
        assert!(!places.has("ada", at(2), 1000) && !places.has("eve", at(1), 1000));
        // Who comes each day stays known.
        places.seen("ada", at(1), 1000 + PLACE_KEPT_S).unwrap();
        assert!(places.has("ada", at(1), 1000 + PLACE_LIFE_S));
        let file = fs::read_dir(&scratch.0).unwrap().next().unwrap().unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(file.path()).unwrap().contains("ada"));
    }

    #[test]
    fn one_user_has_so_many_and_forgets_the_oldest_of_their_own() {
        let scratch = Scratch::new("many");
        let places = scratch.open();
        places.seen("bob", at(0), 1).unwrap();
        for n in 0..40 {
            places.seen("ada", at(n), 1000 + u64::from(n)).unwrap();
        }
        let most = u32::try_from(PLACES_OF_ONE_MAX).unwrap();
        let known = (0..40).filter(|n| places.has("ada", at(*n), 2000));
        assert!(known.eq(40 - most..40));
        assert!(places.has("bob", at(0), 2000));
        drop(places);
        assert!(scratch.open().has("ada", at(39), 2000));
    }

    #[test]
    fn a_damaged_file_is_told_and_forgets_its_own_places_only() {
        let scratch = Scratch::new("damaged");
        let places = scratch.open();
        places.seen("ada", at(1), 1000).unwrap();
        places.seen("bob", at(1), 1000).unwrap();
        fs::write(places.rows.path(&name("ada")), "{").unwrap();
        drop(places);
        let (places, unreadable) = Places::open(&scratch.0).unwrap();
        assert_eq!(unreadable.len(), 1);
        assert!(places.has("bob", at(1), 1000) && !places.has("ada", at(1), 1000));
        places.seen("ada", at(1), 1000).unwrap();
        drop(places);
        assert!(scratch.open().has("ada", at(1), 1000));
    }
}
