//! The protocol's numbers.

/// Bytes of one message, at most, as OpenSSH has it.
pub const MAX_MESSAGE: usize = 256 * 1024;

/// Bytes that one request reads or writes, at most, as OpenSSH's `limits@openssh.com` has it.
pub const MAX_DATA: usize = MAX_MESSAGE - 1024;

/// The version of the protocol.
pub const VERSION: u32 = 3;

/// The type of a request that a [`Gate`](crate::gate::Gate) has refused. The draft leaves types from 210 on
/// to extensions.
pub const REFUSED: u8 = 241;
