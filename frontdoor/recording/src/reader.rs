//! Reads one recording, chunk by chunk.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio_util::task::AbortOnDropHandle;

use crate::calls::Calls;
use crate::chunk;
use crate::name::{self, Id};
use crate::store::Error;

/// Chunks that are asked for before somebody wants them.
const AHEAD: u32 = 3;

/// A chunk, if it is there.
type Answer = Result<Option<Bytes>, Error>;

/// Reads one recording's chunks in order.
pub struct Reader {
    calls: Calls,
    namespace: String,
    id: Id,
    encrypted: bool,
    next: u32,
    /// The first chunk, until it is read.
    first: Option<Bytes>,
    /// Answers to come, of the next chunk and those after it.
    asked: VecDeque<AbortOnDropHandle<Answer>>,
    /// Whether it was looked for later chunks since the last that was there.
    looked: bool,
    ahead: u32,
}

impl Reader {
    /// Without its first chunk only others are there.
    pub(crate) fn new(calls: Calls, (namespace, id): (String, Id), first: Option<Bytes>) -> Self {
        Self {
            calls,
            namespace,
            id,
            encrypted: first
                .as_ref()
                .is_some_and(|first| chunk::is_encrypted(first)),
            next: 0,
            first,
            asked: VecDeque::new(),
            looked: false,
            ahead: 0,
        }
    }

    /// Asks for some chunks before they are wanted, for who reads as fast as they come. They are in memory meanwhile.
    pub fn read_ahead(mut self) -> Self {
        self.ahead = AHEAD;
        self
    }

    /// The recording.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// The namespace of its pod.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether its first chunk is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// The next chunk, for a verifier; `None` if it is not there, or not yet. If later ones are there, it is
    /// missing, and that is an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let number = self.next;
        if let Some(chunk) = self.answer().await? {
            return Ok(Some(self.advance(chunk)));
        }
        if std::mem::replace(&mut self.looked, true) || !self.are_later_there(number).await? {
            return Ok(None);
        }
        // They are stored in order, so it is there now if it was on its way.
        match self.answer().await? {
            Some(chunk) => Ok(Some(self.advance(chunk))),
            None => Err(Error::Missing(number)),
        }
    }

    /// Whether the next chunk is there now.
    pub(crate) async fn has_next(&self) -> Result<bool, Error> {
        let next = self.ask(self.next).await.unwrap_or(Err(Error::Ended))?;
        Ok(next.is_some())
    }

    /// What the store answers about the next chunk.
    async fn answer(&mut self) -> Answer {
        if self.first.is_some() {
            return Ok(self.first.take());
        }
        if let Some(asked) = self.asked.pop_front() {
            if let Ok(Ok(Some(chunk))) = asked.await {
                return Ok(Some(chunk));
            }
            // It was asked for some time ago, and so were later ones.
            self.asked.clear();
        }
        self.ask(self.next).await.unwrap_or(Err(Error::Ended))
    }

    /// Goes on to the next chunk, and asks for some after it.
    fn advance(&mut self, chunk: Bytes) -> Bytes {
        self.next += 1;
        self.looked = false;
        let first = self
            .next
            .saturating_add(u32::try_from(self.asked.len()).unwrap_or(u32::MAX));
        for number in first..self.next.saturating_add(self.ahead) {
            let asked = self.ask(number);
            self.asked.push_back(asked);
        }
        chunk
    }

    /// Asks the store for a chunk.
    fn ask(&self, number: u32) -> AbortOnDropHandle<Answer> {
        let name = name::chunk(&self.namespace, &self.id, number);
        let store = self.calls.store.clone();
        let get = async move { store.get(&name, chunk::MAX_OBJECT).await };
        self.calls.start(get)
    }

    /// Whether the store has chunks after this one.
    async fn are_later_there(&self, number: u32) -> Result<bool, Error> {
        let store = self.calls.store.clone();
        let folder = name::recording(&self.namespace, &self.id);
        self.calls
            .run(async move {
                let mut later = false;
                let each = |file: &str| later |= file.parse().is_ok_and(|it: u32| it > number);
                store.files(&folder, &[], each).await?;
                Ok(later)
            })
            .await
    }
}
