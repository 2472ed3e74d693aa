//! Finds one recording, for the commands that read it.

use std::time::Duration;

use podgate_recording::{Id, Library, Reader};
use tokio::time::timeout;

use super::asked::Asked;
use super::error::Error;
use crate::audit::Event;
use crate::authz::OfRecordings;

/// How long the API server and the store may take to say what may be seen.
pub(super) const FOUND: Duration = Duration::from_secs(30);
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
        let days = id.day().into_iter().collect();
        let namespaces = library.namespaces(days).await?;
        let namespaces = namespaces.into_iter().collect();
        let authorizer = &client.context.authorizer;
        let may = authorizer.recorded(identity, OfRecordings::Get, namespaces);
        let found = library.find(id.clone(), may.await?).await?;
        found.ok_or(Error::Unknown(id))
    };
    let reader = timeout(FOUND, find).await.map_err(|_| Error::Late)??;
    let recording = (reader.id().as_str(), reader.namespace());
    let event = Event::watched(identity, asked.session, how, recording);
    let event = event.from(client.peer, client.via, LOGIN_NAME);
    let audit = &client.context.audit;
    audit.require(&event).map_err(|_| Error::Audit)?;
    Ok(reader)
}
