//! The files of a session of SFTP: opened, moved, closed, removed, renamed.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use podgate_sftp::heads::{Answered, Asked, Heads, Seen, answered, asked};

use super::done::{Direction, FileDone, FileHash, UNSEEN, shown};

/// Requests in flight, files that are open, and bytes of a handle. A file beyond them is told of at once,
/// as [`UNSEEN`].
const MAX_REQUESTS: usize = 1024;
const MAX_FILES: usize = 1024;
const MAX_HANDLE: usize = 256;

#[derive(Debug, Default)]
pub(in crate::audit) struct SftpWatch {
    client: Heads,
    server: Heads,
    /// By their numbers. A client may give several the same: servers answer one after the other.
    requests: HashMap<u32, VecDeque<Request>>,
    /// How many requests these are.
    waiting: usize,
    files: HashMap<Vec<u8>, FileDone>,
    hash: bool,
}

/// A request that has no answer yet.
#[derive(Debug)]
enum Request {
    Open(FileDone),
    Close(Vec<u8>),
    Read(Vec<u8>, u64),
    Write(Vec<u8>, u32),
    Change(FileDone),
}

impl SftpWatch {
    pub(super) fn took(&mut self, bytes: &[u8]) -> Vec<FileDone> {
        let (requests, files, hash) = (&mut self.requests, &mut self.files, self.hash);
        let (waiting, mut done) = (&mut self.waiting, Vec::new());
        self.client.feed(bytes, |seen| match seen {
            Seen::Whole(head) => {
                let asked = asked(head);
                let request =
                    asked.and_then(|(number, asked)| Some((number, Request::of(&asked, hash)?)));
                match request {
                    Some((number, request)) if *waiting < MAX_REQUESTS => {
                        *waiting += 1;
                        requests.entry(number).or_default().push_back(request);
                    }
                    Some((_, request)) => done.extend(request.into_done(UNSEEN)),
                    None => {}
                }
            }
            Seen::Data(head, before, data) if hash => {
                if let Some((_, Asked::Write { handle, offset, .. })) = asked(head)
                    && let Some(file) = files.get_mut(handle)
                {
                    file.hash.add(offset.saturating_add(before as u64), data);
                }
            }
            Seen::Data(..) => {}
        });
        done
    }

    pub(super) fn gave(&mut self, bytes: &[u8]) -> Vec<FileDone> {
        let (requests, files, hash) = (&mut self.requests, &mut self.files, self.hash);
        let (waiting, mut done) = (&mut self.waiting, Vec::new());
        self.server.feed(bytes, |seen| match seen {
            Seen::Whole(head) => {
                if let Some((number, answer)) = answered(head)
                    && let Some(mut all) = requests.remove(&number)
                {
                    let request = all.pop_front();
                    *waiting -= usize::from(request.is_some());
                    if !all.is_empty() {
                        requests.insert(number, all);
                    }
                    done.extend(request.and_then(|request| answer_to(request, answer, files)));
                }
            }
            Seen::Data(head, before, data) if hash => {
                if let Some((number, _)) = answered(head)
                    && let Some(Request::Read(handle, offset)) =
                        requests.get(&number).and_then(VecDeque::front)
                    && let Some(file) = files.get_mut(handle)
                {
                    file.hash.add(offset.saturating_add(before as u64), data);
                }
            }
            Seen::Data(..) => {}
        });
        done
    }

    pub(super) fn hash(&mut self, wanted: bool) {
        self.hash = wanted;
    }

    pub(super) fn open(&self) -> usize {
        self.files.len()
    }

    pub(super) fn unfinished(&mut self) -> Vec<FileDone> {
        self.waiting = 0;
        let open = std::mem::take(&mut self.files).into_values();
        let asked = std::mem::take(&mut self.requests).into_values().flatten();
        open.map(Request::Open)
            .chain(asked)
            .filter_map(|request| request.into_done("unfinished"))
            .collect()
    }
}

impl Request {
    /// Its file with this outcome, if it is of one by its name.
    fn into_done(self, outcome: &'static str) -> Option<FileDone> {
        match self {
            Self::Open(file) | Self::Change(file) => Some(FileDone { outcome, ..file }),
            Self::Close(_) | Self::Read(..) | Self::Write(..) => None,
        }
    }

