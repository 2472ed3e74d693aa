//! Numbers that both ends of the link hold to.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Version of the protocol, in every [`Open`](crate::v1::Open). Peers of different versions refuse
/// each other; added fields do not change it.
pub const PROTOCOL_VERSION: u32 = 1;

/// Versions of enrolment that this release speaks.
pub const ENROLMENT_VERSIONS: RangeInclusive<u32> = 1..=1;

/// This release's version, which each end tells the other.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// The highest version in both ranges, if there is one.
pub fn agree(ours: &RangeInclusive<u32>, theirs: &RangeInclusive<u32>) -> Option<u32> {
    let highest = *ours.end().min(theirs.end());
    let lowest = *ours.start().max(theirs.start());
    (lowest <= highest).then_some(highest)
}

/// Bytes that are read of a process, or written to it, at once, and so make a message. Large enough
/// that the cost a message does not count, small enough that a shell beside a bulk session does not
/// wait long.
pub const MAX_CHUNK: usize = 32 * 1024;

/// Bytes of one HTTP/2 frame: a whole message, so that it is written at once. The 16 KiB that RFC 9113
/// §4.2 begins with cut it into three.
pub const MAX_FRAME: u32 = 64 * 1024;

/// Bytes that wait in the link's socket before it takes more: what comes later waits behind them, and
/// may be a keystroke.
pub const NOT_SENT: u32 = 128 * 1024;

/// Bytes of one encoded message, at the most: a command of the kernel's greatest argument
/// (128 KiB) with its environment.
pub const MAX_MESSAGE: usize = 512 * 1024;

/// Bytes of who acts: the user's name, groups and all else that a grant says of them.
pub const MAX_IDENTITY: usize = 64 * 1024;

/// HTTP/2 window of one stream: what a stalled session can hold in either end.
pub const STREAM_WINDOW: u32 = 512 * 1024;

/// Bytes that one end may send in a session before the other says that some were taken: what waits
/// there for a process or a client that does not read. The ceiling of a transfer on the link is this
/// by the round trip.
pub const WINDOW: u32 = 1024 * 1024;

/// What a message costs of [`WINDOW`], at the least, so that it bounds their number, too.
const MIN_COST: usize = 512;

/// Messages that can wait for their reader.
pub const MAX_WAITING: usize = WINDOW as usize / MIN_COST;

/// What a message with this many bytes of input or output costs of [`WINDOW`].
pub fn cost(length: usize) -> u32 {
    u32::try_from(length.max(MIN_COST)).unwrap_or(u32::MAX)
}

/// HTTP/2 window of a connection: the largest there is, so that only streams push back. With a
/// smaller one a second stalled session freezes every other on its connection.
pub const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Sessions on one connection, at the most.
pub const MAX_STREAMS: u32 = 10_000;

/// A peer that sends nothing for this long is asked for a sign of life …
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);

/// … and is taken for lost after this long without one.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// For connecting, the TLS handshake included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For a certificate from the signer, all in all.
pub const ENROL_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes of a request for a certificate, at the most.
pub const MAX_ENROL_REQUEST: usize = 32 * 1024;
