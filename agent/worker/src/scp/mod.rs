//! The server's end of scp's old protocol, which has no specification but rcp's and OpenSSH's scp.c. A
//! sender tells of each file and folder in a line; the receiver answers each with a byte.

mod error;
mod line;
mod link;
mod sink;
mod source;

use std::io::{Read, Write};

pub(crate) use error::Error;
pub(crate) use line::Options;

use link::Link;

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
