//! The files of a session of scp. The sender tells of each file in a line, and the receiver answers each step
//! with a byte. Neither should go on without the other, but a client may: its bytes are read as the other end
//! will read them, as long as that refuses nothing.

use std::collections::VecDeque;
use std::time::Instant;

use podgate_proto::v1::Scp;

use super::done::{Direction, FileDone, FileHash, UNSEEN, shown};

/// Bytes of a line, and folders within folders. What is more is not seen.
const MAX_LINE: usize = 8 * 1024;
const MAX_DEPTH: usize = 256;
/// Answers that one end may be ahead of the other.
const MAX_AHEAD: usize = 1024;

#[derive(Debug)]
pub(in crate::audit) struct ScpWatch {
    direction: Direction,
    /// The path of the command.
    base: Vec<u8>,
    folders: Vec<Vec<u8>>,
    step: Step,
    line: Vec<u8>,
    file: Option<FileDone>,
    hash: bool,
    /// Whether the receiver is in the words of a failure.
    in_words: bool,
    /// What the receiver has still to answer, the oldest first.
    due: VecDeque<Due>,
    /// Answers that came before what they answer.
    early: usize,
    /// The client does not keep to the protocol, so nothing is known of what follows.
    is_lost: bool,
}

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// A beginning, a folder, times, or an error's line.
    Other,
    /// A file's line, or all of its bytes.
    File,
    /// The same, when the sender has gone on as if the answer were that it may.
    Assumed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A line of the sender comes.
    Line,
    /// The receiver is to answer a file's line; so many bytes follow then.
    Told(u64),
    /// So many bytes of the file are to come.
    Bytes(u64),
    /// The sender says whether it could read them all.
    Sent,
    /// The receiver is to say whether it has them all.
    Received,
}

impl ScpWatch {
    pub(super) fn new(scp: &Scp) -> Self {
        let (direction, base) = match scp.receive {
            true => (Direction::Write, scp.paths.first()),
            // The sender's lines name what the patterns stand for.
            false => (
                Direction::Read,
                scp.paths.first().filter(|_| scp.paths.len() == 1),
            ),
        };
        Self {
            direction,
            base: base.map(|base| unescaped(base)).unwrap_or_default(),
            folders: Vec::new(),
            step: Step::Line,
            line: Vec::new(),
            file: None,
            hash: false,
            in_words: false,
            due: VecDeque::from([Due::Other]),
            early: 0,
            is_lost: false,
        }
    }

    pub(super) fn took(&mut self, bytes: &[u8]) -> Vec<FileDone> {
        match self.direction {
            Direction::Write => self.sent(bytes),
            _ => self.received(bytes),
        }
    }

    pub(super) fn gave(&mut self, bytes: &[u8]) -> Vec<FileDone> {
        match self.direction {
            Direction::Write => self.received(bytes),
            _ => self.sent(bytes),
        }
    }

    pub(super) fn hash(&mut self, wanted: bool) {
        self.hash = wanted;
    }

    pub(super) fn open(&self) -> usize {
        usize::from(self.file.is_some())
    }

    pub(super) fn unfinished(&mut self) -> Vec<FileDone> {
        self.finish("unfinished").into_iter().collect()
    }

