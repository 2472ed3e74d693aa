//! Header blocks for SYN_STREAM (SPDY Protocol, Draft 3.1, §2.6.10): one zlib stream a direction,
//! written with stored blocks, so that no compressor is needed. Peers use the preset dictionary
//! only where the zlib header asks for it, and this one does not.

use bytes::{BufMut, BytesMut};

/// zlib header: deflate, 32 KiB window, no preset dictionary (RFC 1950 §2.2).
const ZLIB: [u8; 2] = [0x78, 0x01];
/// An empty stored block: the sync flush that ends each header block (RFC 1951 §3.2.4).
const FLUSH: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// Writes the header blocks of one connection, in order.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    begun: bool,
}

impl Encoder {
    /// The block for one stream with these headers. Names (lower case) and values are short: all
    /// together below 64 KiB, the greatest stored block.
    pub(crate) fn block(&mut self, headers: &[(&str, &str)]) -> BytesMut {
        let mut plain = BytesMut::new();
        plain.put_u32(headers.len() as u32);
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.put_u32(text.len() as u32);
            plain.put_slice(text.as_bytes());
        }
        let length = plain.len() as u16;
        let mut out = BytesMut::new();
        if !self.begun {
            self.begun = true;
            out.put_slice(&ZLIB);
        }
        out.put_u8(0); // not the last block, stored
        out.put_u16_le(length);
        out.put_u16_le(!length);
        out.put_slice(&plain);
        out.put_slice(&FLUSH);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Decompress, FlushDecompress};

    #[test]
    fn blocks_inflate_as_one_zlib_stream() {
        let mut encoder = Encoder::default();
        let mut inflate = Decompress::new(true);
        for value in ["error", "stdin", "resize"] {
            let block = encoder.block(&[("streamtype", value)]);
            let mut plain = Vec::with_capacity(256);
            inflate
                .decompress_vec(&block, &mut plain, FlushDecompress::Sync)
                .unwrap();
            let expect = [
                &[0, 0, 0, 1, 0, 0, 0, 10][..],
                b"streamtype",
                &[0, 0, 0, value.len() as u8],
                value.as_bytes(),
            ]
            .concat();
            assert_eq!(plain, expect);
        }
    }
}
