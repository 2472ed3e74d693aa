//! Finds one recording, for the commands that read it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use podgate_recording::{Id, Library, Reader};
use tokio::time::{Instant, timeout};

use super::asked::Asked;
use super::error::Error;
use crate::audit::Event;
use crate::authz::OfRecordings;

/// How long the API server and the store may take to say what may be seen.
const FOUND: Duration = Duration::from_secs(30);
/// How often it is asked whether a user still may read what is being read.
const RECHECK: Duration = Duration::from_secs(30);
/// The login name, as the audit log has it.
const LOGIN_NAME: &str = "podgate";

/// Finds a recording that the user may get, and records in the audit log that it is read.
pub(super) async fn find(
    id: Id,
    how: &'static str,
    asked: &Asked<'_>,
    library: &Library,
) -> Result<Reader, Error> {
    let (client, identity) = (asked.client, asked.identity);
    let find = async {
        let namespaces = library.namespaces_of(&id).await?;
        let may = may(asked, OfRecordings::Get, namespaces, None).await?;
        let found = library.find(id.clone(), may).await?;
        found.ok_or(Error::Unknown(id))
    };
    let reader = in_time(find).await?;
    let recording = (reader.id().as_str(), reader.namespace());
    let event = Event::watched(identity, asked.session, how, recording);
    let event = event.from(client.peer, client.via, LOGIN_NAME);
    let audit = &client.context.audit;
    audit.require(&event).map_err(|_| Error::Audit)?;
    Ok(reader)
}

/// When it was last asked whether a user may read a recording.
pub(super) struct Standing(Instant);

impl Standing {
    /// It has just been asked.
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    /// An error if the user may read it no longer. Returns whether it was time to ask.
    pub(super) async fn require(
        &mut self,
        asked: &Asked<'_>,
        reader: &Reader,
    ) -> Result<bool, Error> {
        if self.0.elapsed() < RECHECK {
            return Ok(false);
        }
        self.0 = Instant::now();
        let (right, namespace) = (OfRecordings::Get, reader.namespace());
        let authorizer = &asked.client.context.authorizer;
        // An answer serves no longer than until the next question.
        let still = authorizer.still_recorded(asked.identity, right, namespace, RECHECK);
        match in_time(async { Ok(still.await?) }).await? {
            true => Ok(true),
            false => Err(Error::Unknown(reader.id().clone())),
        }
    }
}

/// Of these namespaces, or of this one among them, those in which the user has a right to recordings.
pub(super) async fn may(
    asked: &Asked<'_>,
    right: OfRecordings,
    namespaces: impl IntoIterator<Item = String>,
    only: Option<&str>,
) -> Result<Vec<String>, Error> {
    let namespaces = namespaces.into_iter();
    let namespaces = namespaces.filter(|namespace| only.is_none_or(|only| only == namespace));
    let authorizer = &asked.client.context.authorizer;
    let may = authorizer.recorded(asked.identity, right, namespaces.collect());
    Ok(may.await?)
}

/// When that was, so many seconds ago.
pub(super) fn ago(seconds: i64) -> Timestamp {
    let then = Timestamp::now().checked_sub(SignedDuration::from_secs(seconds));
    then.unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Waits for an answer of the API server and the store, for a bounded time.
pub(super) async fn in_time<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(FOUND, answer).await.map_err(|_| Error::Late)?
}
