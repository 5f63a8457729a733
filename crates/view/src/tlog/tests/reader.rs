//! What the reader makes of messages of all versions, of several recordings, of the journal's
//! export, and of damage.

use super::*;

/// A message with these values, and no others than tlog demands.
fn message(rec: &str, id: u64, pos: u64, rest: &str) -> String {
    format!(
        "{{\"ver\":\"2.3\",\"host\":\"h\",\"rec\":\"{rec}\",\"user\":\"u\",\"term\":\"t\",\
         \"session\":7,\"id\":{id},\"pos\":{pos},{rest}}}\n"
    )
}

fn shown(rec: &str, id: u64, pos: u64, text: &str) -> String {
    let timing = format!("\"timing\":\">{}\",\"out_txt\":\"{text}\"", text.len());
    message(rec, id, pos, &timing)
}

fn read(tlog: &str) -> (Vec<Event>, Vec<String>, Option<String>) {
    read_all(&mut TlogDecoder::new(tlog.as_bytes(), import()))
}

/// The one message as events without session and end.
fn bodies(tlog: &str) -> Vec<(u64, Body)> {
    let events = decode(tlog);
    let inner = &events[1..events.len() - 1];
    inner
        .iter()
        .map(|event| (event.at_ns / MS, event.body.clone()))
        .collect()
}

fn text_of(events: &[Event]) -> String {
    String::from_utf8(bytes_of(events, true)).unwrap()
}

#[test]
fn the_documented_example_is_read() {
    let tlog = r#"{ "ver": "2.1", "host": "server.example.com",
        "rec": "e843f15839e54e7d83bdc8c128978586-22c2-5d24f15", "user": "johndoe",
        "term": "xterm", "session": 324, "id": 1, "pos": 345349, "time": 1600718060.667,
        "timing": "=80x24<5+1>6+3>30+6>20", "in_txt": "date\r", "in_bin": [],
        "out_txt": "date\r\nMon Nov 30 11:52:45 UTC 2015\r\n[johndoe@server ~]$ ", "out_bin": [] }"#;
    let tlog = tlog.replace('\n', " ");
    let events = decode(&tlog);
    let Body::Start(session) = &events[0].body else {
        panic!("no session first");
    };
    assert_eq!(session.subject.text("user"), Some("johndoe"));
    assert_eq!(session.origin.text("term"), Some("xterm"));
    assert_eq!(session.origin.text("imported_from"), Some("tlog"));
    assert_eq!(
        session.target.text("server_hostname"),
        Some("server.example.com")
    );
    assert_eq!(
        session.target.text("tlog.rec"),
        Some("e843f15839e54e7d83bdc8c128978586-22c2-5d24f15")
    );
    assert_eq!(
        session.target.get("tlog.session").unwrap().as_uint(),
        Some(324)
    );
    assert_eq!(session.target.text("tlog.ver"), Some("2.1"));
    // What `pos` counts from is not said before 2.2: from the first message.
    assert_eq!(session.start_utc_ns / MS, 1_600_718_060_667 - 345_349);
    let size = Body::Resize { cols: 80, rows: 24 };
    let expected = [
        (0, size),
        (0, typed(b"date\r")),
        (1, output(b"date\r\n")),
        (4, output(b"Mon Nov 30 11:52:45 UTC 2015\r\n")),
        (10, output(b"[johndoe@server ~]$ ")),
    ];
    // The session began where the first message says, so the moments are the message's own.
    assert_eq!(bodies(&tlog), expected);
}

