//! What a frontdoor sends in one session. At the session's end the frontdoor may still be sending. What then
//! comes is thrown away until the frontdoor has heard of the end: a stream that is reset before is soon
//! forgotten by h2, which ends a link after a number of frames for forgotten streams.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use podgate_proto::v1::FrontdoorMessage;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Status, Streaming};

/// How long a frontdoor may take to hear of a session's end. Then its stream is reset.
const WITHIN: Duration = Duration::from_secs(10);

/// A frontdoor's messages. After they are dropped, the rest is thrown away.
pub(super) struct Inbound {
    /// None once they have ended.
    messages: Option<Streaming<FrontdoorMessage>>,
    runtime: Handle,
    tasks: TaskTracker,
    stopped: CancellationToken,
}

impl Inbound {
    /// Call it in the runtime that serves the session. The task for the rest is one of `tasks`, and ends
    /// at `stopped`.
    pub(super) fn new(
        messages: Streaming<FrontdoorMessage>,
        (tasks, stopped): (&TaskTracker, &CancellationToken),
    ) -> Self {
        Self {
            messages: Some(messages),
            runtime: Handle::current(),
            tasks: tasks.clone(),
            stopped: stopped.clone(),
        }
    }
}

impl Stream for Inbound {
    type Item = Result<FrontdoorMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(messages) = &mut self.messages else {
            return Poll::Ready(None);
        };
        let next = ready!(Pin::new(messages).poll_next(cx));
        if !matches!(next, Some(Ok(_))) {
            self.messages = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        let Some(mut messages) = self.messages.take() else {
            return;
        };
        let stopped = self.stopped.clone();
        let rest = async move {
            let rest = async { while let Some(Ok(_)) = messages.next().await {} };
            let _ = stopped.run_until_cancelled(timeout(WITHIN, rest)).await;
        };
        self.tasks.spawn_on(rest, &self.runtime);
    }
}
