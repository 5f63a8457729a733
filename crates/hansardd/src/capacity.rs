//! How full the disks and the spool are, and who is told when they get fuller.
//!
//! A [`Gauge`] is one thing that can be full: the bytes or the inodes of a file system, or the
//! spool's own bound. It is told fillings and answers crossings: up at 75, 90 and 99 %, down again
//! 5 % below, so that something that hovers at a mark is told once.

use std::io;
use std::path::{Path, PathBuf};

/// Percent at which somebody should look.
pub const WARNING_PERCENT: u8 = 75;
/// Percent at which somebody must act.
pub const CRITICAL_PERCENT: u8 = 90;
/// Percent that count as full: what is left is too little for one pack on most disks.
pub const FULL_PERCENT: u8 = 99;
/// Percent below a mark at which it is left again.
pub const HYSTERESIS_PERCENT: u8 = 5;

/// How full something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fullness {
    /// Below every mark.
    Fine,
    /// At [`WARNING_PERCENT`] or above.
    Warning,
    /// At [`CRITICAL_PERCENT`] or above.
    Critical,
    /// At [`FULL_PERCENT`] or above.
    Full,
}

impl Fullness {
    const MARKS: [(Self, u8); 3] = [
        (Self::Full, FULL_PERCENT),
        (Self::Critical, CRITICAL_PERCENT),
        (Self::Warning, WARNING_PERCENT),
    ];

    fn at(percent: u8) -> Self {
        let mark = Self::MARKS.into_iter().find(|(_, mark)| percent >= *mark);
        mark.map_or(Self::Fine, |(fullness, _)| fullness)
    }

    /// The word in events and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "normal",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Full => "full",
        }
    }
}

/// So much of something is used, and so much can still be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filling {
    /// Used.
    pub used: u64,
    /// Free for us: what is reserved for root is not.
    pub free: u64,
}

impl Filling {
    /// Percent used, rounded up, as df(1) does. Nothing at all (a file system without inodes of its
    /// own) is never full.
    #[must_use]
    pub fn percent(self) -> u8 {
        let (used, free) = (u128::from(self.used), u128::from(self.free));
        let percent = match used + free {
            0 => 0,
            all => (used * 100).div_ceil(all),
        };
        u8::try_from(percent).unwrap_or(100)
    }
}

/// Bytes and inodes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Bytes.
    pub bytes: Filling,
    /// Inodes.
    pub inodes: Filling,
}

/// Asks the system about the file system of this path.
///
/// # Errors
/// What the system says.
pub fn disk_of(path: &Path) -> io::Result<Disk> {
    let disk = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Ok(Disk {
        bytes: Filling {
            used: bytes(disk.f_blocks.saturating_sub(disk.f_bfree)),
            free: bytes(disk.f_bavail),
        },
        inodes: Filling {
            used: disk.f_files.saturating_sub(disk.f_ffree),
            free: disk.f_favail,
        },
    })
}

/// Something got fuller, or less full, past a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// What: `spool`, `data disk bytes`, `data disk inodes`.
    pub what: String,
    /// How full it was.
    pub before: Fullness,
    /// How full it is.
    pub now: Fullness,
    /// Exactly.
    pub filling: Filling,
}

impl Crossing {
    /// Whether it is worse than before.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        self.now > self.before
    }
}

/// One thing that can be full.
#[derive(Debug, Clone)]
struct Gauge {
    what: String,
    fullness: Fullness,
}

impl Gauge {
    fn new(what: String) -> Self {
        Self {
            what,
            fullness: Fullness::Fine,
        }
    }

    fn take(&mut self, filling: Filling) -> Option<Crossing> {
        let percent = filling.percent();
        let now = match Fullness::at(percent) {
            // Upwards at once; downwards only when it would be lower even a little fuller.
            now if now >= self.fullness => now,
            _ => Fullness::at(percent.saturating_add(HYSTERESIS_PERCENT)).min(self.fullness),
        };
        let before = std::mem::replace(&mut self.fullness, now);
        (now != before).then(|| Crossing {
            what: self.what.clone(),
            before,
            now,
            filling,
        })
    }
}

/// Asks how full something is; injected, so that a test can fill a disk.
pub type Probe<T> = Box<dyn Fn() -> io::Result<T> + Send>;

/// Watches file systems and spool. Call [`Watch::look`] now and then, from any thread.
#[derive(Default)]
pub struct Watch {
    disks: Vec<(String, PathBuf, Probe<Disk>, Gauge, Gauge)>,
    bounds: Vec<(Probe<Filling>, Gauge)>,
}

/// What one look found.
#[derive(Debug, Default)]
pub struct Look {
    /// Marks that were passed, to be told as events.
    pub crossings: Vec<Crossing>,
    /// What could not be asked, and why.
    pub failures: Vec<(String, io::Error)>,
    /// Each disk that answered, by its name.
    pub free: Vec<(String, Disk)>,
}

