//! Holds a client to its rights on the way to a server, in whatever pieces its bytes come. A request that
//! is not allowed goes on as one of the type [`REFUSED`](crate::REFUSED), so that its own number is still
//! answered, and in its turn. Requests of data are not held up; of the others a bounded part is.

use crate::access::{self, Access};
use crate::limits::REFUSED;
use crate::request::Message;

/// Bytes of a request that are held until it is judged: two of the longest paths, with what is around
/// them. A longer one is refused, unless everybody may make it.
const MAX_HELD: usize = 12 * 1024;
/// Bytes of the length in front of a message.
const LENGTH: usize = 4;

/// A session's requests.
#[derive(Debug)]
pub struct Gate {
    access: Access,
    /// The length of a message that is not judged yet, and what has come of it.
    held: Vec<u8>,
    /// Bytes of a message that is judged, which are still to come.
    due: usize,
}

impl Gate {
    /// For a session that may do only this.
    pub fn new(access: Access) -> Self {
        Self {
            access,
            held: Vec::new(),
            due: 0,
        }
    }

    /// Takes the next bytes, and appends to `out` what may go on. Answers how many requests it refused.
    pub fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> u64 {
        let mut refused = 0;
        while !bytes.is_empty() {
            if self.due > 0 {
                let (passed, rest) = bytes.split_at(self.due.min(bytes.len()));
                out.extend_from_slice(passed);
                self.due -= passed.len();
                bytes = rest;
                continue;
            }
            let (taken, rest) = bytes.split_at(self.wanted().min(bytes.len()));
            self.held.extend_from_slice(taken);
            bytes = rest;
            let Some(allowed) = self.judged() else {
                continue;
            };
            if !allowed {
                refused += 1;
                if let Some(kind) = self.held.get_mut(LENGTH) {
                    *kind = REFUSED;
                }
            }
            self.due = self.length().unwrap_or(0) + LENGTH - self.held.len();
            out.append(&mut self.held);
        }
        refused
    }

    /// What is held at the end of the client's bytes: the beginning of a request, which nobody can serve.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// The message's length, once it is known.
    fn length(&self) -> Option<usize> {
        let length = self.held.first_chunk::<LENGTH>()?;
        Some(u32::from_be_bytes(*length) as usize)
    }

    /// How many more bytes it takes to judge, or to see how many it takes. At least one.
    fn wanted(&self) -> usize {
        let most = match (self.length(), self.held.get(LENGTH)) {
            (None, _) => LENGTH,
            // The type.
            (Some(_), None) => LENGTH + 1,
            (Some(length), Some(_)) => LENGTH + length.min(MAX_HELD),
        };
        most.saturating_sub(self.held.len()).max(1)
    }

    /// Whether the message may go on; `None` if more of it is needed. An empty one is the server's to
    /// judge.
    fn judged(&self) -> Option<bool> {
        let length = self.length()?;
        let message = self.held.get(LENGTH..)?;
        let Some(&kind) = message.first() else {
            return (length == 0).then_some(true);
        };
        if access::is_free(kind) {
            return Some(true);
        }
        if length > MAX_HELD {
            return Some(false);
        }
        (message.len() == length).then(|| match Message::read(message) {
            Ok(Message::Init(_)) => true,
            Ok(Message::Request(_, request)) => self.access.allows(&request),
            Err(_) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = [&[kind][..], &7u32.to_be_bytes(), &parts.concat()].concat();
        [&(body.len() as u32).to_be_bytes()[..], &body].concat()
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
    }

    fn refused(message: &[u8]) -> Vec<u8> {
        let mut message = message.to_vec();
        message[LENGTH] = REFUSED;
        message
    }

    /// What a gate makes of a stream that comes in pieces of one size.
    fn passed(access: Access, stream: &[u8], size: usize) -> (Vec<u8>, u64) {
        let (mut gate, mut out, mut refused) = (Gate::new(access), Vec::new(), 0);
        for piece in stream.chunks(size) {
            refused += gate.pass(piece, &mut out);
            assert!(gate.held.len() <= LENGTH + MAX_HELD);
        }
        assert!(gate.rest().is_empty());
        (out, refused)
    }

    #[test]
    fn what_is_not_allowed_is_refused_however_it_is_cut() {
        let open = |flags: u32| message(3, &[&string(b"/a"), &flags.to_be_bytes(), &[0; 4]]);
        let extended = |name: &str, rest: &[u8]| message(200, &[&string(name.as_bytes()), rest]);
        let two = [string(b"x"), string(b"y")].concat();
        // The request, and whether one who only reads, and one who only writes, may make it.
        let requests = [
            (message(1, &[]), true, true),
            (open(1), true, false),
            (open(0b11010), false, true),
            (open(3), false, false),
            (message(4, &[&string(b"h")]), true, true),
            (message(5, &[&string(b"h"), &[0; 12]]), true, true),
            (
                message(6, &[&string(b"h"), &[0; 8], &string(&[3; 50_000])]),
                true,
                true,
            ),
            (message(9, &[&string(b"/a"), &[0; 4]]), false, true),
            (message(11, &[&string(b"/a")]), true, false),
            (message(13, &[&string(b"/a")]), false, true),
            (message(17, &[&string(b"/a")]), true, true),
            (message(18, &[&two]), false, true),
            (message(19, &[&string(b"/a")]), true, false),
            (message(20, &[&two]), false, true),
            (extended("hardlink@openssh.com", &two), false, true),
            (extended("limits@openssh.com", b""), true, true),
            // It says less than it should.
            (message(18, &[&string(b"x")]), false, false),
            // It hides what it is behind its length.
            (message(13, &[&string(&[b'a'; MAX_HELD])]), false, false),
            (vec![0; LENGTH], true, true),
        ];
        for (access, may) in [
            (Access::Read, [true, false]),
            (Access::Write, [false, true]),
        ] {
            let (mut stream, mut expect, mut count) = (Vec::new(), Vec::new(), 0);
            for (request, reader, writer) in &requests {
                let allowed = (*reader && may[0]) || (*writer && may[1]);
                stream.extend_from_slice(request);
                match allowed {
                    true => expect.extend_from_slice(request),
                    false => expect.extend_from_slice(&refused(request)),
                }
                count += u64::from(!allowed);
            }
            for size in [1, 3, 4, 5, 9, 1000, stream.len()] {
                let (out, refused) = passed(access, &stream, size);
                assert!(out == expect, "{access:?} in pieces of {size}");
                assert_eq!(refused, count);
            }
        }
    }

    #[test]
    fn a_server_answers_what_was_refused() {
        use crate::request::Request;
        let stream = refused(&message(13, &[&string(b"/a")]));
        let read = Message::read(&stream[LENGTH..]);
        assert_eq!(read, Ok(Message::Request(7, Request::Refused)));
    }

    #[test]
    fn the_beginning_of_a_request_is_given_back() {
        let (mut gate, mut out) = (Gate::new(Access::Read), Vec::new());
        let whole = message(13, &[&string(b"/a")]);
        gate.pass(&whole[..whole.len() - 1], &mut out);
        assert!(out.is_empty());
        assert_eq!(gate.rest(), whole[..whole.len() - 1]);
    }
}
