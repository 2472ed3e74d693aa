//! Rust's source as words, without a parser: enough to find the names in it.

/// The source with spaces for comments, strings and characters. Lines stay where they are.
pub(super) fn blank(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (skipped, kept) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), 0),
            '/' if rest.starts_with("/*") => (comment(rest), 0),
            '"' => (string(rest), 0),
            'r' => match raw_string(rest) {
                Some(length) => (length, 0),
                None => (0, 1),
            },
            '\'' => (character(rest), 1),
            _ => (0, first.len_utf8()),
        };
        if skipped == 0 {
            out.push_str(&rest[..kept]);
            rest = &rest[kept..];
        } else {
            let blank = |c| if c == '\n' { '\n' } else { ' ' };
            out.extend(rest[..skipped].chars().map(blank));
            rest = &rest[skipped..];
        }
    }
    out
}

/// Length of a block comment; they nest.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    for (at, two) in text.as_bytes().windows(2).enumerate() {
        match two {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 2;
        }
    }
    text.len()
}

/// Length of a string.
fn string(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|b| {
        let end = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        end
    });
    end.map_or(text.len(), |end| end + 2)
}

/// Length of a raw string, if it is one.
fn raw_string(text: &str) -> Option<usize> {
    let marks = text[1..].bytes().take_while(|&b| b == b'#').count();
    let inner = text[1 + marks..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(marks));
    let length = inner.find(&end).map(|at| 2 + marks + at + end.len());
    Some(length.unwrap_or(text.len()))
}

/// Length of a character; 0 if it is a lifetime.
fn character(text: &str) -> usize {
    let mut inner = text[1..].chars();
    match (inner.next(), inner.next()) {
        // The character after the backslash may be a quote itself.
        (Some('\\'), Some(_)) => text[3..].find('\'').map_or(0, |at| at + 4),
        (Some(one), Some('\'')) => one.len_utf8() + 2,
        _ => 0,
    }
}

/// Blanks items under `#[cfg(test)]`, with their bodies.
pub(super) fn without_tests(mut code: String) -> String {
    const TEST: &str = "#[cfg(test)]";
    while let Some(start) = code.find(TEST) {
        let mut depth = 0;
        let item = code[start + TEST.len()..].char_indices().find(|(_, c)| {
            depth += match c {
                '(' | '[' | '{' => 1,
                ')' | ']' | '}' => -1,
                _ => 0,
            };
            depth <= 0 && matches!(c, ';' | '}')
        });
        let end = item.map_or(code.len(), |(at, _)| start + TEST.len() + at + 1);
        let blank = code[start..end].replace(|c| c != '\n', " ");
        code.replace_range(start..end, &blank);
    }
    code
}

/// Words, `::` and single marks, each with its line.
pub(super) fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    for (line, mut rest) in (1..).zip(code.lines()) {
        while let Some(first) = rest.chars().next() {
            let length = match first {
                _ if is_part(first) => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            let (token, after) = rest.split_at(length);
            if !first.is_whitespace() {
                tokens.push((line, token));
            }
            rest = after;
        }
    }
    tokens
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a token is a name or a keyword.
pub(super) fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}