#[test]
fn versions_1_to_2_are_read_and_others_refused() {
    for (ver, sound) in [
        ("1", true),
        ("\"1\"", true),
        ("2", true),
        ("\"2\"", true),
        ("\"2.3\"", true),
        ("2.2", true),
        ("\"2.99\"", true),
        ("\"3\"", false),
        ("3", false),
        ("\"3.0\"", false),
        ("\"\"", false),
        ("\"2.\"", false),
        ("\"2.x\"", false),
        ("\"x\"", false),
        ("0", false),
        ("-1", false),
        ("[2]", false),
        ("null", false),
        ("\"99999999999\"", false),
    ] {
        let tlog =
            format!("{{\"ver\":{ver},\"id\":1,\"pos\":0,\"timing\":\">1\",\"out_txt\":\"x\"}}");
        let (events, _, error) = read(&tlog);
        assert_eq!(error.is_none(), sound, "{ver}: {error:?}");
        assert_eq!(events.len(), if sound { 3 } else { 0 }, "{ver}");
        if let Some(error) = error {
            assert!(error.starts_with("line 1 (offset 0): "), "{error}");
        }
    }
    let error = read(&shown("r", 1, 0, "x").replace("2.3", "3.1"))
        .2
        .unwrap();
    assert!(
        error.contains("version 3.1 of tlog's format; this program reads 1 to 2"),
        "{error}"
    );
}

#[test]
fn what_other_programs_did_to_a_message_does_not_matter() {
    // Keys in another order, unknown ones, escapes that need not be, surrogates, blanks.
    let tlog = r#"{"out_txt":"\u00e9\ud83c\udf89\/\ud800x","new":{"a":[1,{"b":"}"}]},"extra":null,
        "timing":" \u003e3 \u002B5\t]1\/2+0\u003e1","in_txt":null,"out_bin":[ 255 , 0 ],"pos":0,
        "id":1,"session":null,"time":1.6e9,"ver":2,"MESSAGE":"not this"}"#;
    let tlog = tlog.replace('\n', " ");
    let expected = [(0, output("é🎉/".as_bytes())), (5, output(b"\xff\0x"))];
    assert_eq!(bodies(&tlog), expected);
    // Half a surrogate pair is no character; it stands for what the bytes are.
    let tlog = message("r", 1, 0, "\"timing\":\">2\",\"out_txt\":\"\\udc00x\"");
    assert_eq!(bodies(&tlog), [(0, output("\u{fffd}x".as_bytes()))]);
}

#[test]
fn repeated_sizes_are_left_out() {
    let one = message("r", 1, 0, "\"timing\":\"=80x24=80x24>1\",\"out_txt\":\"a\"");
    let two = message("r", 2, 5, "\"timing\":\"=80x24>1=1x2\",\"out_txt\":\"b\"");
    let sizes = sizes_of(&decode(&(one + &two)));
    assert_eq!(sizes, [(80, 24), (1, 2)]);
}

#[test]
fn missing_messages_are_gaps_and_late_ones_passed_over() {
    let tlog = [
        shown("r", 3, 1000, "c"),
        shown("r", 5, 2000, "e"),
        shown("r", 4, 1500, "d"),
        shown("r", 9, 3000, "i"),
    ];
    let (events, notices, error) = read(&tlog.concat());
    assert_eq!(error, None);
    assert_eq!(text_of(&events), "cei");
    let gaps: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.body {
            Body::Gap(gap) => Some((gap.from_ns / MS, event.at_ns / MS, gap.cause.as_str())),
            _ => None,
        })
        .collect();
    let late = "message 4 stands after message 5: it is passed over; \
        sort the messages by \"id\" to read it";
    let expected = [
        (0, 1000, "messages 1 to 2 of the tlog are missing"),
        (1000, 2000, "message 4 of the tlog is missing"),
        (2000, 2000, late),
        (2000, 3000, "messages 6 to 8 of the tlog are missing"),
    ];
    assert_eq!(gaps, expected);
    assert_eq!(notices.len(), 4);
    assert!(notices[2].starts_with("line 3 (offset "), "{notices:?}");
}

