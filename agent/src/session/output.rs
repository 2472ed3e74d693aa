//! From the process to the frontdoor: its output, and how it ended.

use std::time::{Duration, Instant};

use bytes::Bytes;
use podgate_proto::flow::{self, Offset};
use podgate_proto::v1::agent_message::Message as ToFrontdoor;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::{Data, Ended, Exited};
use tokio_util::sync::CancellationToken;

use super::end::End;
use super::outbound::{Gone, Outbound, last_words, tell};
use super::supervisor::{Supervisor, over};
use crate::exit::{self, Exit, SIGNALLED};
use crate::metrics::Moved;
use crate::streams::{Event, Output};

/// How often a process is signalled that goes on writing although nobody reads.
const PIPE: Duration = Duration::from_secs(1);

/// From the process to the frontdoor, as far as it has credit. After `unread` the output is thrown away.
/// `tells_early` says whether the frontdoor takes a status that has output behind it.
pub(super) async fn give(
    (output, unread): (&mut dyn Output, &CancellationToken),
    supervisor: &impl Supervisor,
    (outbound, tells_early): (&Outbound, bool),
    credit: &flow::Sender,
    moved: &Moved<'_>,
) -> End {
    let mut sent = Sent::default();
    let mut piped: Option<Instant> = None;
    let mut closes = output.can_close_stdout();
    loop {
        let event = tokio::select! {
            biased;
            () = unread.cancelled(), if closes => {
                closes = false;
                output.close_stdout();
                continue;
            }
            event = output.next() => event,
        };
        let given = match event {
            // A program whose pipe cannot be closed gets SIGPIPE instead, when it writes.
            Ok(Event::Stdout(_)) if unread.is_cancelled() => {
                if piped.is_none_or(|last| last.elapsed() >= PIPE) {
                    piped = Some(Instant::now());
                    supervisor.signal("PIPE");
                }
                continue;
            }
            Ok(Event::Stdout(bytes)) => {
                let to = (&mut sent.output, ToFrontdoor::Output as fn(Data) -> _);
                take(send(bytes, to, outbound, credit, moved), output).await
            }
            Ok(Event::Stderr(bytes)) => {
                let to = (&mut sent.stderr, ToFrontdoor::Stderr as fn(Data) -> _);
                take(send(bytes, to, outbound, credit, moved), output).await
            }
            // The status of a kill waits, as its container may have gone with it.
            Ok(Event::Ended(code)) if !tells_early || Exit::Code(code).is_kill() => continue,
            Ok(Event::Ended(code)) => {
                let status = code.into();
                take(tell(outbound, ToFrontdoor::Ended(Ended { status })), output).await
            }
            Ok(Event::Exit(exit)) => {
                return exited(exit, sent, supervisor, (outbound, credit), moved).await;
            }
            Err(lost) => {
                tracing::info!(error = %lost, "the process's output broke off");
                let Some(code) = lost.status else {
                    let text = format!("the session was lost on the pod's node: {lost}");
                    last_words(outbound, Reason::LinkLost, &text).await;
                    return End::Broken(None);
                };
                let exit = Exit::Code(code);
                return match exited(exit, sent, supervisor, (outbound, credit), moved).await {
                    // Whatever is left of the program is hung up.
                    End::Exited(code) => End::Broken(Some(code)),
                    end => end,
                };
            }
        };
        if given.is_err() {
            return End::Abandoned;
        }
    }
}

/// Waits until an event is taken. Meanwhile its output reads ahead where it must.
async fn take<T>(taken: impl Future<Output = T>, output: &mut dyn Output) -> T {
    tokio::select! {
        biased;
        taken = taken => taken,
        // Made only if the other has to wait.
        never = async { output.read_ahead().await } => match never {},
    }
}

/// How many bytes of each stream were sent.
#[derive(Default)]
struct Sent {
    output: Offset,
    stderr: Offset,
}

/// Sends bytes of one stream, as many messages as they need.
async fn send(
    mut bytes: Bytes,
    (offset, kind): (&mut Offset, fn(Data) -> ToFrontdoor),
    outbound: &Outbound,
    credit: &flow::Sender,
    moved: &Moved<'_>,
) -> Result<(), Gone> {
    while let Some(data) = credit.next(&mut bytes, offset).await {
        moved.output(data.bytes.len());
        tell(outbound, kind(data)).await?;
    }
    Ok(())
}

/// Tells the frontdoor how a process ended, or that its container is gone.
async fn exited(
    exit: Exit,
    sent: Sent,
    supervisor: &impl Supervisor,
    (outbound, credit): (&Outbound, &flow::Sender),
    moved: &Moved<'_>,
) -> End {
    if exit.is_kill()
        && let Some(why) = Box::pin(supervisor.why_gone()).await
    {
        last_words(outbound, Reason::PodChanged, &over(&why)).await;
        return End::Gone;
    }
    ended(exit, sent, outbound, credit, moved).await
}

/// Tells the frontdoor how a process ended. If the runtime could not find or execute the program, the
/// status is a shell's: 127 or 126.
async fn ended(
    exit: Exit,
    mut sent: Sent,
    outbound: &Outbound,
    credit: &flow::Sender,
    moved: &Moved<'_>,
) -> End {
    let (mut signal, mut core_dumped) = ("", false);
    let (line, code) = match exit {
        Exit::Code(code) => (None, code),
        Exit::Signalled {
            signal: number,
            core,
        } => {
            (signal, core_dumped) = (exit::signal_name(number), core);
            (None, SIGNALLED.saturating_add(number))
        }
        Exit::NotFound(text) => (Some(text), 127),
        Exit::NotExecutable(text) => (Some(text), 126),
        Exit::Missing(line) => {
            last_words(outbound, Reason::Exec, line).await;
            return End::NotStarted;
        }
        Exit::Failed(text) => {
            let text = format!("the runtime could not start the program: {text}");
            last_words(outbound, Reason::Exec, &text).await;
            return End::NotStarted;
        }
    };
    if let Some(text) = line {
        let words = text.rsplit("exec: ").next().unwrap_or(&text);
        let line = Bytes::from(format!("podgate: {words}\r\n"));
        let to = (&mut sent.stderr, ToFrontdoor::Stderr as fn(Data) -> _);
        if send(line, to, outbound, credit, moved).await.is_err() {
            return End::Abandoned;
        }
    }
    let exited = Exited {
        status: code.into(),
        output_offset: sent.output.get(),
        stderr_offset: sent.stderr.get(),
        signal: signal.to_owned(),
        core_dumped,
    };
    match tell(outbound, ToFrontdoor::Exited(exited)).await {
        Ok(()) => End::Exited(code),
        Err(Gone) => End::Abandoned,
    }
}
