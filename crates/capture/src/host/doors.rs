//! What the kernel is told of programs that let people in, and what it says of logins that it could not follow.

use hansard_core::event::{Body, Fact};
use hansard_core::fields::Fields;
use hansard_core::policy::Watch;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};

use super::Config;

/// Most programs that let people in. More are refused by the configuration; the kernel's table has room
/// for 64.
pub const LOGIN_PROGRAMS_MAX: usize = 64;

/// Bytes of the name of such a program, with a zero: `DOOR_BYTES` of `ebpf/record.h`. One that is longer
/// is known by its beginning.
const DOOR_BYTES: usize = 32;

/// `LOGINS` there.
const LOGINS: u32 = 8;

/// What the kernel is told of what is wanted of such logins, before their policy is known.
pub(super) fn switches(config: &Config) -> u32 {
    match config.logins.is_empty() {
        true => 0,
        false => LOGINS | config.of(Watch::default()).bits(),
    }
}

/// Tells the kernel which programs let people in.
pub(super) fn put(programs: &[String], doors: &MapHandle) -> libbpf_rs::Result<()> {
    let yes = 1u32.to_ne_bytes();
    programs
        .iter()
        .take(LOGIN_PROGRAMS_MAX)
        .try_for_each(|name| {
            let mut door = [0; DOOR_BYTES];
            let (named, _) = door.split_at_mut(DOOR_BYTES - 1);
            for (to, from) in named.iter_mut().zip(name.bytes()) {
                *to = from;
            }
            doors.update(&door, &yes, MapFlags::ANY)
        })
}

/// How many logins the kernel could not follow: the second number of `struct arrivals`.
pub(super) fn turned_away(arrivals: &MapHandle) -> Option<u64> {
    let all = arrivals.lookup(&0u32.to_ne_bytes(), MapFlags::ANY).ok()??;
    let (_, rest) = all.split_first_chunk::<8>()?;
    rest.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

/// An alarm: so many logins are not followed.
pub(super) fn not_followed(count: u64) -> Body {
    Body::Admin(Fact {
        event: "alarm".to_owned(),
        fields: Fields::new().with("alarm", "host_events").with(
            "reason",
            format!("{count} logins without a recorder could not be followed: too much happened"),
        ),
    })
}
