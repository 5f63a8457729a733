//! The programs in the kernel: loaded, fitted to this kernel, attached.
//!
//! What a kernel can do is found by trying, never from its version: distributions add and leave out.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::{FuncProto, Typedef};
use libbpf_rs::{ErrorKind, Link, MapCore as _, MapHandle, Object, ObjectBuilder, OpenObject};

use super::doors;
use super::left_out::Found;
use super::living;
use super::pins;
use super::{Config, RING_BYTES_MAX, RING_BYTES_MIN, Unsupported};

/// `ebpf/host.bpf.c`, compiled. `make ebpf` makes it again, and CI compares.
static OBJECT: &[u8] = include_bytes!("../../../../ebpf/host.bpf.o");

/// Programs that the object has: of two of these one is left out, as the kernel has it.
const RING_REQUEST: &str = "on_ring_request";
const RING_ENTRY: &str = "on_ring_entry";
const RING_ANSWER: &str = "on_ring_answer";
const RING_RESULT: &str = "on_ring_result";

/// What the names of those begin with that look at the kernel's own functions, which not every
/// kernel allows.
const RESOLVING: &str = "on_path_";

/// What a type of BTF says of io_uring's answer takes where it is handed over whole: with what the
/// program itself is given, four things.
const ANSWER_PARAMETERS: usize = 4;

/// Drafts of each processor, as in `ebpf/host.bpf.c`.
const DRAFTS: u32 = 6;

/// The number of the first pid namespace.
const INITIAL_PID_NS: u32 = 0xefff_fffc;

/// Where a kernel says how its structures are laid out.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// What this kernel can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Support {
    /// How it is looked at, in a word.
    pub backend: &'static str,
    /// What is not seen here that is seen elsewhere.
    pub missing: Vec<Missing>,
}

/// Something that is not seen on this kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// What programs do through io_uring.
    Rings,
    /// What they are answered there.
    Answers,
    /// Which file a call is about whose path has links or `..` in it, where the call opens none.
    Resolved,
}

impl Missing {
    /// Something is done that nobody is told of; else less is known of what is told.
    #[must_use]
    pub fn is_unseen(self) -> bool {
        self == Self::Rings
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rings => "what programs do through io_uring",
            Self::Answers => "what io_uring answers",
            Self::Resolved => {
                "where links lead in the paths of files that are removed, renamed or changed"
            }
        })
    }
}

/// The programs, attached while this lives.
pub(super) struct Loaded {
    pub(super) support: Support,
    pub(super) maps: Maps,
    /// The tags of tasks are by their numbers.
    pub(super) by_number: bool,
    /// Paths and programs that were to be left out and are not there.
    pub(super) absent: Vec<PathBuf>,
    /// What says whose tasks there are.
    pub(super) living: Option<Link>,
    // Links go before what they are of. Where the last daemon's programs stayed there are none.
    links: Vec<Link>,
    object: Option<Object>,
}

/// What the reader shares with the programs.
pub(super) struct Maps {
    /// Records on their way.
    pub(super) records: MapHandle,
    /// Sessions that are recorded, and which switches are on.
    pub(super) sessions: MapHandle,
    /// What each has lost.
    pub(super) losses: MapHandle,
    /// The tags of tasks: by descriptors of processes, or by their numbers.
    pub(super) tags: MapHandle,
    /// Logins that were found.
    pub(super) arrivals: MapHandle,
    /// Whose the tags are, for the next daemon.
    pub(super) owners: MapHandle,
    /// What the programs call that of the tags.
    name_of_tags: &'static str,
}

impl Loaded {
    /// Whether these are the last daemon's.
    pub(super) fn has_stayed(&self) -> bool {
        self.object.is_none()
    }
}

impl Maps {
    /// Each by its name.
    pub(super) fn find(
        tags: &'static str,
        get: impl Fn(&str) -> libbpf_rs::Result<MapHandle>,
    ) -> libbpf_rs::Result<Self> {
        Ok(Self {
            records: get("records")?,
            sessions: get("sessions")?,
            losses: get("losses")?,
            tags: get(tags)?,
            arrivals: get("arrivals")?,
            owners: get("owners")?,
            name_of_tags: tags,
        })
    }

