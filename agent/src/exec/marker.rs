//! Finds the words by which the wrapper says that its program has ended, and the exit status in them. A
//! read may cut them anywhere. So the end of what was read is held back for a moment if the words may
//! begin there.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// How long a single byte is held back; the program may have written it …
const ONE: Duration = Duration::from_millis(100);
/// … and how long several bytes are; hardly any program writes these.
const MORE: Duration = Duration::from_secs(5);

/// Digits of the exit status behind the words, …
const DIGITS: usize = 3;
/// … and the byte behind the digits.
const LAST: u8 = 2;

/// Looks for words in output.
#[derive(Debug)]
pub(super) struct Marker {
    /// All are of the same length, and begin with the same byte.
    words: Vec<Vec<u8>>,
    held: BytesMut,
}

/// What output has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// What is certainly the program's.
    pub(super) before: Bytes,
    /// The words that come next.
    pub(super) words: Option<Words>,
    /// What follows the words, and was not looked at.
    pub(super) behind: Bytes,
}

/// Words that were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) which: usize,
    /// The exit status in them, if it is one: to ksh 93 a signal is a status above 255.
    pub(super) status: Option<u8>,
}

impl Marker {
    /// `words` are of the same length, which is not 0, and begin with the same byte.
    pub(super) fn new(words: Vec<Vec<u8>>) -> Self {
        let held = BytesMut::new();
        Self { words, held }
    }

    /// Takes output.
    pub(super) fn look(&mut self, bytes: Bytes) -> Found {
        let plain = |before| Found {
            before,
            words: None,
            behind: Bytes::new(),
        };
        let Some((first, length)) = self
            .words
            .first()
            .and_then(|w| Some((*w.first()?, w.len() + DIGITS + 1)))
        else {
            return plain(bytes);
        };
        if self.held.is_empty() && !bytes.contains(&first) {
            return plain(bytes);
        }
        let mut all = self.held.split();
        all.extend_from_slice(&bytes);
        let found = |text: &[u8]| {
            let which = self.words.iter().position(|words| begins(text, words))?;
            let status = text.get(length - DIGITS - 1..length - 1)?;
            let status = std::str::from_utf8(status).ok()?.parse().ok();
            Some(Words { which, status })
        };
        let mut windows = all.windows(length).enumerate();
        if let Some((start, words)) = windows.find_map(|(start, w)| Some((start, found(w)?))) {
            let behind = all.split_off(start + length).freeze();
            all.truncate(start);
            return Found {
                before: all.freeze(),
                words: Some(words),
                behind,
            };
        }
        let longest = all.len().min(length - 1);
        let may_begin = |&length: &usize| {
            let end = all.get(all.len() - length..).unwrap_or_default();
            self.words.iter().any(|words| begins(end, words))
        };
        let length = (1..=longest).rev().find(may_begin).unwrap_or_default();
        self.held = all.split_off(all.len() - length);
        plain(all.freeze())
    }

    /// How long to wait for the rest of what is held back; `None` if nothing is.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self.held.len() {
            0 => None,
            1 => Some(ONE),
            _ => Some(MORE),
        }
    }

    /// Gives up what is held back.
    pub(super) fn release(&mut self) -> Bytes {
        self.held.split().freeze()
    }
}

/// Whether `text`, which is not longer than the words with their status, is how those begin.
fn begins(text: &[u8], words: &[u8]) -> bool {
    let (head, rest) = text.split_at(text.len().min(words.len()));
    let (digits, last) = rest.split_at(rest.len().min(DIGITS));
    words.starts_with(head)
        && digits.iter().all(u8::is_ascii_digit)
        && (last.is_empty() || last == [LAST])
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: &[u8] = b"\x01podgate:1:end:";

    /// All that is before the words, and behind them.
    fn look(marker: &mut Marker, parts: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let (mut before, mut behind, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            let found = marker.look(Bytes::copy_from_slice(part));
            before.extend_from_slice(&found.before);
            behind.extend_from_slice(&found.behind);
            words.extend(found.words);
        }
        let (which, status) = (0, Some(37));
        assert_eq!(words, [Words { which, status }], "{parts:?}");
        (before, behind)
    }

    #[test]
    fn the_words_are_found_however_they_are_cut() {
        let whole = b"a\x01p\x01podgate:1:end:037\x02";
        for cut in 0..whole.len() {
            let mut marker = Marker::new(vec![END.to_vec()]);
            let (one, two) = whole.split_at(cut);
            let (before, behind) = look(&mut marker, &[one, two]);
            assert_eq!(
                (before.as_slice(), behind.as_slice()),
                (&b"a\x01p"[..], &b""[..])
            );
            let (before, behind) = look(&mut marker, &[b"b\x01podgate:1:end:037\x02c"]);
            assert_eq!(
                (before.as_slice(), behind.as_slice()),
                (&b"b"[..], &b"c"[..])
            );
        }
    }

    #[test]
    fn words_are_told_apart() {
        let words = ["\x01podgate:1:end:", "\x01podgate:1:out:"];
        let mut marker = Marker::new(words.map(|words| words.as_bytes().to_vec()).to_vec());
        for (which, words) in words.into_iter().enumerate() {
            for (digits, status) in [("000", Some(0)), ("255", Some(255)), ("265", None)] {
                let found = marker.look(format!("{words}{digits}\x02").into());
                let words = Some(Words { which, status });
                assert_eq!((found.words, &found.before[..]), (words, &b""[..]));
            }
        }
    }

    #[test]
    fn what_only_begins_like_them_is_given_after_a_moment() {
        let mut marker = Marker::new(vec![END.to_vec()]);
        let mut given = |bytes: &'static [u8]| {
            let found = marker.look(Bytes::from_static(bytes));
            assert_eq!(found.words, None);
            (found.before, marker.patience())
        };
        assert_eq!(given(b"a\x01"), ("a".into(), Some(ONE)));
        assert_eq!(given(b"podgate:2"), ("\x01podgate:2".into(), None));
        assert_eq!(given(b"\x01podgate:1:end:12"), ("".into(), Some(MORE)));
        assert_eq!(given(b"x"), ("\x01podgate:1:end:12x".into(), None));
        assert_eq!(
            given(b"\x01podgate:1:end:1234"),
            ("\x01podgate:1:end:1234".into(), None)
        );
        assert_eq!(
            given(b"\x01podgate:1:end\x02"),
            ("\x01podgate:1:end\x02".into(), None)
        );
        assert_eq!(given(b"\x01pod"), ("".into(), Some(MORE)));
        assert_eq!(marker.release(), "\x01pod");
    }
}
