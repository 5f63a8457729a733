//! Chromium at the application, led by `web/tests/browser.mjs`.

use std::process::{Command, Stdio};

use hansard_tests::{in_ci, repository, skipped};

use crate::place::{PASSWORD, Place, WATCHED};

/// Where Debian has the browser.
pub(crate) const CHROMIUM: &str = "/usr/bin/chromium";

/// Whether there is a browser, and what leads it. Where something may be skipped, it is said what is.
pub(crate) fn is_here() -> bool {
    let tools = repository().join("web/node_modules/playwright-core");
    let is_here = std::path::Path::new(CHROMIUM).exists() && tools.exists();
    if !in_ci() && !is_here {
        skipped("no chromium, or no web/node_modules: `make needs-test web-tools`");
    }
    in_ci() || is_here
}

/// Leads it by one of the scripts in `web/tests`, which must succeed; how many steps it took.
pub(crate) fn led(script: &str, origin: &str, told: &[(&str, &str)]) -> usize {
    let done = Command::new("node")
        .arg(repository().join("web/tests").join(script))
        .env("ORIGIN", origin)
        .env("PASSWORD", PASSWORD)
        .env("CHROMIUM", CHROMIUM)
        .envs(told.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("node starts");
    let said = String::from_utf8_lossy(&done.stdout);
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}\n{complaint}");
    said.lines().filter(|line| line.starts_with("ok ")).count()
}

/// What a hostile user would call things: each would do something where it were taken for markup.
const HOSTILE: &str = "<img src=x onerror=window.hit=1><script>window.hit=1</script>\"'`;--&lt;";

/// Stands on one page of a book, and nowhere else.
pub(crate) const WORD: &str = "marsupial";

/// Whether the kernel tells what sessions do.
pub(crate) fn is_watched() -> bool {
    let support = hansard_capture::host::support();
    if let Err(why) = &support {
        assert!(!in_ci(), "{why}: {}", why.next);
        skipped(&format!("programs beside the screen: {why}"));
    }
    support.is_ok()
}

/// A book is read in a pager: what is on its later pages was only ever on the pager's screen.
pub(crate) fn read_a_book(place: &Place) {
    let line = |n: u32| match n {
        61 => format!("line {n}: the quokka is a small {WORD}\n"),
        _ => format!("line {n} of a long book\n"),
    };
    let book: String = (1..=120).map(line).collect();
    std::fs::write(place.scratch.join("book.txt"), book).unwrap();
    let steps = "wait desk>\ntype less book.txt\\r\nwait line 5 of\npause 1\ntype f\n\
        wait line 40 of\npause 1\ntype f\nwait quokka\npause 1\ntype q\nwait desk>\n\
        type exit\\r\n";
    place.person("a book", steps);
}

#[test]
fn the_application_in_a_browser() {
    if !is_here() {
        return;
    }
    let is_watched = is_watched();
    let mut place = match is_watched {
        true => Place::capturing("web-browser", WATCHED),
        false => Place::new("web-browser"),
    };
    let made = place.user("ada", "admin", &[]);
    place.user("eve", "user", &["--no-totp"]);
    // A session on a terminal, with pauses, colours, a character of two cells, and questions to the
    // terminal, which must go nowhere.
    let shown = "printf '\\033[c\\033[6n\\033]11;?\\007first line\\r\\n'; sleep 1; \
        printf '\\033[1;31mred words\\033[0m \\347\\225\\214 end\\r\\n'; sleep 4; \
        printf 'needle in the middle\\r\\n'; sleep 1; printf 'last line\\r\\n'";
    let mut played = place.record("played", shown);
    let hostile = format!("printf '%s\\n' '{}'", HOSTILE.replace('\'', ""));
    let mut named = place.record(HOSTILE, &hostile);
    let mut live = place.record("going on", "while date +begun-%s%N; do sleep 0.2; done");
    read_a_book(&place);
    played.wait().unwrap();
    named.wait().unwrap();
    let sid = |title: &str, ended: bool| {
        place.session(title, ended)["sid"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let script = repository().join("web/tests/browser.mjs");
    let done = Command::new("node")
        .arg(script)
        .env("ORIGIN", &place.origin)
        .env("PASSWORD", PASSWORD)
        .env("TOTP", made["totp_secret"].as_str().unwrap())
        .env("PLAYED", sid("played", true))
        .env("HOSTILE", sid(HOSTILE, true))
        .env("BOOK", sid("a book", true))
        .env("WORD", WORD)
        .env("WATCHED", if is_watched { "1" } else { "" })
        .env("LIVE", sid("going on", false))
        .env("CHROMIUM", CHROMIUM)
        .env("PROFILE", place.scratch.path())
        .stdin(Stdio::null())
        .output();
    let _ = live.kill();
    let _ = live.wait();
    let done = done.expect("node starts");
    let said = String::from_utf8_lossy(&done.stdout);
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}\n{complaint}");
    let steps = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(steps >= 10, "only {steps} steps:\n{said}");
    // Looks and endings are on record, whatever became of the page.
    let looks = place.events("session.recording.access");
    let of = |format: &str| looks.iter().filter(|look| look["format"] == format).count();
    assert!(of("player") >= 1 && of("live") >= 1, "{looks:?}");
    // And so is what was searched for.
    let searched = place.events("session.search");
    let is_word = |search: &&serde_json::Value| search["query"] == WORD;
    assert!(searched.iter().any(|s| is_word(&s)), "{searched:?}");
    let killed = place.events("session.kill");
    assert_eq!(killed[0]["reason"], "seen enough", "{killed:?}");
    place.daemon.stop();
}
