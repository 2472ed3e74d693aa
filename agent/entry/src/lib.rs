//! What the node entry and those who talk to it must agree on: the protocol of its socket, the socket
//! itself, and what its launcher reads and reports. The programs are beside it.
//!
//! The agent's side is [`channel::Channel`]: a descriptor that does not block, for tokio's `AsyncFd`.

pub mod channel;
pub mod ids;
pub mod launch;
pub mod protocol;
pub mod reason;
pub mod report;
pub mod status;
pub mod system;
