//! `export`: gives a recording's text as it is.

use podgate_recording::{Export, Id, Library, NoEnd};

use super::asked::Asked;
use super::error::Error;
use super::find::{Standing, find};
use super::reply::Reply;

pub(super) async fn export(
    id: Id,
    asked: &Asked<'_>,
    library: &Library,
    reply: &Reply<'_>,
) -> Result<u32, Error> {
    let reader = find(id.clone(), "export", asked, library).await?;
    let mut reader = reader.read_ahead();
    let mut export = Export::new(id);
    let mut standing = Standing::new();
    while let Some(chunk) = reader.next().await? {
        standing.require(asked, &reader).await?;
        reply.give(export.chunk(&chunk)?).await?;
    }
    reply.give(export.end()).await?;
    let no_end = NoEnd::of(export.verifier(), &reader, library).await?;
    reply.warn_of_no_end(no_end).await?;
    Ok(0)
}
