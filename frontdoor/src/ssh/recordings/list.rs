//! `recordings`: the newest that fit, of the namespaces that the user may list.

use podgate_recording::{Entry, Library, Query};

use super::arguments::List;
use super::asked::Asked;
use super::error::Error;
use super::find::{ago, in_time, may};
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
    let entries = in_time(find).await?;
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
    let since = ago(what.since_seconds);
    let days = Library::days(since);
    let namespaces = library.namespaces(days.clone()).await?;
    let only = what.namespace.as_deref();
    let may = may(asked, OfRecordings::List, namespaces, only).await?;
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
    let command = command.map(|command| command.escape_debug().to_string());
    let command = command.unwrap_or_else(|| format!("({})", about.no_command()));
    format!(
        "{}  {}  {}.{}  {end}  {command}\n",
        about.recording,
        about.user.escape_debug(),
        about.pod,
        about.namespace,
    )
}
