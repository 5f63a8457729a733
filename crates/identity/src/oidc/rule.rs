//! Who may sign in whom a provider vouches for, under which name, and with which role. Whom no rule
//! names has none, and does not sign in.

use crate::limits::OUTSIDE_NAME_BYTES_MAX;
use crate::oidc::Claims;
use crate::role::Role;

/// One rule: whoever has this value in this claim has this role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The claim: a text, or a list of texts; of one inside others the path, `realm_access.roles`.
    pub claim: String,
    /// What must stand there, letter by letter.
    pub value: String,
    /// The role.
    pub role: Role,
}

/// The claim that is an address of mail.
const MAIL: &str = "email";

/// Whether a claim is one that counts: whoever may type any address of mail into their profile is not the one
/// whom it belongs to.
fn is_vouched_for(claims: &Claims, claim: &str) -> bool {
    claim != MAIL || claims.is_true("email_verified")
}

/// The rule of the highest role that somebody has by these, if any.
#[must_use]
pub fn granted<'a>(claims: &Claims, rules: &'a [Rule]) -> Option<&'a Rule> {
    let named = rules
        .iter()
        .filter(|rule| is_vouched_for(claims, &rule.claim) && claims.has(&rule.claim, &rule.value));
    named.max_by_key(|rule| rule.role)
}

/// Why somebody has no name here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nameless {
    /// The provider does not say it.
    Unsaid,
    /// It is one that nobody may have.
    Unfit,
    /// It is an address of mail that the provider does not vouch for.
    Unverified,
}

impl Nameless {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsaid => "name: the provider does not say it",
            Self::Unfit => "name: letters, digits and `-_.@` are taken, at most 128 of them",
            Self::Unverified => "name: the provider has not verified the address of mail",
        }
    }
}

/// The name of somebody, from this claim. Whatever a name is, it is what recordings are somebody's own
/// by; so one that the provider lets people choose is no good one.
///
/// # Errors
/// Why there is none.
pub fn name<'a>(claims: &'a Claims, claim: &str) -> Result<&'a str, Nameless> {
    let name = claims.text(claim).ok_or(Nameless::Unsaid)?;
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'@');
    let is_fit = (1..=OUTSIDE_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with(['.', '-', '@']);
    if !is_fit {
        return Err(Nameless::Unfit);
    }
    if !is_vouched_for(claims, claim) {
        return Err(Nameless::Unverified);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::super::testing::{Signer, keys};
    use super::super::{Claims, Expected};
    use super::*;

    fn claims(more: &Json) -> Claims {
        let mut body = json!({
            "iss": "https://id.example", "sub": "248", "aud": "hansard", "nonce": "n",
            "iat": 1000, "exp": 2000,
        });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let signer = Signer::ed25519();
        let token = signer.token(&signer.head("a"), &body);
        let expected = Expected {
            issuer: "https://id.example",
            client_id: "hansard",
            nonce: "n",
            utc_s: 1500,
        };
        Claims::read(&token, &keys(&[signer.row("a")]), expected).unwrap()
    }

    #[test]
    fn the_highest_role_that_a_rule_gives_counts_and_nobody_has_one_without() {
        let rule = |claim: &str, value: &str, role| Rule {
            claim: claim.to_owned(),
            value: value.to_owned(),
            role,
        };
        let rules = [
            rule("groups", "staff", Role::User),
            rule("groups", "auditors", Role::Auditor),
            rule("sub", "248", Role::Reviewer),
            rule("groups", "root", Role::Admin),
        ];
        let role = |more: &Json| granted(&claims(more), &rules).map(|rule| rule.role);
        assert_eq!(
            role(&json!({"groups": ["staff", "auditors"]})),
            Some(Role::Auditor)
        );
        assert_eq!(role(&json!({"groups": "staff"})), Some(Role::Reviewer));
        assert_eq!(role(&json!({})), Some(Role::Reviewer));
        let of = |rules: &[Rule], more: &Json| granted(&claims(more), rules).cloned();
        assert_eq!(of(&[], &json!({"groups": ["root"]})), None);
        for other in [
            json!(["Root", "root "]),
            json!({"root": true}),
            json!("roots"),
            json!(7),
        ] {
            assert_eq!(
                of(&rules[3..], &json!({ "groups": other })),
                None,
                "{other}"
            );
        }
    }

    #[test]
    fn an_address_of_mail_that_nobody_vouches_for_gives_no_role() {
        let rules = [Rule {
            claim: "email".to_owned(),
            value: "boss@b.example".to_owned(),
            role: Role::Admin,
        }];
        for verified in [Json::Null, json!(false), json!("true"), json!(1)] {
            let mail = json!({ "email": "boss@b.example", "email_verified": verified });
            assert_eq!(granted(&claims(&mail), &rules), None, "{verified}");
        }
        let mail = json!({ "email": "boss@b.example", "email_verified": true });
        assert_eq!(granted(&claims(&mail), &rules), rules.first());
    }

    #[test]
    fn a_name_is_one_that_can_stand_in_an_event_and_is_vouched_for() {
        let named = |value: Json| {
            let said = claims(&json!({ "preferred_username": value }));
            name(&said, "preferred_username").map(str::to_owned)
        };
        for good in ["ada", "ada@example.org", "a-b_c.d", "7"] {
            assert_eq!(named(json!(good)).as_deref(), Ok(good));
        }
        let long = "a".repeat(OUTSIDE_NAME_BYTES_MAX + 1);
        for bad in ["", "@a", ".a", "-a", "a b", "ad\u{e4}", "a/b", "a\n", &long] {
            assert_eq!(named(json!(bad)), Err(Nameless::Unfit), "{bad:?}");
        }
        for none in [Json::Null, json!(["ada"]), json!(7)] {
            assert_eq!(named(none), Err(Nameless::Unsaid));
        }
        for verified in [Json::Null, json!(false), json!("true"), json!(1)] {
            let said = claims(&json!({ "email": "a@b.example", "email_verified": verified }));
            assert_eq!(name(&said, "email"), Err(Nameless::Unverified));
        }
        let said = claims(&json!({ "email": "a@b.example", "email_verified": true }));
        assert_eq!(name(&said, "email"), Ok("a@b.example"));
        assert_eq!(name(&said, "sub"), Ok("248"));
    }
}
