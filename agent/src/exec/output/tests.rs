//! What an exec's output says of its end, as the bytes of a runtime.

use bytes::BytesMut;
use futures_util::FutureExt;
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::super::spdy::frame;
use super::super::window::WORKERS;
use super::*;

const WORDS: &[u8] = b"\x01podgate:1:end:037\x02";
const DONE: &[u8] = b"\x01podgate:1:out:037\x02";

/// An exec without a terminal behind a wrapper, and the runtime's end of it.
fn exec() -> (Output, DuplexStream) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let window = Arc::new(Window::new());
    let mut output = Output::new(Box::new(near), BytesMut::new(), false, window);
    output.ends_by(Ending::OnStderr {
        words: b"\x01podgate:1:end:".to_vec(),
        done: b"\x01podgate:1:out:".to_vec(),
    });
    (output, far)
}

/// Has a ping be answered.
async fn answer(output: &mut Output, far: &mut DuplexStream) {
    let mut frames = BytesMut::new();
    frame::put_ping(&mut frames, 1);
    far.write_all(&frames).await.unwrap();
    assert!(output.event().now_or_never().is_none());
}

/// Has the words be said so long ago that no end of input is waited for any more.
fn age(output: &mut Output) {
    let said = output.said.as_mut().unwrap();
    said.at = said.at.checked_sub(LAST).unwrap();
    output.asked = said.at;
}

/// What a session is told, once the words were said long ago.
async fn lost(mut output: Output) -> Lost {
    age(&mut output);
    let error = output.look().await.unwrap_err();
    output.broken = Some(error);
    streams::Output::next(&mut output).await.unwrap_err()
}

async fn send(far: &mut DuplexStream, stream: u32, fin: bool, bytes: &[u8]) {
    let mut frames = BytesMut::new();
    frame::put_data(&mut frames, stream, fin, bytes);
    far.write_all(&frames).await.unwrap();
}

#[tokio::test]
async fn a_lost_end_of_input_does_not_cost_the_status() {
    let (mut output, mut far) = exec();
    send(&mut far, STDERR, false, &[b"err", WORDS].concat()).await;
    send(&mut far, STDOUT, false, b"out").await;
    assert!(matches!(output.event().await, Ok(Event::Stderr(bytes)) if bytes == "err"));
    assert!(matches!(output.event().await, Ok(Event::Stdout(bytes)) if bytes == "out"));
    assert!(output.event().now_or_never().is_none());
    assert!(output.said.is_some() && !output.done);
    answer(&mut output, &mut far).await;
    let lost = lost(output).await;
    assert_eq!(lost.status, Some(37));
    assert!(lost.to_string().contains("has lost the end of its input"));
}

/// It may hold output that was written before the words: stdout has a way of its own.
#[tokio::test]
async fn a_runtime_that_stands_still_costs_the_status() {
    let (mut output, mut far) = exec();
    send(&mut far, STDERR, false, WORDS).await;
    assert!(output.event().now_or_never().is_none());
    assert!(output.said.is_some());
    assert_eq!(lost(output).await.status, None);
}

#[tokio::test]
async fn a_terminal_that_loses_the_answer_does_not_cost_the_status() {
    let (mut output, mut far) = exec();
    output.terminal = true;
    output.open = vec![ERROR, STDOUT];
    send(&mut far, STDOUT, false, &[b"out", WORDS, b"echo"].concat()).await;
    assert!(matches!(output.event().await, Ok(Event::Stdout(bytes)) if bytes == "out"));
    assert!(output.event().now_or_never().is_none());
    answer(&mut output, &mut far).await;
    assert_eq!(lost(output).await.status, Some(37));
}

/// ksh 93 has a status above 255 for what a signal has ended.
#[tokio::test]
async fn words_without_a_status_leave_the_sentence() {
    let (mut output, mut far) = exec();
    send(&mut far, STDERR, false, b"\x01podgate:1:end:265\x02").await;
    assert!(output.event().now_or_never().is_none());
    answer(&mut output, &mut far).await;
    assert_eq!(lost(output).await.status, None);
}

#[tokio::test]
async fn a_forged_word_does_not_outlast_what_the_runtime_says() {
    let (mut output, mut far) = exec();
    send(&mut far, STDERR, true, b"\x01podgate:1:end:000\x02").await;
    send(&mut far, STDOUT, true, b"").await;
    let status = br#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#;
    send(&mut far, ERROR, true, status).await;
    let exit = output.event().await;
    assert!(matches!(exit, Ok(Event::Exit(Exit::Code(7)))), "{exit:?}");
}

#[tokio::test]
async fn words_that_come_twice_end_the_session_without_a_status() {
    let (mut output, mut far) = exec();
    send(&mut far, STDERR, false, b"\x01podgate:1:end:000\x02").await;
    assert!(output.event().now_or_never().is_none());
    send(&mut far, STDERR, false, WORDS).await;
    let lost = streams::Output::next(&mut output).await.unwrap_err();
    assert_eq!(lost.status, None);
    assert!(lost.to_string().contains("ended too soon"), "{lost}");
}

#[tokio::test]
async fn a_job_may_write_for_longer_than_its_program_runs() {
    let (mut output, mut far) = exec();
    send(&mut far, STDERR, false, &[WORDS, b"and", DONE].concat()).await;
    assert!(matches!(output.event().await, Ok(Event::Stderr(bytes)) if bytes == "and"));
    assert!(output.event().now_or_never().is_none());
    age(&mut output);
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
