//! Moves bytes between an SSH channel and an agent's stream. Each direction waits for its own reader
//! alone; whichever side goes, the other's half goes with it.

use std::time::Instant;

use bytes::Bytes;
use podgate_proto::limits::INPUT_WINDOW;
use podgate_proto::v1::agent_message::Message as FromAgent;
use podgate_proto::v1::frontdoor_message::Message as ToAgent;
use podgate_proto::v1::{AgentMessage, EndOfInput, FrontdoorMessage, Signal, TerminalSize};
use russh::server::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::{Semaphore, mpsc};

use super::connection::Worker;
use crate::agents::Stream;

/// SSH_EXTENDED_DATA_STDERR of RFC 4254 §5.2.
const STDERR: u32 = 1;

/// How a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// Its program ended.
    Exited(u32),
    /// The client closed the channel, or went.
    ClientGone,
    /// It could not begin or go on, for this reason.
    Failed(String),
    /// The frontdoor is being stopped.
    Stopped(String),
}

impl End {
    /// Its word in logs and metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Exited(_) => "exited",
            Self::ClientGone => "client_gone",
            Self::Failed(_) => "failed",
            Self::Stopped(_) => "stopped",
        }
    }
}

/// Carries a session to its end.
pub(super) async fn run(
    stream: Stream,
    read: &mut ChannelReadHalf,
    write: &ChannelWriteHalf<Msg>,
    worker: &Worker,
    tty: bool,
) -> End {
    let Stream {
        to_agent,
        mut from_agent,
    } = stream;
    let credit = Semaphore::new(INPUT_WINDOW as usize);
    tokio::select! {
        end = download(&mut from_agent, write, &credit, worker, tty) => end,
        () = upload(read, &to_agent, &credit, worker) => End::ClientGone,
        () = worker.stopped.cancelled() => End::Stopped("this frontdoor is being stopped".into()),
    }
}

async fn download(
    from_agent: &mut tonic::Streaming<AgentMessage>,
    write: &ChannelWriteHalf<Msg>,
    credit: &Semaphore,
    worker: &Worker,
    tty: bool,
) -> End {
    let begun = Instant::now();
    let mut told = !tty;
    loop {
        let message = tokio::select! {
            message = from_agent.message() => message,
            () = worker.draining.cancelled(), if !told => {
                told = true;
                let line = "podgate: this frontdoor is being stopped; please end this session soon\r\n";
                if write.extended_data_bytes(STDERR, line).await.is_err() {
                    return End::ClientGone;
                }
                continue;
            }
        };
        let sent = match message {
            Ok(Some(AgentMessage {
                message: Some(message),
            })) => match message {
                FromAgent::Opened(_) => {
                    worker.metrics.leg("start", begun);
                    Ok(())
                }
                FromAgent::Stdout(bytes) => give(write, None, bytes, worker).await,
                FromAgent::Stderr(bytes) => give(write, Some(STDERR), bytes, worker).await,
                FromAgent::InputCredit(taken) => {
                    // Never more than was sent: a peer cannot make the sum overflow.
                    credit.add_permits((taken.bytes.min(INPUT_WINDOW)) as usize);
                    Ok(())
                }
                FromAgent::Exited(exited) => return End::Exited(exited.status),
                FromAgent::Failed(failed) => {
                    tracing::debug!(reason = ?failed.reason(), "the agent says why");
                    return End::Failed(failed.message);
                }
            },
            Ok(Some(AgentMessage { message: None })) => {
                return End::Failed("the agent on the pod's node sent an unknown message; run the same release on both".into());
            }
            Ok(None) => {
                return End::Failed(
                    "the agent on the pod's node ended the session without a word".into(),
                );
            }
            Err(status) => {
                tracing::warn!(%status, "link to the agent");
                return End::Failed(
                    "the connection to the agent on the pod's node was lost in mid-session".into(),
                );
            }
        };
        if sent.is_err() {
            return End::ClientGone;
        }
    }
}

async fn give(
    write: &ChannelWriteHalf<Msg>,
    extended: Option<u32>,
    bytes: Bytes,
    worker: &Worker,
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
    worker: &Worker,
) {
    while let Some(message) = read.wait().await {
        let message = match message {
            ChannelMsg::Data { data } => {
                worker.metrics.input.inc_by(data.len() as u64);
                // The semaphore is never closed.
                if let Ok(permits) = credit.acquire_many(data.len() as u32).await {
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
            ChannelMsg::Signal { signal } => ToAgent::Signal(Signal { name: name(signal) }),
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

/// A signal's name as RFC 4254 §6.10 has it.
fn name(signal: Sig) -> String {
    match signal {
        Sig::Custom(name) => name,
        known => format!("{known:?}"),
    }
}
