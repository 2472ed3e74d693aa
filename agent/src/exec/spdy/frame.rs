//! SPDY/3.1 frames: a decoder that never holds a whole data frame, and the few frames a client
//! sends. Layouts: SPDY Protocol, Draft 3.1, §2.2 and §2.6; all numbers big-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Length of every frame's header, in bytes.
const HEADER: usize = 8;
/// First two bytes of a control frame: the control bit and version 3.
const CONTROL: u16 = 0x8003;
/// Bytes of a control frame's payload, at the most. A runtime's are below 100; the bound keeps a
/// broken peer from filling memory.
const MAX_CONTROL: usize = 64 * 1024;
/// Flag of a data frame or SYN_STREAM: the sender's last on this stream.
const FIN: u8 = 1;

/// A frame as a client meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Part of a stream's bytes. `fin` stands on the last part of a frame that carries it, which
    /// may be empty.
    Data {
        stream: u32,
        /// Whether the peer sends no more on this stream.
        fin: bool,
        payload: Bytes,
    },
    /// The peer accepted a stream; its headers say nothing and are skipped.
    SynReply { stream: u32 },
    /// The peer has ended a stream both ways. Status 5 (cancel) is the normal end.
    Reset { stream: u32 },
    /// The peer answers a ping.
    Ping { id: u32 },
    /// The peer is about to close the connection.
    GoAway,
    /// A frame without effect here: SETTINGS, HEADERS, WINDOW_UPDATE, SYN_STREAM.
    Other,
}

/// Why bytes are no SPDY/3.1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The first two bytes of a control frame name another version.
    #[error("a control frame of another protocol: {0:#06x}")]
    Version(u16),
    /// A control frame longer than any this protocol needs.
    #[error("a control frame of {0} bytes")]
    TooLong(usize),
    /// A control frame shorter than its own fields.
    #[error("a control frame of type {kind} with {length} bytes")]
    TooShort {
        /// The frame's type.
        kind: u16,
        /// Its payload's length in bytes.
        length: usize,
    },
}

/// Cuts a byte stream into frames.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The data frame being passed on: stream, fin, bytes still to come.
    data: Option<(u32, bool, usize)>,
}

impl Decoder {
    /// Takes the next frame from the front of `bytes`; `None` if more bytes are needed.
    pub(crate) fn next(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, Error> {
        if let Some((stream, fin, left)) = self.data {
            return Ok(self.data_part(stream, fin, left, bytes));
        }
        let Some(mut header) = bytes.get(..HEADER) else {
            return Ok(None);
        };
        let (first, second) = (header.get_u32(), header.get_u32());
        let (flags, length) = ((second >> 24) as u8, (second & 0x00ff_ffff) as usize);
        if first & 0x8000_0000 == 0 {
            bytes.advance(HEADER);
            return Ok(self.data_part(first, flags & FIN != 0, length, bytes));
        }
        let (version, kind) = ((first >> 16) as u16, (first & 0xffff) as u16);
        if version != CONTROL {
            return Err(Error::Version(version));
        }
        if length > MAX_CONTROL {
            return Err(Error::TooLong(length));
        }
        if bytes.len() < HEADER + length {
            return Ok(None);
        }
        bytes.advance(HEADER);
        let mut payload = bytes.split_to(length);
        let mut stream = || match payload.try_get_u32() {
            Ok(id) => Ok(id & 0x7fff_ffff),
            Err(_) => Err(Error::TooShort { kind, length }),
        };
        Ok(Some(match kind {
            2 => Frame::SynReply { stream: stream()? },
            3 => Frame::Reset { stream: stream()? },
            6 => Frame::Ping { id: stream()? },
            7 => Frame::GoAway,
            _ => Frame::Other,
        }))
    }

    /// What has arrived of a data frame with `left` bytes to come.
    fn data_part(
        &mut self,
        stream: u32,
        fin: bool,
        left: usize,
        bytes: &mut BytesMut,
    ) -> Option<Frame> {
        let take = left.min(bytes.len());
        if take == 0 && left > 0 {
            self.data = Some((stream, fin, left));
            return None;
        }
        let payload = bytes.split_to(take).freeze();
        self.data = (take < left).then_some((stream, fin, left - take));
        Some(Frame::Data {
            stream,
            fin: fin && self.data.is_none(),
            payload,
        })
    }
}

/// Appends a SYN_STREAM with a header block made by [`headers`](super::headers).
pub(crate) fn put_syn_stream(out: &mut BytesMut, stream: u32, block: &[u8]) {
    put_control(out, 1, 10 + block.len());
    out.put_u32(stream);
    out.put_u32(0); // associated with no other stream
    out.put_u16(0); // priority and credential slot
    out.put_slice(block);
}

/// Appends a data frame.
pub(crate) fn put_data(out: &mut BytesMut, stream: u32, fin: bool, payload: &[u8]) {
    put_data_header(out, stream, fin, payload.len());
    out.put_slice(payload);
}

/// Appends a data frame's header. Its payload of `length` bytes must follow.
///
/// # Panics
/// Not within this crate: a payload is at most a chunk of the link, far below 2^24 bytes.
pub(crate) fn put_data_header(out: &mut BytesMut, stream: u32, fin: bool, length: usize) {
    debug_assert!(length < 1 << 24);
    out.put_u32(stream);
    out.put_u32(u32::from(fin) << 24 | length as u32);
}

/// Appends a PING, which keeps a runtime from cutting an idle stream (4 h in containerd).
pub(crate) fn put_ping(out: &mut BytesMut, id: u32) {
    put_control(out, 6, 4);
    out.put_u32(id);
}

fn put_control(out: &mut BytesMut, kind: u16, length: usize) {
    out.put_u16(CONTROL);
    out.put_u16(kind);
    out.put_u32(length as u32);
}

#[cfg(test)]
mod tests;