    /// Each with its name.
    pub(super) fn named(&mut self) -> [(&'static str, &mut MapHandle); 6] {
        [
            ("records", &mut self.records),
            ("sessions", &mut self.sessions),
            ("losses", &mut self.losses),
            (self.name_of_tags, &mut self.tags),
            ("arrivals", &mut self.arrivals),
            ("owners", &mut self.owners),
        ]
    }
}

/// What this kernel can do; tries it, and leaves nothing behind.
///
/// # Errors
/// Why it cannot.
pub fn support() -> Result<Support, Unsupported> {
    load(&Config::default()).map(|loaded| loaded.support)
}

/// A way to fit the programs to a kernel.
#[derive(Debug, Clone, Copy)]
struct Fit {
    /// With those that look at the kernel's own functions.
    resolves: bool,
    /// Without what the kernel keeps beside each task.
    by_number: bool,
}

/// Loads and attaches everything: in the first way that this kernel takes, the best one first.
pub(super) fn load(config: &Config) -> Result<Loaded, Unsupported> {
    if !cfg!(target_arch = "x86_64") {
        return Err(Unsupported {
            what: "the kernel's programs exist for x86-64 alone".to_owned(),
            next: "leave capture.host out on this machine".to_owned(),
        });
    }
    if !Path::new(BTF).exists() {
        return Err(Unsupported {
            what: format!("this kernel does not say how it is laid out ({BTF} is not there)"),
            next: "use a kernel with CONFIG_DEBUG_INFO_BTF, as Debian 12, RHEL 9 and later have"
                .to_owned(),
        });
    }
    // What libbpf has to say stands in the errors; it does not write between other programs' lines.
    libbpf_rs::set_print(None);
    let left_out = config.left_out.find();
    let mut why = None;
    let fits = [config.by_number, true].map(|by_number| {
        [true, false].map(|resolves| Fit {
            resolves,
            by_number,
        })
    });
    if let Some(dir) = &config.pins {
        pins::is_possible(dir)?;
        let mut left = fits.iter().flatten();
        if let Some(loaded) = left.find_map(|fit| taken_up(config, dir, &left_out, *fit)) {
            return Ok(loaded);
        }
    }
    for fit in fits.into_iter().flatten() {
        match fitted(config, &left_out, fit) {
            Ok(mut loaded) => {
                if let Some(dir) = &config.pins {
                    let says = Says::of(config, &left_out, fit, &loaded.support.missing);
                    let place = says.place(dir, config, &left_out);
                    let living = loaded.living.as_mut();
                    place.keep((&mut loaded.links, living), &mut loaded.maps)?;
                }
                return Ok(loaded);
            }
            // That the plainest one failed is what has to be said.
            Err(e) if !fit.resolves && why.is_none() => why = Some(refused(&e)),
            Err(_) => {}
        }
    }
    Err(why.unwrap_or_else(|| Unsupported {
        what: "the kernel's programs were not tried".to_owned(),
        next: "report it".to_owned(),
    }))
}

fn fitted(config: &Config, left_out: &Found, fit: Fit) -> libbpf_rs::Result<Loaded> {
    // Copied, because there it begins where numbers may begin.
    let bytes = OBJECT.to_vec();
    let mut open = ObjectBuilder::default().open_memory(&bytes)?;
    let (programs, missing) = rings()?;
    for mut program in open.progs_mut() {
        let name = program.name().to_str().unwrap_or_default();
        let is_wanted = match name {
            RING_REQUEST | RING_ENTRY | RING_ANSWER | RING_RESULT => programs.contains(&name),
            living::PROGRAM => !fit.by_number,
            name => fit.resolves || !name.starts_with(RESOLVING),
        };
        program.set_autoload(is_wanted);
    }
    let says = Says::of(config, left_out, fit, &missing);
    sizes(&mut open, ring_bytes(config), says)?;
    let object = open.load()?;
    left_out.put(&map(&object, "left_out")?)?;
    doors::put(&config.logins, &map(&object, "doors")?)?;
    let links = attach(&object)?;
    Ok(Loaded {
        maps: Maps::find(tags(fit), |name| map(&object, name))?,
        by_number: fit.by_number,
        absent: left_out.absent.clone(),
        support: fit.support(missing),
        living: living::attach(&object)?,
        links,
        object: Some(object),
    })
}

/// The programs that the last daemon left, if they are those that this one would load.
fn taken_up(config: &Config, dir: &Path, left_out: &Found, fit: Fit) -> Option<Loaded> {
    let (_, missing) = rings().ok()?;
    let place = Says::of(config, left_out, fit, &missing).place(dir, config, left_out);
    Some(Loaded {
        maps: place.left(tags(fit))?,
        by_number: fit.by_number,
        absent: left_out.absent.clone(),
        support: fit.support(missing),
        living: place.left_living(),
        links: Vec::new(),
        object: None,
    })
}

impl Fit {
    /// What it can do on a kernel whose io_uring lacks these.
    fn support(self, mut missing: Vec<Missing>) -> Support {
        if !self.resolves {
            missing.push(Missing::Resolved);
        }
        Support {
            backend: match self.resolves {
                true => "tracepoints and functions",
                false => "tracepoints",
            },
            missing,
        }
    }
}

/// The map that the tags are in.
fn tags(fit: Fit) -> &'static str {
    match fit.by_number {
        true => "numbered_tags",
        false => "tags",
    }
}

