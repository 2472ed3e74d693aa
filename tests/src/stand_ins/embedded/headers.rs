//! Header blocks: one continuous zlib stream for each direction (spdy-protocol-draft3-1 §2.6.10). Only
//! streams without the preset dictionary can be read; the zlib header says so.

use std::fmt;

use bytes::Buf;
use flate2::{Decompress, FlushDecompress, Status};

/// More than any block of an exec client.
const LONGEST: usize = 16 * 1024;

/// An empty block as spdystream sends it first: the zlib header with the dictionary's Adler-32,
/// then `00 00 00 00` in a fixed Huffman block with a sync flush.
pub(super) const FIRST_EMPTY: &[u8] =
    b"\x78\xf9\xe3\xc6\xa7\xc2\x62\x60\x60\x60\x00\x00\x00\x00\xff\xff";

/// The same block later in the stream.
pub(super) const NEXT_EMPTY: &[u8] = b"\x62\x60\x60\x60\x00\x00\x00\x00\xff\xff";

/// Why a block is not readable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// The zlib header asks for the preset dictionary, which this stand-in does not hold.
    Dictionary,
    /// No zlib stream, or it ends early.
    Zlib,
    /// The block decompresses to more than 16 KiB.
    TooLong,
    /// The name and value pairs do not fill the block as they say.
    Pairs,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dictionary => "header block wants the SPDY dictionary; send plain zlib (78 01)",
            Self::Zlib => "header block is no zlib stream",
            Self::TooLong => "header block too long",
            Self::Pairs => "header block with broken pairs",
        })
    }
}

impl std::error::Error for HeaderError {}

/// Reads the blocks of one direction, in their order.
pub(super) struct HeaderReader {
    inflate: Decompress,
    begun: bool,
}

impl HeaderReader {
    pub(super) fn new() -> Self {
        Self {
            inflate: Decompress::new(true),
            begun: false,
        }
    }

    /// The pairs of the next block.
    pub(super) fn read(&mut self, block: &[u8]) -> Result<Vec<(String, String)>, HeaderError> {
        const PRESET_DICTIONARY: u8 = 0x20;
        if !self.begun
            && block
                .get(1)
                .is_some_and(|flags| flags & PRESET_DICTIONARY != 0)
        {
            return Err(HeaderError::Dictionary);
        }
        self.begun = true;
        pairs(&self.inflate(block)?)
    }

    fn inflate(&mut self, mut block: &[u8]) -> Result<Vec<u8>, HeaderError> {
        let mut out = Vec::with_capacity(LONGEST);
        while !block.is_empty() {
            if out.len() == out.capacity() {
                return Err(HeaderError::TooLong);
            }
            let before = self.inflate.total_in();
            let status = self
                .inflate
                .decompress_vec(block, &mut out, FlushDecompress::Sync);
            let taken = self.inflate.total_in() - before;
            match status {
                Ok(Status::Ok | Status::BufError) if taken > 0 => {}
                _ => return Err(HeaderError::Zlib),
            }
            block.advance(usize::try_from(taken).map_err(|_| HeaderError::Zlib)?);
        }
        Ok(out)
    }
}

fn pairs(mut block: &[u8]) -> Result<Vec<(String, String)>, HeaderError> {
    let count = block.try_get_u32().map_err(|_| HeaderError::Pairs)?;
    let mut text = || {
        let length = block.try_get_u32().map_err(|_| HeaderError::Pairs)? as usize;
        let text = block.get(..length).ok_or(HeaderError::Pairs)?;
        block.advance(length);
        String::from_utf8(text.to_vec()).map_err(|_| HeaderError::Pairs)
    };
    (0..count).map(|_| Ok((text()?, text()?))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    const PAIRS: &[u8] = b"\0\0\0\x01\0\0\0\x0astreamtype\0\0\0\x05error";

    fn expected() -> Vec<(String, String)> {
        vec![("streamtype".to_owned(), "error".to_owned())]
    }

    /// A stored deflate block, and the empty one that flushes.
    fn stored(bytes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(bytes.len()).unwrap();
        let mut block = vec![0];
        block.extend(length.to_le_bytes());
        block.extend((!length).to_le_bytes());
        block.extend(bytes);
        block.extend([0, 0, 0, 0xff, 0xff]);
        block
    }

    #[test]
    fn stored_blocks_are_read_one_after_the_other() {
        let mut reader = HeaderReader::new();
        let first = [&[0x78, 0x01][..], &stored(PAIRS)].concat();
        assert_eq!(reader.read(&first), Ok(expected()));
        assert_eq!(reader.read(&stored(PAIRS)), Ok(expected()));
    }

    #[test]
    fn compressed_blocks_are_read_too() {
        let (mut reader, mut deflate) = (
            HeaderReader::new(),
            Compress::new(Compression::best(), true),
        );
        for _ in 0..2 {
            let mut block = Vec::with_capacity(256);
            deflate
                .compress_vec(PAIRS, &mut block, FlushCompress::Sync)
                .unwrap();
            assert_eq!(reader.read(&block), Ok(expected()));
        }
    }

    #[test]
    fn the_dictionary_is_refused_by_name() {
        assert_eq!(
            HeaderReader::new().read(FIRST_EMPTY),
            Err(HeaderError::Dictionary)
        );
    }

    #[test]
    fn broken_pairs_are_refused() {
        let block = [&[0x78, 0x01][..], &stored(b"\0\0\0\x01\0\0\0\x0astream")].concat();
        assert_eq!(HeaderReader::new().read(&block), Err(HeaderError::Pairs));
    }

    #[test]
    fn our_empty_block_inflates_to_no_pairs() {
        // Raw, because only the zlib header asks for the dictionary; nothing refers to it.
        let mut out = Vec::with_capacity(64);
        let mut raw = Decompress::new(false);
        raw.decompress_vec(NEXT_EMPTY, &mut out, FlushDecompress::Sync)
            .unwrap();
        assert_eq!(out, [0, 0, 0, 0]);
        assert!(FIRST_EMPTY.ends_with(NEXT_EMPTY));
    }
}
