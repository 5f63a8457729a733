//! What is left of a simulated disk after its power went.

use crate::sim::Rng;
use crate::sim::disk::SimDisk;
use crate::sim::world::{Change, Node, apply_write};

/// How much of what was not synced survives in one file.
#[derive(Debug, Clone, Copy)]
enum Mercy {
    /// Nothing.
    None,
    /// All of it.
    All,
    /// Everything up to a moment, which may be in the middle of a write.
    Prefix,
    /// Each sector by itself, in any order.
    Scattered,
    /// The length, but none of the bytes: they read as zeros.
    LengthOnly,
}

impl SimDisk {
    /// The disk as it may be found after a loss of power at this moment: one of the states that
    /// POSIX allows, drawn by the seed.
    ///
    /// Synced bytes are there. Of the others each write may have happened, or not, or in part: torn
    /// at 512 bytes or at 4 KiB, in any order, with the length extended over bytes that never came
    /// (they read as zeros, or as what lay there before). Names that were created, removed or
    /// renamed and not synced are there or not, each by itself. Locks are gone.
    #[must_use]
    pub fn after_power_loss(&self, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let world = self.world();
        let mut names = world.durable.clone();
        for change in &world.changes {
            if rng.one_in(2) {
                change.clone().apply(&mut names);
            }
        }
        let nodes = world
            .nodes
            .iter()
            .map(|node| {
                let survived = survivors(node, &mut rng);
                Node {
                    seen: survived.clone(),
                    durable: survived,
                    changes: Vec::new(),
                }
            })
            .collect();
        drop(world);
        Self::from_world(rng, nodes, names)
    }
}

/// What survives of one file.
pub(super) fn survivors(node: &Node, rng: &mut Rng) -> Vec<u8> {
    let mut content = node.durable.clone();
    let mercy = match rng.below(8) {
        0 => Mercy::None,
        1 => Mercy::All,
        2 | 3 => Mercy::Prefix,
        4 => Mercy::LengthOnly,
        _ => Mercy::Scattered,
    };
    let sector = if rng.one_in(2) { 512 } else { 4096 };
    let kept = rng.up_to(node.changes.len());
    for (i, change) in node.changes.iter().enumerate() {
        let survives = match mercy {
            Mercy::None => false,
            Mercy::All | Mercy::LengthOnly => true,
            Mercy::Prefix if i > kept => break,
            Mercy::Prefix => true,
            Mercy::Scattered => rng.below(4) != 0,
        };
        match change {
            Change::Truncate(len) if survives => content.truncate(*len),
            Change::Truncate(_) => {}
            Change::Write { offset, bytes } => {
                let torn = matches!(mercy, Mercy::Scattered)
                    || (matches!(mercy, Mercy::Prefix) && i == kept);
                if matches!(mercy, Mercy::LengthOnly) {
                    extend(&mut content, offset.saturating_add(bytes.len()), rng);
                } else if torn {
                    tear(&mut content, *offset, bytes, sector, rng);
                } else if survives {
                    apply_write(&mut content, *offset, bytes);
                }
            }
        }
    }
    content
}

/// Applies some of a write's sectors.
fn tear(content: &mut Vec<u8>, offset: usize, bytes: &[u8], sector: usize, rng: &mut Rng) {
    let mut at = 0usize;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let begin = offset.saturating_add(at);
        let to_boundary = sector
            .saturating_sub(begin.checked_rem(sector).unwrap_or(0))
            .max(1);
        let len = to_boundary.min(rest.len());
        match rng.below(3) {
            0 => {}
            1 => extend(content, begin.saturating_add(len), rng),
            _ => apply_write(content, begin, rest.get(..len).unwrap_or_default()),
        }
        at = at.saturating_add(len);
    }
}

/// Lengthens a file over bytes that never came.
fn extend(content: &mut Vec<u8>, len: usize, rng: &mut Rng) {
    let stale = rng.one_in(4);
    while content.len() < len {
        let byte = if stale {
            rng.next_u64().to_le_bytes()[0]
        } else {
            0
        };
        content.push(byte);
    }
}
