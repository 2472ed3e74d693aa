//! Patterns of glob(7), in which a backslash takes the byte behind it literally. Pure.

/// One name of a path, as a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part(Vec<Token>);

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `?`
    One,
    /// `*`
    Any,
    /// `[a-z]`: whether it is turned round by `!`, and the ranges.
    Set(bool, Vec<(u8, u8)>),
}

/// The parts of a path, between its slashes.
pub(crate) fn parts(pattern: &[u8]) -> Vec<Part> {
    let mut parts = vec![Vec::new()];
    let mut bytes = pattern.iter().copied();
    while let Some(byte) = bytes.next() {
        let (escape, byte) = match byte {
            b'\\' => match bytes.next() {
                Some(next) => (true, next),
                None => (true, b'\\'),
            },
            byte => (false, byte),
        };
        match parts.last_mut() {
            Some(part) if byte != b'/' => part.push((byte, escape)),
            _ => parts.push(Vec::new()),
        }
    }
    parts.iter().map(|part| Part::read(part)).collect()
}

impl Part {
    /// Reads bytes, each with whether it is literal.
    fn read(bytes: &[(u8, bool)]) -> Self {
        let mut tokens = Vec::new();
        let mut rest = bytes;
        while let Some((&first, behind)) = rest.split_first() {
            rest = behind;
            tokens.push(match first {
                (b'*', false) => Token::Any,
                (b'?', false) => Token::One,
                (b'[', false) => match set(behind) {
                    Some((set, end)) => {
                        rest = end;
                        set
                    }
                    None => Token::Byte(b'['),
                },
                (byte, _) => Token::Byte(byte),
            });
        }
        Self(tokens)
    }

    /// The name itself, if it is no pattern.
    pub(crate) fn literal(&self) -> Option<Vec<u8>> {
        let byte = |token: &Token| match token {
            Token::Byte(byte) => Some(*byte),
            Token::One | Token::Any | Token::Set(..) => None,
        };
        self.0.iter().map(byte).collect()
    }

    /// Whether a name is meant. A dot in front is matched by none but a dot.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        if name.first() == Some(&b'.') && self.0.first() != Some(&Token::Byte(b'.')) {
            return false;
        }
        let (mut token, mut at) = (0, 0);
        // Where the last `*` stands, and how far it has reached.
        let mut star = None;
        while let Some(&byte) = name.get(at) {
            match self.0.get(token) {
                Some(Token::Any) => {
                    star = Some((token, at));
                    token += 1;
                    continue;
                }
                Some(one) if one.takes(byte) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let Some((stood, reached)) = star else {
                return false;
            };
            star = Some((stood, reached + 1));
            (token, at) = (stood + 1, reached + 1);
        }
        let rest = self.0.get(token..).unwrap_or_default();
        rest.iter().all(|token| *token == Token::Any)
    }
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Byte(one) => *one == byte,
            Self::One => true,
            Self::Any => false,
            Self::Set(turned, ranges) => {
                let within = |(from, to): &(u8, u8)| (*from..=*to).contains(&byte);
                ranges.iter().any(within) != *turned
            }
        }
    }
}

/// Reads a set behind its bracket, and what follows it. `None` if it has no end.
fn set(bytes: &[(u8, bool)]) -> Option<(Token, &[(u8, bool)])> {
    let turned = matches!(bytes.first(), Some((b'!' | b'^', false)));
    let mut rest = bytes.get(usize::from(turned)..)?;
    let mut ranges = Vec::new();
    loop {
        let (&(first, literal), behind) = rest.split_first()?;
        rest = behind;
        if first == b']' && !literal && !ranges.is_empty() {
            return Some((Token::Set(turned, ranges), rest));
        }
        match rest {
            [(b'-', false), (last, literal), behind @ ..] if *last != b']' || *literal => {
                ranges.push((first, *last));
                rest = behind;
            }
            _ => ranges.push((first, first)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(pattern: &str) -> Part {
        let mut all = parts(pattern.as_bytes());
        assert_eq!(all.len(), 1, "{pattern}");
        all.remove(0)
    }

    #[test]
    fn names_match() {
        let check = |pattern: &str, name: &str, expect: bool| {
            let found = one(pattern).matches(name.as_bytes());
            assert_eq!(found, expect, "{pattern:?} {name:?}");
        };
        check("a", "a", true);
        check("a", "ab", false);
        check("*", "", true);
        check("*", "ab", true);
        check("a*b*c", "axxbyybzc", true);
        check("a*b*c", "axxbyybz", false);
        check("?b", "ab", true);
        check("?b", "b", false);
        check("[a-c]x", "bx", true);
        check("[!a-c]x", "bx", false);
        check("[^a-c]x", "dx", true);
        check("[]a]", "]", true);
        check("[a-]", "-", true);
        check(r"[a\-c]", "b", false);
        check("[a", "[a", true);
        check(r"\*", "*", true);
        check(r"\*", "a", false);
        check(r"a\", r"a\", true);
        check("*", ".a", false);
        check("?a", ".a", false);
        check("[.]a", ".a", false);
        check(".*", ".a", true);
        // A bad pattern takes no longer than its length times the name's.
        check(&"*a".repeat(64), &"a".repeat(63), false);
    }

    #[test]
    fn a_path_has_parts() {
        let literals = |pattern: &str| -> Vec<Option<String>> {
            let parts = parts(pattern.as_bytes());
            let text = |part: &Part| part.literal().map(|name| String::from_utf8(name).unwrap());
            parts.iter().map(text).collect()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(literals("/a/*"), [some(""), some("a"), None]);
        assert_eq!(literals(r"\/\a\*"), [some(""), some("a*")]);
        assert_eq!(literals("a[/]b"), [some("a["), some("]b")]);
        assert_eq!(literals(""), [some("")]);
    }
}
