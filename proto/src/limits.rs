//! Numbers that both ends of the link hold to.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Versions of the link that this release speaks, from the lowest to the highest. Both ends use the
/// highest that they share ([`agree`]).
pub const LINK_VERSIONS: RangeInclusive<u32> = 1..=3;

/// The first version of the link that has OutputUnread.
pub const OUTPUT_UNREAD_SINCE: u32 = 2;

/// The first version of the link that has Ended.
pub const ENDED_SINCE: u32 = 3;

/// Versions of enrolment that this release speaks. They have nothing to do with the link's.
pub const ENROLMENT_VERSIONS: RangeInclusive<u32> = 1..=1;

/// This release's version, which each end tells the other.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// The highest version in both ranges, if there is one.
pub fn agree(ours: &RangeInclusive<u32>, theirs: &RangeInclusive<u32>) -> Option<u32> {
    let highest = *ours.end().min(theirs.end());
    let lowest = *ours.start().max(theirs.start());
    (lowest <= highest).then_some(highest)
}

/// Bytes of a message, at most. Large enough that the cost of a message hardly counts, small enough that a
/// shell beside a bulk session does not wait long.
pub const MAX_CHUNK: usize = 32 * 1024;

/// Bytes that are read at once from a program or a connection that says much: some messages.
pub const MAX_READ: usize = 4 * MAX_CHUNK;

/// Bytes of one HTTP/2 frame, at most: the messages that are encoded together, so that they are written at
/// once. The default of 16 KiB (RFC 9113 §4.2) would cut them into pieces.
pub const MAX_FRAME: u32 = 128 * 1024;

/// Bytes that TLS takes to encrypt before its socket has taken some: a frame with its head. With the default of 64 KiB
/// the rest of a frame would be a record, and a write, of its own.
pub const TLS_BUFFER: usize = MAX_FRAME as usize + 1024;

/// Bytes that wait in the link's socket before it takes more: what comes later waits behind them, and
/// may be a keystroke.
pub const NOT_SENT: u32 = 128 * 1024;

/// Bytes of one encoded message, at most: a command of the kernel's longest argument (128 KiB) with its
/// environment.
pub const MAX_MESSAGE: usize = 512 * 1024;

/// Bytes of one encoded message of an agent, at most: a chunk or a sentence, and what is around it.
pub const MAX_AGENT_MESSAGE: usize = 64 * 1024;

/// Bytes of a sentence for the user, at most.
pub const MAX_SENTENCE: usize = 4 * 1024;

/// Bytes of everything that a grant says about who acts: user, groups and all else.
pub const MAX_IDENTITY: usize = 64 * 1024;

/// HTTP/2 window of one stream: what a stalled session can hold in either end.
pub const STREAM_WINDOW: u32 = 512 * 1024;

/// Bytes that one end may send in one direction before the other passes some on: what can wait there
/// for a program or a client that does not read. A transfer is no faster than this much a round trip.
/// [`flow`](crate::flow) keeps the account.
pub const WINDOW: u32 = 1024 * 1024;

/// Connections of one listener that wait to be accepted, at most.
pub const MAX_INCOMING: usize = 32;

/// How long a listener's connection waits to be accepted.
pub const INCOMING_TIMEOUT: Duration = Duration::from_secs(30);

/// Where clouds tell a machine its credentials. Nobody may connect there: a pod that cannot be kept from
/// there must not be a way to it.
pub const METADATA: [&str; 2] = ["169.254.169.254", "fd00:ec2::254"];

/// HTTP/2 window of a connection: the largest there is, so that only streams push back. With a
/// smaller one a second stalled session freezes every other on its connection.
pub const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Sessions on one connection, at the most.
pub const MAX_STREAMS: u32 = 10_000;

/// A peer that sends nothing for this long is asked for a sign of life: its program by HTTP/2, its system
/// by TCP.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);

/// A peer whose system acknowledges nothing for this long is taken for lost. A system answers however busy
/// its processors are.
pub const UNACKNOWLEDGED: Duration = Duration::from_secs(6);

/// Between two looks at a silent peer.
pub const LISTEN: Duration = Duration::from_secs(2);

/// A peer whose system answers is taken for lost at this many looks in a row without a byte: 30 s. Its
/// program may be stopped, or get no processor, and loses no session meanwhile.
pub const SILENT: u32 = 15;

/// The time in which HTTP/2 itself gives up a peer, so long that it never does. It looks at a timer before
/// it reads what has come, so a busy machine would lose links whose peers have answered.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// The limit for connecting, TLS handshake included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The limit for getting a certificate from the signer.
pub const ENROL_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes of a request for a certificate, at the most.
pub const MAX_ENROL_REQUEST: usize = 32 * 1024;

/// Host keys that the signer certifies for a frontdoor at once.
pub const MAX_HOST_KEYS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_use_the_highest_version_that_both_speak() {
        let check = |ours: RangeInclusive<u32>, theirs: RangeInclusive<u32>, expect| {
            assert_eq!(agree(&ours, &theirs), expect, "{ours:?} {theirs:?}");
            assert_eq!(agree(&theirs, &ours), expect, "{theirs:?} {ours:?}");
        };
        check(1..=1, 1..=1, Some(1));
        check(1..=1, 1..=2, Some(1));
        check(1..=2, 2..=3, Some(2));
        check(1..=3, 1..=3, Some(3));
        check(1..=1, 2..=3, None);
        // A peer that says nothing of versions, and peers that send nonsense.
        check(1..=1, 0..=0, None);
        check(1..=2, RangeInclusive::new(2, 1), None);
    }
}
