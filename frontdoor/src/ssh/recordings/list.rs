//! `recordings`: the newest that fit, of the namespaces that the user may list.

use jiff::{SignedDuration, Timestamp};
use podgate_recording::{Entry, Library, Query};
use tokio::time::timeout;

use super::arguments::List;
use super::asked::Asked;
use super::error::Error;
use super::find::FOUND;
use super::reply::Reply;
use crate::authz::OfRecordings;

pub(super) async fn list(
    what: List,
    asked: &Asked<'_>,
    library: &Library,
    reply: &Reply<'_>,
) -> Result<u32, Error> {
    let json = what.json;
    let find = find(what, asked, library);
    let entries = timeout(FOUND, find).await.map_err(|_| Error::Late)??;
    for entry in entries {
        if json {
            let line = serde_json::to_string(&entry).unwrap_or_default();
            reply.say(&format!("{line}\n")).await?;
        } else {
            reply.say(&line(&entry)).await?;
        }
    }
    Ok(0)
}

async fn find(what: List, asked: &Asked<'_>, library: &Library) -> Result<Vec<Entry>, Error> {
    let age = SignedDuration::from_secs(what.since_seconds);
    let since = Timestamp::now()
        .checked_sub(age)
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let days = Library::days(since);
    let mut namespaces: Vec<_> = library
        .namespaces(days.clone())
        .await?
        .into_iter()
        .collect();
    if let Some(one) = &what.namespace {
        namespaces.retain(|namespace| namespace == one);
    }
    let authorizer = &asked.client.context.authorizer;
    let may = authorizer.recorded(asked.identity, OfRecordings::List, namespaces);
    let may = may.await?;
    let query = Query {
        user: what.user,
        pod: what.pod,
        limit: what.limit,
    };
    let mut found = library.list(days, may, query).await?;
    found.retain(|found| found.id().begins().is_some_and(|begins| begins >= since));
    Ok(library.entries(found).await?)
}

/// Names may hold any character, so each is escaped to stay on one line.
fn line(entry: &Entry) -> String {
    let about = &entry.header.podgate;
    let end = match &entry.end {
        Some(end) => format!("{} s", end.duration_ms / 1000),
        None => "open".to_owned(),
    };
    let command = entry.header.command.as_deref();
    let command = command.map_or("(shell)".to_owned(), |command| {
        command.escape_debug().to_string()
    });
    format!(
        "{}  {}  {}.{}  {end}  {command}\n",
        about.recording,
        about.user.escape_debug(),
        about.pod,
        about.namespace,
    )
}
