//! Patterns with `*` (any number of characters) and `?` (one), as in ssh_config(5): for addresses, hosts,
//! namespaces and containers. They compare bytes, so that `?` is one byte.

/// Whether the whole text matches the pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // After a mismatch: where the pattern goes on behind the last `*`, and up to where this `*` takes
    // the text so far.
    let mut again = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                again = Some((p, t));
            }
            Some(&b) if b == b'?' || text.get(t) == Some(&b) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star, from)) = again else {
                    return false;
                };
                (p, t) = (star, from + 1);
                again = Some((star, t));
            }
        }
    }
    pattern.iter().skip(p).all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_what_they_must() {
        for (pattern, text, expect) in [
            ("", "", true),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("**a", "aa", true),
            ("a?", "a", false),
            ("a?", "ab", true),
            ("prod", "prod", true),
            ("prod", "prod-a", false),
            ("prod*", "prod-a", true),
            ("prod*", "prod", true),
            ("prod*", "aprod", false),
            ("*-a", "prod-a", true),
            ("*-a", "prod-ab", false),
            ("p*d*a", "prod-d-a", true),
            ("p*d*a", "prod-d-b", false),
            ("a*a", "a", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern, text), expect, "{pattern} {text}");
        }
    }
}
