//! Rules for Rust sources: size, module docs, where sharp tools may be used.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::source::{blanked, functions, without_tests, words};
use crate::tree::{File, files};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// A Rust file: as it stands, its code, and its code outside tests.
struct Source {
    file: &'static File,
    text: &'static str,
    code: String,
    /// Empty in a file that holds tests only.
    shipped: String,
}

fn sources() -> Vec<Source> {
    let tests = test_modules();
    let rust = files().iter().filter(|f| f.has_extension("rs"));
    rust.map(|file| {
        let text = file
            .text()
            .unwrap_or_else(|| panic!("{} is not UTF-8", file.path));
        let code = blanked(text);
        let test = is_test(&file.path) || tests.contains(&file.path);
        let shipped = if test {
            String::new()
        } else {
            without_tests(&code)
        };
        Source {
            file,
            text,
            code,
            shipped,
        }
    })
    .collect()
}

/// Tests aside, and what is no part of a crate's face: `tests/`, `examples/` and the like anywhere
/// in a path.
fn is_test(path: &str) -> bool {
    let aside = ["tests", "examples", "benches", "bench", "fuzz"];
    path.split('/').any(|part| aside.contains(&part))
}

/// The files of modules that are declared `#[cfg(test)] mod name;`, as paths.
fn test_modules() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files().iter().filter(|f| f.has_extension("rs")) {
        let code = blanked(file.text().unwrap_or_default());
        let (directory, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        let inside = match name {
            "lib.rs" | "main.rs" | "mod.rs" => directory.to_owned(),
            other => format!("{directory}/{}", other.trim_end_matches(".rs")),
        };
        for declared in code.split("#[cfg(test)]").skip(1) {
            let words: Vec<&str> = declared.split_whitespace().take(2).collect();
            if let ["mod", name] = words[..]
                && let Some(name) = name.strip_suffix(';')
            {
                found.insert(format!("{inside}/{name}.rs"));
            }
        }
    }
    found
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

#[test]
fn files_and_functions_stay_short() {
    let mut breaches = Vec::new();
    for source in sources() {
        if source.shipped.is_empty() {
            continue;
        }
        let path = &source.file.path;
        let lines = source.text.lines().count() - test_lines(&source);
        if lines > FILE_LINES_MAX {
            breaches.push(format!(
                "{path}: {lines} lines; {FILE_LINES_MAX} are the most"
            ));
        }
        for f in functions(&source.shipped)
            .iter()
            .filter(|f| f.lines > FUNCTION_LINES_MAX)
        {
            breaches.push(format!(
                "{path}:{}: fn {} has {} lines; {FUNCTION_LINES_MAX} are the most",
                f.line, f.name, f.lines
            ));
        }
    }
    assert_none("files and functions stay short enough to read", &breaches);
}

/// Lines that belong to `#[cfg(test)]` items: those with code that is gone once tests are.
fn test_lines(source: &Source) -> usize {
    let mut inside = 0;
    let mut open = false;
    for (code, shipped) in source.code.split('\n').zip(source.shipped.split('\n')) {
        let gone = code.trim() != shipped.trim();
        let blank = code.trim().is_empty();
        // A blank or comment line between two lines of a test is a line of the test.
        open = gone || (open && blank);
        inside += usize::from(open);
    }
    inside
}

#[test]
fn every_file_says_what_it_is() {
    let breaches: Vec<String> = sources()
        .iter()
        .filter(|s| {
            !s.text
                .lines()
                .find(|l| !l.starts_with("#!"))
                .is_some_and(|l| l.starts_with("//! "))
        })
        .map(|s| s.file.path.clone())
        .collect();
    assert_none("every Rust file begins with a module doc (//!)", &breaches);
}

#[test]
fn unsafe_code_lives_in_sys_files() {
    let mut breaches = Vec::new();
    for source in sources().iter().filter(|s| s.file.name() != "sys.rs") {
        for (at, word) in words(&source.code) {
            let lint = word == "unsafe_code" && allows(&source.code[..at]);
            if word == "unsafe" || lint {
                breaches.push(format!(
                    "{}:{}",
                    source.file.path,
                    line_of(&source.code, at)
                ));
            }
        }
    }
    assert_none("unsafe stands only in files named sys.rs", &breaches);
}

/// Whether the attribute that is open at the end of `before` loosens a lint.
fn allows(before: &str) -> bool {
    let attribute = before
        .rfind("#[")
        .max(before.rfind("#!["))
        .map_or("", |i| &before[i..]);
    words(attribute).any(|(_, w)| matches!(w, "allow" | "expect" | "warn"))
}

#[test]
fn only_shell_opens_a_pty() {
    let openers = ["openpty", "posix_openpt", "forkpty", "login_tty"];
    let breaches = mentions(&openers, |path| path.starts_with("crates/shell/"));
    assert_none("only crates/shell opens a pty", &breaches);
}

#[test]
fn core_takes_time_files_and_chance_from_its_caller() {
    let rim = [
        "fs",
        "net",
        "process",
        "env",
        "thread",
        "SystemTime",
        "Instant",
        "File",
        "stdin",
        "stdout",
    ];
    let mut breaches = Vec::new();
    for source in sources()
        .iter()
        .filter(|s| s.file.path.starts_with("crates/core/src/"))
    {
        for line in source.shipped.lines().filter(|l| l.contains("std::")) {
            if let Some((_, word)) = words(line).find(|(_, w)| rim.contains(w)) {
                breaches.push(format!(
                    "{}: std's {word}: {}",
                    source.file.path,
                    line.trim()
                ));
            }
        }
    }
    assert_none(
        "core has no clock, file, socket, process or thread",
        &breaches,
    );
}

#[test]
fn protocols_and_stores_stay_where_they_belong() {
    // An asynchronous runtime never reaches the path between a program and its screen.
    let runtimes: &[&str] = &["tokio", "async_std", "smol", "futures"];
    let rules: [(&[&str], &[&str]); 5] = [
        (
            runtimes,
            &[
                "crates/record/src/forward",
                "crates/capture/",
                "crates/store/",
                "crates/identity/",
                "crates/export/",
                "crates/hansard/src/",
                "crates/hansardd/",
            ],
        ),
        (&["russh"], &["crates/capture/", "crates/hansard/src/ssh"]),
        (
            &[
                "sqlx",
                "rusqlite",
                "tokio_postgres",
                "aws_config",
                "firestore",
            ],
            &["crates/store/"],
        ),
        (&["hansard_store"], &["crates/store/", "crates/hansardd/"]),
        (&["avt"], &["crates/view/"]),
    ];
    let mut breaches = Vec::new();
    for (named, homes) in rules {
        breaches.extend(mentions(named, |path| {
            homes.iter().any(|home| path.starts_with(home))
        }));
    }
    assert_none(
        "a library is used only where ARCHITECTURE.md says",
        &breaches,
    );
}

/// Where code outside tests, in a place that `may` does not allow, has one of these words.
fn mentions(named: &[&str], may: impl Fn(&str) -> bool) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources().iter().filter(|s| !may(&s.file.path)) {
        // Benches and fuzz targets are outside programs, not parts of ours.
        if ["bench/", "fuzz/"]
            .iter()
            .any(|d| source.file.path.starts_with(d))
        {
            continue;
        }
        for (at, word) in words(&source.shipped).filter(|(_, w)| named.contains(w)) {
            let line = line_of(&source.shipped, at);
            breaches.push(format!("{}:{line}: {word}", source.file.path));
        }
    }
    breaches
}

