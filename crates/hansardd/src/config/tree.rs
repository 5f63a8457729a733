//! YAML as a tree with places: mappings, lists and scalars as they were written, each with its line
//! and column. Nothing is guessed: a scalar stays text until a key says what it must be, so `1.10`
//! is no number and `no` is no switch.
//!
//! Anchors, aliases, tags, merge keys and second documents are refused, which leaves nothing to
//! expand: a file costs at most what it is long.

use std::fmt;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span};

/// Longest configuration, bytes. A longer one is refused before it is read.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Deepest nesting of mappings and lists; deeper is refused at the line where it happens.
pub const CONFIG_DEPTH_MAX: usize = 16;

/// Most mappings, lists and scalars together; more is refused.
pub const CONFIG_NODES_MAX: usize = 50_000;

/// Most keys of one mapping; more is refused.
pub const CONFIG_KEYS_MAX: usize = 1000;

/// Where something stands in the file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Place {
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        Self {
            line: span.start.line(),
            column: span.start.col().saturating_add(1),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A part of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    pub(super) place: Place,
    pub(super) node: Node,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Nothing, `~` or `null`.
    Null,
    /// Text as it was written, quotes and escapes resolved.
    Scalar(String),
    List(Vec<Tree>),
    /// Keys in the file's order, each once.
    Map(Vec<(String, Place, Tree)>),
}

impl Tree {
    /// An empty mapping.
    pub(super) fn empty() -> Self {
        Self {
            place: Place::START,
            node: Node::Map(Vec::new()),
        }
    }

    /// The value at this path of keys and numbers; the nearest one above it where there is none.
    pub(super) fn at(&self, path: &str) -> &Self {
        let mut found = self;
        for name in path.split('.') {
            let below = match &found.node {
                Node::Map(entries) => entries.iter().find(|(key, ..)| key == name),
                Node::List(items) => {
                    let item = name.parse::<usize>().ok().and_then(|n| items.get(n));
                    match item {
                        Some(item) => {
                            found = item;
                            continue;
                        }
                        None => None,
                    }
                }
                _ => None,
            };
            match below {
                Some((_, _, below)) => found = below,
                None => return found,
            }
        }
        found
    }

    /// What it is, for a message. Never its content.
    pub(super) fn what(&self) -> &'static str {
        match self.node {
            Node::Null => "nothing",
            Node::Scalar(_) => "a single value",
            Node::List(_) => "a list",
            Node::Map(_) => "a mapping",
        }
    }
}

/// Why a file is no configuration at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) place: Place,
    pub(super) what: String,
    pub(super) next: &'static str,
}

impl Malformed {
    fn new(place: impl Into<Place>, what: impl Into<String>, next: &'static str) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
            next,
        }
    }
}

/// Reads a file's text. An empty one is an empty mapping.
pub(super) fn parse(text: &str) -> Result<Tree, Malformed> {
    parse_within(text, CONFIG_NODES_MAX)
}

/// The same with another bound to mappings, lists and scalars together.
pub(super) fn parse_within(text: &str, nodes_max: usize) -> Result<Tree, Malformed> {
    let mut options = Options::default();
    options.flow_nesting_limit = CONFIG_DEPTH_MAX;
    options.block_nesting_limit = CONFIG_DEPTH_MAX;
    let mut builder = Builder {
        nodes_max,
        ..Builder::default()
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let marker = error.marker();
            let place = Place {
                line: marker.line(),
                column: marker.col().saturating_add(1),
            };
            // The kind of the error only: its text could repeat what stands there.
            let what = error.kind().to_string();
            Malformed::new(place, what, "see https://yaml.org for how it is written")
        })?;
        builder.take(event, span)?;
    }
    Ok(builder.root.unwrap_or_else(Tree::empty))
}

/// A mapping or list that is being read.
struct Open {
    place: Place,
    node: Node,
    /// The key that waits for its value.
    key: Option<(String, Place)>,
}

/// Events → tree, without recursion.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Tree>,
    nodes: usize,
    nodes_max: usize,
    documents: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Malformed> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Malformed::new(
                        span,
                        "a second document begins here",
                        "keep everything in one document, without `---` between",
                    ));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                plain(span, anchor, tag.is_some())?;
                let is_null =
                    style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null");
                let node = match is_null {
                    true => Node::Null,
                    false => Node::Scalar(text.into_owned()),
                };
                self.count(span)?;
                self.value(Tree {
                    place: span.into(),
                    node,
                })
            }
            Event::SequenceStart(_, anchor, tag) => {
                plain(span, anchor, tag.is_some())?;
                self.begin(span, Node::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                plain(span, anchor, tag.is_some())?;
                self.begin(span, Node::Map(Vec::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { place, node, .. }) => self.value(Tree { place, node }),
                None => Ok(()),
            },
            Event::Alias(_) | Event::UnresolvedAlias(_) => Err(repeated(span)),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, span: Span, node: Node) -> Result<(), Malformed> {
        self.count(span)?;
        if self.open.len() >= CONFIG_DEPTH_MAX {
            return Err(Malformed::new(
                span,
                format!("more than {CONFIG_DEPTH_MAX} levels deep"),
                "no key is that deep; look for a missing line break or bracket",
            ));
        }
        self.open.push(Open {
            place: span.into(),
            node,
            key: None,
        });
        Ok(())
    }

    fn count(&mut self, span: Span) -> Result<(), Malformed> {
        self.nodes += 1;
        match self.nodes > self.nodes_max {
            true => Err(Malformed::new(
                span,
                format!("more than {} values", self.nodes_max),
                "this is no file of hansardd",
            )),
            false => Ok(()),
        }
    }

    /// Puts a whole value where it belongs.
    fn value(&mut self, tree: Tree) -> Result<(), Malformed> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(tree);
            return Ok(());
        };
        match &mut open.node {
            Node::List(items) => items.push(tree),
            Node::Map(entries) => match open.key.take() {
                Some((key, place)) => entries.push((key, place, tree)),
                None => open.key = Some(new_key(tree, entries)?),
            },
            Node::Null | Node::Scalar(_) => {}
        }
        Ok(())
    }
}

