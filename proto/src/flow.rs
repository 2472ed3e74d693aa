//! Flow control of one direction of a session, for both ends of the link. The receiving end counts what
//! it gets: a peer that sends more than its credit, or skips a byte, breaks the protocol.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::limits::{MAX_CHUNK, WINDOW};
use crate::v1::{Credit, Data};

/// The least cost of a message, so that credit bounds the number of messages, too.
const MIN_COST: usize = 512;

/// Messages that can wait for their reader, at most.
pub const MAX_WAITING: usize = WINDOW as usize / MIN_COST;

/// The credit that is given back at once. It is not smaller, because each return is a message.
const RETURN: u32 = WINDOW / 4;

/// What a message with this many bytes costs of [`WINDOW`].
pub fn cost(length: usize) -> u32 {
    u32::try_from(length.max(MIN_COST)).unwrap_or(u32::MAX)
}

/// How a peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It sent more bytes than it had credit for.
    #[error("more bytes than its credit allows")]
    Credit,
    /// It gave back more credit than there is.
    #[error("more credit than there is")]
    TooMuchCredit,
    /// One message is longer than [`MAX_CHUNK`].
    #[error("{0} bytes in one message, of {MAX_CHUNK} at most")]
    Length(usize),
    /// Bytes are missing, or came twice.
    #[error("byte {found} of a stream where byte {expected} was due")]
    Gap {
        /// The number of the byte that was due.
        expected: u64,
        /// The number that the message gave.
        found: u64,
    },
}

/// The sending end of one direction.
#[derive(Debug)]
pub struct Sender {
    credit: Semaphore,
    /// Bytes that were sent and not given back yet.
    outstanding: AtomicU32,
}

impl Sender {
    /// A sender with the whole window.
    pub fn new() -> Self {
        Self {
            credit: Semaphore::new(WINDOW as usize),
            outstanding: AtomicU32::new(0),
        }
    }

    /// Waits until a message of this many bytes may be sent, and counts it as sent.
    pub async fn reserve(&self, length: usize) {
        // The semaphore is never closed.
        if let Ok(permits) = self.credit.acquire_many(cost(length)).await {
            permits.forget();
            self.outstanding.fetch_add(cost(length), Ordering::Relaxed);
        }
    }

    /// Takes the next message's bytes off the front of `bytes`, numbered, once there is credit for
    /// them. `None` when all are taken.
    pub async fn next(&self, bytes: &mut Bytes, offset: &mut Offset) -> Option<Data> {
        if bytes.is_empty() {
            return None;
        }
        let chunk = bytes.split_to(bytes.len().min(MAX_CHUNK));
        self.reserve(chunk.len()).await;
        Some(offset.number(chunk))
    }

    /// The peer has passed bytes on.
    pub fn credit(&self, credit: &Credit) -> Result<(), Violation> {
        let settle = |outstanding: u32| outstanding.checked_sub(credit.bytes);
        self.outstanding
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, settle)
            .map_err(|_| Violation::TooMuchCredit)?;
        self.credit.add_permits(credit.bytes as usize);
        Ok(())
    }
}

impl Default for Sender {
    fn default() -> Self {
        Self::new()
    }
}

/// The receiving end of one direction.
#[derive(Debug)]
pub struct Receiver {
    /// What the peer may still send.
    left: AtomicU32,
    /// Bytes that were passed on and not given back yet.
    taken: AtomicU32,
}

impl Receiver {
    /// A receiver whose peer has the whole window.
    pub fn new() -> Self {
        Self {
            left: AtomicU32::new(WINDOW),
            taken: AtomicU32::new(0),
        }
    }

    /// Counts a message of this many bytes as the peer's, before it is put anywhere to wait.
    pub fn received(&self, length: usize) -> Result<(), Violation> {
        if length > MAX_CHUNK {
            return Err(Violation::Length(length));
        }
        let spend = |left: u32| left.checked_sub(cost(length));
        let spent = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
        spent.map(drop).map_err(|_| Violation::Credit)
    }

