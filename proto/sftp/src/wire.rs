//! The fields that messages are made of (RFC 4251 §5).

use bytes::{Buf, BufMut};

use crate::limits::MAX_MESSAGE;

/// Why bytes are no SFTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A message ends before its last field.
    #[error("an SFTP message that is too short")]
    Short,
    /// A message is longer than [`MAX_MESSAGE`].
    #[error("an SFTP message of {0} bytes, of {MAX_MESSAGE} at most")]
    Long(usize),
}

/// Takes fields off the front of a message.
#[derive(Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.0.try_get_u8().map_err(|_| Error::Short)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.0.try_get_u32().map_err(|_| Error::Short)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        self.0.try_get_u64().map_err(|_| Error::Short)
    }

    pub(crate) fn string(&mut self) -> Result<&'a [u8], Error> {
        let length = self.u32()? as usize;
        let (string, rest) = self.0.split_at_checked(length).ok_or(Error::Short)?;
        self.0 = rest;
        Ok(string)
    }
}

/// Appends a string.
///
/// # Panics
/// Not within this crate's bounds: no string is longer than a message.
pub(crate) fn put_string(out: &mut Vec<u8>, string: &[u8]) {
    debug_assert!(string.len() <= MAX_MESSAGE);
    out.put_u32(string.len() as u32);
    out.put_slice(string);
}
