//! Answers on their way to the client: a buffer of a fixed size, so that what a client does not read
//! takes no more memory.

use std::io::{self, Write};

use podgate_sftp::reply::{Code, DATA_HEADER, Reply, data_header};
use podgate_sftp::{MAX_DATA, MAX_MESSAGE};

/// Bytes that wait before they are written: enough that a write is worth its call.
const FULL: usize = MAX_MESSAGE;

/// Answers that are not written yet.
pub(crate) struct Output {
    /// All of it is initialised, so that no answer clears what it is about to fill.
    bytes: Vec<u8>,
    filled: usize,
    /// A short answer, before it is copied.
    short: Vec<u8>,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; FULL + MAX_MESSAGE],
            filled: 0,
            short: Vec::new(),
        }
    }

    /// Whether it must be written before the next answer.
    pub(crate) fn is_full(&self) -> bool {
        self.filled >= FULL
    }

    pub(crate) fn put(&mut self, number: u32, reply: &Reply<'_>) {
        self.short.clear();
        reply.put(number, &mut self.short);
        if self.short.len() > MAX_MESSAGE {
            // Such as the names of very many users.
            self.short.clear();
            let failed = Reply::Status(Code::Failure, "The answer is too long");
            failed.put(number, &mut self.short);
        }
        let end = self.filled + self.short.len();
        if let Some(room) = self.bytes.get_mut(self.filled..end) {
            room.copy_from_slice(&self.short);
            self.filled = end;
        }
    }

    /// Answers with bytes that `fill` puts in place, `length` of them at most. Without any it answers
    /// nothing.
    pub(crate) fn put_data<E>(
        &mut self,
        number: u32,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let rest = self.bytes.get_mut(self.filled..).unwrap_or_default();
        let Some((header, rest)) = rest.split_first_chunk_mut::<DATA_HEADER>() else {
            return Ok(0);
        };
        let most = length.min(MAX_DATA).min(rest.len());
        let filled = fill(rest.get_mut(..most).unwrap_or_default())?;
        if filled > 0 {
            *header = data_header(number, filled as u32);
            self.filled += DATA_HEADER + filled;
        }
        Ok(filled)
    }

    /// Writes all of it.
    pub(crate) fn flush(&mut self, mut to: impl Write) -> io::Result<()> {
        let filled = std::mem::take(&mut self.filled);
        to.write_all(self.bytes.get(..filled).unwrap_or_default())?;
        to.flush()
    }
}