    /// Bytes of the sender.
    fn sent(&mut self, mut bytes: &[u8]) -> Vec<FileDone> {
        let mut done = Vec::new();
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.is_lost {
                break;
            }
            done.extend(self.assume());
            match self.step {
                Step::Bytes(due) => {
                    let taken = usize::try_from(due).unwrap_or(usize::MAX).min(bytes.len());
                    if let Some(file) = &mut self.file {
                        let data = bytes.get(..taken).unwrap_or_default();
                        file.hash.add(file.bytes, data);
                        file.bytes = file.bytes.saturating_add(taken as u64);
                    }
                    bytes = bytes.get(taken..).unwrap_or_default();
                    let due = due - taken as u64;
                    self.step = if due == 0 {
                        Step::Sent
                    } else {
                        Step::Bytes(due)
                    };
                    continue;
                }
                Step::Sent if byte == 0 => {
                    self.step = Step::Received;
                    done.extend(self.owe(Due::File));
                }
                // A line follows that says why.
                Step::Sent => {
                    done.extend(self.finish("failed"));
                    self.line.push(byte);
                    done.extend(self.owe(Due::Other));
                }
                Step::Told(_) | Step::Received | Step::Line if byte == b'\n' => {
                    done.extend(self.told());
                }
                Step::Told(_) | Step::Received | Step::Line => {
                    if self.line.len() < MAX_LINE {
                        self.line.push(byte);
                    }
                }
            }
            bytes = rest;
        }
        done
    }

    /// Bytes of the receiver.
    fn received(&mut self, bytes: &[u8]) -> Vec<FileDone> {
        let mut done = Vec::new();
        for byte in bytes {
            if self.in_words {
                self.in_words = *byte != b'\n';
                continue;
            }
            if self.is_lost {
                break;
            }
            self.in_words = *byte != 0;
            match self.due.pop_front() {
                None if *byte == 0 => {
                    self.early += 1;
                    self.is_lost |= self.early > MAX_AHEAD;
                }
                // It may give up in the middle, too.
                None | Some(Due::Other) => {}
                Some(Due::File) => done.extend(self.answered(*byte == 0)),
                Some(Due::Assumed) if *byte == 0 => {}
                // What the sender has sent since is not what it was taken for.
                Some(Due::Assumed) => done.push(self.lose()),
            }
        }
        done
    }

    /// An answer is due, and may have come already.
    fn owe(&mut self, due: Due) -> Option<FileDone> {
        if self.early > 0 {
            self.early -= 1;
            return (due == Due::File).then(|| self.answered(true)).flatten();
        }
        self.due.push_back(due);
        (self.due.len() > MAX_AHEAD).then(|| self.lose())
    }

    /// A file's line, or all of its bytes, are answered.
    fn answered(&mut self, may: bool) -> Option<FileDone> {
        match (self.step, may) {
            (Step::Told(0), true) => self.step = Step::Sent,
            (Step::Told(size), true) => self.step = Step::Bytes(size),
            (Step::Received, true) => return self.finish("done"),
            (Step::Told(_) | Step::Received, false) => return self.finish("failed"),
            _ => {}
        }
        None
    }

    /// The sender goes on. If it was to wait for an answer, that is taken for one by which it may.
    fn assume(&mut self) -> Option<FileDone> {
        let last = self.due.back_mut().filter(|due| **due == Due::File)?;
        *last = Due::Assumed;
        self.answered(true)
    }

    /// Gives up, and says so.
    fn lose(&mut self) -> FileDone {
        self.is_lost = true;
        let open = self.finish(UNSEEN);
        open.unwrap_or_else(|| self.file(&[], UNSEEN))
    }

    fn file(&self, name: &[u8], outcome: &'static str) -> FileDone {
        FileDone {
            path: shown(&self.path(name)),
            direction: self.direction,
            bytes: 0,
            begun: Instant::now(),
            outcome,
            hash: FileHash::new(self.hash),
        }
    }

    fn finish(&mut self, outcome: &'static str) -> Option<FileDone> {
        self.step = Step::Line;
        let file = self.file.take()?;
        Some(FileDone { outcome, ..file })
    }

    /// A line of the sender is whole.
    fn told(&mut self) -> Option<FileDone> {
        let line = std::mem::take(&mut self.line);
        let mut fields = line
            .get(1..)
            .unwrap_or_default()
            .splitn(3, |byte| *byte == b' ');
        let (size, name) = (fields.nth(1), fields.next().unwrap_or_default());
        match line.first() {
            Some(b'C') => {
                let size = size.and_then(|size| str::from_utf8(size).ok()?.parse().ok());
                self.file = Some(self.file(name, "unfinished"));
                self.step = Step::Told(size.unwrap_or(0));
                return self.owe(Due::File);
            }
            Some(b'D') if self.folders.len() < MAX_DEPTH => self.folders.push(name.to_vec()),
            Some(b'E') => drop(self.folders.pop()),
            // An error, which nobody answers; after a file's bytes its answer is due already.
            Some(1 | 2) => return None,
            _ => {}
        }
        self.owe(Due::Other)
    }

    /// The command's path, and the file's name where that says more: a receiver alone knows whether the
    /// path is a folder.
    fn path(&self, name: &[u8]) -> Vec<u8> {
        let last = self.base.rsplit(|byte| *byte == b'/').next();
        if self.folders.is_empty() && last == Some(name) {
            return self.base.clone();
        }
        let mut path = match self.base.is_empty() {
            true => Vec::new(),
            false => [self.base.as_slice(), b" "].concat(),
        };
        for folder in &self.folders {
            path.extend_from_slice(folder);
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }
}

