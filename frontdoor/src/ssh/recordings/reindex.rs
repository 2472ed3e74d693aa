//! `reindex`: makes the index objects that are missing, in the namespaces where the user may `update`
//! recordings.

use podgate_recording::Library;

use super::arguments::Reindex;
use super::asked::Asked;
use super::error::Error;
use super::find::{ago, in_time, may};
use super::reply::Reply;
use crate::authz::OfRecordings;

/// The exit status if a recording is unreadable.
const LEFT: u32 = 1;

pub(super) async fn reindex(
    what: Reindex,
    asked: &Asked<'_>,
    library: &Library,
    reply: &Reply<'_>,
) -> Result<u32, Error> {
    let days = Library::days(ago(what.since_seconds));
    let (mut status, mut any) = (0, false);
    for day in days {
        let may = async {
            let namespaces = library.recorded(day).await?;
            may(
                asked,
                OfRecordings::Update,
                namespaces,
                what.namespace.as_deref(),
            )
            .await
        };
        for namespace in in_time(may).await? {
            let rebuilt = library.rebuild(day, namespace.clone()).await?;
            let (made, unreadable) = (rebuilt.made, rebuilt.unreadable);
            if unreadable > 0 {
                status = LEFT;
            }
            let line = format!("{day} {namespace}: {made} made, {unreadable} unreadable\n");
            reply.say(&line).await?;
            any = true;
        }
    }
    if !any {
        // Whether there are others is not for everybody to know.
        let told =
            "there are no recordings of that time in a namespace where you may update recordings";
        reply.warn(told).await?;
    }
    Ok(status)
}
