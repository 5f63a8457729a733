//! Roles as they give access over SSH: what each gives, and what somebody is given who has some of them.

use hansard_core::access::{ACCESS_BYTES_MAX, Access, GRANTS_MAX, Grant, OWN_NAME, to_text};

use crate::failure::Failure;
use crate::limits::{SSH_LIFE_S_MAX, SSH_PRINCIPALS_MAX};
use crate::name::check_name;

/// What a role gives. Its grant's logins may have [`OWN_NAME`] in the place of the person's own name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Definition {
    /// What it gives.
    pub grant: Grant,
    /// How long a certificate with it holds at most, seconds.
    pub life_s_max: u64,
}

/// What somebody is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Given {
    /// What stands in the certificate.
    pub access: Access,
    /// How long it holds at most, seconds: the shortest of what the roles say.
    pub life_s_max: u64,
}

/// What a person of this name is given by these roles. A role that is not defined gives nothing.
///
/// # Errors
/// `Refused` when that is nothing, or more than a certificate can say.
pub fn given(definitions: &[Definition], user: &str, roles: &[&str]) -> Result<Given, Failure> {
    let mut given = Given {
        access: Access::default(),
        life_s_max: SSH_LIFE_S_MAX,
    };
    let held = definitions.iter();
    for one in held.filter(|one| roles.contains(&one.grant.role.as_str())) {
        let mut grant = one.grant.clone();
        for login in &mut grant.logins {
            if login == OWN_NAME {
                user.clone_into(login);
            }
        }
        given.life_s_max = given.life_s_max.min(one.life_s_max);
        given.access.grants.push(grant);
    }
    let logins = given.access.logins().len();
    let refused = |what: String| Err(Failure::Refused(what));
    if logins == 0 {
        return refused(format!(
            "none of the roles of {user} ({}) lets into any account",
            roles.join(", ")
        ));
    }
    if logins > SSH_PRINCIPALS_MAX || given.access.grants.len() > GRANTS_MAX {
        return refused(format!(
            "the roles of {user} give {logins} accounts, and a certificate names at most {SSH_PRINCIPALS_MAX}"
        ));
    }
    match to_text(&given.access) {
        Ok(_) => Ok(given),
        Err(_) => refused(format!(
            "what the roles of {user} give is longer than a certificate takes ({ACCESS_BYTES_MAX} bytes)"
        )),
    }
}

/// Whether a role may have this name.
///
/// # Errors
/// `Malformed`, in words for who chose it.
pub fn check_role_name(name: &str) -> Result<(), Failure> {
    check_name(name).map_err(|e| Failure::Malformed(format!("a role: {e}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hansard_core::ChannelKind;

    use super::*;

    fn role(name: &str, logins: &[&str], life_s_max: u64) -> Definition {
        Definition {
            grant: Grant {
                role: name.to_owned(),
                logins: logins.iter().map(|login| (*login).to_owned()).collect(),
                hosts: BTreeMap::from([("*".to_owned(), vec!["*".to_owned()])]),
                channels: vec![ChannelKind::Shell],
                ..Grant::default()
            },
            life_s_max,
        }
    }

    #[test]
    fn roles_that_somebody_has_are_given_and_no_others() {
        let all = [
            role("ops", &["deploy", OWN_NAME], 3600),
            role("user", &[OWN_NAME], 28_800),
            role("root", &["root"], 60),
        ];
        let anna = given(&all, "anna", &["user", "ops", "unknown"]).unwrap();
        assert_eq!(anna.access.roles().collect::<Vec<_>>(), ["ops", "user"]);
        assert_eq!(anna.access.logins(), ["deploy", "anna"]);
        assert_eq!(anna.life_s_max, 3600);
        for roles in [&[][..], &["unknown"]] {
            let refused = given(&all, "anna", roles).unwrap_err();
            assert!(matches!(refused, Failure::Refused(_)), "{roles:?}");
        }
        let empty = [role("none", &[], 60)];
        assert!(given(&empty, "anna", &["none"]).is_err());
        let logins: Vec<String> = (0..=SSH_PRINCIPALS_MAX).map(|n| format!("a{n}")).collect();
        let logins: Vec<&str> = logins.iter().map(String::as_str).collect();
        assert!(given(&[role("many", &logins, 60)], "anna", &["many"]).is_err());
        let long = "r".repeat(ACCESS_BYTES_MAX);
        let refused = given(&[role(&long, &["l"], 60)], "a", &[&long]).unwrap_err();
        assert!(refused.to_string().contains("longer than"), "{refused}");
    }
}
