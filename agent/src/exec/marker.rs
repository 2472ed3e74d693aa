//! Finds the words by which the wrapper says that its program has ended. A read may cut them anywhere.
//! So the end of what was read is held back for a moment if the words may begin there.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// How long a single byte is held back; the program may have written it …
const ONE: Duration = Duration::from_millis(100);
/// … and how long several bytes are; hardly any program writes these.
const MORE: Duration = Duration::from_secs(5);

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
    /// Which words come next.
    pub(super) words: Option<usize>,
    /// What follows the words, and was not looked at.
    pub(super) behind: Bytes,
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
            .and_then(|w| Some((*w.first()?, w.len())))
        else {
            return plain(bytes);
        };
        if self.held.is_empty() && !bytes.contains(&first) {
            return plain(bytes);
        }
        let mut all = self.held.split();
        all.extend_from_slice(&bytes);
        let which = |window| self.words.iter().position(|words| words == window);
        let mut windows = all.windows(length).enumerate();
        if let Some((start, words)) = windows.find_map(|(start, w)| Some((start, which(w)?))) {
            let behind = all.split_off(start + length).freeze();
            all.truncate(start);
            return Found {
                before: all.freeze(),
                words: Some(words),
                behind,
            };
        }
        let longest = all.len().min(length - 1);
        let begins = |&length: &usize| {
            let mut words = self.words.iter();
            words.any(|words| all.ends_with(words.get(..length).unwrap_or_default()))
        };
        let length = (1..=longest).rev().find(begins).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is before the words, and behind them.
    fn look(marker: &mut Marker, parts: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let (mut before, mut behind, mut words) = (Vec::new(), Vec::new(), 0);
        for part in parts {
            let found = marker.look(Bytes::copy_from_slice(part));
            before.extend_from_slice(&found.before);
            behind.extend_from_slice(&found.behind);
            words += usize::from(found.words == Some(0));
        }
        assert_eq!(words, 1, "{parts:?}");
        (before, behind)
    }

    #[test]
    fn the_words_are_found_however_they_are_cut() {
        let whole = b"a\x01p\x01podgate:1:end\x02";
        for cut in 0..whole.len() {
            let mut marker = Marker::new(vec![b"\x01podgate:1:end\x02".to_vec()]);
            let (one, two) = whole.split_at(cut);
            let (before, behind) = look(&mut marker, &[one, two]);
            assert_eq!(
                (before.as_slice(), behind.as_slice()),
                (&b"a\x01p"[..], &b""[..])
            );
            let (before, behind) = look(&mut marker, &[b"b\x01podgate:1:end\x02c"]);
            assert_eq!(
                (before.as_slice(), behind.as_slice()),
                (&b"b"[..], &b"c"[..])
            );
        }
    }

    #[test]
    fn words_are_told_apart() {
        let words = ["\x01podgate:1:end\x02", "\x01podgate:1:out\x02"];
        let words = words.map(|words| words.as_bytes().to_vec());
        let mut marker = Marker::new(words.to_vec());
        for (which, words) in words.into_iter().enumerate() {
            let found = marker.look(words.into());
            assert_eq!((found.words, &found.before[..]), (Some(which), &b""[..]));
        }
    }

    #[test]
    fn what_only_begins_like_them_is_given_after_a_moment() {
        let mut marker = Marker::new(vec![b"\x01podgate:1:end\x02".to_vec()]);
        let mut given = |bytes: &'static [u8]| {
            let found = marker.look(Bytes::from_static(bytes));
            (found.before, marker.patience())
        };
        assert_eq!(given(b"a\x01"), ("a".into(), Some(ONE)));
        assert_eq!(given(b"podgate:2"), ("\x01podgate:2".into(), None));
        assert_eq!(given(b"\x01pod"), ("".into(), Some(MORE)));
        assert_eq!(marker.release(), "\x01pod");
    }
}
