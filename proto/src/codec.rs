//! How messages of the link become bytes. As tonic-prost does it, but with a buffer of a message's size: tonic's keeps
//! 8 KiB for each direction of each session, which one that moves nothing never uses. Messages that are ready together
//! go out together.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder};

/// Bytes that a direction keeps: most messages that move no bytes fit.
const KEPT: usize = 256;

/// Bytes of messages that are ready and are encoded together: two chunks. Each such piece costs an HTTP/2 frame and a
/// system call at least. With more the buffer, which a session keeps, would be larger.
const TOGETHER: usize = 48 * 1024;

/// The codec of all services of `podgate/v1`.
#[derive(Debug)]
pub(crate) struct LinkCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for LinkCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for LinkCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = LinkEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        LinkEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(settings())
    }
}

fn settings() -> BufferSettings {
    BufferSettings::new(KEPT, TOGETHER)
}

/// Encodes a message into a buffer of its size.
#[derive(Debug)]
pub(crate) struct LinkEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for LinkEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.reserve(item.encoded_len());
        let encoded = item.encode(buf);
        encoded.map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings()
    }
}
