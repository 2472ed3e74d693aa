//! The server's end of scp's old protocol, which has no specification but rcp's and OpenSSH's scp.c. A
//! sender tells of each file and folder in a line; the receiver answers each with a byte.

mod error;
mod expand;
mod line;
mod link;
mod pattern;
mod sink;
mod source;

use std::io::{Read, Write};

pub(crate) use error::Error;
pub(crate) use line::Options;

use link::Link;

/// Receives files into the path that this pattern stands for. Answers whether all arrived.
pub(crate) fn receive(
    from: impl Read,
    to: impl Write,
    pattern: &[u8],
    options: Options,
) -> Result<bool, Error> {
    let mut link = Link::new(from, to);
    match expand::expand(pattern).as_slice() {
        [path] => sink::run(&mut link, path, options)?,
        _ => link.warn(pattern, &"it stands for several paths")?,
    }
    Ok(!link.failed())
}

/// Sends the files that these patterns stand for. Answers whether all were sent.
pub(crate) fn send(
    from: impl Read,
    to: impl Write,
    patterns: &[Vec<u8>],
    options: Options,
) -> Result<bool, Error> {
    let mut link = Link::new(from, to);
    let paths = patterns.iter().flat_map(|pattern| expand::expand(pattern));
    source::run(&mut link, paths, options)?;
    Ok(!link.failed())
}
