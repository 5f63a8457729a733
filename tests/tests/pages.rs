//! What the pages say about the program is what the program says about itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hansard_tests::{Scratch, hansard, repository};

/// The pages that show commands.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![repository().to_owned(), repository().join("docs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() && directory != repository() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The commands shown on a page, in fences and between backticks, as words.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let pieces: Vec<&str> = match fenced {
            true => line.split(['|', ';', '#', '>']).collect(),
            false => line.split('`').skip(1).step_by(2).collect(),
        };
        for piece in pieces {
            let words: Vec<String> = piece.split_whitespace().map(str::to_owned).collect();
            if words.len() > 1 && words[0] == "hansard" {
                found.push(words[1..].to_vec());
            }
        }
    }
    found
}

fn help(of: &[&str]) -> String {
    let said = Command::new(hansard())
        .args(of)
        .arg("--help")
        .output()
        .expect("hansard starts");
    assert!(
        said.status.success(),
        "hansard {of:?} --help: {}",
        said.status
    );
    String::from_utf8(said.stdout).expect("help is UTF-8")
}

/// The commands that the program has, with their help.
fn subcommands() -> BTreeMap<String, String> {
    let all = help(&[]);
    let listed = all.split("Commands:").nth(1).expect("a list of commands");
    listed
        .lines()
        .skip(1)
        .take_while(|l| l.starts_with("  "))
        .filter_map(|l| l.strip_prefix("  ")?.split_whitespace().next())
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-') && *name != "help")
        .map(|name| (name.to_owned(), help(&[name])))
        .map(|(name, help)| (name.clone(), with_inner(&name, help)))
        .collect()
}

/// The help of a command and of the commands in it.
fn with_inner(name: &str, mut whole: String) -> String {
    let Some(listed) = whole.split("Commands:").nth(1).map(str::to_owned) else {
        return whole;
    };
    let lines = listed.lines().skip(1).take_while(|l| l.starts_with("  "));
    for inner in lines.filter_map(|l| l.split_whitespace().next()) {
        if inner != "help" {
            whole.push_str(&help(&[name, inner]));
        }
    }
    whole
}

fn breaches(path: &Path, programs: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for words in commands(&fs::read_to_string(path).unwrap()) {
        let Some(help) = programs.get(&words[0]) else {
            found.push(format!(
                "{}: hansard {}: no such command",
                path.display(),
                words[0]
            ));
            continue;
        };
        let options = words.iter().take_while(|w| *w != "--").filter_map(|w| {
            let word = w.trim_matches(['[', ']']);
            (word.len() > 2 && word.starts_with("--"))
                .then(|| word.split('=').next().unwrap_or(word))
        });
        for option in options.filter(|option| !help.split([' ', ',', '\n']).any(|h| h == *option)) {
            found.push(format!(
                "{}: hansard {} has no {option}",
                path.display(),
                words[0]
            ));
        }
    }
    found
}

#[test]
fn commands_on_pages_exist() {
    let programs = subcommands();
    assert!(
        programs.contains_key("rec") && programs.contains_key("verify"),
        "{programs:?}"
    );
    let found: Vec<String> = pages()
        .iter()
        .flat_map(|page| breaches(page, &programs))
        .collect();
    assert!(
        found.is_empty(),
        "pages show what is not there:\n  {}",
        found.join("\n  ")
    );
}

#[test]
fn every_command_is_on_a_page() {
    let shown: Vec<String> = pages()
        .iter()
        .flat_map(|page| commands(&fs::read_to_string(page).unwrap()))
        .map(|words| words[0].clone())
        .collect();
    let missing: Vec<String> = subcommands()
        .into_keys()
        .filter(|name| !shown.contains(name))
        .collect();
    assert!(missing.is_empty(), "no page shows {missing:?}");
}

#[test]
fn every_command_has_a_man_page_and_completions() {
    let scratch = Scratch::new("man");
    let status = Command::new(hansard())
        .arg("man")
        .arg(scratch.path())
        .status()
        .unwrap();
    assert!(status.success(), "hansard man: {status}");
    let completions = Command::new(hansard())
        .args(["completions", "bash"])
        .output()
        .unwrap();
    let completions = String::from_utf8(completions.stdout).unwrap();
    for name in subcommands().keys() {
        let page = fs::read_to_string(scratch.join(&format!("hansard-{name}.1"))).unwrap();
        assert!(page.starts_with(".ie") || page.contains(".TH"), "{page}");
        assert!(
            completions.contains(name.as_str()),
            "completions lack {name}"
        );
    }
}
