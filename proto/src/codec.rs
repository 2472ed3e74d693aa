//! How messages of the link become bytes. Long ones that are ready together go out together, and a stream that is idle
//! holds little memory.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// Bytes that a stream's buffer has before it holds a message.
const BUFFER: usize = 1024;

/// Bytes of messages that are ready and are encoded together: two chunks. Each such piece costs an HTTP/2 frame and a
/// system call at least.
const TOGETHER: usize = 48 * 1024;

/// The codec of all services of `podgate/v1`.
#[derive(Debug)]
pub(crate) struct LinkCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for LinkCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER, TOGETHER)
}

impl<T, U> Codec for LinkCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(settings())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(settings())
    }
}
