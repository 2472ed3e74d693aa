//! What an exec's output says of its end, as the bytes of a runtime.

use bytes::BytesMut;
use futures_util::FutureExt;
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::*;

const WORDS: &[u8] = b"\x01podgate:1:end\x02";

/// An exec without a terminal behind a wrapper, and the runtime's end of it.
fn exec() -> (Output, DuplexStream) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let window = Arc::new(Window::new());
    let mut output = Output::new(Box::new(near), BytesMut::new(), false, window);
    let words = WORDS.to_vec();
    output.ends_by(Ending::OnStderr { words });
    (output, far)
}

async fn send(far: &mut DuplexStream, stream: u32, fin: bool, bytes: &[u8]) {
    let mut frames = BytesMut::new();
    frame::put_data(&mut frames, stream, fin, bytes);
    far.write_all(&frames).await.unwrap();
}

#[tokio::test]
async fn a_lost_end_of_input_is_not_waited_for_without_end() {
    let (mut output, mut far) = exec();
    send(&mut far, STDERR, true, WORDS).await;
    assert!(output.event().now_or_never().is_none());
    // A job of the program may write on.
    assert!(output.last().is_none());
    send(&mut far, STDOUT, true, b"late").await;
    assert!(matches!(output.event().await, Ok(Event::Stdout(bytes)) if bytes == "late"));
    assert!(output.event().now_or_never().is_none());
    let (last, error) = output.last().unwrap();
    assert!(last <= Instant::now() + LAST);
    assert!(matches!(error, Error::InputNotEnded), "{error}");
    output.silent = Instant::now().checked_sub(LAST);
    let lost = output.event().await;
    assert!(matches!(lost, Err(Error::InputNotEnded)), "{lost:?}");
}

#[tokio::test]
async fn a_program_that_has_not_said_its_end_may_close_its_output() {
    let (mut output, mut far) = exec();
    send(&mut far, STDERR, true, b"").await;
    send(&mut far, STDOUT, true, b"").await;
    assert!(output.event().now_or_never().is_none());
    assert!(output.last().is_none());
}
