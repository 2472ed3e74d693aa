//! The operating system's words for an error.

use std::io;

/// Without the number that std adds: " (os error 111)".
pub(super) fn words(error: &io::Error) -> String {
    let mut words = error.to_string();
    if let Some(end) = words.find(" (os error") {
        words.truncate(end);
    }
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_in_the_systems_words() {
        for (number, expect) in [
            (111, "connection refused"),
            (113, "no route to host"),
            (2, "no such file or directory"),
        ] {
            assert_eq!(words(&io::Error::from_raw_os_error(number)), expect);
        }
    }
}
