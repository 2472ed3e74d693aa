//! The command's side of an exec: its input and output as frames, and the frames of its end. It is
//! separate from the client's connection and outlives it, as a process outlives its client. Without a
//! terminal, stdin then ends and output goes nowhere; with one, everything stays as it is.

use std::convert::Infallible;
use std::future::pending;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::process::{Io, NotStarted};
use super::shared::{Exec, Inner};
use super::{frame, status};

/// What containerd's copying uses too.
const CHUNK: usize = 32 * 1024;

/// The ids of an exec's streams; `stdin` and the others are 0 where there is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    pub(super) error: u32,
    pub(super) stdin: u32,
    pub(super) stdout: u32,
    pub(super) stderr: u32,
    pub(super) resize: u32,
    /// The highest id seen.
    pub(super) last: u32,
}

/// What comes on the stdin stream. The queue's end without `End` means the client has gone.
pub(super) enum Input {
    Bytes(Bytes),
    End,
}

/// The command's ends of the queues to and from the client's connection.
pub(super) struct Queues {
    pub(super) input: mpsc::Receiver<Input>,
    pub(super) size: watch::Receiver<Option<Winsize>>,
    /// Whole frames.
    pub(super) output: mpsc::Sender<Bytes>,
}

/// Starts the command, moves its bytes, and sends the frames of its end.
pub(super) async fn run(
    inner: Arc<Inner>,
    container: String,
    exec: Exec,
    streams: Streams,
    mut queues: Queues,
    omit_status: impl FnOnce() -> bool,
) {
    let output = queues.output.clone();
    let (status, left) = match inner.start(&container, &exec) {
        Err(NotStarted(reason)) => {
            let Streams {
                error,
                stdin,
                stdout,
                stderr,
                resize,
                ..
            } = streams;
            let exec_id = format!("{:064x}", u64::from(std::process::id()));
            let left = vec![error, stdin, stdout, stderr, resize];
            (status::of_failed_start(&exec_id, &reason), left)
        }
        Ok((child, io)) => {
            let early = inner.settings().close_stdin_early;
            let code = attend(&inner, child, io, &streams, &mut queues, early).await;
            // Those of output have been closed by FIN.
            (
                status::of_exit(&exec.argv, code),
                vec![streams.error, streams.stdin, streams.resize],
            )
        }
    };
    let status = (!omit_status()).then(|| frame::data(streams.error, false, status.as_bytes()));
    let resets = left
        .into_iter()
        .filter(|id| *id != 0)
        .map(|id| frame::reset(id, frame::CANCEL));
    for frame in status
        .into_iter()
        .chain(resets)
        .chain([frame::go_away(streams.last)])
    {
        if output.send(frame).await.is_err() {
            return;
        }
    }
}

/// From the start to the exit code, after all output.
async fn attend(
    inner: &Inner,
    mut child: Child,
    io: Io,
    streams: &Streams,
    queues: &mut Queues,
    close_stdin_early: bool,
) -> i32 {
    let pid = child.id();
    let exit = async {
        let exit = child.wait().await;
        if let Some(pid) = pid {
            inner.processes.ended(pid);
        }
        exit
    };
    let Queues {
        input,
        size,
        output,
    } = queues;
    let exit = match io {
        Io::Pipes {
            stdin,
            stdout,
            stderr,
        } => {
            // Set when the first output is at its end.
            let output_ended = CancellationToken::new();
            let copying = async {
                tokio::join!(
                    biased;
                    copy_output(stdout, streams.stdout, output, &output_ended),
                    copy_output(stderr, streams.stderr, output, &output_ended),
                    exit,
                )
            };
            let close_early = close_stdin_early.then_some(&output_ended);
            tokio::select! {
                ((), (), exit) = copying => exit,
                never = copy_input(stdin, input, close_early) => match never {},
            }
        }
        Io::Terminal {
            read,
            write,
            size: terminal,
        } => {
            // Set when the client has half-closed stdin, and so has ended its output.
            let output_closed = CancellationToken::new();
            let copying = async {
                tokio::join!(
                    biased;
                    copy_terminal_output(read, streams.stdout, output, &output_closed),
                    exit,
                )
            };
            tokio::select! {
                (_, exit) = copying => exit,
                never = copy_terminal_input(write, input, streams.stdout, output, &output_closed) => match never {},
                never = resize(&terminal, size) => match never {},
            }
        }
    };
    exit.map_or(255, code)
}