    /// Counts a message of this many bytes as passed on. Returns credit to give back, now and then.
    pub fn passed_on(&self, length: usize) -> Option<Credit> {
        let cost = cost(length);
        let taken = self.taken.fetch_add(cost, Ordering::Relaxed) + cost;
        if taken < RETURN {
            return None;
        }
        let bytes = self.taken.swap(0, Ordering::Relaxed);
        self.left.fetch_add(bytes, Ordering::Relaxed);
        Some(Credit { bytes })
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

/// The number of the next byte of one stream.
#[derive(Debug, Default)]
pub struct Offset(u64);

impl Offset {
    /// How many bytes there were.
    pub fn get(&self) -> u64 {
        self.0
    }

    /// Numbers bytes that are sent.
    pub fn number(&mut self, bytes: Bytes) -> Data {
        let offset = self.0;
        self.0 += bytes.len() as u64;
        Data { offset, bytes }
    }

    /// Checks bytes that were received, and copies them: as received they are a part of the whole
    /// message, which an unknown field may make far larger than the credit it cost.
    pub fn check(&mut self, data: &Data) -> Result<Bytes, Violation> {
        self.check_end(data.offset)?;
        self.0 += data.bytes.len() as u64;
        Ok(Bytes::copy_from_slice(&data.bytes))
    }

    /// Checks that the stream ends here.
    pub fn check_end(&self, offset: u64) -> Result<(), Violation> {
        if offset == self.0 {
            Ok(())
        } else {
            Err(Violation::Gap {
                expected: self.0,
                found: offset,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Whether a message may be sent at once.
    fn may_send(sender: &Sender, length: usize) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let reserve = pin!(sender.reserve(length));
        matches!(reserve.poll(&mut context), Poll::Ready(()))
    }

    #[test]
    fn both_ends_keep_the_same_account() {
        let (sender, receiver) = (Sender::new(), Receiver::new());
        let mut messages = 0;
        while may_send(&sender, MAX_CHUNK) {
            assert_eq!(receiver.received(MAX_CHUNK), Ok(()));
            messages += 1;
        }
        assert_eq!(messages, WINDOW as usize / MAX_CHUNK);
        assert_eq!(receiver.received(1), Err(Violation::Credit));
        let credit = (0..messages).find_map(|_| receiver.passed_on(MAX_CHUNK));
        let credit = credit.unwrap();
        assert_eq!(credit.bytes, RETURN);
        assert_eq!(sender.credit(&credit), Ok(()));
        assert!(may_send(&sender, MAX_CHUNK));
        assert_eq!(receiver.received(MAX_CHUNK), Ok(()));
    }

    #[test]
    fn small_messages_are_bounded_in_number() {
        let receiver = Receiver::new();
        let taken = (0..=MAX_WAITING).take_while(|_| receiver.received(1).is_ok());
        assert_eq!(taken.count(), MAX_WAITING);
        // An empty one costs as much.
        assert_eq!(receiver.received(0), Err(Violation::Credit));
    }

    #[test]
    fn what_breaks_the_protocol_is_named() {
        let long = MAX_CHUNK + 1;
        assert_eq!(Receiver::new().received(long), Err(Violation::Length(long)));
        let too_much = Credit { bytes: 1 };
        assert_eq!(
            Sender::new().credit(&too_much),
            Err(Violation::TooMuchCredit)
        );
    }

    #[test]
    fn long_bytes_are_sent_in_as_many_messages_as_they_need() {
        let (sender, mut offset) = (Sender::new(), Offset::default());
        let mut bytes = Bytes::from(vec![0; 2 * MAX_CHUNK + 1]);
        let mut messages = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(data)) =
            pin!(sender.next(&mut bytes, &mut offset)).poll(&mut context)
        {
            messages.push((data.offset as usize, data.bytes.len()));
        }
        let expected = [(0, MAX_CHUNK), (MAX_CHUNK, MAX_CHUNK), (2 * MAX_CHUNK, 1)];
        assert_eq!(messages, expected);
        assert!(bytes.is_empty());
    }

    #[test]
    fn bytes_are_numbered_and_a_gap_is_seen() {
        let (mut from, mut to) = (Offset::default(), Offset::default());
        let first = from.number(Bytes::from_static(b"abc"));
        let second = from.number(Bytes::from_static(b"de"));
        let third = from.number(Bytes::new());
        assert_eq!((first.offset, second.offset, third.offset), (0, 3, 5));
        assert_eq!(to.check(&first), Ok(Bytes::from_static(b"abc")));
        let gap = |expected, found| Violation::Gap { expected, found };
        assert_eq!(to.check(&first), Err(gap(3, 0)));
        assert_eq!(to.check_end(5), Err(gap(3, 5)));
        assert_eq!(to.check(&second), Ok(Bytes::from_static(b"de")));
        assert_eq!(to.check_end(from.get()), Ok(()));
    }
}
