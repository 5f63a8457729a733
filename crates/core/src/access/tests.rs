//! Roles that give and do not give; text that is read, and text that is not.

use super::*;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    pairs.collect()
}

fn grant(
    role: &str,
    logins: &[&str],
    hosts: &[(&str, &[&str])],
    channels: &[ChannelKind],
) -> Grant {
    let texts = |all: &[&str]| {
        all.iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    Grant {
        role: role.to_owned(),
        logins: texts(logins),
        hosts: hosts
            .iter()
            .map(|(label, values)| ((*label).to_owned(), texts(values)))
            .collect(),
        channels: channels.to_vec(),
        kept: Vec::new(),
        ends: false,
    }
}

#[test]
fn nothing_is_given_that_no_role_names() {
    use ChannelKind::{Exec, Shell};
    let web = labels(&[("env", "staging"), ("team", "web")]);
    let none = Access::default();
    assert!(none.granted("root", &web).unwrap_err().contains("no role"));
    let one = |grant: Grant| Access {
        grants: vec![grant],
    };
    for (hosts, is_in) in [
        (&[][..], false),
        (&[("env", &["staging"][..])], true),
        (&[("env", &["prod", "sta*"])], true),
        (&[("env", &["prod"])], false),
        (&[("env", &["*"])], true),
        (&[("env", &[])], false),
        (&[("*", &["*"])], true),
        (&[("*", &["x"])], false),
        (&[("missing", &["*"])], false),
        (&[("env", &["staging"]), ("team", &["db"])], false),
        (&[("env", &["staging"]), ("team", &["db", "web"])], true),
    ] {
        let access = one(grant("ops", &["deploy"], hosts, &[Shell]));
        assert_eq!(access.granted("deploy", &web).is_ok(), is_in, "{hosts:?}");
        let refused = access.granted("root", &web).unwrap_err();
        assert_eq!(
            refused,
            "your role ops does not let you into the account \"root\" on this host"
        );
    }
    let granted = one(grant("ops", &["deploy"], &[("*", &["*"])], &[Shell]));
    let granted = granted.granted("deploy", &web).unwrap();
    assert_eq!(granted.may(Shell), Ok(()));
    assert_eq!(
        granted.may(Exec).unwrap_err(),
        "your role ops does not permit exec"
    );
    let empty = one(grant("ops", &["deploy"], &[("*", &["*"])], &[]));
    let empty = empty.granted("deploy", &web).unwrap();
    assert!(
        ChannelKind::ALL
            .iter()
            .all(|kind| empty.may(*kind).is_err())
    );
}

#[test]
fn roles_add_up_only_where_each_of_them_lets_in() {
    use ChannelKind::{Agent, Exec, Shell};
    let everywhere: &[(&str, &[&str])] = &[("*", &["*"])];
    let mut strict = grant("strict", &["deploy"], &[("env", &["prod"])], &[Shell]);
    strict.ends = true;
    strict.kept = vec![Kept::Keystrokes];
    let access = Access {
        grants: vec![
            grant("all", &["deploy", "root"], everywhere, &[Exec]),
            strict,
            grant("other", &["postgres"], everywhere, &[Agent]),
        ],
    };
    let prod = access
        .granted("deploy", &labels(&[("env", "prod")]))
        .unwrap();
    assert_eq!(prod.roles, ["all", "strict"]);
    assert_eq!(prod.channels, [Shell, Exec]);
    assert!(prod.ends);
    let mut policy = Policy::default();
    prod.keep(&mut policy);
    assert!(policy.keystrokes && !policy.files);
    let test = access
        .granted("deploy", &labels(&[("env", "test")]))
        .unwrap();
    assert_eq!((test.roles.len(), test.ends), (1, false));
    assert_eq!(access.logins(), ["deploy", "root", "postgres"]);
    assert!(access.gives_any(&[Agent]) && !access.gives_any(&[ChannelKind::X11]));
}

#[test]
fn what_was_written_is_read_and_nothing_else_is() {
    let mut odd = grant(
        "a=b;c",
        &["x,y", "%41", "ä\n"],
        &[("k:l", &["v|w", "*"]), ("*", &["*"])],
        &ChannelKind::ALL,
    );
    odd.ends = true;
    odd.kept = Kept::ALL.to_vec();
    let access = Access {
        grants: vec![odd, grant("plain", &[], &[], &[])],
    };
    let text = to_text(&access).unwrap();
    assert_eq!(from_text(&text).unwrap(), access);
    assert_eq!(
        from_text(&to_text(&Access::default()).unwrap()).unwrap(),
        Access::default()
    );
    // Cut anywhere inside a line, it is not less that is given but nothing.
    let lines: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    for end in 0..text.len() {
        if end != 1 && !lines.contains(&end) {
            assert!(from_text(text.get(..end).unwrap()).is_err(), "{end}");
        }
    }
    let good = "1\nrole=a;logins=b;hosts=*:*;channels=shell;kept=;ends=0";
    assert!(from_text(good).is_ok());
    for (from, to) in [
        ("1\n", "2\n"),
        ("role=", "rule="),
        ("shell", "shel"),
        ("ends=0", "ends=2"),
        ("ends=0", "ends=0;more=1"),
        ("ends=0", "ends=0\n"),
        ("logins=b", "logins=b c"),
        ("logins=b", "logins=%2"),
        ("logins=b", "logins=%+f"),
        ("logins=b", "logins=%FF"),
        ("hosts=*:*", "hosts=*"),
        ("kept=", "kept=all"),
        ("role=a;logins=b", "logins=b;role=a"),
    ] {
        assert!(
            from_text(&good.replacen(from, to, 1)).is_err(),
            "{from} → {to}"
        );
    }
    let many = Access {
        grants: vec![grant("a", &[], &[], &[]); GRANTS_MAX + 1],
    };
    assert!(to_text(&many).is_err());
    let long = Access {
        grants: vec![grant(
            "a",
            &["b".repeat(ACCESS_BYTES_MAX).as_str()],
            &[],
            &[],
        )],
    };
    assert!(to_text(&long).is_err());
    assert!(from_text(&"1".repeat(ACCESS_BYTES_MAX + 1)).is_err());
}
