//! Lines of which who sat there may not have seen something.

use super::Made;

#[test]
fn hidden_text_is_flagged() {
    let mut made = Made::default();
    made.shows("open\r\n\x1b[8mthe secret\x1b[0m\r\n\x1b[31;41mred on red\x1b[0m\r\n");
    let all = made.all();
    let flags: Vec<_> = all
        .iter()
        .map(|t| (t.text.as_str(), t.is_concealed, t.is_blended))
        .collect();
    assert_eq!(
        flags,
        [
            ("open", false, false),
            ("the secret", true, false),
            ("red on red", false, true)
        ]
    );
}

#[test]
fn every_hidden_line_of_a_write_is_flagged_and_no_other() {
    let (on, off) = ("\x1b[8m", "\x1b[0m");
    for (text, hidden, open) in [
        (
            format!("alpha {on}zorkone{off}\r\nbeta {on}zorktwo{off}\r\n"),
            vec!["alpha zorkone", "beta zorktwo"],
            vec![],
        ),
        // Two of one line, and the same letters where everybody sees them.
        (
            format!("a {on}one{off} and {on}two{off}\r\ntwo\r\nonetwo\r\n"),
            vec!["a one and two"],
            vec!["two", "onetwo"],
        ),
        // Letter by letter, from behind, and moved by what is put before it.
        (
            format!("\x1b[1;4H{on}k\x1b[1;3Hr\x1b[1;2Ho\x1b[1;1Hz{off}\r\x1b[2@ok\r\n"),
            vec!["okzork"],
            vec![],
        ),
        // What scrolls away, wraps, is repeated, and is brought back by a cursor that was saved.
        (
            format!("{on}{}{off}{}", "zork".repeat(30), "\r\n".repeat(40)),
            vec!["zork".repeat(30).leak()],
            vec![],
        ),
        (
            format!("{on}z\x1b[3b\x1b[s{off}\r\nopen\x1b[u!\r\n"),
            vec!["zzzz!"],
            vec!["open"],
        ),
        // What blinks is seen.
        ("\x1b[5mblink\x1b[0m\r\n".to_owned(), vec![], vec!["blink"]),
        // One line of two equal ones.
        (format!("zork\r\n{on}zork{off}\r\n"), vec!["zork"], vec![]),
    ] {
        let mut made = Made::default();
        let all = made.shows(&text).all();
        let of = |is_concealed| {
            let those = all.iter().filter(move |t| t.is_concealed == is_concealed);
            those.map(|t| t.text.as_str()).collect::<Vec<_>>()
        };
        assert_eq!((of(true), of(false)), (hidden, open), "{text:?}");
    }
}

#[test]
fn a_colour_is_the_same_however_it_is_written() {
    for (text, is_blended) in [
        ("\x1b[31;41mx", true),
        ("\x1b[38;5;9;101mx", true),
        ("\x1b[38;5;196;48;2;255;0;0mx", true),
        ("\x1b[48;5;232;38;2;8;8;8mx", true),
        ("\x1b[38;5;110;48;2;135;175;215mx", true),
        ("\x1b[38;5;196;48;2;255;0;1mx", false),
        ("\x1b[31;42mx", false),
    ] {
        let mut made = Made::default();
        let all = made.shows(text).all();
        assert_eq!(all[0].is_blended, is_blended, "{text:?}");
    }
}
