//! What is measured, under fixed names and in base units.
//!
//! [`Measure`] is the list; `docs/operations.md` has it as a table, and a test compares them. Most
//! measures are read when somebody asks, with a closure of whoever knows, so that nothing is counted
//! twice. Labels are the names of our own things (disks, roles), never of users, sessions or hosts:
//! those are in the event log, and their number has no bound.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

pub mod serve;

/// Most series of one measure; one more is not measured.
pub const SERIES_MAX: usize = 16;

/// Shortest sync that has a bucket of its own, seconds. Each next bucket is twice as long, up to
/// 6.5 s.
const SYNC_BUCKET_FIRST: f64 = 0.0001;

/// How many buckets of syncs.
const SYNC_BUCKETS: u16 = 17;

/// How a measure behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Goes up and down.
    Gauge,
    /// Only goes up, from 0 at the start of the process.
    Counter,
}

/// The unit of a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A number of things.
    Things,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// Declares the measures.
macro_rules! measures {
    ($($name:ident: $text:literal, $behaviour:ident, $of:ident, $help:literal;)+) => {
        /// Everything that is measured, but for the times of syncs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Measure {
            $(#[doc = $help] $name,)+
        }

        impl Measure {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            fn row(self) -> (&'static str, Behaviour, Of, &'static str) {
                match self {
                    $(Self::$name => ($text, Behaviour::$behaviour, Of::$of, $help),)+
                }
            }
        }
    };
}

measures! {
    SpoolBytes: "spool", Gauge, Bytes, "Bytes of the spool's files.";
    SpoolBytesMax: "spool_max", Gauge, Bytes, "Bytes that the spool's files may have.";
    SpoolParts: "spool_parts", Gauge, Things, "Parts in the spool that nobody has for good yet.";
    ArchiveWaitsBytes: "archive_waits", Gauge, Bytes, "Bytes of segments that wait in packs.";
    ArchiveWaits: "archive_waits_segments", Gauge, Things, "Segments that wait in packs.";
    SettleLag: "settle_lag", Gauge, Seconds, "Age of the oldest sealed segment that is not archived yet.";
    ProjectionLag: "projection_lag_segments", Gauge, Things, "Archived segments without rows yet, of those of this process.";
    Hosts: "hosts_connected", Gauge, Things, "Hosts that are connected.";
    Sessions: "sessions_live", Gauge, Things, "Sessions that something is known of and that are not over.";
    Events: "events", Counter, Things, "Events that were told to the event log.";
    Gaps: "gaps", Counter, Things, "Gaps in recordings: something was not recorded, and the recording says so.";
    Conflicts: "conflicts", Counter, Things, "Alarms about parts: forks, replays, second writers, damage.";
    Quarantined: "quarantined", Counter, Things, "Sessions that were put aside.";
    Damage: "spool_damage", Counter, Things, "Places in the spool that the disk has damaged.";
    ForwardLag: "forward_lag", Gauge, Seconds, "Age of the oldest part that the service has not received.";
    ForwardConnected: "forward_connected", Gauge, Things, "1 while the service is connected, 0 while it is not.";
    ForwardConnects: "forward_connects", Counter, Things, "Connections to the service that were made.";
    FactsLeftOut: "facts_left_out", Counter, Things, "Facts about the daemon that found no room on their way into its own recording.";
    DiskFree: "disk_free", Gauge, Bytes, "Bytes that are free for the daemon, by disk.";
    DiskInodesFree: "disk_inodes_free", Gauge, Things, "Inodes that are free for the daemon, by disk.";
    Fullness: "fullness", Gauge, Things, "How full something is: 0 fine, 1 from 75 %, 2 from 90 %, 3 from 99 %.";
    TlogWritten: "tlog_messages_written", Counter, Things, "Messages of tlog that were written (export.tlog).";
    TlogDropped: "tlog_messages_dropped", Counter, Things, "Messages of tlog that were left out over their limit; the recordings have what was in them.";
    HostEvents: "host_events", Counter, Things, "Host events that the kernel handed over (capture.host).";
    HostEventsLost: "host_events_lost", Counter, Things, "Host events that it could not hand over, or nobody could read; the recordings have gaps.";
    HostSessions: "host_sessions", Gauge, Things, "Sessions whose processes are watched in the kernel.";
    LogSuppressed: "log_lines_withheld", Counter, Things, "Lines of the log that were withheld because they came too often.";
    LogUnwritten: "log_lines_unwritten", Counter, Things, "Lines of the log that could not be written.";
}