fn code(exit: ExitStatus) -> i32 {
    exit.code()
        .or_else(|| exit.signal().map(|signal| 128 + signal))
        .unwrap_or(255)
}

/// Copies output to its end. Once the client has gone, output is read and thrown away, so that a
/// command that does not need its stdin runs on.
async fn copy_output(
    from: Option<impl AsyncRead + Unpin>,
    stream: u32,
    output: &mpsc::Sender<Bytes>,
    ended: &CancellationToken,
) {
    let Some(mut from) = from else { return };
    while let Some(frame) = read_frame(&mut from, stream).await {
        let _ = output.send(frame).await;
    }
    ended.cancel();
    let _ = output.send(frame::data(stream, true, b"")).await;
}

/// Copies a terminal's output to its end. Once the client has gone, nothing is read any more, because
/// the shim's queue would fill. The terminal is held open until this is dropped.
async fn copy_terminal_output(
    mut from: impl AsyncRead + Unpin,
    stream: u32,
    output: &mpsc::Sender<Bytes>,
    closed: &CancellationToken,
) -> Option<impl AsyncRead + Unpin> {
    while let Some(frame) = read_frame(&mut from, stream).await {
        if !closed.is_cancelled() && output.send(frame).await.is_err() {
            return Some(from);
        }
    }
    if !closed.is_cancelled() && stream != 0 {
        let _ = output.send(frame::data(stream, true, b"")).await;
    }
    None
}

/// The next chunk as a frame, read to where it will be sent from; `None` at the end, which a
/// terminal reports as an error.
async fn read_frame(from: &mut (impl AsyncRead + Unpin), stream: u32) -> Option<Bytes> {
    let mut frame = BytesMut::with_capacity(frame::HEADER + CHUNK);
    frame.put_slice(&[0; frame::HEADER]);
    let read = from
        .read_buf(&mut frame)
        .await
        .ok()
        .filter(|read| *read > 0)?;
    let header = frame::data_header(stream, false, read);
    frame.get_mut(..frame::HEADER)?.copy_from_slice(&header);
    Some(frame.freeze())
}

/// Input to its end, then the command's stdin is closed. What comes later is thrown away.
async fn copy_input(
    to: Option<impl AsyncWrite + Unpin>,
    input: &mut mpsc::Receiver<Input>,
    close_early: Option<&CancellationToken>,
) -> Infallible {
    if let Some(mut to) = to {
        loop {
            // Reading stops, but a write that is under way does not, as in containerd.
            let next = match close_early {
                Some(ended) => ended.run_until_cancelled(input.recv()).await.flatten(),
                None => input.recv().await,
            };
            let Some(Input::Bytes(bytes)) = next else {
                break;
            };
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    }
    while input.recv().await.is_some() {}
    pending().await
}

/// Input to a terminal. A half-close ends the *output* stream, as containerd does; the
/// terminal stays open, and input that comes later is thrown away.
async fn copy_terminal_input(
    mut to: impl AsyncWrite + Unpin,
    input: &mut mpsc::Receiver<Input>,
    stdout: u32,
    output: &mpsc::Sender<Bytes>,
    output_closed: &CancellationToken,
) -> Infallible {
    while let Some(next) = input.recv().await {
        match next {
            Input::Bytes(_) if output_closed.is_cancelled() => {}
            // An error means that the command has ended.
            Input::Bytes(bytes) => {
                let _ = to.write_all(&bytes).await;
            }
            Input::End => {
                output_closed.cancel();
                let _ = output.send(frame::data(stdout, true, b"")).await;
            }
        }
    }
    // This end must not be dropped before the command's.
    pending().await
}

async fn resize(terminal: &impl AsFd, sizes: &mut watch::Receiver<Option<Winsize>>) -> Infallible {
    // The first size may be there already.
    sizes.mark_changed();
    while sizes.changed().await.is_ok() {
        let size = *sizes.borrow_and_update();
        if let Some(size) = size {
            // An error means that the command has ended.
            let _ = tcsetwinsize(terminal, size);
        }
    }
    pending().await
}
