//! The server's end of scp's old protocol, which has no specification but rcp's and OpenSSH's scp.c. A
//! sender tells of each file and folder in a line; the receiver answers each with a byte.

mod line;
mod link;
mod sink;
mod source;

use std::io::{self, Read, Write};

pub(crate) use line::Options;

use link::Link;

/// Why a transfer broke off. What fails for one file alone is told to the client, and the others follow.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the scp client sent {0}")]
    Protocol(&'static str),
    #[error("the scp client gave up: {0}")]
    GivenUp(String),
    #[error("the scp client cannot be reached: {0}")]
    Io(#[from] io::Error),
}

/// Receives files into this path. Answers whether all arrived.
pub(crate) fn receive(
    from: impl Read,
    to: impl Write,
    path: &[u8],
    options: Options,
) -> Result<bool, Error> {
    let mut link = Link::new(from, to);
    sink::run(&mut link, path, options)?;
    Ok(!link.failed())
}

/// Sends these files. Answers whether all were sent.
pub(crate) fn send(
    from: impl Read,
    to: impl Write,
    paths: &[Vec<u8>],
    options: Options,
) -> Result<bool, Error> {
    let mut link = Link::new(from, to);
    source::run(&mut link, paths, options)?;
    Ok(!link.failed())
}
