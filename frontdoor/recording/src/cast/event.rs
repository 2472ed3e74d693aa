//! What a line after the first one says.

use bytes::Bytes;

/// What happened at some time of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says it")]
pub enum Event {
    Output(Stream, Bytes),
    Input(Bytes),
    Resize {
        columns: u32,
        rows: u32,
    },
    Marker(String),
    /// The program's exit status.
    Exit(u32),
}

/// Where a program wrote. With a terminal all is stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says it")]
pub enum Stream {
    Stdout,
    Stderr,
}