impl Measure {
    /// The name as Prometheus shows it.
    #[must_use]
    pub fn name(self) -> String {
        let (name, behaviour, of, _) = self.row();
        let unit = match of {
            Of::Things => "",
            Of::Bytes => "_bytes",
            Of::Seconds => "_seconds",
        };
        let total = match behaviour {
            Behaviour::Gauge => "",
            Behaviour::Counter => "_total",
        };
        format!("{PREFIX}_{name}{unit}{total}")
    }
}

/// Begins every name.
const PREFIX: &str = "hansard";

/// The name of the times of syncs.
const SYNC: &str = "sync";

const SYNC_HELP: &str = "How long the spool's syncs to disk took.";

/// A name and a value of a series' label.
pub type Label = (&'static str, String);

/// Answers the present value.
type Read = Box<dyn Fn() -> f64 + Send + Sync>;

/// What is measured here. Filled while the daemon is put together, then asked.
pub struct Metrics {
    series: BTreeMap<Measure, Vec<(Vec<Label>, Read)>>,
    sync_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let buckets = exponential_buckets(SYNC_BUCKET_FIRST, 2.0, SYNC_BUCKETS);
        Self {
            series: BTreeMap::new(),
            sync_seconds: Histogram::new(buckets),
        }
    }
}

impl Metrics {
    /// Reads a measure with this closure, on a thread that may block, but not for long.
    pub fn read(&mut self, measure: Measure, read: impl Fn() -> f64 + Send + Sync + 'static) {
        self.read_labelled(measure, Vec::new(), read);
    }

    /// The same, for one of several series.
    pub fn read_labelled(
        &mut self,
        measure: Measure,
        labels: Vec<Label>,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        let series = self.series.entry(measure).or_default();
        if series.len() < SERIES_MAX {
            series.push((labels, Box::new(read)));
        }
    }

    /// Where the times of syncs are told, in seconds.
    #[must_use]
    pub fn sync_seconds(&self) -> Histogram {
        self.sync_seconds.clone()
    }

    /// Makes it ready to be asked.
    #[must_use]
    pub fn finish(self) -> Exposition {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_with_unit(
            SYNC,
            SYNC_HELP.trim_end_matches('.'),
            Unit::Seconds,
            self.sync_seconds,
        );
        for (measure, series) in self.series {
            let (name, behaviour, of, help) = measure.row();
            let series = Series { behaviour, series };
            // The library ends the sentence itself.
            let help = help.trim_end_matches('.');
            match of {
                Of::Things => registry.register(name, help, series),
                Of::Bytes => registry.register_with_unit(name, help, Unit::Bytes, series),
                Of::Seconds => registry.register_with_unit(name, help, Unit::Seconds, series),
            }
        }
        Exposition(registry)
    }
}

/// Everything that is measured, as text.
pub struct Exposition(Registry);

impl Exposition {
    /// In the text format of OpenMetrics 1.0, which Prometheus reads.
    ///
    /// # Errors
    /// None that a string can have.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        Ok(text)
    }
}

/// A measure in the registry.
struct Series {
    behaviour: Behaviour,
    series: Vec<(Vec<Label>, Read)>,
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.behaviour)
    }
}

impl Series {
    fn one(&self, encoder: &mut MetricEncoder<'_>, value: f64) -> fmt::Result {
        match self.behaviour {
            Behaviour::Gauge => encoder.encode_gauge(&value),
            Behaviour::Counter => encoder.encode_counter::<NoLabelSet, f64, f64>(&value, None),
        }
    }
}

impl EncodeMetric for Series {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, read) in &self.series {
            match labels.is_empty() {
                true => self.one(&mut encoder, read())?,
                false => self.one(&mut encoder.encode_family(labels)?, read())?,
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        match self.behaviour {
            Behaviour::Gauge => MetricType::Gauge,
            Behaviour::Counter => MetricType::Counter,
        }
    }
}

/// The table of `docs/operations.md`.
#[must_use]
pub fn table() -> String {
    let mut out = String::from("| metric | kind | what it is |\n|---|---|---|\n");
    for measure in Measure::ALL {
        let (_, behaviour, _, help) = measure.row();
        let kind = match behaviour {
            Behaviour::Gauge => "gauge",
            Behaviour::Counter => "counter",
        };
        let _ = writeln!(out, "| `{}` | {kind} | {help} |", measure.name());
    }
    let _ = writeln!(
        out,
        "| `{PREFIX}_{SYNC}_seconds` | histogram | {SYNC_HELP} |"
    );
    out
}
