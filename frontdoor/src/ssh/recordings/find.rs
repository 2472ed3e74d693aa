//! Finds one recording, for the commands that read it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use podgate_recording::{Id, Library, Reader};
use tokio::time::timeout;

use super::asked::Asked;
use super::error::Error;
use crate::audit::Event;
use crate::authz::OfRecordings;

/// How long the API server and the store may take to say what may be seen.
const FOUND: Duration = Duration::from_secs(30);
/// How often it is asked whether a user still may read what is being read.
pub(super) const RECHECK: Duration = Duration::from_secs(30);
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

/// Whether the user still may read a recording, by an answer that is no older than [`RECHECK`].
pub(super) async fn still_may(asked: &Asked<'_>, reader: &Reader) -> Result<(), Error> {
    let authorizer = &asked.client.context.authorizer;
    let still = authorizer.still_recorded(
        asked.identity,
        OfRecordings::Get,
        reader.namespace(),
        RECHECK,
    );
    let still = in_time(async { Ok(still.await?) });
    match still.await? {
        true => Ok(()),
        false => Err(Error::Unknown(reader.id().clone())),
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
