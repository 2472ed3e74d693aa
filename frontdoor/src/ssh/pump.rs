//! Moves bytes between an SSH channel and an agent's stream. Each direction waits for its own reader
//! alone; whichever side goes, the other's half goes with it.

use std::time::Instant;

use bytes::Bytes;
use podgate_proto::limits::{MAX_WAITING, WINDOW, cost};
use podgate_proto::v1::agent_message::Message as FromAgent;
use podgate_proto::v1::frontdoor_message::Message as ToAgent;
use podgate_proto::v1::{AgentMessage, Credit, EndOfInput, FrontdoorMessage, Signal, TerminalSize};
use russh::server::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::{Semaphore, mpsc};

use super::context::Context;
use super::end::End;
use super::idle::Idle;
use crate::agents::Stream;
use crate::audit::Session;

/// SSH_EXTENDED_DATA_STDERR of RFC 4254 §5.2.
pub(super) const STDERR: u32 = 1;

/// Carries a session to its end.
pub(super) async fn run(
    stream: Stream,
    read: &mut ChannelReadHalf,
    write: &ChannelWriteHalf<Msg>,
    signals: &mut mpsc::Receiver<Sig>,
    worker: &Context,
    tty: bool,
    record: &Session<'_>,
) -> End {
    let Stream {
        to_agent,
        mut from_agent,
    } = stream;
    let idle = Idle::new(worker.limits.idle);
    let credit = Semaphore::new(WINDOW as usize);
    let (queue, waiting) = mpsc::channel(MAX_WAITING);
    tokio::select! {
        end = download(waiting, write, &to_agent, worker, (&idle, record), tty) => end,
        () = listen(&mut from_agent, queue, &credit) => End::ClientGone,
        () = upload(read, &to_agent, &credit, worker, (&idle, record)) => End::ClientGone,
        () = signal(signals, &to_agent) => End::ClientGone,
        limit = idle.over() => {
            worker.metrics.refused("idleSeconds");
            End::Idle(format!("this session was idle for {} s and is ended", limit.as_secs()))
        }
    }
}

/// What the agent said, or why it says nothing more.
type Heard = Result<FromAgent, String>;

/// Hears the agent, whether the client reads or not: what waits is bounded by the agent's credit.
/// It never returns; whoever takes the last message ends the session.
async fn listen(
    from_agent: &mut tonic::Streaming<AgentMessage>,
    queue: mpsc::Sender<Heard>,
    credit: &Semaphore,
) {
    loop {
        let heard = match from_agent.message().await {
            Ok(Some(AgentMessage {
                message: Some(FromAgent::InputCredit(taken)),
            })) => {
                credit.add_permits(taken.bytes.min(WINDOW) as usize);
                continue;
            }
            Ok(Some(AgentMessage {
                message: Some(message),
            })) => Ok(message),
            Ok(Some(AgentMessage { message: None })) => Err(
                "the agent on the pod's node sent an unknown message; run the same release on both"
                    .to_owned(),
            ),
            Ok(None) => {
                Err("the agent on the pod's node ended the session without a word".to_owned())
            }
            Err(status) => {
                tracing::warn!(%status, "link to the agent");
                Err(
                    "the connection to the agent on the pod's node was lost in mid-session"
                        .to_owned(),
                )
            }
        };
        let over = heard.is_err();
        if queue.send(heard).await.is_err() || over {
            return std::future::pending().await;
        }
    }
}

