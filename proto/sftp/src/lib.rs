//! The messages of SFTP version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions (its
//! PROTOCOL, section 4), as typed values. No I/O. Names are bytes, as they are on the wire.

pub mod access;
pub mod attributes;
pub mod frame;
pub mod gate;
pub mod heads;
mod limits;
pub mod reply;
pub mod request;
mod wire;

pub use limits::{MAX_DATA, MAX_MESSAGE, REFUSED, VERSION};
pub use wire::Error;
