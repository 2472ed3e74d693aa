//! What a session answers to its frontdoor. A session's slot is held for as long as any of it is unread:
//! else a peer that does not read could have any number of ended sessions' answers kept for it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use podgate_proto::v1::AgentMessage;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::quotas::Slot;

/// The messages of one session, as gRPC takes them. It is dropped once all are sent, or the stream is gone.
#[derive(Debug)]
pub(crate) struct Answers {
    messages: ReceiverStream<Result<AgentMessage, Status>>,
    held: Held,
}

/// The slot that answers hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Arc<Mutex<Option<Slot>>>);

impl Answers {
    pub(crate) fn new(messages: mpsc::Receiver<Result<AgentMessage, Status>>) -> Self {
        let messages = ReceiverStream::new(messages);
        let held = Held::default();
        Self { messages, held }
    }

    pub(crate) fn held(&self) -> Held {
        self.held.clone()
    }
}

impl Held {
    /// Holds this slot, in place of another.
    pub(crate) fn hold(&self, slot: &Slot) {
        self.set(Some(slot.clone()));
    }

    fn set(&self, slot: Option<Slot>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = slot;
    }
}

impl Stream for Answers {
    type Item = Result<AgentMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.messages).poll_next(cx);
        if matches!(next, Poll::Ready(None)) {
            self.held.set(None);
        }
        next
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.held.set(None);
    }
}
