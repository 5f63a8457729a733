//! Rules for pages: links lead somewhere, every page is reachable, commands named exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hansard_tests::repository;

use crate::assert_none;
use crate::tree::files;

/// A page's lines outside fenced code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(n, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((n + 1, line))
    })
}

/// The targets of a page's links and pictures.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (n, line) in prose(text) {
        let mut rest = line;
        while let Some(open) = rest.find("](") {
            rest = &rest[open + 2..];
            let target: String = rest
                .chars()
                .take_while(|c| !matches!(c, ')' | ' '))
                .collect();
            found.push((n, target));
        }
    }
    found
}

/// The anchors of a page's headings, as web views of repositories make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|(_, line)| line.starts_with('#'));
    headings
        .map(|(_, line)| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// Path from the top of what `target`, written on the page `from`, means.
fn resolved(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

fn pages() -> BTreeMap<&'static str, &'static str> {
    let all = files().iter().filter(|f| f.has_extension("md"));
    all.filter_map(|f| Some((f.path.as_str(), f.text()?)))
        .collect()
}

fn is_outside(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let mut breaches = Vec::new();
    for (path, text) in &pages {
        for (n, target) in links(text) {
            if is_outside(&target) {
                continue;
            }
            let (page, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let page = if page.is_empty() {
                (*path).to_owned()
            } else {
                resolved(path, page)
            };
            let there = page.is_empty() || repository().join(Path::new(&page)).exists();
            let anchored = anchor.is_empty()
                || pages
                    .get(page.as_str())
                    .is_some_and(|text| anchors(text).contains(anchor));
            if !there || !anchored {
                breaches.push(format!("{path}:{n}: {target}"));
            }
        }
    }
    assert_none("links between pages lead somewhere", &breaches);
}

#[test]
fn every_page_is_reachable_from_the_readme() {
    let pages = pages();
    let mut reached = BTreeSet::new();
    let mut next = vec!["README.md".to_owned()];
    while let Some(path) = next.pop() {
        let Some(text) = pages.get(path.as_str()) else {
            continue;
        };
        if !reached.insert(path.clone()) {
            continue;
        }
        for (_, target) in links(text).iter().filter(|(_, t)| !is_outside(t)) {
            next.push(resolved(&path, target.split('#').next().unwrap_or(target)));
        }
    }
    let breaches: Vec<String> = pages
        .keys()
        // What lies beside test data says where that came from, to whoever stands there.
        .filter(|p| !p.starts_with("formats/golden/") && !p.contains("/tests/"))
        .filter(|p| !reached.contains(**p))
        .map(|p| (*p).to_owned())
        .collect();
    assert_none("every page is reached by links from README.md", &breaches);
}

#[test]
fn pages_name_targets_that_the_makefile_has() {
    let Some(makefile) = files().iter().find(|f| f.path == "Makefile") else {
        return;
    };
    let targets: BTreeSet<&str> = makefile
        .text()
        .unwrap()
        .lines()
        .filter(|l| !l.starts_with(['\t', '#', ' ', '.']) && !l.contains('='))
        .filter_map(|l| l.split_once(':'))
        .flat_map(|(names, _)| names.split_whitespace())
        .collect();
    let mut breaches = Vec::new();
    for (path, text) in pages() {
        for (n, line) in prose(text) {
            let named = line.split('`').skip(1).step_by(2).filter_map(|c| {
                let at = c
                    .find("make ")
                    .filter(|at| *at == 0 || c[..*at].ends_with(' '))?;
                c[at + 5..].split(' ').next()
            });
            for name in named.filter(|name| !targets.contains(name)) {
                breaches.push(format!("{path}:{n}: make {name}"));
            }
        }
    }
    assert_none("pages name only targets of the Makefile", &breaches);
}

#[test]
fn pages_end_their_fences() {
    let breaches: Vec<String> = pages()
        .iter()
        .filter(|(_, text)| {
            text.lines()
                .filter(|l| l.trim_start().starts_with("```"))
                .count()
                % 2
                == 1
        })
        .map(|(path, _)| (*path).to_owned())
        .collect();
    assert_none("every fence that a page opens is closed", &breaches);
}
