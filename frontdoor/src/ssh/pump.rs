//! Moves bytes between an SSH channel and an agent's stream. Each direction waits only for its own
//! reader. If one side goes, both directions end.

use std::sync::OnceLock;
use std::time::Instant;

use bytes::Bytes;
use podgate_proto::flow::{self, MAX_WAITING, Offset};
use podgate_proto::limits::OUTPUT_UNREAD_SINCE;
use podgate_proto::v1::frontdoor_message::Message as ToAgent;
use podgate_proto::v1::{EndOfInput, FrontdoorMessage, OutputUnread, Signal, TerminalSize};
use podgate_recording::{Tape, cast};
use russh::server::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::agent_messages::{Carries, Error, Flow, Received, receive};
use super::channels::Aside;
use super::context::Context;
use super::end::End;
use super::gate::FilesGate;
use super::idle::Idle;
use crate::agents::Stream;
use crate::audit::Session;

/// SSH_EXTENDED_DATA_STDERR of RFC 4254 §5.2.
pub(super) const STDERR: u32 = 1;

/// Carries a session to its end. `ended` gets the program's status once the client has been told it,
/// although output may follow.
pub(super) async fn run(
    stream: Stream,
    read: &mut ChannelReadHalf,
    (write, ended): (&ChannelWriteHalf<Msg>, &OnceLock<u32>),
    aside: &mut Aside,
    context: &Context,
    tty: bool,
    (record, tape, gate): (&Session<'_>, Option<&Tape>, Option<FilesGate>),
) -> End {
    let Stream {
        to_agent,
        mut from_agent,
    } = stream;
    let idle = Idle::new(context.limits.idle);
    let flow = Flow::default();
    let Aside {
        signals,
        sizes,
        unread,
    } = aside;
    let (opened, version) = watch::channel(0);
    // Opened, the status and the end need three more places than the credit allows.
    let (queue, waiting) = mpsc::channel(MAX_WAITING + 3);
    tokio::select! {
        end = download(
            waiting, (write, unread, ended), (&to_agent, opened), &flow.output, context, (&idle, record, tape), tty
        ) => end,
        error = receive(&mut from_agent, queue, &flow, Carries::Program) => failed(&error),
        _ = upload(read, &to_agent, &flow.input, context, (&idle, record, tape, gate)) => End::ClientGone,
        () = pass_on((signals, sizes), &to_agent, tty, tape) => End::ClientGone,
        () = closed_output(unread, version, &to_agent) => End::ClientGone,
        limit = idle.over() => {
            context.metrics.refused("idleSeconds");
            End::Idle(format!("this session was idle for {} s and is ended", limit.as_secs()))
        }
    }
}

fn failed(error: &Error) -> End {
    tracing::warn!(cause = ?error, "the link to the agent");
    End::Failed(error.to_string())
}

/// From the agent to the client. After `unread` the output is thrown away. `opened` gets the version of
/// the link.
async fn download(
    mut waiting: mpsc::Receiver<Result<Received, Error>>,
    (write, unread, ended): (&ChannelWriteHalf<Msg>, &CancellationToken, &OnceLock<u32>),
    (to_agent, opened): (&mpsc::Sender<FrontdoorMessage>, watch::Sender<u32>),
    credit: &flow::Receiver,
    context: &Context,
    (idle, record, tape): (&Idle, &Session<'_>, Option<&Tape>),
    tty: bool,
) -> End {
    let begun = Instant::now();
    let mut told = !tty;
    loop {
        let heard = tokio::select! {
            heard = waiting.recv() => heard,
            () = context.draining.cancelled(), if !told => {
                told = true;
                let line = "podgate: this frontdoor is being stopped; please end this session soon\r\n";
                if write.extended_data_bytes(STDERR, line).await.is_err() {
                    return End::ClientGone;
                }
                continue;
            }
        };
        let (code, bytes) = match heard {
            Some(Ok(Received::Output(bytes))) => {
                record.said(&bytes);
                (None, bytes)
            }
            Some(Ok(Received::Stderr(bytes))) => (Some(STDERR), bytes),
            Some(Ok(Received::Opened { version, .. })) => {
                opened.send_replace(version);
                context.metrics.leg("start", begun);
                continue;
            }
            Some(Ok(Received::Ended(status))) => {
                if write.exit_status(status).await.is_err() {
                    return End::ClientGone;
                }
                // The agent says it once.
                let _ = ended.set(status);
                continue;
            }
            Some(Ok(Received::Exited(exit))) => return End::Exited(exit),
            Some(Ok(Received::Failed { line, .. })) => return End::Failed(line),
            Some(Err(error)) => return failed(&error),
            Some(Ok(Received::EndOfOutput | Received::Closed | Received::Incoming(_))) | None => {
                return End::ClientGone;
            }
        };
        let length = bytes.len();
        if let Some(tape) = tape {
            let stream = code.map_or(cast::Stream::Stdout, |_| cast::Stream::Stderr);
            tape.record(cast::Event::Output(stream, bytes.clone()))
                .await;
        }
        let given = tokio::select! {
            biased;
            () = unread.cancelled(), if code.is_none() => None,
            given = give(write, code, bytes, context) => Some(given),
        };
        match given {
            Some(Err(_)) => return End::ClientGone,
            Some(Ok(())) => {
                record.gave(length);
                idle.moved();
            }
            None => {}
        }
        if let Some(credit) = credit.passed_on(length) {
            // `receive` notices if the stream is over.
            let _ = tell(to_agent, ToAgent::OutputCredit(credit)).await;
        }
    }
}

/// The agent's stream is over.
pub(super) struct Over;

pub(super) async fn tell(
    to_agent: &mpsc::Sender<FrontdoorMessage>,
    message: ToAgent,
) -> Result<(), Over> {
    let message = FrontdoorMessage {
        message: Some(message),
    };
    to_agent.send(message).await.map_err(|_| Over)
}

async fn give(
    write: &ChannelWriteHalf<Msg>,
    extended: Option<u32>,
    bytes: Bytes,
    context: &Context,
) -> Result<(), russh::Error> {
    context.metrics.output.inc_by(bytes.len() as u64);
    match extended {
        None => write.data_bytes(bytes).await,
        Some(code) => write.extended_data_bytes(code, bytes).await,
    }
}

/// What was sent to the agent when the client went.
pub(super) struct Uploaded {
    offset: Offset,
    ended: bool,
}

impl Uploaded {
    /// How many bytes there were, if the client has not said that no more come.
    pub(super) fn not_ended(&self) -> Option<u64> {
        (!self.ended).then_some(self.offset.get())
    }
}

/// From the client to the agent, until the client goes.
pub(super) async fn upload(
    read: &mut ChannelReadHalf,
    to_agent: &mpsc::Sender<FrontdoorMessage>,
    credit: &flow::Sender,
    context: &Context,
    (idle, record, tape, mut gate): (&Idle, &Session<'_>, Option<&Tape>, Option<FilesGate>),
) -> Uploaded {
    let (mut offset, mut ended) = (Offset::default(), false);
    while let Some(message) = read.wait().await {
        let told = match message {
            // As sshd does: nothing comes after the end (RFC 4254 §5.3).
            ChannelMsg::Data { .. } | ChannelMsg::Eof if ended => continue,
            ChannelMsg::Data { data } => {
                context.metrics.input.inc_by(data.len() as u64);
                record.took(&data);
                idle.moved();
                if let Some(tape) = tape.filter(|tape| tape.takes_input()) {
                    tape.record(cast::Event::Input(data.clone())).await;
                }
                let data = match &mut gate {
                    Some(gate) => gate.pass(&data, &context.metrics),
                    None => data,
                };
                send(data, &mut offset, to_agent, credit).await
            }
            ChannelMsg::Eof => {
                ended = true;
                if let Some(gate) = &mut gate {
                    // If this fails, the end is not told either.
                    let _ = send(gate.rest(), &mut offset, to_agent, credit).await;
                }
                let offset = offset.get();
                tell(to_agent, ToAgent::EndOfInput(EndOfInput { offset })).await
            }
            ChannelMsg::Close => break,
            _ => continue,
        };
        if told.is_err() {
            // The stream is over, and the other direction says why. Until then the channel is still
            // read.
            while read
                .wait()
                .await
                .is_some_and(|message| !matches!(message, ChannelMsg::Close))
            {}
            break;
        }
    }
    Uploaded { offset, ended }
}

/// Sends input as credit allows, in as many messages as it needs: a client's packet may be longer than
/// one message.
async fn send(
    mut bytes: Bytes,
    offset: &mut Offset,
    to_agent: &mpsc::Sender<FrontdoorMessage>,
    credit: &flow::Sender,
) -> Result<(), Over> {
    while let Some(data) = credit.next(&mut bytes, offset).await {
        tell(to_agent, ToAgent::Input(data)).await?;
    }
    Ok(())
}

/// Tells the agent once nobody reads the output any more, if it knows the message. Never returns: others
/// notice the end.
async fn closed_output(
    unread: &CancellationToken,
    mut version: watch::Receiver<u32>,
    to_agent: &mpsc::Sender<FrontdoorMessage>,
) {
    unread.cancelled().await;
    let known = version.wait_for(|version| *version >= OUTPUT_UNREAD_SINCE);
    if known.await.is_ok() {
        let _ = tell(to_agent, ToAgent::OutputUnread(OutputUnread {})).await;
    }
    std::future::pending().await
}

/// Sends signals and sizes to the agent, apart from the input. Never returns: others notice the end.
async fn pass_on(
    (signals, sizes): (&mut mpsc::Receiver<Sig>, &mut watch::Receiver<TerminalSize>),
    to_agent: &mpsc::Sender<FrontdoorMessage>,
    tty: bool,
    tape: Option<&Tape>,
) {
    loop {
        let message = tokio::select! {
            // Its name as RFC 4254 §6.10 has it.
            Some(signal) = signals.recv() => ToAgent::Signal(Signal { name: format!("{signal:?}") }),
            Ok(()) = sizes.changed(), if tty => ToAgent::Resize(*sizes.borrow_and_update()),
            else => break,
        };
        if let (Some(tape), ToAgent::Resize(size)) = (tape, &message) {
            let (columns, rows) = (size.columns, size.rows);
            tape.record(cast::Event::Resize { columns, rows }).await;
        }
        if tell(to_agent, message).await.is_err() {
            break;
        }
    }
    std::future::pending().await
}
