//! What a peer says of itself, made fit for logs and terminals: bounded, and without control characters.

use crate::limits::MAX_SENTENCE;

/// The longest name of a release, in bytes.
const MAX_RELEASE: usize = 32;

/// What the user reads where the other end gives no reason.
const NO_REASON: &str = "no reason was given";

/// A sentence for the user, on one line of at most [`MAX_SENTENCE`] bytes, and never blank.
pub fn sentence(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_SENTENCE);
    let kept = text.get(..end).unwrap_or_default();
    let visible = |c: char| if is_invisible(c) { ' ' } else { c };
    let line: String = kept.chars().map(visible).collect();
    if line.trim().is_empty() {
        NO_REASON.to_owned()
    } else {
        line
    }
}

/// Whether a character shows nothing itself but acts on the terminal or on the text around it: controls,
/// and Unicode's invisible formatting characters and separators of lines (Cf, Zl, Zp).
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e007f}'
        )
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
        for odd in [
            '\u{202e}',
            '\u{2066}',
            '\u{2028}',
            '\u{200b}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert_eq!(sentence(&format!("a{odd}b")), "a b", "{odd:?}");
        }
        for blank in ["", " \r\n", "\u{202e}"] {
            assert_eq!(sentence(blank), NO_REASON, "{blank:?}");
        }
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
