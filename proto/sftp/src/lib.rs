//! The messages of SFTP version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions (its
//! PROTOCOL, section 4), as typed values. No I/O. Names are bytes, as they are on the wire.

pub mod attributes;
pub mod frame;
pub mod reply;
pub mod request;
mod wire;

pub use wire::Error;

/// Bytes of one message, at most, as OpenSSH has it.
pub const MAX_MESSAGE: usize = 256 * 1024;

/// Bytes that one request reads or writes, at most, as OpenSSH's `limits@openssh.com` has it.
pub const MAX_DATA: usize = MAX_MESSAGE - 1024;

/// The version of the protocol.
pub const VERSION: u32 = 3;
