//! A stored recording as a stream: for the player, or exactly as it was recorded. A chunk that was changed or
//! is missing, or a right that is gone, ends the stream with an error, so that nobody takes what came before
//! it for the whole.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use podgate_recording::cast::{self, Header};
use podgate_recording::{Content, Encrypted, Export, NoEnd, Verifier};

use super::chunks::Chunks;
use super::error::Error;
use super::find::Found;
use super::standing::Standing;
use super::view::{Shown, first_line, line};

/// What a recording's page says of it.
pub(crate) struct Head {
    pub(crate) header: Header,
    /// The recording's name.
    pub(crate) id: String,
    pub(crate) encrypted: bool,
}

/// Reads the first line, or of an encrypted recording what is told of it.
pub(crate) async fn head(found: Found) -> Result<Head, Error> {
    let (desk, visitor) = (found.desk.clone(), found.visitor.clone());
    desk.in_time(&visitor, read_head(found)).await
}

async fn read_head(mut found: Found) -> Result<Head, Error> {
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
pub(crate) fn exact(mut found: Found) -> impl Stream<Item = Result<Bytes, Error>> {
    found.reader = found.reader.read_ahead();
    let export = Export::new(found.reader.id().clone());
    stream::try_unfold(Some((found, export, Standing::new())), next_text)
}

/// `None` at the end.
type Exact = Option<(Found, Export, Standing)>;

async fn next_text(exact: Exact) -> Result<Option<(Bytes, Exact)>, Error> {
    let Some((mut found, mut export, mut standing)) = exact else {
        return Ok(None);
    };
    standing.require(&found).await?;
    let Some(chunk) = found.reader.next().await? else {
        let no_end = NoEnd::of(export.verifier(), &found.reader, &found.desk.library);
        ended(no_end.await?)?;
        return Ok(Some((Bytes::from_static(export.end()), None)));
    };
    let text = export.chunk(&chunk)?;
    Ok(Some((text.into(), Some((found, export, standing)))))
}

/// An error if the last chunks were there once. A session that runs, or was cut, has none yet.
fn ended(no_end: Option<NoEnd>) -> Result<(), Error> {
    match no_end {
        Some(missing @ NoEnd::Missing(_)) => Err(Error::NoEnd(missing)),
        None | Some(NoEnd::Runs | NoEnd::Cut) => Ok(()),
    }
}

/// The recording for a player.
pub(crate) fn play(found: Found) -> impl Stream<Item = Result<Bytes, Error>> {
    let played = Played {
        chunks: Chunks::new(found),
        last: Duration::ZERO,
        silent: true,
        standing: Standing::new(),
    };
    stream::try_unfold(played, next_lines)
}

struct Played {
    chunks: Chunks,
    /// The time of the last line.
    last: Duration,
    /// Whether nothing was shown yet.
    silent: bool,
    standing: Standing,
}

async fn next_lines(mut played: Played) -> Result<Option<(Bytes, Played)>, Error> {
    played.standing.require(&played.chunks.found).await?;
    let chunks = &mut played.chunks;
    let first = chunks.view.is_none();
    let Some(shown) = chunks.next().await? else {
        ended(chunks.no_end().await?)?;
        return Ok(played.end().map(|end| (end, played)));
    };
    let mut lines = String::new();
    if let Some(view) = chunks.view.as_ref().filter(|_| first) {
        lines = format!("{}\n", first_line(view));
    }
    for (time, shown) in shown {
        let after = time.saturating_sub(played.last);
        played.last = time;
        played.silent = false;
        lines.push_str(&format!("{}\n", line(after, &shown)));
    }
    Ok(Some((lines.into(), played)))
}

impl Played {
    /// What follows the last chunk. The player takes a recording without any event for a broken one.
    fn end(&mut self) -> Option<Bytes> {
        let nothing = Shown::Text(String::new());
        let silent = std::mem::take(&mut self.silent);
        silent.then(|| format!("{}\n", line(self.chunks.at, &nothing)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_once_and_is_gone_is_an_error() {
        for fine in [None, Some(NoEnd::Runs), Some(NoEnd::Cut)] {
            assert!(ended(fine).is_ok(), "{fine:?}");
        }
        let gone = ended(Some(NoEnd::Missing(7))).unwrap_err().to_string();
        assert!(gone.contains("was changed") && gone.contains('7'), "{gone}");
    }
}