#[test]
fn one_of_several_recordings_is_read() {
    let tlog = [
        shown("a", 1, 0, "1"),
        shown("b", 1, 0, "x"),
        shown("a", 2, 5, "2"),
        shown("c", 7, 0, "y"),
        shown("b", 2, 9, "z"),
    ]
    .concat();
    let (events, notices, error) = read(&tlog);
    assert_eq!((text_of(&events).as_str(), error), ("12", None));
    assert_eq!(notices, ["other recordings of the file are left: b, c"]);
    let chosen = |rec: &str| Import {
        rec: Some(rec.to_owned()),
        ..import()
    };
    let (events, notices, _) = read_all(&mut TlogDecoder::new(tlog.as_bytes(), chosen("b")));
    assert_eq!((text_of(&events).as_str(), notices), ("xz", Vec::new()));
    let (events, _, error) = read_all(&mut TlogDecoder::new(tlog.as_bytes(), chosen("d")));
    let error = error.unwrap();
    assert!(events.is_empty() && error.ends_with("no recording d in this file; there are a, b, c"));
    let many: String = (0..50)
        .map(|i| shown(&format!("rec{i}"), 1, 0, "x"))
        .collect();
    let (_, notices, _) = read(&many);
    assert!(notices[0].ends_with(", rec20 and more"), "{notices:?}");
}

#[test]
fn recordings_without_a_name_are_told_by_whose_they_are() {
    let unnamed = |user: &str, id: u64, text: &str| {
        let user = format!("\"user\":\"{user}\"");
        shown("", id, 0, text)
            .replace("\"rec\":\"\",", "")
            .replace("\"user\":\"u\"", &user)
    };
    let tlog = [
        unnamed("a", 1, "1"),
        unnamed("b", 1, "x"),
        unnamed("a", 2, "2"),
    ];
    let (events, notices, _) = read(&tlog.concat());
    assert_eq!(text_of(&events), "12");
    assert_eq!(
        notices,
        ["other recordings of the file are left: one without a name of b on h"]
    );
    // The next of the same person begins at 1 again, and cannot be told from this one further on.
    let tlog = [
        unnamed("a", 1, "1"),
        unnamed("a", 2, "2"),
        unnamed("a", 1, "x"),
        unnamed("a", 3, "y"),
    ];
    let (events, notices, _) = read(&tlog.concat());
    assert_eq!((text_of(&events).as_str(), notices.len()), ("12", 1));
}

#[test]
fn exports_of_the_journal_are_read() {
    let entry = |message: &str| {
        format!("{{\"__CURSOR\":\"s=1;{{\",\"MESSAGE\":{message},\"_PID\":\"7\"}}\n")
    };
    let text = |tlog: &str| serde_json::to_string(tlog).unwrap();
    let numbers = |tlog: &str| format!("{:?}", tlog.as_bytes());
    let wide = message(
        "r",
        2,
        5,
        "\"timing\":\"]1/2>2\",\"out_txt\":\"\u{fffd}é🎉\",\"out_bin\":[1,2]",
    );
    let tlog = [
        entry("\"Started Session 7.\""),
        entry(&text(&message(
            "r",
            1,
            0,
            "\"timing\":\">5\",\"out_txt\":\"one\\n\\u001b\"",
        ))),
        entry(&text("{\"some\":\"json\"}")),
        entry("[1,300,\"x\"]"),
        entry("{}"),
        entry(&numbers(&wide)),
        entry("null"),
    ]
    .concat();
    let (events, notices, error) = read(&tlog);
    assert_eq!(error, None);
    assert_eq!(
        bytes_of(&events, true),
        "one\n\u{1b}\u{1}\u{2}é🎉".as_bytes()
    );
    assert_eq!(
        notices,
        [
            "4 entries of the journal are no messages of tlog",
            "1 entries were exported without their text (journalctl --all keeps it)"
        ]
    );
    let (events, _, error) = read(&entry("\"Started Session 7.\""));
    assert!(events.is_empty());
    assert!(
        error
            .unwrap()
            .ends_with("no entry of the journal is a message of tlog")
    );
}

