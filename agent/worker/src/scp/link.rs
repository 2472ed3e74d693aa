//! The two directions of a transfer: lines, answers and bytes, in buffers of a fixed size.

use std::io::{self, BufRead, BufReader, Read, Write};

use super::error::Error;
use crate::system::words;

/// Bytes of a line, at most.
const MAX_LINE: u64 = 64 * 1024;
/// Bytes that are held on their way.
pub(crate) const BUFFER: usize = 256 * 1024;

/// The connection to a client.
pub(crate) struct Link<R, W> {
    from: BufReader<R>,
    to: W,
    /// Something went wrong at either end.
    failed: bool,
}

impl<R: Read, W: Write> Link<R, W> {
    pub(crate) fn new(from: R, to: W) -> Self {
        Self {
            from: BufReader::with_capacity(BUFFER, from),
            to,
            failed: false,
        }
    }

    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.to.write_all(bytes)?;
        Ok(self.to.flush()?)
    }

    /// Says that all is well so far.
    pub(crate) fn accept(&mut self) -> Result<(), Error> {
        self.write(&[0])
    }

    /// Reports a failure of one file; the next ones follow.
    pub(crate) fn warn(&mut self, path: &[u8], why: &dyn std::fmt::Display) -> Result<(), Error> {
        self.failed = true;
        let why = words(why);
        self.write(format!("\x01scp: {}: {why}\n", path.escape_ascii()).as_bytes())
    }

    /// Notes that the client failed in something.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
    }

    /// The next line, without its end. `None` at the end of input.
    pub(crate) fn line(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let mut line = Vec::new();
        let limited = &mut (&mut self.from).take(MAX_LINE);
        limited.read_until(b'\n', &mut line)?;
        match line.pop() {
            None => Ok(None),
            Some(b'\n') => Ok(Some(line)),
            Some(_) => Err(Error::Protocol("a line without an end")),
        }
    }

    /// The client's answer: whether it accepted the line. It goes on either way.
    pub(crate) fn answer(&mut self) -> Result<bool, Error> {
        let mut kind = [0];
        self.from.read_exact(&mut kind)?;
        let [kind] = kind;
        match kind {
            0 => Ok(true),
            1 | 2 => {
                self.failed = true;
                let line = self.line()?.unwrap_or_default();
                let words = line.escape_ascii().to_string();
                match kind {
                    2 => Err(Error::GivenUp(words)),
                    _ => Ok(false),
                }
            }
            _ => Err(Error::Protocol("an answer that is none")),
        }
    }

    /// The next bytes, of the `due` ones.
    pub(crate) fn take(&mut self, due: u64) -> Result<&[u8], Error> {
        let bytes = self.from.fill_buf()?;
        if bytes.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let most = usize::try_from(due).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes.get(..most).unwrap_or_default())
    }

    /// Notes that this many bytes of [`take`](Self::take) were used.
    pub(crate) fn taken(&mut self, bytes: usize) {
        self.from.consume(bytes);
    }
}
