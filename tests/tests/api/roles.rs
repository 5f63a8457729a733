//! Roles that are given to users: only such as there are.

use crate::service::Service;
use crate::speak::{Answer, ask};

fn add(service: &Service, roles: &str) -> Answer {
    let wish = format!(
        r#"{{"name":"ann","role":"user","roles":[{roles}],"password":"correct horse battery"}}"#
    );
    ask(service, "POST", "/v1/users", &wish)
}

fn set(service: &Service, roles: &str) -> Answer {
    let wish = format!(r#"{{"roles":[{roles}]}}"#);
    ask(service, "PUT", "/v1/users/ann/roles", &wish)
}

#[test]
fn a_role_that_there_is_not_is_refused_and_those_are_named_that_there_are() {
    let service = Service::start("api-user-roles");
    let refused = |answer: Answer, near: &str| {
        assert_eq!(answer.status, 409, "{answer:?}");
        let problem = &answer.json()["error"];
        let said = problem["message"].to_string();
        for part in [near, "admin, auditor, reviewer, user", "oncall, ops"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let next = problem["next_step"].to_string();
        assert!(next.contains("access.roles"), "{next}");
    };
    refused(
        add(&service, r#""auditr""#),
        "no role auditr (did you mean auditor?)",
    );
    assert!(service.did_nothing(), "nothing was made");
    assert_eq!(add(&service, r#""ops""#).status, 200);
    refused(
        set(&service, r#""ops","opss""#),
        "no role opss (did you mean ops?)",
    );
    refused(set(&service, r#""xyzzyx""#), "no role xyzzyx:");
    assert_eq!(set(&service, r#""oncall""#).status, 200);
    assert_eq!(set(&service, "").status, 200);
}

#[test]
fn a_lock_on_a_role_that_there_is_not_is_made_and_says_so() {
    let service = Service::start("api-lock-roles");
    let lock = |target: &str| {
        let answer = ask(
            &service,
            "POST",
            "/v1/locks",
            &format!(r#"{{"target":"{target}"}}"#),
        );
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["note"].clone()
    };
    let note = lock("role:opss").to_string();
    assert!(note.contains("did you mean ops?"), "{note}");
    assert!(note.contains("in a certificate all the same"), "{note}");
    for known in ["role:ops", "role:admin", "user:anybody"] {
        assert!(lock(known).is_null(), "{known}");
    }
}
