//! The programs in the kernel: loaded, fitted to this kernel, attached.
//!
//! What a kernel can do is found by trying, never from its version: distributions add and leave out.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::Typedef;
use libbpf_rs::{ErrorKind, Link, MapCore as _, MapHandle, Object, ObjectBuilder, OpenObject};

use super::{RING_BYTES_MAX, RING_BYTES_MIN, Unsupported};

/// `ebpf/host.bpf.c`, compiled. `make ebpf` makes it again, and CI compares.
static OBJECT: &[u8] = include_bytes!("../../../../ebpf/host.bpf.o");

/// Programs that the object has: one of these two is left out, as the kernel has it.
const RING_REQUEST: &str = "on_ring_request";
const RING_ENTRY: &str = "on_ring_entry";

/// Drafts of each processor, as in `ebpf/host.bpf.c`.
const DRAFTS: u32 = 5;

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
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rings => "what programs do through io_uring",
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
    /// The tags of tasks.
    pub(super) tags: MapHandle,
    // Links go before what they are of.
    _links: Vec<Link>,
    _object: Object,
}

/// What this kernel can do; tries it, and leaves nothing behind.
///
/// # Errors
/// Why it cannot.
pub fn support() -> Result<Support, Unsupported> {
    load(RING_BYTES_MIN).map(|loaded| loaded.support)
}

/// Loads and attaches everything.
pub(super) fn load(ring_bytes: u32) -> Result<Loaded, Unsupported> {
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
    let (object, support) = loaded(ring_bytes).map_err(|e| refused(&e))?;
    let attached = attach(&object).map_err(|e| refused(&e));
    Ok(Loaded {
        records: map(&object, "records")?,
        sessions: map(&object, "sessions")?,
        losses: map(&object, "losses")?,
        tags: map(&object, "tags")?,
        _links: attached?,
        support,
        _object: object,
    })
}

fn loaded(ring_bytes: u32) -> libbpf_rs::Result<(Object, Support)> {
    let btf = Btf::from_vmlinux()?;
    let has = |name: &str| btf.type_by_name::<Typedef<'_>>(name).is_some();
    let left_out = match has("btf_trace_io_uring_submit_req") {
        true => vec![RING_ENTRY],
        false if has("btf_trace_io_uring_submit_sqe") => vec![RING_REQUEST],
        false => vec![RING_ENTRY, RING_REQUEST],
    };
    let missing = match left_out.len() {
        2 => vec![Missing::Rings],
        _ => Vec::new(),
    };
    // Copied, because there it begins where numbers may begin.
    let bytes = OBJECT.to_vec();
    let mut open = ObjectBuilder::default().open_memory(&bytes)?;
    for mut program in open.progs_mut() {
        if left_out.iter().any(|name| program.name() == *name) {
            program.set_autoload(false);
        }
    }
    sizes(&mut open, ring_bytes)?;
    let support = Support {
        backend: "tracepoints",
        missing,
    };
    Ok((open.load()?, support))
}

/// What only this machine knows.
fn sizes(open: &mut OpenObject, ring_bytes: u32) -> libbpf_rs::Result<()> {
    let processors = u32::try_from(libbpf_rs::num_possible_cpus()?).unwrap_or(u32::MAX);
    let ring_bytes = ring_bytes
        .clamp(RING_BYTES_MIN, RING_BYTES_MAX)
        .next_power_of_two();
    for mut map in open.maps_mut() {
        match map.name().to_str() {
            Some("drafts") => map.set_max_entries(processors.saturating_mul(DRAFTS))?,
            Some("records") => map.set_max_entries(ring_bytes)?,
            Some(".rodata.reader") => {
                if let Some(namespace) = own_pid_namespace() {
                    map.set_initial_value(&namespace.to_ne_bytes())?;
                }
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

fn map(object: &Object, name: &str) -> Result<MapHandle, Unsupported> {
    let found = object.maps().find(|map| map.name() == name);
    let handle = found.and_then(|map| MapHandle::try_from(&map).ok());
    handle.ok_or_else(|| Unsupported {
        what: format!("the map `{name}` could not be had"),
        next: "report it: it stands in the object".to_owned(),
    })
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
