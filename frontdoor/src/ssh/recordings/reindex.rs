//! `reindex`: makes the index objects that are missing, in the namespaces where the user may `update`
//! recordings.

use jiff::{SignedDuration, Timestamp};
use podgate_recording::Library;
use tokio::time::timeout;

use super::arguments::Reindex;
use super::asked::Asked;
use super::error::Error;
use super::find::FOUND;
use super::reply::Reply;
use crate::authz::OfRecordings;

/// The exit status if a recording is unreadable, or if there is more to do.
const LEFT: u32 = 1;

pub(super) async fn reindex(
    what: Reindex,
    asked: &Asked<'_>,
    library: &Library,
    reply: &Reply<'_>,
) -> Result<u32, Error> {
    let age = SignedDuration::from_secs(what.since_seconds);
    let since = Timestamp::now().checked_sub(age);
    let days = Library::days(since.unwrap_or(Timestamp::UNIX_EPOCH));
    let mut status = 0;
    for day in days {
        let may = async {
            let mut namespaces = library.recorded(day).await?;
            if let Some(one) = &what.namespace {
                namespaces.retain(|namespace| namespace == one);
            }
            let authorizer = &asked.client.context.authorizer;
            let may = authorizer.recorded(asked.identity, OfRecordings::Update, namespaces);
            Ok::<_, Error>(may.await?)
        };
        for namespace in timeout(FOUND, may).await.map_err(|_| Error::Late)?? {
            let rebuilt = library.rebuild(day, namespace.clone()).await?;
            let (made, unreadable) = (rebuilt.made, rebuilt.unreadable);
            let more = if rebuilt.more { "; run it again" } else { "" };
            if unreadable > 0 || rebuilt.more {
                status = LEFT;
            }
            let line = format!("{day} {namespace}: {made} made, {unreadable} unreadable{more}\n");
            reply.say(&line).await?;
        }
    }
    Ok(status)
}
