//! What a peer says of itself, made fit for logs and terminals: bounded, and without control characters.

use crate::limits::MAX_SENTENCE;

/// The longest name of a release, in bytes.
const MAX_RELEASE: usize = 32;

/// A sentence for the user, on one line of at most [`MAX_SENTENCE`] bytes.
pub fn sentence(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_SENTENCE);
    let kept = text.get(..end).unwrap_or_default();
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    kept.chars().map(visible).collect()
}

/// The name of a release, if it can be one.
pub fn release(named: &str) -> &str {
    let fit = named.len() <= MAX_RELEASE && named.bytes().all(|byte| byte.is_ascii_graphic());
    if fit && !named.is_empty() {
        named
    } else {
        "unknown"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_short_and_on_one_line() {
        assert_eq!(sentence("it\r\nis \u{1b}[2Jso"), "it  is  [2Jso");
        let long = "é".repeat(MAX_SENTENCE);
        assert_eq!(sentence(&long), "é".repeat(MAX_SENTENCE / 2));
    }

    #[test]
    fn a_release_is_a_short_word() {
        assert_eq!(release("1.2.3-rc.1"), "1.2.3-rc.1");
        let long = format!("a{}", "é".repeat(200_000));
        for odd in ["", "1 2", "1\n2", "é", &long] {
            assert_eq!(release(odd), "unknown");
        }
    }
}
