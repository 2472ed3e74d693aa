//! What an exec's output says of its end, as the bytes of a runtime.

use bytes::BytesMut;
use futures_util::FutureExt;
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::super::window::WORKERS;
use super::*;

const WORDS: &[u8] = b"\x01podgate:1:end\x02";
const DONE: &[u8] = b"\x01podgate:1:out\x02";

/// An exec without a terminal behind a wrapper, and the runtime's end of it.
fn exec() -> (Output, DuplexStream) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let window = Arc::new(Window::new());
    let mut output = Output::new(Box::new(near), BytesMut::new(), false, window);
    output.ends_by(Ending::OnStderr {
        words: WORDS.to_vec(),
        done: DONE.to_vec(),
    });
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
    send(&mut far, STDERR, false, WORDS).await;
    assert!(output.event().now_or_never().is_none());
    assert!(output.said.is_some() && !output.done);
    output.said = output.said.unwrap().checked_sub(LAST);
    output.asked = output.said.unwrap();
    let lost = output.look().await;
    assert!(matches!(lost, Err(Error::InputNotEnded)), "{lost:?}");
}

#[tokio::test]
async fn a_job_may_write_for_longer_than_its_program_runs() {
    let (mut output, mut far) = exec();
    send(&mut far, STDERR, false, &[WORDS, b"and", DONE].concat()).await;
    assert!(matches!(output.event().await, Ok(Event::Stderr(bytes)) if bytes == "and"));
    assert!(output.event().now_or_never().is_none());
    output.said = output.said.unwrap().checked_sub(LAST);
    output.asked = output.said.unwrap();
    send(&mut far, STDOUT, false, b"late").await;
    assert!(matches!(output.look().await, Ok(Event::Stdout(bytes)) if bytes == "late"));
    assert!(output.look().now_or_never().is_none());
}

#[tokio::test]
async fn output_that_nobody_takes_is_read_for_the_answers_behind_it() {
    let (mut output, mut far) = exec();
    let window = Arc::clone(&output.window);
    let mut pongs = BytesMut::new();
    while window.free().now_or_never() == Some(true) {
        window.sent();
        for ping in window
            .ask(false)
            .into_iter()
            .flat_map(|first| first..first + WORKERS)
        {
            frame::put_ping(&mut pongs, 2 * ping + 1);
        }
    }
    send(&mut far, STDOUT, false, b"one").await;
    assert!(matches!(output.event().await, Ok(Event::Stdout(bytes)) if bytes == "one"));

    // Nobody asks for the next event, and the connection does not hold all of it.
    let mut behind = BytesMut::new();
    frame::put_data(&mut behind, STDOUT, false, &[b'x'; 100_000]);
    behind.unsplit(pongs);
    tokio::select! {
        never = streams::Output::read_ahead(&mut output) => match never {},
        sent = far.write_all(&behind) => sent.unwrap(),
    }
    let mut taken = 0;
    while let Some(event) = output.event().now_or_never() {
        match event {
            Ok(Event::Stdout(bytes)) => taken += bytes.len(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, 100_000);
    assert_eq!(window.free().now_or_never(), Some(true));
}