    fn of(asked: &Asked<'_>, hash: bool) -> Option<Self> {
        let handle = |handle: &[u8]| (handle.len() <= MAX_HANDLE).then(|| handle.to_vec());
        let file = |path: String, direction| FileDone {
            path,
            direction,
            bytes: 0,
            begun: Instant::now(),
            outcome: "done",
            // Of one that is read and written there is none.
            hash: FileHash::new(hash && matches!(direction, Direction::Read | Direction::Write)),
        };
        Some(match *asked {
            Asked::Open { path, read, write } => Self::Open(file(
                shown(path),
                match (read, write) {
                    (true, true) => Direction::Both,
                    (_, true) => Direction::Write,
                    (_, false) => Direction::Read,
                },
            )),
            Asked::Close { handle: it } => Self::Close(handle(it)?),
            Asked::Read { handle: it, offset } => Self::Read(handle(it)?, offset),
            Asked::Write {
                handle: it, bytes, ..
            } => Self::Write(handle(it)?, bytes),
            Asked::Remove { path } => Self::Change(file(shown(path), Direction::Remove)),
            Asked::Resize { path } => Self::Change(file(shown(path), Direction::Write)),
            Asked::Rename { from, to } => {
                let both = format!("{} -> {}", shown(from), shown(to));
                Self::Change(file(both, Direction::Rename))
            }
        })
    }
}

