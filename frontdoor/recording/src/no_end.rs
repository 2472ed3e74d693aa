//! Why a recording has no end.

use crate::index::{self, Entry};
use crate::library::Library;
use crate::name::Indexed;
use crate::reader::Reader;
use crate::store::Error;
use crate::verify::Verifier;

/// What is known of a recording whose last chunk is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum NoEnd {
    #[error("the session runs, or its end waits to be stored")]
    Runs,
    #[error(
        "it was cut: its frontdoor ended before the session, or has not reached the store for minutes"
    )]
    Cut,
    #[error("its last chunks are missing: the index says that it had {0}")]
    Missing(u32),
}

impl NoEnd {
    /// Finds out why a recording has no end, of which all chunks that are there were given to a verifier; `None` if it
    /// has one.
    pub async fn of(
        verifier: &Verifier,
        reader: &Reader,
        library: &Library,
    ) -> Result<Option<Self>, Error> {
        let Some(header) = verifier.header().filter(|_| !verifier.is_whole()) else {
            return Ok(None);
        };
        let (about, id) = (&header.podgate, reader.id());
        let indexed = Indexed::new(id.clone(), &about.pod, &about.user);
        let entry = library
            .calls
            .get(indexed.object(id.day(), reader.namespace()), index::MAX);
        let entry = entry.await?;
        let entry = entry.and_then(|entry| serde_json::from_slice::<Entry>(&entry).ok());
        if let Some(end) = entry.and_then(|entry| entry.end) {
            // It may have ended just now.
            return Ok(Some(match reader.has_next().await? {
                true => Self::Runs,
                false => Self::Missing(end.chunks),
            }));
        }
        let running = library.running([about.frontdoor.clone()].into()).await?;
        Ok(Some(match running.is_empty() {
            true => Self::Cut,
            false => Self::Runs,
        }))
    }
}
