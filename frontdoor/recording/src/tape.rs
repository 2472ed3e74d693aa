//! A session's end of its recording: it queues what happens, and waits for nothing but room in the queue.

use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use crate::cast::Event;
use crate::chunk::Whole;
use crate::health::so_for;
use crate::name::Id;
use crate::wakes::Wake;

/// Messages in a session's queue. Each is as long as a message of the link at most.
pub(crate) const QUEUE: usize = 16;
/// How long the end waits for the hash of the whole, which the recorder has at once unless the machine
/// is very busy. The machine of tests may be.
const SEALED: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 2 });

/// What is recorded of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of output, input and markers that are recorded. Beyond them only the length and the hash of all output are.
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

/// What happened, and when.
pub(crate) type Message = (Duration, Event);

/// A session's end: when, and the program's status. It has a way of its own, so that it arrives even where
/// the queue is full.
pub(crate) struct End {
    pub(crate) at: Duration,
    pub(crate) status: Option<u32>,
    pub(crate) tell: oneshot::Sender<Sealed>,
}

/// The way to a writer.
#[derive(Clone)]
pub(crate) struct Queue {
    pub(crate) messages: mpsc::Sender<Message>,
    pub(crate) wake: Wake,
}

impl Queue {
    /// Queues a message. Once half of the queue is full the writer is woken at once, so that few wait.
    async fn send(&self, message: Message) {
        if let Err(TrySendError::Full(message)) = self.messages.try_send(message) {
            self.wake.now();
            // The writer ends after its session, but before a marker of another one.
            let _ = self.messages.send(message).await;
        }
        match self.messages.capacity() == QUEUE / 2 {
            true => self.wake.now(),
            false => self.wake.soon(),
        }
    }
}

/// Leaves markers in a recording for what happens beside its session.
#[derive(Clone)]
pub struct Marks {
    begun: Instant,
    queue: Queue,
}

impl Marks {
    /// Leaves a marker, unless the recording has ended. It waits as [`Tape::record`] does.
    pub async fn mark(&self, text: &str) {
        let event = Event::Marker(text.to_owned());
        self.queue.send((self.begun.elapsed(), event)).await;
    }
}

/// One session's recording.
pub struct Tape {
    pub(crate) id: Id,
    pub(crate) input: bool,
    pub(crate) begun: Instant,
    pub(crate) queue: Queue,
    pub(crate) end: oneshot::Sender<End>,
    /// Since when something of it waits and none of it was taken, or something is lost.
    pub(crate) impossible: watch::Receiver<Option<Instant>>,
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
        self.queue.send((self.begun.elapsed(), event)).await;
    }

    /// For markers of others.
    pub fn marks(&self) -> Marks {
        Marks {
            begun: self.begun,
            queue: self.queue.clone(),
        }
    }

    /// Waits until the recording has been impossible for as long as this: something of it waits in memory
    /// and none of it was taken, or something is lost already.
    pub async fn impossible_for(&self, time: Duration) {
        so_for(self.impossible.clone(), time).await;
    }

    /// Waits until the recording is not impossible.
    pub async fn possible(&self) {
        let mut impossible = self.impossible.clone();
        // Once the recorder has ended it stays as it is.
        if impossible.wait_for(Option::is_none).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Ends the recording, and returns what its last chunk says of the whole.
    pub async fn finish(self, status: Option<u32>) -> Option<Sealed> {
        let (tell, told) = oneshot::channel();
        let at = self.begun.elapsed();
        self.end.send(End { at, status, tell }).ok()?;
        timeout(SEALED, told).await.ok()?.ok()
    }
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
