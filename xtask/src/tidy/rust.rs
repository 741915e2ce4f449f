//! As much of Rust as the rules need: code without comments and strings, functions, and what is test code.

/// A function and how many lines it covers.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// The text with comments, strings and characters blanked; every other byte stays where it was.
pub(super) fn code_only(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = skip_to(&bytes, at);
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut bytes[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The end of the comment, string or character that begins at `at`, or `at` itself.
fn skip_to(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let inside_word = at > 0 && is_word(bytes[at - 1]);
    match rest {
        [b'/', b'/', ..] => {
            at + rest
                .iter()
                .position(|&byte| byte == b'\n')
                .unwrap_or(rest.len())
        }
        [b'/', b'*', ..] => at + block_comment(rest),
        [b'"', ..] => at + quoted(rest),
        [b'r', b'"' | b'#', ..] if !inside_word => at + raw_string(rest, 1),
        [b'b', b'r', b'"' | b'#', ..] if !inside_word => at + raw_string(rest, 2),
        [b'\'', b'\\', tail @ ..] => {
            at + 3
                + tail
                    .iter()
                    .skip(1)
                    .position(|&byte| byte == b'\'')
                    .unwrap_or(0)
                + 1
        }
        [b'\'', tail @ ..] => at + character(tail),
        _ => at,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn raw_string(rest: &[u8], prefix: usize) -> usize {
    let hashes = rest[prefix..]
        .iter()
        .take_while(|&&byte| byte == b'#')
        .count();
    if rest.get(prefix + hashes) != Some(&b'"') {
        return 0;
    }
    let end: Vec<u8> = std::iter::once(b'"')
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    let body = prefix + hashes + 1;
    let length = rest[body..]
        .windows(end.len())
        .position(|window| window == end);
    length.map_or(rest.len(), |length| body + length + end.len())
}

/// A character ends with a quote after one character; a lifetime does not.
fn character(tail: &[u8]) -> usize {
    let width = match tail.first() {
        Some(0xF0..) => 4,
        Some(0xE0..) => 3,
        Some(0xC0..) => 2,
        _ => 1,
    };
    if tail.get(width) == Some(&b'\'') {
        width + 2
    } else {
        0
    }
}

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Every function with a body, nested ones too.
pub(super) fn functions(code: &str) -> Vec<Function> {
    let bytes = code.as_bytes();
    let mut functions = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if at > 0 && is_word(bytes[at - 1]) {
            continue;
        }
        let name: String = code[at + 3..]
            .chars()
            .take_while(|&c| c.is_alphanumeric() || c == '_')
            .collect();
        let Some(end) = body_end(bytes, at) else {
            continue;
        };
        if !name.is_empty() {
            functions.push(Function {
                name,
                line: line_of(code, at),
                lines: code[at..end].matches('\n').count() + 1,
            });
        }
    }
    functions
}

/// The line of a byte, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Where the item that begins at `at` ends, if it has a body in braces.
fn body_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut brackets = 0_usize;
    let mut braces = 0_usize;
    for (offset, byte) in bytes[at..].iter().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b'{' => braces += 1,
            b'}' if braces == 1 => return Some(at + offset + 1),
            b'}' => braces = braces.saturating_sub(1),
            b';' if braces == 0 && brackets == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The bytes of code that only tests run: items under `#[cfg(test)]`, or everything in a file of tests.
pub(super) fn test_code(path: &str, code: &str) -> Vec<std::ops::Range<usize>> {
    const MARK: &str = "#[cfg(test)]";
    if path.contains("/tests/") || path.ends_with("/tests.rs") {
        return std::iter::once(0..code.len()).collect();
    }
    let marks = code.match_indices(MARK).map(|(at, _)| at + MARK.len());
    marks
        .filter_map(|at| body_end(code.as_bytes(), at).map(|end| at..end))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_blanked() {
        let text = "a // {\nb /* { /* } */ { */ \"\\\"{\" r#\"{\"{\"# b'{' '\\'' '\\n' 'é' &'a str";
        let code = code_only(text);
        assert_eq!(code.len(), text.len());
        assert!(!code.contains('{'), "{code}");
        assert_eq!(
            code.split_whitespace().collect::<Vec<_>>(),
            ["a", "b", "b", "&'a", "str"]
        );
    }

    #[test]
    fn a_function_covers_its_lines_from_fn_to_brace() {
        let found = functions(&code_only(
            "fn one() {\n}\ntrait T { fn none(&self) -> [u8; 4]; }\nfn two(\n a: fn(u8),\n) {\n if a { b }\n}\n",
        ));
        let facts: Vec<_> = found
            .iter()
            .map(|f| (f.name.as_str(), f.line, f.lines))
            .collect();
        assert_eq!(facts, [("one", 1, 2), ("two", 4, 5)]);
    }

    #[test]
    fn test_code_is_what_follows_the_mark() {
        let code = "#[cfg(test)]\nmod tests;\nfn real() {}\n#[cfg(test)]\nmod more { fn x() {} }\nfn after() {}";
        let ranges = test_code("src/a.rs", code);
        assert_eq!(ranges.len(), 1);
        assert!(code[ranges[0].clone()].contains("more"));
        assert!(!code[ranges[0].clone()].contains("after"));
        assert_eq!(
            test_code("src/a/tests.rs", "fn x() {}").first(),
            Some(&(0..9))
        );
    }
}