/// What an answer comes to. Answers what is over by it.
fn answer_to(
    request: Request,
    answer: Answered<'_>,
    files: &mut HashMap<Vec<u8>, FileDone>,
) -> Option<FileDone> {
    let failed = |file: FileDone| FileDone {
        outcome: "failed",
        ..file
    };
    match (request, answer) {
        (Request::Open(file), Answered::Handle(handle)) => {
            if files.len() >= MAX_FILES || handle.len() > MAX_HANDLE {
                return Request::Open(file).into_done(UNSEEN);
            }
            // One of the same handle was closed unseen.
            let before = files.insert(handle.to_vec(), file)?;
            Request::Open(before).into_done(UNSEEN)
        }
        (Request::Open(file), _) => Some(failed(file)),
        (Request::Read(handle, _), Answered::Data(bytes)) => {
            let file = files.get_mut(&handle)?;
            file.bytes = file.bytes.saturating_add(bytes.into());
            None
        }
        (Request::Write(handle, bytes), Answered::Done) => {
            let file = files.get_mut(&handle)?;
            file.bytes = file.bytes.saturating_add(bytes.into());
            None
        }
        (Request::Read(handle, _) | Request::Write(handle, _), Answered::Failed) => {
            files.get_mut(&handle)?.outcome = "failed";
            None
        }
        (Request::Close(handle), answer) => {
            let file = files.remove(&handle)?;
            Some(match answer {
                Answered::Failed => failed(file),
                _ => file,
            })
        }
        (Request::Change(file), Answered::Done) => Some(file),
        (Request::Change(file), _) => Some(failed(file)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, number: u32, parts: &[&[u8]]) -> Vec<u8> {
        let body = [&[kind][..], &number.to_be_bytes(), &parts.concat()].concat();
        [&(body.len() as u32).to_be_bytes()[..], &body].concat()
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
    }

    #[test]
    fn a_file_is_told_once_with_its_size() {
        let mut watch = SftpWatch::default();
        let open = |number, flags: u32| {
            message(
                3,
                number,
                &[&string(b"/a\xff"), &flags.to_be_bytes(), &[0; 4]],
            )
        };
        let status = |number, code: u32| message(101, number, &[&code.to_be_bytes()]);
        let (handle, chunk) = (string(b"h"), string(&[0; 1000]));
        watch.took(&open(1, 0b11010));
        assert!(watch.gave(&message(102, 1, &[&handle])).is_empty());
        for number in 2..5 {
            watch.took(&message(6, number, &[&handle, &[0; 8], &chunk]));
        }
        assert!(
            watch
                .gave(&[status(3, 0), status(2, 0), status(4, 4)].concat())
                .is_empty()
        );
        watch.took(&message(4, 5, &[&handle]));
        let done = watch.gave(&status(5, 0));
        let [file] = done.as_slice() else {
            panic!("{done:?}");
        };
        assert_eq!((file.path.as_str(), file.bytes), (r"/a\xff", 2000));
        assert_eq!((file.direction, file.outcome), (Direction::Write, "failed"));
        // It never came to be open; the other never came to be closed.
        watch.took(&open(6, 1));
        let done = watch.gave(&status(6, 2));
        assert_eq!(done.len(), 1);
        assert_eq!(
            (done[0].direction, done[0].outcome),
            (Direction::Read, "failed")
        );
        watch.took(&open(7, 3));
        watch.gave(&message(102, 7, &[&handle]));
        watch.took(&message(5, 8, &[&handle, &[0; 12]]));
        watch.gave(&message(103, 8, &[&chunk]));
        let left = watch.unfinished();
        assert_eq!((left[0].direction, left[0].bytes), (Direction::Both, 1000));
        assert_eq!(left[0].outcome, "unfinished");
    }

    #[test]
    fn a_hash_is_of_whole_files_in_order() {
        let check = |offsets: [u64; 2], expect: bool| {
            let mut watch = SftpWatch::default();
            watch.hash(true);
            let handle = string(b"h");
            let open = [&string(b"/a"), &26u32.to_be_bytes()[..], &[0; 4]].concat();
            watch.took(&message(3, 1, &[&open]));
            watch.gave(&message(102, 1, &[&handle]));
            for (number, offset) in (2..).zip(offsets) {
                let parts = [&handle, &offset.to_be_bytes()[..], &string(b"abc")];
                watch.took(&message(6, number, &parts));
                watch.gave(&message(101, number, &[&[0; 4]]));
            }
            watch.took(&message(4, 9, &[&handle]));
            let done = watch.gave(&message(101, 9, &[&[0; 4]]));
            // printf abcabc | sha256sum
            let whole = "bbb59da3af939f7af5f360f2ceb80a496e3bae1cd87dde426db0ae40677e1c2c";
            let hash = done[0].hash.hex(done[0].bytes);
            assert_eq!(hash.as_deref(), expect.then_some(whole), "{offsets:?}");
        };
        check([0, 3], true);
        check([3, 0], false);
        check([0, 4], false);
        check([3, 6], false);
    }

    /// An OPEN, and its answer.
    fn opens(number: u32, path: &[u8]) -> Vec<u8> {
        message(3, number, &[&string(path), &[0, 0, 0, 1], &[0; 4]])
    }

    fn opened(number: u32, handle: u32) -> Vec<u8> {
        message(102, number, &[&string(&handle.to_be_bytes())])
    }

    fn told(done: &[FileDone]) -> Vec<(&str, &str)> {
        done.iter()
            .map(|it| (it.path.as_str(), it.outcome))
            .collect()
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_rest_is_told_of() {
        let mut watch = SftpWatch::default();
        for number in 0..MAX_REQUESTS as u32 {
            assert!(watch.took(&opens(number, b"a")).is_empty());
        }
        assert_eq!(told(&watch.took(&opens(0, b"b"))), [("b", UNSEEN)]);
        for number in 0..MAX_FILES as u32 {
            assert!(watch.gave(&opened(number, number)).is_empty());
        }
        watch.took(&opens(1, b"c"));
        assert_eq!(told(&watch.gave(&opened(1, 5000))), [("c", UNSEEN)]);
        assert_eq!(watch.unfinished().len(), MAX_FILES);
    }

    #[test]
    fn no_client_hides_a_file_behind_a_number_or_an_early_end() {
        let mut watch = SftpWatch::default();
        let read = message(5, 7, &[&string(b"x"), &[0; 12]]);
        watch.took(&[opens(7, b"/secret"), read].concat());
        watch.gave(&opened(7, 0));
        watch.gave(&message(101, 7, &[&[0, 0, 0, 4]]));
        // This one's answer has not come.
        watch.took(&opens(8, b"/other"));
        watch.took(&message(13, 9, &[&string(b"/gone")]));
        let left = watch.unfinished();
        let mut left = told(&left);
        left.sort_unstable();
        let unfinished = ["/gone", "/other", "/secret"].map(|path| (path, "unfinished"));
        assert_eq!(left, unfinished);
    }

    #[test]
    fn a_file_is_emptied_by_its_attributes() {
        let mut watch = SftpWatch::default();
        let size = [&1u32.to_be_bytes()[..], &[0; 8]].concat();
        watch.took(&message(9, 1, &[&string(b"/log"), &size]));
        let done = watch.gave(&message(101, 1, &[&[0; 4]]));
        assert_eq!(told(&done), [("/log", "done")]);
        assert_eq!(done[0].direction, Direction::Write);
        let mode = [&4u32.to_be_bytes()[..], &[0; 4]].concat();
        watch.took(&message(9, 2, &[&string(b"/log"), &mode]));
        assert!(watch.gave(&message(101, 2, &[&[0; 4]])).is_empty());
    }
}
