//! Shells by account: a value of `capture.shell`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::key::{Kind, Reading, Value};
use super::quoted;
use super::tree::{Node, Tree};
use super::value::LIST_LEN_MAX;

/// Longest name of an account, bytes; a longer one is refused (useradd(8) allows 32).
const NAME_BYTES_MAX: usize = 256;

/// Shells by the names of accounts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shells(pub BTreeMap<String, PathBuf>);

impl Value for Shells {
    const KIND: Kind = Kind::Map("absolute path");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let entries = match &tree.node {
            Node::Null => &[],
            Node::Map(entries) => entries.as_slice(),
            _ => {
                let what = format!("must be a mapping of accounts; here is {}", tree.what());
                reading.wrong(tree.place, what, "write `name: /bin/shell` below it");
                return None;
            }
        };
        if entries.len() > LIST_LEN_MAX {
            let what = format!("more than {LIST_LEN_MAX} accounts");
            reading.wrong(tree.place, what, "remove some");
            return None;
        }
        let mut shells = Self::default();
        for (name, place, value) in entries {
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                let what = format!("{} is no account's name", quoted(name));
                reading.wrong(*place, what, "write the name as `getent passwd` shows it");
                continue;
            }
            let Some(path) = reading.below::<PathBuf>(name.as_str(), value) else {
                continue;
            };
            shells.0.insert(name.clone(), path);
        }
        Some(shells)
    }

    fn shown(&self) -> String {
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(name, path)| format!("{name}: {}", quoted(&path.to_string_lossy())))
            .collect();
        format!("{{{}}}", pairs.join(", "))
    }
}