impl Watch {
    /// Watches a file system, called `name`; asked with `probe`.
    pub fn disk(&mut self, name: &str, path: &Path, probe: Probe<Disk>) {
        let (bytes, inodes) = (format!("{name} bytes"), format!("{name} inodes"));
        let gauges = (Gauge::new(bytes), Gauge::new(inodes));
        let (name, path) = (name.to_owned(), path.to_owned());
        self.disks.push((name, path, probe, gauges.0, gauges.1));
    }

    /// Watches something with a bound of its own, called `name`.
    pub fn bound(&mut self, name: &str, probe: Probe<Filling>) {
        self.bounds.push((probe, Gauge::new(name.to_owned())));
    }

    /// Asks once.
    pub fn look(&mut self) -> Look {
        let mut look = Look::default();
        for (name, path, probe, bytes, inodes) in &mut self.disks {
            match probe() {
                Ok(disk) => {
                    look.crossings.extend(bytes.take(disk.bytes));
                    look.crossings.extend(inodes.take(disk.inodes));
                    look.free.push((name.clone(), disk));
                }
                Err(e) => look.failures.push((path.display().to_string(), e)),
            }
        }
        for (probe, gauge) in &mut self.bounds {
            match probe() {
                Ok(filling) => look.crossings.extend(gauge.take(filling)),
                Err(e) => look.failures.push((gauge.what.clone(), e)),
            }
        }
        look
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn filling(percent: u64) -> Filling {
        Filling {
            used: percent,
            free: 100 - percent,
        }
    }

    fn run(percents: &[u64]) -> Vec<(u64, &'static str)> {
        let mut gauge = Gauge::new("spool".into());
        let take = |p: &u64| gauge.take(filling(*p)).map(|c| (*p, c.now.as_str()));
        percents.iter().filter_map(take).collect()
    }

    #[test]
    fn each_mark_is_told_once_on_the_way_up() {
        let all: Vec<u64> = (0..=100).collect();
        assert_eq!(run(&all), [(75, "warning"), (90, "critical"), (99, "full")]);
    }

    #[test]
    fn and_left_five_percent_below() {
        let all: Vec<u64> = (0..=100).rev().collect();
        assert_eq!(
            run(&all),
            [
                (100, "full"),
                (93, "critical"),
                (84, "warning"),
                (69, "normal")
            ]
        );
    }

    #[test]
    fn hovering_at_a_mark_is_told_once() {
        let hovering: Vec<u64> = (0..100).map(|i| 73 + i % 4).collect();
        assert_eq!(run(&hovering), [(75, "warning")]);
        assert_eq!(run(&[10, 100, 10]), [(100, "full"), (10, "normal")]);
    }

    #[test]
    fn percents_of_extremes() {
        let percent = |used, free| Filling { used, free }.percent();
        assert_eq!(percent(0, 0), 0);
        assert_eq!(percent(u64::MAX, 0), 100);
        assert_eq!(percent(u64::MAX, u64::MAX), 50);
        assert_eq!(percent(1, u64::MAX), 1);
        assert_eq!(percent(0, 5), 0);
    }

    #[test]
    fn bytes_inodes_and_bounds_are_watched_apart() {
        let disk = Arc::new(Mutex::new(Ok::<_, io::ErrorKind>((10, 10))));
        let spool = Arc::new(Mutex::new(10));
        let mut watch = Watch::default();
        let (asked, bound) = (disk.clone(), spool.clone());
        let probe = move || {
            let (bytes, inodes) = (*asked.lock().unwrap()).map_err(io::Error::from)?;
            Ok(Disk {
                bytes: filling(bytes),
                inodes: filling(inodes),
            })
        };
        watch.disk("data disk", Path::new("/data"), Box::new(probe));
        watch.bound(
            "spool",
            Box::new(move || Ok(filling(*bound.lock().unwrap()))),
        );
        assert_eq!(watch.look().crossings, []);
        *disk.lock().unwrap() = Ok((95, 10));
        *spool.lock().unwrap() = 80;
        let told = |look: Look| -> Vec<String> {
            let told = |c: &Crossing| format!("{} {}", c.what, c.now.as_str());
            look.crossings.iter().map(told).collect()
        };
        assert_eq!(
            told(watch.look()),
            ["data disk bytes critical", "spool warning"]
        );
        *disk.lock().unwrap() = Ok((95, 100));
        assert_eq!(told(watch.look()), ["data disk inodes full"]);
        *disk.lock().unwrap() = Err(io::ErrorKind::PermissionDenied);
        *spool.lock().unwrap() = 0;
        let look = watch.look();
        assert_eq!(look.failures.len(), 1);
        assert_eq!(
            told(look),
            ["spool normal"],
            "one that cannot be asked hides no other"
        );
    }

    #[test]
    fn the_system_answers() {
        let disk = disk_of(&std::env::temp_dir()).unwrap();
        assert!(disk.bytes.used + disk.bytes.free > 0);
        assert!(disk_of(Path::new("/no/such/place")).is_err());
    }
}
