//! Just enough of Rust's surface to find code: comments and literals blanked, test modules and
//! functions delimited by their braces.

/// A file's code with comments, string and character literals replaced by spaces. Lines stay.
pub(crate) fn blanked(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut i = 0;
    while i < chars.len() {
        let end = skipped_end(&chars, i);
        if end == i {
            out.push(chars[i]);
            i += 1;
        } else {
            out.extend(
                chars[i..end]
                    .iter()
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            i = end;
        }
    }
    out
}

/// Where the comment or literal that begins at `i` ends; `i` itself if none begins there.
fn skipped_end(chars: &[char], i: usize) -> usize {
    let at = |k: usize| chars.get(k).copied().unwrap_or('\0');
    let in_word = i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_');
    match (at(i), at(i + 1)) {
        ('/', '/') => chars[i..]
            .iter()
            .position(|c| *c == '\n')
            .map_or(chars.len(), |n| i + n),
        ('/', '*') => block_comment_end(chars, i),
        ('"', _) => quoted_end(chars, i + 1, '"'),
        ('b' | 'c', '"') if !in_word => quoted_end(chars, i + 2, '"'),
        ('b', '\'') if !in_word => quoted_end(chars, i + 2, '\''),
        ('r', '"' | '#') if !in_word => raw_end(chars, i, i + 1),
        ('b' | 'c', 'r') if !in_word && matches!(at(i + 2), '"' | '#') => raw_end(chars, i, i + 2),
        // A character literal, not a lifetime.
        ('\'', '\\') => quoted_end(chars, i + 1, '\''),
        ('\'', _) if at(i + 2) == '\'' => i + 3,
        _ => i,
    }
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut i) = (0usize, start);
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    i
}

fn quoted_end(chars: &[char], mut i: usize, quote: char) -> usize {
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            c if c == quote => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// A raw string whose hashes begin at `hashes`; `start` if it is none (`r#type`).
fn raw_end(chars: &[char], start: usize, hashes: usize) -> usize {
    let count = chars[hashes..].iter().take_while(|c| **c == '#').count();
    if chars.get(hashes + count) != Some(&'"') {
        return start;
    }
    let mut i = hashes + count + 1;
    while i < chars.len() {
        let closed = chars[i] == '"'
            && chars.len() > i + count
            && chars[i + 1..=i + count].iter().all(|c| *c == '#');
        if closed {
            return i + 1 + count;
        }
        i += 1;
    }
    chars.len()
}

/// Blanked code with the bodies of `#[cfg(test)]` items blanked too.
pub(crate) fn without_tests(blanked: &str) -> String {
    let mut code = blanked.to_owned();
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(test)]") {
        let start = from + found;
        let rest = &code[start..];
        let end = match (rest.find('{'), rest.find(';')) {
            (Some(open), semicolon) if semicolon.is_none_or(|s| open < s) => {
                start + block_end(rest, open)
            }
            (_, Some(semicolon)) => start + semicolon + 1,
            _ => code.len(),
        };
        let kept: String = code[start..end].chars().filter(|c| *c == '\n').collect();
        code.replace_range(start..end, &kept);
        from = start;
    }
    code
}

/// Just after the brace that closes the one at `open`.
fn block_end(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (i, c) in code.char_indices().skip_while(|(i, _)| *i < open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    code.len()
}

/// A function: its name, the line it begins on (from 1) and how many lines it has.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// The functions with a body in blanked code.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (start, _) in words(code).filter(|(_, word)| *word == "fn") {
        let rest = &code[start..];
        let name: String = rest[2..]
            .trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        // `fn(u8)` is a type; a declaration ends before it has a body.
        if name.is_empty() {
            continue;
        }
        let Some(open) = body_start(rest) else {
            continue;
        };
        let lines = rest[..block_end(rest, open)].matches('\n').count() + 1;
        found.push(Function {
            name,
            line: code[..start].matches('\n').count() + 1,
            lines,
        });
    }
    found
}

/// Where the body of the function whose `fn` begins `rest` opens; none for a declaration. A `;` in
/// brackets belongs to an array type.
fn body_start(rest: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (i, c) in rest.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.checked_sub(1)?,
            '{' if depth == 0 => return Some(i),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The words of blanked code, with where each begins.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = code;
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = rest.find(is_word)?;
        let after = &rest[begin..];
        let length = after.find(|c| !is_word(c)).unwrap_or(after.len());
        let item = (at + begin, &after[..length]);
        at += begin + length;
        rest = &after[length..];
        Some(item)
    })
}

#[test]
fn literals_and_comments_are_not_code() {
    let source = "a /* x /* y */ } */ b \"{ \\\" }\" c r#\"\"}\"# '{' '\\'' 'x: b'\\n' // {\nd";
    let code = blanked(source);
    assert_eq!(
        code.matches('{').count() + code.matches('}').count(),
        0,
        "{code}"
    );
    assert_eq!(
        words(&code).map(|(_, w)| w).collect::<Vec<_>>(),
        ["a", "b", "c", "x", "d"]
    );
    assert_eq!(code.matches('\n').count(), source.matches('\n').count());
}

#[test]
fn functions_are_measured_to_their_closing_brace() {
    let source = "fn one() {}\nfn two(a: [u8; 3]) -> fn(u8) {\n  let s = \"}\";\n}\nfn none();\n\
        #[cfg(test)]\nmod tests {\n  fn three() {\n  }\n}\n";
    let lengths = |code: &str| -> Vec<(String, usize, usize)> {
        functions(code)
            .into_iter()
            .map(|f| (f.name, f.line, f.lines))
            .collect()
    };
    let code = blanked(source);
    assert_eq!(
        lengths(&code),
        [
            ("one".into(), 1, 1),
            ("two".into(), 2, 3),
            ("three".into(), 8, 2)
        ]
    );
    assert_eq!(
        lengths(&without_tests(&code)),
        [("one".into(), 1, 1), ("two".into(), 2, 3)]
    );
}
