//! Why an exec breaks.

use std::io;

use super::spdy::frame;
use super::status;

/// The most bytes of a status. It may repeat the whole command, escaped, more than once.
pub(super) const MAX_STATUS: usize = 4 * 1024 * 1024;

/// Why an exec broke. A program's exit status is none of these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the connection to the kubelet broke: {0}")]
    Io(#[from] io::Error),
    #[error("the kubelet's answer is not SPDY: {0}")]
    Frame(#[from] frame::Error),
    /// The connection ended before the program or its output did.
    #[error("the kubelet closed the connection during the session")]
    Closed,
    #[error("the kubelet gave no exit status")]
    NoStatus,
    #[error(transparent)]
    Status(#[from] status::Error),
    #[error("the kubelet's exit status is longer than {MAX_STATUS} bytes")]
    StatusTooLong,
    #[error("the kubelet sent data before it accepted the streams")]
    TooEarly,
    /// containerd gives no status while it waits to write input.
    #[error(
        "the program has closed its output and has not read all of its input; until that is read, the container's runtime reports no exit status"
    )]
    Unread,
    #[error(
        "the program's output had words by which only Podgate's own wrapper says that it has ended; its input was ended too soon"
    )]
    NotEnded,
    /// The wrapper reads on to the end of input, or on a terminal to the agent's answer.
    #[error(
        "the program has ended, but the container's runtime has lost the end of its input, and until then it tells no exit status"
    )]
    InputNotEnded,
    /// The program had started, and how it ended is not known.
    #[error("the runtime lost the program: {0}")]
    Runtime(String),
}
