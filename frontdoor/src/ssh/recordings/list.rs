//! `recordings`: the newest that fit, of the namespaces that the user may list.

use std::collections::BTreeSet;

use podgate_recording::{Entry, Found, Library, Query};

use super::arguments::List;
use super::asked::Asked;
use super::error::Error;
use super::find::{ago, in_time, may};
use super::reply::Reply;
use crate::authz::OfRecordings;

/// Recordings whose index objects are in memory at the same time.
const AT_ONCE: usize = 64;

pub(super) async fn list(
    what: List,
    asked: &Asked<'_>,
    library: &Library,
    reply: &Reply<'_>,
) -> Result<u32, Error> {
    let (json, limit) = (what.json, what.limit);
    let found = in_time(find(what, asked, library)).await?;
    for some in found.chunks(AT_ONCE) {
        let entries = in_time(async { Ok(library.entries(some.to_vec()).await?) }).await?;
        let running = in_time(async { Ok(library.running_of(&entries).await?) }).await?;
        for entry in entries {
            if json {
                let line = serde_json::to_string(&entry).unwrap_or_default();
                reply.say(&format!("{line}\n")).await?;
            } else {
                reply.say(&line(&entry, &running)).await?;
            }
        }
    }
    if found.len() == limit {
        let told = format!("these are the newest {limit}: --limit N shows more");
        reply.warn(&told).await?;
    }
    Ok(0)
}

async fn find(what: List, asked: &Asked<'_>, library: &Library) -> Result<Vec<Found>, Error> {
    let since = ago(what.since_seconds);
    let days = Library::days(since);
    let namespaces = library.namespaces(days.clone()).await?;
    let only = what.namespace.as_deref();
    let may = may(asked, OfRecordings::List, namespaces, only).await?;
    let query = Query {
        user: what.user,
        pod: what.pod,
        since: Some(since),
        limit: what.limit,
    };
    Ok(library.list(days, may, query).await?)
}

/// Names may hold any character, so each is escaped to stay on one line.
fn line(entry: &Entry, running: &BTreeSet<String>) -> String {
    let about = &entry.header.podgate;
    let end = match &entry.end {
        Some(end) => format!("{} s", end.duration_ms / 1000),
        None if entry.is_open(running) => "open".to_owned(),
        None => "cut".to_owned(),
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