#[test]
fn no_test_is_switched_off_and_nothing_is_left_open() {
    let open_ends = [
        ["FIX", "ME"].concat(),
        ["TO", "DO"].concat(),
        ["XX", "X"].concat(),
    ];
    let mut breaches = Vec::new();
    for source in sources() {
        for (at, _) in words(&source.code).filter(|(_, w)| *w == "ignore") {
            if source.code[..at].trim_end().ends_with("#[") {
                let line = line_of(&source.code, at);
                breaches.push(format!("{}:{line}: an ignored test", source.file.path));
            }
        }
        for (n, line) in source.text.lines().enumerate() {
            if words(line).any(|(_, w)| open_ends.iter().any(|end| end == w)) {
                breaches.push(format!("{}:{}: an open end", source.file.path, n + 1));
            }
        }
    }
    assert_none(
        "no test is ignored, nothing is marked to be done later",
        &breaches,
    );
}

#[test]
fn no_file_is_a_bag() {
    let bags = ["common", "util", "utils", "helpers", "misc"];
    let breaches: Vec<String> = files()
        .iter()
        .map(|f| &f.path)
        .filter(|p| !is_test(p))
        .filter(|p| {
            p.split('/')
                .any(|part| bags.contains(&part.trim_end_matches(".rs")))
        })
        .cloned()
        .collect();
    assert_none("no crate or module is named for being shared", &breaches);
}