/// A key of a mapping: text, and not there yet.
fn new_key(tree: Tree, entries: &[(String, Place, Tree)]) -> Result<(String, Place), Malformed> {
    let Node::Scalar(key) = tree.node else {
        let what = format!("a key must be a word; here is {}", tree.what());
        return Err(Malformed::new(tree.place, what, "write `key: value`"));
    };
    if key == "<<" {
        return Err(repeated(tree.place));
    }
    if entries.len() >= CONFIG_KEYS_MAX {
        let what = format!("more than {CONFIG_KEYS_MAX} keys in one mapping");
        return Err(Malformed::new(tree.place, what, "remove some"));
    }
    if let Some((_, first, _)) = entries.iter().find(|(there, ..)| *there == key) {
        let what = format!(
            "{} is there twice; the first is in line {}",
            super::quoted(&key),
            first.line
        );
        return Err(Malformed::new(tree.place, what, "remove one of them"));
    }
    Ok((key, tree.place))
}

fn plain(span: Span, anchor: usize, is_tagged: bool) -> Result<(), Malformed> {
    if is_tagged {
        let next = "write the value without `!…` before it";
        return Err(Malformed::new(span, "tags are not used here", next));
    }
    match anchor {
        0 => Ok(()),
        _ => Err(repeated(span)),
    }
}

fn repeated(place: impl Into<Place>) -> Malformed {
    let what = "anchors, aliases and merge keys are not used here";
    Malformed::new(place, what, "write the value out in each place")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Malformed {
        parse(text).unwrap_err()
    }

    #[test]
    fn scalars_stay_as_they_are_written() {
        let tree = parse("a: 1.10\nb: 'no'\nc: ~\nd:\ne: \"\"\n").unwrap();
        let Node::Map(entries) = tree.node else {
            panic!()
        };
        let nodes: Vec<_> = entries.iter().map(|(_, _, t)| &t.node).collect();
        assert_eq!(nodes[0], &Node::Scalar("1.10".into()));
        assert_eq!(nodes[1], &Node::Scalar("no".into()));
        assert_eq!((nodes[2], nodes[3]), (&Node::Null, &Node::Null));
        assert_eq!(nodes[4], &Node::Scalar(String::new()));
        assert_eq!(entries[1].1, Place { line: 2, column: 1 });
        assert_eq!(entries[1].2.place, Place { line: 2, column: 4 });
        assert_eq!(parse("").unwrap(), Tree::empty());
        assert_eq!(parse("# only a comment\n").unwrap(), Tree::empty());
    }

    #[test]
    fn nothing_is_expanded() {
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
        assert!(refused(bomb).what.contains("aliases"));
        assert_eq!(refused(bomb).place.line, 1);
        assert!(refused("a: {<<: {b: 1}}").what.contains("merge"));
        assert!(refused("a: *nobody").place.line == 1);
        assert!(refused("a: !!int 3").what.contains("tags"));
        assert!(
            refused("a: 1\n---\nb: 2\n")
                .what
                .contains("second document")
        );
    }

    #[test]
    fn depth_and_number_are_bounded() {
        for (open, close) in [("[", "]"), ("{a: ", "}")] {
            let deep = format!("x: {}{}", open.repeat(2000), close.repeat(2000));
            let said = refused(&deep);
            assert_eq!(said.place.line, 1, "{said:?}");
        }
        let steps: String = (0..200).map(|i| format!("{}k:\n", " ".repeat(i))).collect();
        assert!(refused(&steps).place.line <= CONFIG_DEPTH_MAX + 2);
        let wide = format!("x: [{}]", "a, ".repeat(CONFIG_NODES_MAX));
        assert!(refused(&wide).what.contains("values"));
    }

    #[test]
    fn a_key_stands_once() {
        let said = refused("node:\n  name: a\n  labels: {}\n  name: b\n");
        assert_eq!(said.place, Place { line: 4, column: 3 });
        assert!(said.what.contains("line 2"), "{}", said.what);
        assert!(refused("? [a]\n: b\n").what.contains("a list"));
    }

    #[test]
    fn what_is_no_yaml_has_a_place_and_shows_nothing_of_the_text() {
        let said = refused("a: 1\nb: [s3cr3t\n");
        assert!(said.place.line >= 2, "{said:?}");
        assert!(!said.what.contains("s3cr3t"), "{}", said.what);
        let said = refused("token: \"s3cr3t\nb: 2\n");
        assert!(!said.what.contains("s3cr3t"), "{}", said.what);
    }
}
