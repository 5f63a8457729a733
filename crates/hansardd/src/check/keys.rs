//! Private keys in the data directory, of which the start refuses some and makes none anew. Only who asks for
//! a check is told here: the start itself says it key by key, with a status of its own.

use std::fs;
use std::io::ErrorKind;

use crate::config::{Config, Finding};
use crate::data_dir::DataDir;
use crate::failure::shown;
use crate::{owner, private_keys};

/// The key that names where they are.
const KEY: &str = "node.data_dir";

/// What is wrong with them; nothing before there are any.
#[must_use]
pub fn findings(config: &Config) -> Vec<Finding> {
    let keys = DataDir::new(&config.node.data_dir).keys();
    if let Err(e) = fs::read_dir(&keys)
        && e.kind() == ErrorKind::PermissionDenied
    {
        let what = format!("private keys in {} could not be looked at", shown(&keys));
        return vec![Finding::warning(KEY, what, owner::denied(&keys))];
    }
    let faults = private_keys::look(&keys).faults.into_iter();
    faults
        .map(|fault| Finding::error(KEY, fault.what, fault.next))
        .collect()
}