#[test]
fn a_message_that_contradicts_itself_is_an_error_after_what_was_sound() {
    let sound = shown("r", 1, 0, "ok");
    for (rest, what) in [
        ("\"timing\":\">1\"", "out_txt"),
        ("\"timing\":\"+1>2\",\"out_txt\":\"x\"", "out_txt"),
        ("\"timing\":\"<2\",\"in_txt\":\"x\"", "in_txt"),
        ("\"timing\":\"]1/1\",\"out_txt\":\"x\"", "out_bin"),
        (
            "\"timing\":\"]2/1\",\"out_txt\":\"x\",\"out_bin\":[1]",
            "out_txt",
        ),
        (
            "\"timing\":\"]1/2\",\"out_txt\":\"x\",\"out_bin\":[1]",
            "1 bytes too few",
        ),
        ("\"timing\":\"[0/1\",\"in_bin\":[256]", "in_bin"),
        ("\"timing\":\"[0/1\",\"in_bin\":[-1]", "in_bin"),
        ("\"timing\":\"[0/1\",\"in_bin\":[[1]]", "in_bin"),
        ("\"timing\":\"[0/1\",\"in_bin\":\"1\"", "in_bin"),
        ("\"timing\":\"x\"", "timing"),
        ("\"timing\":\">\"", "timing"),
        ("\"timing\":\"\\x\"", "timing"),
        ("\"timing\":7", "timing"),
        ("\"timing\":\"+18446744073709551616\"", "absurdly large"),
        ("\"timing\":\"+1000000000001\"", "limit"),
        ("\"timing\":\"=65536x1\"", "65535"),
        ("\"timing\":\">1\",\"out_txt\":\"\\q\"", "escape"),
        ("\"timing\":\">1\",\"out_txt\":\"\\u00g0\"", "escape"),
        ("\"timing\":\">1\",\"out_txt\":[]", "out_txt"),
        ("\"timing\":\"\",\"time\":\"now\"", "time"),
        ("\"timing\":\"\",\"time\":-1.5", "time"),
        ("\"timing\":\"\",\"time\":1e300", "time"),
        ("\"timing\":\"\",\"session\":\"7\"", "session"),
        ("\"timing\":\"\",\"id\":-2", "id"),
        ("\"timing\":\"\",\"id\":2.5", "id"),
        ("\"timing\":\"\",\"pos\":1000000000001", "limit"),
        ("\"nothing\":1", "timing"),
    ] {
        let (events, _, error) = read(&format!("{sound}{}{sound}", message("r", 2, 0, rest)));
        assert_eq!(text_of(&events), "ok", "{rest}");
        let error = error.unwrap_or_else(|| panic!("{rest} is accepted"));
        assert!(
            error.starts_with("line 2 (offset ") && error.contains(what),
            "{rest}: {error}"
        );
    }
    let long = message(
        "r",
        1,
        0,
        &format!("\"timing\":\"\",\"term\":\"{}\"", "x".repeat(4097)),
    );
    assert!(read(&long).2.unwrap().contains("more than 4096 bytes"));
    let left = message("r", 1, 0, "\"timing\":\">1\",\"out_txt\":\"xy\"");
    let (events, notices, error) = read(&left);
    assert_eq!((text_of(&events).as_str(), error), ("x", None));
    assert!(
        notices[0].contains("are left that the timing does not place"),
        "{notices:?}"
    );
}

