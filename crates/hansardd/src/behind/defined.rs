//! Which roles there are: the four, and those of the configuration in force.

use std::collections::BTreeSet;

use hansard_identity::Role;
use hansard_view::nearest;

use super::certified::Definitions;

/// What is said of a role that there is not, with those that there are.
pub(super) fn unknown(name: &str, definitions: &Definitions) -> Option<String> {
    let four = Role::ALL.map(Role::as_str);
    let definitions = definitions();
    let mut others: BTreeSet<&str> = definitions.iter().map(|one| &*one.grant.role).collect();
    if four.contains(&name) || others.contains(name) {
        return None;
    }
    let near = nearest(name, four.into_iter().chain(others.iter().copied()));
    let near = near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
    others.retain(|one| !four.contains(one));
    let others = match others.is_empty() {
        true => "access.roles of the configuration has no other".to_owned(),
        false => {
            let others: Vec<&str> = others.into_iter().collect();
            format!(
                "access.roles of the configuration has {}",
                others.join(", ")
            )
        }
    };
    let four = four.join(", ");
    Some(format!(
        "there is no role {name}{near}: there are {four}, and {others}"
    ))
}
