//! Cuts a stream of bytes into messages.

use crate::limits::MAX_MESSAGE;
use crate::wire::Error;

/// Bytes of a message's length, in front of it.
pub const LENGTH: usize = 4;

/// The first message of `bytes`, without its length. `None` if more bytes are needed. It takes
/// [`LENGTH`] bytes more than it has.
pub fn first(bytes: &[u8]) -> Result<Option<&[u8]>, Error> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_MESSAGE {
        return Err(Error::Long(length));
    }
    Ok(rest.get(..length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_or_waited_for() {
        let two = [0, 0, 0, 2, 7, 8, 0, 0, 0, 1, 9];
        assert_eq!(first(&two), Ok(Some(&[7, 8][..])));
        assert_eq!(first(&two[..5]), Ok(None));
        assert_eq!(first(&two[..3]), Ok(None));
        assert_eq!(first(&two[6..]), Ok(Some(&[9][..])));
        assert_eq!(first(&[0, 0, 0, 0]), Ok(Some(&[][..])));
        let long = MAX_MESSAGE + 1;
        assert_eq!(first(&(long as u32).to_be_bytes()), Err(Error::Long(long)));
    }
}
