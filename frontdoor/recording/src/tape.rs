//! A session's end of its recording: it queues what happens, and waits for nothing but room in the queue.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use crate::cast::Event;
use crate::chunk::Whole;
use crate::health::{Health, wait};
use crate::name::Id;

/// Messages in a session's queue. Each is as long as a message of the link at most.
pub(crate) const QUEUE: usize = 16;
/// How long the end waits for the hash of the whole, which the recorder has at once unless the machine
/// is very busy. The machine of tests may be.
const SEALED: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 2 });

/// What is recorded of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of output and input; beyond them only their length and hash are kept.
    pub most: u64,
    /// Whether what the user types is recorded.
    pub input: bool,
    /// Whether the session waits where there is no room for what it says; if not, that is lost.
    pub waits: bool,
}

/// What a recording's end tells the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// All of its text.
    pub whole: Whole,
    /// The SHA-256 of its last chunk as it is stored.
    pub last: Option<String>,
}

pub(crate) enum Message {
    Event(Duration, Event),
    End(Duration, Option<u32>, oneshot::Sender<Sealed>),
}

/// Leaves markers in a recording for what happens beside its session.
#[derive(Clone)]
pub struct Marks {
    begun: Instant,
    messages: mpsc::Sender<Message>,
}

impl Marks {
    /// Leaves a marker, unless the recording has ended. It waits as [`Tape::record`] does.
    pub async fn mark(&self, text: &str) {
        let event = Event::Marker(text.to_owned());
        let message = Message::Event(self.begun.elapsed(), event);
        // The session may have ended meanwhile.
        let _ = self.messages.send(message).await;
    }
}

/// One session's recording.
pub struct Tape {
    pub(crate) id: Id,
    pub(crate) input: bool,
    pub(crate) begun: Instant,
    pub(crate) messages: mpsc::Sender<Message>,
    /// When the first byte was lost.
    pub(crate) lost: watch::Receiver<Option<Instant>>,
    pub(crate) health: Health,
}

impl Tape {
    /// The recording's name.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Whether what the user types is to be recorded.
    pub fn takes_input(&self) -> bool {
        self.input
    }

    /// Records an event. It waits only for the recorder's own thread; for the store only where the settings
    /// say so, and there is no room until it takes something.
    pub async fn record(&self, event: Event) {
        // The recorder ends after its sessions.
        let _ = self
            .messages
            .send(Message::Event(self.begun.elapsed(), event))
            .await;
    }

    /// For markers of others.
    pub fn marks(&self) -> Marks {
        Marks {
            begun: self.begun,
            messages: self.messages.clone(),
        }
    }

    /// Waits until the recording has been impossible for as long as this: nothing takes what waits in
    /// memory, or something is lost already.
    pub async fn impossible_for(&self, time: Duration) {
        tokio::select! {
            () = self.health.failing_for(time) => {}
            () = wait(self.lost.clone(), time) => {}
        }
    }

    /// Ends the recording, and returns what its last chunk says of the whole.
    pub async fn finish(self, status: Option<u32>) -> Option<Sealed> {
        let (tell, told) = oneshot::channel();
        let end = Message::End(self.begun.elapsed(), status, tell);
        let sealed = async {
            self.messages.send(end).await.ok()?;
            told.await.ok()
        };
        timeout(SEALED, sealed).await.ok().flatten()
    }
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
