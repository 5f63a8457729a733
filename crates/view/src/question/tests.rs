//! Questions, good and bad, and lines that are answers or not.

use super::*;

const NOW: u64 = 1_800_000_000_000_000_000;

fn ask(text: &str) -> Question {
    Question::parse(text, NOW).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn is(question: &str, what: What, line: &str) -> bool {
    let question = ask(question);
    let line = Candidate {
        what,
        text: line,
        is_hidden: false,
    };
    Finder::new(&question).find(line).is_some()
}

#[test]
fn lines_that_are_answers_and_lines_that_are_not() {
    for (question, line, wanted) in [
        ("table", "DROP TABLE users", true),
        ("tab", "DROP TABLE users", false),
        ("tab*", "DROP TABLE users", true),
        ("\"drop  table\"", "x; Drop    Table users", true),
        ("\"drop table\"", "drop the table", false),
        ("drop table", "the table I drop", true),
        ("drop -users", "DROP TABLE users", false),
        ("drop -user", "DROP TABLE users", true),
        ("/etc/passwd", "cat /etc/passwd", true),
        ("/etc/passwd", "cat /etc/passwd2", false),
        ("/etc/pass*", "cat /etc/passwd2", true),
        ("10.0.0.5", "ssh 10.0.0.5", true),
        ("10.0.0.5", "ssh 110.0.0.5", false),
        ("/dr[ao]p +table/", "drop  table", true),
        ("/dr[ao]p +table/", "DROP  TABLE", false),
        ("/(?i)dr[ao]p +table/", "DROP  TABLE", true),
        (r"/a\/b/", "a/b", true),
        ("世界", "你好世界!", true),
        ("世好", "你好世界!", false),
        ("\"\\\"quoted\\\"\"", "a \"quoted\" word", true),
        ("straße", "Die STRAßE", true),
        ("http://x.y", "curl http://x.y", true),
        ("$?", "echo $?", true),
        ("\"ends here \"", "it ends here", true),
        ("in:shown table", "a table", true),
        ("in:typed table", "a table", false),
    ] {
        assert_eq!(
            is(question, What::Shown, line),
            wanted,
            "{question} in {line}"
        );
    }
}

#[test]
fn fields_are_of_events_and_whole() {
    let line = "session.start kind=exec user=anna server_hostname=web1.example argv=git push";
    for (question, wanted) in [
        ("server_hostname:web1.example", true),
        ("server_hostname:web1*", true),
        ("server_hostname:web", false),
        ("hostname:web1.example", false),
        ("argv:\"git push\"", true),
        ("-argv:git kind=exec", false),
    ] {
        assert_eq!(is(question, What::Fact, line), wanted, "{question}");
    }
    assert!(!is("server_hostname:web1*", What::Shown, line));
}

#[test]
fn places_are_characters_of_the_line_as_it_stood_there() {
    let question = ask("\"drop table\" users");
    let line = Candidate {
        what: What::Shown,
        text: "é  DROP    TABLE users",
        is_hidden: false,
    };
    let places = Finder::new(&question).find(line).unwrap();
    assert_eq!(places, [3..16, 17..22]);
}

#[test]
fn where_and_when_to_look() {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let question = ask(&format!(
        "user:dba host:db1 kind:terminal session:{id} since:7d until:2026-11-21T08:00 is:hidden x"
    ));
    assert_eq!(question.bounds.user.as_deref(), Some("dba"));
    assert_eq!(question.bounds.host.as_deref(), Some("db1"));
    assert_eq!(question.bounds.kind.as_deref(), Some("terminal"));
    assert_eq!(question.bounds.session.unwrap().to_string(), id);
    assert_eq!(question.bounds.since_ns, Some(NOW - 7 * 86_400_000_000_000));
    assert_eq!(question.bounds.until_ns, Some(1_795_248_000_000_000_000));
    assert!(question.is_hidden);
}

#[test]
fn what_an_index_has_to_have() {
    let word = |w: &str| Need::Word(w.to_owned());
    let begin = |w: &str| Need::Begin(w.to_owned());
    for (question, needs) in [
        ("Drop TABLE -x", vec![word("drop"), word("table")]),
        ("\"a b\"*", vec![word("a"), begin("b")]),
        ("\"a b.\"*", vec![word("a"), word("b")]),
        ("argv:git*", vec![word("argv"), begin("git")]),
        ("/x+/", vec![]),
        ("$?", vec![]),
        ("世界x", vec![word("x"), word("世"), word("界")]),
    ] {
        let mut needs = needs;
        needs.sort();
        assert_eq!(ask(question).needs(), needs, "{question}");
    }
}

#[test]
fn what_is_no_question_says_so() {
    for (text, words) in [
        ("", "nothing is asked for"),
        ("user:x", "nothing is asked for"),
        ("-x", "nothing is asked for"),
        ("\"x", "no end"),
        ("/(/", "/(/"),
        ("since:yesterday x", "not a time"),
        ("since:2026-02-30 x", "not a time"),
        ("in:there x", "in: takes"),
        ("session:1 x", "not a session"),
        ("-user:x y", "turned round"),
        ("\"\"", "empty"),
        ("a:/b/", "takes a value"),
        (&"x ".repeat(33), "at most 32"),
        (&"x".repeat(5000), "at most 4096"),
        ("/(((((a{1000}){1000}){1000}){1000}){1000})/", "/(((((a"),
    ] {
        let error = Question::parse(text, NOW).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn any_text_may_be_asked() {
    let alphabet = [
        "\"", "/", "\\", ":", "-", "*", "a", " ", "é", "in", "user", "世",
    ];
    let mut state = 99u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..8 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let at = usize::try_from((state >> 33) % alphabet.len() as u64).unwrap();
            text.push_str(alphabet[at]);
        }
        if let Ok(question) = Question::parse(&text, NOW) {
            let line = Candidate {
                what: What::Shown,
                text: &text,
                is_hidden: true,
            };
            // The answer is not the point.
            let _ = Finder::new(&question).find(line);
            let _ = question.needs();
        }
    }
}
