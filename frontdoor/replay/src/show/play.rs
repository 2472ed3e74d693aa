//! A stored recording as a stream: for the player, or exactly as it was recorded. A chunk that was changed
//! ends the stream with an error, so that nobody takes what came before it for the whole.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use podgate_recording::cast::{self, Header};
use podgate_recording::{Content, Encrypted, Export, Verifier};

use super::chunks::Chunks;
use super::error::Error;
use super::find::Found;
use super::view::{first_line, line};

/// What a recording's page says of it.
pub(crate) struct Head {
    pub(crate) header: Header,
    /// The recording's name.
    pub(crate) id: String,
    pub(crate) encrypted: bool,
}

/// Reads the first line, or of an encrypted recording what is told of it.
pub(crate) async fn head(mut found: Found) -> Result<Head, Error> {
    let id = found.reader.id().to_string();
    let encrypted = found.reader.is_encrypted();
    let first = found.reader.next().await?.ok_or(Error::Unknown)?;
    let header = match Verifier::new(&id).chunk(&first)? {
        Content::Text(text) => cast::header(&text)?.0,
        Content::Encrypted { header, .. } => *header.ok_or(Encrypted)?,
    };
    Ok(Head {
        header,
        id,
        encrypted,
    })
}

/// The recording as `export` by ssh gives it.
pub(crate) fn exact(found: Found) -> impl Stream<Item = Result<Bytes, Error>> {
    let export = Export::new(found.reader.id().clone());
    stream::try_unfold(Some((found, export)), next_text)
}

/// `None` at the end.
type Exact = Option<(Found, Export)>;

async fn next_text(exact: Exact) -> Result<Option<(Bytes, Exact)>, Error> {
    let Some((mut found, mut export)) = exact else {
        return Ok(None);
    };
    let Some(chunk) = found.reader.next().await? else {
        return Ok(Some((Bytes::from_static(export.end()), None)));
    };
    let text = export.chunk(&chunk)?;
    Ok(Some((text.into(), Some((found, export)))))
}

/// The recording for a player.
pub(crate) fn play(found: Found) -> impl Stream<Item = Result<Bytes, Error>> {
    stream::try_unfold((Chunks::new(found), Duration::ZERO), next_lines)
}

/// The chunks, and the time of the last line.
type Played = (Chunks, Duration);

async fn next_lines((mut chunks, mut last): Played) -> Result<Option<(Bytes, Played)>, Error> {
    let first = chunks.view.is_none();
    let Some(shown) = chunks.next().await? else {
        return Ok(None);
    };
    let mut lines = String::new();
    if let Some(view) = chunks.view.as_ref().filter(|_| first) {
        lines = format!("{}\n", first_line(view));
    }
    for (time, shown) in shown {
        let after = time.saturating_sub(last);
        last = time;
        lines.push_str(&format!("{}\n", line(after, &shown)));
    }
    Ok(Some((lines.into(), (chunks, last))))
}