/// From the agent to the client.
async fn download(
    mut waiting: mpsc::Receiver<Heard>,
    write: &ChannelWriteHalf<Msg>,
    to_agent: &mpsc::Sender<FrontdoorMessage>,
    worker: &Context,
    (idle, record): (&Idle, &Session<'_>),
    tty: bool,
) -> End {
    let begun = Instant::now();
    let (mut told, mut taken) = (!tty, 0);
    loop {
        let heard = tokio::select! {
            heard = waiting.recv() => heard,
            () = worker.draining.cancelled(), if !told => {
                told = true;
                let line = "podgate: this frontdoor is being stopped; please end this session soon\r\n";
                if write.extended_data_bytes(STDERR, line).await.is_err() {
                    return End::ClientGone;
                }
                continue;
            }
        };
        let (code, bytes) = match heard {
            Some(Ok(FromAgent::Stdout(bytes))) => (None, bytes),
            Some(Ok(FromAgent::Stderr(bytes))) => (Some(STDERR), bytes),
            Some(Ok(FromAgent::Opened(_))) => {
                worker.metrics.leg("start", begun);
                continue;
            }
            Some(Ok(FromAgent::Exited(exited))) => return End::Exited(exited.status),
            Some(Ok(FromAgent::Failed(failed))) => {
                tracing::debug!(reason = ?failed.reason(), "the agent says why");
                return End::Failed(failed.message);
            }
            Some(Ok(FromAgent::InputCredit(_))) => continue,
            Some(Err(line)) => return End::Failed(line),
            None => return End::ClientGone,
        };
        taken += cost(bytes.len());
        let length = bytes.len();
        if give(write, code, bytes, worker).await.is_err() {
            return End::ClientGone;
        }
        record.gave(length);
        idle.moved();
        if taken >= WINDOW / 4 {
            let again = ToAgent::OutputCredit(Credit { bytes: taken });
            // A stream that is over is noticed where it is listened to.
            let _ = to_agent
                .send(FrontdoorMessage {
                    message: Some(again),
                })
                .await;
            taken = 0;
        }
    }
}

async fn give(
    write: &ChannelWriteHalf<Msg>,
    extended: Option<u32>,
    bytes: Bytes,
    worker: &Context,
) -> Result<(), russh::Error> {
    worker.metrics.output.inc_by(bytes.len() as u64);
    match extended {
        None => write.data_bytes(bytes).await,
        Some(code) => write.extended_data_bytes(code, bytes).await,
    }
}

/// From the client to the agent, until the client goes.
async fn upload(
    read: &mut ChannelReadHalf,
    to_agent: &mpsc::Sender<FrontdoorMessage>,
    credit: &Semaphore,
    worker: &Context,
    (idle, record): (&Idle, &Session<'_>),
) {
    while let Some(message) = read.wait().await {
        let message = match message {
            ChannelMsg::Data { data } => {
                worker.metrics.input.inc_by(data.len() as u64);
                record.took(data.len());
                idle.moved();
                // The semaphore is never closed.
                if let Ok(permits) = credit.acquire_many(cost(data.len())).await {
                    permits.forget();
                }
                ToAgent::Input(data)
            }
            ChannelMsg::Eof => ToAgent::EndOfInput(EndOfInput {}),
            ChannelMsg::WindowChange {
                col_width,
                row_height,
                ..
            } => ToAgent::Resize(TerminalSize {
                columns: col_width,
                rows: row_height,
            }),
            ChannelMsg::Close => return,
            _ => continue,
        };
        if to_agent
            .send(FrontdoorMessage {
                message: Some(message),
            })
            .await
            .is_err()
        {
            // The stream is over; its other half says why. Until then the channel is still read.
            while read
                .wait()
                .await
                .is_some_and(|message| !matches!(message, ChannelMsg::Close))
            {}
            return;
        }
    }
}

/// Signals to the agent, beside the input. It never returns: whoever goes is noticed elsewhere.
async fn signal(signals: &mut mpsc::Receiver<Sig>, to_agent: &mpsc::Sender<FrontdoorMessage>) {
    while let Some(signal) = signals.recv().await {
        // Its name as RFC 4254 §6.10 has it.
        let name = format!("{signal:?}");
        let message = FrontdoorMessage {
            message: Some(ToAgent::Signal(Signal { name })),
        };
        if to_agent.send(message).await.is_err() {
            break;
        }
    }
    std::future::pending().await
}
