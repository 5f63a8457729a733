//! Every route for every role, in a browser: what the table says, and nothing else.

use hansardd::api::role::Role;
use hansardd::api::table::{Answer as Kind, Id, Op, Own, ROUTES, Route};

use crate::place::Place;
use crate::speak::{ask_until, cookie, request};

fn target(route: &Route, sid: &str) -> String {
    let name = match route.id {
        Some(Id::Session) => sid,
        Some(_) => "nobody",
        None => "",
    };
    let path = route.path.replace("{id}", name);
    match route.params.iter().any(|param| param.name == "text") {
        true => format!("{path}?text=x"),
        false => path,
    }
}

#[test]
fn every_route_in_a_browser_answers_as_the_table_says() {
    let mut place = Place::new("web-roles");
    let mut recorded = place.record("of somebody", "echo said");
    recorded.wait().unwrap();
    let sid = place.session("of somebody", true)["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut cookies = vec![(None, String::new())];
    for role in Role::ALL {
        let name = format!("is-{role}");
        place.user(&name, role.as_str(), &["--no-totp"]);
        cookies.push((Some(role), cookie(&place, &name)));
    }
    let mut asked = 0;
    for route in &ROUTES {
        for (role, cookie) in &cookies {
            let line = (route.verb.as_str(), target(route, &sid));
            let headers = [
                ("Origin", place.origin.as_str()),
                ("Cookie", cookie),
                ("Content-Type", "application/json"),
            ];
            let body = if route.body.is_some() { "{}" } else { "" };
            let text = request(&place, (line.0, &line.1), &headers, body);
            // Of what goes on for ever the head is enough.
            let goes_on = matches!(route.answer, Kind::Lines(_));
            let answer = ask_until(&place, &text, |got| goes_on && got.contains("\r\n\r\n"));
            let what = format!("{:?} as {role:?}: {answer:?}", route.op);
            match role {
                None => assert_eq!(answer.status, 401, "{what}"),
                Some(role) => {
                    let rows = route.own == Own::Rows;
                    let may = rows || *role >= route.least;
                    assert_eq!(answer.status == 403, !may, "{what}");
                    // A document that is none is told only to who may send one.
                    // Passkeys are for names, and this is asked by an address.
                    let expected: &[u16] = match (may, route.op) {
                        (true, Op::PasskeyChallenge) => &[409],
                        (true, _) => &[200, 400, 404],
                        (false, _) => &[403],
                    };
                    assert!(expected.contains(&answer.status), "{what}");
                }
            }
            asked += 1;
        }
    }
    assert_eq!(asked, ROUTES.len() * 5);
    place.daemon.stop();
}
