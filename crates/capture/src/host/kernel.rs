//! The programs in the kernel: loaded, fitted to this kernel, attached.
//!
//! What a kernel can do is found by trying, never from its version: distributions add and leave out.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::{FuncProto, Typedef};
use libbpf_rs::{ErrorKind, Link, MapCore as _, MapHandle, Object, ObjectBuilder, OpenObject};

use super::arrivals;
use super::left_out::Found;
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
    /// Records on their way.
    pub(super) records: MapHandle,
    /// Sessions that are recorded, and which switches are on.
    pub(super) sessions: MapHandle,
    /// What each has lost.
    pub(super) losses: MapHandle,
    /// The tags of tasks: by descriptors of processes, or by their numbers.
    pub(super) tags: MapHandle,
    pub(super) by_number: bool,
    /// Logins that were found.
    pub(super) arrivals: MapHandle,
    /// Paths and programs that were to be left out and are not there.
    pub(super) absent: Vec<PathBuf>,
    // Links go before what they are of.
    _links: Vec<Link>,
    _object: Object,
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
    for by_number in [config.by_number, true] {
        for resolves in [true, false] {
            let fit = Fit {
                resolves,
                by_number,
            };
            match fitted(config, &left_out, fit) {
                Ok(loaded) => return Ok(loaded),
                // That the plainest one failed is what has to be said.
                Err(e) if !resolves && why.is_none() => why = Some(refused(&e)),
                Err(_) => {}
            }
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
    let (programs, mut missing) = rings()?;
    for mut program in open.progs_mut() {
        let name = program.name().to_str().unwrap_or_default();
        let is_wanted = match name {
            RING_REQUEST | RING_ENTRY | RING_ANSWER | RING_RESULT => programs.contains(&name),
            name => fit.resolves || !name.starts_with(RESOLVING),
        };
        program.set_autoload(is_wanted);
    }
    let says = Says {
        fit,
        left_out: left_out.bits,
        logins: arrivals::switches(config),
        answers: !missing.contains(&Missing::Answers),
    };
    sizes(&mut open, config.ring_bytes, says)?;
    let object = open.load()?;
    left_out.put(&map(&object, "left_out")?)?;
    arrivals::put(&config.logins, &map(&object, "doors")?)?;
    let links = attach(&object)?;
    if !fit.resolves {
        missing.push(Missing::Resolved);
    }
    Ok(Loaded {
        records: map(&object, "records")?,
        sessions: map(&object, "sessions")?,
        losses: map(&object, "losses")?,
        tags: map(&object, tags(fit))?,
        arrivals: map(&object, "arrivals")?,
        by_number: fit.by_number,
        absent: left_out.absent.clone(),
        support: Support {
            backend: match fit.resolves {
                true => "tracepoints and functions",
                false => "tracepoints",
            },
            missing,
        },
        _links: links,
        _object: object,
    })
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

/// What only this machine knows.
fn sizes(open: &mut OpenObject, ring_bytes: u32, says: Says) -> libbpf_rs::Result<()> {
    let processors = u32::try_from(libbpf_rs::num_possible_cpus()?).unwrap_or(u32::MAX);
    let ring_bytes = ring_bytes
        .clamp(RING_BYTES_MIN, RING_BYTES_MAX)
        .next_power_of_two();
    for mut map in open.maps_mut() {
        match map.name().to_str() {
            Some("drafts") => map.set_max_entries(processors.saturating_mul(DRAFTS))?,
            Some("records") => map.set_max_entries(ring_bytes)?,
            // A kernel need not have the kind of map that is not used.
            Some(name @ ("tags" | "numbered_tags")) => {
                map.set_autocreate(name == tags(says.fit))?
            }
            Some(".rodata.reader") => {
                let said = [
                    own_pid_namespace().unwrap_or(INITIAL_PID_NS),
                    u32::from(says.fit.by_number),
                    says.left_out,
                    u32::from(says.answers),
                    says.logins,
                ];
                map.set_initial_value(&said.map(u32::to_ne_bytes).concat())?;
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
    let programs = programs.filter(|program| program.autoload());
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