/// A pattern without its backslashes.
fn unescaped(pattern: &[u8]) -> Vec<u8> {
    let mut escaped = false;
    let is_literal = |byte: &&u8| {
        escaped = **byte == b'\\' && !escaped;
        !escaped
    };
    pattern.iter().filter(is_literal).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(receive: bool, path: &str) -> ScpWatch {
        ScpWatch::new(&Scp {
            receive,
            paths: vec![path.as_bytes().to_vec().into()],
            ..Scp::default()
        })
    }

    fn told(done: &[FileDone]) -> Vec<(&str, u64, &str)> {
        let told = |file: &'_ FileDone| (file.bytes, file.outcome);
        let all = done.iter().map(|file| (file.path.as_str(), told(file)));
        all.map(|(path, (bytes, outcome))| (path, bytes, outcome))
            .collect()
    }

    #[test]
    fn a_file_is_done_when_the_receiver_says_so() {
        let mut watch = watch(true, r"\/t m\p");
        assert!(watch.gave(b"\0").is_empty());
        assert!(watch.took(b"C0644 5 a b\n").is_empty());
        assert!(watch.gave(b"\0").is_empty());
        assert!(watch.took(b"hel").is_empty());
        assert!(watch.took(b"lo\0").is_empty());
        assert_eq!(told(&watch.gave(b"\0")), [("/t mp a b", 5, "done")]);
        watch.took(b"C0644 3 x\n");
        assert_eq!(
            told(&watch.gave(b"\x01scp: no\n")),
            [("/t mp x", 0, "failed")]
        );
        watch.took(b"C0644 3 y\n");
        watch.gave(b"\0");
        watch.took(b"abc\0");
        assert_eq!(
            told(&watch.gave(b"\x01scp: disk full\n")),
            [("/t mp y", 3, "failed")]
        );
        watch.took(b"C0644 9 z\n");
        watch.gave(b"\0");
        watch.took(b"abc");
        assert_eq!(told(&watch.unfinished()), [("/t mp z", 3, "unfinished")]);
    }

    #[test]
    fn folders_and_empty_files_are_followed() {
        let mut watch = watch(false, "/srv/d");
        watch.took(b"\0");
        watch.gave(b"T1 0 1 0\n");
        watch.took(b"\0");
        watch.gave(b"D0755 0 d\n");
        watch.took(b"\0");
        watch.gave(b"C0644 0 e\n");
        watch.took(b"\0");
        watch.gave(b"\0");
        assert_eq!(told(&watch.took(b"\0")), [("/srv/d d/e", 0, "done")]);
        watch.gave(b"E\n");
        watch.took(b"\0");
        watch.gave(b"C0644 1 d\n");
        watch.took(b"\0");
        assert_eq!(told(&watch.gave(b"x\x01why\n")), [("/srv/d", 1, "failed")]);
    }

    #[test]
    fn who_goes_ahead_hides_nothing() {
        let mut early = watch(false, "/srv/d");
        early.took(&[0; 100]);
        early.gave(b"D0755 0 d\nC0644 3 x\n");
        assert_eq!(told(&early.gave(b"abc\0")), [("/srv/d d/x", 3, "done")]);

        let all = b"C0644 3 x\nabc\0C0644 5 secret\nhello\0";
        let mut ahead = watch(true, "/srv");
        ahead.gave(b"\0");
        assert_eq!(told(&ahead.took(all)), [("/srv x", 3, "done")]);
        assert_eq!(told(&ahead.gave(b"\0\0\0\0")), [("/srv secret", 5, "done")]);
        // What the receiver refuses it does not read as the sender has meant it.
        let mut refused = watch(true, "/srv");
        refused.gave(b"\0");
        refused.took(all);
        let done = refused.gave(b"\x01scp: no\n\0");
        assert_eq!(told(&done), [("/srv secret", 5, UNSEEN)]);
        assert!(refused.took(all).is_empty() && refused.unfinished().is_empty());
    }

    #[test]
    fn what_is_no_scp_costs_little() {
        let mut watch = watch(true, "/x");
        for _ in 0..10_000 {
            watch.took(b"D0755 0 d\n");
            watch.took(&[b'x'; 100]);
            watch.gave(b"\x02\x01");
        }
        assert!(watch.folders.len() <= MAX_DEPTH && watch.line.len() <= MAX_LINE);
        assert!(watch.due.len() <= MAX_AHEAD + 1);
    }
}
