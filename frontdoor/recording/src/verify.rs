//! Checks a recording's chunks, given one after another.

use std::time::Duration;

use crate::cast::Header;
use crate::chunk::{self, Whole};
use crate::content::Content;
use crate::digest::{Running, sha256};

/// A recording was changed, or is none.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Broken {
    #[error("chunk {0} cannot be read: {1}")]
    Chunk(u32, chunk::Error),
    #[error("chunk {0} is of another recording")]
    Other(u32),
    #[error("chunk {0} is not where it belongs: it says that it is chunk {1}")]
    Order(u32, u32),
    #[error("chunk {0} does not follow the one before it: one of them was changed")]
    Previous(u32),
    #[error("the text is not the one that the last chunk has the hash of")]
    Whole,
    #[error("chunk {0} is encrypted and others are not")]
    Mixed(u32),
    #[error("chunk {0} comes after the last")]
    After(u32),
}

/// What the check of a recording found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says it")]
pub struct Verdict {
    pub chunks: u32,
    /// The time of the last event.
    pub until: Duration,
    /// `None` if the recording was cut: its last chunk is missing. Of an encrypted one nobody here can say
    /// whether this is true; `last` says whether the audit log means this recording.
    pub whole: Option<Whole>,
    /// The SHA-256 of the last object that was given.
    pub last: Option<String>,
    pub encrypted: bool,
}

/// Checks one recording.
pub struct Verifier {
    recording: String,
    next: u32,
    previous: Option<String>,
    until: Duration,
    text: Running,
    bytes: u64,
    whole: Option<Whole>,
    encrypted: bool,
    header: Option<Header>,
}

impl Verifier {
    /// For the recording of this name.
    pub fn new(recording: &str) -> Self {
        Self {
            recording: recording.to_owned(),
            next: 0,
            previous: None,
            until: Duration::ZERO,
            text: Running::new(),
            bytes: 0,
            whole: None,
            encrypted: false,
            header: None,
        }
    }

    /// Checks the next chunk, and returns what it holds.
    pub fn chunk(&mut self, object: &[u8]) -> Result<Content, Broken> {
        let number = self.next;
        let (head, content) = chunk::open(object).map_err(|error| Broken::Chunk(number, error))?;
        if self.whole.is_some() {
            return Err(Broken::After(number));
        }
        if head.recording != self.recording {
            return Err(Broken::Other(number));
        }
        if head.number != number {
            return Err(Broken::Order(number, head.number));
        }
        if head.previous != self.previous {
            return Err(Broken::Previous(number));
        }
        let encrypted = matches!(content, Content::Encrypted { .. });
        if number > 0 && encrypted != self.encrypted {
            return Err(Broken::Mixed(number));
        }
        if number == 0 {
            self.header = content.header();
        }
        self.encrypted = encrypted;
        if let Content::Text(text) = &content {
            self.text.add(text);
            self.bytes += text.len() as u64;
            if let Some(whole) = &head.whole
                && (whole.bytes != self.bytes || whole.sha256 != self.text.hex())
            {
                return Err(Broken::Whole);
            }
        }
        self.whole = head.whole;
        self.previous = Some(sha256(object));
        self.until = Duration::from_millis(head.until_ms);
        self.next += 1;
        Ok(content)
    }

    /// Whether the last chunk was given.
    pub fn is_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// What the first chunk says of the session.
    pub(crate) fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Whether the chunks that were given are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// What was right of all that was given.
    pub fn verdict(self) -> Verdict {
        Verdict {
            chunks: self.next,
            until: self.until,
            whole: self.whole,
            last: self.previous,
            encrypted: self.encrypted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Chain;

    fn chunks() -> Vec<Vec<u8>> {
        let mut chain = Chain::new("r".to_owned());
        let texts = [&b"one\n"[..], b"two\n", b"three\n"]
            .into_iter()
            .enumerate();
        let mut seal = |(at, text)| chain.seal(text, Duration::from_secs(at as u64), at == 2);
        texts.map(|one| seal(one).unwrap().to_vec()).collect()
    }

    fn verify(chunks: &[Vec<u8>]) -> Result<Verdict, String> {
        let mut verifier = Verifier::new("r");
        for chunk in chunks {
            verifier.chunk(chunk).map_err(|broken| broken.to_string())?;
        }
        Ok(verifier.verdict())
    }

    #[test]
    fn what_was_changed_is_seen() {
        let chunks = chunks();
        let whole = verify(&chunks).unwrap();
        assert_eq!((whole.chunks, whole.until.as_secs()), (3, 2));
        assert_eq!(whole.whole.unwrap().sha256, sha256(b"one\ntwo\nthree\n"));
        let cut = verify(&chunks[..2]).unwrap();
        assert_eq!((cut.chunks, cut.until.as_secs(), cut.whole), (2, 1, None));
        let error = |chunks: &[&Vec<u8>], expect: &str| {
            let chunks: Vec<_> = chunks.iter().map(|chunk| (*chunk).clone()).collect();
            let error = verify(&chunks).unwrap_err();
            assert!(error.contains(expect), "{error}");
        };
        let [one, two, three] = &chunks[..] else {
            panic!()
        };
        error(&[one, three], "says that it is chunk 2");
        error(&[two, one], "says that it is chunk 1");
        error(&[one, two, three, three], "after the last");
        let mut other = Chain::new("s".to_owned());
        error(
            &[&other.seal(b"x", Duration::ZERO, false).unwrap().to_vec()],
            "another recording",
        );
        // The same text and number, but not the same chunk.
        let mut time = Chain::new("r".to_owned());
        let late = time
            .seal(b"one\n", Duration::from_secs(9), false)
            .unwrap()
            .to_vec();
        error(&[&late, two], "does not follow");
        // Each byte counts: every change of any is an error in its own chunk or in the next.
        for at in 0..two.len() {
            let mut changed = two.clone();
            changed[at] ^= 1;
            assert!(
                verify(&[one.clone(), changed, three.clone()]).is_err(),
                "{at}"
            );
        }
        let mut text = three.clone();
        let last = text.len() - 1;
        text[last] ^= 1;
        assert!(verify(&[one.clone(), two.clone(), text]).is_err());
    }
}