#[test]
fn cut_anywhere_what_was_sound_is_kept() {
    let bodies = vec![
        (0, Body::Resize { cols: 80, rows: 24 }),
        (MS, output(b"first\r\n")),
        (11_000 * MS, typed(b"\xff\xe2\x82")),
        (11_001 * MS, output("é🎉 \"second\"".as_bytes())),
    ];
    let tlog = encode(&numbered(session(), bodies));
    let first = tlog.lines().next().unwrap().len() + 1;
    for end in 0..tlog.len() {
        let (events, _, error) = read_all(&mut TlogDecoder::new(&tlog.as_bytes()[..end], import()));
        let shown = bytes_of(&events, true);
        match end {
            _ if end == first || end + 1 == first || end + 1 == tlog.len() => {
                assert_eq!(error, None, "cut at {end}");
            }
            _ => assert!(error.is_some(), "cut at {end}"),
        }
        let sound: &[u8] = match end {
            _ if end + 1 < first => b"",
            _ if end + 1 < tlog.len() => b"first\r\n",
            _ => "first\r\né🎉 \"second\"".as_bytes(),
        };
        assert_eq!(shown, sound, "cut at {end}");
    }
}

#[test]
fn hostile_lines_are_refused() {
    for line in [
        "",
        "\n\n",
        "[]",
        "null",
        "{",
        "{}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":[1}",
        "{\"a\":{]}",
        "{\"a\":1}}",
        "{a:1}",
        "{\"a\":tru}",
        "{\"a\":\"",
        "{\"a\":\"\\",
        "\u{feff}{}",
        "{\"timing\":\"\"}",
        "{\"ver\":2,\"timing\":\"\"}",
        "text",
        "{\"ver\":2,\"timing\":\"\",\"id\":1}",
    ] {
        let (events, _, error) = read(line);
        assert!(events.is_empty() && error.is_some(), "{line}: {error:?}");
    }
    let deep = message(
        "r",
        1,
        0,
        &format!("\"x\":{}1{}", "[".repeat(100_000), "]".repeat(100_000)),
    );
    assert!(read(&deep).2.unwrap().contains("nested deeper than 64"));
    let bad: &[u8] = b"{\"ver\":2,\"id\":1,\"pos\":0,\"timing\":\">1\",\"out_txt\":\"\xff\"}";
    let (events, _, error) = read_all(&mut TlogDecoder::new(bad, import()));
    assert!(events.is_empty() && error.unwrap().contains("not UTF-8"));
}

#[test]
fn long_messages_become_several_events() {
    let text = "x界\\n".repeat(400_000);
    let tlog = message(
        "r",
        1,
        0,
        &format!("\"timing\":\">1200000\",\"out_txt\":\"{text}\""),
    );
    let events = decode(&tlog);
    assert!(bytes_of(&events, true) == "x界\n".repeat(400_000).as_bytes());
    for event in &events {
        if let Body::Data { bytes, .. } = &event.body {
            assert!(bytes.len() < 300_000);
        }
    }
    assert!(events.len() > 5);
    // A skip over millions, a run of nothing, delays of nothing.
    let timing = format!("]1000000/0{}>1", "+0<0>0".repeat(100_000));
    let text = "y".repeat(1_000_001);
    let tlog = message(
        "r",
        1,
        0,
        &format!("\"timing\":\"{timing}\",\"out_txt\":\"{text}\""),
    );
    assert_eq!(bodies(&tlog), [(0, output(b"y"))]);
}

#[test]
fn beginnings_are_known() {
    let ours = shown("r", 1, 0, "x");
    let wrapped = serde_json::json!({"_PID": "1", "MESSAGE": ours.as_str()}).to_string();
    let other = "{\"MESSAGE\":\"Started.\"}\n".to_owned();
    for (beginning, is_tlog) in [
        (ours.as_str(), true),
        (&ours.replace("\":", "\" : "), true),
        (wrapped.as_str(), true),
        (&(other.clone() + &wrapped), true),
        (&ours[..100], true),
        (other.as_str(), false),
        ("{\"version\":2,\"width\":80}", false),
        ("{\"hansard\":1,\"seq\":0,\"ver\":1}", false),
        ("plain \"ver\": \"rec\": \"pos\": text", false),
        ("", false),
    ] {
        assert_eq!(guess(beginning.as_bytes()), is_tlog, "{beginning}");
    }
}
