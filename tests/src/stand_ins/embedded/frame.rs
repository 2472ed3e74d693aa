//! SPDY/3.1 frames as bytes, no I/O: frames of a client are decoded, frames of a server are encoded
//! (spdy-protocol-draft3-1 §2.2 and §2.6).

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes before a frame's payload.
pub(super) const HEADER: usize = 8;

/// `RST_STREAM`'s status for a stream that has simply ended.
pub(super) const CANCEL: u32 = 5;

const FIN: u8 = 1;
const CONTROL: u32 = 0x8000_0000;
const VERSION: u32 = 3;

/// A frame from a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// `SYN_STREAM` with its compressed header block.
    Open { id: u32, fin: bool, block: Bytes },
    /// `HEADERS`; its block belongs to the same compressed stream.
    Headers { block: Bytes },
    /// `RST_STREAM`
    Reset { id: u32, status: u32 },
    /// `PING`, to be sent back as it is.
    Ping { id: u32 },
    /// `GOAWAY`
    GoAway,
    /// Bytes of a stream; `fin` closes the client's half.
    Data { id: u32, fin: bool, payload: Bytes },
    /// `SETTINGS`, `WINDOW_UPDATE` and others without effect, by their type.
    Other(u16),
}

/// A frame that breaks the layout.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// A control frame of another SPDY version.
    Version(u16),
    /// A control frame of this type is shorter than its fields.
    Short(u16),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "SPDY version {version}"),
            Self::Short(kind) => write!(f, "control frame of type {kind} too short"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Takes the first whole frame off `buffer`, if there is one.
pub(crate) fn decode(buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let mut head = buffer.as_ref();
    if head.remaining() < HEADER {
        return Ok(None);
    }
    let (first, second) = (head.get_u32(), head.get_u32());
    let (flags, length) = ((second >> 24) as u8, (second & 0xff_ffff) as usize);
    if head.remaining() < length {
        buffer.reserve(HEADER + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(HEADER);
    let payload = buffer.split_to(length).freeze();
    let fin = flags & FIN != 0;
    if first & CONTROL == 0 {
        return Ok(Some(Frame::Data {
            id: first,
            fin,
            payload,
        }));
    }
    let version = (first & !CONTROL) >> 16;
    if version != VERSION {
        return Err(FrameError::Version(version as u16));
    }
    control((first & 0xffff) as u16, fin, payload).map(Some)
}

fn control(kind: u16, fin: bool, mut payload: Bytes) -> Result<Frame, FrameError> {
    let fields = match kind {
        1 => 10,
        3 => 8,
        6..=8 => 4,
        _ => 0,
    };
    if payload.len() < fields {
        return Err(FrameError::Short(kind));
    }
    let mut field = || payload.get_u32() & !CONTROL;
    Ok(match kind {
        1 => {
            let (id, _associated) = (field(), field());
            let _priority_and_slot = payload.get_u16();
            Frame::Open {
                id,
                fin,
                block: payload,
            }
        }
        3 => Frame::Reset {
            id: field(),
            status: field(),
        },
        6 => Frame::Ping { id: field() },
        7 => Frame::GoAway,
        8 => {
            let _id = field();
            Frame::Headers { block: payload }
        }
        other => Frame::Other(other),
    })
}

/// A data frame; `payload` under 2^24 bytes.
pub(crate) fn data(id: u32, fin: bool, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEADER + payload.len());
    frame.put_slice(&data_header(id, fin, payload.len()));
    frame.put_slice(payload);
    frame.freeze()
}

/// What goes before a data frame's payload of this length.
pub(super) fn data_header(id: u32, fin: bool, length: usize) -> [u8; HEADER] {
    let flags = if fin { u64::from(FIN) << 24 } else { 0 };
    (u64::from(id) << 32 | flags | length as u64 & 0xff_ffff).to_be_bytes()
}

/// `SYN_REPLY`
pub(super) fn reply(id: u32, block: &[u8]) -> Bytes {
    let mut payload = BytesMut::with_capacity(4 + block.len());
    payload.put_u32(id);
    payload.put_slice(block);
    encode(2, &payload)
}

/// `RST_STREAM`
pub(super) fn reset(id: u32, status: u32) -> Bytes {
    encode(3, &(u64::from(id) << 32 | u64::from(status)).to_be_bytes())
}

/// `PING`
pub(super) fn ping(id: u32) -> Bytes {
    encode(6, &id.to_be_bytes())
}

/// `GOAWAY`, status 0
pub(super) fn go_away(last: u32) -> Bytes {
    encode(7, &(u64::from(last) << 32).to_be_bytes())
}

fn encode(kind: u16, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEADER + payload.len());
    frame.put_u32(CONTROL | VERSION << 16 | u32::from(kind));
    frame.put_u32(payload.len() as u32 & 0xff_ffff);
    frame.put_slice(payload);
    frame.freeze()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expect: Result<Option<Frame>, FrameError>) {
        assert_eq!(decode(&mut BytesMut::from(bytes)), expect);
    }

    #[test]
    fn client_frames_decode() {
        let block = Bytes::from_static(b"zz");
        let syn = [
            0x80, 3, 0, 1, 0, 0, 0, 12, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, b'z', b'z',
        ];
        check(
            &syn,
            Ok(Some(Frame::Open {
                id: 5,
                fin: false,
                block,
            })),
        );
        check(&syn[..19], Ok(None));
        check(&syn[..7], Ok(None));
        let payload = Bytes::from_static(b"hi");
        check(
            b"\0\0\0\x03\x01\0\0\x02hi",
            Ok(Some(Frame::Data {
                id: 3,
                fin: true,
                payload,
            })),
        );
        check(
            &[0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 9],
            Ok(Some(Frame::Ping { id: 9 })),
        );
        check(
            &[0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 5],
            Ok(Some(Frame::Reset {
                id: 9,
                status: CANCEL,
            })),
        );
        check(&[0x80, 3, 0, 9, 0, 0, 0, 0], Ok(Some(Frame::Other(9))));
    }

    #[test]
    fn broken_frames_are_named() {
        check(
            &[0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 9],
            Err(FrameError::Version(2)),
        );
        check(
            &[0x80, 3, 0, 6, 0, 0, 0, 2, 0, 0],
            Err(FrameError::Short(6)),
        );
    }

    #[test]
    fn server_frames_encode() {
        assert_eq!(data(7, true, b"ab").as_ref(), b"\0\0\0\x07\x01\0\0\x02ab");
        assert_eq!(
            reset(1, CANCEL).as_ref(),
            [0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 5]
        );
        assert_eq!(
            go_away(7).as_ref(),
            [0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 0]
        );
        assert_eq!(ping(1).as_ref(), [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]);
        assert_eq!(
            reply(3, b"zz").as_ref(),
            b"\x80\x03\0\x02\0\0\0\x06\0\0\0\x03zz"
        );
    }

    #[test]
    fn two_frames_in_one_buffer_come_one_by_one() {
        let mut buffer = BytesMut::from(&[data(1, false, b"a"), data(3, true, b"")].concat()[..]);
        let first = decode(&mut buffer).unwrap();
        assert_eq!(
            first,
            Some(Frame::Data {
                id: 1,
                fin: false,
                payload: Bytes::from("a")
            })
        );
        let second = decode(&mut buffer).unwrap();
        assert_eq!(
            second,
            Some(Frame::Data {
                id: 3,
                fin: true,
                payload: Bytes::new()
            })
        );
        assert_eq!(decode(&mut buffer), Ok(None));
    }
}