/// Programs that look at io_uring, as this kernel has it, and what is not seen.
fn rings() -> libbpf_rs::Result<(Vec<&'static str>, Vec<Missing>)> {
    let btf = Btf::from_vmlinux()?;
    let traced = |name: &str| btf.type_by_name::<Typedef<'_>>(name);
    let mut programs = Vec::new();
    if traced("btf_trace_io_uring_submit_req").is_some() {
        programs.push(RING_REQUEST);
    } else if traced("btf_trace_io_uring_submit_sqe").is_some() {
        programs.push(RING_ENTRY);
    } else {
        return Ok((programs, vec![Missing::Rings, Missing::Answers]));
    }
    let answer = traced("btf_trace_io_uring_complete").and_then(|traced| traced.next_type());
    let answer = answer.and_then(|pointer| pointer.next_type());
    let parameters = answer.and_then(|proto| FuncProto::try_from(proto).ok());
    match parameters.map(|proto| proto.len()) {
        Some(ANSWER_PARAMETERS) => programs.push(RING_ANSWER),
        Some(more) if more > ANSWER_PARAMETERS => programs.push(RING_RESULT),
        _ => return Ok((programs, vec![Missing::Answers])),
    }
    Ok((programs, Vec::new()))
}

/// What the programs are told before they are loaded: `struct reader` of `ebpf/record.h`.
struct Says {
    fit: Fit,
    left_out: u32,
    logins: u32,
    answers: bool,
}

impl Says {
    fn of(config: &Config, left_out: &Found, fit: Fit, missing: &[Missing]) -> Self {
        Self {
            fit,
            left_out: left_out.bits,
            logins: doors::switches(config),
            answers: !missing.contains(&Missing::Answers),
        }
    }

    /// In the order of the structure.
    fn bytes(&self) -> Vec<u8> {
        let said = [
            own_pid_namespace().unwrap_or(INITIAL_PID_NS),
            u32::from(self.fit.by_number),
            self.left_out,
            u32::from(self.answers),
            self.logins,
        ];
        said.map(u32::to_ne_bytes).concat()
    }

    /// Where programs that were told this, and this in their maps, are pinned.
    fn place(&self, dir: &Path, config: &Config, left_out: &Found) -> pins::Place {
        let doors = config.logins.join("\n");
        let told = [
            OBJECT,
            &[u8::from(self.fit.resolves)],
            &self.bytes(),
            &ring_bytes(config).to_ne_bytes(),
            &left_out.identities(),
            doors.as_bytes(),
        ];
        pins::Place::new(dir, &told)
    }
}

/// The size of the ring.
fn ring_bytes(config: &Config) -> u32 {
    config
        .ring_bytes
        .clamp(RING_BYTES_MIN, RING_BYTES_MAX)
        .next_power_of_two()
}

/// What only this machine knows.
fn sizes(open: &mut OpenObject, ring_bytes: u32, says: Says) -> libbpf_rs::Result<()> {
    let processors = u32::try_from(libbpf_rs::num_possible_cpus()?).unwrap_or(u32::MAX);
    for mut map in open.maps_mut() {
        match map.name().to_str() {
            Some("drafts") => map.set_max_entries(processors.saturating_mul(DRAFTS))?,
            Some("records") => map.set_max_entries(ring_bytes)?,
            // A kernel need not have the kind of map that is not used.
            Some(name @ ("tags" | "numbered_tags")) => {
                map.set_autocreate(name == tags(says.fit))?
            }
            Some(".rodata.reader") => {
                map.set_initial_value(&says.bytes())?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The kernel's number of our pid namespace: processes are told of by the numbers they have there.
fn own_pid_namespace() -> Option<u32> {
    let inode = std::fs::metadata("/proc/self/ns/pid").ok()?.ino();
    u32::try_from(inode).ok()
}

fn attach(object: &Object) -> libbpf_rs::Result<Vec<Link>> {
    let programs = object.progs_mut();
    // One that was left out is not loaded and cannot be attached.
    let programs =
        programs.filter(|program| program.autoload() && program.name() != living::PROGRAM);
    programs.map(|program| program.attach_trace()).collect()
}

fn map(object: &Object, name: &str) -> libbpf_rs::Result<MapHandle> {
    let found = object.maps().find(|map| map.name() == name);
    let found =
        found.ok_or_else(|| libbpf_rs::Error::from(std::io::Error::from_raw_os_error(2)))?;
    MapHandle::try_from(&found)
}

fn refused(error: &libbpf_rs::Error) -> Unsupported {
    let may = error.kind() == ErrorKind::PermissionDenied;
    let what = match may {
        true => format!("the kernel does not let this process load its programs ({error})"),
        false => format!("the kernel does not take its programs ({error})"),
    };
    let next = match may {
        true => {
            "run as root or with CAP_BPF and CAP_PERFMON; a kernel locked down to \
             `confidentiality` never does"
        }
        false => "use a kernel from 5.17 on; docs/host-events.md says which were tried",
    };
    Unsupported {
        what,
        next: next.to_owned(),
    }
}
